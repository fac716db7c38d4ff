//! Everything that the loop calls upward.
//!
//! Methods are named `on_*` and take `&mut self`. Only the loop's own phases call them, so they never nest; from inside
//! one, any method of any handle may be called.
//!
//! A handle with one upcall (a timer, a watcher, a signal, a wake-up, a process) takes a closure instead of a trait, so that
//! its arguments need no types.

use crate::{Error, Result, Stream};

/// A listening stream. Mirrors `uv_connection_cb`.
pub trait AcceptUpcall {
    /// A connection waits: take it with `accept`. One that is not taken here stops the listener until it is taken.
    ///
    /// An error says that accepting failed for a reason other than the peer's or a passing lack of descriptors.
    fn on_connection(&mut self, listener: &Stream, status: Result<()>);

    /// The listener is closed; this is its last call.
    fn on_close(&mut self, listener: &Stream) {
        let _ = listener;
    }
}

impl<F: FnMut(&Stream, Result<()>)> AcceptUpcall for F {
    fn on_connection(&mut self, listener: &Stream, status: Result<()>) {
        self(listener, status);
    }
}

/// A connected stream. Mirrors `uv_read_cb`, `uv_write_cb`, `uv_connect_cb`, `uv_shutdown_cb` and `uv_close_cb`.
pub trait StreamUpcall {
    /// Bytes arrived. They are lent for the call: the buffer belongs to the loop.
    fn on_read(&mut self, stream: &Stream, data: &[u8]);

    /// The peer has finished sending. Reading is stopped; writing is not.
    fn on_end(&mut self, stream: &Stream);

    /// Reading failed; the stream is neither readable nor writable any more. A socket that is not being read says so
    /// as well, as soon as it is reset.
    fn on_read_error(&mut self, stream: &Stream, error: Error);

    /// The peer of a socket that is not being read has finished sending: what it sent before still waits, and `on_end`
    /// comes behind that once it is read. Told once for each time that reading stops.
    fn on_unread_end(&mut self, stream: &Stream) {
        let _ = stream;
    }

    /// A connect ended.
    fn on_connect(&mut self, stream: &Stream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The oldest write that was not yet reported ended: one call for each `write`, in order.
    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// A shutdown ended: everything written before it is with the kernel, and so is the FIN.
    fn on_shutdown(&mut self, stream: &Stream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// Somebody called [`notify`](crate::Stream::notify).
    fn on_notify(&mut self, stream: &Stream) {
        let _ = stream;
    }

    /// The stream is closed; this is its last call.
    fn on_close(&mut self, stream: &Stream) {
        let _ = stream;
    }
}
