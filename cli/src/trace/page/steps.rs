//! The words of the diagram: the lanes' names, what each step is called, and a card that says more of it.

use super::lanes::{Arrow, Lanes};
use super::layout::Layout;
use crate::sources::Index;
use crate::trace::print::{duration, said};
use crate::trace::step::Dir;
use crate::trace::story::{Row, Story, Turn};
use maud::{Markup, html};
use std::fmt::Write;

fn title(name: &str) -> &str {
    if name == "handler" { "your handler" } else { name }
}

pub(super) fn heads(lanes: &Lanes) -> Markup {
    html! {
        div.heads aria-hidden="true" { @for lane in &lanes.lanes {
            div.kernel[lane.name() == "kernel"] {
                @if !lane.process.is_empty() { small { (lane.process) } }
                b { (title(lane.name())) }
            }
        } }
    }
}

pub(super) fn steps(story: &Story, lanes: &Lanes, layout: &Layout, index: &Index) -> Markup {
    // Several processes have several turns at a time: their one clock counts from the first thing that the client did.
    let is_cluster = story.turns.iter().any(|turn| !turn.process.is_empty());
    let base =
        story.turns.iter().find(|turn| !turn.marks.is_empty()).map(|turn| turn.at).filter(|_| is_cluster);
    let mut numbers = 1..;
    html! {
        div.steps { @for (turn, told) in story.turns.iter().enumerate() {
            @for (mark, y) in told.marks.iter().zip(&layout.marks[turn]) {
                p.mark style=(format!("top:{y:.1}px")) { (mark.what) }
            }
            @for (at, (row, number)) in told.rows.iter().zip(&mut numbers).enumerate() {
                (step((number, told, row), (layout.rows[turn][at].0, base), (lanes, lanes.arrows[turn][at]), index))
            }
        } }
    }
}

fn step(
    (number, turn, row): (usize, &Turn, &Row),
    (y, base): (f64, Option<u64>),
    (lanes, arrow): (&Lanes, Arrow),
    index: &Index,
) -> Markup {
    let step = &row.step;
    let kind = match step.dir {
        _ if row.is_wait() => "up",
        Dir::Up => "up",
        Dir::Down => "down",
        Dir::Note => "note",
    };
    let (left, right) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
    let (left, right) = (lanes.middle(left), lanes.middle(right));
    let (owner, name) = step.call.split_once("::").unwrap_or(("", &step.call));
    let said = said(row);
    let [who, doc, source] = lines_of(turn, row, lanes, arrow, index);
    html! {
        a.step.(kind).far[(left + right) / 2.0 > 0.5] id={ "s" (number) } href={ "#s" (number) }
            style=(format!("top:{y:.1}px;--a:{left:.4};--b:{right:.4}"))
            aria-label={ (step.call) ": " (who) ". " (doc) " " (source) } {
            time { (moment(turn, row, base)) }
            span.name {
                @if !owner.is_empty() { i { (owner) "::" } }
                (name)
                @if !said.is_empty() { " " small { (said) } }
            }
            span.card { b { (step.call) } span { (who) } span.doc { (doc) } code { (source) } }
        }
    }
}

/// When something happens, from the readiness of its turn or from `base` on.
fn moment(turn: &Turn, row: &Row, base: Option<u64>) -> String {
    let at = row.end.filter(|_| row.is_wait()).unwrap_or(row.step.at);
    let base = base.unwrap_or(turn.at);
    let sign = if at < base { "\u{2212}" } else { "" };
    format!("{sign}{}", duration(at.abs_diff(base)))
}

/// Who calls whom and when; what its documentation says; where it stands.
fn lines_of(turn: &Turn, row: &Row, lanes: &Lanes, arrow: Arrow, index: &Index) -> [String; 3] {
    let step = &row.step;
    let name = |lane: usize| title(lanes.lanes[lane].name());
    let (from, to) = (name(arrow.from), name(arrow.to));
    let mut who = if arrow.from == arrow.to { format!("within {to}") } else { format!("{from} calls {to}") };
    if row.is_wait() {
        who = "the kernel says what is ready".to_owned();
    }
    if !turn.process.is_empty() {
        who = format!("{}: {who}", turn.process);
    }
    let facts = row.facts();
    let took = row
        .took()
        .map(|took| format!("{} {}", if row.is_wait() { "waited" } else { "took" }, duration(took)));
    let context =
        facts.async_id.map(|id| format!("async id {id}, trigger {}", facts.trigger_id.unwrap_or(0)));
    let handle = facts.handle.map(|handle| format!("handle {handle}"));
    let bytes = facts.bytes.map(|bytes| format!("{bytes} bytes"));
    for more in [took, context, handle, bytes, facts.info.clone()].into_iter().flatten() {
        who = format!("{who} \u{b7} {more}");
    }
    let declared = index.find(&step.layer, &step.call);
    let doc = match declared {
        Some(item) => item.doc.clone(),
        None if step.is_kernel() => format!("A call of the kernel: see {} in its manual.", step.call),
        None => String::new(),
    };
    let mut source = format!("{}:{}", step.file, step.line);
    if let Some(item) = declared.filter(|item| item.file != step.file) {
        let _ = write!(source, "  declared in {}:{}", item.file, item.line);
    }
    [who, doc, source]
}
