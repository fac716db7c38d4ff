//! `upcall proxy` as people use it: started, asked by what clients there are, and told to end.

mod program;

use program::Program;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// In one process, and with workers under both policies.
const WAYS: [&[&str]; 3] = [
    &["--workers", "0"],
    &["--workers", "2", "--policy", "round-robin"],
    &["--workers", "2", "--policy", "shared"],
];

/// A program that serves, and its address.
fn start(words: &[&str]) -> Outcome<(Program, SocketAddr, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upcall"));
    let program = Program::spawn(command.args(words).env_remove("RUST_LOG"))?;
    let line = program.line()?;
    let url = line.strip_prefix("listening on http://").ok_or_else(|| format!("it says {line:?}"))?;
    let address = url.split(' ').next().unwrap_or_default().parse()?;
    Ok((program, address, line))
}

/// `upcall serve`, and `upcall proxy` before it.
fn pair(way: &[&str]) -> Outcome<(Program, Program, SocketAddr)> {
    let (server, upstream, _) = start(&["serve", "--addr", "127.0.0.1:0", "--workers", "0"])?;
    let to = format!("http://{upstream}");
    let (proxy, address, line) = start(&[&["proxy", "--addr", "127.0.0.1:0", "--to", &to], way].concat())?;
    assert!(line.ends_with(&format!(", for {to}")), "{line}");
    Ok((server, proxy, address))
}

/// A response that ends with its connection.
fn ask(address: SocketAddr, request: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn what_is_served_is_served_through_a_proxy_too() -> Outcome {
    for way in WAYS {
        let (server, proxy, address) = pair(way)?;
        for _ in 0..8 {
            let answer = ask(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"),
                "{answer}"
            );
        }
        let fields = ask(address, "GET /headers HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
        assert!(fields.contains("\"x-forwarded-for\":\"127.0.0.1\""), "{fields}");
        proxy.end()?;
        server.end()?;
    }
    Ok(())
}

#[test]
fn an_upstream_that_is_not_there_is_told_and_left_out() -> Outcome {
    let closed = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let to = format!("http://{closed}");
    let (proxy, address, _) = start(&["proxy", "--addr", "127.0.0.1:0", "--to", &to, "--workers", "0"])?;
    let answer = ask(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    let said = proxy.error_line()?;
    assert!(said.contains(&format!("{to} is left out for 10s")), "{said}");
    proxy.end()
}

#[test]
fn an_address_that_is_in_use_is_told_at_once() -> Outcome {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let addr = taken.local_addr()?.to_string();
    for way in WAYS {
        let words = [&["proxy", "--addr", &addr, "--to", "http://127.0.0.1:1"], way].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_upcall")).args(words).output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(output.status.code() == Some(1) && said.contains("EADDRINUSE"), "{way:?}: {said}");
    }
    Ok(())
}

#[test]
fn a_request_that_is_under_way_is_answered_before_the_end() -> Outcome {
    for way in WAYS {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let to = format!("http://{}", listener.local_addr()?);
        let words = [&["proxy", "--addr", "127.0.0.1:0", "--to", &to], way].concat();
        let (proxy, address, _) = start(&words)?;
        let client = thread::spawn(move || {
            let answer = ask(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            answer.map_err(|error| error.to_string())
        });
        let (mut upstream, _) = listener.accept()?;
        let mut head = [0; 1024];
        assert!(upstream.read(&mut head)? > 0);
        let ending = thread::spawn(move || proxy.end().map_err(|error| error.to_string()));
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")?;
        let answer = client.join().map_err(|_| "the client has panicked")??;
        assert!(answer.ends_with("\r\n\r\nlast"), "{way:?}: {answer}");
        ending.join().map_err(|_| "the end has panicked")??;
    }
    Ok(())
}

#[test]
fn an_upgrade_and_a_method_of_the_upstream_s_own_pass_through_every_worker() -> Outcome {
    for way in WAYS {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let to = format!("http://{}", listener.local_addr()?);
        let (proxy, address, _) = start(&[&["proxy", "--addr", "127.0.0.1:0", "--to", &to], way].concat())?;
        let client = thread::spawn(move || {
            let offer = "BREW / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: tea\r\n\r\n";
            ask(address, offer).map_err(|error| error.to_string())
        });
        let (mut upstream, _) = listener.accept()?;
        let mut head = [0; 1024];
        let len = upstream.read(&mut head)?;
        assert!(head[..len].starts_with(b"BREW / HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head[..len]));
        upstream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tea\r\n\r\nearl grey",
        )?;
        drop(upstream);
        let answer = client.join().map_err(|_| "the client has panicked")??;
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("earl grey"), "{way:?}: {answer}");
        proxy.end()?;
    }
    Ok(())
}

/// What a program says that may not be on this machine.
fn of_program(command: &mut Command) -> Outcome<Option<Output>> {
    match command.output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: {command:?} is not on this machine");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[test]
fn curl_gets_and_sends_through_a_proxy() -> Outcome {
    let (server, proxy, address) = pair(&["--workers", "0"])?;
    let curl = |words: &[&str], path: &str| -> Outcome<Option<String>> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20"]).args(words).arg(format!("http://{address}{path}"));
        let Some(output) = of_program(&mut command)? else { return Ok(None) };
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Some(String::from_utf8(output.stdout)?))
    };
    let Some(hello) = curl(&[], "/")? else { return Ok(()) };
    assert_eq!(hello, "hello");
    assert_eq!(curl(&["-d", "some words"], "/echo")?.as_deref(), Some("some words"));
    let chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", "-d", "in chunks"];
    assert_eq!(curl(&chunked, "/echo")?.as_deref(), Some("in chunks"));
    assert_eq!(curl(&[], "/stream/100")?.map(|text| text.len()), Some(100 * 1024));
    let head = curl(&["-I"], "/")?.unwrap_or_default();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 5"), "{head}");
    proxy.end()?;
    server.end()
}

#[test]
fn node_s_client_gets_and_sends_through_a_proxy() -> Outcome {
    const SCRIPT: &str = "
        const http = require('node:http');
        const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
        const [host, port] = process.argv[1].split(':');
        const ask = (method, path, body) => new Promise((resolve, reject) => {
            const request = http.request({ agent, host, port, method, path }, (response) => {
                const parts = [];
                response.on('data', (part) => parts.push(part));
                response.on('end', () => resolve([response.statusCode, Buffer.concat(parts)]));
            });
            request.on('error', reject);
            for (const part of body ?? []) request.write(part);
            request.end();
        });
        (async () => {
            const same = (found, wanted) => { if (String(found) !== String(wanted)) throw Error(`${found} is not ${wanted}`); };
            for (let turn = 0; turn < 20; turn += 1) {
                same(await ask('GET', '/'), [200, 'hello']);
                same(await ask('POST', '/echo', ['one ', 'two ', 'three']), [200, 'one two three']);
            }
            const much = Buffer.alloc(3e6, 'y');
            const [status, echoed] = await ask('PUT', '/echo', [much, much]);
            same([status, echoed.length], [200, 6e6]);
            same((await ask('GET', '/stream/1000'))[1].length, 1024000);
            same((await ask('GET', '/nowhere'))[0], 404);
            agent.destroy();
        })();
    ";
    let (server, proxy, address) = pair(&["--workers", "0"])?;
    let mut node = Command::new("node");
    if let Some(output) = of_program(node.args(["-e", SCRIPT]).arg(address.to_string()))? {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    proxy.end()?;
    server.end()
}
