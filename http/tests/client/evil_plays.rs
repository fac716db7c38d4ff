//! The evil server itself: each line of a script does what it says.

use crate::evil::{Evil, Left, Script, Seen, Silent, Step, drip, pour, say};
use async_wrap::Environment;
use http::net::ConnectOptions;
use http::net::futures::AsyncSocket;
use std::time::Duration;

/// Plays a script to a client that sends `bytes` and ends. Returns what the client has read, and what the server has seen.
fn play(script: Script, bytes: &'static [u8]) -> (String, Seen) {
    let env = Environment::with_new_loop().expect("a loop");
    let evil = Evil::new(&env, [script]);
    let (address, inner) = (evil.address(), (*env).clone());
    let read = env.block_on(async move {
        let mut socket = AsyncSocket::connect(&inner, ConnectOptions::addr(address)).await?;
        let written = socket.write_all(bytes).await;
        let mut all = Vec::new();
        let end = match written {
            Ok(()) => {
                let _ = socket.finish().await;
                socket.read_to_end(&mut all).await.map(drop)
            }
            Err(error) => Err(error),
        };
        let end = end.err().and_then(|error| error.errno()).map_or(String::new(), |errno| errno.to_string());
        Ok::<_, net::Error>(String::from_utf8_lossy(&all).into_owned() + &end)
    });
    let read = read.expect("it ends").expect("it connects");
    let seen = evil.finish().remove(0);
    env.run_to_end().expect("the loop runs");
    (read, seen)
}

#[test]
fn a_script_waits_for_what_it_names_and_sends_what_it_has() {
    let script = vec![
        Step::Head,
        say("one "),
        Step::Bytes(3),
        drip("two "),
        Step::Until("end"),
        Step::Turns(2),
        pour("three ", 3),
        Step::End,
        say("four"),
        Step::Fin,
    ];
    let (read, seen) = play(script, b"a\r\n\r\nabc and the end");
    assert_eq!(read, "one two three three three four");
    assert_eq!(
        (seen.text().as_str(), seen.left, seen.unplayed),
        ("a\r\n\r\nabc and the end", Left::ByFin, 0)
    );
}

#[test]
fn the_rest_of_a_script_is_told() {
    let (_, seen) = play(vec![Step::Head, Step::Close, say("never")], b"a\r\n\r\n");
    assert_eq!((seen.heads(), seen.unplayed), (1, 1));
}

#[test]
fn a_reset_comes_behind_what_was_sent() {
    let (read, _) = play(vec![Step::Head, say("last"), Step::Reset], b"a\r\n\r\n");
    assert!(read.starts_with("last") && read.contains("ECONNRESET"), "{read}");
    let (read, seen) = play(vec![Step::Deaf, Step::Turns(2), say("hi"), Step::Close], b"unread");
    assert!(read.contains("ECONNRESET") && seen.received.is_empty(), "{read}");
}

#[test]
fn a_silent_server_takes_no_connection() {
    let env = Environment::with_new_loop().expect("a loop");
    let (silent, inner) = (Silent::new(&env), (*env).clone());
    let options = ConnectOptions::addr(silent.address());
    let connected = env.block_on(async move {
        let connecting = Box::pin(AsyncSocket::connect(&inner, options));
        inner.timeout(Duration::from_millis(50), connecting).await.is_ok()
    });
    assert_eq!(connected, Ok(false));
    drop(silent);
    env.run_to_end().expect("the loop runs");
}
