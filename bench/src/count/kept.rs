//! The counts that the repository keeps, in `bench/counts.txt`, and the rule that they may not grow unnoticed.

use super::tools::Tool;
use crate::Result;
use crate::results::Count;
use crate::table::line;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// What it is called in messages.
pub(crate) const NAME: &str = "bench/counts.txt";

/// The command that writes it.
pub(crate) const KEEP: &str = "cargo xtask bench --count --save-counts";

/// A count may grow by so much.
const GROWTH: f64 = 0.03;

/// What stands before the compiler.
const COMPILER: &str = "compiler: ";

/// The columns: see [`line`].
const COLUMNS: &[isize] = &[-20, -17, 13, 13, 12];

/// What stands for what was not counted.
const NONE: &str = "-";

const INTRODUCTION: &str = "\
# What one operation takes, counted by `cargo xtask bench --count --save-counts`. CI counts again, and fails when
# something takes over 3 % more than here: if that is meant, run that command and commit this file with the change.
# Another compiler makes other instructions, so with another one nothing is compared.
";

/// Counts, and what made the programs that were counted.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) compiler: String,
    counts: Vec<Count>,
}

impl Kept {
    pub(crate) fn of(compiler: String, counts: &[Count]) -> Self {
        let sorted: BTreeMap<_, _> = counts.iter().map(|count| (pair(count), count.clone())).collect();
        Self { compiler, counts: sorted.into_values().collect() }
    }

    /// What the repository keeps.
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(PATH).map_err(|error| format!("{NAME}: {error}; `{KEEP}` makes it"))?;
        Ok(Self::parse(&text)?)
    }

    /// Lets the repository keep this.
    pub(crate) fn write(&self) -> Result<()> {
        fs::write(PATH, self.text()).map_err(|error| format!("{NAME}: {error}").into())
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let (mut compiler, mut counts) = (None, Vec::new());
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix(COMPILER) {
                compiler = Some(name.trim().to_owned());
                continue;
            }
            counts
                .push(row(line).ok_or_else(|| format!("{NAME}:{}: not a row of counts: {line}", index + 1))?);
        }
        let compiler = compiler.ok_or_else(|| format!("{NAME}: no line says `{COMPILER}…`"))?;
        Ok(Self { compiler, counts })
    }

    fn text(&self) -> String {
        let [instructions, syscalls, allocations] = Tool::ALL.map(Tool::what);
        let heads = ["# benchmark", "subject", instructions, syscalls, allocations];
        let mut text = format!("{INTRODUCTION}{COMPILER}{}\n{}", self.compiler, line(COLUMNS, &heads));
        for count in &self.counts {
            let cell = |value: Option<f64>, decimals| {
                value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.decimals$}"))
            };
            let Count { name, subject, .. } = count;
            let instructions = cell(count.instructions, 0);
            let [syscalls, allocations] = [count.syscalls, count.allocations].map(|count| cell(count, 2));
            text += &line(COLUMNS, &[name, subject, &instructions, &syscalls, &allocations]);
        }
        text
    }

    /// What of `now` takes too much more than is kept, and what is not kept at all.
    pub(crate) fn judge(&self, now: &[Count]) -> Vec<String> {
        let mut complaints = Vec::new();
        for count in now {
            let (bench, subject) = pair(count);
            let Some(kept) = self.counts.iter().find(|kept| pair(kept) == pair(count)) else {
                complaints.push(format!("{bench} {subject} is not in {NAME}"));
                continue;
            };
            for tool in Tool::ALL {
                let Some((before, now)) = tool.of(kept).zip(tool.of(count)) else { continue };
                if now > before * (1.0 + GROWTH) + tool.slack() {
                    let (name, before) = (tool.what(), written(before));
                    complaints.push(format!("{bench} {subject} takes {} {name}, not {before}", written(now)));
                }
            }
        }
        complaints
    }

    /// Whether something takes so much less that keeping it is worth while: else it could grow back unnoticed.
    pub(crate) fn is_beaten(&self, now: &[Count]) -> bool {
        let is_shared = |kept: &&Count| now.iter().any(|count| pair(count) == pair(kept));
        let kept: Vec<_> = self.counts.iter().filter(is_shared).cloned().collect();
        // What is kept has grown, seen from now.
        !Self { compiler: String::new(), counts: now.to_vec() }.judge(&kept).is_empty()
    }
}

/// Who a count is of.
fn pair(count: &Count) -> (&str, &str) {
    (&count.name, &count.subject)
}

fn written(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A row: benchmark, subject, and the three counts.
fn row(line: &str) -> Option<Count> {
    let cells: Vec<_> = line.split_whitespace().collect();
    let &[name, subject, instructions, syscalls, allocations] = &cells[..] else { return None };
    let cell = |text: &str| match text {
        NONE => Some(None),
        _ => text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0).map(Some),
    };
    Some(Count {
        name: name.to_owned(),
        subject: subject.to_owned(),
        instructions: cell(instructions)?,
        syscalls: cell(syscalls)?,
        allocations: cell(allocations)?,
    })
}

/// The compiler that is in use here, and what it makes programs for.
pub(crate) fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.map_err(|error| format!("rustc -vV: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    compiler_of(&text).ok_or_else(|| format!("rustc -vV says {text:?}").into())
}

fn compiler_of(text: &str) -> Option<String> {
    let version = text.lines().next().filter(|line| line.starts_with("rustc "))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(format!("{version}, {host}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::ALL;

    fn count(name: &str, instructions: f64, syscalls: f64, allocations: Option<f64>) -> Count {
        Count {
            name: name.to_owned(),
            subject: "http".to_owned(),
            instructions: Some(instructions),
            syscalls: Some(syscalls),
            allocations,
        }
    }

    #[test]
    fn what_is_kept_is_sorted_and_read_back() {
        let counts =
            [count("http/pipelined", 1680.0, 0.19, Some(0.0)), count("http/connect", 7190.0, 9.0, None)];
        let kept = Kept::of("rustc 1.2.3 (x y), here".to_owned(), &counts);
        let text = kept.text();
        assert!(text.find("http/connect") < text.find("http/pipelined"), "{text}");
        assert_eq!(Kept::parse(&text), Ok(kept));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, named) in [
            ("compiler: x\nhttp/connect http 1 2\n", ":2:"),
            ("compiler: x\n\nhttp/connect http 1 2 many\n", ":3:"),
            ("compiler: x\nhttp/connect http 1 2 inf\n", ":2:"),
            ("http/connect http 1 2 3\n", "compiler"),
        ] {
            let error = Kept::parse(text).expect_err("a wrong file");
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn three_per_cent_more_are_let_pass_and_four_are_not() {
        let kept = Kept::of(String::new(), &[count("http/connect", 10_000.0, 10.0, Some(0.0))]);
        let judge = |now: Count| kept.judge(&[now]);
        assert_eq!(judge(count("http/connect", 10_300.0, 10.3, Some(0.01))), NOTHING);
        assert_eq!(
            judge(count("http/connect", 10_400.0, 10.0, Some(0.0))),
            ["http/connect http takes 10400 instructions, not 10000"]
        );
        assert_eq!(judge(count("http/connect", 1.0, 11.0, Some(1.0))).len(), 2);
        assert_eq!(judge(count("http/connect", 1.0, 1.0, None)), NOTHING, "what is not counted");
        assert_eq!(
            judge(count("http/down-1k", 1.0, 1.0, None)),
            ["http/down-1k http is not in bench/counts.txt"]
        );
    }

    #[test]
    fn much_less_is_worth_keeping() {
        let kept = Kept::of(String::new(), &[count("http/connect", 10_000.0, 10.0, Some(0.0))]);
        assert!(!kept.is_beaten(&[count("http/connect", 9_900.0, 10.0, Some(0.0))]));
        assert!(kept.is_beaten(&[count("http/connect", 10_000.0, 9.0, Some(0.0))]));
        assert!(!kept.is_beaten(&[]));
    }

    #[test]
    fn the_compiler_goes_by_version_and_target() {
        let said = "rustc 1.95.0 (abc 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
        assert_eq!(
            compiler_of(said).as_deref(),
            Some("rustc 1.95.0 (abc 2026-04-14), x86_64-unknown-linux-gnu")
        );
        assert_eq!(compiler_of("error: no toolchain"), None);
    }

    #[test]
    fn the_repository_keeps_all_that_is_to_be_kept_and_no_more() {
        let kept = Kept::read().expect("the file");
        let mut wanted: Vec<_> = ALL
            .iter()
            .filter(|entry| entry.is_kept())
            .flat_map(|entry| entry.ours().map(|subject| (entry.name, subject)))
            .collect();
        wanted.sort_unstable();
        assert_eq!(kept.counts.iter().map(pair).collect::<Vec<_>>(), wanted);
    }
}
