//! How a socket is read: by the loop, which brings each piece to `on_data`, or by the program, which pulls. Mirrors
//! `tryReadStart`, `pause` and `resume` of `net.Socket`, and the two modes of Node's readable streams: the event 'data', or
//! 'readable' with `read()`.

use crate::state::{
    AWAITS_HANDLER, CONNECTING, DESTROYED, ENDED, ENDED_BY_PEER, HALF_OPEN, PAUSED, PEER_ENDED, PULLED,
};
use crate::uv_core;
use crate::uv_core::Errno;
use crate::{Error, ErrorCode, LAYER, Result, Socket};

/// What [`Socket::try_read`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pulled {
    /// So many bytes are in the buffer: at least one.
    Bytes(usize),
    /// Nothing is there yet.
    WouldBlock,
    /// The peer has sent its FIN, and everything before it was read.
    End,
}

impl Socket {
    /// Begins to read, unless the socket is paused, or cannot be read now.
    #[inline]
    pub(crate) fn read_unless_paused(&self) {
        if self.0.has(DESTROYED | CONNECTING | PEER_ENDED) {
            return;
        }
        if self.0.has(PAUSED | PULLED) {
            return self.read_otherwise();
        }
        self.reads(self.0.stream.read_start());
    }

    #[inline(never)]
    fn read_otherwise(&self) {
        if self.0.has(PAUSED) {
            // Makes an unread stream watch for a reset.
            self.0.stream.read_stop();
        } else {
            self.reads(self.0.stream.readable_start());
        }
    }

    fn reads(&self, started: Result<(), uv_core::Error>) {
        match started {
            Ok(()) => {}
            Err(error) if error.errno() == Errno::EALREADY => {}
            // As in Node (`tryReadStart`), a socket that cannot be read is destroyed.
            Err(error) => {
                #[cfg(upcall_faults)]
                uv_core::faults::reached(uv_core::faults::Branch::SocketUnread);
                self.destroy_with(error.into());
            }
        }
    }

    /// Stops reading: further input stays in the kernel. `on_unread_end` reports the peer's FIN; a reset destroys the
    /// socket and loses the unread input. Idempotent.
    pub fn pause(&self) {
        let _down = LAYER.down("Socket::pause", || self.facts());
        self.0.set(PAUSED);
        self.0.stream.read_stop();
    }

    /// Reads again after `pause`. Idempotent.
    pub fn resume(&self) {
        let _down = LAYER.down("Socket::resume", || self.facts());
        self.0.clear(PAUSED);
        // A held socket is read once it has a handler, which would miss what was read before.
        if !self.0.has(AWAITS_HANDLER) {
            self.read_unless_paused();
        }
    }

    /// Has `on_readable` called once, on a socket that is paused and pulled; it is paused behind that. A socket that cannot be read
    /// yet is resumed instead, and its handler has to pause it.
    #[inline]
    pub(crate) fn await_readable(&self) {
        if self.0.has(DESTROYED | CONNECTING | PEER_ENDED | AWAITS_HANDLER) {
            return self.resume();
        }
        self.reads(self.0.stream.readable_once());
    }

    /// Whether the socket is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.has(PAUSED)
    }

    /// Lets the program pull, or the loop read, which is the default. A socket that is pulled has no `on_data`:
    /// [`on_readable`](crate::upcall::SocketHandler::on_readable) reports input, and [`try_read`](Self::try_read) reads it,
    /// then or at any other time. Nothing is read before, so that an idle connection holds no buffer, whatever the program
    /// reads into.
    ///
    /// Readiness is a level: what the program leaves is reported again in the next turn of the loop. A program that has enough
    /// for now, or that waits for something else, calls [`pause`](Self::pause), and [`resume`](Self::resume) when it wants to
    /// hear of input again; neither makes a system call, and a paused socket can be pulled, too.
    ///
    /// May be changed at any time, also while connecting, and before or after the handler is set.
    pub fn set_pulled(&self, on: bool) {
        let _down = LAYER.down("Socket::set_pulled", || self.facts());
        // While it waits for its peer's acknowledgement alone, its input is discarded, and the handler hears of nothing.
        if self.0.has(PULLED) == on || self.0.is_lingering() {
            return;
        }
        if on {
            self.0.set(PULLED)
        } else {
            self.0.clear(PULLED)
        }
        self.0.stream.read_stop();
        if !self.0.has(AWAITS_HANDLER) {
            self.read_unless_paused();
        }
    }

    /// Whether the program pulls.
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        self.0.has(PULLED)
    }

    /// Reads what is there into `buffer`, in one system call, on a socket that is [pulled](Self::set_pulled).
    ///
    /// This alone tells the end: `on_end` does not follow. As after `on_end`, this side ends too, unless half-open connections
    /// are allowed, and later calls find the end again. A socket that is still connecting has nothing to read yet.
    ///
    /// ```
    /// use net::async_wrap::Environment;
    /// use net::upcall::SocketHandler;
    /// use net::{ConnectOptions, ListenOptions, Pulled, Server, ServerOptions, Socket};
    ///
    /// /// Reads records of four bytes, each when it is whole.
    /// #[derive(Default)]
    /// struct Records {
    ///     record: [u8; 4],
    ///     filled: usize,
    /// }
    ///
    /// impl SocketHandler for Records {
    ///     fn on_data(&mut self, _: &Socket, _: &[u8]) {}
    ///
    ///     fn on_readable(&mut self, socket: &Socket) {
    ///         // An error has destroyed the socket, for `on_error`.
    ///         while let Ok(Pulled::Bytes(count)) = socket.try_read(&mut self.record[self.filled..]) {
    ///             self.filled += count;
    ///             if self.filled == self.record.len() {
    ///                 println!("{:?}", self.record);
    ///                 self.filled = 0;
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let env = Environment::with_new_loop()?;
    /// let server = Server::new(&env, ServerOptions::default());
    /// # let closing = server.clone();
    /// server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), move |_, socket| {
    ///     socket.set_pulled(true);
    ///     socket.set_handler(Records::default());
    /// #     let _ = closing.close();
    /// })?;
    /// # let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
    /// # let mut peer = std::net::TcpStream::connect(address)?;
    /// # std::io::Write::write_all(&mut peer, b"12345678")?;
    /// # drop(peer);
    /// env.run_to_end()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `SocketClosed` once destroyed; `InvalidArgument` for an empty buffer; `EALREADY` if the socket is not pulled; any error
    /// of the system call, such as `ECONNRESET`, which also destroys the socket and is reported by `on_error`.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<Pulled> {
        let _down = LAYER.down("Socket::try_read", || self.facts());
        let state = &self.0;
        if state.has(DESTROYED) || state.is_lingering() {
            return Err(Error::closed("read: the socket is closed"));
        }
        if buffer.is_empty() {
            return Err(Error::new(ErrorCode::InvalidArgument, "read: the buffer is empty"));
        }
        if !state.has(PULLED) {
            return Err(uv_core::Error::new("read", Errno::EALREADY).into());
        }
        if state.has(PEER_ENDED) {
            return Ok(Pulled::End);
        }
        if state.has(CONNECTING) {
            return Ok(Pulled::WouldBlock);
        }
        match state.stream.try_read(buffer) {
            Ok(0) => {
                state.refresh_timeout();
                state.set(PEER_ENDED);
                self.follow_end();
                Ok(Pulled::End)
            }
            Ok(count) => {
                state.refresh_timeout();
                Ok(Pulled::Bytes(count))
            }
            Err(error) if error.errno() == Errno::EAGAIN => Ok(Pulled::WouldBlock),
            Err(error) => {
                let error = Error::from(error);
                self.destroy_with(error.clone());
                Err(error)
            }
        }
    }

    /// Whether the peer has sent bytes or its FIN, or the connection has failed, and the handler may not have been told yet; `true`
    /// as well once the socket is destroyed. Costs a system call, and changes nothing. For a pool of connections, which must not
    /// use a connection that its peer has ended.
    #[must_use]
    pub fn may_have_input(&self) -> bool {
        self.0.has(DESTROYED | PEER_ENDED) || self.0.stream.may_have_input()
    }

    /// Whether a pull would be a system call in vain.
    pub(crate) fn is_drained(&self) -> bool {
        !self.0.has(DESTROYED | PEER_ENDED) && self.0.stream.is_drained()
    }

    /// After the peer's FIN: as in Node this side ends too, unless half-open connections are allowed.
    pub(crate) fn follow_end(&self) {
        if !self.0.has(HALF_OPEN | ENDED) {
            self.0.set(ENDED_BY_PEER);
            self.end();
        }
        self.destroy_if_done();
    }
}
