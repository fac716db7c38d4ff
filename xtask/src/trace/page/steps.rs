//! The words of the diagram: the lanes' names, what each step is called, and a card that says more of it.

use super::escape::escaped;
use super::lanes::{Arrow, Lanes};
use super::layout::Layout;
use crate::sources::Index;
use crate::trace::print::{duration, said};
use crate::trace::step::Dir;
use crate::trace::story::{Row, Story, Turn};
use std::fmt::Write;

/// What a lane is called.
fn title(name: &str) -> &str {
    if name == "handler" { "your handler" } else { name }
}

pub(super) fn add_heads(page: &mut String, lanes: &Lanes) {
    page.push_str("<div class=\"heads\" aria-hidden=\"true\">");
    for lane in &lanes.lanes {
        let kind = if lane.name() == "kernel" { " class=\"kernel\"" } else { "" };
        let process = if lane.process.is_empty() {
            String::new()
        } else {
            format!("<small>{}</small>", escaped(&lane.process))
        };
        let _ = write!(page, "<div{kind}>{process}<b>{}</b></div>", title(lane.name()));
    }
    page.push_str("</div>\n");
}

pub(super) fn add(page: &mut String, story: &Story, lanes: &Lanes, layout: &Layout, index: &Index) {
    page.push_str("<div class=\"steps\">\n");
    // Several processes have several turns at a time: their one clock counts from the first thing that the client did.
    let is_cluster = story.turns.iter().any(|turn| !turn.process.is_empty());
    let base =
        story.turns.iter().find(|turn| !turn.marks.is_empty()).map(|turn| turn.at).filter(|_| is_cluster);
    let mut number = 0;
    for (turn, told) in story.turns.iter().enumerate() {
        for (mark, y) in told.marks.iter().zip(&layout.marks[turn]) {
            let _ = writeln!(page, "<p class=\"mark\" style=\"top:{y:.1}px\">{}</p>", escaped(&mark.what));
        }
        for (at, row) in told.rows.iter().enumerate() {
            number += 1;
            let arrow = lanes.arrows[turn][at];
            let y = layout.rows[turn][at].0;
            add_step(page, number, (told, row), (y, base), (lanes, arrow), index);
        }
    }
    page.push_str("</div>\n");
}

fn add_step(
    page: &mut String,
    number: usize,
    (turn, row): (&Turn, &Row),
    (y, base): (f64, Option<u64>),
    (lanes, arrow): (&Lanes, Arrow),
    index: &Index,
) {
    let step = &row.step;
    let kind = match step.dir {
        _ if row.is_wait() => "up",
        Dir::Up => "up",
        Dir::Down => "down",
        Dir::Note => "note",
    };
    let (left, right) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
    let (left, right) = (lanes.middle(left), lanes.middle(right));
    let far = if (left + right) / 2.0 > 0.5 { " far" } else { "" };
    let at = moment(turn, row, base);
    let (owner, name) =
        step.call.split_once("::").map_or(("", step.call.as_str()), |(owner, name)| (owner, name));
    let owner = if owner.is_empty() { String::new() } else { format!("<i>{}::</i>", escaped(owner)) };
    let said = said(row);
    let small = if said.is_empty() { String::new() } else { format!(" <small>{}</small>", escaped(&said)) };
    let lines = lines_of(turn, row, lanes, arrow, index);
    let _ = writeln!(
        page,
        "<a class=\"step {kind}{far}\" id=\"s{number}\" href=\"#s{number}\" \
         style=\"top:{y:.1}px;--a:{left:.4};--b:{right:.4}\" aria-label=\"{}\"><time>{at}</time><span \
         class=\"name\">{owner}{}{small}</span><span class=\"card\"><b>{}</b><span>{}</span><span \
         class=\"doc\">{}</span><code>{}</code></span></a>",
        escaped(&format!("{}: {}. {} {}", step.call, lines[0], lines[1], lines[2])),
        escaped(name),
        escaped(&step.call),
        escaped(&lines[0]),
        escaped(&lines[1]),
        escaped(&lines[2]),
    );
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
