//! libuv's `tcp4_pound_100`: connections that are made, used once and closed, a hundred at a time, with both ends in one loop.

use crate::Result;
use crate::subjects::serving::ANYWHERE;
use crate::subjects::solo::{PING, POUNDERS, check, measure};
use crate::subjects::streams::{BACKLOG, Layered};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
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
    measure(ops, |count| {
        let pound = Rc::new(Pound { addr, to_start: Cell::new(count), ended: Cell::new(0) });
        (0..POUNDERS).try_for_each(|_| pound.start_one(&event_loop))?;
        event_loop.run(RunMode::Default)?;
        check(pound.ended.get(), count)
    })
}

/// The clients.
struct Pound {
    addr: SocketAddr,
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
        if result.and_then(|()| client.send(PING)).and_then(|_| client.read_start()).is_err() {
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
