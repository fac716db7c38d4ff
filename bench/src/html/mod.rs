//! The report: one page of HTML that holds its style and its charts, needs no script and no network, and reads the
//! same for the same results.

mod bars;
mod canvas;
mod chain;
mod chain_chart;
mod counts;
mod format;
mod groups;
mod head;
mod hint;
mod latency;
mod look;
mod markup;
mod overview;
mod scale;
mod table;
mod targets;
#[cfg(test)]
mod tests;

use super::results::Results;
use groups::Group;
use markup::Markup;

/// What a browser may load: the page's own style, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page of a run.
pub(crate) fn page(results: &Results) -> String {
    let mut m = Markup::default();
    m.verbatim("<!DOCTYPE html>\n");
    m.element("html", &[("lang", "en")], |m| {
        m.element("head", &[], |m| head_of_document(m, results));
        m.newline();
        m.element("body", &[], |m| {
            look::definitions(m);
            m.element("main", &[], |m| body(m, results));
        });
    });
    m.newline();
    m.finish()
}

fn head_of_document(m: &mut Markup, results: &Results) {
    m.void("meta", &[("charset", "utf-8")]);
    m.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
    m.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
    m.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
    m.void("link", &[("rel", "icon"), ("href", "data:,")]);
    m.words("title", &[], &format!("Upcall bench {}", results.date));
    m.element("style", &[], |m| m.verbatim(include_str!("style.css")));
}

fn body(m: &mut Markup, results: &Results) {
    let groups = groups::groups(results);
    head::write(m, results);
    contents(m, results, &groups);
    targets::write(m, results);
    overview::write(m, &groups);
    chain_chart::write(m, results);
    latency::write(m, results);
    groups::write(m, &groups);
    counts::write(m, results);
}

fn contents(m: &mut Markup, results: &Results, groups: &[Group<'_>]) {
    m.element("nav", &[("aria-label", "Contents")], |m| {
        let mut link = |to: &str, text: &str| {
            m.words("a", &[("href", &format!("#{to}"))], text);
            m.newline();
        };
        link("targets", "Targets");
        link("chain", "The chain");
        for (index, group) in groups.iter().enumerate() {
            link(&groups::anchor(index), group.title);
        }
        if !results.counts.is_empty() {
            link("counts", "Counts");
        }
    });
    m.newline();
}
