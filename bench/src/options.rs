//! The command line of `bench`.

use super::catalogue;
use super::compare::SAME;
use crate::Result;
use lexopt::prelude::{Long, Short, Value};
use std::path::PathBuf;
use std::time::Duration;

/// What `cargo xtask bench --help` prints.
pub(crate) const USAGE: &str = "\
cargo xtask bench [WHAT…]

Measures the layers beside their floor (the bare system calls, by hand) and their peers (libuv, tokio,
hyper, node, nginx, as far as they can be had). WHAT is a benchmark, a group or a layer; see --list.

  --quick             the whole set in less than three minutes
  --list              lists the benchmarks
  --rounds N          how often each is started and measured; 8
  --secs S            how long each time, in windows between those of the others: of 20 ms for servers, of
                      300 ms for the pump and programs without clients; 0.6
  --save FILE         keeps the results; a noisy benchmark has up to three times as many rounds, unless --rounds
                      or --quick is given, and so it is with --compare
  --compare FILE      shows what has changed since those were kept: slower, faster, same (by less than 5 %),
                      or unclear; more rounds make it clear
  --fail-above 10%    with --compare: fails if something of ours certainly costs so much more, or if there is
                      nothing to compare; at least 5 %, as what is less is the same
  --only NAME,…       of the layers and peers measures these only, and the floor
  --subject NAME='COMMAND'
                      measures your own server too, in the benchmarks of HTTP and echo. COMMAND prints
                      127.0.0.1:PORT when it listens, and ends on SIGTERM
  --node PATH         the node to measure; else the one on PATH
  --count             counts instead of timing: instructions under valgrind's callgrind, system calls under
                      strace, allocations by the counting allocator that valgrind's memcheck puts in. For
                      each operation, in user space; peers: libuv, tokio, hyper
  --save-counts       with --count: keeps the counts of requests in bench/counts.txt
  --check             with --count: fails if one takes over 3 % more than is kept there
  --out FOLDER        where the report goes; target/bench
  --server-cpu N, --load-cpu N
                      the cores of the server and of its clients; else the first two that there are

The figures are CPU time of the server's processes: the median over the quiet windows of all rounds
together. What a subject does in fewer than half of its windows, such as a garbage collection, counts
as noise and does not show. ± % is how uncertain the figures are, with about 95 % confidence. The report
is report.html and report.json.";

/// More rounds, or longer ones, are a mistyped number.
const MAX_ROUNDS: usize = 1000;
const MAX_SECS: f64 = 3600.0;

/// A command line, understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// Benchmarks, groups or layers; all if there is none.
    pub what: Vec<String>,
    /// Show how to call it, and no more.
    pub help: bool,
    /// Show what there is, and no more.
    pub list: bool,
    /// Be done in less than three minutes.
    pub quick: bool,
    /// Rounds of each benchmark.
    pub rounds: Option<usize>,
    /// The measured part of each run.
    pub duration: Option<Duration>,
    /// Where to keep the results.
    pub save: Option<PathBuf>,
    /// Results to compare with.
    pub compare: Option<PathBuf>,
    /// The growth from which on a comparison fails, in per cent.
    pub fail_above: Option<f64>,
    /// The subjects beside the floor; all if there is none.
    pub only: Vec<String>,
    /// Servers of the user.
    pub subjects: Vec<UserSubject>,
    /// The program `node`.
    pub node: Option<PathBuf>,
    /// Where the report goes.
    pub out: Option<PathBuf>,
    /// Count instead of timing, and what becomes of it.
    pub count: Option<Counting>,
    /// The core of the servers.
    pub server_cpu: Option<usize>,
    /// The core of the load.
    pub load_cpu: Option<usize>,
    /// The words as they were typed.
    pub words: Vec<String>,
}

/// What becomes of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// They are shown.
    Show,
    /// The repository keeps them.
    Save,
    /// They are compared with what it keeps.
    Check,
}

impl Options {
    /// Whether a layer or a peer is to take part.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// A server of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserSubject {
    /// What it is called in the tables.
    pub name: String,
    /// What a shell runs.
    pub command: String,
}

/// Reads the words after `bench`.
///
/// # Errors
/// Names the word that is unknown, missing or out of range.
pub(crate) fn parse(words: &mut lexopt::Parser) -> Result<Options> {
    let typed = words.clone().raw_args()?.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut options = Options { words: typed, ..Options::default() };
    let (mut count, mut save, mut check) = (false, false, false);
    while let Some(word) = words.next()? {
        match word {
            Value(what) => options.what.push(what.to_string_lossy().into_owned()),
            Long("help") | Short('h') => options.help = true,
            Long("list") => options.list = true,
            Long("quick") => options.quick = true,
            Long("rounds") => options.rounds = Some(parse_rounds(&text(words)?)?),
            Long("secs") => options.duration = Some(parse_secs(&text(words)?)?),
            Long("save") => options.save = Some(words.value()?.into()),
            Long("compare") => options.compare = Some(words.value()?.into()),
            Long("fail-above") => options.fail_above = Some(parse_percent(&text(words)?)?),
            Long("only") => options.only.extend(parse_names(&text(words)?)?),
            Long("subject") => options.subjects.push(parse_subject(&text(words)?)?),
            Long("count") => count = true,
            Long("save-counts") => save = true,
            Long("check") => check = true,
            Long("out") => options.out = Some(words.value()?.into()),
            Long("node") => options.node = Some(words.value()?.into()),
            Long("server-cpu") => options.server_cpu = Some(parse_cpu("--server-cpu", &text(words)?)?),
            Long("load-cpu") => options.load_cpu = Some(parse_cpu("--load-cpu", &text(words)?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.fail_above.is_some() && options.compare.is_none() {
        return Err("--fail-above needs --compare FILE: more than what?".into());
    }
    options.count = counting(count, save, check)?;
    if options.count == Some(Counting::Save) && !(options.what.is_empty() && options.only.is_empty()) {
        return Err("--save-counts keeps all that is to be kept: it takes no names and no --only".into());
    }
    if options.count.is_some() && options.compare.is_some() {
        return Err("--count takes no --compare: --check compares counts".into());
    }
    Ok(options)
}

fn counting(count: bool, save: bool, check: bool) -> Result<Option<Counting>> {
    match (count, save, check) {
        (false, false, false) => Ok(None),
        (true, false, false) => Ok(Some(Counting::Show)),
        (true, true, false) => Ok(Some(Counting::Save)),
        (true, false, true) => Ok(Some(Counting::Check)),
        (_, true, true) => Err("--save-counts or --check: not both".into()),
        (false, true, _) => Err("--save-counts needs --count".into()),
        (false, _, true) => Err("--check needs --count".into()),
    }
}

fn text(words: &mut lexopt::Parser) -> Result<String> {
    let value = words.value()?;
    value.into_string().map_err(|value| format!("{value:?} is not UTF-8").into())
}

fn parse_rounds(text: &str) -> Result<usize> {
    let rounds = text.parse().ok().filter(|rounds| (1..=MAX_ROUNDS).contains(rounds));
    rounds.ok_or_else(|| format!("--rounds {text}: not a number from 1 to {MAX_ROUNDS}").into())
}

fn parse_secs(text: &str) -> Result<Duration> {
    let secs = text.parse().ok().filter(|secs| *secs > 0.0 && *secs <= MAX_SECS);
    let secs = secs.ok_or_else(|| format!("--secs {text}: not a number above 0, up to {MAX_SECS}"))?;
    Ok(Duration::from_secs_f64(secs))
}

/// Names of subjects, with commas between them.
fn parse_names(text: &str) -> Result<Vec<String>> {
    let unknown = text.split(',').find(|name| !catalogue::is_subject(name));
    match unknown {
        Some(name) => Err(format!("--only {text}: no layer or peer is called {name:?}").into()),
        None => Ok(text.split(',').map(str::to_owned).collect()),
    }
}

/// `10%`, or `10`. What counts as the same is no reason to fail.
fn parse_percent(text: &str) -> Result<f64> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    match number.parse() {
        Ok(percent) if f64::is_finite(percent) && percent >= SAME => Ok(percent),
        Ok(percent) if f64::is_finite(percent) => {
            Err(format!("--fail-above {text}: want at least {SAME} %: changes of less count as none").into())
        }
        _ => Err(format!("--fail-above {text}: want a number of per cent, such as 10%").into()),
    }
}

fn parse_cpu(option: &str, text: &str) -> Result<usize> {
    text.parse().map_err(|_| format!("{option} {text}: want the number of a core").into())
}

fn parse_subject(text: &str) -> Result<UserSubject> {
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && !command.is_empty() => {
            Ok(UserSubject { name: name.to_owned(), command: command.to_owned() })
        }
        _ => Err(format!("--subject {text}: want NAME='COMMAND'").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> std::result::Result<Options, String> {
        super::parse(&mut lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_in_any_order() {
        let words =
            ["http", "--rounds=2", "--secs", "0.5", "--compare", "old.json", "--fail-above", "7.5%", "net"];
        let options = parse(&words).expect("a command line");
        assert_eq!(options.what, ["http", "net"]);
        assert_eq!(options.rounds, Some(2));
        assert_eq!(options.duration, Some(Duration::from_millis(500)));
        assert_eq!(options.compare, Some("old.json".into()));
        assert_eq!(options.fail_above, Some(7.5));
        assert_eq!(options.words, words);
    }

    #[test]
    fn a_limit_is_at_least_what_counts_as_a_change() {
        for limit in ["5%", "5", "10 %"] {
            assert!(parse(&["--compare", "a", "--fail-above", limit]).is_ok(), "{limit}");
        }
    }

    #[test]
    fn a_subject_has_a_name_and_a_command() {
        let options = parse(&["--subject", "mine=env A=b ./server"]).expect("a command line");
        let mine = UserSubject { name: "mine".to_owned(), command: "env A=b ./server".to_owned() };
        assert_eq!(options.subjects, [mine]);
    }

    #[test]
    fn counts_are_shown_kept_or_checked() {
        let counting = |words: &[&str]| parse(words).map(|options| options.count);
        assert_eq!(counting(&[]), Ok(None));
        assert_eq!(counting(&["--count", "http"]), Ok(Some(Counting::Show)));
        assert_eq!(counting(&["--save-counts", "--count"]), Ok(Some(Counting::Save)));
        assert_eq!(counting(&["--count", "--check", "http"]), Ok(Some(Counting::Check)));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["--fly"][..], "--fly"),
            (&["--rounds", "0"], "--rounds 0"),
            (&["--secs", "-1"], "--secs -1"),
            (&["--secs", "inf"], "--secs inf"),
            (&["--subject", "server"], "--subject server"),
            (&["--compare", "a", "--fail-above", "much"], "--fail-above much"),
            (&["--compare", "a", "--fail-above", "inf"], "such as 10%"),
            (&["--compare", "a", "--fail-above", "4.9%"], "at least 5 %"),
            (&["--compare", "a", "--fail-above", "-10%"], "at least 5 %"),
            (&["--fail-above", "10%"], "--compare"),
            (&["--server-cpu", "first"], "--server-cpu first"),
            (&["--only", "http,htp"], "\"htp\""),
            (&["--save"], "--save"),
            (&["--check"], "--count"),
            (&["--save-counts"], "--count"),
            (&["--count", "--check", "--save-counts"], "not both"),
            (&["--count", "--save-counts", "http"], "no names"),
            (&["--count", "--compare", "a"], "--compare"),
        ] {
            let error = parse(words).expect_err("a wrong command line");
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }
}
