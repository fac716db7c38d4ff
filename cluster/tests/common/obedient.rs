//! A worker that obeys the commands of its test.

use super::as_worker;
use super::roles::{Reporter, listen_options};
use async_wrap::Environment;
use cluster::Worker;
use cluster::upcall::WorkerHandler;
use net::{Error, Server, ServerOptions};
use std::os::fd::OwnedFd;
use uv_core::RunMode;

/// Obeys its commands, one per message: `listen ADDRESS`, `try-listen ADDRESS`, `close`, `shutdown`,
/// `listen-close ADDRESS`, `unref`, `ref`, `disconnect`, `own-shutdown`, `exit CODE`, `hoard SPARE`, `release`, `flood COUNT BYTES`, `say TEXT`, `echo TEXT`.
pub(crate) fn obedient() {
    let (_lp, env, worker) = as_worker();
    worker.set_handler(Obedient {
        env: env.clone(),
        servers: Vec::new(),
        kept: Vec::new(),
        shuts_down: false,
        hoard: Vec::new(),
    });
    env.run(RunMode::Default).expect("the loop runs");
}

struct Obedient {
    env: Environment,
    servers: Vec<Server>,
    kept: Vec<OwnedFd>,
    /// Shuts its servers down itself when it is to leave.
    shuts_down: bool,
    /// Holds all but a few of the descriptors that the process may have.
    hoard: Vec<std::fs::File>,
}

impl Obedient {
    fn listen(&mut self, worker: &Worker, address: &str) -> Result<(), Error> {
        let server = Server::with_source(&self.env, ServerOptions::default(), worker.source());
        self.servers.push(server.clone());
        let greeting = worker.id().to_string();
        let reporter = Reporter { worker: worker.clone(), server: server.clone(), greet: true, greeting };
        server.listen(listen_options(address), reporter)
    }

    /// As a program does at a signal of its own.
    fn shut_down(&self, worker: &Worker) {
        for server in &self.servers {
            let sender = worker.clone();
            let closed = move || drop(sender.send(b"shut down"));
            server.shutdown_with(closed).expect("it listens");
        }
    }
}

impl WorkerHandler for Obedient {
    fn on_error(&mut self, worker: &Worker, error: cluster::Error) {
        worker.send(format!("error {error}").as_bytes()).expect("the primary is there");
    }

    fn on_leave(&mut self, worker: &Worker) {
        if self.shuts_down {
            self.shut_down(worker);
        }
    }

    fn on_message(&mut self, worker: &Worker, data: &[u8], fds: Vec<OwnedFd>) {
        let text = String::from_utf8_lossy(data);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match word {
            "listen" => self.listen(worker, rest).expect("the primary is asked"),
            "try-listen" => {
                if let Err(error) = self.listen(worker, rest) {
                    let errno = error.system().expect("the system's error").errno();
                    worker
                        .send(format!("refused {}", errno.name()).as_bytes())
                        .expect("the primary is there");
                }
            }
            "listen-close" => {
                self.listen(worker, rest).expect("the primary is asked");
                self.servers.pop().expect("it was pushed").close().expect("it listens, or is about to");
            }
            "close" => {
                let sender = worker.clone();
                let closed = move || {
                    sender.send(b"closed").expect("the primary is there");
                };
                // The last server that listens: others were refused.
                while let Err(_refused) = self.servers.pop().expect("a server").close_with(closed.clone()) {}
            }
            "shutdown" => self.shut_down(worker),
            "own-shutdown" => {
                self.shuts_down = true;
                worker.send(b"noted").expect("the primary is there");
            }
            "unref" => {
                worker.unref();
                if rest != "channel" {
                    self.servers.iter().for_each(Server::unref);
                }
            }
            "disconnect" => {
                worker.disconnect();
                worker.disconnect();
            }
            "keep" => {
                self.kept = fds;
                worker.send(b"kept").expect("the primary is there");
            }
            "hoard" => {
                let spare: usize = rest.parse().expect("a number");
                self.hoard.extend(std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()));
                self.hoard.truncate(self.hoard.len() - spare);
                worker.send(b"hoarded").expect("the primary is there");
            }
            "release" => {
                self.hoard.clear();
                worker.send(b"released").expect("the primary is there");
            }
            "flood" => {
                let (count, bytes) = rest.split_once(' ').expect("two numbers");
                let message = vec![b'x'; bytes.parse().expect("a number")];
                for _ in 0..count.parse().expect("a number") {
                    let _ = worker.send(&message).expect("the primary is there");
                }
            }
            "say" => {
                println!("{rest}");
                eprintln!("not {rest}");
            }
            "why" => drop(worker.send(worker.environment().loop_handle().why_alive().as_bytes())),
            "exit" => std::process::exit(rest.parse().expect("a code")),
            _ => drop(worker.send_fds(data, fds).expect("the primary is there")),
        }
    }
}
