//! Whether the ports of a server that is about to start are free: by binding them, or, on another host, by connecting to
//! them. Mirrors `checkPort` of pomelo's `lib/util/utils.js`, which looks for the number in what netstat prints.

use super::host::is_local;
use crate::record::{port, text};
use crate::{Application, ServerInfo};
use net::upcall::SocketHandler;
use net::{ConnectOptions, Socket};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;
use uv_core::Errno;
use uv_core::failure::{Call, Failure};

/// How long a host may take to answer; what takes longer is filtered, and nobody listens there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a socket can listen on this port of this host: on the address, if `host` is one, else on all of them. A lack of
/// descriptors or memory in this process says nothing of the port: the server will find out.
#[must_use]
pub fn is_port_free(host: &str, port: u16) -> bool {
    let address = host.parse().unwrap_or_else(|_| IpAddr::from([0; 4]));
    match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => true,
        Err(error) => Failure::of(Call::Open, Errno::from(&error)) == Failure::Passing,
    }
}

/// Looks whether the `port` and the `clientPort` of a server are free; `answer` is told the first that is not.
pub fn check_ports(app: &Application, info: &ServerInfo, answer: impl FnOnce(Option<u16>) + 'static) {
    let ports: Vec<u16> = ["port", "clientPort"].iter().filter_map(|key| port(info, key)).collect();
    let host = text(info, "host").unwrap_or_default().to_owned();
    if is_local(app, info) {
        app.environment().next_tick(move || {
            answer(ports.into_iter().find(|port| !is_port_free(&host, *port)));
        });
        return;
    }
    let Ok(address) = host.parse::<IpAddr>() else {
        // Names are resolved by `ssh`; the server itself will say that its port is taken.
        log::debug!(target: "pomelo", "the ports of {host} are not looked at: it is no address");
        app.environment().next_tick(|| answer(None));
        return;
    };
    let ports = ports.into_iter().rev().collect();
    Asking { app: app.clone(), address, ports, answer: Box::new(answer) }.ask_next();
}

/// Ports of another host that are still to be looked at, the next one last.
struct Asking {
    app: Application,
    address: IpAddr,
    ports: Vec<u16>,
    answer: Box<dyn FnOnce(Option<u16>)>,
}

impl Asking {
    fn ask_next(mut self) {
        let environment = self.app.environment().clone();
        let Some(port) = self.ports.pop() else { return environment.next_tick(|| (self.answer)(None)) };
        let mut options = ConnectOptions::addr(SocketAddr::new(self.address, port));
        options.timeout = PATIENCE;
        let asking = Rc::new(Cell::new(Some(self)));
        let probe = Probe { port, is_open: false, asking: Rc::clone(&asking) };
        // An address to which nothing leads has no listener.
        if Socket::connect(&environment, options, probe).is_err()
            && let Some(asking) = asking.take()
        {
            asking.ask_next();
        }
    }
}

/// Stands on one connect.
struct Probe {
    port: u16,
    is_open: bool,
    asking: Rc<Cell<Option<Asking>>>,
}

impl SocketHandler for Probe {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_connect(&mut self, socket: &Socket) {
        self.is_open = true;
        socket.destroy();
    }

    fn on_timeout(&mut self, socket: &Socket) {
        socket.destroy();
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        match self.asking.take() {
            Some(asking) if self.is_open => (asking.answer)(Some(self.port)),
            Some(asking) => asking.ask_next(),
            None => {}
        }
    }
}
