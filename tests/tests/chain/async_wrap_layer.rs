//! The same calls, each inside the scope of its resource: `AsyncWrap::MakeCallback`.

use crate::rig::{Rig, conversation};
use crate::transcript::Transcript;
use async_wrap::upcall::{OnConnection, OnStream};
use async_wrap::{AsyncStream, Environment, Provider};
use std::net::SocketAddr;
use tcp_wrap::TcpWrap;
use uv_core::{BindOptions, Error, Result};

struct Listener {
    transcript: Transcript,
    env: Environment,
}

/// Which ids a callback runs with.
fn ids(env: &Environment) -> String {
    format!("execution {}, trigger {}", env.execution_async_id(), env.trigger_async_id())
}

/// Queues a microtask and a tick, and a tick from within the microtask.
fn queue(env: &Environment, transcript: &Transcript) {
    let (inner_env, inner_transcript) = (env.clone(), transcript.clone());
    env.queue_microtask(move || {
        inner_transcript.note("a microtask, which queues a tick");
        inner_env.next_tick(inner_transcript.noting("the tick of the microtask"));
    });
    env.next_tick(transcript.noting("a tick"));
}

impl OnConnection for Listener {
    fn on_connection(&mut self, _: &AsyncStream, connection: Result<AsyncStream>) {
        let Self { transcript, env } = self;
        transcript.upcall(format!("OnConnection::on_connection with {}", ids(env)), || {
            let stream = connection.expect("accepting works");
            stream.set_handler(Connection(transcript.clone()));
            stream.read_start().expect("a fresh connection can be read");
            transcript.note("reading");
        });
    }

    fn on_close(&mut self, _: &AsyncStream) {
        self.transcript.note(format!("OnConnection::on_close with {}", ids(&self.env)));
    }
}

struct Connection(Transcript);

impl OnStream for Connection {
    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]) {
        let transcript = &self.0;
        let env = stream.environment();
        transcript.upcall(format!("OnStream::on_read of {} bytes with {}", data.len(), ids(env)), || {
            queue(env, transcript);
            let written = stream.write(b"pong").expect("an open connection can be written to");
            transcript.note(format!("written: {} bytes now, {} later", written.now, written.later));
        });
    }

    fn on_end(&mut self, stream: &AsyncStream) {
        let transcript = &self.0;
        transcript.upcall("OnStream::on_end", || {
            stream.shutdown().expect("an open connection can be shut down");
            transcript.note("shut down");
        });
    }

    fn on_error(&mut self, _: &AsyncStream, error: Error) {
        self.0.note(format!("OnStream::on_error: {error}"));
    }

    fn on_shutdown(&mut self, stream: &AsyncStream, result: Result<()>) {
        let transcript = &self.0;
        let ids = ids(stream.environment());
        transcript.upcall(format!("OnStream::on_shutdown: {result:?} with {ids}"), || {
            stream.close();
            transcript.note("closed");
        });
    }

    fn on_close(&mut self, stream: &AsyncStream) {
        self.0.note(format!("OnStream::on_close with {}", ids(stream.environment())));
    }
}

/// The connection is initialised before the server's scope, with the server as its trigger (Node:
/// async-hooks/test-graph.tcp). A callback executes in its resource (async-hooks/test-tcpwrap), a request's completion
/// in the request. Ticks come at the end of the outermost scope, all of them before the microtasks, and again after
/// those (test-next-tick-ordering). `destroy` is told in a check phase (async-hooks/test-destroy-not-blocked).
const EXPECTED: &str = "
start
  init TCPSERVERWRAP 2 because of nothing
prepare
  the client connects
poll
  init TCPWRAP 3 because of TCPSERVERWRAP 2
  before TCPSERVERWRAP 2
    OnConnection::on_connection with execution 2, trigger 0
      reading
  after TCPSERVERWRAP 2
prepare
  the client sends a request
poll
  before TCPWRAP 3
    OnStream::on_read of 4 bytes with execution 3, trigger 2
      init Microtask 4 because of TCPWRAP 3
      init TickObject 5 because of TCPWRAP 3
      written: 4 bytes now, 0 later
  after TCPWRAP 3
  before TickObject 5
    a tick
  after TickObject 5
  before Microtask 4
    a microtask, which queues a tick
    init TickObject 6 because of Microtask 4
  after Microtask 4
  before TickObject 6
    the tick of the microtask
  after TickObject 6
check
  destroy TickObject 5
  destroy Microtask 4
  destroy TickObject 6
prepare
  the client has the answer, and closes
poll
  before TCPWRAP 3
    OnStream::on_end
      init SHUTDOWNWRAP 7 because of TCPWRAP 3
      shut down
  after TCPWRAP 3
  before SHUTDOWNWRAP 7
    OnStream::on_shutdown: Ok(()) with execution 7, trigger 3
      closed
  after SHUTDOWNWRAP 7
check
  destroy SHUTDOWNWRAP 7
close
  before TCPWRAP 3
    OnStream::on_close with execution 3, trigger 2
  after TCPWRAP 3
prepare
  the program closes the server
check
  destroy TCPWRAP 3
close
  before TCPSERVERWRAP 2
    OnConnection::on_close with execution 2, trigger 0
  after TCPSERVERWRAP 2
after the loop
  destroy TCPSERVERWRAP 2
";

#[test]
fn every_call_runs_in_the_scope_of_its_resource() {
    let rig = Rig::new();
    let env = rig.environment();
    let wrap = TcpWrap::new(env.loop_handle());
    wrap.bind(SocketAddr::from(([127, 0, 0, 1], 0)), BindOptions::default()).expect("a free port");
    let address = wrap.local_addr().expect("a bound socket has an address");
    let server = AsyncStream::new(&env, (*wrap).clone(), Provider::TcpServerWrap);
    server
        .listen(511, Listener { transcript: rig.transcript(), env: env.clone() })
        .expect("a bound socket listens");
    let close = move || server.close();
    rig.run(&env, conversation(address, "ping", "pong", close)).assert_is(EXPECTED);
}
