//! Bytes that are put back: the next reads of an awaited socket get them first.

use net::async_wrap::Environment;
use net::futures::{AsyncSocket, Incoming};
use net::{ConnectOptions, ListenOptions};

/// The two ends of a connection.
async fn pair(env: &Environment) -> (AsyncSocket, AsyncSocket) {
    let mut incoming =
        Incoming::listen(env, ListenOptions::addr(([127, 0, 0, 1], 0).into())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    let client = AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens");
    (client, incoming.accept().await.expect("a connection"))
}

// Node: test-stream-unshift-read-race, test-stream-unshift-empty-chunk
#[test]
fn what_is_put_back_is_read_first_and_once() {
    let env = Environment::with_new_loop().expect("a loop");
    let own = env.clone();
    let work = async move {
        let (mut client, mut server) = pair(&own).await;
        client.write_all(b"789").await.expect("to write");
        server.unshift(b"");
        server.unshift(b"456");
        server.unshift(b"123");
        let mut buffer = [0; 2];
        assert_eq!(server.read(&mut []).await, Ok(0));
        let mut all = Vec::new();
        while all.len() < 9 {
            let count = server.read(&mut buffer).await.expect("to read");
            all.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(all, b"123456789");
        client.finish().await.expect("to end");
        assert_eq!(server.read(&mut buffer).await, Ok(0));
        // Also behind the end, and when the connection is closed.
        server.unshift(b"a");
        assert_eq!(server.read(&mut buffer).await, Ok(1));
        server.socket().destroy();
        server.unshift(b"b");
        assert_eq!(server.read(&mut buffer).await, Ok(1));
        let _ = server.read(&mut buffer).await;
    };
    env.block_on(work).expect("it ends");
    env.run_to_end().expect("the loop runs");
}

#[test]
fn halves_read_what_was_put_back() {
    let env = Environment::with_new_loop().expect("a loop");
    let own = env.clone();
    let work = async move {
        let (client, mut server) = pair(&own).await;
        server.unshift(b"early");
        let (mut input, output) = server.split();
        drop(output);
        let mut buffer = [0; 16];
        assert_eq!(input.read(&mut buffer).await, Ok(5));
        assert_eq!(&buffer[..5], b"early");
        drop(client);
        assert_eq!(input.read(&mut buffer).await, Ok(0));
    };
    env.block_on(work).expect("it ends");
    env.run_to_end().expect("the loop runs");
}
