//! The report: one page of HTML that holds its style and its charts, needs no script and no network, and reads the
//! same for the same results.
//!
//! Bars and marks are elements that CSS places in per cent of their chart; `latency` draws curves as SVG.

mod benches;
mod chain;
mod chain_chart;
mod format;
mod latency;
mod overview;
mod scale;
mod targets;

use super::results::{Bench, Results, Role, Subject};
use crate::count::show::cell;
use crate::progress::in_words;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use scale::{Scale, place};
use std::time::Duration;

/// What a browser may load: the page's own style, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The peers with a colour and a mark of their own.
const PEERS: [&str; 5] = ["libuv", "tokio", "hyper", "node", "nginx"];

/// The page of these results.
#[must_use]
pub fn page(results: &Results) -> String {
    let groups = benches::groups(results);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { "Upcall bench " (results.date) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body { main {
                (header(results))
                nav aria-label="Contents" {
                    a href="#targets" { "Targets" }
                    a href="#chain" { "The chain" }
                    @for (index, group) in groups.iter().enumerate() { a href={ "#group-" (index) } { (group.title) } }
                    @if !results.counts.is_empty() { a href="#counts" { "Counts" } }
                }
                (targets::section(results))
                (overview::section(&groups))
                (chain_chart::section(results))
                (latency::section(results))
                (benches::sections(&groups))
                @if !results.counts.is_empty() { (counts(results)) }
            } }
        }
    };
    page.into_string()
}

/// What was measured, where, with what, and what a reader has to know before the numbers.
fn header(results: &Results) -> Markup {
    let machine = &results.machine;
    let commit = if results.commit.is_empty() { "outside of a checkout" } else { &results.commit };
    let changes = if results.dirty { ", with changes that no commit has" } else { "" };
    let cores = if machine.cores == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cores) };
    let versions: Vec<_> =
        results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let command = [&["cargo xtask bench".to_owned()], &*results.arguments].concat().join(" ");
    let took = Duration::try_from_secs_f64(results.seconds);
    let facts = [
        ("Commit", "code", format!("{commit}{changes}")),
        ("Date", "", results.date.clone()),
        ("Machine", "", format!("{}, {cores}, {:.1} GiB", machine.cpu, machine.memory_mib as f64 / 1024.0)),
        ("Kernel", "", machine.kernel.clone()),
        ("Command", "code", command),
        ("Took", "", took.map(in_words).unwrap_or_default()),
        ("Versions", "wide", versions.join(" · ")),
    ];
    html! {
        header {
            p.kicker { "Upcall · cargo xtask bench" }
            h1 { "What every layer costs" }
            p.lead {
                "Node’s networking stack, layer by layer, beside its " b { "floor" } " (a hand-written epoll program that \
                 makes just those system calls) and its peers. The figure is the CPU time of the server’s process tree \
                 per operation: all subjects are up and take turns in short windows, and it is the median over the quiet \
                 windows of all rounds together. 1.00× is the floor; less is better."
            }
            dl.facts { @for (name, class, value) in facts {
                div class=(class) { dt { (name) } dd { (if value.is_empty() { format::NONE } else { &value }) } }
            } }
            @if !results.notes.is_empty() {
                aside.notes aria-label="Notes" {
                    h2 { "Read with care" }
                    ul { @for note in &results.notes { li { (note) } } }
                }
            }
        }
    }
}

fn counts(results: &Results) -> Markup {
    let rows = results.counts.iter().map(|count| {
        let cells = [cell(count.instructions, 0), cell(count.syscalls, 2), cell(count.allocations, 2)];
        ("", [&[count.name.clone(), count.subject.clone()], &cells[..]].concat())
    });
    let heads = ["benchmark", "subject", "instructions", "system calls", "allocations"];
    html! {
        section #counts {
            h2 { "Counted, per operation" }
            p.lead {
                "Instructions under callgrind, system calls by strace, allocations by a counting allocator: these repeat \
                 to within 1 %, however busy the machine is."
            }
            (table("Counted, per operation", &heads, rows))
        }
    }
}

/// A table that is shown when it is asked for.
fn numbers<'a>(name: &str, heads: &[&str], rows: impl Iterator<Item = (&'a str, Vec<String>)>) -> Markup {
    html! { details { summary { "All the numbers" } (table(name, heads, rows)) } }
}

/// A table that is scrolled within its own place, and never moves the page. A row is its class and its cells.
fn table<'a>(name: &str, heads: &[&str], rows: impl Iterator<Item = (&'a str, Vec<String>)>) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label=(name) { table {
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody { @for (class, cells) in rows {
                tr class=(class) {
                    @for (index, cell) in cells.iter().enumerate() {
                        @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                    }
                }
            } }
        } }
    }
}

/// The values that an axis names, each with its line.
fn axis(scale: Scale, wanted: usize, name: impl Fn(f64) -> String) -> Markup {
    let side = |x: f64| {
        if x < 6.0 {
            "first"
        } else if x > 92.0 {
            "last"
        } else {
            ""
        }
    };
    html! {
        div.axis aria-hidden="true" { @for value in scale.ticks(wanted) {
            i class=(side(scale.percent(value))) style=(place(scale, value, value)) { span { (name(value)) } }
        } }
    }
}

/// The subject that a benchmark's target, or its highest layer, is about.
fn top(bench: &Bench) -> Option<&Subject> {
    let named = bench.target_of.as_deref().and_then(|name| bench.subjects.iter().find(|s| s.name == name));
    // The hooks are a way to run a layer, not the layer on top of it.
    let is_layer = |s: &&Subject| s.role == Role::Ours && !s.name.ends_with("-hooks");
    named.or_else(|| bench.subjects.iter().rfind(is_layer))
}

/// How a subject looks: the variable `--LOOK` is its colour, the class `m-LOOK` its mark, the same in every chart.
fn look(subject: &Subject) -> &'static str {
    match subject.role {
        Role::Floor => "floor",
        Role::Ours => "ours",
        Role::Peer => PEERS.into_iter().find(|peer| subject.name.starts_with(peer)).unwrap_or("other"),
    }
}
