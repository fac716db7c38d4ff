//! What `net` is given and cannot use, and a server on every address of a machine that may have no IPv6.

use crate::core::one_in;
use ::net::upcall::SocketHandler;
use ::net::{Address, ErrorCode, ListenOptions, Server, ServerOptions, Socket};
use std::cell::Cell;
use std::fs::File;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::rc::Rc;
use testing::World;

struct Client;

impl SocketHandler for Client {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {
        panic!("nothing was sent");
    }
}

/// Descriptors that are no connections; and a port on every address, to which a client connects by IPv4.
pub(crate) fn unusual(world: &World) -> Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let fd = match world.choose(3) {
        0 => File::open("/dev/null").map(Into::into),
        1 => UnixDatagram::pair().map(|(ours, _)| ours.into()),
        _ => UnixListener::bind(std::path::Path::new("")).map(Into::into),
    };
    if let Ok(fd) = fd {
        match Socket::from_fd(&env, fd) {
            Ok(_) => return Err("a socket was made of what is no connection".into()),
            Err(error) => {
                let is_fault = |call: &str| call.starts_with("get");
                let is_excused = world.has_met(|fault| is_fault(fault.call));
                assert!(error.code() == ErrorCode::InvalidHandleType || is_excused, "{error}");
            }
        }
    }
    let (server, accepted) = (Server::new(&env, ServerOptions::default()), Rc::new(Cell::new(0)));
    let count = Rc::clone(&accepted);
    let listening = server.listen_with(ListenOptions::port(0), move |_, socket| {
        count.set(count.get() + 1);
        socket.set_handler(Client);
        socket.destroy();
    });
    let port = server.address().and_then(|address| address.port());
    let (Ok(()), Some(port)) = (listening, port) else {
        // Refused by a fault, or its address is unknown for one.
        let _ = server.close();
        return Ok(());
    };
    let has_ipv6 = !world.has_met(|fault| fault.call == "socket(2) of IPv6");
    let is_ipv6 = matches!(server.address(), Some(Address::Tcp(address)) if address.is_ipv6());
    assert!(has_ipv6 || !is_ipv6, "an IPv6 address without IPv6");
    if one_in(2) {
        let client = world.tcp_peer(([127, 0, 0, 1], port).into()).map_err(|error| error.to_string())?;
        client.finish();
        world.run_until(|| client.is_ended())?;
        let was_shed = world.has_met(|fault| fault.call == "accept4(2)");
        assert!(accepted.get() == 1 || was_shed, "{} connections", accepted.get());
    }
    server.close().map_err(|error| error.to_string())?;
    world.run()
}
