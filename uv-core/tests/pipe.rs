//! Unix sockets and pipes.

mod common;

use common::*;
use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use uv_core::socket::PipeName;
use uv_core::{Errno, Pipe, Prepare, RunMode};

/// A listening pipe that passes every connection to `take`.
fn serve_at(event_loop: &TestLoop, name: &std::ffi::OsStr, mut take: impl FnMut(Pipe) + 'static) -> Pipe {
    let server = Pipe::new(event_loop);
    server.bind(name).expect("bind");
    let listener = server.clone();
    server
        .listen_with(128, move |_, status| {
            status.expect("a connection");
            take(listener.accept().expect("accept"));
        })
        .expect("listen");
    server
}

#[test]
fn a_connection_over_a_path_carries_bytes_both_ways() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let seen = log.clone();
    let server = serve_at(&event_loop, path.path().as_os_str(), move |connection| {
        let echo = connection.clone();
        connection.set_upcall(
            Tower::new(&seen, "server").on_read(move |data| assert_eq!(echo.try_write(data), Ok(data.len()))),
        );
        connection.read_start().expect("read_start");
    });
    let client = Pipe::new(&event_loop);
    let writer = client.clone();
    client.set_upcall(Tower::new(&log, "client").on_connect(move |_| {
        writer.read_start().expect("read_start");
        writer.write("hello").expect("write");
    }));
    client.connect(path.path()).expect("connect");
    assert!(log.lines().is_empty());
    event_loop.until(|| log.has("client read 5"));
    assert_eq!(client.peer_name(), Ok(PipeName::Path(path.path())));
    assert_eq!(server.local_name().expect("a name").as_path(), Some(&*path.path()));
    event_loop.close_and_finish();
}

#[test]
fn a_socket_that_somebody_else_bound_can_be_listened_on() {
    let event_loop = test_loop();
    let path = socket_path();
    let binder = Pipe::new(&event_loop);
    binder.bind(path.path()).expect("bind");
    let server = Pipe::new(&event_loop);
    server.open(binder.try_clone_fd().expect("a second descriptor")).expect("open");
    assert!(!server.is_readable() && !server.is_writable());
    assert_eq!(errno(server.bind(path.path())), Errno::EINVAL, "bound already");
    let log = Log::new();
    let (listener, seen) = (server.clone(), log.clone());
    server
        .listen_with(8, move |_, _| {
            listener.accept().expect("accept").close();
            seen.add("accepted");
        })
        .expect("listen");
    let _client = UnixStream::connect(path.path()).expect("connect");
    event_loop.until(|| log.has("accepted"));
    event_loop.close_and_finish();
}

// libuv: pipe_connect_bad_name, pipe_connect_to_file
#[test]
fn a_failed_connect_is_reported_by_on_connect_only() {
    let event_loop = test_loop();
    let path = socket_path();
    let log = Log::new();
    std::fs::write(path.path(), "a file").expect("write");
    let (missing, file) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    missing.set_upcall(Tower::new(&log, "missing"));
    missing.connect(path.folder().join("missing")).expect("connect");
    file.set_upcall(Tower::new(&log, "file"));
    file.connect(path.path()).expect("connect");
    assert_eq!(errno(file.connect(path.path())), Errno::EALREADY);
    assert!(log.lines().is_empty() && event_loop.is_alive());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["missing connect ENOENT", "file connect ECONNREFUSED"]);
    event_loop.close_and_finish();
}

// libuv: pipe_connect_on_prepare
#[test]
fn a_failed_connect_begun_in_a_prepare_watcher_is_reported() {
    let event_loop = test_loop();
    let log = Log::new();
    let (pipe, prepare) = (Pipe::new(&event_loop), Prepare::new(&event_loop));
    let (connecting, called) = (pipe.clone(), Cell::new(0));
    prepare
        .start(move |_: &Prepare| {
            called.set(called.get() + 1);
            let expected = if called.get() == 1 { Ok(()) } else { Err(Errno::EALREADY) };
            let connected = connecting.connect("/no/such/folder/socket");
            assert_eq!(connected.map_err(|error| error.errno()), expected);
        })
        .expect("start");
    let closing = pipe.clone();
    pipe.set_upcall(Tower::new(&log, "pipe").on_connect(move |_| {
        prepare.close();
        closing.close();
    }));
    event_loop.finish();
    assert_eq!(log.take(), ["pipe connect ENOENT", "pipe close"]);
}

// libuv: pipe_server_close
#[test]
fn a_server_and_its_client_may_close_in_the_same_call() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let (server, client) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    server.bind(path.path()).expect("bind");
    // Whether the connection is announced before the client is connected is open.
    server.listen_with(0, |_, status| status.expect("a connection")).expect("listen");
    let ends = [server.clone(), client.clone()];
    server.set_upcall(Tower::new(&log, "server"));
    client
        .set_upcall(Tower::new(&log, "client").on_connect(move |_| ends.iter().for_each(|end| end.close())));
    client.connect(path.path()).expect("connect");
    event_loop.finish();
    assert_eq!(log.take(), ["client connect ok", "client close", "server close"]);
}

// libuv: pipe_connect_multiple
#[test]
fn ten_clients_that_connect_at_once_are_all_connected_and_announced() {
    const CLIENTS: usize = 10;
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let announced = log.clone();
    let _server = serve_at(&event_loop, path.path().as_os_str(), move |_| announced.add("announced"));
    for _ in 0..CLIENTS {
        let client = Pipe::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(path.path()).expect("connect");
    }
    event_loop.until(|| log.lines().len() == 2 * CLIENTS);
    assert_eq!((log.count("announced"), log.count("client connect ok")), (CLIENTS, CLIENTS));
    event_loop.close_and_finish();
}

// libuv: pipe_connect_close_multiple
#[test]
fn a_connect_closed_at_once_is_cancelled_although_the_server_accepted() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let accepted = log.clone();
    let _server = serve_at(&event_loop, path.path().as_os_str(), move |connection| {
        accepted.add("accepted");
        connection.close();
    });
    for _ in 0..3 {
        let client = Pipe::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(path.path()).expect("connect");
        client.close();
    }
    event_loop.until(|| log.count("accepted") == 3);
    event_loop.close_and_finish();
    assert_eq!(log.count("client connect ECANCELED"), 3);
    assert_eq!(log.count("client close"), 3);
    assert_eq!(log.lines().len(), 9);
}

// libuv: pipe_close_stdout_read_stdin
#[test]
fn the_writer_of_a_pipe_closing_is_the_end() {
    let event_loop = test_loop();
    let log = Log::new();
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    let pipe = Pipe::new(&event_loop);
    pipe.open(reader.into()).expect("open");
    assert!(pipe.is_readable() && !pipe.is_writable());
    pipe.set_upcall(Tower::new(&log, "pipe"));
    pipe.read_start().expect("read_start");
    event_loop.turn();
    writer.write_all(b"bye").expect("write");
    event_loop.until(|| log.has("pipe read 3"));
    drop(writer);
    event_loop.until(|| log.has("pipe end"));
    assert_eq!(errno(pipe.write("x")), Errno::EPIPE);
    event_loop.close_and_finish();
}

// libuv: pipe_close_stdout_read_stdin: a pipe without a writer ends in the first turn.
#[test]
fn a_pipe_that_has_ended_before_it_is_opened_ends_at_once() {
    let event_loop = test_loop();
    let log = Log::new();
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(writer);
    let pipe = Pipe::new(&event_loop);
    pipe.open(reader.into()).expect("open");
    let this = pipe.clone();
    pipe.set_upcall(Tower::new(&log, "pipe").on_end(move || this.close()));
    pipe.read_start().expect("read_start");
    assert_eq!(event_loop.run(RunMode::NoWait), Ok(false));
    assert_eq!(log.take(), ["pipe end", "pipe close"]);
    event_loop.finish();
}

// libuv: close_fd
#[test]
fn a_reader_that_stopped_at_the_last_byte_holds_no_loop_and_meets_the_end_later() {
    let event_loop = test_loop();
    let log = Log::new();
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    let pipe = Pipe::new(&event_loop);
    pipe.open(reader.into()).expect("open");
    writer.write_all(b"x").expect("write");
    drop(writer);
    let (stopping, closing) = (pipe.clone(), pipe.clone());
    let tower =
        Tower::new(&log, "pipe").on_read(move |_| stopping.read_stop()).on_end(move || closing.close());
    pipe.set_upcall(tower);
    pipe.read_start().expect("read_start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["pipe read 1"]);
    assert!(!pipe.is_active());
    pipe.read_start().expect("read_start");
    event_loop.finish();
    assert_eq!(log.take(), ["pipe end", "pipe close"]);
}

#[test]
fn the_write_end_of_a_pipe_writes_and_meets_the_reader_going_away() {
    let event_loop = test_loop();
    let log = Log::new();
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let pipe = Pipe::new(&event_loop);
    pipe.open(writer.into()).expect("open");
    assert!(!pipe.is_readable() && pipe.is_writable());
    assert_eq!(errno(pipe.read_start()), Errno::ENOTCONN);
    pipe.set_upcall(Tower::new(&log, "pipe"));
    let data = vec![5; 200_000];
    pipe.write(data.clone()).expect("write");
    assert!(pipe.write_queue_size() > 0);
    let thread = std::thread::spawn(move || {
        let mut all = vec![0; 200_000];
        reader.read_exact(&mut all).expect("read");
        (reader, all)
    });
    event_loop.until(|| log.has("pipe write ok"));
    let (reader, all) = thread.join().expect("join");
    assert!(all == data);
    pipe.write(data).expect("write");
    drop(reader);
    event_loop.until(|| log.has("pipe write EPIPE"));
    event_loop.close_and_finish();
}

// libuv: pipe_set_non_blocking
#[test]
fn try_write_on_a_blocking_pipe_writes_everything() {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    let (reader, writer) = std::io::pipe().expect("pipe");
    for (ours, theirs) in [(ours.into(), OwnedFd::from(theirs)), (OwnedFd::from(writer), reader.into())] {
        let event_loop = test_loop();
        let pipe = Pipe::new(&event_loop);
        pipe.open(ours).expect("open");
        pipe.set_blocking(true).expect("blocking");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            File::from(theirs).read_to_end(&mut all).expect("read");
            all
        });
        let data = vec![3; 1 << 20];
        for part in data.chunks(4096) {
            assert_eq!(pipe.try_write(part), Ok(part.len()));
        }
        event_loop.close_and_finish();
        assert!(reader.join().expect("join") == data);
    }
}

#[test]
fn open_pair_gives_the_other_end_to_somebody_else() {
    let event_loop = test_loop();
    let log = Log::new();
    let pipe = Pipe::new(&event_loop);
    let mut theirs = UnixStream::from(pipe.open_pair().expect("a pair"));
    assert_eq!(errno(pipe.open_pair()), Errno::EBUSY);
    pipe.set_upcall(Tower::new(&log, "pipe"));
    pipe.read_start().expect("read_start");
    theirs.write_all(b"hello").expect("write");
    event_loop.until(|| log.has("pipe read 5"));
    event_loop.close_and_finish();
}

#[test]
fn a_regular_file_can_be_read_to_its_end() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    std::fs::write(path.path(), vec![1; 100_000]).expect("write");
    let pipe = Pipe::new(&event_loop);
    pipe.open(File::open(path.path()).expect("open").into()).expect("open");
    pipe.set_upcall(Tower::new(&log, "file"));
    pipe.read_start().expect("read_start");
    event_loop.until(|| log.has("file end"));
    assert_eq!(log.take(), ["file read 65536", "file read 34464", "file end"]);
    event_loop.close_and_finish();
}

#[test]
fn a_full_backlog_is_reported_by_on_connect() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let server = Pipe::new(&event_loop);
    server.bind(path.path()).expect("bind");
    let listener = server.clone();
    server.listen_with(1, move |_, _| listener.accept().expect("accept").close()).expect("listen");
    for _ in 0..10 {
        let client = Pipe::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(path.path()).expect("connect");
    }
    event_loop.until(|| log.lines().len() == 10);
    let (connected, refused) = (log.count("client connect ok"), log.count("client connect EAGAIN"));
    assert!(connected > 0 && refused > 0 && connected + refused == 10);
    event_loop.close_and_finish();
}

#[test]
fn after_stop_handshakes_the_queue_is_announced_and_new_clients_are_refused() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let server = serve_at(&event_loop, path.path().as_os_str(), {
        let log = log.clone();
        move |connection| {
            log.add("connection");
            connection.close();
        }
    });
    let queued: Vec<_> = (0..3).map(|_| UnixStream::connect(path.path()).expect("connect")).collect();
    server.stop_handshakes().expect("stop");
    let refused = UnixStream::connect(path.path()).expect_err("no further client");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    event_loop.until(|| log.count("connection") == 3);
    assert_eq!(errno(server.resume_handshakes()), Errno::ENOTSUP);
    drop(queued);
    event_loop.close_and_finish();
}
