//! The same descriptors, threads, handles and memory after 10,000 of each operation as before. Runs in a process of its own, which
//! it measures. Connections that are used and closed are in `leaks.rs`.

mod common;

use async_wrap::Environment;
use common::{Log, Peer, close, new_loop};
use net::abort::AbortHandle;
use net::admission::BlockList;
use net::names::Resolver;
use net::udp::{UdpSocket, UdpSocketOptions};
use net::upcall::SocketHandler;
use net::uv_core::{Loop, RunMode};
use net::{ConnectOptions, ListenOptions, Pulled, Server, ServerOptions, Socket};
use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

/// An operation, how often it is done, and what does it so often.
type Operation = (&'static str, usize, fn(&Environment, usize));

const OPERATIONS: &[Operation] = &[
    ("connect by name", 10_000, by_name),
    ("connect by name, all attempts fail", 10_000, by_name_in_vain),
    ("connect, aborted", 10_000, aborted),
    ("connect, refused by a block list", 10_000, blocked_here),
    ("listen", 10_000, listens),
    ("listen by name", 10_000, listens_by_name),
    ("a connection that is not admitted", 10_000, not_admitted),
    ("a connection beyond the limit of its address", 10_000, beyond_the_limit),
    ("block list", 10_000, block_lists),
    ("a connection that is pulled", 10_000, pulled),
    ("a connection without a handler", 10_000, without_handler),
    ("timeout", 10_000, timeouts),
    ("datagrams", 10_000, datagrams),
];

/// How many operations are under way at once.
const AT_ONCE: usize = 50;

/// In bytes: everything of an operation that could leak is larger than this.
const LEAST: usize = 48;

/// The memory of a queue, or of an allocator, grows in one round or two. What leaks grows in each.
const ROUNDS: usize = 3;

/// Marks the process that is measured.
const MARK: &str = "NET_TEST_TEN_THOUSAND";

/// What a process uses: descriptors, threads and handles.
fn used(event_loop: &Loop) -> (usize, usize, usize) {
    let count = |path| fs::read_dir(path).expect("Linux has it").count();
    (count("/proc/self/fd"), count("/proc/self/task"), event_loop.handles().len())
}

/// The memory of this process, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it is there");
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

#[test]
fn everything_is_as_it_was_after_ten_thousand_of_each_operation() {
    if std::env::var_os(MARK).is_some() {
        return all_operations();
    }
    let name = "everything_is_as_it_was_after_ten_thousand_of_each_operation";
    let mut alone = Command::new("/proc/self/exe");
    alone.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, "1");
    let status = alone.stdout(std::process::Stdio::null()).status().expect("a test binary runs itself");
    assert!(status.success(), "{status}");
}

fn all_operations() {
    let (event_loop, env) = new_loop();
    // The pool has all of its threads from here on.
    (0..8 * AT_ONCE).for_each(|_| drop(event_loop.queue_work(|| (), |_| {})));
    for &(name, times, operation) in OPERATIONS {
        // The allocator and the kernel have what they keep.
        operation(&env, times / 10);
        let round = || {
            let (before, kept) = (used(&event_loop), memory());
            operation(&env, times);
            assert_eq!(used(&event_loop), before, "{name}");
            memory().saturating_sub(kept) / times
        };
        assert!((0..ROUNDS).any(|_| round() < LEAST), "{name}: some bytes are left of each");
    }
    close(&event_loop, &env);
}

/// Does `times` operations, a few at once, and runs the loop until all have ended.
fn in_batches(env: &Environment, times: usize, mut begin: impl FnMut()) {
    for _ in 0..times / AT_ONCE {
        (0..AT_ONCE).for_each(|_| begin());
        assert!(!env.run(RunMode::Default).expect("the loop runs"));
    }
}

/// A server that does not keep the loop alive, on a loopback address of its own: its connections leave the ports of this
/// machine to other tests.
fn serve(
    env: &Environment,
    host: [u8; 4],
    options: ServerOptions,
    on_connection: impl FnMut(&Server, Socket) + 'static,
) -> (Server, SocketAddr) {
    let server = Server::new(env, options);
    server.listen_with(ListenOptions::addr((host, 0).into()), on_connection).expect("it listens");
    server.unref();
    let addr = common::port_of(&server);
    (server, addr)
}

fn end(env: &Environment, server: &Server) {
    server.close().expect("it listens");
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(server.connections(), 0);
}

fn silent() -> Peer {
    Peer::new("a peer", &Log::default())
}

/// Resets a connection, whose port is free then.
fn reset(socket: &Socket) {
    socket.reset_and_destroy().expect("it is open");
}

fn by_name(env: &Environment, times: usize) {
    let handle = |_: &Server, socket: Socket| silent().attach(&socket);
    let (server, addr) = serve(env, [127, 2, 0, 1], ServerOptions::default(), handle);
    // The first address refuses.
    let resolver =
        Resolver::new(move |_, _, answer| answer.found([([127, 2, 0, 99], 0), ([127, 2, 0, 1], 0)]));
    in_batches(env, times, || {
        let options = ConnectOptions::host("a.test", addr.port()).resolver(resolver.clone());
        silent().on("connect", reset).connect(env, options);
    });
    end(env, &server);
}

fn by_name_in_vain(env: &Environment, times: usize) {
    let resolver =
        Resolver::new(move |_, _, answer| answer.found([([127, 2, 0, 98], 0), ([127, 2, 0, 99], 0)]));
    in_batches(env, times, || {
        let options = ConnectOptions::host("a.test", 9).resolver(resolver.clone());
        silent().connect(env, options);
    });
}

fn aborted(env: &Environment, times: usize) {
    let resolver = Resolver::new(|_, _, answer| drop(answer));
    let all = AbortHandle::new();
    in_batches(env, times, || {
        let (abort, never) = (AbortHandle::new(), all.clone());
        let options = ConnectOptions::host("a.test", 9).resolver(resolver.clone());
        let socket = silent().connect(env, options.abort(&abort));
        let other = silent().connect(env, ConnectOptions::addr(([127, 2, 0, 99], 9).into()).abort(&never));
        abort.abort();
        other.destroy();
        assert!(socket.is_destroyed());
    });
}

fn blocked_here(env: &Environment, times: usize) {
    let list: BlockList = ["127.0.0.0/8".parse().expect("a rule")].into_iter().collect();
    in_batches(env, times, || {
        let options = ConnectOptions::addr(([127, 0, 0, 1], 9).into()).block_list(&list);
        Socket::connect(env, options, silent()).expect_err("it is blocked");
    });
}

fn listens(env: &Environment, times: usize) {
    in_batches(env, times, || {
        let server = Server::new(env, ServerOptions::default());
        server.listen_with(ListenOptions::addr(([127, 2, 0, 3], 0).into()), |_, _| {}).expect("it listens");
        server.close().expect("it listens");
    });
}

fn listens_by_name(env: &Environment, times: usize) {
    let resolver = Resolver::new(|_, _, answer| answer.found([([127, 2, 0, 3], 0)]));
    in_batches(env, times, || {
        let server = Server::new(env, ServerOptions::default());
        let (closing, options) =
            (server.clone(), ListenOptions::host("a.test", 0).resolver(resolver.clone()));
        let host = common::Host::new(&Log::default(), |_| {});
        let host = host.on("listening", move || closing.close().expect("it listens"));
        server.listen(options, host).expect("it is looked up");
    });
}

/// Connects that the server closes at once.
fn dropped(env: &Environment, addr: SocketAddr, times: usize) {
    in_batches(env, times, || drop(silent().connect(env, ConnectOptions::addr(addr))));
}

fn not_admitted(env: &Environment, times: usize) {
    let server = Server::new(env, ServerOptions::default());
    let options = ListenOptions::addr(([127, 2, 0, 4], 0).into()).admit(|_| false);
    server.listen_with(options, |_, _| unreachable!("it is not admitted")).expect("it listens");
    server.unref();
    dropped(env, common::port_of(&server), times);
    end(env, &server);
}

fn beyond_the_limit(env: &Environment, times: usize) {
    let options = ServerOptions::default().max_connections_per_address(Some(1));
    let handle = |_: &Server, socket: Socket| {
        silent().attach(&socket);
        socket.unref();
    };
    let (server, addr) = serve(env, [127, 2, 0, 5], options, handle);
    let first = silent().connect(env, ConnectOptions::addr(addr));
    first.unref();
    dropped(env, addr, times);
    reset(&first);
    end(env, &server);
}

fn block_lists(_: &Environment, times: usize) {
    for index in 0..times {
        let [high, low] = (index as u16).to_be_bytes();
        let rules = [format!("10.{high}.{low}.0/24"), format!("2001:db8:{index:x}::/48"), "192.0.2.1".into()];
        let list: BlockList = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
        assert!(list.check([10, high, low, 1].into()) && !list.check([11, high, low, 1].into()));
    }
}

/// Reads everything by itself.
struct Pulling;

impl SocketHandler for Pulling {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_readable(&mut self, socket: &Socket) {
        while let Ok(Pulled::Bytes(_)) = socket.try_read(&mut [0; 8]) {}
    }
}

fn pulled(env: &Environment, times: usize) {
    let handle = |_: &Server, socket: Socket| {
        socket.set_pulled(true);
        socket.set_handler(Pulling);
    };
    let (server, addr) = serve(env, [127, 2, 0, 6], ServerOptions::default(), handle);
    in_batches(env, times, || {
        let client = silent().on("connect", |socket| drop(socket.write(b"a few bytes, not eight")));
        let client = client.connect(env, ConnectOptions::addr(addr));
        env.set_timeout(Duration::from_millis(2), move || drop(client.reset_and_destroy()));
    });
    end(env, &server);
}

fn without_handler(env: &Environment, times: usize) {
    let (server, addr) = serve(env, [127, 2, 0, 7], ServerOptions::default(), |_, socket| drop(socket));
    dropped(env, addr, times);
    end(env, &server);
}

fn timeouts(env: &Environment, times: usize) {
    let handle = |_: &Server, socket: Socket| silent().attach(&socket);
    let (server, addr) = serve(env, [127, 2, 0, 8], ServerOptions::default(), handle);
    in_batches(env, times, || {
        let client = silent().on("connect", |socket| socket.set_timeout(Duration::from_millis(1)));
        client.on("timeout", reset).connect(env, ConnectOptions::addr(addr));
    });
    end(env, &server);
}

fn datagrams(env: &Environment, times: usize) {
    let told = Rc::new(Cell::new(0));
    in_batches(env, times, || {
        let told = Rc::clone(&told);
        let socket = UdpSocket::new_with(env, UdpSocketOptions::v4(), move |socket, data, _| {
            assert_eq!(data, b"hello");
            told.set(told.get() + 1);
            socket.close().expect("it is open");
        });
        socket.bind(([127, 0, 0, 1], 0).into()).expect("bind");
        let own = socket.address().expect("it is bound");
        socket.send_to("hello", own).expect("send");
    });
    assert_eq!(told.get(), times);
}
