//! How a subject looks: its colour, its mark and its line, the same in every chart. None is told by colour alone.

use super::markup::Markup;
use crate::results::{Role, Subject};

/// Marks, drawn around their place.
const MARKS: [(&str, &str); 8] = [
    ("m-floor", "M-1.5-8h3V8h-3z"),
    ("m-ours", "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z"),
    ("m-libuv", "M0-6.5 6.5 0 0 6.5-6.5 0z"),
    ("m-tokio", "M-5-5h10v10h-10z"),
    ("m-hyper", "M0-6 6 5h-12z"),
    ("m-node", "M-6-5h12l-6 11z"),
    ("m-nginx", "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z"),
    ("m-other", "M-6-4-4-6 0-2 4-6 6-4 2 0 6 4 4 6 0 2-4 6-6 4-2 0z"),
];

/// The peers with a look of their own.
const PEERS: [&str; 5] = ["libuv", "tokio", "hyper", "node", "nginx"];

/// The name of a subject's look: the class `s-NAME` colours it, the mark `m-NAME` is its shape.
pub(super) fn look(role: Role, name: &str) -> &'static str {
    match role {
        Role::Floor => "floor",
        Role::Ours => "ours",
        Role::Peer => PEERS.into_iter().find(|peer| name.starts_with(peer)).unwrap_or("other"),
    }
}

/// The class that colours a subject.
pub(super) fn class(subject: &Subject) -> String {
    format!("s-{}", look(subject.role, &subject.name))
}

/// The mark of a subject.
pub(super) fn mark(subject: &Subject) -> String {
    mark_of(look(subject.role, &subject.name)).to_owned()
}

/// The mark of a look.
pub(super) fn mark_of(look: &str) -> &'static str {
    let known = MARKS.iter().find(|(mark, _)| mark.strip_prefix("m-") == Some(look));
    known.map_or("m-other", |(mark, _)| mark)
}

/// What a role is called.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Floor => "the floor",
        Role::Ours => "ours",
        Role::Peer => "peer",
    }
}

/// Writes the marks and patterns that the charts refer to.
pub(super) fn definitions(m: &mut Markup) {
    let hidden = [("class", "definitions"), ("width", "0"), ("height", "0"), ("aria-hidden", "true")];
    m.element("svg", &hidden, |m| {
        m.element("defs", &[], |m| {
            for (id, path) in MARKS {
                m.leaf("path", &[("id", id), ("d", path)]);
            }
            let hatch = [
                ("id", "hatch"),
                ("width", "5"),
                ("height", "5"),
                ("patternUnits", "userSpaceOnUse"),
                ("patternTransform", "rotate(45)"),
            ];
            m.element("pattern", &hatch, |m| {
                m.leaf("rect", &[("width", "5"), ("height", "5"), ("class", "hatch-ground")]);
                m.leaf("rect", &[("width", "2"), ("height", "5"), ("class", "hatch-line")]);
            });
        });
    });
    m.newline();
}
