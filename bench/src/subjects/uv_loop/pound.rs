//! libuv's `tcp4_pound_100` and `tcp_multi_accept2`: connections that are made, used once or not at all, and closed.

use crate::Result;
use crate::subjects::serving::ANYWHERE;
use crate::subjects::solo::{ACCEPTED, ACCEPTORS, PING, POUNDERS, check, measure};
use crate::subjects::streams::{BACKLOG, Layered};
use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use uv_core::threads::Remote;
use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Error, Loop, LoopHandle, RunMode, Stream, Tcp};

/// One operation is a connection: its client writes, reads the answer and the end, and closes.
pub(crate) fn tcp4(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    let server = Tcp::new(&event_loop);
    server.bind(ANYWHERE, BindOptions::default())?;
    server.listen_with(BACKLOG, |server, status| {
        if let Ok(connection) = status.and_then(|()| server.accept()) {
            connection.set_upcall(Server);
            // If it cannot be read, its client waits in vain, and the time limit of the benchmark ends it.
            let _ = connection.read_start();
        }
    })?;
    // The clients hold the loop.
    server.unref();
    let addr = server.local_addr()?;
    measure(ops, |count| pound(&event_loop, addr, PING, POUNDERS, count))
}

/// One operation is a connection that one of two loops accepts and closes: they share the listener.
pub(crate) fn multi_accept(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    let server = Tcp::new(&event_loop);
    server.bind(ANYWHERE, BindOptions::default())?;
    let start = |_| Acceptor::start(server.try_clone_fd()?);
    let acceptors = (0..ACCEPTORS).map(start).collect::<Result<Vec<_>>>()?;
    let addr = server.local_addr()?;
    measure(ops, |count| pound(&event_loop, addr, b"", ACCEPTED, count))?;
    acceptors.into_iter().try_for_each(Acceptor::end)
}

/// A thread with a loop that accepts.
struct Acceptor {
    thread: JoinHandle<uv_core::Result<()>>,
    remote: Remote,
}

impl Acceptor {
    fn start(listener: OwnedFd) -> Result<Self> {
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            let event_loop = Loop::new()?;
            let server = Tcp::new(&event_loop);
            server.open(listener)?;
            server.listen_with(BACKLOG, |server, status| {
                if let Ok(connection) = status.and_then(|()| server.accept()) {
                    connection.close();
                }
            })?;
            // Fails only if the main thread failed.
            let _ = tell.send(event_loop.remote());
            event_loop.run(RunMode::Default).map(drop)
        });
        Ok(Self { thread, remote: told.recv().map_err(|_| "a loop that accepts did not start")? })
    }

    fn end(self) -> Result<()> {
        self.remote.post(LoopHandle::close_all)?;
        self.thread.join().map_err(|_| "a loop that accepts panicked")?.map_err(Into::into)
    }
}

/// Makes `count` connections, so many at a time.
fn pound(
    event_loop: &LoopHandle,
    addr: SocketAddr,
    greeting: &'static [u8],
    at_a_time: u64,
    count: u64,
) -> Result<()> {
    let pound = Rc::new(Pound { addr, greeting, to_start: Cell::new(count), ended: Cell::new(0) });
    (0..at_a_time).try_for_each(|_| pound.start_one(event_loop))?;
    event_loop.run(RunMode::Default)?;
    check(pound.ended.get(), count)
}

/// The clients.
struct Pound {
    addr: SocketAddr,
    /// What each sends, if anything.
    greeting: &'static [u8],
    to_start: Cell<u64>,
    ended: Cell<u64>,
}

/// One of them.
struct Client(Rc<Pound>);

/// The server's end of a connection: it answers, and closes first.
struct Server;

impl Pound {
    fn start_one(self: &Rc<Self>, event_loop: &LoopHandle) -> uv_core::Result<()> {
        let left = self.to_start.get();
        if left == 0 {
            return Ok(());
        }
        self.to_start.set(left - 1);
        let client = Tcp::new(event_loop);
        client.set_upcall(Client(Rc::clone(self)));
        client.connect(self.addr)
    }
}

impl StreamUpcall for Client {
    fn on_connect(&mut self, client: &Stream, result: uv_core::Result<()>) {
        let greet = |()| if self.0.greeting.is_empty() { Ok(false) } else { client.send(self.0.greeting) };
        if result.and_then(greet).and_then(|_| client.read_start()).is_err() {
            client.close();
        }
    }

    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, client: &Stream) {
        client.close();
        // A connection that failed, or could not be begun, is missing in the final count.
        self.0.ended.set(self.0.ended.get() + 1);
        let _ = self.0.start_one(client.loop_handle());
    }

    fn on_read_error(&mut self, client: &Stream, _: Error) {
        client.close();
    }
}

impl StreamUpcall for Server {
    fn on_read(&mut self, connection: &Stream, data: &[u8]) {
        if connection.send(data).and_then(|_| connection.shutdown()).is_err() {
            connection.close();
        }
    }

    fn on_end(&mut self, connection: &Stream) {
        connection.close();
    }

    fn on_read_error(&mut self, connection: &Stream, _: Error) {
        connection.close();
    }
}
