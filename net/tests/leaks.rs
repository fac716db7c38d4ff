//! A closed connection leaves nothing behind. The only test of its process, whose memory and descriptors it measures.

mod common;

use async_wrap::Environment;
use common::{Log, Peer, anywhere, new_loop, port_of, run_to_the_end};
use net::uv_core::RunMode;
use net::{Server, ServerOptions, Socket};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// The number of open descriptors, and the memory of the process in KiB.
fn used() -> (usize, usize) {
    let fds = std::fs::read_dir("/proc/self/fd").expect("Linux has it").count();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it is there");
    let kib = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    (fds, kib)
}

/// Opens, uses and closes `count` connections, a few at a time.
fn churn(env: &Environment, count: usize) {
    const AT_A_TIME: usize = 50;
    let server = Server::new(env, ServerOptions::default());
    let handler = |_: &Server, socket: Socket| {
        Peer::new("here", &Log::default())
            .on_bytes(|socket, data| assert!(socket.write(data).expect("it is open")))
            .attach(&socket);
        socket.set_timeout(Duration::from_secs(60));
    };
    server.listen(anywhere(), handler).expect("the server listens");
    let left = Rc::new(Cell::new(count));
    (0..AT_A_TIME).for_each(|_| open_next(&server, &left));
    env.run(RunMode::Default).expect("the loop runs");
    assert_eq!((server.connections(), left.get()), (0, 0));
}

/// Each connection opens the next when it closes; the last ones close the server.
fn open_next(server: &Server, left: &Rc<Cell<usize>>) {
    let Some(rest) = left.get().checked_sub(1) else {
        let _ = server.close();
        return;
    };
    left.set(rest);
    let (server_again, left) = (server.clone(), Rc::clone(left));
    let addr = net::ConnectOptions::addr(port_of(server));
    let how = rest % 3;
    Peer::new("there", &Log::default())
        .on("connect", |socket| drop(socket.write(b"ping")))
        .on_bytes(move |socket, _| match how {
            0 => socket.end(),
            1 => socket.destroy(),
            _ => socket.reset_and_destroy().expect("it is open"),
        })
        .on("close", move |_| {
            if server_again.is_listening() {
                open_next(&server_again, &left);
            }
        })
        .connect(server.environment(), addr);
}

// Node: test-net-connect-memleak, test-gc-net-timeout
#[test]
fn ten_thousand_connections_leave_memory_and_descriptors_as_they_were() {
    let (event_loop, env) = new_loop();
    churn(&env, 1000);
    let (fds, memory) = used();
    churn(&env, 10_000);
    let (fds_after, memory_after) = used();
    run_to_the_end(&event_loop, &env);
    assert_eq!(fds, fds_after);
    // Every part of a connection that could leak is larger than this.
    let per_connection = memory_after.saturating_sub(memory) * 1024 / 10_000;
    assert!(per_connection < 32, "{per_connection} bytes are left of each connection");
}
