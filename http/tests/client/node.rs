//! Node's client gets the answers of `answers.rs`.

use crate::answers::{Then, all, script};
use crate::evil::{Evil, say};
use async_wrap::Environment;
use http::net::process::Command;
use serde_json::json;
use std::path::Path;

/// What does not depend on whether Node sees a reset together with what was sent before it.
fn without_race(said: &str) -> Vec<&str> {
    let is_sure = |word: &&str| *word != "cut" && !word.starts_with("error") && !word.starts_with("body");
    said.split(" | ").filter(is_sure).collect()
}

#[test]
fn nodes_client_differs_only_where_it_is_said() {
    let env = Environment::with_new_loop().expect("a loop");
    let evil = Evil::new(&env, all().map(|(_, _, answer, then, ..)| script(say(answer), *then)));
    let asked: Vec<_> =
        all().map(|(_, (method, fields), ..)| json!({"method": method, "fields": fields})).collect();
    let node = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/node_client.js"))
        .arg(evil.url("/"))
        .arg(json!(asked).to_string());
    let output = match env.block_on(node.output(&env)).expect("it ends") {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("POMELO_TESTS_NEED_NODE").is_none(), "node: {error}");
            println!("skipped: node: {error}");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.to_vec()).expect("text");
    let mut said = text.lines().map(|line| serde_json::from_str::<String>(line).expect("a string"));
    for (title, _, _, then, ours, nodes) in all() {
        let (said, expected) = (said.next().expect("a line for each"), nodes.unwrap_or(ours));
        if matches!(then, Then::Resets) {
            assert_eq!(without_race(&said), without_race(expected), "{title}");
        } else {
            assert_eq!(said, expected, "{title}");
        }
    }
    assert_eq!(evil.finish().len(), all().count());
    env.run_to_end().expect("the loop runs");
}
