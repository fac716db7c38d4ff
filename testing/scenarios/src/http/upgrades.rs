//! Upgrades and tunnels: the socket goes to the program with every byte behind the request, or the offer is ignored.

use super::plan::{Dice, letters};
use super::wire::{Segment, Stream, head};
use super::{is_harmless, options, text};
use ::http::upcall::RequestHandler;
use ::http::{Request, Response, Server};
use ::net::upcall::SocketHandler;
use ::net::{ListenOptions, Socket};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use testing::World;

/// What the program is told.
#[derive(Default)]
struct Told {
    upgrades: Cell<u32>,
    closed: Cell<u32>,
    server_closed: Cell<u32>,
}

/// Accepts offers or not, and sends back what comes behind them.
struct Program {
    told: Rc<Told>,
    accepts: bool,
    /// It takes the socket and drops it.
    drops: bool,
}

struct Echo(Rc<Told>);

pub(crate) fn upgrades(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let server = Server::new(&env, options(world).allow_half_open(dice.one_in(2))).map_err(text)?;
    drop(env);
    let (accepts, drops, is_tunnel) = (!dice.one_in(4), dice.one_in(8), dice.one_in(3));
    let told = Rc::new(Told::default());
    let path = world.path();
    let program = Program { told: Rc::clone(&told), accepts, drops };
    if server.listen(ListenOptions::path(&path), program).is_err() {
        return Ok(());
    }
    if let Ok(peer) = world.peer(&path) {
        let raw = letters(3, dice.pick(&[0, 1, 30, 5_000, 300_000]));
        let before = dice.below(4);
        let mut sent = b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n".repeat(before);
        sent.extend_from_slice(if is_tunnel {
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"
        } else {
            b"GET /offer HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        });
        // Behind an offer that is ignored follows a request.
        let is_ignored = !accepts && !is_tunnel;
        sent.extend_from_slice(if is_ignored { b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n" } else { &raw });
        peer.send(&sent);
        let waits = dice.one_in(2) && !drops;
        if !waits {
            peer.finish();
        }
        let stream = expected(before, accepts, drops, is_tunnel, &raw);
        let all: usize = stream.segments.iter().map(|segment| segment.bytes.len()).sum();
        world.run_until(|| {
            peer.is_ended() || waits && peer.received_len() >= all || !server.net().is_listening()
        })?;
        peer.finish();
        let place = stream.follow(&peer.received())?;
        if is_harmless(world) && !stream.is_broken && place < stream.segments.len() {
            return Err(format!("{place} of {} parts came, and nothing failed", stream.segments.len()));
        }
        let count = u32::from(accepts);
        if is_harmless(world) && told.upgrades.get() != count {
            return Err(format!("on_upgrade was called {} times", told.upgrades.get()));
        }
    }
    // Fails if the listening socket has failed.
    let ended = server.shutdown(Duration::from_secs(1));
    world.run()?;
    match (told.upgrades.get(), told.closed.get(), told.server_closed.get()) {
        (upgrades, closed, _) if !drops && upgrades != closed => {
            Err(format!("{upgrades} connections left HTTP, and {closed} were closed"))
        }
        (_, _, closed) if closed != 1 && ended.is_ok() => {
            Err(format!("on_close of the server was called {closed} times"))
        }
        _ => Ok(()),
    }
}

/// What the client receives.
fn expected(before: usize, accepts: bool, drops: bool, is_tunnel: bool, raw: &[u8]) -> Stream {
    let mut stream = Stream::default();
    let mut add = |bytes| stream.segments.push(Segment { exchange: 0, bytes, is_optional: false });
    let answer = |path: &str| {
        let mut out = Vec::new();
        head(&mut out, 200, "Connection: keep-alive\r\nKeep-Alive: timeout=65\r\n", "", Some(path.len()));
        out.extend_from_slice(path.as_bytes());
        out
    };
    (0..before).for_each(|_| add(answer("/before")));
    match (accepts, is_tunnel) {
        (true, _) if drops => {}
        (true, _) => {
            add(b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec());
            if !raw.is_empty() {
                add(raw.to_vec());
            }
        }
        (false, true) => {
            let mut out = Vec::new();
            head(&mut out, 501, "Connection: close\r\n", "", Some(0));
            add(out);
        }
        (false, false) => {
            add(answer("/offer"));
            add(answer("/behind"));
        }
    }
    stream
}

impl RequestHandler for Program {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        // An error means that the client has closed the connection.
        let _ = response.end(request.path().as_bytes());
    }

    fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
        self.accepts
    }

    fn on_upgrade(&mut self, _: &Request<'_>, socket: Socket, head: &[u8]) {
        self.told.upgrades.set(self.told.upgrades.get() + 1);
        if self.drops {
            return;
        }
        // An error means that the client has closed the connection.
        let _ = socket.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        let _ = socket.write(head);
        socket.set_handler(Echo(Rc::clone(&self.told)));
    }

    fn on_error(&mut self, _: &Server, _: ::net::Error) {}

    fn on_close(&mut self, _: &Server) {
        self.told.server_closed.set(self.told.server_closed.get() + 1);
    }
}

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        if let Ok(false) = socket.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, socket: &Socket) {
        socket.resume();
    }

    fn on_end(&mut self, socket: &Socket) {
        // It has ended already unless it may be half-open.
        socket.end();
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.closed.set(self.0.closed.get() + 1);
    }
}
