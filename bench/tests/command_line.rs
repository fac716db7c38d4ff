//! The command line of `upcall-bench`: what names mean, as `--list` shows it, and how a wrong word is refused.

use std::error::Error;
use std::process::Command;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs the program: its exit code, its output and its errors.
fn run(words: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_upcall-bench")).args(words).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

/// The benchmarks that these words name, each with the layers that it measures.
fn listed(what: &[&str]) -> Outcome<Vec<(String, Vec<String>)>> {
    let (code, list, errors) = run(&[&["--list"], what].concat())?;
    assert_eq!((code, &*errors), (Some(0), ""), "{what:?}");
    let lines: Vec<_> = list.lines().collect();
    let entry = |lines: &[&str]| -> Outcome<_> {
        let [head, layers] = lines else { return Err(format!("half of a benchmark: {lines:?}").into()) };
        let name = head.split_whitespace().next().ok_or("no name")?;
        let layers = layers.split('|').next().unwrap_or_default().split_whitespace().map(str::to_owned);
        Ok((name.to_owned(), layers.collect()))
    };
    lines.chunks(2).map(entry).collect()
}

#[test]
fn nothing_named_is_everything_and_fits_a_hundred_columns() -> Outcome {
    let (_, list, _) = run(&["--list"])?;
    for name in ["loop/timer-fire", "tcp/pump", "unix/echo-64", "http/up-1m", "cluster/evenness"] {
        assert!(list.contains(name), "{list}");
    }
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    Ok(())
}

#[test]
fn a_benchmark_goes_by_its_full_name_its_own_or_the_beginning_of_the_full_one() -> Outcome {
    for (word, names) in [
        ("http/keep-alive", &["http/keep-alive"][..]),
        ("ticks", &["loop/ticks"]),
        ("http/down", &["http/down-1k", "http/down-64k", "http/down-1m"]),
    ] {
        let listed = listed(&[word])?;
        assert_eq!(listed.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), names);
    }
    Ok(())
}

#[test]
fn a_group_is_all_of_it_and_a_layer_its_part_of_each() -> Outcome {
    let unix = listed(&["unix"])?;
    assert!(unix.iter().all(|(name, layers)| name.starts_with("unix/") && layers.len() == 6));
    assert!(listed(&["net"])?.iter().all(|(_, layers)| *layers == ["net"]));
    assert!(listed(&["uv-core"])?.iter().any(|(name, _)| name == "loop/work"));
    assert!(
        listed(&["async-wrap"])?.iter().all(|(_, layers)| layers.starts_with(&["async-wrap".to_owned()]))
    );
    assert!(listed(&["cluster"])?.iter().all(|(name, _)| name.starts_with("cluster/")));
    Ok(())
}

#[test]
fn several_names_add_up_in_the_order_of_the_catalogue() -> Outcome {
    let both = listed(&["net", "loop/ticks", "uv-core"])?;
    assert_eq!(both[0].0, "loop/ticks");
    let (_, layers) = both.iter().find(|(name, _)| name == "tcp/pump").ok_or("no benchmark of streams")?;
    assert_eq!(*layers, ["uv-core", "net"]);
    Ok(())
}

#[test]
fn options_are_read_in_any_order() -> Outcome {
    // What is compared must be there to be read, so those options are in `bench.rs`.
    for words in [
        &["http", "--rounds=2", "--secs", "0.5", "--quick", "net", "--list"][..],
        &["--subject", "mine=env A=b ./server", "--list", "--only", "net,floor", "--server-cpu", "0"],
        &["--save-counts", "--count", "--list"],
        &["--count", "--check", "http", "--list"],
    ] {
        let (code, list, errors) = run(words)?;
        assert!(code == Some(0) && list.contains("http/keep-alive"), "{words:?}: {errors}");
    }
    Ok(())
}

#[test]
fn a_wrong_word_is_named() -> Outcome {
    for (words, named) in [
        (&["--fly"][..], "--fly"),
        (&["--rounds", "0"], "'0' for '--rounds"),
        (&["--secs", "-1"], "'-1' for '--secs"),
        (&["--secs", "inf"], "'inf' for '--secs"),
        (&["--subject", "server"], "'server' for '--subject"),
        (&["--compare", "a", "--fail-above", "much"], "'much' for '--fail-above"),
        (&["--compare", "a", "--fail-above", "inf"], "such as 10%"),
        (&["--compare", "a", "--fail-above", "4.9%"], "at least 5 %"),
        (&["--compare", "a", "--fail-above", "-10%"], "at least 5 %"),
        // As much as counts as a change is a limit: what is missing is the file.
        (&["--compare", "/no/such/file", "--fail-above", "5%"], "/no/such/file"),
        (&["--compare", "/no/such/file", "--fail-above", "5"], "/no/such/file"),
        (&["--compare", "/no/such/file", "--fail-above", "10 %"], "/no/such/file"),
        (&["--fail-above", "10%"], "--compare"),
        (&["--server-cpu", "first"], "'first' for '--server-cpu"),
        (&["--only", "http,htp"], "'htp'"),
        (&["--save"], "--save"),
        (&["--check"], "--count"),
        (&["--save-counts"], "--count"),
        (&["--count", "--check", "--save-counts"], "cannot be used with '--save-counts'"),
        (&["--count", "--save-counts", "http"], "cannot be used with"),
        (&["--count", "--compare", "a"], "--compare"),
        (&["http", "htp"], "\"htp\""),
        (&["subject", "fly", "ticks"], "'fly'"),
        (&["subject"], "<LAYER>"),
        (&["subject", "net"], "<BENCH>"),
        (&["subject", "net", "echo", "--ops", "many"], "many"),
        (&["subject", "cluster", "connect", "--workers", "0"], "--workers"),
        (&["subject", "cluster", "connect", "--policy", "best"], "best"),
        (&["subject", "net", "echo", "more"], "more"),
        (&["load", "fly"], "'fly'"),
        (&["load", "echo"], "--addr"),
        (&["load", "idle", "--addr", "127.0.0.1:1", "--driven"], "--driven"),
        (&["load", "datagrams", "--addr", "127.0.0.1:1", "--size", "4"], "--size"),
        (&["load", "pump", "--addr", "127.0.0.1:1", "--ops", "1"], "--ops"),
        (&["load", "keepalive", "--addr", "127.0.0.1:1", "--ops", "3", "--pipeline", "2"], "the pipeline, 2"),
    ] {
        let (code, said, errors) = run(words)?;
        assert!(code.is_some_and(|code| code > 0) && said.is_empty(), "{words:?}: {said}");
        assert!(errors.contains(named) && errors.lines().count() == 1, "{errors:?} does not name {named:?}");
    }
    Ok(())
}
