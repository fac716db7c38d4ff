//! From bytes to the handler of the response: the connection's turn at its input. Mirrors `socketOnData`, `parserOnIncomingClient`,
//! `statusIsInformational` and `responseOnEnd`.

use super::{Connection, Stage};
use crate::client::Exchange;
use crate::client::error::{Error, ErrorKind};
use crate::client::options::Phase;
use crate::proto::{Fields, IncomingResponse, ParseError, ResponseEvent};
use async_wrap::layer::OnDrop;
use std::rc::Rc;

/// What becomes of a turn of input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// More input is needed, or the rest waits.
    Over,
    /// There may be more.
    GoesOn,
    /// The response is complete.
    Ended,
    /// The server switches protocols, which was not offered.
    Refused,
}

/// Takes input.
pub(super) fn feed(connection: &Rc<Connection>, mut input: &[u8]) {
    let Some(exchange) = connection.exchange() else { return };
    exchange.clock.note_move(connection.core.shared.now());
    if !input.is_empty() {
        exchange.change(|facts| facts.is_answered = true);
    }
    let shared = &connection.core.shared;
    let mut decoder = exchange.decoder.take();
    let mut table = shared.table.take().unwrap_or_default();
    let limits = &connection.core.options.limits;
    let turn = loop {
        if !connection.serves(&exchange) {
            break Turn::Over;
        }
        if exchange.facts().is_paused {
            exchange.rare(|rare| rare.stash.extend_from_slice(input));
            break Turn::Over;
        }
        let turn = match decoder.decode(&mut input, &mut table, limits) {
            Ok(ResponseEvent::NeedMore | ResponseEvent::Done) => Turn::Over,
            Ok(ResponseEvent::Information(head)) => on_information(connection, &exchange, &head),
            Ok(ResponseEvent::Head(head)) if head.is_upgrade => {
                on_upgrade(connection, &exchange, &head, input)
            }
            Ok(ResponseEvent::Head(head)) => on_head(&exchange, &head),
            Ok(ResponseEvent::Body(data)) => on_body(connection, &exchange, data),
            Ok(ResponseEvent::End(trailers)) => on_end(connection, &exchange, &trailers, !input.is_empty()),
            Err(fault) => {
                let kind = ErrorKind::InvalidResponse(fault, decoder.offset());
                connection.fail(&exchange, Error::new(kind));
                Turn::Over
            }
        };
        if turn == Turn::Refused {
            let at = decoder.offset().saturating_sub(1);
            let kind = ErrorKind::InvalidResponse(ParseError::UnexpectedUpgrade, at);
            connection.fail(&exchange, Error::new(kind));
        }
        if turn != Turn::GoesOn {
            break turn;
        }
    };
    exchange.decoder.set(decoder);
    shared.table.set(Some(table));
    if turn == Turn::Ended && connection.stage.get() != Stage::Finishing {
        Exchange::close(exchange);
    }
}

/// The server has ended the connection.
pub(super) fn end(connection: &Rc<Connection>) {
    let Some(exchange) = connection.exchange() else { return };
    let mut decoder = exchange.decoder.take();
    let finished = decoder.finish();
    exchange.decoder.set(decoder);
    if finished != Ok(true) || !exchange.is_end_orderly() {
        return connection.on_lost();
    }
    // The body that only this end delimits is complete.
    exchange.change(|facts| facts.server_keeps = false);
    if on_end(connection, &exchange, &Fields::default(), false) == Turn::Ended {
        Exchange::close(exchange);
    }
}

fn on_information(connection: &Rc<Connection>, exchange: &Rc<Exchange>, head: &IncomingResponse<'_>) -> Turn {
    let is_awaited = head.status == 100 && exchange.upload.borrow().awaits_continue();
    if is_awaited {
        // The handler may write more, behind what has waited.
        connection.release(exchange);
        exchange.call("ClientHandler::on_continue", |handler, request| handler.on_continue(request));
        connection.report(exchange);
    } else {
        exchange
            .call("ClientHandler::on_information", |handler, request| handler.on_information(request, head));
    }
    Turn::GoesOn
}

fn on_head(exchange: &Rc<Exchange>, head: &IncomingResponse<'_>) -> Turn {
    exchange.enter(Phase::Body);
    let hint = hint_of(&head.fields).filter(|_| head.keep_alive);
    // A body that waits for `100 Continue` is not wanted any more.
    let is_refused = exchange.upload.borrow().awaits_continue();
    exchange.change(|facts| {
        (facts.has_response, facts.server_keeps, facts.hint) = (true, head.keep_alive, hint);
        facts.is_refused |= is_refused;
    });
    exchange.call("ClientHandler::on_response", |handler, request| handler.on_response(request, head));
    Turn::GoesOn
}

fn on_body(connection: &Rc<Connection>, exchange: &Rc<Exchange>, data: &[u8]) -> Turn {
    match exchange.count_received(data.len()) {
        Some(true) => {
            exchange.call("ClientHandler::on_data", |handler, request| handler.on_data(request, data));
        }
        Some(false) => {}
        None => connection.fail(exchange, Error::new(ErrorKind::Discarded)),
    }
    Turn::GoesOn
}

fn on_end(
    connection: &Rc<Connection>,
    exchange: &Rc<Exchange>,
    trailers: &Fields<'_>,
    has_surplus: bool,
) -> Turn {
    if exchange.facts().finish_due {
        connection.report(exchange);
        if !connection.serves(exchange) {
            return Turn::Over;
        }
    }
    exchange.change(|facts| facts.is_over = true);
    connection.response_ended(exchange, has_surplus);
    exchange.call("ClientHandler::on_end", |handler, request| handler.on_end(request, trailers));
    Turn::Ended
}

/// The connection leaves HTTP, and the handler gets the socket.
fn on_upgrade(
    connection: &Rc<Connection>,
    exchange: &Rc<Exchange>,
    head: &IncomingResponse<'_>,
    rest: &[u8],
) -> Turn {
    let is_offered = head.status != 101 || is_upgrade_offered(exchange, head);
    if !is_offered || !exchange.upload.borrow().is_ended() {
        return Turn::Refused;
    }
    on_head(exchange, head);
    if !connection.serves(exchange) {
        return Turn::Over;
    }
    exchange.change(|facts| facts.is_over = true);
    connection.stage.set(Stage::Raw);
    connection.detach();
    exchange.set_connection(None);
    connection.core.closed(connection);
    connection.socket.release();
    // This connection has one handle, and its tower another.
    let _unheld = OnDrop::new(|| connection.socket.destroy_unless_held(2));
    let socket = connection.socket.clone();
    exchange.call("ClientHandler::on_upgrade", |handler, request| handler.on_upgrade(request, socket, rest));
    Turn::Ended
}

/// Whether the server switches to protocols that the request has offered.
fn is_upgrade_offered(exchange: &Exchange, head: &IncomingResponse<'_>) -> bool {
    let upload = exchange.upload.borrow();
    let mut protocols = head.fields.get_all("Upgrade").flat_map(|value| value.split(|byte| *byte == b','));
    protocols.all(|protocol| upload.head.offers(protocol.trim_ascii()))
}

/// For how many seconds the server says that it keeps the connection: `timeout` in `Keep-Alive`.
fn hint_of(fields: &Fields<'_>) -> Option<u32> {
    let value = fields.get("Keep-Alive")?;
    let parameter = |part: &[u8]| {
        let (name, digits) = part.split_at(part.iter().position(|byte| *byte == b'=')?);
        let digits = digits[1..].trim_ascii();
        let is_it = name.trim_ascii().eq_ignore_ascii_case(b"timeout");
        std::str::from_utf8(digits).ok().filter(|_| is_it)?.parse().ok()
    };
    value.split(|byte| *byte == b',').find_map(parameter)
}

impl Exchange {
    /// Stops the response.
    pub(crate) fn pause(&self) {
        if !self.is_over() {
            self.change(|facts| facts.is_paused = true);
            if let Some(connection) = self.connection().filter(|connection| connection.is_serving()) {
                connection.socket.pause();
            }
        }
    }

    /// Lets the response go on.
    pub(crate) fn resume(&self) {
        if !self.is_over() && self.facts().is_paused {
            self.change(|facts| facts.is_paused = false);
            self.clock.note_move(self.core.shared.now());
            if let Some(connection) = self.connection().filter(|connection| connection.is_serving()) {
                connection.socket.notify();
            }
        }
    }
}

impl Connection {
    /// Goes on where a pause has stopped the response, and tells the handler what it waits for.
    pub(super) fn go_on(self: &Rc<Self>) {
        let Some(exchange) = self.exchange() else { return };
        self.report(&exchange);
        if self.serves(&exchange) && !exchange.facts().is_paused && self.socket.is_paused() {
            let stash = exchange.peek_rare(|rare| std::mem::take(&mut rare.stash));
            // Also if nothing waits: the end of the response may still have to be told.
            feed(self, &stash);
            if self.serves(&exchange) && !exchange.facts().is_paused {
                self.socket.resume();
            }
        }
    }
}
