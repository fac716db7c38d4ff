//! A part of a chart that says more when it is pointed at or focused: a title for the pointer and for readers of
//! the screen, and two lines at the chart's foot in place of its caption, which a keyboard reaches too. No script.

use super::canvas::{Anchor, label, pixels};
use super::markup::Markup;

/// Height of the foot in pixels: two lines.
pub(super) const FOOT: f64 = 34.0;

/// What a part says.
#[derive(Debug)]
pub(super) struct Hint {
    /// The first line: what it is and what it costs.
    pub(super) first: String,
    /// The second one: the rest.
    pub(super) second: String,
}

/// Writes a part. It may be pointed at where it draws something, and anywhere in the band `touch`: a top and a height. Its hint stands at `foot`.
pub(super) fn part(
    m: &mut Markup,
    touch: Option<(f64, f64)>,
    foot: f64,
    hint: &Hint,
    inside: impl FnOnce(&mut Markup),
) {
    let all =
        if hint.second.is_empty() { hint.first.clone() } else { format!("{}; {}", hint.first, hint.second) };
    m.element("g", &[("class", "part"), ("tabindex", "0"), ("role", "img")], |m| {
        m.words("title", &[], &all);
        if let Some((top, height)) = touch {
            ground(m, top, height, "touch");
        }
        inside(m);
        m.element("g", &[("class", "hint")], |m| {
            ground(m, foot, FOOT, "hint-ground");
            label(m, (0.0, 0.0, foot + 13.0), Anchor::Start, "hint-first", &hint.first);
            label(m, (0.0, 0.0, foot + 29.0), Anchor::Start, "hint-second", &hint.second);
        });
    });
}

/// Writes the lines that stand at the foot while nothing is pointed at.
pub(super) fn caption(m: &mut Markup, foot: f64, lines: [&str; 2]) {
    for (index, line) in lines.into_iter().enumerate() {
        label(m, (0.0, 0.0, foot + 13.0 + 16.0 * index as f64), Anchor::Start, "caption", line);
    }
}

fn ground(m: &mut Markup, top: f64, height: f64, class: &str) {
    let (top, height) = (pixels(top), pixels(height));
    m.leaf("rect", &[("x", "0"), ("width", "100%"), ("y", &top), ("height", &height), ("class", class)]);
}
