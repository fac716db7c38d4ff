//! hyper's reads and writes over a socket.

mod common;

use common::{pair, run};
use hyper::rt::{Read, ReadBuf, Write};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use upcall_hyper::Io;

/// Reads into a buffer of `size` bytes, which are not initialized, as hyper's are.
async fn read<T: Read + Unpin>(io: &mut T, size: usize) -> io::Result<Vec<u8>> {
    let mut space = vec![MaybeUninit::uninit(); size];
    poll_fn(|context| {
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = Pin::new(&mut *io).poll_read(context, buffer.unfilled());
        read.map_ok(|()| buffer.filled().to_vec())
    })
    .await
}

async fn write<T: Write + Unpin>(io: &mut T, data: &[u8]) -> io::Result<usize> {
    poll_fn(|context| Pin::new(&mut *io).poll_write(context, data)).await
}

#[test]
fn bytes_pass_both_ways_and_an_end_is_a_read_of_nothing() {
    run(|env| async move {
        let (client, server) = pair(&env).await;
        let (mut client, mut server) = (Io::new(client), Io::new(server));
        assert_eq!(write(&mut client, b"hello").await.expect("open"), 5);
        poll_fn(|context| Pin::new(&mut client).poll_flush(context)).await.expect("nothing to do");
        assert_eq!(read(&mut server, 3).await.expect("open"), b"hel");
        assert_eq!(read(&mut server, 100).await.expect("open"), b"lo");
        poll_fn(|context| Pin::new(&mut client).poll_shutdown(context)).await.expect("the FIN is sent");
        assert_eq!(read(&mut server, 100).await.expect("the end"), b"");
        // The other direction is open.
        assert_eq!(write(&mut server, b"late").await.expect("open"), 4);
        assert_eq!(read(&mut client, 100).await.expect("open"), b"late");
    });
}

#[test]
fn more_than_a_read_takes_comes_with_the_next() {
    const TOTAL: usize = 1 << 20;
    run(|env| async move {
        let (mut client, server) = pair(&env).await;
        let data: Vec<u8> = (0..=250).cycle().take(TOTAL).collect();
        let expected = data.clone();
        env.spawn_local(async move { client.write_all(&data).await }).detach();
        let (mut server, mut all) = (Io::new(server), Vec::new());
        while all.len() < TOTAL {
            let came = read(&mut server, 300_000).await.expect("open");
            assert!((1..=64 * 1024).contains(&came.len()), "{}", came.len());
            all.extend(came);
        }
        assert!(all == expected, "other bytes");
    });
}

#[test]
fn a_read_that_is_dropped_loses_no_byte() {
    run(|env| async move {
        let (mut client, server) = pair(&env).await;
        let mut server = Io::new(server);
        assert!(env.timeout(Duration::from_millis(1), read(&mut server, 10)).await.is_err());
        client.write_all(b"hello").await.expect("open");
        drop(read(&mut server, 10));
        assert_eq!(read(&mut server, 10).await.expect("open"), b"hello");
    });
}

#[test]
fn a_reset_is_its_error() {
    run(|env| async move {
        let (client, server) = pair(&env).await;
        let mut server = Io::new(server);
        client.socket().reset_and_destroy().expect("TCP");
        drop(client);
        let error = read(&mut server, 10).await.expect_err("it was reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(write(&mut server, b"x").await.is_err());
    });
}

/// Reads through another `Io` inside of its own read, as a tunnel does.
struct Nested<T>(Io<T>);

impl<T: futures_io::AsyncRead + Unpin> futures_io::AsyncRead for Nested<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(space);
        let read = Pin::new(&mut self.0).poll_read(context, buffer.unfilled());
        read.map_ok(|()| buffer.filled().len())
    }
}

#[test]
fn a_read_inside_of_a_read_has_a_buffer_of_its_own() {
    run(|env| async move {
        let (mut client, server) = pair(&env).await;
        let mut server = Io::new(Nested(Io::new(server)));
        client.write_all(b"hello").await.expect("open");
        assert_eq!(read(&mut server, 10).await.expect("open"), b"hello");
        assert_eq!(server.get_ref().0.get_ref().socket().bytes_read(), 5);
        drop(server.into_inner());
    });
}
