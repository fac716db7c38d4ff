//! Async handlers in the workers of a cluster: this program runs itself again as the workers.

use async_wrap::Environment;
use cluster::upcall::PrimaryHandler;
use cluster::{Primary, Settings, Worker, WorkerHandle};
use http::serve::{Failure, OwnedRequest, Serving, Upgrade};
use http::{Response, Server, ServerOptions};
use net::{Address, ListenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use std::{env, thread};

const WORKERS: usize = 2;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let name = "async_handlers_serve_in_the_workers_of_a_cluster";
    if env::args().any(|arg| arg == "--list") {
        return println!("{name}: test");
    }
    let env = Environment::with_new_loop().expect("a loop");
    if let Some(worker) = Worker::from_env(&env).expect("a channel") {
        return serve(&env, &worker);
    }
    lead(&env);
    println!("test {name} ... ok");
}

/// Answers with the worker's id.
async fn respond(id: u32, mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    let env = response.socket().environment().clone();
    env.sleep(Duration::from_millis(2)).await;
    let body = request.body().bytes(1000).await?;
    response.set_header("X-Worker", id.to_string())?.end(&body)?;
    Ok(())
}

async fn echo(_: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    let mut socket = upgrade.accept(&[])?;
    let mut buffer = [0; 100];
    while let count @ 1.. = socket.read(&mut buffer).await? {
        socket.write_all(&buffer[..count]).await?;
    }
    Ok(())
}

fn serve(env: &Environment, worker: &Worker) {
    let id = worker.id();
    let server =
        Server::with_source(env, ServerOptions::default(), worker.source()).expect("the options are right");
    let handler = Serving::new(move |request, response| respond(id, request, response));
    server
        .listen(ListenOptions::addr(([127, 0, 0, 1], 0).into()), handler.with_upgrades(|_| true, echo))
        .expect("the primary is asked");
    // Until the primary disconnects it.
    assert!(!env.run(uv_core::RunMode::Default).expect("the loop runs"));
}

/// Tells the clients where to connect, once all workers listen.
struct Telling {
    left: usize,
    tell: Sender<SocketAddr>,
}

impl PrimaryHandler for Telling {
    fn on_listening(&mut self, _: &WorkerHandle, address: &Address) {
        self.left -= 1;
        if self.left == 0 {
            self.tell.send(address.as_tcp().expect("TCP")).expect("the clients wait");
        }
    }
}

fn lead(env: &Environment) {
    let (tell, told) = channel();
    let primary = Primary::new(env, Settings::default(), Telling { left: WORKERS, tell });
    for _ in 0..WORKERS {
        primary.fork().expect("to fork");
    }
    let stop = primary;
    let stopping = uv_core::Async::new(env.loop_handle(), move |stopping: &uv_core::Async| {
        stop.disconnect();
        stopping.close();
    });
    let sender = stopping.sender();
    let clients = thread::spawn(move || {
        let outcome = told.recv_timeout(PATIENCE).map(talk);
        sender.send();
        outcome.expect("the workers listen")
    });
    assert!(!env.run(uv_core::RunMode::Default).expect("the loop runs"));
    let workers = clients.join().expect("no panic");
    assert_eq!(workers, ["1", "2"], "each worker has served");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("to connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Returns the workers that have answered.
fn talk(address: SocketAddr) -> Vec<String> {
    let mut workers = Vec::new();
    for _ in 0..4 {
        let mut client = connect(address);
        for _ in 0..3 {
            client
                .write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
                .expect("to send");
            let answer = read_until(&mut client, "hello");
            let worker = answer.split("X-Worker: ").nth(1).and_then(|rest| rest.lines().next());
            workers.push(worker.expect("a worker").to_owned());
        }
        let offer = "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nsurplus";
        client.write_all(offer.as_bytes()).expect("to send");
        assert!(read_until(&mut client, "surplus").starts_with("HTTP/1.1 101 "));
    }
    workers.sort();
    workers.dedup();
    workers
}

fn read_until(client: &mut TcpStream, end: &str) -> String {
    let (mut all, mut buffer) = (String::new(), [0; 1024]);
    while !all.ends_with(end) {
        let count = client.read(&mut buffer).expect("an answer");
        assert!(count > 0, "the connection ended after {all:?}");
        all += std::str::from_utf8(&buffer[..count]).expect("text");
    }
    all
}
