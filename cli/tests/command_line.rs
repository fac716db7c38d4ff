//! The command line of `upcall`: what its words mean, how a wrong one is refused, and where help is.

use clap_complete::Shell;
use std::error::Error;
use std::path::Path;
use std::process::Command as Process;
use upcall::args::{Command, Policy, ProxyOptions, ServeOptions};
use upcall::pomelo::options::{Line, Master, Options as Pomelo, StartOptions};
use upcall::trace::options::Options as Trace;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn parse(words: &[&str]) -> Outcome<Command> {
    Ok(Command::read(["upcall"].iter().chain(words).map(Into::into))?)
}

fn serve(words: &[&str]) -> Outcome<ServeOptions> {
    match parse(&[&["serve"], words].concat())? {
        Command::Serve(options) => Ok(options),
        other => Err(format!("{words:?}: {other:?}").into()),
    }
}

fn proxy(words: &[&str]) -> Outcome<ProxyOptions> {
    match parse(&[&["proxy"], words].concat())? {
        Command::Proxy(options) => Ok(options),
        other => Err(format!("{words:?}: {other:?}").into()),
    }
}

fn pomelo(words: &[&str]) -> Outcome<Pomelo> {
    match parse(&[&["pomelo"], words].concat())? {
        Command::Pomelo(Line { command }) => Ok(command),
        other => Err(format!("{words:?}: {other:?}").into()),
    }
}

/// Runs the program: its exit code, its output and its errors.
fn run(words: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    let output = Process::new(env!("CARGO_BIN_EXE_upcall")).args(words).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[test]
fn options_of_serve_are_read_in_any_order() -> Outcome {
    let options = serve(&["--chain", "--policy=shared", "--workers", "3", "--addr", "[::1]:80"])?;
    assert_eq!(options.addr, "[::1]:80".parse()?);
    assert_eq!((options.workers, options.policy, options.chain), (3, Policy::Shared, true));
    let workers = std::thread::available_parallelism()?.get();
    let (addr, policy) = ("127.0.0.1:8000".parse()?, Policy::RoundRobin);
    assert_eq!(
        serve(&[])?,
        ServeOptions { addr, workers, policy, root: None, chain: false, no_chain: false }
    );
    assert_eq!(serve(&["--root", "site"])?.root.as_deref(), Some(Path::new("site")));
    Ok(())
}

#[test]
fn a_proxy_has_its_upstreams_in_one_option_or_in_several() -> Outcome {
    let workers = std::thread::available_parallelism()?.get();
    let expected = ProxyOptions {
        to: vec!["http://a".parse()?, "http://b:81".parse()?, "http://[::1]:9000".parse()?],
        addr: "127.0.0.1:8080".parse()?,
        workers,
        policy: Policy::RoundRobin,
        trust_clients: false,
        replace_host: false,
        timeout: 60,
    };
    let words = ["--to", "http://a", "http://B:81/", "--to=http://[::1]:9000"];
    assert_eq!(proxy(&words)?, expected);
    let words = ["--trust-clients", "--timeout=5", "--to", "http://a", "--replace-host", "--workers", "0"];
    let options = proxy(&words)?;
    assert_eq!((options.to.len(), options.workers, options.timeout), (1, 0, 5));
    assert!(options.trust_clients && options.replace_host);
    // Not where it listens: another port, or another address.
    for to in ["http://127.0.0.1:8081", "http://192.0.2.1:8080", "http://other:8080"] {
        proxy(&["--to", to])?;
    }
    Ok(())
}

#[test]
fn of_a_repeated_option_the_last_one_counts() -> Outcome {
    let options = serve(&["--workers", "1", "--no-chain", "--chain", "--workers", "2", "--chain"])?;
    assert_eq!((options.workers, options.offers_chain()), (2, true));
    assert!(!serve(&["--chain", "--no-chain"])?.offers_chain());
    Ok(())
}

#[test]
fn the_chain_is_offered_on_loopback_addresses_or_as_the_flag_says() -> Outcome {
    for (address, is_loopback) in [
        ("127.0.0.1:80", true),
        ("127.9.9.9:80", true),
        ("[::1]:80", true),
        ("[::ffff:127.0.0.1]:80", true),
        ("0.0.0.0:80", false),
        ("[::]:80", false),
        ("192.0.2.1:80", false),
    ] {
        for (flags, is_offered) in [(&[][..], is_loopback), (&["--chain"], true), (&["--no-chain"], false)] {
            let options = serve(&[&["--addr", address], flags].concat())?;
            assert_eq!(options.offers_chain(), is_offered, "{address} {flags:?}");
        }
    }
    Ok(())
}

#[test]
fn a_trace_is_of_one_request_in_one_process_unless_told_otherwise() -> Outcome {
    let one = Trace { requests: None, pipeline: 1, workers: 0, html: None };
    let piped = Trace { pipeline: 4, ..one.clone() };
    let batches = Trace { requests: Some(5), pipeline: 2, workers: 2, html: Some("a.html".into()) };
    let words = ["--html", "a.html", "--workers=2", "--pipeline", "2", "--requests", "5"];
    for (words, options, requests) in
        [(&[][..], one, 1), (&["--pipeline", "4"], piped, 4), (&words, batches, 5)]
    {
        assert_eq!(options.requests(), requests);
        assert_eq!(parse(&[&["trace"], words].concat())?, Command::Trace(options));
    }
    Ok(())
}

#[test]
fn a_master_is_where_pomelo_s_is_unless_told_otherwise() -> Outcome {
    let (host, user) = ("127.0.0.1".to_owned(), "admin".to_owned());
    let here = Master { host, port: 3005, user, password: None, password_file: None, help: None };
    assert_eq!(pomelo(&["list"])?, Pomelo::List(here.clone()));
    let password = Some("=p".into());
    let there = Master { host: "h".into(), port: 1, user: "u".into(), password, ..here.clone() };
    let ids = || vec!["a".into(), "b".into()];
    let words = ["stop", "a", "--host=h", "-P", "1", "b", "--user", "u", "--password==p"];
    assert_eq!(pomelo(&words)?, Pomelo::Stop { ids: ids(), master: there });
    let restart = Pomelo::Restart { ids: ids(), server_type: None, master: here };
    assert_eq!(pomelo(&["restart", "-i", "a", "b"])?, restart);
    Ok(())
}

#[test]
fn options_of_start_are_read_in_any_order() -> Outcome {
    let expected = StartOptions {
        folder: "demo".into(),
        env: Some("production".into()),
        server_type: Some("master".into()),
        id: None,
        is_daemon: true,
        ssh: vec!["-p 2222".into()],
    };
    assert_eq!(expected.ssh_words(), ["-p", "2222"]);
    let words = ["start", "--daemon", "--ssh", "-p 2222", "--env=production", "demo", "-t", "master"];
    assert_eq!(pomelo(&words)?, Pomelo::Start(expected));
    Ok(())
}

#[test]
fn the_words_of_a_server_are_kept_as_they_are() -> Outcome {
    let words = ["id=a", "--help", "-x", "args=--inspect", ""];
    let run = Pomelo::Run { folder: "/demo".into(), words: words.map(str::to_owned).into() };
    assert_eq!(pomelo(&[&["run", "/demo"], &words[..]].concat())?, run);
    Ok(())
}

#[test]
fn a_wrong_word_is_named_in_one_line() -> Outcome {
    for (words, named) in [
        (&["fly"][..], "'fly'"),
        (&["serv"], "'serve'"),
        (&["serve", "--addr", "localhost"], "'localhost' for '--addr"),
        (&["serve", "--workers", "-1"], "'-1' for '--workers"),
        (&["serve", "--workers", "99999"], "'99999' for '--workers"),
        (&["serve", "--policy", "best"], "'best' for '--policy"),
        (&["serve", "--policy", "best"], "round-robin, shared"),
        (&["serve", "--verbose"], "--verbose"),
        (&["serve", "--wrokers", "2"], "'--workers'"),
        (&["serve", "--chain=maybe"], "maybe"),
        (&["serve", "8000"], "8000"),
        (&["proxy"], "--to <URL>"),
        (&["proxy", "--to"], "'--to <URL>"),
        (&["proxy", "--to", "127.0.0.1:9000"], "not a URL, such as http://127.0.0.1:9000"),
        (&["proxy", "--to", "https://a"], "https is not supported"),
        (&["proxy", "--to", "http://a/path"], "a path is not supported"),
        (&["proxy", "--to", "http://u:p@a"], "a user is not supported"),
        (&["proxy", "--to", "http://a:99999"], "the port is not a number from 1 to 65535"),
        (&["proxy", "--to", "http://a", "http://a:80"], "http://a stands there twice"),
        (
            &["proxy", "--to", "http://127.0.0.1:8080"],
            "is where the proxy itself listens (--addr 127.0.0.1:8080)",
        ),
        (&["proxy", "--to", "http://localhost:8080"], "is where the proxy itself listens"),
        (&["proxy", "--to", "http://[::1]:80", "--addr", "[::]:80"], "is where the proxy itself listens"),
        (&["proxy", "--to", "http://a", "--timeout", "0"], "'0' for '--timeout"),
        (&["proxy", "--to", "http://a", "--addr", "a:80"], "'a:80' for '--addr"),
        (&["chain", "now"], "now"),
        (&["completions", "tcsh"], "bash"),
        (&["trace", "--workers", "x"], "'x' for '--workers"),
        (&["trace", "--requests", "0"], "'0' for '--requests"),
        (&["trace", "--pipeline", "x"], "'x' for '--pipeline"),
        (&["trace", "--workers", "99"], "'99' for '--workers"),
        (&["trace", "--colour"], "--colour"),
        (&["trace", "now"], "now"),
        (&["pomelo", "fly"], "'fly'"),
        (&["pomelo", "--fly"], "--fly"),
        (&["pomelo", "init"], "<DIR>"),
        (&["pomelo", "init", "a", "b"], "'b'"),
        (&["pomelo", "start"], "<DIR>"),
        (&["pomelo", "start", "a", "--env"], "--env"),
        (&["pomelo", "start", "a", "--env="], "--env"),
        (&["pomelo", "start", "a", "--id", "x", "--type", "y"], "cannot be used with"),
        (&["pomelo", "run"], "<DIR>"),
        (&["pomelo", "list", "all"], "'all'"),
        (&["pomelo", "list", "--port", "0"], "'0' for '--port"),
        (&["pomelo", "list", "--port", "http"], "'http' for '--port"),
        (&["pomelo", "list", "-i", "x"], "-i"),
        (&["pomelo", "list", "--password-file", "/x", "--password", "y"], "cannot be used with"),
        (&["pomelo", "add"], "KEY=VALUE"),
        (&["pomelo", "add", "host"], "'host'"),
        (&["pomelo", "add", "=1"], "'=1'"),
        (&["pomelo", "restart", "a"], "'a'"),
        (&["pomelo", "restart", "-i", "a", "-t", "b"], "cannot be used with"),
        (&["pomelo", "kill", "-9"], "-9"),
    ] {
        let (code, said, errors) = run(words)?;
        // For `pomelo` 2 says that no master answers.
        let expected = if words[0] == "pomelo" { 1 } else { 2 };
        assert_eq!((code, &*said), (Some(expected), ""), "{words:?}: {errors}");
        assert!(
            errors.starts_with("error: ") && errors.contains(named),
            "{errors:?} does not name {named:?}"
        );
        assert!(errors.lines().count() == 1 && !errors.contains("Usage"), "{errors:?}");
    }
    Ok(())
}

#[test]
fn help_is_there_however_it_is_asked_for() -> Outcome {
    for (words, says) in [
        (&[][..], "serve"),
        (&["help"], "serve"),
        (&["--help"], "pomelo"),
        (&["-h"], "Exit codes"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["serve", "--help"], "--workers"),
        (&["help", "serve"], "--workers"),
        (&["proxy", "--help"], "--trust-clients"),
        (&["trace", "-h"], "--pipeline"),
        (&["chain", "-h"], "chain"),
        (&["pomelo"], "Exit codes"),
        (&["pomelo", "help"], "Exit codes"),
        (&["pomelo", "--help"], "restart"),
        (&["pomelo", "-h"], "restart"),
        (&["pomelo", "start", "--help"], "--daemon"),
        (&["pomelo", "list", "--help"], "--password-file"),
        (&["pomelo", "help", "restart"], "--type"),
    ] {
        let (code, said, errors) = run(words)?;
        assert!(code == Some(0) && errors.is_empty() && said.contains(says), "{words:?}: {said}{errors}");
    }
    Ok(())
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() -> Outcome {
    for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
        // To write one checks that the whole command line is well formed, too.
        let (code, script, errors) = run(&["completions", &shell.to_string()])?;
        assert_eq!((code, &*errors), (Some(0), ""), "{shell}");
        assert!(["serve", "proxy", "workers", "pomelo"].iter().all(|word| script.contains(word)), "{shell}");
    }
    Ok(())
}
