//! An echo server of datagrams: it sends back what it receives, as many at once as have arrived.
//!
//! `cargo run -p upcall-uv-core --example bare_udp_echo`, then `nc -u 127.0.0.1 7000`.

use std::io::IoSlice;
use uv_core::udp::{Envelope, SendOptions, Udp, UdpOptions};
use uv_core::upcall::UdpUpcall;
use uv_core::{Loop, Result, RunMode};

/// The bytes that wait for room in the kernel before the server stops receiving.
const PATIENCE: usize = 1024 * 1024;

struct Echo;

impl UdpUpcall for Echo {
    fn on_receive(&mut self, udp: &Udp, data: &[u8], envelope: &Envelope) {
        // The answers of a turn leave together. An answer that cannot be queued is lost, as a datagram may be.
        let _ = udp.send_copy(&[IoSlice::new(data)], &SendOptions::to(envelope.from));
        if udp.send_queue_size() > PATIENCE {
            udp.receive_stop();
        }
    }

    fn on_send(&mut self, udp: &Udp, _: Result<()>) {
        if udp.send_queue_size() == 0 {
            // It fails with `EALREADY` while the socket is receiving.
            let _ = udp.receive_start();
        }
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let event_loop = Loop::new()?;
    let udp = Udp::new(&event_loop);
    udp.bind(address.parse()?, &UdpOptions::default())?;
    udp.set_batch(32);
    udp.set_upcall(Echo);
    udp.receive_start()?;
    println!("receiving on {}", udp.local_addr()?);
    event_loop.run(RunMode::Default)?;
    Ok(())
}
