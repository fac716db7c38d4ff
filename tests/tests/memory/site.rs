//! The server under test, in a thread whose allocations are counted, and its clients.

use crate::counting::{count_this_thread, live};
use async_wrap::Environment;
use http::{Server, ServerOptions};
use net::ListenOptions;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tests::running::DEADLINE;
use upcall::app::App;
use uv_core::threads::AsyncSender;
use uv_core::{Async, Loop, RunMode};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Loopback addresses in use, one after the other.
const ADDRESSES: usize = 200;

/// How the client reaches the server's loop.
struct Reached {
    port: u16,
    probe: AsyncSender,
    stop: AsyncSender,
}

pub(crate) struct Site {
    server: JoinHandle<Outcome<bool>>,
    reached: Reached,
    states: Receiver<State>,
}

/// What the server says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) connections: usize,
    /// Bytes allocated and not freed.
    pub(crate) live: isize,
}

impl Site {
    pub(crate) fn start() -> Outcome<Self> {
        let (started, start) = mpsc::channel();
        let (state, states) = mpsc::sync_channel(1);
        let server = thread::spawn(move || serve(&started, &state));
        Ok(Self { server, reached: start.recv_timeout(DEADLINE)?, states })
    }

    pub(crate) fn connect(&self, round: usize) -> Outcome<TcpStream> {
        let last = u8::try_from(1 + round % ADDRESSES)?;
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), self.reached.port));
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    /// Asks the server's loop: whatever it was doing is done then.
    pub(crate) fn state(&self) -> Outcome<State> {
        self.reached.probe.send();
        Ok(self.states.recv_timeout(DEADLINE)?)
    }

    /// Waits until the server has noticed that all of its clients have closed.
    pub(crate) fn wait_until_empty(&self) -> Outcome {
        let until = Instant::now() + DEADLINE;
        while self.state()?.connections > 0 {
            if Instant::now() > until {
                return Err("connections stay open".into());
            }
        }
        Ok(())
    }

    pub(crate) fn stop(self) -> Outcome {
        self.reached.stop.send();
        let is_alive = self.server.join().map_err(|_| "the server panicked")??;
        assert!(!is_alive, "the loop ended with something alive");
        Ok(())
    }
}

fn serve(started: &mpsc::Sender<Reached>, state: &SyncSender<State>) -> Outcome<bool> {
    count_this_thread();
    let event_loop = Loop::new()?;
    let env = Environment::new(&event_loop);
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen(ListenOptions::addr(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))), App::default())?;
    let address = server.address().and_then(|address| address.as_tcp()).ok_or("the server has no address")?;
    let (probed, state) = (server.clone(), state.clone());
    let probe = Async::new(&event_loop, move |_: &Async| {
        // The receiver is dropped if the test has failed.
        let _ = state.try_send(State { connections: probed.connections(), live: live() });
    });
    probe.unref();
    let stop = Async::new(&event_loop, move |stop: &Async| {
        // Refused only if it was told so before.
        let _ = server.shutdown(Duration::ZERO);
        stop.close();
    });
    started.send(Reached { port: address.port(), probe: probe.sender(), stop: stop.sender() })?;
    Ok(env.run(RunMode::Default)?)
}

/// One request and its answer.
pub(crate) fn get_root(client: &mut TcpStream) -> Outcome {
    client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"hello") {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    Ok(())
}
