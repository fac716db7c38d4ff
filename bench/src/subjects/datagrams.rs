//! Datagrams that are sent back, with `uv-core` alone and with `net`. What one call has received leaves by one call.

use super::serving::{ANYWHERE, announce, end_on_sigterm};
use crate::Result;
use async_wrap::Environment;
use net::udp::{Envelope, SendOptions, UdpSocket, UdpSocketOptions};
use std::io::IoSlice;
use uv_core::udp::{Udp, UdpOptions};
use uv_core::{Loop, RunMode};

pub(crate) fn serve_with_uv_core() -> Result<()> {
    let event_loop = Loop::new()?;
    end_on_sigterm(&event_loop)?;
    let udp = Udp::new(&event_loop);
    udp.bind(ANYWHERE, &UdpOptions::default())?;
    udp.receive_start_with(|udp: &Udp, data: &[u8], envelope: &Envelope| {
        // The client misses what cannot be sent.
        let _ = udp.send_copy(&[IoSlice::new(data)], &SendOptions::to(envelope.from));
    })?;
    announce(udp.local_addr()?);
    event_loop.run(RunMode::Default)?;
    Ok(())
}

pub(crate) fn serve_with_net() -> Result<()> {
    let env = Environment::with_new_loop()?;
    end_on_sigterm(env.loop_handle())?;
    let on_message = |socket: &UdpSocket, data: &[u8], envelope: &Envelope| {
        let _ = socket.send_copy(&[IoSlice::new(data)], &SendOptions::to(envelope.from));
    };
    let socket = UdpSocket::new_with(&env, UdpSocketOptions::v4(), on_message);
    socket.bind(ANYWHERE)?;
    announce(socket.address()?);
    Ok(env.run_to_end()?)
}
