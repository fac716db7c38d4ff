//! Two loops that talk over Unix sockets or TCP: random writes, pauses, shutdowns and closes, connects and accepts.

use super::end::{Ends, Request};
use super::{dice, one_in};
use crate::is_passing;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::{BindOptions, LoopHandle, Pipe, Result, Stream, Tcp};

/// Over Unix sockets, which deliver in this thread: a seed replays exactly.
pub(crate) fn unix(world: &World) -> Result<(), String> {
    let path = world.path();
    let listen = |event_loop: &LoopHandle| {
        let pipe = Pipe::new(event_loop);
        let bound = pipe.bind(&path);
        (Stream::clone(&pipe), bound)
    };
    converse(world, dice(8) as u32, listen, |event_loop, _| connect_pipe(event_loop, &path))
}

/// Over TCP, whose segments another thread of the kernel may deliver.
pub(crate) fn tcp(world: &World) -> Result<(), String> {
    let listen = |event_loop: &LoopHandle| {
        let tcp = Tcp::new(event_loop);
        let bound = tcp.bind((world.loopback(), 0).into(), BindOptions::default());
        (Stream::clone(&tcp), bound)
    };
    // The kernel ignores SYNs beyond the backlog, and their repetition takes real time.
    converse(world, 64, listen, |event_loop, listener| {
        let address = Tcp::from_stream(listener).and_then(|tcp| tcp.local_addr().ok());
        let tcp = Tcp::new(event_loop);
        let connected = match address {
            Some(address) => tcp.connect(address),
            None => tcp.connect(([127, 0, 0, 1], 1).into()),
        };
        (Stream::clone(&tcp), connected)
    })
}

fn connect_pipe(event_loop: &LoopHandle, path: &Path) -> (Stream, Result<()>) {
    let pipe = Pipe::new(event_loop);
    let connected = pipe.connect(path);
    (Stream::clone(&pipe), connected)
}

fn converse(
    world: &World,
    backlog: u32,
    listen: impl Fn(&LoopHandle) -> (Stream, Result<()>),
    connect: impl Fn(&LoopHandle, &Stream) -> (Stream, Result<()>),
) -> Result<(), String> {
    let (Ok(server), Ok(client)) = (world.event_loop("server"), world.event_loop("client")) else {
        return Ok(());
    };
    let ends = Rc::new(Ends::default());
    let (listener, bound) = listen(&server);
    let accepts = Rc::clone(&ends);
    let listening = bound.and_then(|()| {
        listener.set_accept_batch(dice(5) as u32);
        listener.listen_with(backlog, move |listener, status| {
            assert!(!listener.is_closing(), "on_connection of a closed listener");
            // A connection that is not taken holds the listener until it is.
            if status.is_ok() && !one_in(4) {
                take(&accepts, listener);
            }
        })
    });
    if listening.is_err() {
        listener.close();
        return Ok(());
    }
    for _ in 0..=dice(4) {
        let (stream, connected) = connect(&client, &listener);
        let end = ends.add(&stream, if connected.is_ok() { Request::Open } else { Request::None });
        if connected.is_err() {
            end.give_up();
        }
    }
    let closes_listener_at = dice(120);
    for step in 0..dice(60) {
        if step == closes_listener_at {
            listener.close();
        }
        take(&ends, &listener);
        if let Some(end) = ends.any() {
            end.act();
        }
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(3_000)))?;
            if !world.has_stalled() {
                ends.took_turn();
            }
        }
    }
    finish(world, &ends, &listener)
}

/// Takes a connection that waits, sometimes without a handle of its own.
fn take(ends: &Rc<Ends>, listener: &Stream) {
    let accepted = match dice(3) {
        0 => listener.accept_fd().map(|fd| Stream::from_fd(listener.loop_handle(), fd)),
        _ => listener.accept().map(Ok),
    };
    // `EAGAIN` without a connection.
    let Ok(stream) = accepted else { return };
    ends.accepted.set(ends.accepted.get() + 1);
    // Not every connection that its client has reset can be adopted.
    if let Ok(stream) = stream {
        let end = ends.add(&stream, Request::None);
        if !one_in(4) {
            end.act();
        }
    }
}

/// All connections are taken and come to their end.
fn finish(world: &World, ends: &Rc<Ends>, listener: &Stream) -> Result<(), String> {
    ends.finish();
    let was_closed = listener.is_closing();
    let is_excused = || was_closed || world.has_met(|fault| !is_passing(fault));
    let has_turned = Cell::new(false);
    let finished = world.run_until(|| {
        // The first call is before the first turn.
        if has_turned.replace(true) && !world.has_stalled() {
            ends.took_turn();
        }
        take(ends, listener);
        // Connections that were not taken end with the listener.
        if ends.have_connected() && (ends.accepted.get() >= ends.connected() || is_excused()) {
            listener.close();
        }
        ends.finish();
        ends.are_closed() && listener.is_closing()
    });
    if finished.is_ok() {
        ends.check(is_excused());
    }
    ends.clear();
    finished
}
