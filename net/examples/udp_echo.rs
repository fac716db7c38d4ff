//! An echo server of datagrams: it sends back what it receives.
//!
//! `cargo run -p upcall-net --example udp_echo`, then `nc -u 127.0.0.1 7000`.

use net::async_wrap::Environment;
use net::udp::{UdpSocket, UdpSocketOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let env = Environment::with_new_loop()?;
    let socket = UdpSocket::new_with(&env, UdpSocketOptions::v4(), |socket, data, envelope| {
        // An answer that cannot be queued is lost, as a datagram may be.
        let _ = socket.send_to(data.to_vec(), envelope.from);
    });
    socket.bind(address.parse()?)?;
    println!("receiving on {}", socket.address()?);
    env.run_to_end()?;
    Ok(())
}
