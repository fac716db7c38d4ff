//! Streams: every upcall runs in a scope, every request is a resource, and triggers form the expected graph.

mod common;

use async_wrap::upcall::{OnConnection, OnStream};
use async_wrap::{AsyncHook, AsyncId, AsyncStream, Environment, Provider};
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tcp_wrap::PipeWrap;
use uv_core::{BindOptions, Errno, Error, Result, RunMode};

/// The resources in the order of their creation, named by type and number, each with its trigger.
#[derive(Clone, Default)]
struct Graph(Rc<RefCell<Lines>>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    names: HashMap<AsyncId, String>,
}

impl Graph {
    /// One line for each resource except ticks.
    fn lines(&self) -> Vec<String> {
        let lines = self.0.take().lines;
        lines.into_iter().filter(|line| !line.starts_with("TickObject")).collect()
    }
}

impl AsyncHook for Graph {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        let mut graph = self.0.borrow_mut();
        let number =
            graph.names.values().filter(|name| name.starts_with(&format!("{provider}:"))).count() + 1;
        let cause = graph.names.get(&trigger).map_or_else(|| trigger.to_string(), Clone::clone);
        let name = format!("{provider}:{number}");
        graph.lines.push(format!("{name} <- {cause}"));
        graph.names.insert(id, name);
    }
}

/// Sends the input back, finishes when the peer does, and logs the context of each call.
struct Echo {
    log: Log,
    who: &'static str,
}

impl Echo {
    fn start(stream: AsyncStream, log: &Log, who: &'static str) {
        stream.set_handler(Self { log: log.clone(), who });
        stream.read_start().expect("the connection is open");
    }

    fn note(&self, stream: &AsyncStream, what: &str) {
        note(&self.log, stream, &format!("{} {what}", self.who));
    }
}

/// Logs a call with its context, and queues a tick that logs it again.
fn note(log: &Log, stream: &AsyncStream, what: &str) {
    let env = stream.environment();
    let own = env.execution_async_id() == stream.async_id();
    let request = !own && env.trigger_async_id() == stream.async_id();
    let place = if own {
        "itself"
    } else if request {
        "a request"
    } else {
        "another resource"
    };
    log.push(format!("{what} in {place}"));
    env.next_tick(log.note(&format!("tick of {what} in {place}")));
}

impl OnStream for Echo {
    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]) {
        self.note(stream, "read");
        assert_eq!(stream.write(data).expect("the peer listens").later, 0);
    }

    fn on_end(&mut self, stream: &AsyncStream) {
        self.note(stream, "end");
        stream.shutdown().expect("once");
    }

    fn on_error(&mut self, _: &AsyncStream, error: Error) {
        panic!("{error}");
    }

    fn on_shutdown(&mut self, stream: &AsyncStream, result: Result<()>) {
        self.note(stream, "shutdown");
        result.expect("the FIN is sent");
        stream.close();
    }

    fn on_close(&mut self, stream: &AsyncStream) {
        self.note(stream, "close");
    }
}

/// Sends a greeting and finishes when the answer has arrived.
struct Client(Echo);

impl OnStream for Client {
    fn on_connect(&mut self, stream: &AsyncStream, result: Result<()>) {
        self.0.note(stream, "connect");
        result.expect("the server listens");
        stream.read_start().expect("connected");
        assert_eq!(stream.write(b"hello").expect("connected").later, 0);
    }

    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]) {
        self.0.note(stream, "read");
        assert_eq!(data, b"hello");
        stream.shutdown().expect("once");
    }

    fn on_end(&mut self, stream: &AsyncStream) {
        self.0.note(stream, "end");
        stream.close();
    }

    fn on_error(&mut self, _: &AsyncStream, error: Error) {
        panic!("{error}");
    }

    fn on_shutdown(&mut self, stream: &AsyncStream, result: Result<()>) {
        self.0.note(stream, "shutdown");
        result.expect("the FIN is sent");
    }

    fn on_close(&mut self, stream: &AsyncStream) {
        self.0.note(stream, "close");
    }
}

/// Serves one connection, then closes.
struct Once(Log);

impl OnConnection for Once {
    fn on_connection(&mut self, server: &AsyncStream, connection: Result<AsyncStream>) {
        let connection = connection.expect("descriptors are left");
        assert_eq!(connection.context().trigger_async_id(), server.async_id());
        note(&self.0, server, "server connection");
        Echo::start(connection, &self.0, "peer");
        server.close();
    }

    fn on_close(&mut self, server: &AsyncStream) {
        note(&self.0, server, "server close");
    }
}

fn serve_tcp(env: &Environment, log: &Log) -> SocketAddr {
    let wrap = tcp_wrap::TcpWrap::new(env.loop_handle());
    wrap.bind("127.0.0.1:0".parse().expect("an address"), BindOptions::default()).expect("a free port");
    let server = AsyncStream::new(env, (*wrap).clone(), Provider::TcpServerWrap);
    server.listen(8, Once(log.clone())).expect("bound");
    wrap.local_addr().expect("bound")
}

fn connect_tcp(env: &Environment, addr: SocketAddr, log: &Log) {
    let stream = AsyncStream::tcp(env);
    stream.set_handler(Client(Echo { log: log.clone(), who: "client" }));
    stream.connect_tcp(addr).expect("loopback is reachable");
}

// Node: async-hooks/test-tcpwrap
#[test]
fn every_upcall_runs_in_its_context_and_ticks_right_after_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let addr = serve_tcp(&env, &log);
    connect_tcp(&env, addr, &log);
    run_to_the_end(&event_loop, &env);
    let events = log.take();
    for pair in events.chunks(2) {
        assert_eq!(pair[1], format!("tick of {}", pair[0]), "{events:?}");
    }
    let mut first: Vec<_> = events.iter().filter(|event| !event.starts_with("tick")).cloned().collect();
    first.sort();
    let expected = [
        "client close in itself",
        "client connect in a request",
        "client end in itself",
        "client read in itself",
        "client shutdown in a request",
        "peer close in itself",
        "peer end in itself",
        "peer read in itself",
        "peer shutdown in a request",
        "server close in itself",
        "server connection in itself",
    ];
    assert_eq!(first, expected);
}

// Node: async-hooks/test-graph.tcp
#[test]
fn the_graph_of_a_tcp_echo() {
    let (event_loop, env) = new_loop();
    let graph = Graph::default();
    env.hook(graph.clone()).enable();
    let addr = serve_tcp(&env, &Log::default());
    connect_tcp(&env, addr, &Log::default());
    run_to_the_end(&event_loop, &env);
    let expected = [
        "TCPSERVERWRAP:1 <- 0",
        "TCPWRAP:1 <- 0",
        "TCPCONNECTWRAP:1 <- TCPWRAP:1",
        "TCPWRAP:2 <- TCPSERVERWRAP:1",
        "SHUTDOWNWRAP:1 <- TCPWRAP:1",
        "SHUTDOWNWRAP:2 <- TCPWRAP:2",
    ];
    assert_eq!(graph.lines(), expected);
}

// Node: async-hooks/test-graph.pipeconnect, test-graph.shutdown
#[test]
fn the_graph_of_a_pipe_echo() {
    let (event_loop, env) = new_loop();
    let graph = Graph::default();
    env.hook(graph.clone()).enable();
    let name = format!("\0async-wrap-graph-{}", std::process::id());
    let wrap = PipeWrap::new(env.loop_handle());
    wrap.bind(&name).expect("a fresh name");
    let server = AsyncStream::new(&env, (*wrap).clone(), Provider::PipeServerWrap);
    server.listen(8, Once(Log::default())).expect("bound");
    let stream = AsyncStream::new(&env, (*PipeWrap::new(&event_loop)).clone(), Provider::PipeWrap);
    stream.set_handler(Client(Echo { log: Log::default(), who: "client" }));
    stream.connect_pipe(&name).expect("the server listens");
    run_to_the_end(&event_loop, &env);
    let expected = [
        "PIPESERVERWRAP:1 <- 0",
        "PIPEWRAP:1 <- 0",
        "PIPECONNECTWRAP:1 <- PIPEWRAP:1",
        "PIPEWRAP:2 <- PIPESERVERWRAP:1",
        "SHUTDOWNWRAP:1 <- PIPEWRAP:1",
        "SHUTDOWNWRAP:2 <- PIPEWRAP:2",
    ];
    assert_eq!(graph.lines(), expected);
}

// Node: async-hooks/test-tcpwrap
#[test]
fn every_resource_of_an_echo_is_entered_in_order_and_destroyed_once() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let addr = serve_tcp(&env, &Log::default());
    connect_tcp(&env, addr, &Log::default());
    run_to_the_end(&event_loop, &env);
    let mut open: Vec<String> = Vec::new();
    let mut made = Vec::new();
    let mut gone = Vec::new();
    for event in log.take() {
        let words: Vec<_> = event.split(' ').map(str::to_owned).collect();
        let id = words[1].clone();
        match words[0].as_str() {
            "init" => made.push(id),
            "before" => {
                assert!(made.contains(&id) && !gone.contains(&id), "{event}");
                open.push(id);
            }
            "after" => assert_eq!(open.pop(), Some(id)),
            _ => gone.push(id),
        }
    }
    made.sort();
    gone.sort();
    assert_eq!((open.len(), made), (0, gone));
}

/// Closes when the peer does; logs each completed write with its context.
struct Writer(Log);

impl OnStream for Writer {
    fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

    fn on_end(&mut self, stream: &AsyncStream) {
        stream.close();
    }

    fn on_error(&mut self, stream: &AsyncStream, _: Error) {
        stream.close();
    }

    fn on_write(&mut self, stream: &AsyncStream, result: Result<()>) {
        let env = stream.environment();
        assert_eq!(env.trigger_async_id(), stream.async_id());
        let end = result.map_or_else(|error| error.errno().to_string(), |()| "done".to_owned());
        self.0.push(format!("write {} {end}", env.execution_async_id()));
    }

    fn on_notify(&mut self, stream: &AsyncStream) {
        assert_eq!(stream.environment().execution_async_id(), stream.async_id());
        stream.environment().next_tick(self.0.note("tick"));
        self.0.push("notify");
    }

    fn on_close(&mut self, _: &AsyncStream) {
        self.0.push("close");
    }
}

/// Two ends of a Unix connection, both in the loop.
fn pair(env: &Environment) -> (AsyncStream, AsyncStream) {
    let (ours, theirs) = (PipeWrap::new(env.loop_handle()), PipeWrap::new(env.loop_handle()));
    theirs.open(ours.handle().open_pair().expect("descriptors are left")).expect("a socket");
    let stream = |wrap: PipeWrap| AsyncStream::new(env, (*wrap).clone(), Provider::PipeWrap);
    (stream(ours), stream(theirs))
}

/// More bytes than any socket buffer holds.
const MUCH: usize = 16 << 20;

// Node: async-hooks/test-writewrap
#[test]
fn a_write_that_goes_out_at_once_is_no_resource() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (ours, theirs) = pair(&env);
    env.hook(Recorder(log.clone())).enable();
    ours.set_handler(Writer(log.clone()));
    assert_eq!(ours.write(b"all of it").expect("open").later, 0);
    ours.close();
    theirs.close();
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("init"), log.count("write")), (0, 0));
}

#[test]
fn a_notification_runs_in_a_scope_of_the_stream() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (ours, theirs) = pair(&env);
    ours.set_handler(Writer(log.clone()));
    ours.notify();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["notify", "tick"]);
    ours.close();
    theirs.close();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn the_rest_of_a_write_is_a_resource_caused_by_the_stream() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (ours, theirs) = pair(&env);
    ours.set_handler(Writer(log.clone()));
    theirs.set_handler(Writer(Log::default()));
    theirs.read_start().expect("open");
    assert!(ours.write(&vec![1; MUCH]).expect("open").later > 0);
    assert_eq!(ours.write_bytes(vec![2; 10].into()).expect("open").later, 10);
    ours.shutdown().expect("open");
    ours.read_start().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["write 3 done", "write 4 done", "close"]);
    assert_eq!(theirs.bytes_read(), MUCH as u64 + 10);
}

#[test]
fn writes_cancelled_by_close_end_in_their_own_contexts_before_the_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (ours, theirs) = pair(&env);
    env.hook(Recorder(log.clone())).enable();
    ours.set_handler(Writer(log.clone()));
    assert!(ours.write(&vec![1; MUCH]).expect("open").later > 0);
    assert_eq!(ours.write(b"more").expect("open").later, 4);
    ours.close();
    theirs.close();
    run_to_the_end(&event_loop, &env);
    let cancelled = Errno::ECANCELED.to_string();
    let expected = [
        "init 3 WRITEWRAP 1".to_owned(),
        "init 4 WRITEWRAP 1".to_owned(),
        "before 2".to_owned(),
        "after 2".to_owned(),
        "before 3".to_owned(),
        format!("write 3 {cancelled}"),
        "after 3".to_owned(),
        "before 4".to_owned(),
        format!("write 4 {cancelled}"),
        "after 4".to_owned(),
        "before 1".to_owned(),
        "close".to_owned(),
        "after 1".to_owned(),
        "destroy 2".to_owned(),
        "destroy 3".to_owned(),
        "destroy 4".to_owned(),
        "destroy 1".to_owned(),
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_stream_closed_without_a_handler_is_destroyed() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    AsyncStream::tcp(&env).close();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["init 1 TCPWRAP 0", "before 1", "after 1", "destroy 1"]);
}

#[test]
fn requests_of_the_wrong_kind_are_refused() {
    let (event_loop, env) = new_loop();
    let (ours, theirs) = pair(&env);
    let tcp = AsyncStream::tcp(&env);
    let addr = "127.0.0.1:1".parse().expect("an address");
    let refused = |result: Result<()>| assert_eq!(result.expect_err("refused").errno(), Errno::ENOTSUP);
    refused(ours.connect_tcp(addr));
    refused(tcp.connect_pipe("\0nobody"));
    refused(tcp.write_fds(b"x".to_vec().into(), Vec::new()));
    refused(ours.reset());
    for stream in [ours, theirs, tcp] {
        stream.close();
    }
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_stream_that_is_pulled_is_told_in_its_own_context() {
    struct Puller(Log);
    impl OnStream for Puller {
        fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {
            panic!("the loop does not read");
        }
        fn on_readable(&mut self, stream: &AsyncStream) {
            note(&self.0, stream, "readable");
            if stream.try_read(&mut [0; 16]).expect("something is there") == 0 {
                stream.close();
            }
        }
        fn on_end(&mut self, _: &AsyncStream) {}
        fn on_error(&mut self, _: &AsyncStream, error: Error) {
            panic!("{error}");
        }
    }
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    let wrap = tcp_wrap::StreamWrap::from_fd(env.loop_handle(), ours.into()).expect("a stream socket");
    let stream = AsyncStream::new(&env, wrap, Provider::PipeWrap);
    stream.set_handler(Puller(log.clone()));
    stream.readable_start().expect("connected");
    std::io::Write::write_all(&mut peer, b"hello").expect("connected");
    drop(peer);
    run_to_the_end(&event_loop, &env);
    assert_eq!(
        log.take(),
        [
            "readable in itself",
            "tick of readable in itself",
            "readable in itself",
            "tick of readable in itself"
        ]
    );
}

#[test]
fn the_writes_of_a_stream_without_a_handler_end_when_they_are_written() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let hook = env.hook(Recorder(log.clone()));
    hook.enable();
    let wrap = PipeWrap::new(&event_loop);
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    wrap.open(ours.into()).expect("a socket");
    let stream = AsyncStream::new(&env, (*wrap).clone(), Provider::PipeWrap);
    for _ in 0..3 {
        let written = stream.write(&[0; 1 << 20]).expect("it is open");
        assert!(written.later > 0, "more than the kernel takes at once");
        let mut rest = peer.try_clone().expect("a descriptor");
        let reader = std::thread::spawn(move || rest.read_exact(&mut vec![0; 1 << 20]));
        env.run(RunMode::Default).expect("the loop runs");
        reader.join().expect("it does not panic").expect("all of it");
    }
    assert_eq!((log.count("init"), log.count("destroy")), (4, 3), "all but the stream");
    hook.disable();
    stream.close();
    run_to_the_end(&event_loop, &env);
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
}
