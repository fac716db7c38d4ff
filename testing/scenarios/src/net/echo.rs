//! Scenarios of `net`: what is sent arrives, in order and once, or the connection ends.

use crate::is_passing;
use ::net::upcall::SocketHandler;
use ::net::{ListenOptions, Result, Server, ServerOptions, Socket};
use std::cell::Cell;
use std::rc::Rc;
use testing::World;

/// Sends everything back, and ends when the peer does.
struct Echo(Rc<Cell<usize>>);

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // `false` for more than the high-water mark.
        if let Ok(false) = socket.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, socket: &Socket) {
        socket.resume();
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.set(self.0.get() + 1);
    }
}

/// A server that sends everything back. A peer gets a prefix of what it sent, and all of it unless a fault broke a
/// connection or kept one from being accepted.
pub(crate) fn echo(world: &World) -> std::result::Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let (closed, opened) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let server = Server::new(&env, ServerOptions::default());
    let path = world.path();
    let (counts, sockets) = (Rc::clone(&closed), Rc::clone(&opened));
    let listening: Result<()> = server.listen_with(ListenOptions::path(&path), move |_, socket| {
        sockets.set(sockets.get() + 1);
        socket.set_handler(Echo(Rc::clone(&counts)));
    });
    if listening.is_err() {
        return Ok(());
    }
    let mut peers = Vec::new();
    for _ in 0..=world.choose(4) {
        let Ok(peer) = world.peer(&path) else { break };
        let sent: Vec<u8> = (0..world.choose(100_000)).map(|at| (at % 251) as u8).collect();
        peer.send(&sent);
        peer.finish();
        peers.push((peer, sent));
    }
    if peers.is_empty() {
        return server.close().map_err(|error| error.to_string());
    }
    world.run_until(|| peers.iter().all(|(peer, _)| peer.is_ended()) || !server.is_listening())?;
    let is_excused = world.has_met(|fault| !is_passing(fault));
    for (peer, sent) in &peers {
        let received = peer.received();
        if !sent.starts_with(&received) {
            return Err(format!("{} bytes came back, and not those that were sent", received.len()));
        }
        if !is_excused && (received.len() < sent.len() || peer.end() != Some(Ok(()))) {
            let (count, all, end) = (received.len(), sent.len(), peer.end());
            return Err(format!("{count} of {all} bytes came back, the end was {end:?}, and nothing failed"));
        }
    }
    // Fails if the listening socket has failed.
    let _ = server.close();
    world.run()?;
    let (opened, closed) = (opened.get(), closed.get());
    if opened != closed || !is_excused && opened != peers.len() {
        return Err(format!("{} clients: {opened} sockets were opened and {closed} closed", peers.len()));
    }
    Ok(())
}
