//! The lines of the diagram: lanes, how long each call lasts, and arrows between lanes. Places across are in per cent, so
//! that the drawing is as wide as the window.

use super::lanes::Lanes;
use super::layout::{LINE, Layout};
use crate::trace::print::duration;
use crate::trace::step::Dir;
use crate::trace::story::Story;
use std::fmt::Write;

/// Pixels of a bar that shows how long a call lasts, and of the step to the side of one within it in the same lane.
const BAR: f64 = 7.0;
const ASIDE: f64 = 3.0;

/// The middle of a step's line.
pub(super) fn middle(y: f64) -> f64 {
    y + LINE / 2.0
}

pub(super) fn add(page: &mut String, story: &Story, lanes: &Lanes, layout: &Layout) {
    page.push_str("<svg class=\"lines\" width=\"100%\" height=\"100%\" aria-hidden=\"true\">\n<defs>");
    for dir in ["up", "down"] {
        let _ = write!(
            page,
            "<marker id=\"to-{dir}\" class=\"{dir}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto-start-reverse\" markerUnits=\"userSpaceOnUse\"><path d=\"M0 0L8 4L0 8z\"/>\
             </marker>"
        );
    }
    page.push_str("</defs>\n");
    for lane in 0..lanes.lanes.len() {
        let x = percent(lanes.middle(lane));
        let _ = writeln!(page, "<line class=\"lane\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"100%\"/>");
    }
    for cut in &layout.breaks {
        let _ =
            writeln!(page, "<line class=\"break\" x1=\"0\" x2=\"100%\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>", cut.y);
    }
    add_bars(page, story, lanes, layout);
    add_arrows(page, story, lanes, layout);
    page.push_str("</svg>\n");
    for cut in &layout.breaks {
        let _ = writeln!(
            page,
            "<p class=\"gap\" style=\"top:{:.1}px\">{}</p>",
            cut.y - LINE / 2.0,
            duration(cut.nanoseconds)
        );
    }
}

/// A bar in the lane that works, for as long as the call lasts.
fn add_bars(page: &mut String, story: &Story, lanes: &Lanes, layout: &Layout) {
    for (turn, told) in story.turns.iter().enumerate() {
        for (at, row) in told.rows.iter().enumerate() {
            let (begin, Some(end)) = layout.rows[turn][at] else { continue };
            let lane = lanes.arrows[turn][at].to;
            let mut within = 0;
            let mut around = row.parent;
            while let Some(parent) = around {
                within += usize::from(lanes.arrows[turn][parent].to == lane);
                around = told.rows[parent].parent;
            }
            let _ = writeln!(
                page,
                "<rect x=\"{}\" y=\"{:.1}\" width=\"{BAR}\" height=\"{:.1}\" transform=\"translate({:.1})\"/>",
                percent(lanes.middle(lane)),
                middle(begin),
                end - begin,
                within as f64 * ASIDE - BAR / 2.0,
            );
        }
    }
}

fn add_arrows(page: &mut String, story: &Story, lanes: &Lanes, layout: &Layout) {
    for (turn, told) in story.turns.iter().enumerate() {
        for (at, row) in told.rows.iter().enumerate() {
            let arrow = lanes.arrows[turn][at];
            let y = middle(layout.rows[turn][at].0);
            let (from, to) = (percent(lanes.middle(arrow.from)), percent(lanes.middle(arrow.to)));
            if arrow.from == arrow.to {
                let _ = writeln!(page, "<circle class=\"note\" cx=\"{from}\" cy=\"{y:.1}\" r=\"3.5\"/>");
            } else {
                let dir = if row.step.dir == Dir::Up || row.is_wait() { "up" } else { "down" };
                let _ = writeln!(
                    page,
                    "<line class=\"{dir}\" x1=\"{from}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\" \
                     marker-end=\"url(#to-{dir})\"/>"
                );
            }
        }
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.3}%", fraction * 100.0)
}
