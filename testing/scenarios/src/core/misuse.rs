//! Calls that make no sense: on handles that are closed, or have nothing to do it with. Each is an error and never a panic.

use super::{dice, one_in};
use std::time::Duration;
use testing::World;
use uv_core::process::{Process, SpawnOptions, Stdio};
use uv_core::socket::KeepAlive;
use uv_core::{
    Async, BindOptions, Check, Idle, Loop, LoopHandle, Pipe, Prepare, RunMode, Signal, Stream, Tcp, Timer,
};

/// Random calls on handles of every kind and in every state.
pub(crate) fn wrong_calls(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("misused") else { return Ok(()) };
    misuse(world, &event_loop);
    event_loop.close_all();
    world.run()?;
    // And on a loop that is dropped.
    let Ok(dropped) = Loop::new() else { return Ok(()) };
    let handle = LoopHandle::clone(&dropped);
    let (timer, tcp, pipe) = (Timer::new(&handle), Tcp::new(&handle), Pipe::new_ipc(&handle));
    let opened = pipe.open_pair();
    drop(dropped);
    drop(opened);
    // All of these are refused.
    for _ in 0..dice(12) {
        call_stream(&tcp);
        call_stream(&pipe);
        call_timer(&timer);
        call_tcp(&tcp);
        call_pipe(world, &pipe);
    }
    assert!(handle.run(RunMode::NoWait).is_err() || !handle.is_alive(), "a dropped loop is alive");
    Ok(())
}

fn misuse(world: &World, event_loop: &LoopHandle) {
    // One without a socket, and one with a socket that is neither bound nor connected.
    let early = Tcp::new_v4(event_loop).unwrap_or_else(|_| Tcp::new(event_loop));
    let tcps = [Tcp::new(event_loop), early];
    let pipes = [Pipe::new(event_loop), Pipe::new_ipc(event_loop)];
    let timer = Timer::new(event_loop);
    let signal = Signal::new(event_loop);
    let idle = Idle::new(event_loop);
    let prepare = Prepare::new(event_loop);
    let check = Check::new(event_loop);
    let wake = Async::new(event_loop, |_: &Async| {});
    for _ in 0..dice(60) {
        let (tcp, pipe) = (&tcps[dice(2) as usize], &pipes[dice(2) as usize]);
        match dice(14) {
            0..2 => call_stream(tcp),
            2..5 => call_stream(pipe),
            5..7 => call_tcp(tcp),
            7..9 => call_pipe(world, pipe),
            9 => call_timer(&timer),
            10 => {
                signal.stop();
                drop(signal.start(dice(70) as i32 - 3, |_: &Signal, _| {}));
                signal.stop();
            }
            11 => {
                drop(idle.start(|idle: &Idle| idle.stop()));
                drop(prepare.start(|prepare: &Prepare| prepare.stop()));
                drop(check.start(|check: &Check| check.stop()));
                wake.sender().send();
            }
            12 => close_one(event_loop),
            // Fails with a fault of the world.
            _ => drop(event_loop.run(RunMode::NoWait)),
        }
    }
    let spawned = Process::spawn(
        event_loop,
        &SpawnOptions::new("a\0b").stdio([Stdio::Pipe(pipes[0].clone())]),
        |_: &Process, _| {},
    );
    assert!(spawned.is_err(), "a program with a NUL was started");
}

fn close_one(event_loop: &LoopHandle) {
    event_loop.walk(|handle| {
        if one_in(12) {
            handle.close();
            handle.ref_();
            handle.unref();
        }
    });
}

fn call_stream(stream: &Stream) {
    match dice(16) {
        0 => drop(stream.accept()),
        1 => drop(stream.accept_fd()),
        2 => drop(stream.try_accept_fd()),
        3 => drop(stream.listen_with(dice(3) as u32, |_: &Stream, _| {})),
        4 => drop(stream.read_start()),
        5 => stream.read_stop(),
        6 => drop(stream.write("data")),
        7 => drop(stream.writev([])),
        8 => drop(stream.try_write(b"data")),
        9 => drop(stream.shutdown()),
        10 => stream.notify(),
        11 => drop((stream.fileno(), stream.try_clone_fd(), stream.unacknowledged())),
        12 => drop((stream.stop_handshakes(), stream.resume_handshakes())),
        13 => drop((stream.send_buffer_size(), stream.set_recv_buffer_size(dice(1 << 40) as usize))),
        14 => stream.surround_next_event(|| ()),
        _ => stream.set_accept_batch(dice(2) as u32),
    }
}

fn call_tcp(tcp: &Tcp) {
    let nowhere = ([127, 0, 0, 1], 1).into();
    match dice(9) {
        0 => drop(tcp.bind(([127, 0, 0, 1], 0).into(), BindOptions::default())),
        1 => drop(tcp.bind(([0; 8], 0).into(), BindOptions::default().ipv6_only(one_in(2)))),
        2 => drop(tcp.bind(nowhere, BindOptions::default().ipv6_only(true))),
        3 => drop(tcp.connect(nowhere)),
        4 => drop((tcp.local_addr(), tcp.peer_addr())),
        5 => drop(tcp.set_nodelay(true)),
        6 => drop(tcp.set_keepalive(Some(KeepAlive::after(Duration::from_millis(dice(3_000)))))),
        7 if one_in(4) => drop(tcp.close_reset()),
        _ => drop(tcp.listen_with(1, |_: &Stream, _| {})),
    }
}

fn call_pipe(world: &World, pipe: &Pipe) {
    match dice(9) {
        0 => drop(pipe.bind(world.path())),
        1 => drop(pipe.bind("")),
        2 => drop(pipe.bind("x".repeat(200))),
        3 => drop(pipe.connect(world.path())),
        4 => drop(pipe.open_pair()),
        5 => drop(pipe.write_fds("data", Vec::new())),
        6 => drop(pipe.write_fds("", Vec::new())),
        7 => drop((pipe.pending_count(), pipe.take_received(), pipe.chmod(one_in(2), one_in(2)))),
        _ => drop((pipe.local_name(), pipe.peer_name(), pipe.try_write_fds(b"", &[]))),
    }
}

fn call_timer(timer: &Timer) {
    match dice(5) {
        0 => drop(timer.again()),
        1 => drop(timer.restart(Duration::MAX)),
        2 => drop(timer.start(Duration::ZERO, Duration::ZERO, |_: &Timer| {})),
        3 => timer.stop(),
        _ => timer.set_repeat(Duration::MAX),
    }
}
