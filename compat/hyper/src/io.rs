//! hyper's `Read` and `Write` over futures-io's.

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The most that one read asks for: as much as the loop reads at a time for handlers.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// What a read goes through, empty while one uses it. hyper's buffers are not initialized. To clear what a socket is lent
    /// costs more than to copy what comes, unless that fills it; and safe code may only copy.
    static BUFFER: Cell<Box<[u8]>> = Cell::default();
}

/// Lends a connection to hyper: [`AsyncSocket`](net::futures::AsyncSocket), or anything else with futures-io's traits, such as a
/// TLS stream over one.
///
/// Dropping it drops the connection. [`into_inner`](Self::into_inner) takes it back, behind an upgrade, say.
///
/// ```
/// use hyper::rt::{Read, Write};
/// use net::futures::AsyncSocket;
/// use upcall_hyper::Io;
///
/// fn lend(socket: AsyncSocket) -> impl Read + Write + Unpin {
///     Io::new(socket)
/// }
/// ```
#[derive(Debug)]
pub struct Io<T>(T);

impl<T> Io<T> {
    /// Lends `connection`.
    pub const fn new(connection: T) -> Self {
        Self(connection)
    }

    /// The connection.
    pub const fn get_ref(&self) -> &T {
        &self.0
    }

    /// The connection, to change it.
    pub const fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// Takes the connection back. hyper may have read more than it has used: it returns that with the connection, as `read_buf`
    /// of its `Parts`, and [`AsyncSocket::unshift`](net::futures::AsyncSocket::unshift) puts it back.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsyncRead + Unpin> Read for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // At the thread's exit there is none, and while `T` reads through another `Io`.
        let mut space = BUFFER.try_with(Cell::take).unwrap_or_default();
        if space.is_empty() {
            space = vec![0; READ_BYTES].into_boxed_slice();
        }
        let size = buffer.remaining().min(READ_BYTES);
        let read = Pin::new(&mut self.0).poll_read(context, &mut space[..size]);
        let read = read.map_ok(|count| buffer.put_slice(&space[..count]));
        let _ = BUFFER.try_with(|buffer| buffer.set(space));
        read
    }
}

impl<T: AsyncWrite + Unpin> Write for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

    /// `is_write_vectored` stays `false`, since futures-io does not tell: hyper then joins head and body. `writev(true)` of its
    /// builders turns this on, for connections that write several buffers at once, as sockets do.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
