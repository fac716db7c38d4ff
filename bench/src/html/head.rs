//! The page's head: what was measured, where, with what, and what a reader has to know before the numbers.

use super::format;
use super::markup::Markup;
use crate::results::Results;

/// Writes the head.
pub(super) fn write(m: &mut Markup, results: &Results) {
    m.element("header", &[], |m| {
        m.words("p", &[("class", "kicker")], "Upcall · cargo xtask bench");
        m.words("h1", &[], "What every layer costs");
        m.element("p", &[("class", "lead")], |m| {
            m.text("Node’s networking stack, layer by layer, beside its ");
            m.words("b", &[], "floor");
            m.text(
                " (a hand-written epoll program that makes just those system calls) and its peers. The figure \
                 is the CPU time of the server’s process tree per operation: all subjects are up and take \
                 turns in short windows, and it is the median over the quiet windows of all rounds together. \
                 1.00× is the floor; less is better.",
            );
        });
        facts(m, results);
        notes(m, results);
    });
    m.newline();
}

fn facts(m: &mut Markup, results: &Results) {
    let machine = &results.machine;
    let commit =
        if results.commit.is_empty() { "outside of a checkout".to_owned() } else { results.commit.clone() };
    let changes = if results.dirty { ", with changes that no commit has" } else { "" };
    let cores = if machine.cores == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cores) };
    let versions: Vec<String> =
        results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let mut command = "cargo xtask bench".to_owned();
    for word in &results.arguments {
        command.push(' ');
        command.push_str(word);
    }
    m.element("dl", &[("class", "facts")], |m| {
        fact(m, "Commit", "dd-code", &format!("{commit}{changes}"));
        fact(m, "Date", "", &results.date);
        fact(m, "Machine", "", &format!("{}, {cores}, {}", machine.cpu, memory(machine.memory_mib)));
        fact(m, "Kernel", "", &machine.kernel);
        fact(m, "Command", "dd-code", &command);
        fact(m, "Took", "", &duration(results.seconds));
        fact(m, "Versions", "wide", &versions.join(" · "));
    });
}

fn fact(m: &mut Markup, name: &str, class: &str, value: &str) {
    let value = if value.is_empty() { format::NONE } else { value };
    m.element("div", &[("class", class)], |m| {
        m.words("dt", &[], name);
        m.words("dd", &[], value);
    });
}

fn notes(m: &mut Markup, results: &Results) {
    if results.notes.is_empty() {
        return;
    }
    m.element("aside", &[("class", "notes"), ("aria-label", "Notes")], |m| {
        m.words("h2", &[], "Read with care");
        m.element("ul", &[], |m| results.notes.iter().for_each(|note| m.words("li", &[], note)));
    });
}

fn memory(mib: u64) -> String {
    if mib >= 1024 { format!("{:.1} GiB", mib as f64 / 1024.0) } else { format!("{mib} MiB") }
}

fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return format::NONE.to_owned();
    }
    let whole = seconds.round() as u64;
    if whole < 60 {
        format!("{} s", format::digits(seconds))
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}
