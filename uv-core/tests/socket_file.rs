//! The files of Unix sockets: which file a close removes, and which file is in the way of a bind.

mod alone;
mod common;

use common::*;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use uv_core::{Errno, Error, Pipe};

fn bound_at(event_loop: &TestLoop, path: &Path) -> Pipe {
    let pipe = Pipe::new(event_loop);
    pipe.bind(path).expect("bind");
    pipe
}

fn bind_error(event_loop: &TestLoop, path: &Path) -> Error {
    let pipe = Pipe::new(event_loop);
    let error = pipe.bind(path).expect_err("something is in the way");
    pipe.close();
    error
}

/// Runs `body` in a separate process, because the working directory belongs to the whole process.
fn alone(test: &str, body: impl FnOnce(TestLoop)) {
    let status = alone::status(test, |_| {}, || body(test_loop()));
    assert!(status.is_none_or(|status| status.success()));
}

#[test]
fn a_successors_socket_file_stays_and_serves() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = bound_at(&event_loop, &path.path());
    fs::remove_file(path.path()).expect("it is there");
    let successor = UnixListener::bind(path.path()).expect("the path is free");
    pipe.close();
    UnixStream::connect(path.path()).expect("the successor's file is there");
    drop(successor);
    event_loop.finish();
}

#[test]
fn a_plain_file_in_the_place_of_the_socket_file_stays() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = bound_at(&event_loop, &path.path());
    fs::remove_file(path.path()).expect("it is there");
    fs::write(path.path(), "precious").expect("a file");
    pipe.close();
    assert_eq!(fs::read_to_string(path.path()).expect("it is there"), "precious");
    event_loop.finish();
}

#[test]
fn a_link_in_the_place_of_the_socket_file_stays_and_so_does_what_it_points_to() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = bound_at(&event_loop, &path.path());
    let moved = path.folder().join("moved");
    fs::rename(path.path(), &moved).expect("a rename");
    symlink(&moved, path.path()).expect("a link");
    pipe.close();
    assert!(moved.exists() && path.path().exists());
    event_loop.finish();
}

#[test]
fn after_a_change_of_folder_the_socket_file_is_removed_and_no_file_of_that_name() {
    alone("after_a_change_of_folder_the_socket_file_is_removed_and_no_file_of_that_name", |event_loop| {
        let (here, there) = (socket_path(), socket_path());
        std::env::set_current_dir(here.folder()).expect("a folder");
        let (closed, dropped) =
            (bound_at(&event_loop, Path::new("socket")), bound_at(&event_loop, Path::new("./other")));
        assert!(here.path().exists());
        std::env::set_current_dir(there.folder()).expect("a folder");
        for name in ["socket", "other"] {
            fs::write(name, "precious").expect("a file");
        }
        closed.close();
        assert!(!here.path().exists(), "the socket's own file is removed");
        drop((dropped, event_loop));
        assert!(!here.folder().join("other").exists(), "and so is the one of a loop that was dropped");
        for name in ["socket", "other"] {
            assert_eq!(fs::read_to_string(there.folder().join(name)).expect("it is there"), "precious");
        }
    });
}

#[test]
fn after_a_change_of_folder_the_mode_of_the_socket_file_is_changed_and_of_no_other() {
    alone("after_a_change_of_folder_the_mode_of_the_socket_file_is_changed_and_of_no_other", |event_loop| {
        let (here, there) = (socket_path(), socket_path());
        std::env::set_current_dir(here.folder()).expect("a folder");
        let pipe = bound_at(&event_loop, Path::new("socket"));
        let adopted = Pipe::new(&event_loop);
        adopted.open(pipe.try_clone_fd().expect("dup")).expect("open");
        std::env::set_current_dir(there.folder()).expect("a folder");
        fs::write("socket", "secret").expect("a file");
        fs::set_permissions("socket", PermissionsExt::from_mode(0o600)).expect("it is ours");
        pipe.chmod(true, true).expect("chmod");
        assert_eq!(errno(adopted.chmod(true, true)), Errno::ENOTSOCK, "a name is all that it knows");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&here.path()) & 0o666, 0o666);
        assert_eq!(mode(&there.path()), 0o600);
        event_loop.close_and_finish();
    });
}

#[test]
fn the_mode_of_a_successors_socket_file_is_not_changed() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = bound_at(&event_loop, &path.path());
    fs::remove_file(path.path()).expect("it is there");
    let _successor = UnixListener::bind(path.path()).expect("the path is free");
    fs::set_permissions(path.path(), PermissionsExt::from_mode(0o600)).expect("it is ours");
    assert_eq!(errno(pipe.chmod(true, true)), Errno::ENOENT);
    assert_eq!(fs::metadata(path.path()).expect("it is there").permissions().mode() & 0o777, 0o600);
    event_loop.close_and_finish();
}

#[test]
fn the_error_says_that_a_socket_file_is_left_over() {
    let event_loop = test_loop();
    let path = socket_path();
    drop(UnixListener::bind(path.path()).expect("the path is free"));
    let error = bind_error(&event_loop, &path.path());
    assert_eq!((error.errno(), error.target()), (Errno::EADDRINUSE, path.path().to_str()));
    assert!(error.note().is_some_and(|note| note.contains("left over")), "{error}");
    let text = format!("bind {} ({}): ", path.path().display(), error.note().expect("a note"));
    assert!(error.to_string().starts_with(&text), "{error}");
    assert!(fs::symlink_metadata(path.path()).expect("it is there").file_type().is_socket(), "it stays");
    event_loop.finish();
}

#[test]
fn the_error_calls_nothing_left_over_that_is_in_use_or_no_socket_and_disturbs_no_listener() {
    let event_loop = test_loop();
    let path = socket_path();
    let at = |name: &str| path.folder().join(name);
    let listener = UnixListener::bind(at("listener")).expect("a path");
    listener.set_nonblocking(true).expect("a socket has that mode");
    let _datagrams = UnixDatagram::bind(at("datagrams")).expect("a path");
    let _bound = bound_at(&event_loop, &at("bound"));
    fs::write(at("file"), "").expect("a file");
    fs::create_dir(at("folder")).expect("a folder");
    symlink(at("nowhere"), at("link")).expect("a link");
    for name in ["listener", "datagrams", "bound", "file", "folder", "link"] {
        let error = bind_error(&event_loop, &at(name));
        assert_eq!((error.errno(), error.note()), (Errno::EADDRINUSE, None), "{name}");
    }
    let refused = listener.accept().expect_err("no connection came");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    let name = format!("\0uv-core-taken-{}", std::process::id());
    let _taken = bound_at(&event_loop, Path::new(&name));
    assert_eq!(bind_error(&event_loop, Path::new(&name)).note(), None, "an abstract name has no file");
    event_loop.close_and_finish();
}

#[test]
fn a_socket_that_was_adopted_removes_no_file() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = Pipe::new(&event_loop);
    pipe.open(UnixListener::bind(path.path()).expect("the path is free").into()).expect("open");
    pipe.listen_with(1, |_, _| {}).expect("listen");
    pipe.close();
    assert!(path.path().exists());
    event_loop.finish();
}
