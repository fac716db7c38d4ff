//! Which system calls the loop makes, as it says itself.

mod common;

use common::*;
use log::{LevelFilter, Log as Logger, Metadata, Record};
use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Mutex;
use uv_core::Result;

static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

impl Logger for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "uv_core"
    }

    fn log(&self, record: &Record<'_>) {
        let said = record.args().to_string();
        if said.contains("accept4(2)") || said.contains("poll(2)") {
            CALLS.lock().expect("nobody panics with it").push(said);
        }
    }

    fn flush(&self) {}
}

/// The only test of this process: there is one logger.
#[test]
fn a_listener_asks_for_more_connections_instead_of_accepting_in_vain() {
    const CONNECTIONS: usize = 8;
    log::set_logger(&Recorder).expect("the first logger");
    for batch in [1, 3, 64] {
        let lp = test_loop();
        let accepted = Rc::new(Cell::new(0));
        let (server, addr) = bound(&lp);
        server.set_accept_batch(batch);
        let (listener, count) = (server.clone(), Rc::clone(&accepted));
        server
            .listen(64, move |_: Result<()>| {
                listener.accept().expect("announced").close();
                count.set(count.get() + 1);
            })
            .expect("listen");
        log::set_max_level(LevelFilter::Trace);
        // All are there before the loop looks, so that no event comes for one that was accepted with others.
        let peers: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        lp.until(|| accepted.get() == CONNECTIONS);
        // One more comes alone.
        let last = TcpStream::connect(addr).expect("connect");
        lp.until(|| accepted.get() == CONNECTIONS + 1);
        log::set_max_level(LevelFilter::Off);
        let said = std::mem::take(&mut *CALLS.lock().expect("nobody panics with it"));
        let count = |what: &str| said.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!(count("down accept4(2)"), CONNECTIONS + 1, "batch {batch}: {said:?}");
        assert_eq!(count("down poll(2)"), CONNECTIONS + 1, "batch {batch}: {said:?}");
        drop((peers, last));
        lp.close_and_finish();
    }
}
