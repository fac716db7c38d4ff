//! A chat server: each line of a guest is sent to all other guests.
//!
//! `cargo run -p upcall-net --example chat`, then `nc 127.0.0.1 7000` from two terminals.

use net::async_wrap::Environment;
use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};
use std::cell::RefCell;
use std::rc::Rc;

/// The most queued bytes for a guest who does not read, and the most bytes of an unfinished line.
const PATIENCE: usize = 256 * 1024;

/// The guests, by number.
type Room = Rc<RefCell<Vec<(usize, Socket)>>>;

struct Guest {
    number: usize,
    room: Room,
    line: Vec<u8>,
}

impl SocketHandler for Guest {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        self.line.extend_from_slice(data);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let words = [format!("guest {}: ", self.number).as_bytes(), &line].concat();
            for (_, other) in self.room.borrow().iter().filter(|(number, _)| *number != self.number) {
                // An error means that the other guest is leaving. `write` never calls a handler.
                if other.write(&words).is_ok() && other.buffered() > PATIENCE {
                    other.destroy();
                }
            }
        }
        if self.line.len() > PATIENCE {
            socket.destroy();
        }
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.room.borrow_mut().retain(|(number, _)| *number != self.number);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default());
    let (room, mut number) = (Room::default(), 0);
    server.listen_with(ListenOptions::addr(address.parse()?), move |_, socket| {
        number += 1;
        room.borrow_mut().push((number, socket.clone()));
        socket.set_handler(Guest { number, room: Rc::clone(&room), line: Vec::new() });
    })?;
    println!("listening on {}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
