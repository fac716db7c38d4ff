//! What the loop alone calls: `uv__server_io`, `uv__read`, `uv__write_callbacks`, `uv__drain`, `uv__finish_close`.

use crate::rig::{Rig, conversation};
use crate::transcript::Transcript;
use std::net::SocketAddr;
use uv_core::Stream;
use uv_core::upcall::{AcceptUpcall, StreamUpcall};
use uv_core::{BindOptions, Error, Result, Tcp};

struct Listener(Transcript);

impl AcceptUpcall for Listener {
    fn on_connection(&mut self, listener: &Stream, status: Result<()>) {
        let transcript = &self.0;
        transcript.upcall("AcceptUpcall::on_connection", || {
            status.expect("accepting works");
            let connection = listener.accept().expect("a connection waits");
            connection.set_upcall(Connection(transcript.clone()));
            connection.read_start().expect("a fresh connection can be read");
            transcript.note("accepted; reading");
        });
    }

    fn on_close(&mut self, _: &Stream) {
        self.0.note("AcceptUpcall::on_close");
    }
}

struct Connection(Transcript);

impl StreamUpcall for Connection {
    fn on_read(&mut self, connection: &Stream, data: &[u8]) {
        let transcript = &self.0;
        transcript.upcall(format!("StreamUpcall::on_read of {} bytes", data.len()), || {
            connection.write("pong").expect("an open connection can be written to");
            transcript.note("written");
        });
    }

    fn on_end(&mut self, connection: &Stream) {
        let transcript = &self.0;
        transcript.upcall("StreamUpcall::on_end", || {
            connection.shutdown().expect("an open connection can be shut down");
            transcript.note("shut down");
        });
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        self.0.note(format!("StreamUpcall::on_read_error: {error}"));
    }

    fn on_write(&mut self, _: &Stream, result: Result<()>) {
        self.0.note(format!("StreamUpcall::on_write: {result:?}"));
    }

    fn on_shutdown(&mut self, connection: &Stream, result: Result<()>) {
        let transcript = &self.0;
        transcript.upcall(format!("StreamUpcall::on_shutdown: {result:?}"), || {
            connection.close_with(transcript.noting("the callback given to close"));
            transcript.note("closed");
        });
    }

    fn on_close(&mut self, _: &Stream) {
        self.0.note("StreamUpcall::on_close");
    }
}

/// A completion known at once is reported in the same iteration, but never from within the call that caused it; closes
/// have a phase of their own.
const EXPECTED: &str = "
prepare
  the client connects
poll
  AcceptUpcall::on_connection
    accepted; reading
prepare
  the client sends a request
poll
  StreamUpcall::on_read of 4 bytes
    written
  StreamUpcall::on_write: Ok(())
prepare
  the client has the answer, and closes
poll
  StreamUpcall::on_end
    shut down
  StreamUpcall::on_shutdown: Ok(())
    closed
close
  StreamUpcall::on_close
  the callback given to close
prepare
  the program closes the server
close
  AcceptUpcall::on_close
";

#[test]
fn the_loop_calls_from_its_phases_in_order() {
    let rig = Rig::new();
    let listener = Tcp::new(rig.loop_handle());
    listener.bind(SocketAddr::from(([127, 0, 0, 1], 0)), BindOptions::default()).expect("a free port");
    listener.listen(511, Listener(rig.transcript())).expect("a bound socket listens");
    let address = listener.local_addr().expect("a listening socket has an address");
    let close = move || listener.close();
    rig.run_loop(conversation(address, "ping", "pong", close)).assert_is(EXPECTED);
}
