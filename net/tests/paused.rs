//! Paused connections whose peer has closed. Node reports nothing before `resume`.

mod common;

use common::{Log, Peer, new_loop, run_to_the_end, serve_one, to};
use net::upcall::SocketHandler;
use net::{ConnectOptions, Error, ServerOptions, Socket};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Logs its upcalls, including `on_unread_end`.
struct Noting(Log);

impl SocketHandler for Noting {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.0.push(format!("data {}", String::from_utf8_lossy(data)));
    }

    fn on_end(&mut self, _: &Socket) {
        self.0.push("end");
    }

    fn on_unread_end(&mut self, _: &Socket) {
        self.0.push("unread end");
    }

    fn on_error(&mut self, _: &Socket, error: Error) {
        self.0.push(format!("error {error}"));
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.push("close");
    }
}

fn starting_paused() -> ServerOptions {
    ServerOptions::default().pause_on_connect(true)
}

/// Keeps the loop alive, which a paused connection does not do, until the log has `line`; then calls `act`.
fn wait_for(env: &async_wrap::Environment, log: &Log, line: &'static str, act: impl FnOnce() + 'static) {
    let (log, mut act) = (log.clone(), Some(act));
    let own = Rc::new(RefCell::new(None::<async_wrap::Timeout>));
    let timer = Rc::clone(&own);
    let interval = env.set_interval(Duration::from_millis(1), move || {
        if log.has(line)
            && let Some(timer) = timer.take()
        {
            timer.clear();
            act.take().into_iter().for_each(|act| act());
        }
    });
    *own.borrow_mut() = Some(interval);
}

#[test]
fn a_reset_of_a_paused_connection_is_an_error_and_its_close() {
    for pauses_itself in [false, true] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let options = if pauses_itself { ServerOptions::default() } else { starting_paused() };
        let noted = log.clone();
        let server = serve_one(&env, options, move |socket| {
            socket.set_handler(Noting(noted));
            if pauses_itself {
                socket.pause();
            }
        });
        wait_for(&env, &log, "close", || {});
        Peer::new("there", &Log::default())
            .on("connect", |socket| socket.reset_and_destroy().expect("it is open"))
            .connect(&env, to(&server));
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take(), ["error read: Connection reset by peer (ECONNRESET)", "close"]);
    }
}

#[test]
fn an_end_of_a_paused_connection_is_told_and_comes_again_behind_the_bytes_before_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (noted, kept) = (log.clone(), Rc::new(RefCell::new(None::<Socket>)));
    let keep = Rc::clone(&kept);
    let server = serve_one(&env, starting_paused(), move |socket| {
        socket.set_handler(Noting(noted));
        *keep.borrow_mut() = Some(socket);
    });
    Peer::new("there", &Log::default())
        .on("connect", |socket| socket.end_with(b"abc").expect("to end"))
        .connect(&env, to(&server));
    wait_for(&env, &log, "unread end", move || kept.take().expect("it was accepted").resume());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["unread end", "data abc", "end", "close"]);
}

// Node: net.connect to a port without a listener is ECONNREFUSED; here the port is the socket's own.
#[test]
fn a_connection_to_itself_is_refused_like_any_other() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    // A port that was free a moment before.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr: SocketAddr = free.expect("a port");
    let options = ConnectOptions::addr(addr).local(Some(addr));
    let socket = Socket::connect(&env, options, Noting(log.clone())).expect("nothing is refused at once");
    assert!(socket.write(b"to whom").expect("it waits for the connection"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [&format!("error connect {addr}: Connection refused (ECONNREFUSED)"), "close"]);
}
