//! The component `room`: what a server does on its `port`. Each line of a guest goes to all other guests.

use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};
use pomelo::upcall::Component;
use pomelo::{Application, Completion};
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes of a line; a longer line closes the guest's connection.
const LONGEST_LINE: usize = 4096;

/// Bytes that may wait for a guest that does not read.
const PATIENCE: usize = 256 * 1024;

/// All guests, by number.
type Guests = Rc<RefCell<Vec<(u64, Socket)>>>;

pub(super) struct Room {
    options: Option<ListenOptions>,
    server: Option<Server>,
    guests: Guests,
}

impl Room {
    pub(super) fn new(options: ListenOptions) -> Self {
        Self { options: Some(options), server: None, guests: Guests::default() }
    }
}

impl Component for Room {
    fn on_start(&mut self, app: &Application, done: Completion) {
        let Some(options) = self.options.take() else { return done.ok(()) };
        let server = Server::new(app.environment(), ServerOptions::default());
        let (guests, id, mut number) = (Rc::clone(&self.guests), app.id().to_owned(), 0);
        let listening = server.listen_with(options, move |_, socket| {
            number += 1;
            // Fails only if the guest has left already.
            let _ = socket.write(format!("welcome to {id}, guest {number}\n").as_bytes());
            guests.borrow_mut().push((number, socket.clone()));
            let guests = Rc::clone(&guests);
            socket.set_handler(Guest { number, guests, line: Vec::new() });
        });
        self.server = Some(server);
        match listening {
            Ok(()) => done.ok(()),
            Err(error) => done.fail(error),
        }
    }

    /// Closes all connections.
    fn on_stop(&mut self, _: &Application, _: bool, done: Completion) {
        let Some(server) = self.server.take() else { return done.ok(()) };
        for (_, socket) in &*self.guests.borrow() {
            socket.destroy_soon();
        }
        let done = Rc::new(RefCell::new(Some(done)));
        let closed = Rc::clone(&done);
        let finish = move || closed.take().map_or((), |done| done.ok(()));
        if server.close_with(finish.clone()).is_err() {
            // It never listened.
            finish();
        }
    }
}

struct Guest {
    number: u64,
    guests: Guests,
    line: Vec<u8>,
}

impl Guest {
    fn say(&self, line: &[u8]) {
        let words = [format!("guest {}: ", self.number).as_bytes(), line].concat();
        for (_, other) in self.guests.borrow().iter().filter(|(number, _)| *number != self.number) {
            // Fails only if that guest is leaving. No handler is called from inside, so the room stays as it is.
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
        self.guests.borrow_mut().retain(|(number, _)| *number != self.number);
    }
}
