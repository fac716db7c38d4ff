//! The chain as a chart: one request as a whole, and beneath it, magnified, what each layer adds to the kernel's floor.

use super::chain::{Chain, Quantity, Step};
use super::scale::{Scale, place};
use super::{axis, format, numbers};
use crate::results::{Results, Unit};
use maud::{Markup, html};

const HEADS: [&str; 5] = ["layer", "what it does", "adds", "up to here", "remark"];

pub(super) fn section(results: &Results) -> Markup {
    let few = "This run has too few steps of the chain: they come from tcp/echo-64 and http/keep-alive.";
    let uncounted = "This run did not count them: cargo xtask bench --count does.";
    html! {
        section #chain {
            h2 { "What each layer adds to one request" }
            p.lead {
                "The same echo is served over each layer; a layer’s cost is the difference to the one beneath it. Http is a \
                 keep-alive request less the echo over net."
            }
            div.cards {
                (card(&Chain::of(results, Quantity::Time), "In CPU time", few))
                (card(&Chain::of(results, Quantity::Instructions), "In instructions", uncounted))
            }
        }
    }
}

fn card(chain: &Chain, title: &str, missing: &str) -> Markup {
    let rows = chain.steps.iter().map(|step| {
        let total = step.total.map_or_else(|| format::NONE.to_owned(), |total| chain.write(total));
        let class = if step.name == "floor" { "floor" } else { "ours" };
        let cells =
            [step.name.to_owned(), step.what.to_owned(), chain.added(step), total, step.remark.to_owned()];
        (class, cells.to_vec())
    });
    html! {
        article.card {
            h3 { (title) }
            @if chain.totals().count() < 2 {
                p.empty { (missing) }
            } @else {
                (chart(chain, title))
                @for remark in remarks(chain) { p.remark { (remark) } }
                (numbers("What each layer adds", &HEADS, rows))
            }
        }
    }
}

fn chart(chain: &Chain, title: &str) -> Markup {
    let first = chain.totals().next().unwrap_or(0.0);
    let least = chain.totals().fold(f64::INFINITY, f64::min);
    let most = chain.totals().fold(0.0, f64::max);
    let margin = if least < first { (most - least) * 0.03 } else { 0.0 };
    let (whole, zoom) = (Scale::linear(0.0, most), Scale::linear(least - margin, most));
    let corners = [whole.percent(first), whole.percent(most), 100.0, zoom.percent(first)];
    let [a, b, c, d] = corners.map(|corner| format!("{corner:.2}%"));
    let tick = |value| match chain.quantity {
        Quantity::Time => format::tick(Unit::Ns, most, value),
        Quantity::Instructions => format::instructions(value),
    };
    html! {
        figure.chart role="group" aria-label={ "What each layer adds to one request: " (title) } {
            (request(chain, whole))
            div.magnifier style={ "clip-path:polygon(" (a) " 0," (b) " 0," (c) " 100%," (d) " 100%)" } {}
            div.plot {
                (axis(zoom, 4, tick))
                @for step in &chain.steps[1..] { (row(chain, step, zoom)) }
            }
            figcaption { "Above: the whole request. Below: the same, magnified; its axis does not begin at 0." }
        }
    }
}

/// The whole request as one stacked bar.
fn request(chain: &Chain, scale: Scale) -> Markup {
    let lowest = chain.steps.iter().find_map(|step| Some((step.name, step.total?)));
    let (name, base) = lowest.unwrap_or((format::NONE, 0.0));
    let last = chain.totals().next_back().unwrap_or(0.0);
    let parts = chain.steps.iter().scan(0.0, |reached, step| {
        let from = *reached;
        *reached = step.total.unwrap_or(from).max(from);
        Some((step, from, *reached))
    });
    html! {
        div.row.total {
            span.name { (if name == "floor" { "the kernel’s floor" } else { name }) " " (chain.write(base)) }
            b { "one request " (chain.write(last)) }
            div.track.whole { @for (index, (step, from, to)) in parts.enumerate().filter(|(_, (_, from, to))| to > from) {
                i.bar.shade[index % 2 == 0].(if step.name == "floor" { "floor" } else { "ours" })
                    style=(place(scale, from, to)) {}
            } }
        }
    }
}

fn row(chain: &Chain, step: &Step, zoom: Scale) -> Markup {
    let most = chain.totals().fold(0.0, f64::max);
    let share = step.adds().map(|adds| adds / most * 100.0).filter(|share| share.is_finite());
    let share = share.map(|share| format!(", {share:.1} % of the request"));
    let kernel = chain.kernel_of_http.filter(|_| step.name == "http");
    html! {
        div.row title={ (step.name) ": " (chain.added(step)) (share.unwrap_or_default()) "; " (step.what) } {
            span.name { (step.name) }
            span.soft { (step.remark) }
            b { (chain.added(step)) }
            div.track { @if let Some((total, beneath)) = step.total.zip(step.beneath) {
                i.bar.sliver.(if total < beneath { "less" } else { "ours" }) style=(place(zoom, beneath, total)) {}
                @if let Some(kernel) = kernel.filter(|kernel| beneath + kernel < total) {
                    i.bar.floor style=(place(zoom, beneath, beneath + kernel)) {}
                }
                @if step.name != "http" { i.step style=(place(zoom, total, total)) {} }
            } }
        }
    }
}

fn remarks(chain: &Chain) -> Vec<String> {
    let names = |holds: &dyn Fn(&Step) -> bool| {
        let steps = chain.steps.iter().filter(|step| holds(step));
        steps.map(|step| step.name).collect::<Vec<_>>().join(", ")
    };
    let missing = names(&|step| step.total.is_none());
    let negative = names(&|step| step.adds().is_some_and(|adds| adds < 0.0));
    let http = chain.steps.last().and_then(Step::adds);
    let mut remarks = Vec::new();
    if !missing.is_empty() {
        remarks.push(format!("Not measured: {missing}; its cost is part of the next step that was."));
    }
    if !negative.is_empty() {
        remarks.push(format!("Less than nothing, by the noise between the rounds: {negative}."));
    }
    if let (Some(kernel), Some(http)) = (chain.kernel_of_http, http) {
        remarks.push(format!(
            "Of http’s {}, {} is the kernel’s (hatched): by so much the floor of http/keep-alive is above that of \
             tcp/echo-64, as its messages are longer.",
            format::signed(http, |v| chain.write(v)),
            format::signed(kernel, |v| chain.write(v)),
        ));
    }
    remarks
}
