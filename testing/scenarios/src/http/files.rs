//! Responses that end with a file: what a client receives is the file, whole or in part, in the order of its requests,
//! whatever sendfile(2) takes at a time; and each response is told once of its end.

use super::{is_harmless, options, text};
use crate::core::{Folder, bytes_at, dice, one_in};
use ::http::upcall::ResponseHandler;
use ::http::{Request, Response, Server};
use ::net::ListenOptions;
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::fs;
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};
use uv_core::file::File;

/// Every answer is complete long before.
const LONGEST: Duration = Duration::from_secs(60);

/// How a request is answered.
struct Answer {
    /// The number of the file, and the part of it; without a file these are bytes of the program.
    file: Option<usize>,
    start: u64,
    end: u64,
    is_head: bool,
    pause: Option<Duration>,
    ends: Cell<u64>,
}

/// What the server's program knows.
struct Plan {
    env: Environment,
    files: Vec<File>,
    /// By client.
    answers: Vec<Vec<Rc<Answer>>>,
}

impl Answer {
    fn new(lens: &[u64]) -> Rc<Self> {
        let file = (!one_in(4)).then(|| dice(lens.len() as u64) as usize);
        let len = file.map_or(3_000, |file| lens[file]);
        let start = if one_in(2) { 0 } else { dice(len + 1) };
        let end = if one_in(2) { len } else { start + dice(len - start + 1) };
        let pause = one_in(3).then(|| Duration::from_micros(dice(20_000)));
        Rc::new(Self { file, start, end, is_head: one_in(8), pause, ends: Cell::new(0) })
    }

    fn body(&self) -> Vec<u8> {
        bytes_at(self.file.map_or(100, |file| file), self.start, self.end - self.start)
    }
}

/// Counts the end of a response.
struct Ends(Rc<Answer>);

impl ResponseHandler for Ends {
    fn on_finish(&mut self, _: &Response) {
        self.0.ends.set(self.0.ends.get() + 1);
    }

    fn on_close(&mut self, _: &Response) {
        self.0.ends.set(self.0.ends.get() + 1);
    }
}

impl Plan {
    fn respond(&self, request: &Request<'_>, response: Response) {
        let mut parts = request.path()[1..].split('/').map(|part| part.parse::<usize>().expect("a number"));
        let (client, number) = (parts.next().expect("a client"), parts.next().expect("a number"));
        let answer = Rc::clone(&self.answers[client][number]);
        response.set_handler(Ends(Rc::clone(&answer)));
        let file = answer.file.map(|file| self.files[file].clone());
        let send = move || {
            // Fails if the client has left, or by a fault.
            let _ = match file {
                Some(file) => response.send_file(file.range(answer.start..answer.end).expect("a range")),
                None => response.end(&answer.body()),
            };
        };
        match self.answers[client][number].pause {
            Some(pause) => drop(self.env.set_timeout(pause, send)),
            None => send(),
        }
    }
}

pub(crate) fn files(world: &World) -> Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let folder = Folder::new();
    let lens = [dice(20), 1 + dice(9_000), 100_000 + dice(400_000)];
    let mut files = Vec::new();
    for (number, len) in lens.into_iter().enumerate() {
        let path = folder.write(&number.to_string(), &bytes_at(number, 0, len));
        let file = fs::File::open(&path).map_err(text)?;
        // Fails by a fault.
        let Ok(file) = File::from_std(env.loop_handle(), file, &path) else { return Ok(()) };
        files.push(file);
    }
    let clients = 1 + dice(3) as usize;
    let answers: Vec<Vec<_>> =
        (0..clients).map(|_| (0..1 + dice(6)).map(|_| Answer::new(&lens)).collect()).collect();
    let plan = Rc::new(Plan { env: env.clone(), files, answers });
    let server = Server::new(&env, options(world)).map_err(text)?;
    let program = Rc::clone(&plan);
    let address = world.path();
    let respond = move |request: &Request<'_>, response: Response| program.respond(request, response);
    if server.listen_with(ListenOptions::path(&address), respond).is_err() {
        return Ok(());
    }
    drop(env);
    let mut peers = Vec::new();
    for client in 0..clients {
        // Fails if the backlog is full.
        let Ok(peer) = world.peer(&address) else { continue };
        peers.push((client, peer));
    }
    for (client, peer) in &peers {
        for (number, answer) in plan.answers[*client].iter().enumerate() {
            let method = if answer.is_head { "HEAD" } else { "GET" };
            peer.send(format!("{method} /{client}/{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
            if one_in(3) {
                world.run_for(Duration::from_micros(1 + dice(3_000)))?;
            }
            peer.set_reading(!one_in(3));
        }
    }
    let leaver = one_in(6).then(|| dice(peers.len() as u64) as usize);
    finish(world, &plan, &peers, leaver)?;
    // Fails if the listening socket has failed.
    let _ = server.shutdown(Duration::from_secs(120));
    drop((server, peers));
    world.run()?;
    for answer in plan.answers.iter().flatten() {
        if answer.ends.get() > 1 {
            return Err(format!("a response has ended {} times", answer.ends.get()));
        }
    }
    Ok(())
}

/// Everyone gets everything, except a client that leaves.
fn finish(world: &World, plan: &Plan, peers: &[(usize, Peer)], leaver: Option<usize>) -> Result<(), String> {
    let until = world.now() + LONGEST;
    for (at, (_, peer)) in peers.iter().enumerate() {
        if leaver == Some(at) {
            peer.close();
        }
        peer.set_reading(true);
    }
    for (at, (client, peer)) in peers.iter().enumerate() {
        let answers = &plan.answers[*client];
        if leaver == Some(at) {
            continue;
        }
        let failure = RefCell::new(None);
        world.run_until(|| {
            let count = follow(&peer.received(), answers).unwrap_or_else(|error| {
                failure.replace(Some(error));
                answers.len()
            });
            count == answers.len() || peer.is_ended() || world.now() > until
        })?;
        if let Some(error) = failure.take() {
            return Err(error);
        }
        let count = follow(&peer.received(), answers)?;
        if count < answers.len() && is_harmless(world) {
            return Err(format!("{count} of {} answers came, and nothing failed", answers.len()));
        }
        if count == answers.len() {
            let unfinished = || answers.iter().filter(|answer| answer.ends.get() == 0).count();
            // The kernel has taken what the client has; the report may be on its way.
            let until = world.now() + LONGEST;
            world.run_until(|| unfinished() == 0 || world.now() > until)?;
            if unfinished() > 0 && is_harmless(world) {
                return Err(format!("{} responses are not told of their end", unfinished()));
            }
        }
    }
    Ok(())
}

/// How many answers are complete; an error if what came is not what was to come.
fn follow(mut received: &[u8], answers: &[Rc<Answer>]) -> Result<usize, String> {
    for (count, answer) in answers.iter().enumerate() {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(count);
        };
        let head = String::from_utf8_lossy(&received[..end]);
        if !head.starts_with("HTTP/1.1 200 OK\r\n") {
            return Err(format!("another answer: {head}"));
        }
        let body = answer.body();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let is_right = match length {
            Some(length) => length == body.len().to_string(),
            // The length of a body that is empty need not be told to HEAD.
            None => answer.is_head && body.is_empty(),
        };
        if !is_right {
            return Err(format!("another length than {}: {head}", body.len()));
        }
        received = &received[end + 4..];
        if answer.is_head {
            continue;
        }
        let here = received.len().min(body.len());
        if received[..here] != body[..here] {
            return Err(format!("other bytes in answer {count}"));
        }
        if here < body.len() {
            return Ok(count);
        }
        received = &received[here..];
    }
    if received.is_empty() { Ok(answers.len()) } else { Err("more than was asked for".into()) }
}
