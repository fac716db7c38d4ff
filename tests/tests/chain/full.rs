//! The chain as a whole: from the listening socket's readiness up to the handler of a request, and down to the close.

use crate::rig::{Rig, conversation};
use crate::transcript::Transcript;
use crate::watched::WatchedSource;
use async_wrap::Environment;
use http::proto::{Fields, ParseError};
use http::upcall::{BodyHandler, RequestHandler, ResponseHandler};
use http::{Request, Response, Server, ServerOptions};
use net::{ListenOptions, Socket};
use std::net::SocketAddr;
use std::rc::Rc;

struct Application {
    transcript: Transcript,
    env: Environment,
}

/// Which ids a callback runs with.
fn ids(env: &Environment) -> String {
    format!("execution {}, trigger {}", env.execution_async_id(), env.trigger_async_id())
}

impl RequestHandler for Application {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let Self { transcript, env } = self;
        let (method, target) = (request.method, request.target);
        transcript.upcall(format!("RequestHandler::on_request {method} {target} with {}", ids(env)), || {
            env.queue_microtask(transcript.noting("the microtask of the request"));
            env.next_tick(transcript.noting("the tick of the request"));
            response.set_handler(Answer { transcript: transcript.clone(), env: env.clone() });
            let body = Body { transcript: transcript.clone(), env: env.clone(), response };
            request.body().set_handler(body);
        });
    }

    fn on_client_error(&mut self, error: ParseError, _: &Socket) {
        self.transcript.note(format!("RequestHandler::on_client_error: {error} with {}", ids(&self.env)));
    }

    fn on_listening(&mut self, _: &Server) {
        self.transcript.note("RequestHandler::on_listening");
    }

    fn on_close(&mut self, _: &Server) {
        self.transcript.note("RequestHandler::on_close");
    }
}

struct Body {
    transcript: Transcript,
    env: Environment,
    response: Response,
}

impl BodyHandler for Body {
    fn on_data(&mut self, _: &http::Body, data: &[u8]) {
        let Self { transcript, env, .. } = self;
        transcript.upcall(format!("BodyHandler::on_data of {} bytes with {}", data.len(), ids(env)), || {
            env.next_tick(transcript.noting("the tick of the body"));
        });
    }

    fn on_end(&mut self, _: &http::Body, _: &Fields<'_>) {
        let Self { transcript, env, response } = self;
        transcript.upcall(format!("BodyHandler::on_end with {}", ids(env)), || {
            response.end(b"done").expect("the client is there");
            transcript.note("answered");
        });
    }

    fn on_abort(&mut self, _: &http::Body) {
        self.transcript.note(format!("BodyHandler::on_abort with {}", ids(&self.env)));
    }
}

struct Answer {
    transcript: Transcript,
    env: Environment,
}

impl ResponseHandler for Answer {
    fn on_finish(&mut self, _: &Response) {
        self.transcript.note(format!("ResponseHandler::on_finish with {}", ids(&self.env)));
    }

    fn on_close(&mut self, _: &Response) {
        self.transcript.note(format!("ResponseHandler::on_close with {}", ids(&self.env)));
    }
}

/// The remarks name Node's and libuv's functions, and the tests of Node that pin a sentence.
const EXPECTED: &str = "
start
  init TCPSERVERWRAP 2 because of nothing
  init TickObject 3 because of TCPSERVERWRAP 2
  # emitListeningNT.
  before TickObject 3
    RequestHandler::on_listening
  after TickObject 3
  destroy TickObject 3
prepare
  the client connects
poll
  # uv__server_io, OnConnection, Instantiate. The connection's trigger is the server (async-hooks/test-graph.tcp), and
  # hooks know the connection before the server's callback begins.
  init TCPWRAP 4 because of TCPSERVERWRAP 2
  # MakeCallback in the server's context (async-hooks/test-tcpwrap), onconnection, emit('connection'),
  # connectionListener; a timer watches over the connections.
  before TCPSERVERWRAP 2
    OnConnection::on_connection
      init Timeout 5 because of TCPSERVERWRAP 2
  after TCPSERVERWRAP 2
prepare
  the client sends a request
poll
  # uv__read, OnUvRead, in the connection's context.
  before TCPWRAP 4
    # parserOnHeadersComplete, parserOnIncoming, emit('request'): inside of the read's scope, in the request's own
    # context (async-hooks/test-httpparser.request). What it queues waits.
    init HTTPINCOMINGMESSAGE 6 because of TCPWRAP 4
    before HTTPINCOMINGMESSAGE 6
      RequestHandler::on_request POST /things with execution 6, trigger 4
        init Microtask 7 because of HTTPINCOMINGMESSAGE 6
        init TickObject 8 because of HTTPINCOMINGMESSAGE 6
    after HTTPINCOMINGMESSAGE 6
    # parserOnBody, parserOnMessageComplete.
    before HTTPINCOMINGMESSAGE 6
      BodyHandler::on_data of 4 bytes with execution 6, trigger 4
        init TickObject 9 because of HTTPINCOMINGMESSAGE 6
    after HTTPINCOMINGMESSAGE 6
    before HTTPINCOMINGMESSAGE 6
      BodyHandler::on_end with execution 6, trigger 4
        answered
    after HTTPINCOMINGMESSAGE 6
  after TCPWRAP 4
  # The outermost scope is over. Only here do ticks run, all of them, and then microtasks (test-next-tick-ordering,
  # addons/make-callback-recurse).
  before TickObject 8
    the tick of the request
  after TickObject 8
  before TickObject 9
    the tick of the body
  after TickObject 9
  before Microtask 7
    the microtask of the request
  after Microtask 7
  # The answer left in one write when the read was over; that it did is reported by a call of its own.
  before TCPWRAP 4
    before HTTPINCOMINGMESSAGE 6
      ResponseHandler::on_finish with execution 6, trigger 4
    after HTTPINCOMINGMESSAGE 6
  after TCPWRAP 4
# destroy is told later than it happens (async-hooks/test-destroy-not-blocked).
check
  destroy TickObject 8
  destroy TickObject 9
  destroy Microtask 7
  destroy HTTPINCOMINGMESSAGE 6
prepare
  the client has the answer, and closes
poll
  before TCPWRAP 4
  after TCPWRAP 4
# The close callback runs in the closing phase, in the connection's context (test-net-socket-destroy-twice).
close
  before TCPWRAP 4
  after TCPWRAP 4
prepare
  the program closes the server
  init TickObject 10 because of TCPSERVERWRAP 2
poll
  before TickObject 10
    RequestHandler::on_close
  after TickObject 10
# The connection's destroy follows its close, in the next check phase.
check
  destroy TCPWRAP 4
  destroy Timeout 5
  destroy TickObject 10
close
  before TCPSERVERWRAP 2
    OnConnection::on_close
  after TCPSERVERWRAP 2
after the loop
  destroy TCPSERVERWRAP 2
";

/// The client closes the connection in the middle of its request's body.
const LOST: &str = "
start
  init TCPSERVERWRAP 2 because of nothing
  init TickObject 3 because of TCPSERVERWRAP 2
  before TickObject 3
    RequestHandler::on_listening
  after TickObject 3
  destroy TickObject 3
prepare
  the client connects
poll
  init TCPWRAP 4 because of TCPSERVERWRAP 2
  before TCPSERVERWRAP 2
    OnConnection::on_connection
      init Timeout 5 because of TCPSERVERWRAP 2
  after TCPSERVERWRAP 2
prepare
  the client sends a request
poll
  before TCPWRAP 4
    init HTTPINCOMINGMESSAGE 6 because of TCPWRAP 4
    before HTTPINCOMINGMESSAGE 6
      RequestHandler::on_request POST /things with execution 6, trigger 4
        init Microtask 7 because of HTTPINCOMINGMESSAGE 6
        init TickObject 8 because of HTTPINCOMINGMESSAGE 6
    after HTTPINCOMINGMESSAGE 6
    before HTTPINCOMINGMESSAGE 6
      BodyHandler::on_data of 2 bytes with execution 6, trigger 4
        init TickObject 9 because of HTTPINCOMINGMESSAGE 6
    after HTTPINCOMINGMESSAGE 6
  after TCPWRAP 4
  before TickObject 8
    the tick of the request
  after TickObject 8
  before TickObject 9
    the tick of the body
  after TickObject 9
  before Microtask 7
    the microtask of the request
  after Microtask 7
check
  destroy TickObject 8
  destroy TickObject 9
  destroy Microtask 7
prepare
  the client closes
poll
  # onStreamRead with an end, socketOnEnd: the message is incomplete, and refused.
  before TCPWRAP 4
    RequestHandler::on_client_error: the peer ended the connection inside a message with execution 4, trigger 2
    init SHUTDOWNWRAP 10 because of TCPWRAP 4
  after TCPWRAP 4
  before SHUTDOWNWRAP 10
  after SHUTDOWNWRAP 10
check
  destroy SHUTDOWNWRAP 10
# socketOnClose, abortIncoming: a handler that waits for the rest is told when the connection is closed.
close
  before TCPWRAP 4
    before HTTPINCOMINGMESSAGE 6
      ResponseHandler::on_close with execution 6, trigger 4
    after HTTPINCOMINGMESSAGE 6
    before HTTPINCOMINGMESSAGE 6
      BodyHandler::on_abort with execution 6, trigger 4
    after HTTPINCOMINGMESSAGE 6
  after TCPWRAP 4
prepare
  the program closes the server
  init TickObject 11 because of TCPSERVERWRAP 2
poll
  before TickObject 11
    RequestHandler::on_close
  after TickObject 11
check
  destroy HTTPINCOMINGMESSAGE 6
  destroy TCPWRAP 4
  destroy Timeout 5
  destroy TickObject 11
close
  before TCPSERVERWRAP 2
    OnConnection::on_close
  after TCPSERVERWRAP 2
after the loop
  destroy TCPSERVERWRAP 2
";

fn run(request: &'static str, answer: &'static str) -> Transcript {
    let rig = Rig::new();
    let env = rig.environment();
    let source = Rc::new(WatchedSource(rig.transcript()));
    let server = Server::with_source(&env, ServerOptions::default(), source).expect("the options are good");
    server
        .listen(
            ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0))),
            Application { transcript: rig.transcript(), env: env.clone() },
        )
        .expect("a free port");
    let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
    let close = move || server.close().expect("it listens");
    rig.run(&env, conversation(address, request, answer, close))
}

#[test]
fn a_request_climbs_the_chain_and_comes_down_again() {
    let request = "POST /things HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody";
    run(request, "done").assert_is(EXPECTED);
}

#[test]
fn a_lost_connection_is_told_upwards_in_the_close_phase() {
    let request = "POST /things HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbo";
    run(request, "").assert_is(LOST);
}
