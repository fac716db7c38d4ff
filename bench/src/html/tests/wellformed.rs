//! A small checker: tags balance, attributes are quoted and stand once, what refers to a place in the page finds it.

use std::collections::BTreeSet;

/// Elements of HTML that have no end tag.
const VOID: [&str; 2] = ["meta", "link"];

/// An element's name and attributes.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

impl Tag {
    /// An attribute's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// All elements of a page in order, or what is wrong with it.
pub(super) fn check(page: &str) -> Result<Vec<Tag>, String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").ok_or("no document type")?;
    let (mut open, mut tags): (Vec<String>, Vec<Tag>) = (Vec::new(), Vec::new());
    while let Some(start) = rest.find('<') {
        plain(&rest[..start])?;
        let end = rest[start..].find('>').ok_or("a tag that does not end")? + start;
        let inner = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            let opened = open.pop().ok_or_else(|| format!("</{name}> was never opened"))?;
            if opened != name {
                return Err(format!("</{name}> closes <{opened}>"));
            }
            continue;
        }
        let tag = tag(inner.strip_suffix('/').unwrap_or(inner))?;
        if !inner.ends_with('/') && !VOID.contains(&&*tag.name) {
            open.push(tag.name.clone());
        }
        if tag.name == "style" {
            rest = &rest[rest.find("</style>").ok_or("a style that does not end")?..];
        }
        tags.push(tag);
    }
    plain(rest)?;
    if !open.is_empty() {
        return Err(format!("never closed: {open:?}"));
    }
    references(&tags)?;
    Ok(tags)
}

fn tag(inner: &str) -> Result<Tag, String> {
    let (name, mut rest) = inner.split_once(' ').unwrap_or((inner, ""));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("not a tag: <{inner}>"));
    }
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or_else(|| format!("attributes of <{inner}>"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("quotes of <{inner}>"))?;
        plain(value)?;
        if attributes.iter().any(|(n, _)| n == name) {
            return Err(format!("{name} stands twice in <{inner}>"));
        }
        attributes.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Ok(Tag { name: name.to_owned(), attributes })
}

/// Text has no control characters, and an ampersand in it begins one of the references that the page uses.
fn plain(text: &str) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t') {
        return Err(format!("the control character {c:?}"));
    }
    for (at, _) in text.match_indices('&') {
        if !["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().any(|r| text[at..].starts_with(r)) {
            return Err(format!("a bare ampersand in {text:?}"));
        }
    }
    Ok(())
}

fn references(tags: &[Tag]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for id in tags.iter().filter_map(|tag| tag.get("id")) {
        if !ids.insert(id) {
            return Err(format!("the id {id} stands twice"));
        }
    }
    for tag in tags {
        let places = [
            tag.get("href").and_then(|href| href.strip_prefix('#')),
            tag.get("aria-labelledby"),
            tag.get("aria-describedby"),
        ];
        if let Some(lost) = places.into_iter().flatten().find(|place| !ids.contains(place)) {
            return Err(format!("nothing has the id {lost}"));
        }
    }
    Ok(())
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let wrong = [
        "<p>",
        "<p></b>",
        "</p>",
        "<p x=\"1\" x=\"2\"></p>",
        "a & b",
        "<p a=b></p>",
        "<a href=\"#x\"></a>",
        "\u{0}",
    ];
    for text in wrong {
        assert!(check(&format!("<!DOCTYPE html>{text}")).is_err(), "{text}");
    }
    assert!(check("<!DOCTYPE html><p id=\"x\">a &amp; b<br/></p>").is_ok());
}
