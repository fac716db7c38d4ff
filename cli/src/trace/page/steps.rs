//! The diagram: the lanes' names, each step with its arrow and for how long it lasts, and a card that says more of it.
//! Places across are fractions of the width, so that the drawing is as wide as the window; the style makes arrows and
//! bars of them.

use super::lanes::Lanes;
use super::layout::{LINE, Layout};
use crate::sources::Index;
use crate::trace::print::{duration, said};
use crate::trace::step::Dir;
use crate::trace::story::{Row, Story, Turn};
use maud::{Markup, html};

fn title(name: &str) -> &str {
    if name == "handler" { "your handler" } else { name }
}

/// What all steps are drawn with.
struct Chart<'a> {
    lanes: &'a Lanes<'a>,
    layout: &'a Layout,
    index: &'a Index,
    /// Several processes have several turns at a time: their one clock counts from the first thing that the client did.
    base: Option<u64>,
}

pub(super) fn chart(story: &Story, layout: &Layout, index: &Index) -> Markup {
    let lanes = &Lanes::of(story);
    let is_cluster = story.turns.iter().any(|turn| !turn.process.is_empty());
    let marked = story.turns.iter().find(|turn| !turn.marks.is_empty());
    let base = marked.filter(|_| is_cluster).map(|turn| turn.at);
    let chart = Chart { lanes, layout, index, base };
    let count = lanes.lanes.len();
    let mut numbers = 1..;
    html! {
        div.chart.many[count > 8] style={ "--count:" (count) } {
            div.heads aria-hidden="true" { @for lane in &lanes.lanes {
                div.kernel[lane.name == "kernel"] {
                    @if !lane.process.is_empty() { small { (lane.process) } }
                    b { (title(lane.name)) }
                }
            } }
            div.body style=(format!("height:{:.0}px", layout.height)) {
                div.lanes aria-hidden="true" { @for _ in &lanes.lanes { i {} } }
                @for (y, nanoseconds) in &layout.breaks {
                    p.gap style=(format!("top:{:.1}px", y - LINE / 2.0)) { (duration(*nanoseconds)) }
                }
                @for (turn, told) in story.turns.iter().enumerate() {
                    @for (at, mark) in told.marks.iter().enumerate() {
                        p.mark style=(format!("top:{:.1}px", layout.marks[turn] + LINE * at as f64)) { (mark.what) }
                    }
                    @for (at, number) in (0..told.rows.len()).zip(&mut numbers) {
                        (chart.step(number, (turn, told), at))
                    }
                }
            }
        }
    }
}

impl Chart<'_> {
    fn step(&self, number: usize, (turn, told): (usize, &Turn), at: usize) -> Markup {
        let row = &told.rows[at];
        let (arrow, (y, end)) = (self.lanes.arrows[turn][at], self.layout.rows[turn][at]);
        let kind = match row.step.dir {
            _ if row.is_wait() => "up",
            Dir::Up => "up",
            Dir::Down => "down",
            Dir::Note => "note",
        };
        let [from, to] = [arrow.from, arrow.to].map(|lane| self.lanes.middle(lane));
        let (left, right) = (from.min(to), from.max(to));
        // Bars of calls within each other in one lane stand aside.
        let around = told.parents(at).filter(|at| self.lanes.arrows[turn][*at].to == arrow.to).count();
        let (owner, name) = row.step.call.split_once("::").unwrap_or(("", &row.step.call));
        let said = said(row);
        let [who, doc, source] = self.card(turn, told, at);
        html! {
            a.step.(kind).far[(left + right) / 2.0 > 0.5] id={ "s" (number) } href={ "#s" (number) }
                style=(format!("top:{y:.1}px;--a:{left:.4};--b:{right:.4};--to:{to:.4}"))
                aria-label={ (row.step.call) ": " (who) ". " (doc) " " (source) } {
                @if let Some(end) = end { i.bar style=(format!("height:{:.1}px;--in:{around}", end - y)) {} }
                @if from == to { i.dot {} } @else { i.arrow.back[from > to] {} }
                time { (self.moment(told, row)) }
                span.name {
                    @if !owner.is_empty() { i { (owner) "::" } }
                    (name)
                    @if !said.is_empty() { " " small { (said) } }
                }
                span.card { b { (row.step.call) } span { (who) } span.doc { (doc) } code { (source) } }
            }
        }
    }

    /// When something happens, from the readiness of its turn or from `base` on.
    fn moment(&self, turn: &Turn, row: &Row) -> String {
        let (at, base) = (row.at(), self.base.unwrap_or(turn.at));
        let sign = if at < base { "\u{2212}" } else { "" };
        format!("{sign}{}", duration(at.abs_diff(base)))
    }

    /// Who calls whom and when; what its documentation says; where it stands.
    fn card(&self, turn: usize, told: &Turn, at: usize) -> [String; 3] {
        let (row, arrow) = (&told.rows[at], self.lanes.arrows[turn][at]);
        let (step, facts) = (&row.step, &row.step.facts);
        let [from, to] = [arrow.from, arrow.to].map(|lane| title(self.lanes.lanes[lane].name));
        let (who, how) = match from == to {
            _ if row.is_wait() => ("the kernel says what is ready".to_owned(), "waited"),
            true => (format!("within {to}"), "took"),
            false => (format!("{from} calls {to}"), "took"),
        };
        let process = if told.process.is_empty() { String::new() } else { format!("{}: ", told.process) };
        let trigger = facts.trigger_id.unwrap_or(0);
        let words = [
            Some(format!("{process}{who}")),
            row.took().map(|took| format!("{how} {}", duration(took))),
            facts.async_id.map(|id| format!("async id {id}, trigger {trigger}")),
            facts.handle.map(|handle| format!("handle {handle}")),
            facts.bytes.map(|bytes| format!("{bytes} bytes")),
            facts.info.clone(),
        ];
        let declared = self.index.find(&step.layer, &step.call);
        let doc = match declared {
            Some(item) => item.doc.clone(),
            None if step.is_kernel() => format!("A call of the kernel: see {} in its manual.", step.call),
            None => String::new(),
        };
        let elsewhere = declared.filter(|item| item.file != step.file);
        let elsewhere = elsewhere.map(|item| format!("  declared in {}:{}", item.file, item.line));
        let source = format!("{}:{}{}", step.file, step.line, elsewhere.unwrap_or_default());
        [words.into_iter().flatten().collect::<Vec<_>>().join(" \u{b7} "), doc, source]
    }
}
