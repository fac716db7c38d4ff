//! Every future of this layer, dropped at each of its await points, leaves nothing. The only test of its process, whose
//! descriptors it counts.

#[path = "../../tests/shared/dropping.rs"]
mod dropping;

use async_wrap::Environment;
use dropping::check;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use net::futures::{AsyncSocket, AsyncUdpSocket, Incoming};
use net::process::{Command, Stdio};
use net::uv_core::Signal;
use net::{ConnectOptions, ListenOptions};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn listen(env: &Environment) -> (Incoming, SocketAddr) {
    let incoming = Incoming::listen(env, ListenOptions::addr(anywhere())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    (incoming, address)
}

/// Two ends of a connection.
async fn pair(env: &Environment) -> (AsyncSocket, AsyncSocket) {
    let (mut incoming, address) = listen(env);
    let client = AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens");
    (client, incoming.accept().await.expect("a connection"))
}

/// Awaits both at the same time.
async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (false, false);
    poll_fn(|context| {
        first = first || one.as_mut().poll(context).is_ready();
        second = second || other.as_mut().poll(context).is_ready();
        if first && second { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn a_future_that_is_dropped_at_any_await_point_leaves_nothing() {
    connects();
    reads_and_writes();
    extensions();
    datagrams();
    processes();
}

fn connects() {
    check("a connect and an accept", true, |env| async move { drop(pair(&env).await) });
    check("a connect by name", false, |env| async move {
        let (mut incoming, address) = listen(&env);
        let options = ConnectOptions::host("localhost", address.port());
        let client = AsyncSocket::connect(&env, options).await.expect("it listens");
        drop((client, incoming.accept().await.expect("a connection")));
    });
    check("a connect that is refused", true, |env| async move {
        let (incoming, address) = listen(&env);
        drop(incoming);
        AsyncSocket::connect(&env, ConnectOptions::addr(address)).await.expect_err("nothing listens");
    });
    check("a connect that is not accepted", true, |env| async move {
        let (incoming, address) = listen(&env);
        let client =
            AsyncSocket::connect(&env, ConnectOptions::addr(address)).await.expect("the backlog has room");
        env.sleep(SHORT).await;
        drop((client, incoming));
    });
    check("an accept without a connection", true, |env| async move {
        let (mut incoming, _) = listen(&env);
        assert!(env.timeout(SHORT, incoming.accept()).await.is_err());
        incoming.server().close().expect("it listens");
        incoming.accept().await.expect_err("it is closed");
    });
}

fn reads_and_writes() {
    check("a read, a write and a finish", true, |env| async move {
        let (mut client, mut server) = pair(&env).await;
        let mut buffer = [0; 10];
        assert!(env.timeout(SHORT, server.read(&mut buffer)).await.is_err());
        client.write_all(b"hello").await.expect("open");
        assert_eq!(server.read(&mut buffer).await, Ok(5));
        client.finish().await.expect("open");
        assert_eq!(server.read(&mut buffer).await, Ok(0));
    });
    check("a write that waits for room", true, |env| async move {
        let (mut client, mut server) = pair(&env).await;
        let data = vec![1; 1 << 16];
        while env.timeout(SHORT, client.write(&data)).await.is_ok() {}
        let mut all = Vec::new();
        both(async { client.finish().await.expect("it is read") }, async {
            assert!(server.read_to_end(&mut all).await.expect("it ends") > 0);
        })
        .await;
    });
    check("halves", true, |env| async move {
        let (client, mut server) = pair(&env).await;
        let (mut reader, mut writer) = client.split();
        server.write_all(b"hi").await.expect("open");
        both(
            async {
                writer.write_all(b"hello").await.expect("open");
                writer.finish().await.expect("open");
            },
            async { assert_eq!(reader.read(&mut [0; 10]).await, Ok(2)) },
        )
        .await;
    });
    check("a reset", true, |env| async move {
        let (client, mut server) = pair(&env).await;
        client.socket().reset_and_destroy().expect("TCP");
        server.read(&mut [0; 10]).await.expect_err("it was reset");
    });
}

fn extensions() {
    check("futures-io", true, |env| async move {
        let (mut client, mut server) = pair(&env).await;
        AsyncWriteExt::write_all(&mut client, b"hello").await.expect("open");
        AsyncWriteExt::close(&mut client).await.expect("open");
        let mut text = String::new();
        AsyncReadExt::read_to_string(&mut server, &mut text).await.expect("it ends");
        assert_eq!(text, "hello");
    });
}

fn datagrams() {
    check("datagrams", true, |env| async move {
        let server = AsyncUdpSocket::bind(&env, anywhere()).expect("a free port");
        let client = AsyncUdpSocket::bind(&env, anywhere()).expect("a free port");
        let address = server.address().expect("bound");
        let mut buffer = [0; 10];
        assert!(env.timeout(SHORT, server.recv_from(&mut buffer)).await.is_err());
        client.send_to(b"hello", address).await.expect("sent");
        let (count, from) = server.recv_from(&mut buffer).await.expect("it came");
        both(
            async { assert_eq!(client.recv_from(&mut [0; 10]).await.map(|(count, _)| count), Ok(5)) },
            async {
                env.sleep(SHORT).await;
                server.send_to(&buffer[..count], from).await.expect("sent");
            },
        )
        .await;
    });
    check("datagrams by name", false, |env| async move {
        let server = AsyncUdpSocket::bind(&env, anywhere()).expect("a free port");
        let client = AsyncUdpSocket::bind(&env, anywhere()).expect("a free port");
        client.connect("localhost", server.address().expect("bound").port()).await.expect("found");
        client.send(b"hello").await.expect("sent");
        assert_eq!(server.recv_from(&mut [0; 10]).await.map(|(count, _)| count), Ok(5));
    });
}

fn processes() {
    // The thread that collects children has two descriptors from the first on.
    let env = Environment::with_new_loop().expect("a loop");
    let child = Command::new("sleep").arg("600").spawn(&env).expect("started");
    let is_there = PathBuf::from(format!("/proc/{}", child.pid()));
    drop((child, env));
    while is_there.exists() {
        std::thread::yield_now();
    }
    check("output", false, |env| async move {
        let command = Command::new("sh").args(["-c", "cat; echo error >&2"]).input("hello");
        assert_eq!(command.output(&env).await.expect("started").stdout, b"hello");
    });
    check("more output than the limit", false, |env| async move {
        Command::new("yes").limit(100).output(&env).await.expect_err("it has no end");
    });
    check("a child", false, |env| async move {
        let mut child =
            Command::new("cat").stdin(Stdio::Pipe).stdout(Stdio::Pipe).spawn(&env).expect("started");
        let (mut input, mut output) =
            (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        input.write_all(b"hello").await.expect("open");
        assert_eq!(output.read(&mut [0; 10]).await, Ok(5));
        child.kill(Signal::SIGTERM).expect("it is alive");
        assert_eq!(child.wait().await.signal, Signal::SIGTERM);
    });
}
