//! An HTTP client over the whole chain, with callbacks.

use super::Options;
use super::asking::{Asking, Then};
use super::orders::Orders;
use crate::Result;
use async_wrap::Environment;
use http::client::{Client, ClientRequest, Error};
use http::proto::{Fields, IncomingResponse};
use http::upcall::ClientHandler;
use http::{Agent, AgentOptions};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What is asked for is not large.
const MAX_BODY: usize = 1 << 10;

/// How long connections may be idle: longer than a measurement, as those of the peers.
const IDLE: Duration = Duration::from_secs(65);

/// Asks until all is answered.
pub(crate) fn run(options: &Options) -> Result<()> {
    match options.own_name() {
        "keep-alive" => keep_alive(options),
        "idle" => hold(options.to()?),
        _ => Err(format!("subject: no benchmark {:?} of clients", options.bench).into()),
    }
}

fn url(to: SocketAddr) -> String {
    format!("http://{to}/")
}

fn client(env: &Environment) -> Result<Client> {
    Ok(Client::with_agent(&Agent::new(env, AgentOptions::default().idle_timeout(IDLE))?))
}

/// What the requests of a client share.
struct Asker {
    client: Client,
    url: String,
    connections: usize,
    /// `None` where each request is asked once.
    asking: Option<RefCell<Asking>>,
    failure: RefCell<Option<String>>,
}

impl Asker {
    fn new(client: &Client, to: SocketAddr, connections: usize, asking: Option<Asking>) -> Rc<Self> {
        let (client, url, asking) = (client.clone(), url(to), asking.map(RefCell::new));
        Rc::new(Self { client, url, connections, asking, failure: RefCell::default() })
    }

    /// One more request.
    fn ask(self: &Rc<Self>) {
        let answer = Answer { asker: Rc::clone(self), status: 0, length: 0 };
        if let Err(error) = self.client.get(&self.url).send(answer) {
            self.fail(error);
        }
    }

    /// As many requests as may begin now.
    fn begin(self: &Rc<Self>, asking: &RefCell<Asking>) {
        for _ in 0..self.connections {
            if asking.borrow_mut().may_ask() {
                self.ask();
            }
        }
    }

    fn answered(self: &Rc<Self>) {
        let Some(asking) = &self.asking else { return };
        let then = asking.borrow_mut().answered();
        match then {
            Then::Ask => self.ask(),
            Then::Begin => self.begin(asking),
            Then::Wait | Then::End => {}
        }
    }

    /// The first failure is the outcome; nothing is asked for it, so that the loop ends.
    #[cold]
    fn fail(&self, what: impl ToString) {
        self.failure.borrow_mut().get_or_insert_with(|| what.to_string());
    }

    fn outcome(&self) -> Result<()> {
        match self.failure.take() {
            Some(failure) => Err(failure.into()),
            None => self.asking.as_ref().map_or(Ok(()), |asking| asking.borrow_mut().end()),
        }
    }
}

/// The answer to one request.
struct Answer {
    asker: Rc<Asker>,
    status: u16,
    length: usize,
}

impl ClientHandler for Answer {
    fn on_response(&mut self, _: &ClientRequest, response: &IncomingResponse<'_>) {
        self.status = response.status;
    }

    fn on_data(&mut self, _: &ClientRequest, data: &[u8]) {
        self.length += data.len();
    }

    fn on_end(&mut self, _: &ClientRequest, _: &Fields<'_>) {
        match (self.status, self.length) {
            (200, 1..=MAX_BODY) => self.asker.answered(),
            (status, length) => self.asker.fail(format!("status {status} with {length} bytes")),
        }
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        self.asker.fail(error);
    }
}

fn keep_alive(options: &Options) -> Result<()> {
    let env = Environment::with_new_loop()?;
    let client = client(&env)?;
    let asker = Asker::new(&client, options.to()?, options.connections, Some(Asking::new(options)));
    asker.asking.iter().for_each(|asking| asker.begin(asking));
    env.run_to_end()?;
    asker.outcome()
}

fn hold(to: SocketAddr) -> Result<()> {
    let env = Environment::with_new_loop()?;
    let client = client(&env)?;
    for batch in Orders::new(to.port()) {
        let batch = batch?;
        let asker = Asker::new(&client, batch.to, batch.count, None);
        (0..batch.count).for_each(|_| asker.ask());
        // It ends with the last answer: idle connections do not keep it.
        env.run_to_end()?;
        asker.outcome()?;
    }
    Ok(())
}
