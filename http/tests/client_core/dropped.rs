//! A loop that is dropped with requests under way drops all of them, told or not.

use crate::harness::{Environment, Peer, Recorder, Scripted};
use http::client::{Client, ClientRequest};
use net::uv_core::RunMode;
use std::cell::RefCell;
use std::rc::Rc;

#[test]
fn a_loop_that_is_dropped_leaves_no_request() {
    for turns in 0..6 {
        let server = Scripted::new(|listener| {
            let mut peer = Peer::accept(listener);
            peer.read_to_end();
        });
        let kept: Rc<RefCell<Vec<ClientRequest>>> = Rc::default();
        let recorder = Recorder::default();
        {
            let env = Environment::with_new_loop().expect("a loop");
            let client = Client::new(&env).expect("a client");
            for _ in 0..2 {
                let request = client.post(server.url("/")).begin(recorder.clone()).expect("to begin");
                request.write(b"hello").expect("it waits");
                kept.borrow_mut().push(request);
            }
            for _ in 0..turns {
                env.run(RunMode::NoWait).expect("the loop runs");
            }
        }
        for request in kept.take() {
            request.abort();
            assert!(request.write(b"more").is_err(), "after {turns} turns");
            assert!(request.socket().is_none_or(|socket| socket.is_destroyed()));
        }
        assert_eq!(Rc::strong_count(&recorder.errors), 1, "the handlers are dropped after {turns} turns");
        // The script ends with a connection, whether one came or not.
        drop(std::net::TcpStream::connect(server.address));
        server.join();
    }
}
