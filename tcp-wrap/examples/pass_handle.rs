//! Passes a TCP connection through a pipe, as a cluster's primary does with its workers. Here both ends of the pipe are
//! in one loop. Run it with `cargo run -p upcall-tcp-wrap --example pass_handle`.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::uv_core::{Error, Loop, RunMode, handle::HandleKind};
use tcp_wrap::{PipeWrap, StreamWrap};

/// Takes connections from the pipe, and sends back in capitals what they send.
struct Worker;

impl OnStream for Worker {
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]) {
        let Some(pipe) = stream.as_pipe() else {
            if stream.write(&data.to_ascii_uppercase()).is_err() {
                stream.close();
            }
            return;
        };
        println!("worker: got {:?}", String::from_utf8_lossy(data));
        while let Some(received) = pipe.take_received() {
            let is_tcp = received.kind == Some(HandleKind::Tcp);
            let connection = StreamWrap::from_passed(stream.loop_handle(), received.fd, is_tcp);
            connection.set_handler(Self);
            if connection.read_start().is_err() {
                connection.close();
            }
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let event_loop = Loop::new()?;
    let (primary, worker) = (PipeWrap::new_ipc(&event_loop), PipeWrap::new_ipc(&event_loop));
    worker.open(primary.handle().open_pair()?)?;
    worker.set_handler(Worker);
    worker.read_start()?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    primary.write_fds("a new connection".into(), vec![Rc::new(listener.accept()?.0.into())])?;
    primary.close();

    client.write_all(b"hello, worker")?;
    client.shutdown(Shutdown::Write)?;
    event_loop.run(RunMode::Default)?;
    println!("client: got {:?}", std::io::read_to_string(client)?);
    Ok(())
}
