//! The lines of the diagram: lanes, how long each call lasts, and arrows between lanes. Places across are in per cent, so
//! that the drawing is as wide as the window.

use super::lanes::Lanes;
use super::layout::{LINE, Layout};
use crate::trace::print::duration;
use crate::trace::step::Dir;
use crate::trace::story::{Story, Turn};
use maud::{Markup, html};

/// Pixels of a bar that shows how long a call lasts, and of the step to the side of one within it in the same lane.
const BAR: f64 = 7.0;
const ASIDE: f64 = 3.0;

fn middle(y: f64) -> f64 {
    y + LINE / 2.0
}

pub(super) fn lines(story: &Story, lanes: &Lanes, layout: &Layout) -> Markup {
    html! {
        svg.lines width="100%" height="100%" aria-hidden="true" {
            defs { @for dir in ["up", "down"] {
                marker id={ "to-" (dir) } class=(dir) viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"
                    markerHeight="8" orient="auto-start-reverse" markerUnits="userSpaceOnUse" { path d="M0 0L8 4L0 8z" {} }
            } }
            @for x in (0..lanes.lanes.len()).map(|lane| percent(lanes.middle(lane))) {
                line.lane x1=(x) x2=(x) y1="0" y2="100%" {}
            }
            @for y in layout.breaks.iter().map(|cut| pixels(cut.y)) { line.break x1="0" x2="100%" y1=(y) y2=(y) {} }
            @for (turn, told) in story.turns.iter().enumerate() {
                @for at in 0..told.rows.len() { (bar(told, at, (turn, lanes, layout))) }
            }
            @for (turn, told) in story.turns.iter().enumerate() {
                @for at in 0..told.rows.len() { (arrow(told, at, (turn, lanes, layout))) }
            }
        }
        @for cut in &layout.breaks {
            p.gap style={ "top:" (pixels(cut.y - LINE / 2.0)) "px" } { (duration(cut.nanoseconds)) }
        }
    }
}

/// A bar in the lane that works, for as long as the call lasts.
fn bar(told: &Turn, at: usize, (turn, lanes, layout): (usize, &Lanes, &Layout)) -> Markup {
    let (begin, end) = layout.rows[turn][at];
    let lane = lanes.arrows[turn][at].to;
    let around = std::iter::successors(told.rows[at].parent, |parent| told.rows[*parent].parent);
    let within = around.filter(|parent| lanes.arrows[turn][*parent].to == lane).count();
    html! {
        @if let Some(end) = end {
            rect x=(percent(lanes.middle(lane))) y=(pixels(middle(begin))) width=(BAR) height=(pixels(end - begin))
                transform={ "translate(" (pixels(within as f64 * ASIDE - BAR / 2.0)) ")" } {}
        }
    }
}

/// An arrow from the lane that calls to the lane that is called; a point for what stays in its layer.
fn arrow(told: &Turn, at: usize, (turn, lanes, layout): (usize, &Lanes, &Layout)) -> Markup {
    let (row, arrow) = (&told.rows[at], lanes.arrows[turn][at]);
    let y = pixels(middle(layout.rows[turn][at].0));
    let [from, to] = [arrow.from, arrow.to].map(|lane| percent(lanes.middle(lane)));
    let dir = if row.step.dir == Dir::Up || row.is_wait() { "up" } else { "down" };
    html! {
        @if arrow.from == arrow.to {
            circle.note cx=(from) cy=(y) r="3.5" {}
        } @else {
            line class=(dir) x1=(from) x2=(to) y1=(y) y2=(y) marker-end={ "url(#to-" (dir) ")" } {}
        }
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.3}%", fraction * 100.0)
}

fn pixels(length: f64) -> String {
    format!("{length:.1}")
}
