//! Every example of every crate is built and run. An example that serves gets a free port and a client, and is ended by a
//! signal; the others end by themselves. All of them have something to show.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tests::running::{DEADLINE, Running};
use tests::workspace::{cargo_build, output, root};

type Outcome = Result<(), Box<dyn Error>>;

const SIGTERM: i32 = 15;

/// Where an example that serves listens: on a port that is free.
const ANY_PORT: &str = "127.0.0.1:0";

/// An example that serves: its package's folder, its name, and its client.
type Served = (&'static str, &'static str, fn(SocketAddr, &Running) -> Outcome);

/// The examples that serve. All others end by themselves.
const SERVED: &[Served] = &[
    ("cluster", "cluster", greeted_by_both),
    ("http", "graceful_shutdown", answered_before_the_end),
    ("http", "hello", told_hello),
    ("http", "static_files", sent_a_file),
    ("http", "streaming", told_a_thousand_lines),
    ("net", "chat", heard_by_the_others),
    ("net", "echo", echoed),
    ("net", "forward", echoed),
    ("net", "guard", limited),
    ("net", "udp_echo", echoed_datagrams),
    ("tcp-wrap", "shout", shouted),
    ("uv-core", "bare_echo", echoed),
    ("uv-core", "bare_udp_echo", echoed_datagrams),
];

#[test]
fn every_example_runs_and_shows_something() -> Outcome {
    let examples = build()?;
    for (package, name, _) in SERVED {
        let is_there = examples.contains_key(&((*package).to_owned(), (*name).to_owned()));
        assert!(is_there, "there is no example {name} of {package}: SERVED is out of date");
    }
    assert!(!examples.is_empty(), "cargo builds no examples");
    for ((package, name), program) in examples {
        let mut command = Command::new(program);
        let outcome = match SERVED.iter().find(|(of, served, _)| (*of, *served) == (&*package, &*name)) {
            Some((.., client)) => serve(command.arg(ANY_PORT), *client),
            None => run(&mut command),
        };
        outcome.map_err(|error| format!("{package}, example {name}: {error}"))?;
    }
    Ok(())
}

/// A user looks for examples in the README. Their names differ: cargo builds all of them into one folder.
#[test]
fn the_readme_names_every_example_and_no_two_have_one_name() -> Outcome {
    let readme = fs::read_to_string(root().join("README.md"))?;
    let (mut missing, mut names) = (Vec::new(), HashSet::new());
    for layer in ["uv-core", "tcp-wrap", "async-wrap", "net", "cluster", "http", "pomelo"] {
        let (_, rest) = readme.split_once(&format!("**[{layer}]({layer}/")).ok_or(layer)?;
        let paragraph = rest.split("\n\n").next().unwrap_or_default();
        for example in fs::read_dir(root().join(layer).join("examples"))? {
            let name = example?.path().file_stem().ok_or("no name")?.to_string_lossy().into_owned();
            if !paragraph.contains(&format!("`{name}`")) && !paragraph.contains(&format!("--example {name}`"))
            {
                missing.push(format!("{layer}: {name}"));
            }
            assert!(names.insert(name.clone()), "{layer}: another layer has an example {name}");
        }
    }
    assert!(missing.is_empty(), "README.md names no example {missing:?}");
    Ok(())
}

/// The example in each layer's README, which rustdoc shows and tests too, is one of its examples word by word.
#[test]
fn the_example_of_a_readme_is_an_example_that_runs() -> Outcome {
    let layers = ["uv-core", "tcp-wrap", "async-wrap", "net", "cluster", "http", "pomelo"];
    for layer in layers.map(|layer| root().join(layer)) {
        let readme = fs::read_to_string(layer.join("README.md"))?;
        let (_, block) = readme.split_once("```rust").ok_or("a README without an example")?;
        let (_, code) = block.split_once('\n').ok_or("an empty example")?;
        let (code, _) = code.split_once("```").ok_or("an example without an end")?;
        let mut is_there = false;
        for example in fs::read_dir(layer.join("examples"))? {
            is_there |= fs::read_to_string(example?.path())?.ends_with(code);
        }
        assert!(is_there, "{}: no example ends with the README's:\n{code}", layer.display());
    }
    Ok(())
}

/// Runs an example that ends by itself.
fn run(command: &mut Command) -> Outcome {
    let ended = Running::start(command)?.wait()?;
    if !ended.status.success() {
        return Err(format!("{}\n{}", ended.status, ended.stderr).into());
    }
    if ended.stdout.trim().is_empty() { Err("it shows nothing".into()) } else { Ok(()) }
}

/// Runs an example that serves, with its client, and ends it.
fn serve(command: &mut Command, client: fn(SocketAddr, &Running) -> Outcome) -> Outcome {
    let running = Running::start(command)?;
    let address = address(&running)?;
    client(address, &running)?;
    // Fails if the client has ended the program; a program that goes on without a signal is noticed by `wait`.
    let _ = running.signal(SIGTERM);
    let ended = running.wait()?;
    let is_expected = ended.status.success() || ended.status.signal() == Some(SIGTERM);
    if is_expected && ended.stderr.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n{}", ended.status, ended.stderr).into())
    }
}

/// The address in the next line of a program's output.
fn address(running: &Running) -> Result<SocketAddr, Box<dyn Error>> {
    let line = running.line().ok_or("it does not say where it listens")?;
    let word = line.rsplit([' ', '/']).next().unwrap_or_default();
    Ok(word.parse().map_err(|error| format!("{line}: {error}"))?)
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Each datagram comes back, an empty one too.
fn echoed_datagrams(address: SocketAddr, _: &Running) -> Outcome {
    let client = UdpSocket::bind(ANY_PORT)?;
    client.set_read_timeout(Some(DEADLINE))?;
    for text in ["one", "", "three"] {
        client.send_to(text.as_bytes(), address)?;
        let mut buffer = [0; 16];
        let (count, from) = client.recv_from(&mut buffer)?;
        assert_eq!((&buffer[..count], from), (text.as_bytes(), address));
    }
    Ok(())
}

/// All of the answer to a request whose connection ends with it.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn echoed(address: SocketAddr, _: &Running) -> Outcome {
    assert_eq!(answer_to(address, "hello, echo\n")?, "hello, echo\n");
    Ok(())
}

fn limited(address: SocketAddr, running: &Running) -> Outcome {
    let mut guests = Vec::new();
    for _ in 0..3 {
        guests.push(connect(address)?);
    }
    let mut answer = [0; 1];
    assert_eq!(guests[2].read(&mut answer)?, 0, "the third connection is refused");
    guests[0].write_all(b"!")?;
    guests[0].read_exact(&mut answer)?;
    let told = running.line().ok_or("it says nothing of the third")?;
    assert!(told.ends_with("MaxPerAddress, 1 in all"), "{told}");
    Ok(())
}

fn shouted(address: SocketAddr, _: &Running) -> Outcome {
    assert_eq!(answer_to(address, "hello\n")?, "HELLO\n");
    Ok(())
}

/// Everything that comes back for some words and a FIN.
fn answer_to(address: SocketAddr, words: &str) -> std::io::Result<String> {
    let mut stream = connect(address)?;
    stream.write_all(words.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn heard_by_the_others(address: SocketAddr, _: &Running) -> Outcome {
    let mut guests = Vec::new();
    for _ in 0..3 {
        guests.push(connect(address)?);
    }
    // Connections are accepted in their order: when the last guest is heard, the others are in the room.
    for (speaker, listeners) in [(2, [0, 1]), (0, [1, 2])] {
        guests[speaker].write_all(b"hello\n")?;
        for listener in listeners {
            let mut line = String::new();
            BufReader::new(&guests[listener]).read_line(&mut line)?;
            assert_eq!(line, format!("guest {}: hello\n", speaker + 1));
        }
    }
    Ok(())
}

fn told_hello(address: SocketAddr, _: &Running) -> Outcome {
    let answer = get(address, "/")?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"), "{answer}");
    let answer = get(address, "/elsewhere")?;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    Ok(())
}

fn sent_a_file(address: SocketAddr, _: &Running) -> Outcome {
    let answer = get(address, "/Cargo.toml")?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\n["), "{answer}");
    let answer = get(address, "/../Cargo.toml")?;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    Ok(())
}

fn told_a_thousand_lines(address: SocketAddr, _: &Running) -> Outcome {
    let answer = get(address, "/")?;
    assert!(answer.contains("\n1000\n") && answer.ends_with("goodbye\n\r\n0\r\n\r\n"), "{answer}");
    Ok(())
}

fn answered_before_the_end(address: SocketAddr, running: &Running) -> Outcome {
    let mut stream = connect(address)?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    assert_eq!(running.line().as_deref(), Some("asked for /"));
    running.signal(SIGTERM)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.ends_with("\r\n\r\nhello\n"), "{answer}");
    assert_eq!(running.line().as_deref(), Some("everything is answered"));
    Ok(())
}

fn greeted_by_both(first: SocketAddr, running: &Running) -> Outcome {
    assert_eq!(address(running)?, first, "both listen on the same port");
    let mut greetings = Vec::new();
    for _ in 0..4 {
        let mut greeting = String::new();
        connect(first)?.read_to_string(&mut greeting)?;
        greetings.push(greeting);
    }
    greetings.sort();
    let expected =
        ["hello from worker 1\n", "hello from worker 1\n", "hello from worker 2\n", "hello from worker 2\n"];
    assert_eq!(greetings, expected);
    Ok(())
}

/// Builds the examples of the workspace; returns where they are, by their package's folder and their name.
fn build() -> Result<BTreeMap<(String, String), PathBuf>, Box<dyn Error>> {
    let mut examples = BTreeMap::new();
    for line in output(cargo_build()?.args(["--workspace", "--examples"]))?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let target = &message["target"];
        let is_example =
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "example"));
        if let (true, Some(program), Some(name)) =
            (is_example, message["executable"].as_str(), target["name"].as_str())
        {
            let manifest = PathBuf::from(message["manifest_path"].as_str().ok_or("no manifest")?);
            let folder = manifest.parent().and_then(|folder| folder.file_name()).ok_or("no folder")?;
            examples.insert((folder.to_string_lossy().into_owned(), name.to_owned()), program.into());
        }
    }
    Ok(examples)
}
