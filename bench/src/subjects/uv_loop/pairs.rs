//! libuv's `ping_pongs`, `tcp_pump1` and `pipe_pump1`: a connection with both ends in one loop.

use crate::Result;
use crate::subjects::serving::ANYWHERE;
use crate::subjects::solo::{PING, PUMPED, check, measure};
use crate::subjects::streams::{Connection, Layered, Service};
use std::cell::Cell;
use std::env;
use std::process;
use std::rc::Rc;
use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Error, Loop, Pipe, RunMode, Stream, Tcp};

/// One operation is a ping that comes back.
pub(crate) fn ping_pongs(ops: u64) -> Result<()> {
    let pair = Pair::over_tcp(Service::Echo)?;
    pair.measure(ops, Load::ping)
}

/// One operation is a buffer that is written, while the other end reads.
pub(crate) fn tcp_pump(ops: u64) -> Result<()> {
    let pair = Pair::over_tcp(Service::Sink)?;
    pair.measure(ops, Load::pump)
}

/// The same over a Unix socket.
pub(crate) fn pipe_pump(ops: u64) -> Result<()> {
    let pair = Pair::over_a_path(Service::Sink)?;
    pair.measure(ops, Load::pump)
}

/// A connected client, whose server is in the same loop.
struct Pair {
    event_loop: Loop,
    client: Stream,
    load: Rc<Load>,
}

/// What the client still has to do.
#[derive(Default)]
struct Load {
    to_start: Cell<u64>,
    to_end: Cell<u64>,
    is_connected: Cell<bool>,
}

/// The client's upcalls.
struct Client {
    load: Rc<Load>,
    /// Bytes of a ping that has come back in part.
    came: usize,
}

impl Pair {
    fn over_tcp(service: Service) -> Result<Self> {
        let event_loop = Loop::new()?;
        let (server, client) = (Tcp::new(&event_loop), Tcp::new(&event_loop));
        server.bind(ANYWHERE, BindOptions::default())?;
        server.set_nodelay(true)?;
        listen(&server, service)?;
        client.connect(server.local_addr()?)?;
        client.set_nodelay(true)?;
        Self::connect(event_loop, &client)
    }

    fn over_a_path(service: Service) -> Result<Self> {
        let event_loop = Loop::new()?;
        let (server, client) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
        let path = env::temp_dir().join(format!("upcall-bench-pump-{}", process::id()));
        server.bind(&path)?;
        listen(&server, service)?;
        client.connect(&path)?;
        Self::connect(event_loop, &client)
    }

    /// Runs the loop until the client is connected and its server is there.
    fn connect(event_loop: Loop, client: &Stream) -> Result<Self> {
        let load = Rc::new(Load::default());
        client.set_upcall(Client { load: Rc::clone(&load), came: 0 });
        event_loop.run(RunMode::Default)?;
        if !load.is_connected.get() {
            return Err("the client could not connect".into());
        }
        Ok(Self { event_loop, client: client.clone(), load })
    }

    fn measure(&self, ops: u64, start: fn(&Load, &Stream) -> uv_core::Result<()>) -> Result<()> {
        measure(ops, |count| {
            self.load.to_start.set(count);
            self.load.to_end.set(count);
            start(&self.load, &self.client)?;
            self.event_loop.run(RunMode::Default)?;
            check(count - self.load.to_end.get(), count)
        })
    }
}

fn listen(server: &Stream, service: Service) -> uv_core::Result<()> {
    server.listen_with(1, move |server, status| {
        if let Ok(connection) = status.and_then(|()| server.accept()) {
            connection.set_upcall(Connection::new(service));
            // If it cannot be read, the client waits in vain, and the time limit of the benchmark ends it.
            let _ = connection.read_start();
        }
        server.close();
    })
}

impl Load {
    fn ping(&self, client: &Stream) -> uv_core::Result<()> {
        self.to_start.set(self.to_start.get() - 1);
        client.send(PING).map(drop)
    }

    /// Writes until the kernel takes no more.
    fn pump(&self, client: &Stream) -> uv_core::Result<()> {
        while self.to_start.get() > 0 && client.write_queue_size() == 0 {
            self.to_start.set(self.to_start.get() - 1);
            client.write(&PUMPED[..])?;
        }
        Ok(())
    }

    fn end_one(&self, client: &Stream) {
        self.to_end.set(self.to_end.get().saturating_sub(1));
        if self.to_end.get() == 0 {
            client.loop_handle().stop();
        }
    }
}

impl StreamUpcall for Client {
    fn on_connect(&mut self, client: &Stream, result: uv_core::Result<()>) {
        self.load.is_connected.set(result.is_ok() && client.read_start().is_ok());
        client.loop_handle().stop();
    }

    fn on_read(&mut self, client: &Stream, data: &[u8]) {
        self.came += data.len();
        while self.came >= PING.len() {
            self.came -= PING.len();
            self.load.end_one(client);
            if self.load.to_start.get() > 0 && self.load.ping(client).is_err() {
                client.close();
            }
        }
    }

    /// Of the pumps: a ping is sent at once.
    fn on_write(&mut self, client: &Stream, result: uv_core::Result<()>) {
        self.load.end_one(client);
        if result.and_then(|()| self.load.pump(client)).is_err() {
            client.close();
        }
    }

    fn on_end(&mut self, client: &Stream) {
        client.close();
    }

    fn on_read_error(&mut self, client: &Stream, _: Error) {
        client.close();
    }
}
