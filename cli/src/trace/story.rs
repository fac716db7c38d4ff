//! From steps to what a reader follows: calls within calls, in the turns of the loops that made them.
//!
//! A turn begins when the kernel says that something is ready (`epoll_wait(2)` returns) and lasts until the loop waits
//! again. Steps of several processes are told turn by turn, in the order of the clock that they share.

use super::step::{Edge, Step};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    /// The turns, by the time at which they begin.
    pub(crate) turns: Vec<Turn>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whose: `primary` or `worker 1`; empty if there is only one process.
    pub(crate) process: String,
    /// When it began: when something was ready.
    pub(crate) at: u64,
    /// What others did since the last turn: the client.
    pub(crate) marks: Vec<Mark>,
    pub(crate) rows: Vec<Row>,
}

/// What the client did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: u64,
    pub(crate) what: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its beginning, with the facts of its end as well.
    pub(crate) step: Step,
    /// How many calls it is within.
    pub(crate) depth: usize,
    /// The innermost of those, as an index into the turn.
    pub(crate) parent: Option<usize>,
    /// When it ended; `None` if it is a moment, or goes on.
    pub(crate) end: Option<u64>,
}

impl Story {
    /// Puts the steps of one process into turns.
    #[must_use]
    pub(crate) fn of(process: &str, steps: &[Step]) -> Self {
        let mut telling = Telling { process: process.to_owned(), turns: Vec::new(), open: Vec::new() };
        for step in steps {
            telling.take(step);
        }
        let mut turns = telling.turns;
        turns.retain(|turn| turn.rows.len() > 1 || turn.rows.iter().any(|row| !row.is_wait()));
        Self { turns }
    }

    /// Tells several stories as one.
    #[must_use]
    pub(crate) fn together(stories: impl IntoIterator<Item = Self>) -> Self {
        let mut turns: Vec<Turn> = stories.into_iter().flat_map(|story| story.turns).collect();
        turns.sort_by_key(|turn| turn.at);
        Self { turns }
    }

    /// Adds what others did, each before the first turn that begins after it.
    #[must_use]
    pub(crate) fn with_marks(mut self, marks: impl IntoIterator<Item = Mark>) -> Self {
        let mut marks: Vec<Mark> = marks.into_iter().collect();
        marks.sort_by_key(|mark| mark.at);
        for mark in marks {
            let is_later = |turn: &&mut Turn| turn.at >= mark.at && turn.rows.iter().any(Row::is_wait);
            let later = self.turns.iter_mut().find(is_later);
            if let Some(turn) = later {
                turn.marks.push(mark);
            } else {
                self.turns.push(Turn { at: mark.at, marks: vec![mark], ..Turn::default() });
            }
        }
        self
    }

    /// Leaves out what was before the first mark, but for the calls of `layer`.
    #[must_use]
    pub(crate) fn since_first_mark(mut self, layer: &str) -> Self {
        let start = self.turns.iter().position(|turn| !turn.marks.is_empty()).unwrap_or(0);
        for turn in &mut self.turns[..start] {
            turn.keep(|row| row.step.layer == layer);
        }
        self.turns.retain(|turn| !turn.rows.is_empty() || !turn.marks.is_empty());
        self
    }

    /// Leaves out what is not about this handle, and turns of which the beginning is missing.
    #[must_use]
    pub(crate) fn about(mut self, handle: u64) -> Self {
        for turn in &mut self.turns {
            let root = |at: usize| turn.parents(at).last().unwrap_or(at);
            let is_about = |at: &usize| turn.rows[*at].step.facts.handle == Some(handle);
            let roots: BTreeSet<usize> = (0..turn.rows.len()).filter(is_about).map(root).collect();
            let wanted: Vec<bool> = (0..turn.rows.len()).map(|at| roots.contains(&root(at))).collect();
            let mut wanted = wanted.into_iter();
            turn.keep(|row| wanted.next().unwrap_or_default() || row.is_wait());
        }
        self.turns.retain(|turn| turn.rows.len() > 1 && turn.rows[0].is_wait());
        self
    }

    /// Leaves out the turns that began after `at`.
    #[must_use]
    pub(crate) fn until(mut self, at: u64) -> Self {
        self.turns.retain(|turn| turn.at <= at);
        self
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.turns.iter().flat_map(|turn| &turn.rows)
    }
}

struct Telling {
    process: String,
    turns: Vec<Turn>,
    /// The calls of the last turn that have not ended, the outermost first.
    open: Vec<usize>,
}

impl Telling {
    fn take(&mut self, step: &Step) {
        match step.edge {
            Edge::Begin => self.begin(step, true),
            Edge::Once => self.begin(step, false),
            Edge::End => self.end(step),
        }
    }

    fn begin(&mut self, step: &Step, lasts: bool) {
        // A loop that waits has ended its turn.
        let waits = step.call == "epoll_wait(2)" && self.open.is_empty();
        if self.turns.is_empty() || waits {
            self.turns.push(Turn { process: self.process.clone(), at: step.at, ..Turn::default() });
        }
        let Some(turn) = self.turns.last_mut() else { return };
        let row =
            Row { step: step.clone(), depth: self.open.len(), parent: self.open.last().copied(), end: None };
        turn.rows.push(row);
        if lasts {
            self.open.push(turn.rows.len() - 1);
        }
    }

    fn end(&mut self, step: &Step) {
        let Some(turn) = self.turns.last_mut() else { return };
        // One whose beginning was not kept has no row.
        let found = self.open.iter().rposition(|at| turn.rows[*at].step.call == step.call);
        let Some(found) = found else { return };
        let row = &mut turn.rows[self.open[found]];
        row.end = Some(step.at);
        row.step.facts.extend(&step.facts);
        if row.is_wait() {
            turn.at = step.at;
        }
        self.open.truncate(found);
    }
}

impl Row {
    #[must_use]
    pub(crate) fn is_wait(&self) -> bool {
        self.step.call == "epoll_wait(2)"
    }

    /// How long it took, in nanoseconds.
    #[must_use]
    pub(crate) fn took(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.step.at))
    }

    /// When it happens; of a wait, when it is over: what the kernel found is known then.
    #[must_use]
    pub(crate) fn at(&self) -> u64 {
        self.end.filter(|_| self.is_wait()).unwrap_or(self.step.at)
    }
}

impl Turn {
    /// The rows around a row, the innermost first.
    pub(crate) fn parents(&self, at: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.rows[at].parent, |at| self.rows[*at].parent)
    }

    /// Leaves out the calls that are not wanted; what is within them stays.
    fn keep(&mut self, mut wanted: impl FnMut(&Row) -> bool) {
        let rows = std::mem::take(&mut self.rows);
        // Where each row went, or the one around it that is still there.
        let mut places: Vec<Option<usize>> = Vec::with_capacity(rows.len());
        for mut row in rows {
            row.parent = row.parent.and_then(|parent| places[parent]);
            row.depth = row.parent.map_or(0, |parent| self.rows[parent].depth + 1);
            if wanted(&row) {
                places.push(Some(self.rows.len()));
                self.rows.push(row);
            } else {
                places.push(row.parent);
            }
        }
    }

    /// Nanoseconds from the turn's beginning; negative for what was before.
    #[must_use]
    pub(crate) fn since(&self, at: u64) -> i64 {
        let distance = |to: u64, from: u64| i64::try_from(to - from).unwrap_or(i64::MAX);
        if at >= self.at { distance(at, self.at) } else { -distance(self.at, at) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Story};
    use crate::trace::step::{Edge, Facts, Step};

    fn step(at: u64, edge: Edge, call: &str, handle: Option<u64>) -> Step {
        Step {
            at,
            edge,
            call: call.to_owned(),
            facts: Facts { handle, ..Facts::default() },
            ..Step::default()
        }
    }

    /// Two turns: the first is about handle 1 and has a call that never ends, as after a panic; the second about 2.
    fn steps() -> Vec<Step> {
        vec![
            step(10, Edge::Begin, "epoll_wait(2)", None),
            step(20, Edge::End, "epoll_wait(2)", None),
            step(21, Edge::Begin, "A::turn", Some(1)),
            step(22, Edge::Begin, "A::lost", None),
            step(23, Edge::Once, "A::note", None),
            step(24, Edge::End, "A::turn", None),
            step(25, Edge::Begin, "epoll_wait(2)", None),
            step(30, Edge::End, "epoll_wait(2)", None),
            step(31, Edge::Begin, "B::turn", Some(2)),
            step(32, Edge::End, "B::turn", None),
            step(33, Edge::End, "B::unknown", None),
        ]
    }

    fn calls(story: &Story) -> Vec<(usize, &str)> {
        story.rows().map(|row| (row.depth, row.step.call.as_str())).collect()
    }

    #[test]
    fn a_turn_begins_when_something_is_ready_and_calls_nest_in_it() {
        let story = Story::of("", &steps());
        let nested = [(0, "epoll_wait(2)"), (0, "A::turn"), (1, "A::lost"), (2, "A::note")];
        assert_eq!(calls(&story), [&nested[..], &[(0, "epoll_wait(2)"), (0, "B::turn")]].concat());
        assert_eq!(story.turns.iter().map(|turn| turn.at).collect::<Vec<_>>(), [20, 30]);
        assert_eq!(story.turns[0].rows[1].took(), Some(3));
        assert_eq!(story.turns[0].rows[2].took(), None, "it never ended");
    }

    #[test]
    fn a_mark_stands_before_the_turn_that_follows_it() {
        let marks = [40, 25].map(|at| Mark { at, what: at.to_string() });
        let story = Story::of("", &steps()).with_marks(marks);
        let marks: Vec<Vec<u64>> =
            story.turns.iter().map(|turn| turn.marks.iter().map(|mark| mark.at).collect()).collect();
        assert_eq!(marks, [vec![], vec![25], vec![40]]);
        assert_eq!(calls(&story.since_first_mark("cluster")), [(0, "epoll_wait(2)"), (0, "B::turn")]);
    }

    #[test]
    fn what_is_about_a_handle_is_its_turn_and_what_is_within() {
        assert_eq!(calls(&Story::of("", &steps()).about(2)), [(0, "epoll_wait(2)"), (0, "B::turn")]);
        let story = Story::of("", &steps()).about(1);
        assert_eq!(calls(&story), [(0, "epoll_wait(2)"), (0, "A::turn"), (1, "A::lost"), (2, "A::note")]);
        assert_eq!(Story::of("", &steps()).until(20).turns.len(), 1);
    }
}
