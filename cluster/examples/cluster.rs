//! Two workers behind one port: the primary accepts, and hands connections out in turn.
//!
//! `cargo run -p upcall-cluster --example cluster`, then `nc 127.0.0.1 7000`, twice.

use cluster::async_wrap::Environment;
use cluster::net::{Address, ListenOptions, Server, ServerOptions};
use cluster::upcall::PrimaryHandler;
use cluster::{Primary, Settings, Worker, WorkerHandle};

struct Report;

impl PrimaryHandler for Report {
    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        println!("worker {} listens on {address}", worker.id());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let env = Environment::with_new_loop()?;
    // A worker is this program again, with the same arguments.
    if let Some(worker) = Worker::from_env(&env)? {
        let server = Server::with_source(&env, ServerOptions::default(), worker.source());
        let greeting = format!("hello from worker {}\n", worker.id());
        server.listen_with(ListenOptions::addr(address.parse()?), move |_, socket| {
            // An error means that the client has closed the connection.
            let _ = socket.end_with(greeting.as_bytes());
        })?;
    } else {
        let primary = Primary::new(&env, Settings::default(), Report);
        primary.fork()?;
        primary.fork()?;
    }
    env.run_to_end()?;
    Ok(())
}
