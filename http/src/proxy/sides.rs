//! The handlers of a relay: what server and client call is the relay's.

use super::relay::Relay;
use crate::client::{ClientRequest, Error};
use crate::proto::{Fields, IncomingResponse};
use crate::upcall::{BodyHandler, ClientHandler, ResponseHandler};
use crate::{Body, Response};
use net::Socket;
use net::upcall::SocketHandler;
use std::rc::Rc;

/// The handler of the response, or of the connection of an offer.
pub(super) struct ClientSide(pub(super) Rc<Relay>);

impl ResponseHandler for ClientSide {
    fn on_drain(&mut self, _: &Response) {
        self.0.on_client_drain();
    }

    fn on_close(&mut self, _: &Response) {
        self.0.abort();
    }
}

impl SocketHandler for ClientSide {
    /// Only behind a refusal: it is discarded.
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_unread_end(&mut self, _: &Socket) {
        self.0.abort();
    }

    fn on_drain(&mut self, _: &Socket) {
        self.0.on_client_drain();
    }

    fn on_notify(&mut self, _: &Socket) {
        self.0.on_client_drain();
    }

    fn on_timeout(&mut self, socket: &Socket) {
        socket.destroy();
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.abort();
    }
}

/// The handler of the request's body.
pub(super) struct BodySide(pub(super) Rc<Relay>);

impl BodyHandler for BodySide {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        self.0.on_request_data(body, data);
    }

    fn on_end(&mut self, _: &Body, trailers: &Fields<'_>) {
        self.0.on_request_end(trailers);
    }

    fn on_abort(&mut self, _: &Body) {
        self.0.abort();
    }
}

/// The handler of the request at its upstream.
pub(super) struct UpstreamSide(pub(super) Rc<Relay>);

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
