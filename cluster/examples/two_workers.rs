//! Two workers share a port: the primary accepts and hands connections out in turn. The primary is its own client, and
//! everything ends by itself.
//!
//!     cargo run --example two_workers

use async_wrap::{Environment, Loop, RunMode};
use cluster::upcall::PrimaryHandler;
use cluster::{Primary, Settings, Worker, WorkerHandle};
use net::{Address, ListenOptions, Server, ServerOptions, Socket};
use std::error::Error;
use std::io::Read;
use std::net::TcpStream;
use uv_core::process::ExitStatus;

const WORKERS: usize = 2;

/// Connects to the cluster once every worker listens.
struct Visitor {
    listening: usize,
}

impl PrimaryHandler for Visitor {
    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        println!("worker {} listens on {address}", worker.id());
        self.listening += 1;
        if let (WORKERS, Some(address), Some(primary)) = (self.listening, address.as_tcp(), worker.primary())
        {
            let remote = primary.environment().loop_handle().remote();
            // A thread, because this client waits: the primary must not.
            std::thread::spawn(move || {
                for _ in 0..4 {
                    let mut greeting = String::new();
                    match TcpStream::connect(address).and_then(|mut peer| peer.read_to_string(&mut greeting))
                    {
                        Ok(_) => print!("{greeting}"),
                        Err(error) => eprintln!("{error}"),
                    }
                }
                remote.post(|lp| lp.stop())
            });
        }
    }

    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        println!("worker {} ended with {status}", worker.id());
    }
}

fn run_primary(env: &Environment) -> Result<(), Box<dyn Error>> {
    let primary = Primary::new(env, Settings::default(), Visitor { listening: 0 });
    for _ in 0..WORKERS {
        primary.fork()?;
    }
    // Until the visitor stops the loop; then until every worker has ended.
    env.run(RunMode::Default)?;
    primary.disconnect();
    env.run(RunMode::Default)?;
    Ok(())
}

fn run_worker(env: &Environment, worker: &Worker) -> Result<(), Box<dyn Error>> {
    let server = Server::with_source(env, ServerOptions::default(), worker.source());
    let greeting = format!("hello from worker {}\n", worker.id());
    server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), move |_, socket| {
        if socket.write(greeting.as_bytes()).is_ok() {
            socket.destroy_soon();
            socket.set_handler(Deaf);
        }
    })?;
    env.run(RunMode::Default)?;
    Ok(())
}

/// What it is told does not matter.
struct Deaf;

impl net::upcall::SocketHandler for Deaf {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let lp = Loop::new()?;
    let env = Environment::new(&lp);
    match Worker::from_env(&env)? {
        Some(worker) => run_worker(&env, &worker),
        None => run_primary(&env),
    }
}
