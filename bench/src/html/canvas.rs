//! A chart that is as wide as its place: places across are per cent, places down are pixels, so that the text
//! keeps its size on every screen.

use super::markup::Markup;

/// Which end of a text lies at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// What a chart is for those who don't see it.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// A name that no other chart of the page has.
    pub(super) id: &'a str,
    /// Its title.
    pub(super) title: &'a str,
    /// What it shows, in words.
    pub(super) words: &'a str,
}

/// Writes a chart of `height` pixels.
pub(super) fn chart(m: &mut Markup, about: &About<'_>, height: f64, inside: impl FnOnce(&mut Markup)) {
    let (title, words) = (format!("{}-t", about.id), format!("{}-d", about.id));
    let labelled = [
        ("class", "chart"),
        ("width", "100%"),
        ("height", &pixels(height)),
        ("role", "group"),
        ("aria-labelledby", &title),
        ("aria-describedby", &words),
    ];
    m.element("svg", &labelled, |m| {
        m.words("title", &[("id", &title)], about.title);
        m.words("desc", &[("id", &words)], about.words);
        inside(m);
    });
    m.newline();
}

/// Writes text at `x` per cent, moved by `dx` pixels.
pub(super) fn label(m: &mut Markup, at: (f64, f64, f64), anchor: Anchor, class: &str, text: &str) {
    let (x, dx, y) = at;
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let place = [
        ("x", percent(x)),
        ("dx", pixels(dx)),
        ("y", pixels(y)),
        ("text-anchor", anchor.to_owned()),
        ("class", class.to_owned()),
    ];
    m.words("text", &borrowed(&place), text);
}

/// Writes a box from `x` over `width` per cent, at `y` pixels.
pub(super) fn block(m: &mut Markup, (x, width): (f64, f64), (y, height): (f64, f64), class: &str) {
    let place = [
        ("x", percent(x)),
        ("width", percent(width)),
        ("y", pixels(y)),
        ("height", pixels(height)),
        ("class", class.to_owned()),
    ];
    m.leaf("rect", &borrowed(&place));
}

/// Writes a line between two places.
pub(super) fn line(m: &mut Markup, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
    let place = [
        ("x1", percent(x1)),
        ("y1", pixels(y1)),
        ("x2", percent(x2)),
        ("y2", pixels(y2)),
        ("class", class.to_owned()),
    ];
    m.leaf("line", &borrowed(&place));
}

/// Writes one of the page's marks (see [`super::look`]) at a place.
pub(super) fn mark(m: &mut Markup, (x, y): (f64, f64), mark: &str, class: &str) {
    let place = [
        ("href", format!("#{mark}")),
        ("x", percent(x)),
        ("y", pixels(y)),
        ("class", format!("mark {class}")),
    ];
    m.leaf("use", &borrowed(&place));
}

/// Writes a vertical axis line with its value beneath, which stays inside of the chart.
pub(super) fn tick(m: &mut Markup, x: f64, (top, bottom): (f64, f64), text: &str) {
    line(m, (x, top), (x, bottom), "grid");
    let anchor = match x {
        x if x < 6.0 => Anchor::Start,
        x if x > 92.0 => Anchor::End,
        _ => Anchor::Middle,
    };
    label(m, (x, 0.0, bottom + 13.0), anchor, "tick", text);
}

/// `43.21%`.
pub(super) fn percent(x: f64) -> String {
    format!("{}%", trimmed(x))
}

/// `12.5`.
pub(super) fn pixels(y: f64) -> String {
    trimmed(y)
}

fn trimmed(value: f64) -> String {
    let text = format!("{:.2}", if value.is_finite() { value } else { 0.0 });
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn borrowed<'a>(place: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    place.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
