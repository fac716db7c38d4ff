//! The benchmarks, layer by layer: a card each, with its chart, who was left out and why, and the numbers.

use super::markup::Markup;
use super::{bars, table};
use crate::results::{Bench, Results};

/// Groups with what a reader should know of them, in the order of the page. Any other group comes after.
const GROUPS: [(&str, &str, &str); 6] = [
    ("loop", "The loop", "uv-core by itself: no sockets, one program that repeats one operation."),
    (
        "tcp",
        "TCP",
        "The same server over each layer of the chain: what a layer costs is the difference to the one beneath it.",
    ),
    ("unix", "Unix sockets", "As TCP, over a socket with a path."),
    (
        "http",
        "HTTP",
        "The whole chain with limits and timeouts on, hooks off. libuv has no parser: it sends canned replies.",
    ),
    ("cluster", "Cluster", "A primary and two workers; the cost is that of all three processes."),
    (
        "pomelo",
        "Pomelo",
        "A master and 20 servers, beside Node's pomelo with the same configuration. There is no floor.",
    ),
];

/// A group of the results.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Its word in the results.
    pub(super) name: &'a str,
    /// Its heading.
    pub(super) title: &'a str,
    /// What it measures.
    words: &'a str,
    /// Its benchmarks, with their places in the results.
    pub(super) benches: Vec<(usize, &'a Bench)>,
}

/// The groups that have benchmarks.
pub(super) fn groups(results: &Results) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    groups.extend(GROUPS.map(|(name, title, words)| Group { name, title, words, benches: Vec::new() }));
    for (index, bench) in results.benches.iter().enumerate() {
        match groups.iter_mut().find(|group| group.name == bench.group) {
            Some(group) => group.benches.push((index, bench)),
            None => groups.push(Group {
                name: &bench.group,
                title: &bench.group,
                words: "",
                benches: vec![(index, bench)],
            }),
        }
    }
    groups.retain(|group| !group.benches.is_empty());
    groups
}

/// Where the group at `index` of the page's groups is found in the page.
pub(super) fn anchor(index: usize) -> String {
    format!("group-{index}")
}

/// Where the benchmark at `index` of the results is found in the page.
pub(super) fn bench_anchor(index: usize) -> String {
    format!("bench-{index}")
}

/// Writes every group.
pub(super) fn write(m: &mut Markup, groups: &[Group<'_>]) {
    for (index, group) in groups.iter().enumerate() {
        m.element("section", &[("id", &anchor(index))], |m| {
            m.words("h2", &[], group.title);
            if !group.words.is_empty() {
                m.words("p", &[("class", "lead")], group.words);
            }
            m.element("div", &[("class", "cards")], |m| {
                for (index, bench) in &group.benches {
                    card(m, *index, bench);
                }
            });
        });
        m.newline();
    }
}

fn card(m: &mut Markup, index: usize, bench: &Bench) {
    let anchor = bench_anchor(index);
    m.element("article", &[("class", "card"), ("id", &anchor)], |m| {
        m.element("h3", &[], |m| {
            m.words("code", &[], &bench.name);
        });
        m.element("p", &[("class", "what")], |m| {
            with_code(m, &sentence(&bench.title));
            if !bench.op.is_empty() {
                m.words(
                    "span",
                    &[("class", "op")],
                    &format!(" One operation: {}.", bench.op.trim_end_matches('.')),
                );
            }
        });
        if bench.subjects.is_empty() {
            m.words("p", &[("class", "empty")], "Nothing was measured.");
        } else {
            bars::draw(m, bench, &format!("{anchor}-chart"));
        }
        errors(m, bench);
        left_out(m, bench);
        if !bench.subjects.is_empty() {
            table::behind(m, bench);
        }
    });
    m.newline();
}

/// The text as a sentence: with a capital and a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let stop = if text.is_empty() || text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.into_iter().flatten().chain(letters).chain(stop.chars()).collect()
}

/// Writes text in which code stands between backquotes.
fn with_code(m: &mut Markup, text: &str) {
    for (index, piece) in text.split('`').enumerate() {
        if index % 2 == 0 { m.text(piece) } else { m.words("code", &[], piece) }
    }
}

fn errors(m: &mut Markup, bench: &Bench) {
    for subject in bench.subjects.iter().filter(|subject| subject.errors > 0) {
        let text =
            format!("⚠ {} operations of {} failed: its figures say little.", subject.errors, subject.name);
        m.words("p", &[("class", "errors")], &text);
    }
}

fn left_out(m: &mut Markup, bench: &Bench) {
    if bench.left_out.is_empty() {
        return;
    }
    m.element("p", &[("class", "left-out")], |m| {
        m.text("Left out: ");
        for (index, out) in bench.left_out.iter().enumerate() {
            m.text(if index == 0 { "" } else { "; " });
            m.words("b", &[], &out.name);
            m.text(&format!(" ({})", out.reason));
        }
        m.text(".");
    });
}
