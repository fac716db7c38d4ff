//! Whether the ports of a server that is about to start are free: by binding them, or, on another host, by connecting to
//! them. Mirrors `checkPort` of pomelo's `lib/util/utils.js`, which searches the output of netstat for the number.

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

/// The time limit of a connection: a port without an answer is filtered, and has no listener.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a socket can listen on this port of this host: on the address, if `host` is an address, else on all addresses.
/// Also `true` if this process lacks descriptors or memory for the check.
#[must_use]
pub fn is_port_free(host: &str, port: u16) -> bool {
    let address = host.parse().unwrap_or_else(|_| IpAddr::from([0; 4]));
    match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => true,
        Err(error) => {
            let is_unchecked = Failure::of(Call::Open, Errno::from(&error)) == Failure::Passing;
            #[cfg(upcall_faults)]
            if is_unchecked {
                uv_core::faults::reached(uv_core::faults::Branch::PortUnchecked);
            }
            is_unchecked
        }
    }
}

/// Checks whether the `port` and the `clientPort` of a server are free; `answer` is called with the first that is not.
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
        // `ssh` resolves the name. The server itself will fail if its port is taken.
        log::debug!(target: "pomelo", "the ports of {host} are not checked: it is not an address");
        app.environment().next_tick(|| answer(None));
        return;
    };
    let ports = ports.into_iter().rev().collect();
    Probes { app: app.clone(), address, ports, answer: Box::new(answer) }.probe_next();
}

/// Ports of another host that are still to be probed, the next one last.
struct Probes {
    app: Application,
    address: IpAddr,
    ports: Vec<u16>,
    answer: Box<dyn FnOnce(Option<u16>)>,
}

impl Probes {
    fn probe_next(mut self) {
        let environment = self.app.environment().clone();
        let Some(port) = self.ports.pop() else { return environment.next_tick(|| (self.answer)(None)) };
        let options = ConnectOptions::addr(SocketAddr::new(self.address, port)).timeout(PATIENCE);
        let probes = Rc::new(Cell::new(Some(self)));
        let probe = Probe { port, is_open: false, probes: Rc::clone(&probes) };
        // An address without a route has no listener.
        if Socket::connect(&environment, options, probe).is_err()
            && let Some(probes) = probes.take()
        {
            probes.probe_next();
        }
    }
}

/// The handler of one connection.
struct Probe {
    port: u16,
    is_open: bool,
    probes: Rc<Cell<Option<Probes>>>,
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
        match self.probes.take() {
            Some(probes) if self.is_open => (probes.answer)(Some(self.port)),
            Some(probes) => probes.probe_next(),
            None => {}
        }
    }
}
