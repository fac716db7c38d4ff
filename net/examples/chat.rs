//! A chat server: every line that somebody says is sent to all the others.
//!
//! `cargo run -p upcall-net --example chat 127.0.0.1:7000` serves; without an address two guests of its own have a short talk.

use async_wrap::{Environment, Loop, RunMode};
use net::upcall::SocketHandler;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
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
    socket: Socket,
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
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.say(&self.line);
                self.line.clear();
            }
        }
        if self.line.len() > LONGEST_LINE {
            self.socket.destroy();
        }
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.room.borrow_mut().retain(|(number, _)| *number != self.number);
    }
}

/// The other end of a connection, of one who speaks and leaves, or who leaves when something was said.
#[derive(Default)]
struct Visitor {
    socket: Rc<OnceCell<Socket>>,
    says: Option<&'static [u8]>,
}

impl Visitor {
    fn enter(self, env: &Environment, addr: SocketAddr) -> net::Result<()> {
        let slot = Rc::clone(&self.socket);
        let socket = Socket::connect(env, ConnectOptions::addr(addr), self)?;
        slot.get_or_init(|| socket);
        Ok(())
    }
}

impl SocketHandler for Visitor {
    fn on_connect(&mut self, _: &Socket) {
        if let (Some(socket), Some(words)) = (self.socket.get(), self.says) {
            let _ = socket.end_with(words); // A failure comes to `on_error` too.
        }
    }

    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        print!("{}", String::from_utf8_lossy(data));
        if let (Some(socket), true) = (self.socket.get(), data.ends_with(b"\n")) {
            socket.end();
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let lp = Loop::new()?;
    let env = Environment::new(&lp);
    let server = Server::new(&env, ServerOptions::default());
    let wanted = std::env::args().nth(1).filter(|arg| arg != "--once");
    let expected = if wanted.is_none() { 2 } else { usize::MAX };
    let (room, mut number) = (Room::default(), 0);
    let on_connection = move |server: &Server, socket: Socket| {
        number += 1;
        room.borrow_mut().push((number, socket.clone()));
        socket.set_handler(Guest {
            number,
            socket: socket.clone(),
            room: Rc::clone(&room),
            line: Vec::new(),
        });
        if number == expected {
            let _ = server.close(); // It ends with its last connection.
        }
    };
    server.listen(ListenOptions::addr(wanted.as_deref().unwrap_or("127.0.0.1:0").parse()?), on_connection)?;
    let addr = server.address().and_then(|address| address.as_tcp()).ok_or("the server has no address")?;
    println!("listening on {addr}");
    if wanted.is_none() {
        Visitor::default().enter(&env, addr)?;
        Visitor { says: Some(b"hello\n"), ..Visitor::default() }.enter(&env, addr)?;
    }
    assert!(!env.run(RunMode::Default)?, "nothing is left alive");
    Ok(())
}
