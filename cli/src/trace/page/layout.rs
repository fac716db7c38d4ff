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
    /// For each turn where its marks stand.
    pub(super) marks: Vec<Vec<f64>>,
    /// Where time is broken.
    pub(super) breaks: Vec<Break>,
    pub(super) height: f64,
    /// Pixels of a microsecond.
    pub(super) scale: f64,
}

/// A piece of time that is longer than shown.
#[derive(Debug, PartialEq)]
pub(super) struct Break {
    pub(super) y: f64,
    pub(super) nanoseconds: u64,
}

#[derive(Clone, Copy)]
enum Event {
    Begin { turn: usize, row: usize, wait: bool },
    End { turn: usize, row: usize },
}

impl Event {
    const fn turn(self) -> usize {
        match self {
            Self::Begin { turn, .. } | Self::End { turn, .. } => turn,
        }
    }
}

impl Layout {
    pub(super) fn of(story: &Story) -> Self {
        let events = events_of(story);
        let gaps = gaps_of(&events);
        let scale = scale_of(story, &events, &gaps);
        let mut layout = Self {
            rows: story.turns.iter().map(|turn| vec![(0.0, None); turn.rows.len()]).collect(),
            marks: story.turns.iter().map(|turn| vec![0.0; turn.marks.len()]).collect(),
            scale: scale * 1e3,
            ..Self::default()
        };
        let first = first_marked(story);
        // The first of all has nothing before it.
        let mut y = -LINE;
        let mut open = 0_usize;
        for ((_, event), gap) in events.iter().zip(&gaps) {
            // What was before the client came is told, and not measured.
            let length = if event.turn() < first { 0.0 } else { *gap as f64 * scale };
            match *event {
                Event::Begin { turn, row, wait } => {
                    let longest = if open == 0 { PAUSE } else { LONGEST };
                    let is_pause = wait && open == 0 && y > 0.0;
                    y += if is_pause { PAUSE } else { length.clamp(LINE, longest) };
                    if length > longest {
                        layout.breaks.push(Break { y: y - (longest - LINE) / 2.0, nanoseconds: *gap });
                    }
                    if wait {
                        for place in &mut layout.marks[turn] {
                            *place = y;
                            y += LINE;
                        }
                    }
                    layout.rows[turn][row].0 = y;
                    open += usize::from(!wait && story.turns[turn].rows[row].step.edge == Edge::Begin);
                }
                Event::End { turn, row } => {
                    y += length.clamp(END, LONGEST);
                    layout.rows[turn][row].1 = Some(y);
                    open = open.saturating_sub(1);
                }
            }
        }
        layout.place_last_marks(y, story);
        layout.end_what_goes_on(story);
        layout
    }

    /// Marks that no turn follows stand at the end.
    fn place_last_marks(&mut self, mut y: f64, story: &Story) {
        for (turn, places) in story.turns.iter().zip(&mut self.marks) {
            for place in places.iter_mut().filter(|_| !turn.rows.iter().any(|row| row.is_wait())) {
                y += LINE;
                *place = y;
            }
        }
        self.height = y + 2.0 * LINE;
    }

    /// Calls that have not ended go on to the bottom.
    fn end_what_goes_on(&mut self, story: &Story) {
        for (turn, places) in story.turns.iter().zip(&mut self.rows) {
            for (row, place) in turn.rows.iter().zip(places) {
                if row.step.edge == Edge::Begin && row.end.is_none() {
                    place.1 = Some(self.height - LINE);
                }
            }
        }
    }
}

/// What has a place, in the order of time. A wait is where it ends.
fn events_of(story: &Story) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    for (turn, told) in story.turns.iter().enumerate() {
        for (index, row) in told.rows.iter().enumerate() {
            let wait = row.is_wait();
            let at = row.end.filter(|_| wait).unwrap_or(row.step.at);
            events.push((at, Event::Begin { turn, row: index, wait }));
            if let (Some(end), false) = (row.end, wait) {
                events.push((end, Event::End { turn, row: index }));
            }
        }
    }
    // Stable: what a process does in one nanosecond stays in its order, as ends follow their beginnings.
    events.sort_by_key(|(at, _)| *at);
    events
}

fn gaps_of(events: &[(u64, Event)]) -> Vec<u64> {
    let first = events.first().map(|(at, _)| *at);
    let before = first.into_iter().chain(events.iter().map(|(at, _)| *at));
    events.iter().zip(before).map(|((at, _), before)| at - before).collect()
}

/// The first turn after something that the client did.
fn first_marked(story: &Story) -> usize {
    story.turns.iter().position(|turn| !turn.marks.is_empty()).unwrap_or(0)
}

/// Pixels of a nanosecond: half of the steps fill their lines, and those that took longest are not too long.
fn scale_of(story: &Story, events: &[(u64, Event)], gaps: &[u64]) -> f64 {
    let first = first_marked(story);
    let counts = |event: &Event| event.turn() >= first && !matches!(event, Event::Begin { wait: true, .. });
    let gaps = events.iter().zip(gaps).filter(|((_, event), gap)| counts(event) && **gap > 0);
    let mut sorted: Vec<u64> = gaps.map(|(_, gap)| *gap).collect();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2) else { return 1.0 };
    // A few long ones, such as waits, are broken.
    let long = sorted[sorted.len() * 39 / 40].max(*median);
    (LINE / *median as f64).min(LONGEST / long as f64)
}
