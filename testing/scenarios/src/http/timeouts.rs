//! Timeouts in virtual time: they come at their documented moments, never early, and never to a client that is active.

use super::plan::Dice;
use super::wire::{self, ANY};
use super::{is_harmless, is_prompt, options, text};
use ::http::{Request, Response, Server, ServerOptions};
use ::net::ListenOptions;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};

/// What passes between the end of the idle time that clients are told and the close.
const IDLE_BUFFER: Duration = Duration::from_secs(1);

/// How long handlers are waited for when the client has ended.
const AFTER_END: Duration = Duration::from_secs(3);

/// An event may come so much later than it happened, under faults.
const LATE: Duration = Duration::from_secs(4);

/// Turns take some time, and timers count in milliseconds.
const SLACK: Duration = Duration::from_millis(20);

/// A response of this length fills what a socket holds.
const LARGE: usize = 1_000_000;

/// The limits of a server.
struct Limits {
    request: Duration,
    headers: Duration,
    keep_alive: Duration,
    checking: Duration,
}

/// The responses that the program keeps.
type Kept = Rc<RefCell<Vec<Response>>>;

pub(crate) fn timeouts(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let limits = Limits::new(dice);
    let server = Server::new(&env, limits.apply(options(world))).map_err(text)?;
    let path = world.path();
    let kept = Kept::default();
    let keeps = Rc::clone(&kept);
    let listening = server.listen_with(ListenOptions::path(&path), move |request, response| {
        respond(request, response, &keeps);
    });
    drop(env);
    if listening.is_err() {
        return Ok(());
    }
    if let Ok(peer) = world.peer(&path) {
        peer.hurry();
        let case = Case { world, dice, limits: &limits, peer: &peer, server: &server };
        match dice.below(9) {
            0 => case.silent()?,
            1 => case.slow_head()?,
            2 => case.slow_body()?,
            3 => case.idle()?,
            4 => case.steady_request()?,
            5 => case.steady_requests()?,
            6 => case.stuck()?,
            7 => case.ended()?,
            _ => case.line_ends()?,
        }
    }
    // Fails if the listening socket has failed.
    let _ = server.shutdown(Duration::ZERO);
    kept.borrow_mut().clear();
    world.run()
}

/// Answers by the path.
fn respond(request: &Request<'_>, response: Response, kept: &Kept) {
    match request.path() {
        "/large" => {
            // An error means that the client has closed the connection.
            let _ = response.end(&vec![b'a'; LARGE]);
        }
        "/never" => {
            kept.borrow_mut().push(response);
        }
        _ => {
            let _ = response.end(b"ok");
        }
    }
}

impl Limits {
    fn new(dice: Dice<'_>) -> Self {
        let millis = |from: usize, to: usize| Duration::from_millis((from + dice.below(to - from)) as u64);
        let request = millis(10_000, 40_000);
        let headers = if dice.one_in(4) { request } else { millis(4_500, 9_000) };
        let keep_alive = Duration::from_secs(5 + dice.below(10) as u64);
        Self { request, headers, keep_alive, checking: millis(50, 1_000) }
    }

    fn apply(&self, options: ServerOptions) -> ServerOptions {
        options
            .request_timeout(self.request)
            .headers_timeout(self.headers)
            .keep_alive_timeout(self.keep_alive)
            .checking_interval(self.checking)
    }
}

struct Case<'a> {
    world: &'a World,
    dice: Dice<'a>,
    limits: &'a Limits,
    peer: &'a Peer,
    server: &'a Server,
}

impl Case<'_> {
    /// A client that sends nothing is disconnected without a response.
    fn silent(&self) -> Result<(), String> {
        self.ends_after(self.world.now(), self.limits.headers, "")
    }

    /// As is a client that sends only line ends.
    fn line_ends(&self) -> Result<(), String> {
        let begin = self.world.now();
        for _ in 0..3 {
            self.peer.send("\r\n");
            self.world.run_for(self.limits.headers / 5)?;
        }
        self.ends_after(begin, self.limits.headers, "")
    }

    /// A head that is not completed is answered with 408.
    fn slow_head(&self) -> Result<(), String> {
        let begin = self.world.now();
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n";
        let (first, second) = head.split_at(1 + self.dice.below(head.len() - 1));
        self.peer.send(first);
        self.world.run_for(self.limits.headers / 3)?;
        self.peer.send(second);
        self.ends_after(begin, self.limits.headers, "408")
    }

    /// A body that is not completed is answered with 408. Its time begins with its request, whatever was before.
    fn slow_body(&self) -> Result<(), String> {
        if self.dice.one_in(2) {
            self.peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            if !self.is_answered(1)? {
                return Ok(());
            }
            self.world.run_for(self.limits.keep_alive / 5)?;
        }
        let begin = self.world.now();
        self.peer.send("POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..5 {
            self.peer.send("a");
            self.world.run_for(self.limits.request / 6)?;
        }
        self.ends_after(begin, self.limits.request, "408")
    }

    /// After a response the connection waits for as long as the client was told, and a second more.
    fn idle(&self) -> Result<(), String> {
        let mut begin = self.world.now();
        for count in 1..=1 + self.dice.below(3) {
            begin = self.world.now();
            self.peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            if !self.is_answered(count)? {
                return Ok(());
            }
        }
        self.ends_after(begin, self.limits.keep_alive + IDLE_BUFFER, "200")
    }

    /// A request that is slow and within the limits is answered.
    fn steady_request(&self) -> Result<(), String> {
        let (head, body) = ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n", "abcdefgh");
        // Input that came in time may be reported late.
        let spare = LATE.min(self.limits.headers * 3 / 4);
        self.trickle(head, self.limits.headers - spare)?;
        self.trickle(body, self.limits.request.saturating_sub(self.limits.headers + LATE))?;
        let is_answered = self.is_answered(1)?;
        if !is_answered && is_prompt(self.world) {
            return Err(self.state("a client that was not late is not answered"));
        }
        Ok(())
    }

    fn trickle(&self, text: &str, time: Duration) -> Result<(), String> {
        for byte in text.bytes() {
            self.peer.send([byte]);
            self.world.run_for(time / (text.len() as u32 + 1))?;
        }
        Ok(())
    }

    /// A client that sends a request before its idle time is over is never disconnected.
    fn steady_requests(&self) -> Result<(), String> {
        for count in 1..=6 {
            self.peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            if !self.is_answered(count)? {
                let is_fault = is_harmless(self.world);
                return if is_fault { Err(self.state("an active client is disconnected")) } else { Ok(()) };
            }
            // A request that is under way for some time still comes before the close.
            let idle = (self.limits.keep_alive + IDLE_BUFFER).saturating_sub(LATE);
            self.world.run_for(self.dice.pick(&[idle / 3, idle]))?;
        }
        Ok(())
    }

    /// A client that fetches nothing of its response is cut off, unlike a client that fetches some now and then.
    fn stuck(&self) -> Result<(), String> {
        self.peer.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        let begin = self.world.now();
        self.peer.set_reading(false);
        let is_slow = self.dice.one_in(2);
        for _ in 0..if is_slow { 6 } else { 0 } {
            self.world.run_for(self.limits.request / 3)?;
            let before = self.peer.received_len();
            self.peer.set_reading(true);
            let peer = self.peer;
            self.world
                .run_until(|| peer.received_len() >= (before + 150_000).min(LARGE) || peer.is_ended())?;
            self.peer.set_reading(false);
        }
        if is_slow {
            self.peer.set_reading(true);
            let peer = self.peer;
            self.world.run_until(|| peer.received_len() > LARGE || peer.is_ended())?;
            if peer.received_len() <= LARGE && is_prompt(self.world) {
                return Err(self.state("a client that fetches its response is cut off"));
            }
            return Ok(());
        }
        self.world.run_until(|| {
            self.server.connections() > 0 || self.peer.is_ended() || !is_harmless(self.world)
        })?;
        while self.server.connections() > 0 {
            self.world.run_for(self.limits.checking)?;
            if self.world.now() > begin + self.limits.request * 3 + LATE {
                return Err("a client that fetches nothing stays".to_owned());
            }
        }
        self.comes_at(begin, self.limits.request, self.limits.checking * 4)
    }

    /// A client that has ended is kept for some seconds, in which its response may come.
    fn ended(&self) -> Result<(), String> {
        self.peer.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        self.peer.finish();
        let begin = self.world.now();
        self.ends_after(begin, AFTER_END, "")
    }

    /// Waits until so many responses are there. Returns `false` if the connection ends before.
    fn is_answered(&self, count: usize) -> Result<bool, String> {
        let mut right = Vec::new();
        let connection =
            format!("Connection: keep-alive\r\nKeep-Alive: timeout={}\r\n", self.limits.keep_alive.as_secs());
        for _ in 0..count {
            wire::head(&mut right, 200, &connection, "", Some(2));
            right.extend_from_slice(b"ok");
        }
        self.world.run_until(|| self.peer.received_len() >= right.len() || self.peer.is_ended())?;
        let received = self.peer.received();
        let is_prefix = received.len() <= right.len()
            && received.iter().zip(&right).all(|(byte, right)| byte == right || *right == ANY);
        if !is_prefix && !received.starts_with(b"HTTP/1.1 408") {
            return Err(self.state("another response came"));
        }
        Ok(is_prefix && received.len() == right.len())
    }

    /// The connection ends this long after `begin`, and the last response has this status.
    fn ends_after(&self, begin: Duration, limit: Duration, status: &str) -> Result<(), String> {
        self.world.run_until(|| self.peer.is_ended())?;
        if is_harmless(self.world) {
            let received = String::from_utf8_lossy(&self.peer.received()).into_owned();
            let last = received.rsplit("HTTP/1.1 ").next().unwrap_or_default();
            if !last.starts_with(status) || status.is_empty() != received.is_empty() {
                return Err(self.state(&format!("the last response is not {status:?}")));
            }
        }
        self.comes_at(begin, limit, self.limits.checking)
    }

    /// It is this long after `begin` now, or a little more.
    fn comes_at(&self, begin: Duration, limit: Duration, accuracy: Duration) -> Result<(), String> {
        let passed = self.world.now() - begin;
        if passed + Duration::from_millis(2) < limit && is_harmless(self.world) {
            return Err(self.state(&format!("the end came after {passed:?}, before {limit:?}")));
        }
        let late = if is_prompt(self.world) { SLACK } else { LATE * 4 };
        if passed > limit + accuracy + late && is_harmless(self.world) {
            return Err(self.state(&format!("the end came after {passed:?}, long after {limit:?}")));
        }
        Ok(())
    }

    fn state(&self, fault: &str) -> String {
        format!("{fault}: the client received {:?}", wire::shown(&self.peer.received()))
    }
}
