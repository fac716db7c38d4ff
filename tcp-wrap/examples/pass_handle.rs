//! Passes a TCP connection through a pipe, as a cluster's primary does with its workers. Here both ends of the pipe are
//! in one loop, and a thread plays the client. Run it with `cargo run -p upcall-tcp-wrap --example pass_handle`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{Error, PipeWrap, Result, StreamWrap};
use uv_core::handle::HandleKind;
use uv_core::{Loop, RunMode};

/// Passes a connection on and waits until the worker closes the pipe.
struct Primary;

impl OnStream for Primary {
    fn on_read(&mut self, _: &StreamWrap, _: &[u8]) {}

    fn on_write(&mut self, stream: &StreamWrap, result: Result<()>) {
        println!("primary: passed the connection on: {result:?}");
        if stream.shutdown().is_err() {
            stream.close();
        }
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, _: Error) {
        stream.close();
    }
}

/// Takes connections from the pipe and serves them.
struct Worker(PipeWrap);

impl OnStream for Worker {
    fn on_read(&mut self, stream: &StreamWrap, message: &[u8]) {
        println!("worker: got {:?}", String::from_utf8_lossy(message));
        while let Some(received) = self.0.take_received() {
            let is_tcp = received.kind == Some(HandleKind::Tcp);
            let connection = StreamWrap::from_passed(stream.loop_handle(), received.fd, is_tcp);
            connection.set_handler(Shout);
            if connection.read_start().is_err() {
                connection.close();
            }
        }
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, _: Error) {
        stream.close();
    }
}

/// Sends the input back in capitals until the peer's FIN.
struct Shout;

impl OnStream for Shout {
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]) {
        if stream.write(&data.to_ascii_uppercase()).is_err() {
            stream.close();
        }
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        println!("worker: read {} bytes, wrote {}", stream.bytes_read(), stream.bytes_written());
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, _: Error) {
        stream.close();
    }
}

fn talk(mut connection: TcpStream) -> std::io::Result<String> {
    connection.write_all(b"hello, worker")?;
    connection.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let event_loop = Loop::new()?;
    let (primary, worker) = (PipeWrap::new_ipc(&event_loop), PipeWrap::new_ipc(&event_loop));
    worker.open(primary.handle().open_pair()?)?;
    primary.set_handler(Primary);
    worker.set_handler(Worker(worker.clone()));
    primary.read_start()?;
    worker.read_start()?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    primary.write_fds("a new connection".into(), vec![Rc::new(accepted.into())])?;

    let client = thread::spawn(move || talk(client));
    event_loop.run(RunMode::Default)?;
    println!("client: got {:?}", client.join().map_err(|_| "the client panicked")??);
    event_loop.close()?;
    println!("All handles are closed.");
    Ok(())
}
