//! The names of Unix sockets: binding them, asking for them, and what becomes of their paths.

mod common;

use common::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use uv_core::socket::PipeName;
use uv_core::{Errno, Pipe, Stream};

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
    // `bind` takes an empty name, and lets the kernel choose one. `connect` has the error of the kernel.
    let log = Log::new();
    let nameless = Pipe::new(&event_loop);
    nameless.set_upcall(Tower::new(&log, "nameless"));
    nameless.connect("").expect("connect");
    event_loop.until(|| log.has("nameless connect EINVAL"));
    event_loop.close_and_finish();
}

// libuv: pipe_bind_or_listen_error_after_close
#[test]
fn a_closing_pipe_neither_binds_nor_listens() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = Pipe::new(&event_loop);
    pipe.close();
    assert_eq!(errno(pipe.bind(path.path())), Errno::EINVAL);
    assert_eq!(errno(pipe.listen_with(128, |_, _| {})), Errno::EINVAL);
    event_loop.finish();
    assert!(!path.path().exists());
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
    let (ours, _theirs) = UnixStream::pair().expect("socketpair");
    let pair = Pipe::new(&event_loop);
    pair.open(ours.into()).expect("open");
    assert_eq!(pair.local_name(), Ok(PipeName::Unnamed));
    assert_eq!(pair.peer_name(), Ok(PipeName::Unnamed));
    event_loop.close_and_finish();
}

// libuv: pipe_getsockname_abstract, pipe_getsockname_autobind: the name leads to the server.
#[test]
fn a_name_without_a_path_can_be_connected_to() {
    let chosen = format!("\0uv-core-served-{}", std::process::id());
    for name in [chosen.as_str(), ""] {
        let event_loop = test_loop();
        let log = Log::new();
        let accepted = log.clone();
        let server = Pipe::new(&event_loop);
        server.bind(name).expect("bind");
        let accept = move |server: &Stream, _| {
            drop(server.accept().expect("accept"));
            accepted.add("accepted");
        };
        server.listen_with(8, accept).expect("listen");
        let Ok(PipeName::Abstract(bytes)) = server.local_name() else { unreachable!("it has no path") };
        let client = Pipe::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(OsString::from_vec([b"\0", &bytes[..]].concat())).expect("connect");
        event_loop.until(|| log.has("accepted") && log.has("client connect ok"));
        assert_eq!(client.peer_name(), Ok(PipeName::Abstract(bytes)));
        assert_eq!(client.local_name(), Ok(PipeName::Unnamed));
        event_loop.close_and_finish();
    }
}

// libuv: pipe_set_chmod
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
    assert_eq!(pipe.chmod(true, true), Ok(()));
    assert_eq!(errno(pipe.chmod(false, false)), Errno::EINVAL, "nothing to add");
    pipe.close();
    assert_eq!(errno(pipe.chmod(true, true)), Errno::EBADF);
    event_loop.finish();
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
