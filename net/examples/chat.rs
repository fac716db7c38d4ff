//! A chat server: every line that somebody says is sent to all the others.
//!
//! `cargo run -p upcall-net --example chat 127.0.0.1:7000` serves; without an address two guests of its own have a short talk.

use async_wrap::{Environment, Loop, RunMode};
use net::upcall::SocketHandler;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes of one line: whoever says more without an end is sent away.
const LONGEST_LINE: usize = 4096;
/// Bytes that may wait for somebody who does not read.
const PATIENCE: usize = 256 * 1024;

/// Everybody in the room, by number.
type Room = Rc<RefCell<Vec<(usize, Socket)>>>;

/// The server's end of a connection.
struct Guest {
    number: usize,
    room: Room,
    line: Vec<u8>,
}

impl Guest {
    fn say(&self, line: &[u8]) {
        let words = [format!("guest {} says: ", self.number).as_bytes(), line].concat();
        for (_, other) in self.room.borrow().iter().filter(|(number, _)| *number != self.number) {
            // Refused means that the other is leaving. Nobody is called from inside: the room stays as it is.
            if other.write(&words).is_ok() && other.buffered() > PATIENCE {
                other.destroy();
            }
        }
    }
}

impl SocketHandler for Guest {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.say(&self.line);
                self.line.clear();
            }
        }
        if self.line.len() > LONGEST_LINE {
            socket.destroy();
        }
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.room.borrow_mut().retain(|(number, _)| *number != self.number);
    }
}

/// The other end of a connection: says something and leaves, or leaves when something was said.
struct Visitor(Option<&'static [u8]>);

impl SocketHandler for Visitor {
    fn on_connect(&mut self, socket: &Socket) {
        if let Some(words) = self.0 {
            let _ = socket.end_with(words); // A failure comes to `on_error` too.
        }
    }

    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        print!("{}", String::from_utf8_lossy(data));
        if data.ends_with(b"\n") {
            socket.end();
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let event_loop = Loop::new()?;
    let env = Environment::new(&event_loop);
    let server = Server::new(&env, ServerOptions::default());
    let wanted = std::env::args().nth(1).filter(|arg| arg != "--once");
    let expected = if wanted.is_none() { 2 } else { usize::MAX };
    let (room, mut number) = (Room::default(), 0);
    let addr = wanted.as_deref().unwrap_or("127.0.0.1:0").parse()?;
    server.listen_with(ListenOptions::addr(addr), move |server, socket| {
        number += 1;
        room.borrow_mut().push((number, socket.clone()));
        socket.set_handler(Guest { number, room: Rc::clone(&room), line: Vec::new() });
        if number == expected {
            let _ = server.close(); // It ends with its last connection.
        }
    })?;
    let addr = server.address().and_then(|address| address.as_tcp()).ok_or("the server has no address")?;
    println!("listening on {addr}");
    if wanted.is_none() {
        for words in [None, Some(&b"hello\n"[..])] {
            Socket::connect(&env, ConnectOptions::addr(addr), Visitor(words))?;
        }
    }
    assert!(!env.run(RunMode::Default)?, "nothing is left alive");
    Ok(())
}
