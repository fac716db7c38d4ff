//! The measured programs do what their benchmarks say: each is started, used for a few exchanges, and ended.

#[path = "../../cli/tests/program/mod.rs"]
mod program;

use program::Program;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, process, thread};

type Outcome = Result<(), Box<dyn Error>>;

/// Starts the program with these words.
fn start(words: &[&str]) -> Result<Program, Box<dyn Error>> {
    Program::spawn(Command::new(env!("CARGO_BIN_EXE_upcall-bench")).args(words))
}

const STREAM_LAYERS: &[&str] = &["uv-core", "tcp-wrap", "async-wrap", "async-wrap-hooks", "net", "net-async"];

const SOLO: &[&str] = &["ticks", "timer-churn", "timer-fire", "wakeup", "post", "work"];

/// Of libuv's own those without children.
const LIBUV: &[&str] = &[
    "loop_count",
    "async1",
    "async_pummel_1",
    "million_async",
    "million_timers",
    "queue_work",
    "ping_pongs",
    "tcp_pump1",
    "pipe_pump1",
    "tcp4_pound_100",
    "tcp_multi_accept2",
    "ping_udp1",
    "udp_pummel_1v1",
    "udp_pummel_10v10",
    "getaddrinfo",
];

const CLIENTS: &[&[&str]] = &[&["floor"], &["subject", "http"]];

const PROXIES: &[&[&str]] = &[&["floor"], &["subject", "http"]];

/// What the servers of streams answer to each byte of a request in `writes`.
const ANSWER: usize = 16 * 64;

/// A message that no socket buffer holds: its echo needs back-pressure.
const LARGE: usize = 16 << 20;

#[test]
fn programs_without_clients_do_what_they_are_told() -> Outcome {
    for name in SOLO {
        // Neither a multiple of a burst nor a round number.
        measure(&["subject", "uv-core", name], 333)?;
        measure(&["floor", &format!("loop/{name}")], 333)?;
    }
    for name in ["loop/tasks", "loop/tasks-wake"] {
        measure(&["subject", "async-wrap", name], 3333)?;
        measure(&["floor", name], 3333)?;
    }
    for name in ["loop/spawn", "libuv/spawn"] {
        measure(&["subject", "uv-core", name], 3)?;
        measure(&["floor", name], 3)?;
    }
    Ok(())
}

#[test]
fn the_benchmarks_of_libuv_do_what_they_are_told() -> Outcome {
    for name in LIBUV {
        let name = format!("libuv/{name}");
        measure(&["subject", "uv-core", &name], 333)?;
        measure(&["floor", &name], 333)?;
    }
    Ok(())
}

fn measure(words: &[&str], ops: u64) -> Outcome {
    let count = ops.to_string();
    let words = [words, &["--ops", &count]].concat();
    let program = start(&words)?;
    let line = program.line()?;
    let said: Value = serde_json::from_str(&line).map_err(|error| format!("{words:?}: {line:?}: {error}"))?;
    assert_eq!(said["ops"], ops, "{words:?}: {line}");
    assert!(said["wall_ns"].as_u64() > Some(0), "{words:?}: {line}");
    assert!(said["cpu_ns"].is_u64(), "{words:?}: {line}");
    assert_eq!(program.wait()?, Some(0), "{words:?}");
    Ok(())
}

#[test]
fn clients_ask_as_often_as_they_are_told() -> Outcome {
    let server = start(&["floor", "http/keep-alive"])?;
    let address = server.line()?;
    for client in CLIENTS {
        let words = [*client, &["client/keep-alive", "--to", &*address, "--conns", "10"]].concat();
        measure(&words, 333).map_err(|error| format!("{client:?}: {error}"))?;
        let words = [&words[..], &["--ops", "25", "--turn", "10"]].concat();
        let (code, said) = run_with_input(&words, "\n\n\n")?;
        let turns: Vec<_> =
            said.lines().skip(1).map(serde_json::from_str::<Value>).collect::<Result<_, _>>()?;
        let ops: Vec<_> = turns.iter().map(|turn| turn["ops"].as_u64()).collect();
        assert_eq!((code, ops), (Some(0), vec![Some(10), Some(10), Some(5)]), "{client:?}: {said}");
    }
    // The floor ends by the signal itself.
    drop(server);
    Ok(())
}

#[test]
fn clients_hold_as_many_connections_as_they_are_told() -> Outcome {
    let server = start(&["floor", "http/everywhere"])?;
    let address = server.line()?;
    for client in CLIENTS {
        let words = [*client, &["client/idle", "--to", &*address]].concat();
        let (code, said) = run_with_input(&words, "7\n250\n")?;
        assert_eq!((code, &*said), (Some(0), "ready\nready\n"), "{client:?}");
    }
    drop(server);
    Ok(())
}

#[test]
fn proxies_pass_requests_to_the_server_behind_and_answers_to_the_clients() -> Outcome {
    let behind = start(&["floor", "http/down-64k"])?;
    let to = behind.line()?;
    for proxy in PROXIES {
        let server = start(&[*proxy, &["proxy/down-64k", "--to", &*to]].concat())?;
        let address = server.line()?;
        for _ in 0..3 {
            // The client wants its connection closed, which is not passed on.
            let answer = ask(&address, "GET /size/65536", b"")?;
            assert_eq!((answer.status(), answer.body.len()), ("200", 1 << 16), "{proxy:?}");
        }
        drop(server);
    }
    let behind = start(&["floor", "http/up-64k"])?;
    let to = behind.line()?;
    for proxy in PROXIES {
        let server = start(&[*proxy, &["proxy/up-64k", "--to", &*to]].concat())?;
        let answer = ask(&server.line()?, "POST /sink", &[b'x'; 1 << 16])?;
        assert_eq!((answer.status(), &*answer.body), ("200", &b"ok"[..]), "{proxy:?}");
        drop(server);
    }
    Ok(())
}

#[test]
fn timers_fire_in_as_many_turns_as_they_are_told_of() -> Outcome {
    for words in [&["subject", "uv-core", "timer-fire"][..], &["floor", "loop/timer-fire"]] {
        let words = [words, &["--ops", "25", "--turn", "10"]].concat();
        let (code, said) = run_with_input(&words, "\n\n\n")?;
        let mut lines = said.lines();
        assert_eq!((code, lines.next()), (Some(0), Some("ready")), "{words:?}: {said}");
        let turns: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        let ops: Vec<_> = turns.iter().map(|turn| turn["ops"].as_u64()).collect();
        assert_eq!(ops, [Some(10), Some(10), Some(5)], "{words:?}: {said}");
        let (code, _) = run_with_input(&words, "\n")?;
        assert_ne!(code, Some(0), "{words:?}: it was not told to go on");
    }
    let (code, _) = run_with_input(&["floor", "loop/ticks", "--turn", "10"], "")?;
    assert_ne!(code, Some(0), "ticks have no turns");
    Ok(())
}

/// Runs `upcall-bench` with that on its standard input: its exit code and its output.
fn run_with_input(words: &[&str], input: &str) -> Result<(Option<i32>, String), Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upcall-bench"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    // A program that refuses its words does not read.
    let _written = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

#[test]
fn what_is_sent_comes_back_whatever_its_size() -> Outcome {
    for layer in STREAM_LAYERS {
        let server = start(&["subject", layer, "tcp/echo-16k"])?;
        let address = server.line()?;
        for size in [1, 64, 16 * 1024, LARGE] {
            let client = TcpStream::connect(&*address)?;
            exchange(client.try_clone()?, client, size).map_err(|error| format!("{layer}: {error}"))?;
        }
        server.end()?;
    }
    Ok(())
}

#[test]
fn what_is_sent_over_a_unix_socket_comes_back() -> Outcome {
    for layer in STREAM_LAYERS {
        let path = env::temp_dir().join(format!("upcall-subject-{layer}-{}", process::id()));
        let path = path.to_str().ok_or("a path without a name")?;
        let server = start(&["subject", layer, "unix/echo-64", "--path", path])?;
        assert_eq!(server.line()?, format!("unix:{path}"));
        let client = UnixStream::connect(path)?;
        exchange(client.try_clone()?, client, LARGE).map_err(|error| format!("{layer}: {error}"))?;
        server.end()?;
        assert!(!std::fs::exists(path)?, "{layer}: the socket's file is left");
    }
    Ok(())
}

#[test]
fn datagrams_come_back_from_every_server_of_them() -> Outcome {
    for server in [&["subject", "uv-core"][..], &["subject", "net"], &["floor"]] {
        for benchmark in ["udp/echo-64", "udp/echo-1200"] {
            let server = start(&[server, &[benchmark]].concat())?;
            let client = UdpSocket::bind("127.0.0.1:0")?;
            client.connect(server.line()?)?;
            client.set_read_timeout(Some(Duration::from_secs(20)))?;
            // More than one call receives.
            for number in 0..100u8 {
                client.send(&vec![number; usize::from(number) * 10])?;
            }
            let mut buffer = [0; 2000];
            for number in 0..100u8 {
                let length = client.recv(&mut buffer)?;
                assert_eq!(buffer[..length], vec![number; usize::from(number) * 10], "{benchmark}");
            }
            drop(client);
            // The floor ends by the signal itself.
            drop(server);
        }
    }
    Ok(())
}

/// Sends so many bytes and, at the same time, takes them back. The message is over with the connection.
fn exchange(mut to: impl Write + Send + 'static, mut from: impl Read, size: usize) -> Outcome {
    let message: Vec<u8> = (0..=250).cycle().take(size).collect();
    let sent = message.clone();
    let writer = thread::spawn(move || to.write_all(&sent));
    let mut echo = vec![0; size];
    from.read_exact(&mut echo)?;
    writer.join().map_err(|_| "the writer panicked")??;
    assert!(echo == message, "the echo of {size} bytes differs");
    Ok(())
}

#[test]
fn a_pump_takes_everything_and_ends_with_its_client() -> Outcome {
    for layer in STREAM_LAYERS {
        let server = start(&["subject", layer, "pump"])?;
        let mut client = TcpStream::connect(server.line()?)?;
        client.write_all(&vec![1; LARGE])?;
        client.shutdown(Shutdown::Write)?;
        // An end, not a reset: all was read.
        assert_eq!(client.read_to_end(&mut Vec::new())?, 0, "{layer}");
        server.end()?;
    }
    Ok(())
}

#[test]
fn each_byte_of_a_request_is_answered_by_sixteen_writes() -> Outcome {
    for layer in STREAM_LAYERS {
        let server = start(&["subject", layer, "writes"])?;
        let mut client = TcpStream::connect(server.line()?)?;
        for request in [&b"1"[..], b"23"] {
            client.write_all(request)?;
            client.read_exact(&mut vec![0; request.len() * ANSWER])?;
        }
        client.shutdown(Shutdown::Write)?;
        assert_eq!(client.read_to_end(&mut Vec::new())?, 0, "{layer}: more than was asked for");
        server.end()?;
    }
    Ok(())
}

#[test]
fn bodies_of_every_size_go_down_and_up() -> Outcome {
    let server = start(&["subject", "http", "http/down-1m"])?;
    let address = server.line()?;
    for size in [0, 1 << 10, 64 << 10, 1 << 20] {
        let answer = ask(&address, &format!("GET /size/{size}"), b"")?;
        assert_eq!((answer.status(), answer.body.len()), ("200", size));
        assert_eq!(answer.field("content-length"), Some(&*size.to_string()), "{}", answer.head);
        let answer = ask(&address, "POST /sink", &vec![b'x'; size])?;
        assert_eq!((answer.status(), &*answer.body), ("200", &b"ok"[..]));
    }
    assert_eq!(ask(&address, "GET /size/1048577", b"")?.status(), "404");
    server.end()
}

#[test]
fn requests_without_bodies_are_answered_by_the_application_itself() -> Outcome {
    for benchmark in ["http/keep-alive", "http/pipelined", "http/connect"] {
        let server = start(&["subject", "http", benchmark])?;
        let address = server.line()?;
        assert_eq!(&*ask(&address, "GET /", b"")?.body, b"hello", "{benchmark}");
        assert_eq!(ask(&address, "GET /size/1", b"")?.status(), "404", "{benchmark}");
        server.end()?;
    }
    Ok(())
}

#[test]
fn the_workers_of_a_cluster_name_themselves_where_it_is_asked_for() -> Outcome {
    for policy in ["round-robin", "shared"] {
        let server = start(&["subject", "cluster", "cluster/evenness", "--policy", policy])?;
        let address = server.line()?;
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..10 {
            let answer = ask(&address, "GET /", b"")?;
            assert_eq!(&*answer.body, b"hello");
            let worker = answer.field("worker").ok_or_else(|| format!("no worker in {}", answer.head))?;
            *answers.entry(worker.to_owned()).or_default() += 1;
        }
        assert!(answers.keys().all(|worker| ["1", "2"].contains(&&**worker)), "{answers:?}");
        if policy == "round-robin" {
            assert_eq!(answers.into_values().collect::<Vec<_>>(), [5, 5]);
        }
        server.end()?;
        let server = start(&["subject", "cluster", "connect", "--policy", policy])?;
        assert_eq!(ask(&server.line()?, "GET /", b"")?.field("worker"), None);
        server.end()?;
    }
    Ok(())
}

#[test]
fn what_there_is_not_is_named() -> Outcome {
    for (words, named) in [
        (&["subject", "uv-core", "fly"][..], "\"fly\""),
        (&["subject", "http", "echo-64"], "\"echo-64\""),
        (&["subject", "cluster", "ticks"], "\"ticks\""),
        (&["floor", "loop/fly"], "loop/fly"),
    ] {
        let program = start(words)?;
        let error = program.error_line()?;
        assert!(error.contains(named), "{words:?}: {error}");
        assert_eq!(program.wait()?, Some(1), "{words:?}");
    }
    Ok(())
}

/// An answer, taken apart.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Asks on a connection of its own, which ends with the answer.
fn ask(address: &str, request: &str, body: &[u8]) -> Result<Answer, Box<dyn Error>> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    write!(
        client,
        "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    client.write_all(body)?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no end of a head")?;
    let body = answer.split_off(end + 4);
    Ok(Answer { head: String::from_utf8(answer)?, body })
}
