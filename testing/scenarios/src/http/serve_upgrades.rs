//! Upgrades and tunnels for async functions: each is accepted, refused, or answered with 500 if its function fails, and behind an
//! acceptance the function has every byte that the client has sent.

use super::plan::{Dice, letters};
use super::wire::{Segment, Stream, head};
use super::{is_harmless, options, text};
use crate::awaits::let_go;
use ::http::serve::{Failure, OwnedRequest, Serving, Upgrade};
use ::http::{Response, Server};
use ::net::ListenOptions;
use ::net::futures::AsyncSocket;
use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;
use testing::World;

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It is not accepted before it is an upgrade.
    Ignored,
    /// After a time, if not at once.
    Accepted(Duration),
    Refused(Duration),
    Failed(Duration),
    Panicked,
    Dropped,
}

/// What a handler panics with by plan. No hook is called for it, which would print it.
struct Planned;

struct Told {
    env: Environment,
    answer: Answer,
    is_tunnel: bool,
    upgrades: Cell<u32>,
    /// Handlers of upgrades that have ended.
    ended: Cell<u32>,
    /// What was found to be wrong in a handler, whose panics are caught.
    wrong: RefCell<Vec<String>>,
}

impl Told {
    fn hold(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.wrong.borrow_mut().push(what());
        }
    }
}

async fn respond(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    Ok(response.end(request.path().as_bytes())?)
}

async fn upgraded(told: Rc<Told>, request: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    told.upgrades.set(told.upgrades.get() + 1);
    let _ended = OnDrop::new(|| told.ended.set(told.ended.get() + 1));
    let method = if told.is_tunnel { "CONNECT" } else { "GET" };
    told.hold(request.method() == method, || format!("an upgrade of {}", request.method()));
    match told.answer {
        Answer::Accepted(time) | Answer::Refused(time) | Answer::Failed(time) if !time.is_zero() => {
            told.env.sleep(time).await;
        }
        _ => {}
    }
    match told.answer {
        Answer::Accepted(_) => echo(&told, upgrade.accept(&[("X-Field", "1")])?).await,
        Answer::Refused(_) => Ok(upgrade.refuse(403, &[("X-Field", "1")])?),
        Answer::Failed(_) => Err("it has failed".into()),
        Answer::Panicked => resume_unwind(Box::new(Planned)),
        Answer::Dropped | Answer::Ignored => {
            told.hold(told.answer == Answer::Dropped, || "an offer that was not accepted".into());
            Ok(())
        }
    }
}

/// Sends back what comes; the reads that are dropped lose nothing.
async fn echo(told: &Told, mut socket: AsyncSocket) -> Result<(), Failure> {
    let mut buffer = [0; 3_000];
    loop {
        match let_go(&told.env, socket.read(&mut buffer)).await {
            None => {}
            Some(Ok(0)) => return Ok(socket.finish().await?),
            Some(Ok(count)) => socket.write_all(&buffer[..count]).await?,
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

pub(crate) fn serve_upgrades(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let server = Server::new(&env, options(world).allow_half_open(dice.one_in(2))).map_err(text)?;
    let time = Duration::from_micros(dice.pick(&[0, 0, 100, 20_000]));
    let answer = dice.pick(&[
        Answer::Ignored,
        Answer::Accepted(time),
        Answer::Accepted(time),
        Answer::Accepted(time),
        Answer::Refused(time),
        Answer::Failed(time),
        Answer::Panicked,
        Answer::Dropped,
    ]);
    let is_tunnel = dice.one_in(3);
    let (upgrades, ended, wrong) = Default::default();
    let told = Rc::new(Told { env, answer, is_tunnel, upgrades, ended, wrong });
    let (path, tell) = (world.path(), Rc::clone(&told));
    let accepts = answer != Answer::Ignored;
    let handler = Serving::new(respond).with_upgrades(
        move |request| accepts && request.path() != "/before",
        move |request, upgrade| upgraded(Rc::clone(&tell), request, upgrade),
    );
    if server.listen(ListenOptions::path(&path), handler).is_err() {
        return Ok(());
    }
    if let Ok(peer) = world.peer(&path) {
        let raw = letters(3, dice.pick(&[0, 1, 30, 5_000, 300_000]));
        let before = dice.below(4);
        let mut sent = b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n".repeat(before);
        sent.extend_from_slice(if is_tunnel {
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"
        } else {
            b"GET /offer HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo, other\r\n\r\n"
        });
        // Behind an offer that is ignored follows a request.
        let is_ignored = !accepts && !is_tunnel;
        sent.extend_from_slice(if is_ignored { b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n" } else { &raw });
        peer.send(&sent);
        let waits = dice.one_in(2);
        if !waits {
            peer.finish();
        }
        let stream = expected(before, answer, is_tunnel, &raw);
        let all: usize = stream.segments.iter().map(|segment| segment.bytes.len()).sum();
        world.run_until(|| {
            peer.is_ended() || waits && peer.received_len() >= all || !server.net().is_listening()
        })?;
        peer.finish();
        let place = stream.follow(&peer.received())?;
        if is_harmless(world) && place < stream.segments.len() {
            return Err(format!("{place} of {} parts came, and nothing failed", stream.segments.len()));
        }
        if is_harmless(world) && told.upgrades.get() != u32::from(accepts) {
            return Err(format!("{} functions were called", told.upgrades.get()));
        }
    }
    // Fails if the listening socket has failed.
    let _ = server.shutdown(Duration::from_secs(1));
    drop(server);
    world.run()?;
    if let Some(wrong) = told.wrong.borrow().first() {
        return Err(wrong.clone());
    }
    assert_eq!(told.upgrades, told.ended, "functions of upgrades that have not ended");
    Ok(())
}

/// What the client receives.
fn expected(before: usize, answer: Answer, is_tunnel: bool, raw: &[u8]) -> Stream {
    let mut stream = Stream::default();
    let mut add = |bytes| stream.segments.push(Segment { exchange: 0, bytes, is_optional: false });
    let keep = "Connection: keep-alive\r\nKeep-Alive: timeout=65\r\n";
    let whole = |status, connection: &str, lines: &str, length| {
        let mut out = Vec::new();
        head(&mut out, status, connection, lines, length);
        out
    };
    let served = |path: &str| {
        let mut out = whole(200, keep, "", Some(path.len()));
        out.extend_from_slice(path.as_bytes());
        out
    };
    let close = "Connection: close\r\n";
    (0..before).for_each(|_| add(served("/before")));
    match answer {
        Answer::Ignored if is_tunnel => add(whole(501, close, "", Some(0))),
        Answer::Ignored => {
            add(served("/offer"));
            add(served("/behind"));
        }
        Answer::Accepted(_) => {
            add(if is_tunnel {
                whole(200, "", "X-Field: 1\r\n", None)
            } else {
                whole(101, "Connection: Upgrade\r\n", "Upgrade: echo\r\nX-Field: 1\r\n", None)
            });
            if !raw.is_empty() {
                add(raw.to_vec());
            }
        }
        Answer::Refused(_) => add(whole(403, close, "X-Field: 1\r\n", Some(0))),
        Answer::Failed(_) | Answer::Panicked | Answer::Dropped => add(whole(500, close, "", Some(0))),
    }
    stream
}
