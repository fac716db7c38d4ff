//! One connection of a client: which request it carries, and how it ends. Mirrors the per-socket half of Node's
//! `lib/_http_client.js` (`tickOnSocket`, `socketOnData`, `socketOnEnd`, `responseOnEnd`, `emitFreeNT`).
//!
//! # Theory of operation
//!
//! A connection carries one request at a time, and is in one of these stages:
//!
//! | event | Connecting | Assigned | Serving | Finishing | Idle |
//! |---|---|---|---|---|---|
//! | connected | Serving | – | – | – | – |
//! | `assign` | – | – | – | – | Assigned |
//! | the look at the socket | – | Serving, or Closed | – | – | – |
//! | bytes | Closed | Closed | decoded | Closed | Closed |
//! | the response ends | – | – | Idle; Finishing, if some of the request is still queued; Closed, if the connection cannot go on | – | – |
//! | the queue is empty | – | – | – | Idle | – |
//! | the server ends, a failure | Closed | Closed | Closed | Closed | Closed |
//! | the response leaves HTTP | – | – | Raw | – | – |
//!
//! Closed and Raw are final, and the agent hears once of either. `input.rs` is the way from bytes to the handler, `output.rs`
//! that of the request to the socket. An idle connection holds no buffer; its socket is read, so that the server's end is seen,
//! and does not keep the loop alive.

mod input;
mod output;

use super::error::{Error, ErrorKind};
use super::exchange::Exchange;
use super::options::Phase;
use crate::agent::{Core, Keep, Loss};
use crate::proto::ParseError;
use async_wrap::layer::OnUnwind;
use net::Socket;
use net::upcall::SocketHandler;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

/// What is queued of a request whose response is complete, and is sent for the connection's sake.
const FINISHED_BYTES: usize = 64 * 1024;

/// The number of a connection that the agent does not know any more.
const NO_NUMBER: u32 = u32::MAX;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is being made for a request.
    Connecting,
    /// It has a request, of which nothing is written.
    Assigned,
    /// A request is written, or its response read.
    Serving,
    /// The response is complete, and some of the request waits for the kernel.
    Finishing,
    /// It waits for a request.
    Idle,
    /// It has left HTTP.
    Raw,
    Closed,
}

pub(crate) struct Connection {
    pub(crate) core: Rc<Core>,
    pub(crate) socket: Socket,
    exchange: Cell<Option<Rc<Exchange>>>,
    /// What the agent knows it by.
    id: Cell<u32>,
    stage: Cell<Stage>,
    /// It has served another request before.
    is_reused: Cell<bool>,
}

// What an idle connection costs in this layer.
const _: () = assert!(size_of::<Connection>() <= 40);

impl Connection {
    /// Makes a connection for a request.
    pub(crate) fn open(core: &Rc<Core>, id: u32, exchange: &Rc<Exchange>) -> net::Result<Rc<Self>> {
        let (options, is_looked_up) = {
            let origin = exchange.origin.borrow();
            (core.connect_options(origin.connect_options()), origin.is_looked_up())
        };
        let phase = if is_looked_up { Phase::Resolve } else { Phase::Connect };
        exchange.enter(phase);
        let socket = Socket::connect(&core.shared.env, options, Unborn)?;
        let connection = Rc::new(Self {
            core: Rc::clone(core),
            socket: socket.clone(),
            exchange: Cell::new(Some(Rc::clone(exchange))),
            id: Cell::new(id),
            stage: Cell::new(Stage::Connecting),
            is_reused: Cell::new(false),
        });
        exchange.set_connection(Some(&connection));
        socket.set_handler(ConnectionTower(Rc::clone(&connection)));
        Ok(connection)
    }

    /// Gives a connection that is free a request. It is written from the loop, unless the connection turns out to be dead.
    pub(crate) fn assign(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        self.stage.set(Stage::Assigned);
        self.is_reused.set(true);
        self.exchange.set(Some(Rc::clone(exchange)));
        exchange.set_connection(Some(self));
        exchange.change(|facts| facts.is_reused = true);
        self.socket.ref_();
        self.socket.notify();
    }

    /// Begins with a further request, unless the server has ended the connection meanwhile, or has sent what no request has asked
    /// for.
    fn begin_again(self: &Rc<Self>) {
        if self.socket.may_have_input() {
            return self.on_lost();
        }
        if let Some(exchange) = &self.exchange() {
            // To hooks the connection is another one with each request, which is its cause.
            exchange.run_within(|| self.socket.stream().renew_context());
        }
        self.start();
    }

    /// What the agent knows the connection by, as long as it does.
    pub(crate) fn number(&self) -> Option<u32> {
        Some(self.id.get()).filter(|id| *id != NO_NUMBER)
    }

    /// The same, and the agent knows it no more.
    pub(crate) fn take_number(&self) -> Option<u32> {
        Some(self.id.replace(NO_NUMBER)).filter(|id| *id != NO_NUMBER)
    }

    /// Whether it carries a request that may be written.
    pub(crate) fn is_serving(&self) -> bool {
        self.stage.get() == Stage::Serving
    }

    /// Whether it carries this request, which is being answered.
    fn serves(&self, exchange: &Rc<Exchange>) -> bool {
        let is_it = |own: &Rc<Exchange>| Rc::ptr_eq(own, exchange);
        self.is_serving() && self.exchange().as_ref().is_some_and(is_it)
    }

    /// Closes the connection, unless it is closed. A request that it has loses it.
    pub(crate) fn close(self: &Rc<Self>) {
        if self.end() {
            self.core.closed(self);
        }
    }

    /// Whether the response is complete, and some of the request is not.
    pub(crate) fn is_finishing(&self) -> bool {
        self.stage.get() == Stage::Finishing
    }

    /// Closes the connection, and ends the request that it has. Not to be called by a program while the connection is finishing,
    /// since the handler is called then.
    pub(crate) fn break_off(self: &Rc<Self>, kind: ErrorKind) {
        match self.exchange() {
            Some(exchange) if self.stage.get() != Stage::Finishing => self.fail(&exchange, Error::new(kind)),
            _ => self.lose(Error::new(kind)),
        }
    }

    /// Enters the last stage and destroys the socket. Returns whether the agent is to hear of it.
    fn end(&self) -> bool {
        let stage = self.stage.replace(Stage::Closed);
        if matches!(stage, Stage::Closed | Stage::Raw) {
            self.stage.set(stage);
            return false;
        }
        self.socket.destroy();
        true
    }

    /// The request that it carries.
    fn exchange(&self) -> Option<Rc<Exchange>> {
        let exchange = self.exchange.take();
        self.exchange.set(exchange.clone());
        exchange
    }

    /// Takes the request from the connection.
    fn detach(&self) -> Option<Rc<Exchange>> {
        self.exchange.take()
    }

    /// Ends the request, and closes the connection.
    pub(crate) fn fail(self: &Rc<Self>, exchange: &Rc<Exchange>, error: Error) {
        self.detach();
        exchange.fail(error);
        self.close();
    }

    /// The connection is lost, with the request that it had: that may be sent once more if nothing of a response has come.
    fn lose(self: &Rc<Self>, error: Error) {
        let stage = self.stage.get();
        let Some(exchange) = self.detach() else { return self.close() };
        if stage == Stage::Finishing {
            exchange.set_connection(None);
            self.close();
            return Exchange::close(exchange);
        }
        let loss = match stage {
            Stage::Assigned => Loss::Stale,
            // Nothing has left yet: the program has not written.
            Stage::Serving if self.is_reused.get() && !exchange.upload.borrow().is_head_sent() => Loss::Stale,
            Stage::Serving if !exchange.facts().is_answered => Loss::Unanswered(error),
            _ => {
                exchange.fail(error);
                return self.close();
            }
        };
        exchange.set_connection(None);
        if self.end() {
            self.core.lost(self, &exchange, loss);
        }
    }

    /// The error of a request whose connection is lost.
    fn loss_of(&self, exchange: &Exchange, cause: Option<net::Error>) -> Error {
        let cause = cause.or_else(|| exchange.peek_rare(|rare| rare.cause.take()));
        let kind = match self.stage.get() {
            Stage::Connecting => ErrorKind::Connect,
            _ if exchange.facts().has_response => {
                let received = exchange.received();
                let decoder = exchange.decoder.take();
                let expected = decoder.missing().map(|missing| received + missing);
                exchange.decoder.set(decoder);
                ErrorKind::Truncated { expected, received }
            }
            _ => ErrorKind::ConnectionLost,
        };
        Error::of_net(kind, cause)
    }

    /// The server has closed or broken the connection.
    fn on_lost(self: &Rc<Self>) {
        let exchange = self.exchange();
        match exchange {
            Some(exchange) => {
                let error = self.loss_of(&exchange, None);
                self.lose(error);
            }
            None => self.close(),
        }
    }

    /// Bytes have come that no request has asked for.
    fn on_unsolicited(self: &Rc<Self>) {
        let is_new = !self.is_reused.get();
        let exchange = self.exchange();
        match exchange {
            // Another connection would get the same.
            Some(exchange) if is_new && self.stage.get() != Stage::Finishing => {
                self.fail(&exchange, Error::new(ErrorKind::InvalidResponse(ParseError::Unsolicited, 0)));
            }
            _ => self.lose(Error::new(ErrorKind::ConnectionLost)),
        }
    }

    /// The response of a request is complete: the connection is free, unless something is left or speaks against it.
    fn response_ended(self: &Rc<Self>, exchange: &Rc<Exchange>, has_surplus: bool) {
        let waiting = self.socket.buffered();
        let is_sent = exchange.upload.borrow().is_ended() && waiting <= FINISHED_BYTES;
        let keep = if has_surplus || !is_sent { Keep::No } else { exchange.keep() };
        if keep != Keep::No && waiting > 0 {
            self.stage.set(Stage::Finishing);
            self.socket.request_drain();
            return exchange.enter(Phase::Send);
        }
        self.detach();
        exchange.set_connection(None);
        match keep {
            Keep::No => self.close(),
            keep => self.rest(keep),
        }
    }

    /// The connection may serve another request.
    fn rest(self: &Rc<Self>, keep: Keep) {
        self.stage.set(Stage::Idle);
        self.socket.unref();
        self.core.free(self, keep);
    }

    /// The kernel has taken all that was written.
    fn on_drained(self: &Rc<Self>) {
        let Some(exchange) = self.exchange() else { return };
        if self.stage.get() == Stage::Finishing {
            self.detach();
            exchange.set_connection(None);
            self.rest(exchange.keep());
            return Exchange::close(exchange);
        }
        self.request_written(&exchange);
        self.report(&exchange);
    }

    /// A callback has panicked: the connection ends with its request.
    fn after_panic(self: &Rc<Self>) {
        if self.stage.get() == Stage::Assigned {
            // It is the request before that has panicked, at its end: this one gets another connection.
            return self.lose(Error::new(ErrorKind::ConnectionLost));
        }
        if let Some(exchange) = self.detach() {
            exchange.give_up();
        }
        self.close();
    }
}

/// This layer's floor of the tower.
struct ConnectionTower(Rc<Connection>);

impl ConnectionTower {
    /// Does what follows from an upcall. If a handler panics its request is over.
    fn follow(&self, work: impl FnOnce(&Rc<Connection>)) {
        let panicked = OnUnwind::new(|| self.0.after_panic());
        work(&self.0);
        panicked.disarm();
    }
}

impl SocketHandler for ConnectionTower {
    fn on_lookup(&mut self, _: &Socket, _: &str, found: net::Result<&[SocketAddr], &net::Error>) {
        if found.is_ok()
            && let Some(exchange) = &self.0.exchange()
        {
            exchange.enter(Phase::Connect);
        }
    }

    fn on_connect(&mut self, _: &Socket) {
        self.follow(|connection| {
            connection.core.connected(connection);
            connection.start();
        });
    }

    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.follow(|connection| match connection.stage.get() {
            Stage::Serving => input::feed(connection, data),
            Stage::Raw | Stage::Closed => {}
            _ => connection.on_unsolicited(),
        });
    }

    fn on_end(&mut self, _: &Socket) {
        self.follow(|connection| match connection.stage.get() {
            Stage::Serving => input::end(connection),
            _ => connection.on_lost(),
        });
    }

    fn on_write_failed(&mut self, _: &Socket, error: &net::Error) {
        if let Some(exchange) = &self.0.exchange() {
            exchange.refuse_body(error.clone());
        }
    }

    fn on_drain(&mut self, _: &Socket) {
        self.follow(Connection::on_drained);
    }

    fn on_notify(&mut self, _: &Socket) {
        self.follow(|connection| match connection.stage.get() {
            Stage::Assigned => connection.begin_again(),
            Stage::Serving => connection.go_on(),
            _ => {}
        });
    }

    fn on_error(&mut self, _: &Socket, error: net::Error) {
        if let Some(exchange) = &self.0.exchange() {
            exchange.rare(|rare| _ = rare.cause.get_or_insert(error));
        }
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.follow(Connection::on_lost);
    }
}

/// The tower is dropped, and with it everything that could be told.
impl Drop for ConnectionTower {
    fn drop(&mut self) {
        if self.0.stage.get() != Stage::Raw {
            self.0.after_panic();
        }
    }
}

/// The handler of a socket before there is a connection for it: nothing is called meanwhile.
struct Unborn;

impl SocketHandler for Unborn {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}
