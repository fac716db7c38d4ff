//! The handlers of a relay: what server and client call is the relay's.

use super::relay::Relay;
use crate::client::{ClientRequest, Error};
use crate::proto::{Fields, IncomingResponse};
use crate::upcall::{BodyHandler, ClientHandler, ResponseHandler};
use crate::{Body, Response};
use net::Socket;
use net::upcall::SocketHandler;
use std::rc::{Rc, Weak};

/// The handler of the response, or of the connection of an offer.
pub(super) struct ClientSide(pub(super) Weak<Relay>);

impl ClientSide {
    /// The relay, unless it has another request by now.
    fn of(&self, response: &Response) -> Option<Rc<Relay>> {
        self.0.upgrade().filter(|relay| relay.is_for(response))
    }

    fn on(&self, socket: &Socket) -> Option<Rc<Relay>> {
        self.0.upgrade().filter(|relay| relay.is_on(socket))
    }
}

impl ResponseHandler for ClientSide {
    fn on_drain(&mut self, response: &Response) {
        self.of(response).iter().for_each(|relay| relay.on_client_drain());
    }

    fn on_close(&mut self, response: &Response) {
        self.of(response).iter().for_each(|relay| relay.abort());
    }
}

impl SocketHandler for ClientSide {
    /// Only behind a refusal: it is discarded.
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_unread_end(&mut self, socket: &Socket) {
        self.on(socket).iter().for_each(|relay| relay.abort());
    }

    fn on_drain(&mut self, socket: &Socket) {
        self.on(socket).iter().for_each(|relay| relay.on_client_drain());
    }

    fn on_notify(&mut self, socket: &Socket) {
        self.on(socket).iter().for_each(|relay| relay.on_client_drain());
    }

    fn on_timeout(&mut self, socket: &Socket) {
        socket.destroy();
    }

    fn on_close(&mut self, socket: &Socket, _: bool) {
        self.on(socket).iter().for_each(|relay| relay.abort());
    }
}

/// The handler of the request's body.
pub(super) struct BodySide(pub(super) Weak<Relay>);

impl BodySide {
    /// The relay, unless it has another request by now.
    fn of(&self, body: &Body) -> Option<Rc<Relay>> {
        self.0.upgrade().filter(|relay| relay.is_of(body))
    }
}

impl BodyHandler for BodySide {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        self.of(body).iter().for_each(|relay| relay.on_request_data(body, data));
    }

    fn on_end(&mut self, body: &Body, trailers: &Fields<'_>) {
        self.of(body).iter().for_each(|relay| relay.on_request_end(trailers));
    }

    fn on_abort(&mut self, body: &Body) {
        self.of(body).iter().for_each(|relay| relay.abort());
    }
}

/// The handler of the request at its upstream, which owns the relay.
pub(super) struct UpstreamSide(pub(super) Rc<Relay>);

impl Drop for UpstreamSide {
    fn drop(&mut self) {
        Relay::give(&self.0);
    }
}

impl ClientHandler for UpstreamSide {
    fn on_continue(&mut self, _: &ClientRequest) {
        self.0.claim_body();
    }

    fn on_information(&mut self, _: &ClientRequest, head: &IncomingResponse<'_>) {
        self.0.on_information(head);
    }

    fn on_response(&mut self, request: &ClientRequest, head: &IncomingResponse<'_>) {
        self.0.on_head(request, head);
    }

    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {
        self.0.on_body(request, data);
    }

    fn on_end(&mut self, _: &ClientRequest, trailers: &Fields<'_>) {
        self.0.on_end(trailers);
    }

    fn on_upgrade(&mut self, _: &ClientRequest, socket: Socket, surplus: &[u8]) {
        self.0.on_upgrade(&socket, surplus);
    }

    fn on_drain(&mut self, _: &ClientRequest) {
        self.0.on_upstream_drain();
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        self.0.fail(&error);
    }
}
