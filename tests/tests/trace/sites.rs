//! The places that say something: each names a function that there is.

use crate::program::Outcome;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tests::workspace::root;
use upcall::sources::{Index, LAYERS};

/// The layers between the kernel and a handler: each of them says what it does.
const CHAIN: &[&str] = &["uv-core", "tcp-wrap", "async-wrap", "net", "http", "cluster"];

/// What records are about, of the kernel and of the layers: `recv(2)`, `OnStream::on_read`.
fn names_in(source: &str) -> BTreeSet<&str> {
    // What asks a test's world about a call records nothing.
    let code =
        source.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains("faults::"));
    // Between quotes; a name has none in it.
    let literals = code.flat_map(|line| line.split('"').skip(1).step_by(2));
    literals.filter(|literal| is_name(literal)).collect()
}

fn is_name(literal: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some(name) = literal.strip_suffix("(2)") {
        return is_word(name);
    }
    let is_owner =
        |owner: &str| owner.starts_with(|first: char| first.is_ascii_uppercase()) && is_word(owner);
    literal.split_once("::").is_some_and(|(owner, name)| is_owner(owner) && is_word(name))
}

fn sources_of(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // Names system calls to decide about them, not for records.
            if !path.ends_with("uv-core/src/faults") {
                sources_of(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_function_that_a_record_names_is_in_the_sources() -> Outcome {
    let index = Index::read();
    let mut named = 0;
    for layer in LAYERS.iter().filter(|layer| root().join(layer).is_dir()) {
        let mut files = Vec::new();
        sources_of(&root().join(layer).join("src"), &mut files)?;
        let mut of_layer = 0;
        for file in files {
            let source = fs::read_to_string(&file)?;
            for name in names_in(&source) {
                let is_there = match name.strip_suffix("(2)") {
                    // Polling is mio's; calls without a function in libc have a number there.
                    Some(call) => {
                        let is_called =
                            ["", "SYS_"].map(|kind| source.contains(&format!("libc::{kind}{call}")));
                        call.starts_with("epoll_") || is_called.contains(&true) || call == "close"
                    }
                    None => index.find(layer, name).is_some(),
                };
                assert!(is_there, "{}: there is no {name}", file.display());
                of_layer += 1;
            }
        }
        assert!(of_layer > 0 || !CHAIN.contains(layer), "{layer} says nothing");
        named += of_layer;
    }
    assert!(named > 60, "only {named} places say something");
    Ok(())
}
