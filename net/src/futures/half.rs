//! The directions of a connection, for two tasks.

use super::AsyncSocket;
use crate::{Result, Socket};
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The direction from the peer: see [`AsyncSocket::split`]. When it is dropped, further input stays in the kernel.
#[derive(Debug)]
pub struct ReadHalf(pub(super) AsyncSocket);

/// The direction to the peer: see [`AsyncSocket::split`]. When it is dropped, the FIN follows what was written.
#[derive(Debug)]
pub struct WriteHalf(pub(super) AsyncSocket);

impl ReadHalf {
    /// As [`AsyncSocket::read`].
    ///
    /// # Errors
    /// As there.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer).await
    }

    /// As [`AsyncSocket::read_to_end`].
    ///
    /// # Errors
    /// As there.
    pub async fn read_to_end(&mut self, all: &mut Vec<u8>) -> Result<usize> {
        self.0.read_to_end(all).await
    }

    /// The socket beneath.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        self.0.socket()
    }
}

impl WriteHalf {
    /// As [`AsyncSocket::write`].
    ///
    /// # Errors
    /// As there.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize> {
        self.0.write(data).await
    }

    /// As [`AsyncSocket::write_all`].
    ///
    /// # Errors
    /// As there.
    pub async fn write_all(&mut self, data: &[u8]) -> Result<()> {
        self.0.write_all(data).await
    }

    /// As [`AsyncSocket::finish`].
    ///
    /// # Errors
    /// As there.
    pub async fn finish(&mut self) -> Result<()> {
        self.0.finish().await
    }

    /// The socket beneath.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        self.0.socket()
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

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

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        self.0.0.stop_reading();
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        self.0.socket().end();
    }
}
