//! A story as a page: a sequence diagram with a lane for each layer. One file, without anything from elsewhere, and
//! legible without JavaScript.

mod lanes;
mod layout;
mod steps;

use super::print::duration;
use super::story::Story;
use crate::sources::Index;
use layout::Layout;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// Arrow keys go from step to step; everything else works without.
const KEYS: &str = include_str!("keys.js");

/// Where the diagram stands in a page: no text has this, as it is escaped.
const DIAGRAM: &str = "<!-- diagram -->";

#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    /// What is shown, and what is not.
    pub(crate) lead: &'a str,
}

/// What is around the diagram of a page: its beginning and its end.
fn frame(words: &Words<'_>) -> (String, String) {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (words.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    p.kicker { "Upcall · the chain" }
                    h1 { (words.title) }
                    p.lead { (words.lead) }
                    (PreEscaped(DIAGRAM))
                    p.hint {
                        "Point at a step, or go through them with Tab or the arrow keys: its documentation and its source \
                         are shown here."
                    }
                }
                script { (PreEscaped(KEYS)) }
            }
        }
    };
    let page = page.into_string();
    let (beginning, end) = page.split_once(DIAGRAM).unwrap_or_default();
    (beginning.to_owned(), end.to_owned())
}

/// The part of a page that is known before anything happened: sent first, it is on its way while the rest happens.
#[must_use]
pub(crate) fn beginning(words: &Words<'_>) -> String {
    frame(words).0
}

#[must_use]
pub(crate) fn ending(story: &Story, index: &Index) -> String {
    let layout = Layout::of(story);
    let diagram = html! { (legend(story, &layout)) (steps::chart(story, &layout, index)) };
    diagram.into_string() + &frame(&Words { title: "", lead: "" }).1
}

#[must_use]
pub(crate) fn html(words: &Words<'_>, story: &Story, index: &Index) -> String {
    beginning(words) + &ending(story, index)
}

fn legend(story: &Story, layout: &Layout) -> Markup {
    let kernel = story.rows().filter(|row| row.step.is_kernel() && !row.is_wait());
    let (calls, spent) =
        kernel.fold((0, 0), |(calls, spent), row| (calls + 1, spent + row.took().unwrap_or(0)));
    let unit = unit_of(layout.scale);
    let width = format!("width:{:.0}px", unit as f64 / 1e3 * layout.scale);
    html! {
        ul.legend {
            li.up { svg width="30" height="10" aria-hidden="true" { path d="M0 5H24M19 1l6 4-6 4" {} } " upcall" }
            li.down { svg width="30" height="10" aria-hidden="true" { path d="M30 5H6M11 1L5 5l6 4" {} } " downcall" }
            li.note { svg width="12" height="10" aria-hidden="true" { circle cx="6" cy="5" r="4" {} } " within a layer" }
            li { i.scale style=(width) {} " " (duration(unit)) ", but at least a line for each step" }
            li { (calls) " system calls, in the kernel for " (duration(spent)) }
        }
    }
}

/// A round time of a legible length.
fn unit_of(pixels_of_microsecond: f64) -> u64 {
    let fits = |unit: &u64| (*unit as f64) / 1e3 * pixels_of_microsecond >= 24.0;
    [100, 1_000, 10_000, 100_000, 1_000_000].into_iter().find(fits).unwrap_or(10_000_000)
}
