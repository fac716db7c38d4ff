//! Scenarios of `http`: each request is answered once and in order, whatever meets the connection.

use ::http::{Server, ServerOptions};
use ::net::ListenOptions;
use std::time::Duration;
use testing::World;

/// Well-formed pipelines: what a client receives is a prefix of the right answers.
pub(crate) fn conversations(world: &World) -> Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let server = Server::new(&env, ServerOptions::default()).map_err(|error| error.to_string())?;
    let path = world.path();
    let listening = server.listen_with(ListenOptions::path(&path), |request, response| {
        let body = request.path().to_owned();
        // An error means that the client has closed.
        let _ = response.end(body.as_bytes());
    });
    if listening.is_err() {
        return Ok(());
    }
    let Ok(peer) = world.peer(&path) else {
        return server.close().map_err(|error| error.to_string());
    };
    let count = 1 + world.choose(8);
    for number in 0..count {
        peer.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    peer.finish();
    world.run_until(|| peer.is_ended())?;
    let received = String::from_utf8_lossy(&peer.received()).into_owned();
    let mut rest = &received[..];
    for number in 0..count {
        let Some(at) = rest.find("\r\n\r\n") else { break };
        let (head, body) = rest.split_at(at + 4);
        let expected = format!("/{number}");
        if !head.starts_with("HTTP/1.1 200 OK\r\n")
            || !(body.starts_with(&expected) || body.len() < expected.len())
        {
            return Err(format!("request {number} was answered by {rest:?}"));
        }
        rest = body.strip_prefix(&expected[..]).unwrap_or_default();
    }
    server.shutdown(Duration::from_secs(1)).map_err(|error| error.to_string())?;
    world.run()
}
