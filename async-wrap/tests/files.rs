//! Requests on files as resources, and parts of files as output of a stream.

mod common;

use async_wrap::upcall::OnStream;
use async_wrap::{AsyncStream, Provider};
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use uv_core::file::{self, File};
use uv_core::{Error, Result};

/// A file that is removed when the test is over.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, len: usize) -> Self {
        let path = std::env::temp_dir().join(format!("async-wrap-{}-{name}", std::process::id()));
        fs::write(&path, vec![b'x'; len]).expect("a file");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

// Node: async-hooks/test-fsreqcallback-access
#[test]
fn a_request_on_a_file_ends_in_its_own_context_and_ticks_right_after_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let path = TempFile::new("request", 10);
    let (told, inner) = (log.clone(), env.clone());
    let after = env.request(Provider::FsReqCallback, move |stat: Result<fs::Metadata>| {
        told.push(format!("{} bytes in {}", stat.expect("it exists").len(), inner.execution_async_id()));
        let tick = told.clone();
        inner.next_tick(move || tick.push("tick"));
    });
    assert_eq!(log.take(), ["init 1 FSREQCALLBACK 0"]);
    file::stat(&event_loop, &path.0, after).expect("a path");
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    assert_eq!(&all[..2], ["before 1", "10 bytes in 1"]);
    assert_eq!(all.iter().filter(|entry| *entry == "destroy 1").count(), 1);
    assert!(all.iter().any(|entry| entry == "tick"));
}

#[test]
fn a_request_that_is_not_made_is_destroyed() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let after = env.request(Provider::FsReqCallback, |_: Result<fs::Metadata>| unreachable!());
    assert!(file::stat(&event_loop, "", after).is_err());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["init 1 FSREQCALLBACK 0", "destroy 1"]);
}

/// Closes its stream after the first report of a write.
struct Closing(Log);

impl OnStream for Closing {
    fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

    fn on_end(&mut self, _: &AsyncStream) {}

    fn on_error(&mut self, _: &AsyncStream, _: Error) {}

    fn on_write(&mut self, stream: &AsyncStream, result: Result<()>) {
        assert!(result.is_ok());
        self.0.push(format!("written in {}", stream.environment().execution_async_id()));
        stream.close();
    }
}

#[test]
fn the_rest_of_a_file_is_a_request_of_its_stream() {
    const LEN: usize = 16 << 20;
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let path = TempFile::new("rest", LEN);
    let opened = fs::File::open(&path.0).expect("it exists");
    let file = File::from_std(&event_loop, opened, &path.0).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (ours, _) = listener.accept().expect("accept");
    ours.set_nonblocking(true).expect("option");
    let wrap = tcp_wrap::StreamWrap::from_fd(&event_loop, ours.into()).expect("a socket");
    let stream = AsyncStream::new(&env, wrap, Provider::TcpWrap);
    stream.set_handler(Closing(log.clone()));
    env.hook(Recorder(log.clone())).enable();
    let written = stream.write_file(file.range(..).expect("a regular file")).expect("it is open");
    assert_eq!((written.now + written.later, written.later > 0), (LEN, true));
    let request = log.take().pop().expect("a request");
    assert!(request.contains("WRITEWRAP"), "{request}");
    let reader = std::thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).expect("read"));
    run_to_the_end(&event_loop, &env);
    assert!(log.take().iter().any(|entry| entry.starts_with("written in ")));
    assert_eq!(reader.join().expect("join"), LEN as u64);
}
