//! Every example of every crate is built and run: it ends by itself, without an error, and has something to show.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tests::running::Running;
use tests::workspace::{cargo_build, output};

/// Examples that need words to end by themselves: `(package, example, words)`. All others are run without any.
const WORDS: &[(&str, &str, &[&str])] = &[("uv-core", "echo", &["--once"])];

/// An example by its package's and its own name.
type Name = (String, String);

#[test]
fn every_example_ends_by_itself_and_shows_something() -> Result<(), Box<dyn Error>> {
    let examples = build()?;
    for (package, example, _) in WORDS {
        let name = ((*package).to_owned(), (*example).to_owned());
        assert!(
            examples.contains_key(&name),
            "there is no example {example} of {package}: WORDS is out of date"
        );
    }
    assert!(!examples.is_empty(), "cargo builds no examples");
    for ((package, example), program) in examples {
        let words = WORDS.iter().find(|(of, name, _)| (*of, *name) == (&*package, &*example));
        let running =
            Running::start(Command::new(program).args(words.map_or(&[][..], |(_, _, words)| words)))?;
        let ended = running.wait().map_err(|error| format!("{package}, example {example}: {error}"))?;
        assert!(ended.status.success(), "{package}, example {example}: {}\n{}", ended.status, ended.stderr);
        assert!(!ended.stdout.trim().is_empty(), "{package}, example {example}: it shows nothing");
    }
    Ok(())
}

/// Builds the examples of the workspace; returns where they are.
fn build() -> Result<BTreeMap<Name, PathBuf>, Box<dyn Error>> {
    let mut examples = BTreeMap::new();
    for line in output(cargo_build()?.args(["--workspace", "--examples"]))?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let target = &message["target"];
        let is_example =
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "example"));
        if let (true, Some(program), Some(name)) =
            (is_example, message["executable"].as_str(), target["name"].as_str())
        {
            let manifest = PathBuf::from(message["manifest_path"].as_str().ok_or("no manifest")?);
            let folder = manifest.parent().and_then(|folder| folder.file_name()).ok_or("no folder")?;
            examples.insert((folder.to_string_lossy().into_owned(), name.to_owned()), program.into());
        }
    }
    Ok(examples)
}
