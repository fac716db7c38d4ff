//! Unix sockets and pipes.

mod common;

use common::*;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use uv_core::socket::PipeName;
use uv_core::{Errno, Pipe};

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

/// A pipe of the loop, and its other end.
fn opened(event_loop: &TestLoop) -> (Pipe, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    let pipe = Pipe::new(event_loop);
    pipe.open(ours.into()).expect("open");
    (pipe, theirs)
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

// libuv: pipe_bind_error_addrnotavail
#[test]
fn a_bind_in_a_missing_folder_is_eacces() {
    let event_loop = test_loop();
    let error = Pipe::new(&event_loop).bind("/no/such/folder/socket").expect_err("no folder");
    assert_eq!((error.op(), error.errno()), ("bind", Errno::EACCES));
    assert_eq!(error.target(), Some("/no/such/folder/socket"));
    assert_eq!(error.note(), Some("the directory does not exist"));
    event_loop.close_and_finish();
}

// libuv: pipe_bind_error_addrinuse, pipe_bind_error_inval, pipe_listen_without_bind
#[test]
fn a_used_name_is_reported_at_once_and_listening_then_fails() {
    let event_loop = test_loop();
    let path = socket_path();
    let (first, second) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    first.bind(path.path()).expect("bind");
    assert_eq!(errno(first.bind(path.path())), Errno::EINVAL, "bound already");
    assert_eq!(errno(second.bind(path.path())), Errno::EADDRINUSE);
    assert_eq!(errno(second.listen_with(1, |_, _| {})), Errno::EINVAL);
    assert_eq!(errno(Pipe::new(&event_loop).listen_with(1, |_, _| {})), Errno::EINVAL);
    second.close();
    event_loop.turn();
    assert!(path.path().exists(), "a failed bind owns no path");
    event_loop.close_and_finish();
    assert!(!path.path().exists());
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
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["missing connect ENOENT", "file connect ECONNREFUSED"]);
    event_loop.close_and_finish();
}

// libuv: pipe_overlong_path: with UV_PIPE_NO_TRUNCATE, which libuv calls EINVAL.
#[test]
fn a_name_that_is_too_long_is_refused_at_once() {
    let event_loop = test_loop();
    let longest = "\0".to_owned() + &"x".repeat(107);
    let pipe = Pipe::new(&event_loop);
    assert_eq!(errno(pipe.bind("x".repeat(108))), Errno::ENAMETOOLONG);
    assert_eq!(errno(pipe.connect("x".repeat(108))), Errno::ENAMETOOLONG);
    assert_eq!(errno(pipe.bind("a\0b")), Errno::EINVAL);
    assert_eq!(pipe.bind(&longest), Ok(()), "an abstract name has no NUL behind it");
    event_loop.close_and_finish();
}

// libuv: pipe_connect_close_multiple
#[test]
fn a_connect_closed_at_once_is_cancelled_although_the_server_accepted() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let _server = serve_at(&event_loop, path.path().as_os_str(), |connection| connection.close());
    for _ in 0..3 {
        let client = Pipe::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(path.path()).expect("connect");
        client.close();
    }
    event_loop.close_and_finish();
    assert_eq!(log.count("client connect ECANCELED"), 3);
    assert_eq!(log.count("client close"), 3);
    assert_eq!(log.lines().len(), 6);
}

// libuv: pipe_getsockname, pipe_getsockname_abstract, pipe_getsockname_autobind
#[test]
fn names_are_exact() {
    let event_loop = test_loop();
    let path = socket_path();
    let bound = Pipe::new(&event_loop);
    assert_eq!(errno(bound.local_name()), Errno::EBADF);
    bound.bind(path.path()).expect("bind");
    assert_eq!(bound.local_name(), Ok(PipeName::Path(path.path())));
    assert_eq!(errno(bound.peer_name()), Errno::ENOTCONN);
    let hidden = Pipe::new(&event_loop);
    let name = format!("uv-core-{}", std::process::id());
    hidden.bind(format!("\0{name}")).expect("bind");
    assert_eq!(hidden.local_name(), Ok(PipeName::Abstract(name.into_bytes())));
    let automatic = Pipe::new(&event_loop);
    automatic.bind("").expect("bind");
    assert!(matches!(automatic.local_name(), Ok(PipeName::Abstract(name)) if !name.is_empty()));
    let (pair, _theirs) = opened(&event_loop);
    assert_eq!(pair.local_name(), Ok(PipeName::Unnamed));
    assert_eq!(pair.peer_name(), Ok(PipeName::Unnamed));
    event_loop.close_and_finish();
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
    let event_loop = test_loop();
    let (pipe, mut theirs) = opened(&event_loop);
    pipe.set_blocking(true).expect("blocking");
    let data = vec![3; 1 << 20];
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 1 << 20];
        theirs.read_exact(&mut all).expect("read");
        all
    });
    assert_eq!(pipe.try_write(&data), Ok(data.len()));
    assert!(reader.join().expect("join") == data);
    event_loop.close_and_finish();
}

// libuv: pipe_set_fchmod
#[test]
fn chmod_adds_to_the_mode_of_the_path() {
    use std::os::unix::fs::PermissionsExt;
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = Pipe::new(&event_loop);
    assert_eq!(errno(pipe.chmod(true, true)), Errno::EBADF);
    pipe.bind(path.path()).expect("bind");
    pipe.chmod(true, false).expect("chmod");
    assert_eq!(std::fs::metadata(path.path()).expect("stat").permissions().mode() & 0o444, 0o444);
    pipe.chmod(false, true).expect("chmod");
    assert_eq!(std::fs::metadata(path.path()).expect("stat").permissions().mode() & 0o666, 0o666);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn closing_a_bound_pipe_removes_its_path_at_once() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = Pipe::new(&event_loop);
    pipe.bind(path.path()).expect("bind");
    assert!(path.path().exists());
    pipe.close();
    assert!(!path.path().exists());
    event_loop.finish();
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
    pipe.open(std::fs::File::open(path.path()).expect("open").into()).expect("open");
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
