//! A JSON service: notes that are read, added and removed, their events, a WebSocket that echoes, and static files.

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::async_wrap::Environment;
use http::files::Files;
use http::net::ListenOptions;
use http::serve::{Failure, OwnedRequest, Serving, Upgrade};
use http::{Error, Request, Response, Server, ServerOptions};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Bytes of the longest body, and of the longest message.
const BODY_LIMIT: usize = 64 * 1024;

/// Events that may wait for a slow reader. With more its stream ends, and it may connect again.
const EVENTS_WAITING: usize = 64;

/// How often the readers of events are written to, so that no proxy takes their connections for idle.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long requests may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Note {
    id: u64,
    text: String,
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

struct Notes {
    all: RefCell<BTreeMap<u64, Note>>,
    readers: RefCell<Vec<mpsc::Sender<http::Result<Bytes>>>>,
    files: Files,
}

impl Notes {
    async fn serve(self: Rc<Self>, mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let path: Vec<&str> = request.path().split('/').skip(1).collect();
        match (request.method(), &path[..]) {
            ("GET" | "HEAD", ["api", "notes"]) => {
                response.send_json(&self.all.borrow().values().collect::<Vec<_>>())?;
            }
            ("POST", ["api", "notes"]) => self.add(request.json(BODY_LIMIT).await?, &response)?,
            (_, ["api", "notes"]) => refuse_method(&response, "GET, HEAD, POST")?,
            ("GET" | "HEAD", ["api", "notes", id]) => {
                response.send_json(self.all.borrow().get(&number(id)?).ok_or_else(not_found)?)?;
            }
            ("DELETE", ["api", "notes", id]) => {
                self.all.borrow_mut().remove(&number(id)?).ok_or_else(not_found)?;
                response.set_status(204)?.end(b"")?;
            }
            (_, ["api", "notes", _]) => refuse_method(&response, "DELETE, GET, HEAD")?,
            ("GET" | "HEAD", ["api", "events"]) => self.send_events(&request, &response).await?,
            (_, ["api", "events"]) => refuse_method(&response, "GET, HEAD")?,
            ("GET", ["api", "echo"]) => Err(Error::refused(400, "a WebSocket is to be opened here"))?,
            (_, ["api", "echo"]) => refuse_method(&response, "GET")?,
            _ => self.files.serve(&request.head(), response)?,
        }
        Ok(())
    }

    fn add(&self, new: NewNote, response: &Response) -> Result<(), Failure> {
        let mut all = self.all.borrow_mut();
        let id = all.last_key_value().map_or(1, |(id, _)| id + 1);
        let note = all.entry(id).or_insert(Note { id, text: new.text });
        self.tell(format!("event: note\ndata: {}\n\n", serde_json::to_string(note)?));
        response.set_status(201)?.set_header("Location", format!("/api/notes/{id}"))?;
        Ok(response.send_json(note)?)
    }

    /// Sends each note that is added, as a server-sent event.
    async fn send_events(&self, request: &OwnedRequest, response: &Response) -> Result<(), Failure> {
        let (reader, events) = mpsc::channel(EVENTS_WAITING);
        self.readers.borrow_mut().push(reader);
        response.set_header("Content-Type", "text/event-stream")?.set_header("Cache-Control", "no-cache")?;
        response.send(events.take_until(request.stopping())).await
    }

    fn tell(&self, event: String) {
        let event = Bytes::from(event);
        self.readers.borrow_mut().retain_mut(|reader| reader.try_send(Ok(event.clone())).is_ok());
    }
}

fn number(id: &str) -> http::Result<u64> {
    let status = if id.is_empty() { 404 } else { 400 };
    id.parse().map_err(|error| Error::refused(status, format!("{id}: {error}")))
}

fn not_found() -> Error {
    Error::refused(404, "")
}

fn refuse_method(response: &Response, allowed: &str) -> http::Result<()> {
    response.set_status(405)?.set_header("Allow", allowed)?.end(b"")
}

fn opens_echo(request: &Request<'_>) -> bool {
    let field = |name| request.fields.get(name).unwrap_or_default();
    request.path() == "/api/echo"
        && field("upgrade").eq_ignore_ascii_case(b"websocket")
        && field("sec-websocket-version") == b"13"
        && !field("sec-websocket-key").is_empty()
}

/// Sends each message back. Pings and the peer's close are answered by the library.
async fn echo(request: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    let key = request.fields().get("sec-websocket-key").unwrap_or_default();
    let socket = upgrade.accept(&[("Sec-WebSocket-Accept", &derive_accept_key(key))])?;
    let config = WebSocketConfig::default().max_message_size(Some(BODY_LIMIT));
    let socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
    let (mut sender, messages) = socket.split();
    let mut messages = messages.take_until(request.stopping());
    while let Some(message) = messages.next().await.transpose()? {
        if message.is_text() || message.is_binary() {
            sender.send(message).await?;
        }
    }
    // Fails if the peer has closed.
    let goodbye = CloseFrame { code: CloseCode::Away, reason: "".into() };
    let _ = sender.send(Message::Close(Some(goodbye))).await;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let root = words.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/public").into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    let files = Files::open(&env, root)?;
    let notes = Rc::new(Notes { all: RefCell::default(), readers: RefCell::default(), files });
    let (beating, mut heartbeat) = (Rc::clone(&notes), env.interval(HEARTBEAT));
    env.spawn_local(async move {
        loop {
            heartbeat.tick().await;
            beating.tell(":\n\n".into());
        }
    });
    let handler = Serving::new(move |request, response| Rc::clone(&notes).serve(request, response));
    server.listen(ListenOptions::addr(address.parse()?), handler.with_upgrades(opens_echo, echo))?;
    let stopped = env.stop_signal()?;
    println!("listening on http://{}", server.address().ok_or("no address")?);
    env.block_on(async move {
        stopped.await;
        server.shutdown(GRACE)?;
        server.closed().await;
        Ok(())
    })?
}
