//! The component `front`: what a server answers to clients on its `clientPort`, over HTTP. A gate names a connector, in
//! turn; any other server names itself and the servers that it knows.

use super::progress::text;
use http::upcall::RequestHandler;
use http::{Request, Response, Server, ServerOptions};
use net::ListenOptions;
use pomelo::upcall::Component;
use pomelo::{Application, Completion, ServerInfo};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// How long requests may take to end; an application's stop has its own limit, which is shorter.
const GRACE: Duration = Duration::from_secs(10);

/// The type of servers that sends clients to others, and the type of those.
const GATE: &str = "gate";
const CONNECTOR: &str = "connector";

pub(super) struct Front {
    options: Option<ListenOptions>,
    server: Option<Server>,
    /// The stop that waits for the last connection.
    stopping: Rc<RefCell<Option<Completion>>>,
}

impl Front {
    pub(super) fn new(options: ListenOptions) -> Self {
        Self { options: Some(options), server: None, stopping: Rc::default() }
    }

    fn listen(&mut self, app: &Application, options: ListenOptions) -> Result<(), Box<dyn Error>> {
        let server = Server::new(app.environment(), ServerOptions::default())?;
        let handler = Answering { app: app.clone(), turn: 0, stopping: Rc::clone(&self.stopping) };
        server.listen(options, handler)?;
        self.server = Some(server);
        Ok(())
    }
}

impl Component for Front {
    /// Clients are let in when everything else has started.
    fn on_after_start(&mut self, app: &Application, done: Completion) {
        let Some(options) = self.options.take() else { return done.ok(()) };
        match self.listen(app, options) {
            Ok(()) => done.ok(()),
            Err(error) => done.fail(error),
        }
    }

    /// Finishes when every request has its response.
    fn on_stop(&mut self, _: &Application, _: bool, done: Completion) {
        let Some(server) = self.server.take() else { return done.ok(()) };
        self.stopping.replace(Some(done));
        if server.shutdown(GRACE).is_err() {
            // It does not listen any more, and `on_close` has been called.
            finish(&self.stopping);
        }
    }
}

fn finish(stopping: &RefCell<Option<Completion>>) {
    if let Some(done) = stopping.take() {
        done.ok(());
    }
}

struct Answering {
    app: Application,
    turn: usize,
    stopping: Rc<RefCell<Option<Completion>>>,
}

impl RequestHandler for Answering {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let (status, answer) = match request.path() {
            "/" if self.app.server_type() == GATE => self.next_connector(),
            "/" => (200, self.about()),
            _ => (404, json!({ "error": "not found" })),
        };
        // Fails only if the connection is closed.
        let _ = response
            .set_status(status)
            .and_then(|response| response.set_header("Content-Type", "application/json"))
            .and_then(|response| response.end(format!("{answer}\n").as_bytes()));
    }

    fn on_close(&mut self, _: &Server) {
        finish(&self.stopping);
    }
}

impl Answering {
    fn about(&self) -> Value {
        let servers = self.app.servers();
        let servers: Vec<&str> = servers.iter().map(|info| text(info, "id")).collect();
        let (id, server_type) = (self.app.id(), self.app.server_type());
        json!({ "id": id, "serverType": server_type, "pid": std::process::id(), "servers": servers })
    }

    fn next_connector(&mut self) -> (u16, Value) {
        let connectors = self.app.servers_by_type(CONNECTOR);
        if connectors.is_empty() {
            return (503, json!({ "error": "no connector is up" }));
        }
        self.turn = (self.turn + 1) % connectors.len();
        (200, address(&connectors[self.turn]))
    }
}

fn address(info: &ServerInfo) -> Value {
    let host = info.get("clientHost").or_else(|| info.get("host"));
    json!({ "id": text(info, "id"), "host": host, "port": info.get("clientPort") })
}
