//! The service is not much longer than the same in axum: lines that are neither blank nor comments, formatted by rustfmt.

use std::fs;
use std::path::Path;

fn lines(path: &str) -> usize {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a source");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn the_service_has_at_most_1_3_times_the_lines_of_its_twin() {
    let (ours, twins) = (lines("../../service/src/main.rs"), lines("../axum-service/src/main.rs"));
    println!("{ours} lines beside {twins} of axum: {:.2}", ours as f64 / twins as f64);
    assert!(ours * 10 <= twins * 13, "{ours} lines beside {twins}");
}
