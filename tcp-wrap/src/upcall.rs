//! Everything that this layer calls upward: connections, and what happens on a stream.

use crate::{Error, Result, StreamWrap};

/// A listening wrap. Mirrors `ConnectionWrap::OnConnection`.
pub trait OnConnection {
    /// A connection was accepted, or accepting failed.
    fn on_connection(&mut self, listener: &StreamWrap, connection: Result<StreamWrap>);

    /// The listener is closed; this is its last call.
    fn on_close(&mut self, listener: &StreamWrap) {
        let _ = listener;
    }
}

impl<F: FnMut(&StreamWrap, Result<StreamWrap>)> OnConnection for F {
    fn on_connection(&mut self, listener: &StreamWrap, connection: Result<StreamWrap>) {
        self(listener, connection);
    }
}

/// A connected wrap. Mirrors `StreamListener` and the `oncomplete` of Node's request wraps.
pub trait OnStream {
    /// Bytes arrived; lent for the call (`OnUvRead`).
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]);

    /// The peer has finished sending; reading is stopped.
    fn on_end(&mut self, stream: &StreamWrap);

    /// Reading failed; the stream is neither readable nor writable any more.
    fn on_error(&mut self, stream: &StreamWrap, error: Error);

    /// The peer of a socket that is not being read has finished sending: `on_end` comes once that is read.
    fn on_unread_end(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }

    /// A connect ended (`ConnectWrap.oncomplete`).
    fn on_connect(&mut self, stream: &StreamWrap, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The rest of a write that did not go out at once ended (`WriteWrap.oncomplete`): in order, one call for each
    /// [`Written::later`](crate::Written::later) that was not zero.
    fn on_write(&mut self, stream: &StreamWrap, result: Result<()>) {
        let _ = (stream, result);
    }

    /// A shutdown ended (`ShutdownWrap.oncomplete`).
    fn on_shutdown(&mut self, stream: &StreamWrap, result: Result<()>) {
        let _ = (stream, result);
    }

    /// Somebody called [`notify`](StreamWrap::notify).
    fn on_notify(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }

    /// The wrap is closed; this is its last call.
    fn on_close(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }
}
