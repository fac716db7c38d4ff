//! An echo server that admits two connections from each address, and none from the rules given on the command line.
//!
//! `cargo run -p upcall-net --example guard -- 127.0.0.1:7000 10.0.0.0/8`, then `nc 127.0.0.1 7000` in three terminals.

use net::admission::{BlockList, Rule};
use net::async_wrap::Environment;
use net::upcall::{ServerHandler, SocketHandler};
use net::{Dropped, ListenOptions, Server, ServerOptions, Socket};

struct Guard;

impl ServerHandler for Guard {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        socket.set_handler(Echo);
    }

    fn on_drop(&mut self, server: &Server, dropped: Dropped) {
        let peer = dropped.remote.map_or_else(|| "an unknown peer".into(), |peer| peer.to_string());
        println!("dropped {peer}: {:?}, {} in all", dropped.reason, server.drops().total());
    }
}

struct Echo;

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // A peer that reads too slowly is paused for.
        if let Ok(false) = socket.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, socket: &Socket) {
        socket.resume();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7000".into());
    let blocked: BlockList = args.map(|rule| rule.parse::<Rule>()).collect::<Result<_, _>>()?;
    let options = ServerOptions::default().block_list(&blocked).max_connections_per_address(Some(2));
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, options);
    server.listen(ListenOptions::addr(address.parse()?), Guard)?;
    println!("listening on {}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
