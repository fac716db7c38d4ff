//! Immediates, timeouts and I/O: the phases of a turn of the loop.

use crate::stage::{
    Case, call, env, next_tick, queue_microtask, say, set_immediate, set_timeout, spin, step,
};
use async_wrap::{Immediate, Timeout};
use net::futures::AsyncSocket;
use net::upcall::SocketHandler;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[
    ("immediates of a timeout come before its timeouts", of_a_timeout),
    ("ticks and microtasks between two immediates", between_immediates),
    ("an immediate of an immediate waits for the next turn", of_an_immediate),
    ("an immediate that clears the next", cleared_immediate),
    ("ticks and microtasks between two timeouts that are due together", between_timeouts),
    ("timeouts in the order in which they are due", due),
    ("a timeout that clears two others that are due", cleared_timeout),
    ("a timeout of a timeout waits for another turn", timeout_of_a_timeout),
    ("an interval until it is cleared", interval),
    ("two that sleep", sleep),
    ("a callback of I/O, its ticks, its microtasks, immediates, timeouts", of_io),
    ("a socket that is destroyed closes after the immediates", closing),
    ("an async function that reads a socket", reading),
];

fn of_a_timeout() {
    set_timeout(30, || say("timeout"));
    set_immediate(|| say("immediate"));
    next_tick(|| say("tick"));
    queue_microtask(|| say("microtask"));
}

fn between_immediates() {
    set_immediate(|| {
        say("immediate 1");
        queue_microtask(|| say("microtask of immediate 1"));
        next_tick(|| say("tick of immediate 1"));
    });
    set_immediate(|| {
        say("immediate 2");
        next_tick(|| say("tick of immediate 2"));
    });
}

fn of_an_immediate() {
    set_immediate(|| {
        say("immediate 1");
        set_immediate(|| say("immediate of immediate 1"));
        // Due when the next turn begins.
        set_timeout(1, || say("timeout of immediate 1"));
        spin(5);
    });
    set_immediate(|| say("immediate 2"));
}

fn cleared_immediate() {
    let second: Rc<RefCell<Option<Immediate>>> = Rc::default();
    let cleared = Rc::clone(&second);
    set_immediate(move || {
        say("immediate 1");
        cleared.take().expect("it was set").clear();
    });
    second.replace(Some(set_immediate(|| say("never"))));
    set_immediate(|| say("immediate 3"));
}

fn between_timeouts() {
    set_timeout(1, || {
        say("timeout 1");
        queue_microtask(|| say("microtask of timeout 1"));
        next_tick(|| say("tick of timeout 1"));
    });
    set_timeout(1, || {
        say("timeout 2");
        set_immediate(|| say("immediate of timeout 2"));
    });
    set_timeout(1, || say("timeout 3"));
    spin(5);
}

fn due() {
    set_timeout(60, || say("after 60"));
    set_timeout(10, || say("after 10"));
    set_timeout(35, || say("after 35"));
    set_timeout(10, || say("after 10, too"));
    spin(100);
}

fn cleared_timeout() {
    let others: Rc<RefCell<Vec<Timeout>>> = Rc::default();
    let cleared = Rc::clone(&others);
    set_timeout(1, move || {
        say("timeout 1");
        let (second, third) = (cleared.borrow()[0].clone(), cleared.borrow()[1].clone());
        next_tick(move || third.clear());
        second.clear();
    });
    others.borrow_mut().push(set_timeout(1, || say("never")));
    others.borrow_mut().push(set_timeout(1, || say("never, too")));
    spin(5);
}

fn timeout_of_a_timeout() {
    set_timeout(1, || {
        say("timeout 1");
        set_timeout(30, || say("timeout of timeout 1"));
        set_immediate(|| say("immediate of timeout 1"));
    });
    set_timeout(1, || say("timeout 2"));
    spin(5);
}

fn interval() {
    let (counter, own) = (Cell::new(0), Rc::new(RefCell::new(None::<Timeout>)));
    let clearing = Rc::clone(&own);
    let interval = env().set_interval(Duration::from_millis(20), move || {
        let count = counter.get() + 1;
        counter.set(count);
        say(format!("interval {count}"));
        next_tick(move || say(format!("tick of interval {count}")));
        set_immediate(move || say(format!("immediate of interval {count}")));
        if count == 3 {
            clearing.take().expect("it was set").clear();
        }
    });
    own.replace(Some(interval));
}

fn sleep() {
    async fn run(name: &'static str) {
        env().sleep(Duration::from_millis(1)).await;
        say(format!("{name} is awake"));
        next_tick(move || say(format!("tick of {name}")));
        step().await;
        say(format!("{name} goes on"));
    }
    call(run("a"));
    set_timeout(1, || say("timeout"));
    call(run("b"));
    spin(5);
}

struct Silent;

impl SocketHandler for Silent {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

/// A server, and how to connect to it.
fn listen(on_connection: impl Fn(Socket) + 'static) -> (Server, ConnectOptions) {
    let server = Server::new(&env(), ServerOptions::default());
    let options = ListenOptions::addr((Ipv4Addr::LOCALHOST, 0).into());
    server.listen_with(options, move |_, socket| on_connection(socket)).expect("a port");
    let port = server.address().and_then(|address| address.port()).expect("a port");
    (server, ConnectOptions::addr((Ipv4Addr::LOCALHOST, port).into()))
}

fn of_io() {
    struct Client(Server);

    impl SocketHandler for Client {
        fn on_connect(&mut self, _: &Socket) {
            say("connect");
            queue_microtask(|| say("microtask of connect"));
            next_tick(|| say("tick of connect"));
        }

        fn on_data(&mut self, _: &Socket, data: &[u8]) {
            set_timeout(1, || say("timeout of data"));
            set_immediate(|| say("immediate of data"));
            queue_microtask(|| {
                say("microtask of data");
                next_tick(|| say("tick of the microtask"));
            });
            next_tick(|| say("tick of data"));
            say(format!("data: {}", String::from_utf8_lossy(data)));
            spin(5);
            self.0.close().expect("it listens");
        }
    }

    let (server, options) = listen(|socket| {
        socket.end_with(b"hello").expect("it is open");
        socket.set_handler(Silent);
    });
    Socket::connect(&env(), options, Client(server)).expect("a socket");
}

fn closing() {
    struct Client(Server);

    impl SocketHandler for Client {
        fn on_data(&mut self, socket: &Socket, _: &[u8]) {
            say("data");
            socket.destroy();
            self.0.close().expect("it listens");
            set_immediate(|| say("immediate"));
            next_tick(|| say("tick"));
            queue_microtask(|| say("microtask"));
        }

        fn on_close(&mut self, _: &Socket, _: bool) {
            say("close");
            next_tick(|| say("tick of close"));
        }
    }

    let (server, options) = listen(|socket| {
        socket.write(b"hello").expect("it is open");
        socket.set_handler(Silent);
    });
    Socket::connect(&env(), options, Client(server)).expect("a socket");
}

fn reading() {
    struct Echo;

    impl SocketHandler for Echo {
        fn on_data(&mut self, socket: &Socket, data: &[u8]) {
            socket.end_with(data).expect("it is open");
        }
    }

    async fn run(server: Server, options: ConnectOptions) {
        let mut socket = AsyncSocket::connect(&env(), options).await.expect("it listens");
        say("connected");
        next_tick(|| say("tick"));
        step().await;
        say("writes");
        socket.write_all(b"hello").await.expect("it is open");
        let mut buffer = [0; 16];
        let length = socket.read(&mut buffer).await.expect("it is open");
        say(format!("data: {}", String::from_utf8_lossy(&buffer[..length])));
        set_immediate(|| say("immediate of data"));
        next_tick(|| say("tick of data"));
        step().await;
        say("goes on");
        server.close().expect("it listens");
    }

    let (server, options) = listen(|socket| socket.set_handler(Echo));
    call(run(server, options));
}
