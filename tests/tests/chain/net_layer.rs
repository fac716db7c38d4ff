//! What servers and sockets emit: `onconnection` → 'connection', `onStreamRead` → 'data' and 'end', 'finish', 'close'.

use crate::rig::{Rig, conversation};
use crate::transcript::Transcript;
use net::upcall::{ServerHandler, SocketHandler};
use net::{ListenOptions, Server, ServerOptions, Socket};
use std::net::SocketAddr;

struct Listener(Transcript);

impl ServerHandler for Listener {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        let transcript = &self.0;
        transcript.upcall("ServerHandler::on_connection", || {
            socket.set_handler(Connection(transcript.clone()));
        });
    }

    fn on_listening(&mut self, _: &Server) {
        self.0.note("ServerHandler::on_listening");
    }

    fn on_close(&mut self, _: &Server) {
        self.0.note("ServerHandler::on_close");
    }
}

struct Connection(Transcript);

impl SocketHandler for Connection {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        let transcript = &self.0;
        transcript.upcall(format!("SocketHandler::on_data of {} bytes", data.len()), || {
            let more = socket.write(b"pong").expect("an open socket can be written to");
            transcript.note(format!("written, more is welcome: {more}"));
        });
    }

    fn on_end(&mut self, _: &Socket) {
        self.0.note("SocketHandler::on_end");
    }

    fn on_finish(&mut self, _: &Socket) {
        self.0.note("SocketHandler::on_finish");
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        self.0.note(format!("SocketHandler::on_close, had an error: {had_error}"));
    }
}

/// 'listening' is told in a tick. The socket ends itself after 'end', is finished in the shutdown's own scope, and the
/// server is closed after its listener.
const EXPECTED: &str = "
start
  init TCPSERVERWRAP 2 because of nothing
  init TickObject 3 because of TCPSERVERWRAP 2
  before TickObject 3
    ServerHandler::on_listening
  after TickObject 3
  destroy TickObject 3
prepare
  the client connects
poll
  init TCPWRAP 4 because of TCPSERVERWRAP 2
  before TCPSERVERWRAP 2
    ServerHandler::on_connection
  after TCPSERVERWRAP 2
prepare
  the client sends a request
poll
  before TCPWRAP 4
    SocketHandler::on_data of 4 bytes
      written, more is welcome: true
  after TCPWRAP 4
prepare
  the client has the answer, and closes
poll
  before TCPWRAP 4
    SocketHandler::on_end
    init SHUTDOWNWRAP 5 because of TCPWRAP 4
  after TCPWRAP 4
  before SHUTDOWNWRAP 5
    SocketHandler::on_finish
  after SHUTDOWNWRAP 5
check
  destroy SHUTDOWNWRAP 5
close
  before TCPWRAP 4
    SocketHandler::on_close, had an error: false
  after TCPWRAP 4
prepare
  the program closes the server
  init TickObject 6 because of TCPSERVERWRAP 2
poll
  before TickObject 6
    ServerHandler::on_close
    the callback given to close
  after TickObject 6
check
  destroy TCPWRAP 4
  destroy TickObject 6
close
  before TCPSERVERWRAP 2
  after TCPSERVERWRAP 2
after the loop
  destroy TCPSERVERWRAP 2
";

#[test]
fn sockets_emit_in_their_own_scopes_and_end_themselves() {
    let rig = Rig::new();
    let env = rig.environment();
    let server = Server::new(&env, ServerOptions::default());
    server
        .listen(ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0))), Listener(rig.transcript()))
        .expect("a free port");
    let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
    let transcript = rig.transcript();
    let close =
        move || server.close_with(transcript.noting("the callback given to close")).expect("it listens");
    rig.run(&env, conversation(address, "ping", "pong", close)).assert_is(EXPECTED);
}
