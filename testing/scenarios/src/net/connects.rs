//! Connects that fail, wait or are given up, and addresses that are in use.

use crate::core::{dice, one_in};
use ::net::upcall::SocketHandler;
use ::net::{ConnectOptions, Error, ErrorCode, ListenOptions, Server, ServerOptions, Socket};
use async_wrap::Environment;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use testing::{Fault, World};
use uv_core::{BindOptions, Errno, Pipe, Stream, Tcp};

/// What a client has seen.
#[derive(Default)]
struct Seen {
    connected: Cell<bool>,
    timeouts: Cell<u64>,
    error: Cell<Option<Errno>>,
    closed: Cell<Option<bool>>,
}

struct Client(Rc<Seen>);

impl SocketHandler for Client {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {
        panic!("nothing was sent");
    }

    fn on_connect(&mut self, _: &Socket) {
        assert!(
            !self.0.connected.replace(true) && self.0.closed.get().is_none(),
            "on_connect twice, or late"
        );
    }

    fn on_timeout(&mut self, socket: &Socket) {
        self.0.timeouts.set(self.0.timeouts.get() + 1);
        assert_eq!(self.0.timeouts.get(), 1, "on_timeout twice without activity");
        socket.destroy();
    }

    fn on_error(&mut self, _: &Socket, error: Error) {
        let errno = error.system().map(|error| error.errno());
        assert!(errno.is_some(), "an error of no system call");
        assert!(
            self.0.error.replace(errno).is_none() && self.0.closed.get().is_none(),
            "on_error twice, or late"
        );
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        assert!(self.0.closed.replace(Some(had_error)).is_none(), "on_close twice");
        assert_eq!(had_error, self.0.error.get().is_some(), "had_error is wrong");
    }
}

/// Listeners that take nothing: connects wait for them until they time out, and are refused without them.
pub(crate) fn waiting(world: &World) -> Result<(), String> {
    let (Ok(env), Ok(other)) = (world.environment("client"), world.event_loop("listener")) else {
        return Ok(());
    };
    let path = world.path();
    let (tcp, pipe) = (Tcp::new(&other), Pipe::new(&other));
    let bound =
        tcp.bind((world.loopback(), 0).into(), BindOptions::default()).and_then(|()| pipe.bind(&path));
    let listens = |stream: &Stream| stream.listen_with(0, |_, _| {});
    let listening = bound.and_then(|()| listens(&tcp)).and_then(|()| listens(&pipe));
    let (Ok(()), Ok(address)) = (listening, tcp.local_addr()) else {
        tcp.close();
        pipe.close();
        return Ok(());
    };
    let mut clients = Vec::new();
    for _ in 0..=dice(6) {
        let (options, is_refused) = match dice(4) {
            0 => (ConnectOptions::addr(address), false),
            1 => (ConnectOptions::path(&path), false),
            2 => (ConnectOptions::addr(([127, 0, 0, 1], 1).into()), true),
            _ => (ConnectOptions::path(world.path()), true),
        };
        let seen = Rc::new(Seen::default());
        let options = options.timeout(Duration::from_millis(50 + dice(20)));
        let Ok(socket) = Socket::connect(&env, options, Client(Rc::clone(&seen))) else { continue };
        if one_in(3) {
            let written = socket.write(b"");
            assert!(written.is_ok() || socket.is_destroyed(), "a write while it connects was refused");
        }
        clients.push((socket, seen, is_refused));
    }
    world.run_until(|| clients.iter().all(|(_, seen, _)| seen.closed.get().is_some()))?;
    for (socket, seen, is_refused) in &clients {
        let error = seen.error.get();
        if *is_refused {
            assert!(!seen.connected.get(), "a connect without a listener has succeeded");
            assert!(error.is_some() || seen.timeouts.get() == 1, "a refused connect has no error");
        } else {
            let has_timed_out = seen.timeouts.get() == 1;
            assert!(error.is_none() || !has_timed_out, "failed and timed out");
            // A listener without descriptors closes what it accepts.
            let was_shed = seen.connected.get() && world.has_met(|fault| fault.call == "accept4(2)");
            assert!(error.is_some() || has_timed_out || was_shed, "neither failed nor timed out");
        }
        assert!(socket.write(b"late").is_err(), "a write to a closed socket was taken");
        assert_eq!(socket.reset_and_destroy().map_err(|error| error.code()), Err(ErrorCode::SocketClosed));
    }
    tcp.close();
    pipe.close();
    world.run()
}

/// Two servers want one address: the second is refused, and gets it once the first has closed.
pub(crate) fn in_use(world: &World) -> Result<(), String> {
    let Ok(env) = world.environment("servers") else { return Ok(()) };
    let path = world.path();
    let (first, second) = (server(&env), server(&env));
    let listen = |server: &Server| server.listen_with(ListenOptions::path(&path), |_, _| {});
    let lacks = |fault: &Fault| fault.call != "epoll_wait(2)" && fault.call != "event";
    if let Err(error) = listen(&first) {
        assert!(world.has_met(lacks), "refused without a cause: {error}");
        return Ok(());
    }
    let refused = listen(&second).map_err(|error| error.system().map(|error| error.errno()));
    assert!(refused.is_err(), "two servers listen on one address");
    assert!(refused == Err(Some(Errno::EADDRINUSE)) || world.has_met(lacks), "another error");
    assert!(!second.is_listening() && first.is_listening());
    let closed = Rc::new(Cell::new(false));
    let told = Rc::clone(&closed);
    let closing = first.close_with(move || told.set(true));
    assert!(closing.is_ok());
    if one_in(2) {
        world.run_until(|| closed.get())?;
    }
    match listen(&second) {
        Ok(()) => assert!(second.close().is_ok()),
        Err(error) => assert!(world.has_met(lacks), "the address is not free: {error}"),
    }
    world.run()?;
    assert!(closed.get(), "on_close of the first server is missing");
    Ok(())
}

fn server(env: &Environment) -> Server {
    Server::new(env, ServerOptions::default())
}
