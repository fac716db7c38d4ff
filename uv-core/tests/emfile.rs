//! A process without descriptors. Runs in a process of its own, in which nothing else opens any.

mod common;

use common::*;
use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::rc::Rc;
use uv_core::{RunMode, Tcp};

const CHILD: &str = "UV_CORE_EMFILE_CHILD";

// libuv: emfile
#[test]
fn without_descriptors_connections_are_shed_and_the_listener_recovers() {
    if std::env::var_os(CHILD).is_some() {
        return shed_and_recover();
    }
    let test = std::env::current_exe().expect("this test");
    let status = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --test-threads=1"])
        .arg(test)
        .env(CHILD, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .expect("sh");
    assert!(status.success());
}

fn shed_and_recover() {
    let lp = test_loop();
    let accepted: Rc<RefCell<Vec<Tcp>>> = Rc::default();
    let kept = Rc::clone(&accepted);
    let (_server, addr) = serve(&lp, move |connection| kept.borrow_mut().push(connection));
    lp.turn();
    // Peers first: they need descriptors of this process too.
    let mut peers: Vec<_> = (0..5).map(|_| TcpStream::connect(addr).expect("connect")).collect();
    let mut fillers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }
    lp.until(|| is_over(&mut peers));
    assert!(accepted.borrow().is_empty(), "nothing was announced");
    // Shed, and not spinning: nothing is left to do.
    let rounds = (0..3).map(|_| lp.run(RunMode::NoWait)).filter(|alive| *alive == Ok(true)).count();
    assert_eq!((rounds, lp.backend_timeout()), (3, None));
    fillers.clear();
    let _peer = TcpStream::connect(addr).expect("connect");
    lp.until(|| accepted.borrow().len() == 1);
    accepted.borrow_mut().clear();
    lp.close_and_finish();
}

/// Whether every peer was told that its connection is over. Does not wait.
fn is_over(peers: &mut [TcpStream]) -> bool {
    peers.iter_mut().all(|peer| {
        peer.set_nonblocking(true).expect("nonblocking");
        !matches!(peer.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    })
}
