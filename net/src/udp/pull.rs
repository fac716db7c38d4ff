//! What futures need of a socket of datagrams: it receives nothing by itself, a datagram is received or sent at once, and a
//! host is found without a callback.

use super::{PULLED, UdpSocket};
use crate::names::Host;
use crate::udp::{Envelope, SendOptions, UdpSocketOptions};
use crate::upcall::UdpHandler;
use crate::uv_core::Errno;
use crate::uv_core::names::{AddrQuery, SocketType};
use crate::{Error, Result};
use async_wrap::Environment;
use async_wrap::task::Slot;
use std::net::SocketAddr;
use std::rc::Rc;

impl UdpSocket {
    /// Creates a socket that receives one datagram for each [`receive_next`](Self::receive_next).
    #[track_caller]
    pub(crate) fn new_pulled(
        env: &Environment,
        options: UdpSocketOptions,
        handler: impl UdpHandler + 'static,
    ) -> Self {
        let socket = Self::new(env, options.batch(1), handler);
        socket.0.flags.set(PULLED);
        socket
    }

    /// Waits for a datagram; the handler stops receiving again.
    pub(crate) fn receive_next(&self) -> Result<()> {
        self.bind_if_unbound()?;
        if self.0.udp.handle().is_receiving() { Ok(()) } else { Ok(self.0.udp.receive_start()?) }
    }

    pub(crate) fn receive_stop(&self) {
        self.0.udp.receive_stop();
    }

    /// Receives a datagram that is there.
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<(usize, Envelope)>> {
        self.check_running()?;
        self.bind_if_unbound()?;
        self.0.udp.receive_stop();
        none_if_again(self.0.udp.try_receive(buffer))
    }

    /// Sends a datagram, if there is room. Returns whether it was sent.
    pub(crate) fn try_send(&self, data: &[u8], options: &SendOptions) -> Result<bool> {
        self.check_send(options)?;
        Ok(none_if_again(self.0.udp.try_send(data, options))?.is_some())
    }

    /// The first address of a host in the socket's family. Dropping the future cancels the look-up.
    pub(crate) async fn find(&self, host: Host, port: u16) -> Result<SocketAddr> {
        let host = match self.named(host) {
            Ok(ip) => return Ok((ip, port).into()),
            Err(host) => host,
        };
        self.check_running()?;
        let query = AddrQuery::new(&*host).family(self.family()).socket_type(SocketType::Datagram);
        query.check()?;
        let found = Rc::new(Slot::default());
        let told = Rc::clone(&found);
        let (env, then) = (self.environment(), move |addresses| told.put(addresses));
        let _asked = env.with_default_trigger(self.async_id(), || self.resolver().ask(env, query, then));
        self.choose(&found.value().await?, &host, port)
    }

    pub(super) fn receives_by_itself(&self) -> bool {
        !self.0.flags.has(PULLED)
    }
}

fn none_if_again<T>(result: crate::uv_core::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.errno() == Errno::EAGAIN => Ok(None),
        Err(error) => Err(Error::from(error)),
    }
}
