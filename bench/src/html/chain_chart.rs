//! Draws the chain: one request as a whole, and beneath it, magnified, what each layer adds to the kernel's floor.

use super::canvas::{About, Anchor, block, chart, label, line, tick};
use super::chain::{Chain, Quantity, Step};
use super::format;
use super::hint::{self, FOOT, Hint};
use super::markup::Markup;
use super::scale::Scale;
use super::table;
use crate::results::Results;

const WHOLE: f64 = 22.0;
const WHOLE_HEIGHT: f64 = 22.0;
const ZOOM: f64 = 84.0;
const ROW: f64 = 38.0;

/// Writes the section.
pub(super) fn write(m: &mut Markup, results: &Results) {
    m.element("section", &[("id", "chain")], |m| {
        m.words("h2", &[], "What each layer adds to one request");
        m.words(
            "p",
            &[("class", "lead")],
            "The same echo is served over each layer; a layer’s cost is the difference to the one beneath it. \
             Http is a keep-alive request less the echo over net.",
        );
        m.element("div", &[("class", "cards")], |m| {
            panel(m, &Chain::of(results, Quantity::Time));
            panel(m, &Chain::of(results, Quantity::Instructions));
        });
    });
    m.newline();
}

fn panel(m: &mut Markup, chain: &Chain) {
    let (title, missing) = match chain.quantity {
        Quantity::Time => (
            "In CPU time",
            "This run has too few steps of the chain: they come from tcp/echo-64 and http/keep-alive.",
        ),
        Quantity::Instructions => {
            ("In instructions", "This run did not count them: cargo xtask bench --count does.")
        }
    };
    m.element("article", &[("class", "card")], |m| {
        m.words("h3", &[], title);
        if chain.totals().count() < 2 {
            m.words("p", &[("class", "empty")], missing);
            return;
        }
        draw(m, chain);
        remarks(m, chain);
        numbers(m, chain);
    });
    m.newline();
}

fn draw(m: &mut Markup, chain: &Chain) {
    let most = chain.totals().fold(0.0, f64::max);
    let least = chain.totals().fold(f64::INFINITY, f64::min);
    let first = chain.totals().next().unwrap_or(0.0);
    let margin = (most - least) * 0.03;
    let whole = Scale::linear(0.0, most);
    let zoom = Scale::linear(if least < first { least - margin } else { first }, most);
    let rows = &chain.steps[1..];
    let bottom = ZOOM + ROW * rows.len() as f64;
    let foot = bottom + 20.0;
    let (id, title) = match chain.quantity {
        Quantity::Time => ("chain-time", "What each layer adds to one request, in CPU time"),
        Quantity::Instructions => {
            ("chain-instructions", "What each layer adds to one request, in instructions")
        }
    };
    let words: Vec<String> = chain.steps.iter().map(|s| format!("{} {}", s.name, chain.added(s))).collect();
    chart(m, &About { id, title, words: &words.join("; ") }, foot + FOOT, |m| {
        request(m, chain, whole);
        for (from, to) in [(whole.percent(first), zoom.percent(first)), (whole.percent(most), 100.0)] {
            line(m, (from, WHOLE + WHOLE_HEIGHT), (to, ZOOM), "magnifier");
        }
        let unit = chain.unit(zoom.high());
        for value in zoom.ticks(4) {
            tick(m, zoom.percent(value), (ZOOM, bottom), &format!("{} {}", unit.tick(value), unit.unit()));
        }
        hint::caption(
            m,
            foot,
            ["Above: the whole request. Below: the same, magnified;", "its axis does not begin at 0."],
        );
        let mut beneath = chain.steps[0].total;
        for (index, step) in rows.iter().enumerate() {
            let top = ZOOM + ROW * index as f64;
            hint::part(m, Some((top, ROW)), foot, &hint_of(chain, step, most), |m| {
                row(m, chain, step, top);
                if let Some((total, beneath)) = step.total.zip(beneath) {
                    bar(m, chain, step, (beneath, total), zoom, top + 21.0);
                }
            });
            beneath = step.total.or(beneath);
        }
    });
}

fn hint_of(chain: &Chain, step: &Step, most: f64) -> Hint {
    let share = step.adds.map_or_else(String::new, |adds| {
        format!(", {} % of the request", format::digits(adds / most * 100.0))
    });
    Hint { first: format!("{}: {}{share}", step.name, chain.added(step)), second: step.what.to_owned() }
}

/// Writes the whole request as one stacked bar.
fn request(m: &mut Markup, chain: &Chain, scale: Scale) {
    let lowest = chain.steps.iter().find_map(|step| Some((step.name, step.total?)));
    let (name, base) = lowest.unwrap_or((format::NONE, 0.0));
    let name = if name == "floor" { "the kernel’s floor" } else { name };
    let last = chain.totals().next_back().unwrap_or(0.0);
    label(m, (0.0, 0.0, 14.0), Anchor::Start, "name", &format!("{name} {}", chain.write(base)));
    label(m, (100.0, 0.0, 14.0), Anchor::End, "value", &format!("one request {}", chain.write(last)));
    let mut reached = 0.0;
    for (index, step) in chain.steps.iter().enumerate() {
        let Some(total) = step.total.filter(|total| *total > reached) else { continue };
        let class = match step.name {
            "floor" => "bar s-floor".to_owned(),
            _ => format!("bar s-ours shade-{}", index % 2),
        };
        let (from, to) = (scale.percent(reached), scale.percent(total));
        block(m, (from, to - from), (WHOLE, WHOLE_HEIGHT), &class);
        reached = total;
    }
}

fn row(m: &mut Markup, chain: &Chain, step: &Step, top: f64) {
    let text = top + 15.0;
    label(m, (0.0, 0.0, text), Anchor::Start, "name", step.name);
    if step.noise {
        label(m, (100.0, -84.0, text), Anchor::End, "spread", "within the noise");
    }
    let class = if step.total.is_some() { "value" } else { "spread" };
    label(m, (100.0, 0.0, text), Anchor::End, class, &chain.added(step));
    block(m, (0.0, 100.0), (top + 21.0, 12.0), "track");
}

fn bar(m: &mut Markup, chain: &Chain, step: &Step, (beneath, total): (f64, f64), zoom: Scale, top: f64) {
    const HEIGHT: f64 = 12.0;
    let (from, to) = (zoom.percent(beneath), zoom.percent(total));
    let class = if total < beneath { "bar less" } else { "bar s-ours" };
    // At least a sliver, so that a cost of nearly nothing is seen.
    block(m, (from.min(to), (to - from).abs().max(0.4)), (top, HEIGHT), class);
    let kernel = chain.kernel_of_http.filter(|kernel| step.name == "http" && *kernel > 0.0);
    if let Some(kernel) = kernel.filter(|kernel| beneath + kernel < total) {
        block(m, (from, zoom.percent(beneath + kernel) - from), (top, HEIGHT), "bar s-floor");
    }
    if step.name != "http" {
        line(m, (to, top), (to, top + ROW), "step");
    }
}

fn remarks(m: &mut Markup, chain: &Chain) {
    let mut say = |text: &str| m.words("p", &[("class", "left-out")], text);
    for step in chain.steps.iter().filter(|step| step.total.is_none()) {
        say(&format!("{} was not measured: its cost is part of the next step that was.", step.name));
    }
    let costs_nothing = |step: &&Step| step.adds.is_some_and(|adds| adds < 0.0);
    let names: Vec<_> = chain.steps.iter().filter(costs_nothing).map(|step| step.name).collect();
    if !names.is_empty() {
        let verb = if names.len() == 1 { "seems" } else { "seem" };
        say(&format!("{} {verb} to cost less than nothing: noise between the rounds.", names.join(", ")));
    }
    let http = chain.steps.last().and_then(|step| step.adds);
    // Noise can put the longer messages' floor beneath the other.
    let kernel = chain.kernel_of_http.filter(|kernel| *kernel > 0.0);
    if let (Some(kernel), Some(http)) = (kernel, http) {
        say(&format!(
            "Of http’s {}, {} is the kernel’s (hatched): by so much the floor of http/keep-alive is above that of \
             tcp/echo-64, as its messages are longer.",
            format::signed(http, |v| chain.write(v)),
            format::signed(kernel, |v| chain.write(v)),
        ));
    }
}

fn numbers(m: &mut Markup, chain: &Chain) {
    m.element("details", &[], |m| {
        m.words("summary", &[], "All the numbers");
        table::scrolled(m, "What each layer adds", |m| {
            table::heads(m, &["layer", "what it does", "adds", "up to here", "remark"]);
            m.element("tbody", &[], |m| {
                for step in &chain.steps {
                    let total =
                        step.total.map_or_else(|| format::NONE.to_owned(), |total| chain.write(total));
                    let remark = match step {
                        Step { skips: true, .. } => "with the cost of the step that is missing",
                        Step { noise: true, .. } => "within the noise",
                        _ => "",
                    };
                    let look = if step.name == "floor" { "floor" } else { "ours" };
                    let cells = [step.what.to_owned(), chain.added(step), total, remark.to_owned()];
                    table::row(m, look, step.name, &cells);
                }
            });
        });
    });
}
