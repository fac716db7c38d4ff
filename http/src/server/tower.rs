//! The server's end of the layer beneath: what `net::Server` tells of one `listen`. Mirrors the listeners that
//! `http.Server`'s constructor sets on its `net.Server`.

use super::{Core, Server, SharedHandler, stop};
use crate::connection::{Connection, ConnectionTower};
use crate::trace::up_within;
use crate::upcall::RequestHandler;
use async_wrap::layer::HandlerCell;
use async_wrap::layer::trace::Facts;
use net::upcall::ServerHandler;
use net::{Dropped, Socket};
use std::rc::Rc;

/// This layer's end of the server beneath, for one `listen`.
pub(super) struct ServerTower {
    core: Rc<Core>,
    handler: SharedHandler,
}

impl ServerTower {
    pub(super) fn new(core: &Rc<Core>, handler: Box<dyn RequestHandler>) -> Self {
        core.towers.set(core.towers.get() + 1);
        let slot = HandlerCell::empty();
        slot.set(handler);
        Self { core: Rc::clone(core), handler: Rc::new(slot) }
    }

    fn call(
        &self,
        net: &net::Server,
        name: &'static str,
        call: impl FnOnce(&mut dyn RequestHandler, &Server),
    ) {
        let server = Server { net: net.clone(), core: Rc::clone(&self.core) };
        up_within(name, Facts::default, || self.handler.call(|handler| call(&mut **handler, &server)));
    }
}

impl ServerHandler for ServerTower {
    fn on_connection(&mut self, _: &net::Server, socket: Socket) {
        let connection =
            Rc::new(Connection::new(Rc::clone(&self.core), Rc::clone(&self.handler), socket.clone()));
        socket.set_handler(ConnectionTower::new(connection));
    }

    fn on_listening(&mut self, net: &net::Server) {
        self.call(net, "RequestHandler::on_listening", |handler, server| handler.on_listening(server));
    }

    fn on_drop(&mut self, net: &net::Server, dropped: Dropped) {
        self.call(net, "RequestHandler::on_drop", |handler, server| handler.on_drop(server, dropped));
    }

    fn on_error(&mut self, net: &net::Server, error: net::Error) {
        self.call(net, "RequestHandler::on_error", |handler, server| handler.on_error(server, error));
    }

    fn on_close(&mut self, net: &net::Server) {
        self.call(net, "RequestHandler::on_close", |handler, server| handler.on_close(server));
        drop(self.handler.take());
    }
}

impl Drop for ServerTower {
    fn drop(&mut self) {
        // The handler may hold responses, which hold connections, which hold the handler: this breaks the circle.
        drop(self.handler.take());
        self.core.retain_upgraded(|connection| !Rc::ptr_eq(&connection.handler, &self.handler));
        self.core.towers.set(self.core.towers.get() - 1);
        if self.core.towers.get() == 0 {
            stop(&self.core.checking);
            stop(&self.core.grace);
            self.core.ends.wake();
        }
    }
}
