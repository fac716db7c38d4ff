//! What `--count` counted, as a table.

use super::format;
use super::markup::Markup;
use super::table;
use crate::results::Results;

/// Few of something may be a part, as where one call serves several operations.
fn write_count(count: f64) -> String {
    if count.abs() >= 100.0 { format::grouped(count) } else { format::digits(count) }
}

/// Writes the section, if something was counted.
pub(super) fn write(m: &mut Markup, results: &Results) {
    if results.counts.is_empty() {
        return;
    }
    m.element("section", &[("id", "counts")], |m| {
        m.words("h2", &[], "Counted, per operation");
        m.words(
            "p",
            &[("class", "lead")],
            "Instructions under callgrind, system calls by strace, allocations by a counting allocator: \
             these repeat to within 1 %, however busy the machine is.",
        );
        table::scrolled(m, "Counted, per operation", |m| {
            table::heads(m, &["benchmark", "subject", "instructions", "system calls", "allocations"]);
            m.element("tbody", &[], |m| {
                for count in &results.counts {
                    let write = |n: Option<f64>| n.map_or_else(|| format::NONE.to_owned(), write_count);
                    let cells = [count.instructions, count.syscalls, count.allocations].map(write);
                    let mut row = vec![count.subject.clone()];
                    row.extend(cells);
                    table::row(m, "", &count.name, &row);
                }
            });
        });
    });
    m.newline();
}
