//! The layers' sources as a reader sees them: who declares which function where, and what its documentation says first.
//!
//! `chain` and `trace` quote the sources instead of repeating them, so they cannot drift. What is read is what rustfmt
//! writes: items begin at the margin, their functions one step further in.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, the lowest first; a folder that is not there is left out.
pub const LAYERS: &[&str] = &["uv-core", "tcp-wrap", "async-wrap", "net", "http", "cluster", "pomelo"];

/// Folders within folders: far more than there are.
const MAX_DEPTH: usize = 8;

/// A trait, a type's block of functions, or one of these functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What the function belongs to: a trait or a type.
    pub owner: String,
    /// The function's name; empty for the trait itself.
    pub name: String,
    /// The file, relative to the workspace.
    pub file: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// The first sentence of its documentation, without markup; empty without one.
    pub doc: String,
}

/// The folder of the workspace: the current directory or one above it, else where this program was built.
#[must_use]
pub fn workspace() -> Option<PathBuf> {
    let here = env::current_dir().ok();
    let above = here.iter().flat_map(|here| here.ancestors());
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    above.chain(built).find(|folder| folder.join("uv-core/src/upcall.rs").is_file()).map(Path::to_path_buf)
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target_folder() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target");
    env::var_os("CARGO_TARGET_DIR").map_or_else(built, PathBuf::from)
}

/// The items of one file, in their order.
///
/// # Errors
/// The file cannot be read.
pub fn items_of(workspace: &Path, file: &str) -> std::io::Result<Vec<Item>> {
    Ok(items(&fs::read_to_string(workspace.join(file))?, file))
}

/// What all layers declare.
#[derive(Debug, Default)]
pub struct Index {
    /// By layer, owner and name.
    items: BTreeMap<(String, String, String), Item>,
}

impl Index {
    /// Reads every layer. Whatever cannot be read is not in it.
    #[must_use]
    pub fn read() -> Self {
        let mut index = Self::default();
        if let Some(workspace) = workspace() {
            for layer in LAYERS {
                index.read_folder(&workspace, layer, &format!("{layer}/src"), 0);
            }
        }
        index
    }

    fn read_folder(&mut self, workspace: &Path, layer: &str, folder: &str, depth: usize) {
        let Ok(entries) = fs::read_dir(workspace.join(folder)) else { return };
        for entry in entries.flatten().filter(|_| depth < MAX_DEPTH) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{folder}/{name}");
            if name.ends_with(".rs") {
                self.add(layer, items_of(workspace, &path).unwrap_or_default());
            } else {
                self.read_folder(workspace, layer, &path, depth + 1);
            }
        }
    }

    fn add(&mut self, layer: &str, items: Vec<Item>) {
        for item in items {
            let key = (layer.to_owned(), item.owner.clone(), item.name.clone());
            let known = self.items.entry(key).or_insert_with(|| item.clone());
            // A trait's function has its documentation at its declaration, not where it is implemented.
            if known.doc.is_empty() {
                *known = item;
            }
        }
    }

    /// The function `Owner::name` as the layer declares it, or as one beneath does whose traits it hands on.
    #[must_use]
    pub fn find(&self, layer: &str, function: &str) -> Option<&Item> {
        let (owner, name) = function.split_once("::")?;
        let at = LAYERS.iter().position(|other| *other == layer)?;
        let mut layers = std::iter::once(&layer).chain(LAYERS[..at].iter().rev());
        layers.find_map(|layer| self.items.get(&((*layer).to_owned(), owner.to_owned(), name.to_owned())))
    }
}

/// The traits of a source and all functions at the first level of a block, in their order.
fn items(source: &str, file: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut owner, mut doc) = (String::new(), String::new());
    for (index, line) in source.lines().enumerate() {
        let text = line.trim_start();
        if let Some(words) = text.strip_prefix("///") {
            doc.push_str(words.strip_prefix(' ').unwrap_or(words));
            doc.push('\n');
            continue;
        }
        if text.starts_with("#[") || text.starts_with("//") {
            continue;
        }
        let mut add = |owner: &str, name: &str| {
            let (owner, name, file) = (owner.to_owned(), name.to_owned(), file.to_owned());
            items.push(Item { owner, name, file, line: index + 1, doc: first_sentence(&doc) });
        };
        if !line.starts_with([' ', '}', ')']) && !line.is_empty() {
            let (name, is_trait) = owner_of(line);
            owner = name;
            if is_trait {
                add(&owner, "");
            }
        } else if line.len() - text.len() == 4
            && !owner.is_empty()
            && let Some(name) = function_of(text)
        {
            add(&owner, name);
        }
        doc.clear();
    }
    items
}

/// The trait or type whose functions follow this line, and whether it is a trait.
fn owner_of(line: &str) -> (String, bool) {
    let line = without_visibility(line);
    let (rest, is_trait) = match (line.strip_prefix("trait "), line.strip_prefix("impl")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (without_generics(rest), false),
        (None, None) => return (String::new(), false),
    };
    let name = rest.split(" for ").last().unwrap_or(rest).trim_start();
    (identifier(name).to_owned(), is_trait)
}

fn function_of(line: &str) -> Option<&str> {
    let line = without_visibility(line);
    let line = line.strip_prefix("const ").unwrap_or(line);
    line.strip_prefix("fn ").map(identifier)
}

fn without_visibility(line: &str) -> &str {
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(rest, |(_, rest)| rest),
        Some(rest) => rest.trim_start(),
        None => line,
    }
}

/// What follows `<…>`.
fn without_generics(text: &str) -> &str {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            // Not the arrow of a function's type.
            '>' if !text[..at].ends_with('-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text[at..].trim_start_matches('>');
        }
    }
    text
}

fn identifier(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The first sentence of the first paragraph, with `[links](…)` as their text.
fn first_sentence(doc: &str) -> String {
    let paragraph = doc.split("\n\n").next().unwrap_or_default();
    let mut text = String::with_capacity(paragraph.len());
    let mut rest = paragraph;
    while let Some(at) = rest.find("](") {
        text.push_str(&rest[..at]);
        rest = rest[at..].split_once(')').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    let text: String = text.chars().filter(|character| !"[]".contains(*character)).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, first_sentence, items};

    #[test]
    fn traits_and_functions_are_found_with_their_first_sentence() {
        let source = "//! A file.\n\n/// A trait. More.\npub trait Up {\n    /// Calls\n    /// [`x`](y). Then.\n    \
                      #[inline]\n    fn on_x(&mut self);\n}\n\nimpl<F: Fn() -> u8> Up for F {\n    fn on_x(&mut self) \
                      {}\n}\n\nimpl<T> Slot<T> {\n    /// Is.\n    pub(crate) const fn is(&self) {\n        fn no() {}\n    \
                      }\n}\n\nfn free() {}\n";
        let found: Vec<_> = items(source, "f")
            .into_iter()
            .map(|Item { owner, name, line, doc, .. }| (owner, name, line, doc))
            .collect();
        let item = |owner: &str, name: &str, line, doc: &str| (owner.into(), name.into(), line, doc.into());
        assert_eq!(
            found,
            [
                item("Up", "", 4, "A trait."),
                item("Up", "on_x", 8, "Calls `x`."),
                item("F", "on_x", 12, ""),
                item("Slot", "is", 17, "Is."),
            ]
        );
    }

    #[test]
    fn a_sentence_ends_with_its_paragraph_at_the_latest() {
        assert_eq!(first_sentence("One\ntwo\n\nthree.\n"), "One two");
        assert_eq!(first_sentence("A `Vec<[u8]>` of v1.2. Next."), "A `Vec<u8>` of v1.2.");
        assert_eq!(first_sentence(""), "");
    }
}
