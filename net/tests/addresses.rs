//! The addresses of both ends of a connection.

mod common;

use common::{Log, Peer, new_loop, run_to_the_end, serve_one, to};
use net::{Address, ServerOptions, Socket};
use std::cell::RefCell;
use std::rc::Rc;

/// The server's end of a closed connection, and the client's. `ask` requests the peer's address before the close.
fn after_a_connection(ask: bool) -> (Socket, Socket) {
    let (event_loop, env) = new_loop();
    let slot = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&slot);
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        if ask {
            assert!(socket.remote_address().is_some());
        }
        Peer::new("here", &Log::default()).attach(&socket);
        keep.replace(Some(socket));
    });
    let bound = common::port_of(&server);
    let there = Peer::new("there", &Log::default()).on("connect", move |socket| {
        let tcp = |address: Option<Address>| address.and_then(|address| address.as_tcp());
        assert_eq!(tcp(socket.remote_address()), Some(bound));
        assert_ne!(tcp(socket.local_address()), Some(bound));
        socket.end();
    });
    let there = there.connect(&env, to(&server));
    assert_eq!(there.remote_address(), None, "not connected yet");
    run_to_the_end(&event_loop, &env);
    (slot.take().expect("there was a connection"), there)
}

// Node: test-net-remote-address, test-net-remote-address-port, test-net-during-close
#[test]
fn the_peers_address_stays_once_it_was_asked_for_and_the_own_one_goes() {
    let (here, there) = after_a_connection(true);
    assert!(here.remote_address().is_some() && there.remote_address().is_some());
    assert_eq!((here.local_address(), there.local_address()), (None, None));
}

#[test]
fn an_address_that_nobody_asked_for_is_gone_with_the_connection() {
    let (here, _) = after_a_connection(false);
    assert_eq!(here.remote_address(), None);
}

#[test]
fn addresses_read_as_people_write_them() {
    let tcp = Address::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 80)));
    assert_eq!((tcp.to_string().as_str(), tcp.port()), ("127.0.0.1:80", Some(80)));
    let path = Address::Path("/run/app.sock".into());
    assert_eq!((path.to_string().as_str(), path.port(), path.as_tcp()), ("/run/app.sock", None, None));
    assert_eq!(Address::Abstract(b"app".to_vec()).to_string(), "@app");
    assert_eq!(Address::Unnamed.to_string(), "(unnamed)");
}
