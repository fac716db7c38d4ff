//! Services of tower: each request has a clone, which is called once it is ready.

mod common;

use common::{pair, read_to_end, run};
use hyper::body::Incoming;
use hyper::{Request, Response};
use net::async_wrap::Environment;
use net::async_wrap::task::Sleep;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;
use upcall_hyper::{Io, TowerService, http1_server};

/// Ready after a while, and called only then.
struct Slow {
    env: Environment,
    sleep: Sleep,
    is_ready: bool,
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        let sleep = self.env.sleep(Duration::from_millis(1));
        Self { env: self.env.clone(), sleep, is_ready: false }
    }
}

impl Service<Request<Incoming>> for Slow {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = Pin::new(&mut self.sleep).poll(context).is_ready();
        if self.is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        assert!(self.is_ready, "called too early");
        ready(Ok(Response::new(request.uri().path().into())))
    }
}

#[test]
fn a_service_of_tower_is_called_when_it_is_ready() {
    run(|env| async move {
        let (mut client, socket) = pair(&env).await;
        let slow = Slow { env: env.clone(), sleep: env.sleep(Duration::ZERO), is_ready: false };
        let connection = http1_server(&env).serve_connection(Io::new(socket), TowerService::new(slow));
        let server = env.spawn_local(connection);
        let requests =
            "GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(requests.as_bytes()).await.expect("open");
        let answers = read_to_end(&mut client).await;
        assert!(answers.contains("\r\n\r\n/one") && answers.ends_with("\r\n\r\n/two"), "{answers}");
        server.await.expect("no panic").expect("a client that keeps the rules");
    });
}
