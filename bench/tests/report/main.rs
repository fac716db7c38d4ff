//! The report's page holds everything, whatever the values are.

mod browser;
mod tables;

use bench::report::page;
use bench::results::{Figure, LeftOut, Results, Role, Unit};
use std::collections::BTreeSet;

/// What a run of all groups has written, with the costs of the best-known servers and a little noise.
fn results() -> Results {
    serde_json::from_str(include_str!("results.json")).expect("what a run writes can be read")
}

const ODD: [f64; 11] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    -3.0,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    1e-9,
    1.0,
];

const MARKUP: &str = "<script>alert('x')</script>\"&amp; ]]>--><svg \u{0}\u{7f}";

/// The page, in which every number of a style is one and no place is outside of its chart, each id stands once, and what
/// refers to a place finds it. That elements end and text is escaped is maud's part.
fn checked(results: &Results) -> String {
    let page = page(results);
    for style in values(&page, "style") {
        for number in style.split([':', ';', ' ', ',', '(', ')']).filter_map(|word| word.strip_suffix('%')) {
            let number: Result<f64, _> = number.parse();
            assert!(number.is_ok_and(|number| (0.0..=100.0).contains(&number)), "{style}");
        }
        assert!(!style.contains("NaN") && !style.contains("inf"), "{style}");
    }
    let mut ids = BTreeSet::new();
    for id in values(&page, "id") {
        assert!(ids.insert(id), "the id {id} stands twice");
    }
    for place in values(&page, "href").into_iter().filter_map(|place| place.strip_prefix('#')) {
        assert!(ids.contains(place), "nothing has the id {place}");
    }
    page
}

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    between(page, &format!(" {attribute}=\""), '"')
}

/// What stands between a text and the next such character.
fn between<'a>(page: &'a str, begin: &str, end: char) -> Vec<&'a str> {
    page.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

fn every_figure(results: &mut Results, mut change: impl FnMut(&mut Figure)) {
    for subject in results.benches.iter_mut().flat_map(|bench| &mut bench.subjects) {
        change(&mut subject.cost);
        subject.ratio.iter_mut().for_each(&mut change);
    }
}

#[test]
fn the_same_results_make_the_same_page() {
    assert_eq!(page(&results()), page(&results()));
}

#[test]
fn every_benchmark_subject_and_left_out_peer_appears() {
    let results = results();
    let page = checked(&results);
    for bench in &results.benches {
        let start = page.find(&format!("<h3><code>{}</code></h3>", bench.name)).expect("its heading");
        let card = &page[start..start + page[start..].find("</article>").expect("its end")];
        for subject in &bench.subjects {
            assert!(
                card.contains(&format!("class=\"name\">{}<", subject.name)),
                "{} in {}",
                subject.name,
                bench.name
            );
            assert!(card.contains(&format!("<th scope=\"row\">{}</th>", subject.name)));
        }
        for out in &bench.left_out {
            assert!(card.contains(&format!("<b>{}</b> ({})", out.name, out.reason)));
        }
    }
}

#[test]
fn the_head_says_what_was_measured_where() {
    let page = checked(&results());
    for fact in ["4f2c9b7e61d0, with changes", "AMD EPYC 9B14, 2 cores, 7.8 GiB", "Linux 6.8.0", "2 min 44 s"]
    {
        assert!(page.contains(fact), "{fact}");
    }
    for fact in
        ["cargo xtask bench --quick", "libuv 1.51.0 · node 26.1.0", "2026-11-21T11:30:44Z", "Little time"]
    {
        assert!(page.contains(fact), "{fact}");
    }
}

#[test]
fn targets_are_met_missed_or_not_measured() {
    let mut results = results();
    assert!(checked(&results).contains("6 met, 1 missed."));
    for bench in &mut results.benches {
        bench.subjects.retain(|subject| bench.name != "http/idle" || subject.role != Role::Ours);
    }
    assert!(checked(&results).contains("5 met, 1 missed, 1 not measured."));
    results.benches.iter_mut().for_each(|bench| bench.target = None);
    assert!(checked(&results).contains("No benchmark with a target"));
}

#[test]
fn the_chain_is_the_difference_between_neighbours() {
    let page = checked(&results());
    // net 5.62 µs less async-wrap 5.53 µs; 802 less 541 instructions.
    assert!(page.contains("net: +86.7 ns"));
    assert!(page.contains("net: +261 instr."));
    assert!(page.contains("Of http’s +344 ns, +282 ns is the kernel’s"));
}

#[test]
fn a_negative_step_is_said_to_be_noise_and_a_missing_one_to_be_missing() {
    let mut results = results();
    let echo = results.benches.iter_mut().find(|bench| bench.name == "tcp/echo-64").expect("in the fixture");
    echo.subjects.retain(|subject| subject.name != "async-wrap");
    let net = echo.subjects.iter_mut().find(|subject| subject.name == "net").expect("in the fixture");
    net.cost.median = 5_400.0;
    results.counts.clear();
    let page = checked(&results);
    assert!(page.contains("Not measured: async-wrap; its cost is part of the next step that was."));
    assert!(page.contains("Less than nothing, by the noise between the rounds: net."));
    assert!(page.contains("This run did not count them"));
}

#[test]
fn empty_results_make_a_page() {
    checked(&Results::default());
    let mut results = results();
    results.benches.iter_mut().for_each(|bench| bench.subjects.clear());
    assert!(checked(&results).contains("Nothing was measured."));
}

#[test]
fn odd_values_never_break_the_page() {
    for (a, b) in ODD.into_iter().flat_map(|a| [f64::NAN, f64::INFINITY, 0.0, f64::MAX].map(|b| (a, b))) {
        let mut results = results();
        let mut odd = [a, b, 5.0, b, 7.0, a].into_iter().cycle();
        let mut next = || odd.next().expect("a cycle");
        every_figure(&mut results, |figure| {
            *figure =
                Figure { median: next(), least: next(), greatest: next(), margin: None, samples: vec![a, b] };
        });
        results.seconds = a;
        results.counts.iter_mut().for_each(|count| count.instructions = Some(b));
        for bench in &mut results.benches {
            bench.target = bench.target.map(|_| b);
            for latency in bench.subjects.iter_mut().filter_map(|subject| subject.latency.as_mut()) {
                latency.p99_us = a;
                latency.curve.iter_mut().step_by(3).for_each(|point| point.1 = a);
                latency.curve.iter_mut().skip(1).step_by(5).for_each(|point| *point = (b, a));
            }
        }
        let page = checked(&results);
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{a} {b}");
    }
}

#[test]
fn no_subject_or_no_floor_or_only_the_floor_is_no_trouble() {
    for role in [Role::Floor, Role::Ours, Role::Peer] {
        for keep in [true, false] {
            let mut results = results();
            results.benches.iter_mut().for_each(|b| b.subjects.retain(|s| (s.role == role) == keep));
            checked(&results);
            results
                .benches
                .iter_mut()
                .flat_map(|b| &mut b.subjects)
                .for_each(|s| (s.ratio, s.latency) = (None, None));
            checked(&results);
        }
    }
}

#[test]
fn markup_in_names_is_text() {
    let mut results = results();
    let odd = || MARKUP.to_owned();
    results.commit = odd();
    results.machine.cpu = odd();
    results.versions.insert(odd(), odd());
    (results.date, results.arguments, results.notes) = (odd(), vec![odd()], vec![odd()]);
    for bench in &mut results.benches {
        (bench.group, bench.title, bench.op, bench.unit) = (odd(), odd(), odd(), Unit::Bytes);
        bench.left_out.push(LeftOut { name: odd(), reason: odd() });
        bench.subjects.iter_mut().for_each(|subject| subject.name = format!("{MARKUP}{}", subject.name));
    }
    results.counts.iter_mut().for_each(|count| count.name = odd());
    let page = checked(&results);
    assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;&quot;&amp;amp; ]]&gt;--&gt;&lt;svg"));
    assert!(!page.contains("<script") && !page.contains("]]>") && !page.contains("--><"));
}

#[test]
fn failed_operations_are_seen() {
    let mut results = results();
    results.benches[0].subjects[1].errors = 12;
    assert!(checked(&results).contains("12 operations of uv-core failed"));
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    // The name of SVG is no place that is visited.
    let page = checked(&results()).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http://", "https://", "@import", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    let is_word = |text: &&str| text.chars().all(|letter| letter.is_ascii_lowercase());
    assert!(!page.contains("<script") && !between(&page, " on", '=').iter().any(is_word));
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn charts_and_tables_can_be_read_without_seeing_them() {
    let page = checked(&results());
    let figures = between(&page, "<figure", '>');
    assert!(figures.len() > 20 && figures.iter().all(|figure| figure.contains("aria-label=\"")));
    assert!(between(&page, "<th ", '>').iter().all(|head| head.contains("scope=\"")));
    assert_eq!(page.matches("<h1>").count(), 1);
}

#[test]
fn curves_have_the_colours_of_the_page() {
    let page = checked(&results());
    let curves: String = page.split("<svg").skip(1).filter_map(|rest| rest.split("</svg>").next()).collect();
    assert!(curves.contains("stroke=\"var(--ours)\"") && curves.contains("fill=\"var(--soft)\""));
    assert!(!curves.contains("\"#"), "a colour that has no dark form");
    for name in ["http", "hyper", "nginx", "99.99 %", "500 µs"] {
        assert!(curves.contains(&format!("\n{name}\n")), "{name}");
    }
}
