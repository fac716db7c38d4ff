//! A client with its agent, whose requests write down how they end, and a server that answers every request with what it knows of it.

use crate::evil::watch;
use async_wrap::{Environment, OwnedEnvironment};
use http::agent::{Agent, AgentOptions, Counters};
use http::client::{Client, ClientRequest, Error, RequestBuilder};
use http::net::{ListenOptions, Socket};
use http::proto::{Fields, IncomingResponse};
use http::upcall::ClientHandler;
use http::{Request, Response, Server, ServerOptions};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use uv_core::RunMode;

/// How requests have ended, in that order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// What is done when a request has ended.
type Then = Box<dyn FnOnce(&ClientRequest)>;

/// Writes down how a request ends: `NAME: 200 BODY`, with `reused` and `retried` behind, or its error. Then it does what the test
/// wants.
pub(crate) struct Noting {
    name: String,
    log: Log,
    status: u16,
    body: Vec<u8>,
    then: Option<Then>,
    ends: u32,
}

impl Noting {
    fn end(&mut self, request: &ClientRequest, how: String) {
        self.ends += 1;
        let reused = if request.is_reused() { " reused" } else { "" };
        let retried = if request.was_retried() { " retried" } else { "" };
        self.log.push(format!("{}: {how}{reused}{retried}", self.name));
        if let Some(then) = self.then.take() {
            then(request);
        }
    }
}

impl ClientHandler for Noting {
    fn on_response(&mut self, _: &ClientRequest, response: &IncomingResponse<'_>) {
        self.status = response.status;
    }

    fn on_data(&mut self, _: &ClientRequest, data: &[u8]) {
        self.body.extend_from_slice(data);
    }

    fn on_end(&mut self, request: &ClientRequest, _: &Fields<'_>) {
        let how = format!("{} {}", self.status, String::from_utf8_lossy(&self.body));
        self.end(request, how);
    }

    fn on_upgrade(&mut self, request: &ClientRequest, _: Socket, _: &[u8]) {
        self.end(request, "upgrade".to_owned());
    }

    fn on_error(&mut self, request: &ClientRequest, error: Error) {
        self.end(request, error.kind().to_string());
    }

    fn on_close(&mut self, _: &ClientRequest) {
        assert_eq!(self.ends, 1, "{} ends once", self.name);
    }
}

pub(crate) struct Site {
    pub(crate) env: OwnedEnvironment,
    pub(crate) agent: Agent,
    pub(crate) client: Client,
    pub(crate) log: Log,
}

impl Site {
    pub(crate) fn new(options: AgentOptions) -> Self {
        let env = Environment::with_new_loop().expect("a loop");
        let agent = Agent::new(&env, options).expect("options that agree");
        let client = Client::with_agent(&agent);
        Self { env, agent, client, log: Log::default() }
    }

    pub(crate) fn noting(&self, name: &str) -> Noting {
        let (name, log) = (name.to_owned(), self.log.clone());
        Noting { name, log, status: 0, body: Vec::new(), then: None, ends: 0 }
    }

    pub(crate) fn send(&self, name: &str, request: RequestBuilder) -> ClientRequest {
        request.send(self.noting(name)).expect("a request that can be sent")
    }

    /// The same, and does something when the request has ended.
    pub(crate) fn send_then(
        &self,
        name: &str,
        request: RequestBuilder,
        then: impl FnOnce(&ClientRequest) + 'static,
    ) -> ClientRequest {
        let noting = Noting { then: Some(Box::new(then)), ..self.noting(name) };
        request.send(noting).expect("a request that can be sent")
    }

    pub(crate) fn get(&self, name: &str, url: &str) -> ClientRequest {
        self.send(name, self.client.get(url))
    }

    /// Runs until nothing keeps the loop alive. Returns how requests have ended.
    pub(crate) fn run(&self) -> Vec<String> {
        let watched = watch(&self.env, "the client");
        self.env.run_to_end().expect("the loop runs");
        watched.clear();
        self.log.take()
    }

    /// Runs one turn, without waiting.
    pub(crate) fn turn(&self) {
        self.env.run(RunMode::NoWait).expect("the loop runs");
    }

    /// Runs turns until something is so.
    pub(crate) fn until(&self, is_so: impl Fn() -> bool) {
        let watched = watch(&self.env, "the test");
        let kept = self.env.set_interval(Duration::from_millis(1), || {});
        while !is_so() {
            self.env.run(RunMode::Once).expect("the loop runs");
        }
        kept.clear();
        watched.clear();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.agent.counters()
    }

    /// Connecting, active, idle and waiting.
    pub(crate) fn now(&self) -> [u32; 4] {
        let Counters { connecting, active, idle, waiting, .. } = self.counters();
        [connecting, active, idle, waiting]
    }

    /// Drops the client, and asserts that nothing is left open.
    pub(crate) fn finish(self) {
        let Self { env, agent, client, .. } = self;
        drop((agent, client));
        env.run_to_end().expect("the loop runs");
        env.close();
        env.run_to_end().expect("the loop runs");
        env.event_loop().close().expect("nothing is open");
    }
}

/// A server that answers with the path of the request and the number of the connection on which it came, and counts. What is asked
/// of `/held…` is answered when the test wants it. It does not keep the loop alive.
pub(crate) struct Honest {
    server: Server,
    pub(crate) address: SocketAddr,
    counts: Rc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: Cell<usize>,
    held: RefCell<Vec<Response>>,
    /// The addresses of the clients' sides, by the number of the connection.
    seen: RefCell<Vec<SocketAddr>>,
}

impl Honest {
    pub(crate) fn new(site: &Site) -> Self {
        // Its responses have no hint.
        Self::with(site, ServerOptions::default().keep_alive_timeout(Duration::ZERO))
    }

    pub(crate) fn with(site: &Site, options: ServerOptions) -> Self {
        let server = Server::new(&site.env, options).expect("a server");
        let counts = Rc::new(Counts::default());
        let inner = Rc::clone(&counts);
        server
            .listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), move |request, response| {
                inner.answer(request, response);
            })
            .expect("to listen");
        server.net().unref();
        let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
        Self { server, address, counts }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.get()
    }

    /// The connections that have had a request.
    pub(crate) fn connections(&self) -> usize {
        self.counts.seen.borrow().len()
    }

    pub(crate) fn held(&self) -> usize {
        self.counts.held.borrow().len()
    }

    /// Answers the request that is held for longest.
    pub(crate) fn release(&self) {
        let response = self.counts.held.borrow_mut().remove(0);
        // Fails if the client is closed.
        let _ = response.end(b"held");
    }

    /// Stops listening. The client has to have closed its connections.
    pub(crate) fn finish(self, site: &Site) {
        self.server.close().expect("it listens");
        self.counts.held.take();
        site.env.run_to_end().expect("the loop runs");
    }
}

impl Counts {
    fn answer(&self, request: &Request<'_>, response: Response) {
        self.requests.set(self.requests.get() + 1);
        response.socket().unref();
        let peer =
            response.socket().remote_address().and_then(|peer| peer.as_tcp()).expect("it is connected");
        let mut seen = self.seen.borrow_mut();
        let number = seen.iter().position(|other| *other == peer).unwrap_or_else(|| {
            seen.push(peer);
            seen.len() - 1
        });
        match request.path() {
            path if path.starts_with("/held") => return self.held.borrow_mut().push(response),
            "/close" => drop(response.set_header("Connection", "close")),
            _ => {}
        }
        response.end(format!("{} on {number}", request.path()).as_bytes()).expect("the client waits");
    }
}
