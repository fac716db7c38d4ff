//! Servers of bytes over TCP and Unix sockets: a task per connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, UnixListener};

/// Bytes asked for by one read: a message of the largest echo fits.
const READ_BUFFER: usize = 64 * 1024;

thread_local! {
    /// The buffer of all echoes, so that a connection that waits has none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
}

/// Answers to one byte, and what each of them is.
const WRITES: usize = 16;
const WRITE: &[u8] = &[b'w'; 64];

/// What is done with received bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Service {
    /// They are sent back.
    Echo,
    /// They are dropped.
    Pump,
    /// Each is answered by many small writes.
    Writes,
}

/// Listens on a free TCP port and serves.
pub(crate) async fn serve_tcp(service: Service) -> io::Result<()> {
    let listener = listen().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, service));
    }
}

/// Listens on a Unix socket and serves.
pub(crate) async fn serve_unix(path: &Path, service: Service) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    println!("unix:{}", path.display());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, service));
    }
}

/// A listener on a free port, announced.
pub(crate) async fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}

/// Serves one connection; its failure is its end and the client's to count.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, service: Service) {
    let _ended = match service {
        Service::Echo => echo(stream).await,
        Service::Pump => pump(stream).await,
        Service::Writes => write_often(stream).await,
    };
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(rest) = poll_fn(|context| poll_echo(&mut stream, context)).await? {
        if !rest.is_empty() {
            stream.write_all(&rest).await?;
        }
    }
    Ok(())
}

/// Reads, and writes at once as much of it as the kernel takes. What is left is a vector of its own; `None` is the end.
fn poll_echo(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let written = match Pin::new(stream).poll_write(context, bytes) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        Poll::Ready(Ok(Some(bytes[written..].to_vec())))
    })
}

async fn pump(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; READ_BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn write_often(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut requests = [0; 64];
    loop {
        let count = match stream.read(&mut requests).await? {
            0 => return Ok(()),
            count => count,
        };
        for _ in 0..count * WRITES {
            stream.write_all(WRITE).await?;
        }
    }
}
