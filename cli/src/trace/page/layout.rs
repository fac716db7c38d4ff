//! Where everything stands from top to bottom: time runs down, to scale as far as that leaves each step a line of its
//! own and no wait a whole screen.

use crate::trace::step::Edge;
use crate::trace::story::Story;

/// Pixels of a step's line.
pub(super) const LINE: f64 = 22.0;

/// Pixels of the longest piece of time; what is longer is broken.
const LONGEST: f64 = 150.0;

/// Pixels of a wait between two turns.
const PAUSE: f64 = 48.0;

/// Pixels between an end and what was before it.
const END: f64 = 4.0;

/// Places in pixels from the top.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// For each turn and row where it begins and, if it lasts, ends.
    pub(super) rows: Vec<Vec<(f64, Option<f64>)>>,
    /// For each turn where its first mark stands; each of the others is a line further down.
    pub(super) marks: Vec<f64>,
    /// Where time is broken, and the nanoseconds that are not shown in their length.
    pub(super) breaks: Vec<(f64, u64)>,
    pub(super) height: f64,
    /// Pixels of a microsecond.
    pub(super) scale: f64,
}

/// The beginning or the end of a row. A wait is where it ends.
struct Event {
    at: u64,
    /// Nanoseconds since the event before.
    gap: u64,
    turn: usize,
    row: usize,
    is_end: bool,
    is_wait: bool,
}

impl Layout {
    pub(super) fn of(story: &Story) -> Self {
        // What was before the client came is told, and not measured.
        let first = story.turns.iter().position(|turn| !turn.marks.is_empty()).unwrap_or(0);
        let events = events_of(story);
        let scale = scale_of(events.iter().filter(|event| event.turn >= first));
        let mut layout = Self {
            rows: story.turns.iter().map(|turn| vec![(0.0, None); turn.rows.len()]).collect(),
            marks: vec![0.0; story.turns.len()],
            scale: scale * 1e3,
            ..Self::default()
        };
        // The first of all has nothing before it.
        let (mut y, mut open) = (-LINE, 0_usize);
        for &Event { gap, turn, row, is_end, is_wait, .. } in &events {
            let length = if turn < first { 0.0 } else { gap as f64 * scale };
            if is_end {
                y += length.clamp(END, LONGEST);
                layout.rows[turn][row].1 = Some(y);
                open = open.saturating_sub(1);
                continue;
            }
            let longest = if open == 0 { PAUSE } else { LONGEST };
            y += if is_wait && open == 0 && y > 0.0 { PAUSE } else { length.clamp(LINE, longest) };
            if length > longest {
                layout.breaks.push((y - (longest - LINE) / 2.0, gap));
            }
            if is_wait {
                layout.marks[turn] = y;
                y += LINE * story.turns[turn].marks.len() as f64;
            }
            layout.rows[turn][row].0 = y;
            open += usize::from(!is_wait && story.turns[turn].rows[row].step.edge == Edge::Begin);
        }
        layout.finish(y, story);
        layout
    }

    /// Marks that no turn follows stand at the end, and calls that have not ended go on to the bottom.
    fn finish(&mut self, mut y: f64, story: &Story) {
        for (turn, mark) in story.turns.iter().zip(&mut self.marks) {
            if !turn.rows.iter().any(|row| row.is_wait()) {
                *mark = y + LINE;
                y += LINE * turn.marks.len() as f64;
            }
        }
        self.height = y + 2.0 * LINE;
        for (row, place) in story.rows().zip(self.rows.iter_mut().flatten()) {
            if row.step.edge == Edge::Begin && row.end.is_none() {
                place.1 = Some(self.height - LINE);
            }
        }
    }
}

/// What has a place, in the order of time.
fn events_of(story: &Story) -> Vec<Event> {
    let mut events = Vec::new();
    for (turn, told) in story.turns.iter().enumerate() {
        for (row, of) in told.rows.iter().enumerate() {
            let is_wait = of.is_wait();
            events.push(Event { at: of.at(), gap: 0, turn, row, is_end: false, is_wait });
            if let (Some(at), false) = (of.end, is_wait) {
                events.push(Event { at, gap: 0, turn, row, is_end: true, is_wait });
            }
        }
    }
    // Stable: what a process does in one nanosecond stays in its order, as ends follow their beginnings.
    events.sort_by_key(|event| event.at);
    let mut before = events.first().map_or(0, |event| event.at);
    for event in &mut events {
        event.gap = event.at - std::mem::replace(&mut before, event.at);
    }
    events
}

/// Pixels of a nanosecond: half of the steps fill their lines, and those that took longest are not too long.
fn scale_of<'a>(events: impl Iterator<Item = &'a Event>) -> f64 {
    let is_step = |event: &&Event| event.gap > 0 && (event.is_end || !event.is_wait);
    let mut sorted: Vec<u64> = events.filter(is_step).map(|event| event.gap).collect();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2) else { return 1.0 };
    // A few long ones, such as waits, are broken.
    let long = sorted[sorted.len() * 39 / 40].max(*median);
    (LINE / *median as f64).min(LONGEST / long as f64)
}
