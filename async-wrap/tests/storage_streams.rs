//! Storages over streams: what a connection has, and what each request of it has.

mod common;

use async_wrap::storage::Storage;
use async_wrap::upcall::{OnConnection, OnStream};
use async_wrap::{AsyncStream, AsyncUdp, Provider};
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use uv_core::{BindOptions, Error, Result};

fn value<T: Copy + 'static>(storage: &Storage<T>) -> Option<T> {
    storage.with(|value| value.copied())
}

/// Notes what each callback of a stream finds.
struct Noting {
    who: &'static str,
    storage: Storage<u32>,
    log: Log,
}

impl Noting {
    fn note(&self, what: &str) {
        self.log.push(format!("{} {what} {:?}", self.who, value(&self.storage)));
    }
}

impl OnStream for Noting {
    fn on_read(&mut self, stream: &AsyncStream, _: &[u8]) {
        self.note("read");
        self.storage.run(30, || stream.shutdown().expect("once"));
    }

    fn on_end(&mut self, stream: &AsyncStream) {
        self.note("end");
        stream.close();
    }

    fn on_error(&mut self, _: &AsyncStream, error: Error) {
        panic!("{error}");
    }

    fn on_connect(&mut self, stream: &AsyncStream, result: Result<()>) {
        result.expect("the server listens");
        self.note("connect");
        stream.read_start().expect("connected");
        let written = self.storage.run(20, || stream.write(b"hello").expect("connected"));
        assert_eq!(written.later, 0);
    }

    fn on_shutdown(&mut self, _: &AsyncStream, _: Result<()>) {
        self.note("shutdown");
    }

    fn on_close(&mut self, _: &AsyncStream) {
        self.note("close");
    }
}

struct Accepting(Storage<u32>, Log);

impl OnConnection for Accepting {
    fn on_connection(&mut self, server: &AsyncStream, connection: Result<AsyncStream>) {
        let connection = connection.expect("descriptors are left");
        let Self(storage, log) = self;
        log.push(format!("server connection {:?}", value(storage)));
        // A connection has the server's values, not those of the call that takes it.
        storage.enter_with(99);
        connection.set_handler(Noting { who: "peer", storage: storage.clone(), log: log.clone() });
        connection.read_start().expect("connected");
        server.close();
    }
}

// Node: async_hooks/test-async-local-storage-socket, -tlssocket; parallel/test-async-local-storage-http-multiclients
#[test]
fn streams_have_the_values_of_their_creation_connections_the_servers_and_requests_their_own() {
    let (event_loop, env) = new_loop();
    let (storage, log) = (Storage::<u32>::new(&env), Log::default());
    let addr = storage.run(1, || {
        let wrap = tcp_wrap::TcpWrap::new(env.loop_handle());
        wrap.bind("127.0.0.1:0".parse().expect("an address"), BindOptions::default()).expect("a free port");
        let server = AsyncStream::new(&env, (*wrap).clone(), Provider::TcpServerWrap);
        server.listen(8, Accepting(storage.clone(), log.clone())).expect("bound");
        wrap.local_addr().expect("bound")
    });
    let client = storage.run(2, || AsyncStream::tcp(&env));
    client.set_handler(Noting { who: "client", storage: storage.clone(), log: log.clone() });
    storage.run(10, || client.connect_tcp(addr).expect("loopback is reachable"));
    run_to_the_end(&event_loop, &env);
    let mut events = log.take();
    events.sort();
    let expected = [
        "client close Some(2)",
        "client connect Some(10)",
        "client end Some(2)",
        "peer close Some(1)",
        "peer end Some(1)",
        "peer read Some(1)",
        "peer shutdown Some(30)",
        "server connection Some(1)",
    ];
    let wanted = |event: &&String| !event.starts_with("client read") && !event.starts_with("client shutdown");
    assert_eq!(events.iter().filter(wanted).collect::<Vec<_>>(), expected);
}

/// Writes more than the kernel takes, and reads it on the other side.
#[test]
fn each_queued_write_ends_with_the_value_that_it_began_with() {
    struct Writer(Storage<u32>, Log, u32);
    impl OnStream for Writer {
        fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

        fn on_end(&mut self, _: &AsyncStream) {}

        fn on_error(&mut self, _: &AsyncStream, _: Error) {}

        fn on_write(&mut self, stream: &AsyncStream, result: Result<()>) {
            result.expect("the reader reads");
            self.1.push(format!("write {:?}", value(&self.0)));
            self.2 -= 1;
            if self.2 == 0 {
                stream.close();
            }
        }
    }
    struct Reader;
    impl OnStream for Reader {
        fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

        fn on_end(&mut self, stream: &AsyncStream) {
            stream.close();
        }

        fn on_error(&mut self, stream: &AsyncStream, _: Error) {
            stream.close();
        }
    }
    let (event_loop, env) = new_loop();
    let (storage, log) = (Storage::<u32>::new(&env), Log::default());
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let streams = [ours, theirs].map(|socket| {
        let pipe = tcp_wrap::PipeWrap::new(env.loop_handle());
        pipe.open(socket.into()).expect("open");
        AsyncStream::new(&env, (*pipe).clone(), Provider::PipeWrap)
    });
    streams[0].set_handler(Writer(storage.clone(), log.clone(), 3));
    streams[1].set_handler(Reader);
    for number in 1..=3 {
        let written = storage.run(number, || streams[0].write(&[0; 1 << 20]).expect("open"));
        assert!(written.later > 0, "the kernel has taken a megabyte at once");
    }
    streams[1].read_start().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["write Some(1)", "write Some(2)", "write Some(3)"]);
}

// AL9: also a stream that never had a handler, and its requests, give their values back.
#[test]
fn what_is_closed_without_a_handler_gives_its_values_back() {
    struct Reader;
    impl OnStream for Reader {
        fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

        fn on_end(&mut self, stream: &AsyncStream) {
            stream.close();
        }

        fn on_error(&mut self, _: &AsyncStream, error: Error) {
            panic!("{error}");
        }
    }
    let (event_loop, env) = new_loop();
    let storage = Storage::<Rc<()>>::new(&env);
    let value = Rc::new(());
    storage.run(Rc::new(Rc::clone(&value)), || {
        AsyncStream::tcp(&env).close();
        AsyncUdp::new(&env).close();
        // Its FIN is sent, and then it is closed.
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let [ours, theirs] = [ours, theirs].map(|socket| {
            let pipe = tcp_wrap::PipeWrap::new(env.loop_handle());
            pipe.open(socket.into()).expect("open");
            AsyncStream::new(&env, (*pipe).clone(), Provider::PipeWrap)
        });
        ours.shutdown().expect("open");
        theirs.set_handler(Reader);
        theirs.read_start().expect("open");
        env.set_timeout(std::time::Duration::from_millis(5), move || ours.close());
        // A connect that fails.
        let refused = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = refused.local_addr().expect("bound");
        drop(refused);
        let client = AsyncStream::tcp(&env);
        client.connect_tcp(address).expect("it is under way");
        env.set_timeout(std::time::Duration::from_millis(5), move || client.close());
    });
    assert!(Rc::strong_count(&value) > 1);
    env.run(uv_core::RunMode::Default).expect("the loop runs");
    assert_eq!(Rc::strong_count(&value), 1);
    run_to_the_end(&event_loop, &env);
}

// Node: async-hooks/test-http-agent-handle-reuse-serial
#[test]
fn a_renewed_context_is_another_resource_with_the_values_of_what_executes() {
    let (event_loop, env) = new_loop();
    let (log, storage) = (Log::default(), Storage::<u32>::new(&env));
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let wrap = tcp_wrap::StreamWrap::from_fd(env.loop_handle(), ours.into()).expect("a stream socket");
    let stream = storage.run(1, || AsyncStream::new(&env, wrap, Provider::PipeWrap));
    stream.set_handler(Noting { who: "client", storage: storage.clone(), log: log.clone() });
    env.hook(Recorder(log.clone())).enable();
    let old = stream.async_id();
    storage.run(2, || stream.renew_context());
    let new = stream.async_id();
    drop(theirs);
    stream.read_start().expect("connected");
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    let position = |what: String| all.iter().position(|entry| *entry == what);
    assert_ne!(old, new);
    assert!(position(format!("init {new} PIPEWRAP 0")).is_some(), "{all:?}");
    assert!(position(format!("destroy {old}")).is_some(), "{all:?}");
    assert_eq!(position(format!("before {old}")), None, "nothing runs in the old context: {all:?}");
    assert!(position(format!("before {new}")) < position("client end Some(2)".to_owned()), "{all:?}");
    assert_eq!(position(format!("destroy {new}")), Some(all.len() - 1), "{all:?}");
}
