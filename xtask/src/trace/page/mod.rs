//! A story as a page: a sequence diagram with a lane for each layer. One file, without anything from elsewhere, and
//! legible without JavaScript.

mod drawing;
mod escape;
mod lanes;
mod layout;
mod steps;

use super::print::duration;
use super::story::Story;
use crate::sources::Index;
use escape::escaped;
use lanes::Lanes;
use layout::Layout;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Arrow keys go from step to step; everything else works without.
const KEYS: &str = include_str!("keys.js");

/// The words around a diagram.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    /// The heading.
    pub title: &'a str,
    /// What is shown, and what is not.
    pub lead: &'a str,
}

/// The part of a page that is known before anything happened: sent first, it is on its way while the rest happens.
#[must_use]
pub fn beginning(words: &Words<'_>) -> String {
    let (title, lead) = (escaped(words.title), escaped(words.lead));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"kicker\">Upcall \u{b7} the chain</p>\n<h1>{title}</h1>\n<p class=\"lead\">{lead}</p>\n"
    )
}

/// The rest of the page.
#[must_use]
pub fn ending(story: &Story, index: &Index) -> String {
    let (lanes, layout) = (Lanes::of(story), Layout::of(story));
    let mut page = String::new();
    add_legend(&mut page, story, &layout);
    let count = lanes.lanes.len();
    let many = if count > 8 { " many" } else { "" };
    let _ = writeln!(page, "<div class=\"chart{many}\" style=\"--count:{count}\">");
    steps::add_heads(&mut page, &lanes);
    let _ = writeln!(page, "<div class=\"body\" style=\"height:{:.0}px\">", layout.height);
    drawing::add(&mut page, story, &lanes, &layout);
    steps::add(&mut page, story, &lanes, &layout, index);
    page.push_str("</div>\n</div>\n");
    page.push_str(
        "<p class=\"hint\">Point at a step, or go through them with Tab or the arrow keys: \
         its documentation and its source are shown here.</p>\n",
    );
    let _ = write!(page, "</main>\n<script>\n{KEYS}</script>\n</body>\n</html>\n");
    page
}

/// The whole page.
#[must_use]
pub fn html(words: &Words<'_>, story: &Story, index: &Index) -> String {
    beginning(words) + &ending(story, index)
}

fn add_legend(page: &mut String, story: &Story, layout: &Layout) {
    let kernel = story.rows().filter(|row| row.step.is_kernel() && !row.is_wait());
    let (calls, spent) =
        kernel.fold((0, 0), |(calls, spent), row| (calls + 1, spent + row.took().unwrap_or(0)));
    let unit = unit_of(layout.scale);
    let _ = writeln!(
        page,
        "<ul class=\"legend\">\n<li class=\"up\"><svg width=\"30\" height=\"10\" aria-hidden=\"true\"><path \
         d=\"M0 5H24M19 1l6 4-6 4\"/></svg> upcall</li>\n<li class=\"down\"><svg width=\"30\" height=\"10\" \
         aria-hidden=\"true\"><path d=\"M30 5H6M11 1L5 5l6 4\"/></svg> downcall</li>\n<li class=\"note\"><svg width=\"12\" \
         height=\"10\" aria-hidden=\"true\"><circle cx=\"6\" cy=\"5\" r=\"4\"/></svg> within a layer</li>\n<li><i \
         class=\"scale\" style=\"width:{:.0}px\"></i> {}, but at least a line for each step</li>\n<li>{calls} system \
         calls, in the kernel for {}</li>\n</ul>",
        unit as f64 / 1e3 * layout.scale,
        duration(unit),
        duration(spent),
    );
}

/// A round time of a legible length.
fn unit_of(pixels_of_microsecond: f64) -> u64 {
    let fits = |unit: &u64| (*unit as f64) / 1e3 * pixels_of_microsecond >= 24.0;
    [100, 1_000, 10_000, 100_000, 1_000_000].into_iter().find(fits).unwrap_or(10_000_000)
}
