//! Sources that answer later, never, or too late. The source is a fake.

mod common;

use async_wrap::tcp_wrap::TcpWrap;
use async_wrap::{AsyncStream, Environment, Provider};
use common::{Host, Log, Peer, anywhere, new_loop, run_to_the_end};
use net::source::{Acceptor, ListenHandle, ListenQuery, ListenReply, ListenSource};
use net::upcall::ServerHandler;
use net::uv_core;
use net::uv_core::Loop;
use net::{Address, ErrorCode, Result, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

/// Keeps its queries for the test to answer.
#[derive(Default)]
struct Later {
    questions: RefCell<Vec<(ListenQuery, ListenReply)>>,
}

impl ListenSource for Later {
    fn get_handle(
        &self,
        _: &Environment,
        query: ListenQuery,
        reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        self.questions.borrow_mut().push((query, reply));
        Ok(None)
    }
}

impl Later {
    /// Answers the oldest query from the loop, as a source does.
    fn answer(self: &Rc<Self>, env: &Environment, answer: Result<Fake>) {
        let source = Rc::clone(self);
        env.next_tick(move || {
            let (_, reply) = source.questions.borrow_mut().remove(0);
            reply(answer.map(|fake| Box::new(fake) as Box<dyn ListenHandle>));
        });
    }
}

/// A stand-in for a listener in another process. Clones share it.
#[derive(Clone, Default)]
struct Fake {
    log: Log,
    acceptor: Rc<RefCell<Option<Acceptor>>>,
    refuses: bool,
}

impl Fake {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), ..Self::default() }
    }

    /// Passes a connection to the server. Returns its other end.
    fn connect(&self, event_loop: &Loop, env: &Environment) -> TcpStream {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let client =
            TcpStream::connect(listener.local_addr().expect("it has an address")).expect("it listens");
        let (accepted, _) = listener.accept().expect("it is connected");
        let tcp = TcpWrap::new(event_loop);
        tcp.open(accepted.into()).expect("it is a socket");
        let stream = AsyncStream::new(env, (*tcp).clone(), Provider::TcpWrap);
        let acceptor = self.acceptor.borrow_mut().take();
        if let Some(acceptor) = acceptor {
            env.make_callback(stream.context(), || acceptor.accept(Ok(stream)));
            self.acceptor.borrow_mut().get_or_insert(acceptor);
        }
        client
    }
}

impl ListenHandle for Fake {
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()> {
        self.log.push(format!("handle listen {backlog}, room for {}", acceptor.room().min(999)));
        if self.refuses {
            return Err(some_error());
        }
        self.acceptor.replace(Some(acceptor));
        Ok(())
    }

    fn address(&self) -> Option<Address> {
        Some(Address::Tcp(SocketAddr::from(([192, 0, 2, 1], 7))))
    }

    // A real handle drops the acceptor soon; here the test does.
    fn close(&self) {
        self.log.push("handle close");
    }

    fn ref_(&self) {
        self.log.push("handle ref");
    }

    fn unref(&self) {
        self.log.push("handle unref");
    }

    fn has_room(&self) {
        self.log.push("handle has room");
    }
}

fn some_error() -> net::Error {
    uv_core::Error::new("bind", uv_core::Errno::EADDRINUSE).into()
}

fn listening(env: &Environment, source: &Rc<Later>, handler: impl ServerHandler + 'static) -> Server {
    let server =
        Server::with_source(env, ServerOptions::default(), Rc::clone(source) as Rc<dyn ListenSource>);
    server.listen(anywhere().backlog(5), handler).expect("asked");
    server
}

#[test]
fn a_server_listens_when_its_source_answers() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let server = listening(&env, &source, Host::new(&log, |_| {}));
    assert!(!server.is_listening());
    assert_eq!(server.address(), None);
    assert_eq!(
        server.listen_with(anywhere(), |_, _| {}).expect_err("it is about to").code(),
        ErrorCode::ServerAlreadyListen
    );
    server.unref();
    let fake = Fake::new(&log);
    source.answer(&env, Ok(fake.clone()));
    let (me, noted) = (server.clone(), log.clone());
    env.next_tick(move || {
        assert!(me.is_listening());
        assert_eq!(me.address().and_then(|address| address.port()), Some(7));
        me.ref_();
        noted.push("tick");
    });
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    let expected =
        ["handle listen 5, room for 999", "handle unref", "handle ref", "tick", "server listening"];
    assert_eq!(log.take(), expected);
    server.close().expect("it listens");
    fake.acceptor.take();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["handle close", "server close"]);
}

// Node: test-cluster-eaddrinuse: an error of the primary is emitted as 'error'
#[test]
fn an_error_comes_later_to_the_handler_that_asked_and_the_server_may_listen_again() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let server = listening(&env, &source, Host::new(&log, |_| {}).telling_drop());
    source.answer(&env, Err(some_error()));
    let noted = log.clone();
    env.next_tick(move || {
        noted.push("tick");
        let refused = server.close().expect_err("it does not listen");
        assert_eq!(refused.code(), ErrorCode::ServerNotRunning);
        // Before the error is reported.
        server.listen(anywhere().exclusive(true), Host::new(&noted, |_| {})).expect("it may listen again");
        server.close().expect("it listens");
    });
    run_to_the_end(&event_loop, &env);
    let expected =
        ["tick", "server error bind: Address already in use (EADDRINUSE)", "server dropped", "server close"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_handle_that_does_not_listen_is_an_error_too() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let _server = listening(&env, &source, Host::new(&log, |_| {}).telling_drop());
    source.answer(&env, Ok(Fake { refuses: true, ..Fake::new(&log) }));
    run_to_the_end(&event_loop, &env);
    let expected = [
        "handle listen 5, room for 999",
        "server error bind: Address already in use (EADDRINUSE)",
        "server dropped",
    ];
    assert_eq!(log.take(), expected);
}

// Node: `_listeningId`: a reply to a server closed meanwhile closes the handle
#[test]
fn an_answer_after_close_closes_the_handle_and_an_error_is_forgotten() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    for answer in [Ok(Fake::new(&log)), Err(some_error())] {
        let server = listening(&env, &source, Host::new(&log, |_| {}));
        server.close().expect("it is about to listen");
        source.answer(&env, answer);
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("server close"), 2);
    assert_eq!(log.count("handle close"), 1);
    assert!(!log.has("server listening"));
}

#[test]
fn an_answer_to_an_earlier_listen_does_not_start_a_later_one() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let server = listening(&env, &source, Host::new(&log, |_| {}));
    server.close().expect("it is about to listen");
    server.listen(anywhere(), Host::new(&log, |_| {})).expect("asked again");
    source.answer(&env, Ok(Fake::new(&log)));
    env.next_tick(move || {
        assert!(!server.is_listening(), "the second question is open");
        server.close().expect("it is about to listen");
    });
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    source.questions.borrow_mut().clear();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close", "handle close", "server close"]);
}

#[test]
fn a_source_that_drops_the_question_leaves_the_server_as_it_was() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let server = listening(&env, &source, Host::new(&log, |_| {}).telling_drop());
    source.questions.borrow_mut().clear();
    assert_eq!(log.take(), ["server dropped"]);
    server.listen_with(anywhere().exclusive(true), |_, _| {}).expect("it may listen again");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-listen-exclusive-random-ports
#[test]
fn an_exclusive_server_asks_no_source() {
    let (event_loop, env) = new_loop();
    let source = Rc::new(Later::default());
    let server =
        Server::with_source(&env, ServerOptions::default(), Rc::clone(&source) as Rc<dyn ListenSource>);
    for options in [anywhere().exclusive(true), anywhere().reuse_port(true)] {
        server.listen_with(options, |_, _| {}).expect("the server listens");
        assert!(server.is_listening());
        server.close().expect("it listens");
    }
    assert!(source.questions.borrow().is_empty());
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_connection_on_its_way_when_the_server_closes_is_closed_unseen() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let server = listening(&env, &source, Host::new(&log, |_| unreachable!("the server is closed")));
    let fake = Fake::new(&log);
    source.answer(&env, Ok(fake.clone()));
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    server.close().expect("it listens");
    assert_eq!(fake.acceptor.borrow().as_ref().map(Acceptor::room), Some(0));
    let mut client = fake.connect(&event_loop, &env);
    fake.acceptor.take();
    run_to_the_end(&event_loop, &env);
    assert_eq!(std::io::Read::read(&mut client, &mut [0]).expect("a plain end"), 0);
    assert_eq!(server.connections(), 0);
    assert!(log.has("server close"));
}

// Node: `maxConnections` in a worker: the primary is asked to give connections to another worker
#[test]
fn a_full_server_has_no_room_and_says_when_it_has_again() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let sockets: Rc<RefCell<Vec<Socket>>> = Rc::default();
    let kept = Rc::clone(&sockets);
    let server = listening(&env, &source, move |_: &Server, socket: Socket| {
        Peer::new("here", &Log::default()).attach(&socket);
        kept.borrow_mut().push(socket);
    });
    server.set_max_connections(Some(1));
    let fake = Fake::new(&log);
    source.answer(&env, Ok(fake.clone()));
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    let room = || fake.acceptor.borrow().as_ref().map(Acceptor::room);
    assert_eq!(room(), Some(1));
    let client = fake.connect(&event_loop, &env);
    assert_eq!((room(), server.connections()), (Some(0), 1));
    log.take();
    server.set_max_connections(Some(2));
    assert_eq!(log.take(), ["handle has room"]);
    server.set_max_connections(Some(1));
    sockets.take().iter().for_each(Socket::destroy);
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    assert_eq!(log.take(), ["handle has room"]);
    assert_eq!(room(), Some(1));
    server.close().expect("it listens");
    fake.acceptor.take();
    run_to_the_end(&event_loop, &env);
    drop(client);
}

#[test]
fn a_server_that_drops_what_is_too_much_always_has_room() {
    let (event_loop, env) = new_loop();
    let (log, source) = (Log::default(), Rc::new(Later::default()));
    let options = ServerOptions::default().max_connections(Some(0)).drop_max_connection(true);
    let server = Server::with_source(&env, options, Rc::clone(&source) as Rc<dyn ListenSource>);
    let drops = Rc::new(Cell::new(0));
    let count = Rc::clone(&drops);
    let host = Host::new(&log, |_| unreachable!("there is no room"));
    server.listen(anywhere(), host.on_dropped(move |_| count.set(count.get() + 1))).expect("asked");
    let fake = Fake::new(&log);
    source.answer(&env, Ok(fake.clone()));
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    assert_eq!(fake.acceptor.borrow().as_ref().map(Acceptor::room), Some(usize::MAX));
    let client = fake.connect(&event_loop, &env);
    assert_eq!(drops.get(), 1);
    server.close().expect("it listens");
    fake.acceptor.take();
    run_to_the_end(&event_loop, &env);
    drop(client);
}
