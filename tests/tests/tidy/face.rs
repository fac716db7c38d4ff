//! The rule about a crate's front page: a reader takes in about a dozen types, so the rare ones stand in modules.

use crate::sources::{Breaches, Outcome, SOURCES, layers};
use tests::source::words;

/// How many types a crate's root shows at most, those of other crates included.
const ROOT_TYPES: &[(&str, usize)] = &[
    ("uv-core", 16),
    ("tcp-wrap", 15),
    ("async-wrap", 15),
    ("net", 16),
    ("cluster", 15),
    ("http", 12),
    ("pomelo", 15),
];

#[test]
fn a_root_shows_few_types() -> Outcome {
    let mut breaches = Breaches::of(
        "A crate's root shows the types that every user needs, http at most 12, net and uv-core 16, the others 15; what \
         few need stands in a module.",
    );
    for layer in layers() {
        let path = format!("{layer}/src/lib.rs");
        let root = SOURCES.iter().find(|source| source.path == path).ok_or("no root")?;
        let types = types_of(&root.code);
        let limit = ROOT_TYPES.iter().find(|(of, _)| *of == layer);
        let (_, most) = *limit.ok_or("a layer without a limit")?;
        if types.len() > most {
            breaches.add(&path, 0, format!("{} types, {most} at most: {}", types.len(), types.join(", ")));
        }
    }
    breaches.finish()
}

/// The types that the `pub` items of some code declare or export.
fn types_of(code: &str) -> Vec<&str> {
    let mut types = Vec::new();
    // What is indented belongs to a module.
    for at in words(code, "pub").filter(|at| code[..*at].is_empty() || code[..*at].ends_with('\n')) {
        let item = code[at + "pub".len()..].trim_start();
        let name = |after: &str| item.strip_prefix(after).and_then(|rest| names(rest).next());
        if let Some(exported) = item.strip_prefix("use ") {
            let exported = exported.split(';').next().unwrap_or_default();
            // The names of an import are the last parts of its paths, or what follows `as`.
            types.extend(exported.split([',', '{', '}']).filter_map(|path| names(path).last()));
        } else {
            types.extend(["struct ", "enum ", "trait ", "type "].into_iter().find_map(name));
        }
    }
    types.retain(|name| name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase));
    types
}

fn names(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|name| !name.is_empty())
}

#[test]
fn types_are_found_however_they_are_exported() {
    let code = "mod a;\npub use a::{Deep, inner::Other as Alias, function};\npub use b::Single;\npub(crate) use c::Own;\n\
                pub struct Here<T>(T);\npub type Word = u8;\npub trait Can {}\npub const LIMIT: u8 = 1;\npub mod d;";
    assert_eq!(types_of(code), ["Deep", "Alias", "Single", "Here", "Word", "Can"]);
}
