//! What wraps call: `ConnectionWrap::OnConnection` with a finished wrap, `OnUvRead`, and the `oncomplete` of requests.

use crate::rig::{Rig, conversation};
use crate::transcript::Transcript;
use std::net::SocketAddr;
use tcp_wrap::upcall::{OnConnection, OnStream};
use tcp_wrap::{StreamWrap, TcpWrap};
use uv_core::{BindOptions, Error, Result};

struct Listener(Transcript);

impl OnConnection for Listener {
    fn on_connection(&mut self, _: &StreamWrap, connection: Result<StreamWrap>) {
        let transcript = &self.0;
        transcript.upcall("OnConnection::on_connection", || {
            let wrap = connection.expect("accepting works");
            wrap.set_handler(Connection(transcript.clone()));
            wrap.read_start().expect("a fresh connection can be read");
            transcript.note("reading");
        });
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.0.note("OnConnection::on_close");
    }
}

struct Connection(Transcript);

impl OnStream for Connection {
    fn on_read(&mut self, wrap: &StreamWrap, data: &[u8]) {
        let transcript = &self.0;
        transcript.upcall(format!("OnStream::on_read of {} bytes", data.len()), || {
            let written = wrap.write(b"pong").expect("an open connection can be written to");
            transcript.note(format!("written: {} bytes now, {} later", written.now, written.later));
        });
    }

    fn on_end(&mut self, wrap: &StreamWrap) {
        let transcript = &self.0;
        transcript.upcall("OnStream::on_end", || {
            wrap.shutdown().expect("an open connection can be shut down");
            transcript.note("shut down");
        });
    }

    fn on_error(&mut self, _: &StreamWrap, error: Error) {
        self.0.note(format!("OnStream::on_error: {error}"));
    }

    fn on_write(&mut self, _: &StreamWrap, result: Result<()>) {
        self.0.note(format!("OnStream::on_write: {result:?}"));
    }

    fn on_shutdown(&mut self, wrap: &StreamWrap, result: Result<()>) {
        let transcript = &self.0;
        transcript.upcall(format!("OnStream::on_shutdown: {result:?}"), || {
            wrap.close();
            transcript.note("closed");
        });
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.0.note("OnStream::on_close");
    }
}

/// A write that the kernel takes at once has no completion (Node: async-hooks/test-writewrap).
const EXPECTED: &str = "
prepare
  the client connects
poll
  OnConnection::on_connection
    reading
prepare
  the client sends a request
poll
  OnStream::on_read of 4 bytes
    written: 4 bytes now, 0 later
prepare
  the client has the answer, and closes
poll
  OnStream::on_end
    shut down
  OnStream::on_shutdown: Ok(())
    closed
close
  OnStream::on_close
prepare
  the program closes the server
close
  OnConnection::on_close
";

#[test]
fn wraps_arrive_finished_and_writes_done_at_once_have_no_completion() {
    let rig = Rig::new();
    let server = TcpWrap::new(rig.loop_handle());
    server.bind(SocketAddr::from(([127, 0, 0, 1], 0)), BindOptions::default()).expect("a free port");
    server.listen(511, Listener(rig.transcript())).expect("a bound socket listens");
    let address = server.local_addr().expect("a listening socket has an address");
    let close = move || server.close();
    rig.run_loop(conversation(address, "ping", "pong", close)).assert_is(EXPECTED);
}
