//! The service of `examples/service`, in axum: the same routes, the same behaviour, for comparison.

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Error, Json, Router};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::{env, io};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use tower_http::services::ServeDir;

/// Bytes of the longest body, and of the longest message.
const BODY_LIMIT: usize = 64 * 1024;

/// Notes that a slow reader of events may be late, before it misses some.
const EVENTS_WAITING: usize = 64;

#[derive(Clone, Serialize)]
struct Note {
    id: u64,
    text: String,
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

#[derive(Clone)]
struct Notes {
    all: Arc<Mutex<BTreeMap<u64, Note>>>,
    added: broadcast::Sender<Note>,
    stopping: CancellationToken,
}

async fn list(State(notes): State<Notes>) -> Json<Vec<Note>> {
    Json(notes.all.lock().unwrap().values().cloned().collect())
}

async fn add(State(notes): State<Notes>, Json(new): Json<NewNote>) -> impl IntoResponse {
    let mut all = notes.all.lock().unwrap();
    let id = all.last_key_value().map_or(1, |(id, _)| id + 1);
    let note = Note { id, text: new.text };
    all.insert(id, note.clone());
    // Fails if no client reads the events.
    let _ = notes.added.send(note.clone());
    (StatusCode::CREATED, [(header::LOCATION, format!("/api/notes/{id}"))], Json(note))
}

async fn show(State(notes): State<Notes>, Path(id): Path<u64>) -> Result<Json<Note>, StatusCode> {
    notes.all.lock().unwrap().get(&id).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn remove(State(notes): State<Notes>, Path(id): Path<u64>) -> StatusCode {
    let removed = notes.all.lock().unwrap().remove(&id);
    if removed.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// Each note that is added, as a server-sent event.
async fn events(State(notes): State<Notes>) -> Sse<impl Stream<Item = Result<Event, Error>>> {
    let added = BroadcastStream::new(notes.added.subscribe()).take_until(notes.stopping.cancelled_owned());
    let noted = added.filter_map(async |note| Some(Event::default().event("note").json_data(note.ok()?)));
    Sse::new(noted).keep_alive(KeepAlive::default())
}

async fn echo(State(notes): State<Notes>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.max_message_size(BODY_LIMIT);
    upgrade.on_upgrade(|socket| converse(socket, notes.stopping))
}

/// Sends each message back. Pings and the peer's close are answered by the library.
async fn converse(mut socket: WebSocket, stopping: CancellationToken) {
    while let Some(received) = stopping.run_until_cancelled(socket.recv()).await {
        let sent = match received {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => socket.send(message).await,
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => return,
        };
        if sent.is_err() {
            return;
        }
    }
    let goodbye = CloseFrame { code: close_code::AWAY, reason: "".into() };
    let _ = socket.send(Message::Close(Some(goodbye))).await;
}

async fn stopped(stopping: CancellationToken) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stopping.cancel();
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut words = env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let root =
        words.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../service/public").into());
    let stopping = CancellationToken::new();
    let notes = Notes {
        all: Arc::default(),
        added: broadcast::channel(EVENTS_WAITING).0,
        stopping: stopping.clone(),
    };
    let service = Router::new()
        .route("/api/notes", get(list).post(add))
        .route("/api/notes/{id}", get(show).delete(remove))
        .route("/api/events", get(events))
        .route("/api/echo", any(echo))
        .fallback_service(ServeDir::new(root))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(notes);
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, service).with_graceful_shutdown(async { stopped(stopping).await.unwrap() }).await
}
