//! A response as its application writes it, now or later. Mirrors `http.ServerResponse`.

use crate::connection::{ClientSide, Connection, Exchange, Extra, Phase, ResponsePlace, fast_path, place};
use crate::proto::{EncodeError, Encoder, ResponseHead, Version};
use crate::serve::{Notifier, Waiting};
use crate::trace::{down, down_with};
use crate::upcall::ResponseHandler;
use crate::uv_core::file::FileRange;
use crate::{Error, Result};
use async_wrap::Environment;
use bytes::Bytes;
use net::Socket;
use std::fmt;
use std::rc::Rc;

/// The response to one request. A handle, cheap to clone, that may be moved anywhere on its thread: into a timer, a future,
/// another connection's handler.
///
/// Dropping the last clone without [`end`](Self::end) sends status 500, or breaks the connection if the response has begun:
/// no client waits for a response that was lost. A clone that the response's own [`ResponseHandler`] holds counts: such a
/// response lasts as long as its connection unless it is ended.
///
/// ```
/// use http::{Request, Response, Result};
///
/// fn respond(request: &Request<'_>, response: &Response) -> Result<()> {
///     response.set_header("Content-Type", "text/plain")?;
///     response.end(request.path().as_bytes())
/// }
/// ```
pub struct Response {
    connection: Rc<Connection>,
    number: u32,
}

impl Response {
    /// The first handle of an exchange, which counts it already.
    pub(crate) fn first(connection: &Rc<Connection>, number: u32) -> Self {
        Self { connection: Rc::clone(connection), number }
    }

    /// Another handle of an exchange, if that is still there.
    pub(crate) fn counted(connection: &Rc<Connection>, number: u32) -> Self {
        connection.pipeline.with(number, |exchange, _| exchange.handles += 1);
        Self::first(connection, number)
    }

    /// Sets the status. Default: 200.
    ///
    /// # Errors
    /// `HeadersSent`, `Closed`, and `Encode` for a status outside of 200 to 999. For an informational one there is
    /// [`write_information`](Self::write_information), for 101 [`RequestHandler`](crate::upcall::RequestHandler).
    pub fn set_status(&self, status: u16) -> Result<&Self> {
        self.change_head(|exchange| {
            if !(200..=999).contains(&status) {
                return Err(EncodeError::InvalidStatus(status).into());
            }
            Ok(exchange.head.set_status(status)?)
        })
    }

    /// Sets the reason phrase. Default: the registered one of the status.
    ///
    /// # Errors
    /// `HeadersSent`, `Closed`, and `Encode` for control characters.
    pub fn set_reason(&self, reason: impl AsRef<[u8]>) -> Result<&Self> {
        self.change_head(|exchange| Ok(exchange.head.set_reason(reason.as_ref())?))
    }

    /// Sets a field, in place of those of its name.
    ///
    /// # Errors
    /// `HeadersSent`, `Closed`, and `Encode` for a name that is no token, a value with control characters, and a
    /// `Content-Length` that is no number.
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<&Self> {
        let value = value.as_ref();
        let set_again =
            |exchange: &mut Exchange| exchange.phase == Phase::Head && exchange.head.set_again(name, value);
        if self.with(set_again) == Some(true) {
            return Ok(self);
        }
        self.set_new_header(name, value)
    }

    #[inline(never)]
    fn set_new_header(&self, name: &str, value: &[u8]) -> Result<&Self> {
        self.change_head(|exchange| Ok(exchange.head.set(name, value)?))
    }

    /// Adds a field beside those of its name; `Connection`, `Content-Length` and `Transfer-Encoding` are replaced.
    ///
    /// # Errors
    /// As for [`set_header`](Self::set_header).
    pub fn append_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<&Self> {
        let value = value.as_ref();
        self.change_head(|exchange| Ok(exchange.head.append(name, value)?))
    }

    /// Removes a field. The server then does not add it either, if it is `Date`, `Connection`, `Content-Length` or
    /// `Transfer-Encoding`.
    ///
    /// # Errors
    /// `HeadersSent`, `Closed`.
    pub fn remove_header(&self, name: &str) -> Result<&Self> {
        self.change_head(|exchange| {
            exchange.head.remove(name);
            Ok(())
        })
    }

    /// Sets status and fields together (`writeHead`). They are sent with the first of the body.
    ///
    /// # Errors
    /// As for [`set_status`](Self::set_status) and [`set_header`](Self::set_header); what precedes the faulty part is set.
    pub fn write_head(&self, status: u16, fields: &[(&str, &str)]) -> Result<&Self> {
        self.set_status(status)?;
        for (name, value) in fields {
            self.set_header(name, value)?;
        }
        Ok(self)
    }

    /// Sets whether the body is coded for a client that accepts it, if it is text of some length and the server has
    /// [codings](crate::ServerOptions#structfield.codings). Default: as these say.
    ///
    /// # Errors
    /// `HeadersSent`, `Closed`.
    #[cfg(feature = "codings")]
    pub fn set_coded(&self, is_coded: bool) -> Result<&Self> {
        self.change_head(|exchange| {
            exchange.extra_mut().coding.wanted = Some(is_coded);
            Ok(())
        })
    }

    /// Sends the head now, without a body yet (`flushHeaders`).
    ///
    /// # Errors
    /// `Closed`, and `Encode(TrailerWithoutChunked)`.
    pub fn flush_headers(&self) -> Result<()> {
        let _down = down("Response::flush_headers");
        if self.is_head_sent() {
            Ok(())
        } else {
            self.connection.write_response(self.number, b"", false).map(drop)
        }
    }

    /// Writes some of the body, after the head if that is still to be sent. Returns whether more is welcome; after
    /// `false` wait for `on_drain`.
    ///
    /// The body is chunked unless a `Content-Length` was set, or ends with the connection for HTTP/1.0. What is
    /// written to a response without a body (`HEAD`, 204, 304) is dropped.
    ///
    /// # Errors
    /// `Closed`, and `Encode` with `BodyTooLong` or `TrailerWithoutChunked`.
    pub fn write(&self, data: &[u8]) -> Result<bool> {
        let _down = down_with("Response::write", data);
        self.connection.write_response(self.number, data, false)
    }

    /// Like [`write`](Self::write), with a buffer that the responses to many clients share: it is not copied, but for what the
    /// kernel takes, and for a response that waits for those before it.
    ///
    /// # Errors
    /// As for `write`.
    pub fn write_bytes(&self, data: Bytes) -> Result<bool> {
        let _down = down_with("Response::write_bytes", &data);
        self.connection.write_shared(self.number, data)
    }

    /// Writes the last of the body and ends the response. If nothing was written before, its length is sent.
    ///
    /// # Errors
    /// As for [`write`](Self::write); `Encode(BodyTooShort)` if the `Content-Length` that was set promised more.
    pub fn end(&self, data: &[u8]) -> Result<()> {
        let _down = down_with("Response::end", data);
        fast_path::end(&self.connection, self.number, data)
    }

    /// Ends the response with a file, or a part of one. The kernel sends it, at the client's pace and without a copy through
    /// this process; a client that does not read holds up no other one. The length is sent if nothing was written before.
    ///
    /// `on_finish` follows when the kernel has taken all of it, and the connection stays open for the next request. If the file
    /// has become shorter, or the disk fails, the client cannot get what the length promised: the connection is broken, and
    /// `on_close` follows. In a response to `HEAD` the file is not sent.
    ///
    /// ```
    /// use http::uv_core::file::File;
    /// use http::{Response, Result};
    ///
    /// /// The first kibibyte of a file.
    /// fn send_start(response: &Response, file: &File) -> Result<()> {
    ///     response.set_header("Content-Type", "text/plain")?;
    ///     response.send_file(file.range(..file.metadata().len().min(1024))?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`end`](Self::end); `HeadersSent` for a response of which a part was written, and coded (with the feature `codings`);
    /// `Net` with the error of the file if sending fails at once. What is no regular file is refused
    /// by [`File::range`](crate::uv_core::file::File::range).
    pub fn send_file(&self, file: FileRange) -> Result<()> {
        let _down = down("Response::send_file");
        self.connection.send_file(self.number, file)
    }

    /// Adds a field after the body. Set `Trailer` first if the client should expect it; the response is chunked. A
    /// response to `HEAD` or to an HTTP/1.0 client is sent without trailers.
    ///
    /// # Errors
    /// `Closed`, and `Encode`: for a field that may not stand there, and with `TrailerWithoutChunked` if the head is sent and the
    /// response is not chunked.
    pub fn add_trailer(&self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let value = value.as_ref();
        self.try_with(|exchange, _| {
            if exchange.phase == Phase::Ended {
                Err(Error::Closed)
            } else if exchange.request.version != Version::Http11 || exchange.request.is_head {
                Ok(ResponseHead::check_trailer(name, value)?)
            } else if exchange.extra().encoder.is_some_and(|encoder| !encoder.is_chunked()) {
                Err(EncodeError::TrailerWithoutChunked.into())
            } else {
                Ok(exchange.head.add_trailer(name, value)?)
            }
        })
    }

    /// Sends an informational response, such as 103 with `Link` fields; 100 tells the client to send its body. HTTP/1.0
    /// clients get none. Returns, like [`write`](Self::write), whether more is welcome; after `false` wait for `on_drain`.
    ///
    /// # Errors
    /// `HeadersSent`, `Closed`, and `Encode` for a status that is not informational, for 101, and for fields that may
    /// not stand there.
    pub fn write_information(&self, status: u16, fields: &[(&str, &str)]) -> Result<bool> {
        self.inform(status, fields.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    /// The same with values that are no text.
    pub(crate) fn inform<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<bool> {
        let mut whole = Vec::new();
        Encoder::informational(status, fields, &mut whole)?;
        let connection = &*self.connection;
        if connection.is_over() {
            return Err(Error::Closed);
        }
        self.try_with(|exchange, is_oldest| {
            check_head(exchange)?;
            if exchange.request.version != Version::Http10 {
                exchange.extra_mut().awaits_continue &= status != 100;
                connection.put(exchange, is_oldest, |_, out| out.extend_from_slice(&whole));
            }
            Ok(connection.ask_for_more(exchange, is_oldest))
        })
    }

    /// Sets the handler of this response's events, in place of the one before. It is also told of a client that has ended
    /// its side before. If the response has ended, or its connection is closed, the handler is dropped.
    pub fn set_handler(&self, handler: impl ResponseHandler + 'static) {
        self.set_place(&Self::place(handler));
    }

    /// The place of a handler, which one response after another may have.
    pub(crate) fn place(handler: impl ResponseHandler + 'static) -> ResponsePlace {
        let place = place(handler);
        Rc::new(move |call| place(&mut |handler| call(handler)))
    }

    /// Sets the handler by its place.
    pub(crate) fn set_place(&self, place: &ResponsePlace) {
        let mut handler = Some(place);
        let old = self.with(|exchange| {
            let extra = exchange.extra_mut();
            extra.knows_end = false;
            extra.waiting = None;
            (std::mem::replace(&mut extra.handler, handler.take().map(Rc::clone)), exchange.context)
        });
        if let Some((_, context)) = &old {
            // Behind the borrow, since values may do anything when they are dropped.
            self.connection.core.env.keep_values(context.async_id());
        }
        if self.connection.state.get().client != ClientSide::Open {
            self.connection.socket.notify();
        }
        drop(old);
    }

    /// Asks for an `on_drain`, soon and from the loop, so that other connections are served meanwhile: for a handler that
    /// writes much to a client that reads as fast.
    pub fn yield_now(&self) {
        let _down = down("Response::yield_now");
        let asked = self.with(|exchange| {
            exchange.extra_mut().needs_drain = exchange.phase != Phase::Ended;
        });
        if asked.is_some() {
            self.connection.socket.notify();
        }
    }

    /// Lets the async function that handles the request go on when the client goes away. Default: it is dropped then, at its
    /// `.await`. See [`serve`](crate::serve).
    pub fn detach(&self) {
        self.with(|exchange| {
            let extra = exchange.extra_mut();
            extra.is_detached = true;
            extra.task = None;
        });
    }

    /// Prepares the whole head at once, in place of all that was prepared.
    pub(crate) fn prepare(
        &self,
        prepare: impl FnOnce(&mut ResponseHead) -> Result<(), EncodeError>,
    ) -> Result<()> {
        self.change_head(|exchange| {
            exchange.head.clear();
            Ok(prepare(&mut exchange.head)?)
        })?;
        Ok(())
    }

    /// Has no handler called any more: a call that comes behind the response has to wait in memory of its own.
    pub(crate) fn forget_handler(&self) {
        let handler = self.with(|exchange| exchange.extra_mut().handler.take());
        drop(handler);
    }

    /// Whether both are handles of one response.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.connection, &other.connection) && self.number == other.number
    }

    /// Has the connection end behind this response, although its head may not say so.
    pub(crate) fn close_behind(&self) {
        self.with(|exchange| exchange.extra_mut().closes = true);
    }

    /// Responds with a status and a text, in place of all that was prepared.
    pub(crate) fn refuse(&self, status: u16, text: &str) -> Result<()> {
        self.change_head(|exchange| {
            exchange.head.clear();
            Ok(())
        })?;
        self.set_status(status)?;
        if !text.is_empty() {
            self.set_header("Content-Type", "text/plain; charset=utf-8")?;
        }
        self.end(text.as_bytes())
    }

    /// What wakes the futures that wait for this response, which is over if the response has left.
    pub(crate) fn waiting(&self) -> Rc<Waiting> {
        if let Some(waiting) = self.with(|exchange| exchange.extra().waiting.clone()).flatten() {
            return waiting;
        }
        let (notifier, waiting) = Notifier::new();
        self.set_handler(notifier);
        self.with(|exchange| exchange.extra_mut().waiting = Some(Rc::clone(&waiting)));
        waiting
    }

    /// Whether the connection takes no more output.
    pub(crate) fn is_lost(&self) -> bool {
        self.connection.is_over()
    }

    pub(crate) fn needs_drain(&self) -> bool {
        self.with(|exchange| exchange.extra().needs_drain) == Some(true)
    }

    /// Whether what is written is dropped.
    pub(crate) fn drops_body(&self) -> bool {
        let is_dropped = |exchange: &mut Exchange| {
            exchange.request.is_head || matches!(exchange.head.status(), 204 | 205 | 304)
        };
        self.with(is_dropped) == Some(true)
    }

    /// Ends a response that will not be finished, although others may hold it too: with 500, or broken off if it has begun.
    pub(crate) fn give_up(&self) {
        if !self.is_ended() {
            self.connection.abandon(self.number);
        }
    }

    /// Breaks the response off if it has begun, behind what is written of it.
    pub(crate) fn break_off_begun(&self) {
        if self.phase() == Phase::Body {
            self.connection.abandon(self.number);
        }
    }

    /// Breaks the connection, with all that is on it.
    pub fn destroy(&self) {
        let _down = down("Response::destroy");
        if self.with(|_| ()).is_some() {
            self.connection.break_off();
        }
    }

    /// Whether status and fields can no longer change.
    #[must_use]
    pub fn is_head_sent(&self) -> bool {
        self.phase() != Phase::Head
    }

    /// Whether the response has ended, or its connection is closed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase() == Phase::Ended
    }

    /// The environment in which the server runs: for timers, tasks and files.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        self.connection.socket.environment()
    }

    /// The connection's socket: for addresses and counters. Only this crate reads from it and writes to it.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.connection.socket
    }

    fn with<R>(&self, work: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
        self.connection.pipeline.with(self.number, |exchange, _| work(exchange))
    }

    /// The same with what fails, also because the response is over.
    fn try_with<R>(&self, work: impl FnOnce(&mut Exchange, bool) -> Result<R>) -> Result<R> {
        self.connection.pipeline.with(self.number, work).unwrap_or(Err(Error::Closed))
    }

    fn change_head(&self, change: impl FnOnce(&mut Exchange) -> Result<()>) -> Result<&Self> {
        self.try_with(|exchange, _| check_head(exchange).and_then(|()| change(exchange))).map(|()| self)
    }

    #[inline(never)]
    fn uncount(&self) {
        let is_abandoned = self.with(|exchange| {
            exchange.handles -= 1;
            // A handler that waits for a drain will write on; a future that waits for one holds a clone.
            let Extra { needs_drain, handler, waiting, .. } = exchange.extra();
            let has_writer = *needs_drain && handler.is_some() && waiting.is_none();
            exchange.handles == 0 && exchange.phase != Phase::Ended && !has_writer
        });
        if is_abandoned == Some(true) {
            log::warn!(target: "http", "a response was dropped before its end");
            self.connection.abandon(self.number);
        }
    }

    fn phase(&self) -> Phase {
        self.with(|exchange| exchange.phase).unwrap_or(Phase::Ended)
    }
}

fn check_head(exchange: &Exchange) -> Result<()> {
    match exchange.phase {
        Phase::Head => Ok(()),
        Phase::Body => Err(Error::HeadersSent),
        Phase::Ended => Err(Error::Closed),
    }
}

impl Clone for Response {
    fn clone(&self) -> Self {
        Self::counted(&self.connection, self.number)
    }
}

impl Drop for Response {
    #[inline]
    fn drop(&mut self) {
        // Most responses are written by now, with no request behind theirs.
        if !self.connection.pipeline.is_empty() {
            self.uncount();
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("phase", &self.phase()).finish_non_exhaustive()
    }
}
