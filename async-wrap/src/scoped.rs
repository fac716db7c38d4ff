//! This layer's part of the tower: a decorator that wraps each upcall of `tcp-wrap` in a callback scope. Mirrors
//! `AsyncWrap::MakeCallback`, Node's `src/async_wrap.cc`.

use crate::layer::trace::Facts;
use crate::upcall::{OnConnection, OnStream, OnUdp};
use crate::{AsyncContext, AsyncId, AsyncStream, AsyncUdp, Environment, LAYER, Provider};
use std::net::SocketAddr;
use tcp_wrap::{StreamWrap, UdpWrap};
use uv_core::udp::Envelope;
use uv_core::{Error, Result};

/// Calls back in a context.
#[inline]
fn in_context(env: &Environment, context: AsyncContext, name: &'static str, callback: impl FnOnce()) {
    env.make_callback(context, || {
        let _up = LAYER.up(name, Facts::default);
        callback();
    });
}

/// Calls back in the context of a request that belongs to `owner`, and destroys the request. A request that was made
/// below this layer has no id, and is called back in its owner's context.
#[inline]
fn in_request(
    env: &Environment,
    owner: AsyncContext,
    (request, provider): (AsyncId, Provider),
    name: &'static str,
    callback: impl FnOnce(),
) {
    if request == AsyncId::NONE {
        return in_context(env, owner, name, callback);
    }
    let (context, gone) =
        (AsyncContext::new(request, owner.async_id(), provider), env.destroy_at_end(request));
    in_context(env, context, name, gone.around(callback));
}

/// Calls back for the last time, and destroys the resource behind that.
#[inline]
fn in_last(env: &Environment, context: AsyncContext, name: &'static str, callback: impl FnOnce()) {
    let _gone = env.destroy_at_end(context.async_id());
    in_context(env, context, name, callback);
}

/// The tower of a connection.
pub(crate) struct Scoped<H> {
    stream: AsyncStream,
    handler: H,
}

impl<H: OnStream> Scoped<H> {
    pub(crate) fn new(stream: AsyncStream, handler: H) -> Self {
        Self { stream, handler }
    }

    /// Calls the handler in the stream's context.
    fn call(&mut self, name: &'static str, callback: impl FnOnce(&mut H, &AsyncStream)) {
        let Self { stream, handler } = self;
        in_context(stream.environment(), stream.context(), name, || callback(handler, stream));
    }

    /// Calls the handler in a request's context.
    fn complete(
        &mut self,
        name: &'static str,
        request: AsyncId,
        callback: impl FnOnce(&mut H, &AsyncStream),
    ) {
        let Self { stream, handler } = self;
        let (env, request) = (stream.environment(), (request, Provider::None));
        in_request(env, stream.context(), request, name, || callback(handler, stream));
    }
}

impl<H: OnStream> tcp_wrap::upcall::OnStream for Scoped<H> {
    fn on_read(&mut self, _: &StreamWrap, data: &[u8]) {
        self.call("OnStream::on_read", |handler, stream| handler.on_read(stream, data));
    }

    fn on_end(&mut self, _: &StreamWrap) {
        self.call("OnStream::on_end", |handler, stream| handler.on_end(stream));
    }

    fn on_error(&mut self, _: &StreamWrap, error: Error) {
        self.call("OnStream::on_error", |handler, stream| handler.on_error(stream, error));
    }

    fn on_readable(&mut self, _: &StreamWrap) {
        self.call("OnStream::on_readable", |handler, stream| handler.on_readable(stream));
    }

    fn on_unread_end(&mut self, _: &StreamWrap) {
        self.call("OnStream::on_unread_end", |handler, stream| handler.on_unread_end(stream));
    }

    fn on_connect(&mut self, _: &StreamWrap, result: Result<()>) {
        self.complete("OnStream::on_connect", self.stream.take_connect(), |handler, stream| {
            handler.on_connect(stream, result)
        });
    }

    fn on_write(&mut self, _: &StreamWrap, result: Result<()>) {
        self.complete("OnStream::on_write", self.stream.pop_write(), |handler, stream| {
            handler.on_write(stream, result)
        });
    }

    fn on_shutdown(&mut self, _: &StreamWrap, result: Result<()>) {
        self.complete("OnStream::on_shutdown", self.stream.take_shutdown(), |handler, stream| {
            handler.on_shutdown(stream, result)
        });
    }

    fn on_notify(&mut self, _: &StreamWrap) {
        self.call("OnStream::on_notify", |handler, stream| handler.on_notify(stream));
    }

    fn on_close(&mut self, _: &StreamWrap) {
        let Self { stream, handler } = self;
        let (env, context) = (stream.environment(), stream.context());
        in_last(env, context, "OnStream::on_close", || handler.on_close(stream));
    }
}

/// The tower of a listener.
pub(crate) struct Listening<H> {
    server: AsyncStream,
    handler: H,
}

impl<H: OnConnection> Listening<H> {
    pub(crate) fn new(server: AsyncStream, handler: H) -> Self {
        Self { server, handler }
    }

    fn call(&mut self, name: &'static str, callback: impl FnOnce(&mut H, &AsyncStream)) {
        let Self { server, handler } = self;
        in_context(server.environment(), server.context(), name, || callback(handler, server));
    }
}

impl<H: OnConnection> tcp_wrap::upcall::OnConnection for Listening<H> {
    fn accepts_connection(&mut self, _: &StreamWrap) -> bool {
        self.handler.accepts_connection(&self.server)
    }

    fn on_connection(&mut self, _: &StreamWrap, connection: Result<StreamWrap>) {
        // As in Node, the connection's resource is created before the server's callback begins, with the server as its
        // trigger.
        let connection = connection.map(|wrap| {
            let provider = if wrap.is_tcp() { Provider::TcpWrap } else { Provider::PipeWrap };
            AsyncStream::with_trigger(self.server.environment(), wrap, provider, self.server.async_id())
        });
        self.call("OnConnection::on_connection", |handler, server| handler.on_connection(server, connection));
    }

    fn on_drained(&mut self, _: &StreamWrap) {
        self.call("OnConnection::on_drained", |handler, server| handler.on_drained(server));
    }

    fn on_close(&mut self, _: &StreamWrap) {
        let Self { server, handler } = self;
        let (env, context) = (server.environment(), server.context());
        in_last(env, context, "OnConnection::on_close", || handler.on_close(server));
    }
}

/// The tower of a socket of datagrams.
pub(crate) struct ScopedUdp<H> {
    udp: AsyncUdp,
    handler: H,
}

impl<H: OnUdp> ScopedUdp<H> {
    pub(crate) const fn new(udp: AsyncUdp, handler: H) -> Self {
        Self { udp, handler }
    }

    /// Calls the handler in the socket's context.
    fn call(&mut self, name: &'static str, callback: impl FnOnce(&mut H, &AsyncUdp)) {
        let Self { udp, handler } = self;
        in_context(udp.environment(), udp.context(), name, || callback(handler, udp));
    }
}

impl<H: OnUdp> tcp_wrap::upcall::OnUdp for ScopedUdp<H> {
    fn on_receive(&mut self, _: &UdpWrap, data: &[u8], envelope: &Envelope) {
        self.call("OnUdp::on_receive", |handler, udp| handler.on_receive(udp, data, envelope));
    }

    fn on_send(&mut self, _: &UdpWrap, result: Result<()>) {
        let Self { udp, handler } = self;
        let (env, request) = (udp.environment(), (udp.pop_send(), Provider::UdpSendWrap));
        in_request(env, udp.context(), request, "OnUdp::on_send", || handler.on_send(udp, result));
    }

    fn on_error(&mut self, _: &UdpWrap, error: Error, to: Option<SocketAddr>) {
        self.call("OnUdp::on_error", |handler, udp| handler.on_error(udp, error, to));
    }

    fn on_notify(&mut self, _: &UdpWrap) {
        self.call("OnUdp::on_notify", |handler, udp| handler.on_notify(udp));
    }

    fn on_close(&mut self, _: &UdpWrap) {
        let Self { udp, handler } = self;
        let (env, context) = (udp.environment(), udp.context());
        in_last(env, context, "OnUdp::on_close", || handler.on_close(udp));
    }
}
