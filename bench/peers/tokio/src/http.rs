//! hyper 1, set up in its own favour: TCP_NODELAY, flushes gathered for pipelined requests, and no timer, hence none of
//! the time limits that a server on the open net needs.
//!
//! Routes: `GET /`, `GET /size/N`, `GET /stream/N`, `POST /sink`.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::streams::listen;

/// What this server is measured with.
pub(crate) const BENCHES: &[&str] = &[
    "http/keep-alive",
    "http/pipelined",
    "http/connect",
    "http/down-1k",
    "http/down-64k",
    "http/down-1m",
    "http/up-1k",
    "http/up-64k",
    "http/up-1m",
    "http/chunked",
    "http/idle",
];

/// The largest body of `/size/N`, which is laid out once.
const MAX_SIZE: usize = 1 << 20;
static LARGEST_BODY: [u8; MAX_SIZE] = [b'x'; MAX_SIZE];

/// Bytes of each frame of `/stream/N`; the i-th, from 0, is all `a` + i mod 26.
const FRAME: usize = 1024;
const LETTERS: usize = 26;
static FRAMES: [[u8; FRAME]; LETTERS] = frames();

const fn frames() -> [[u8; FRAME]; LETTERS] {
    let mut frames = [[0; FRAME]; LETTERS];
    let mut index = 0;
    while index < LETTERS {
        frames[index] = [b'a' + index as u8; FRAME];
        index += 1;
    }
    frames
}

/// Listens and serves.
pub(crate) async fn serve() -> io::Result<()> {
    let listener = listen().await?;
    let server = Server::new(None);
    loop {
        let (stream, _) = listener.accept().await?;
        server.serve(stream)?;
    }
}

/// What serves connections.
#[derive(Debug)]
pub(crate) struct Server {
    builder: http1::Builder,
    /// The worker that answers say they come from.
    worker: Option<HeaderValue>,
}

impl Server {
    pub(crate) fn new(worker: Option<u64>) -> Self {
        let mut builder = http1::Builder::new();
        builder.pipeline_flush(true);
        Self { builder, worker: worker.map(HeaderValue::from) }
    }

    /// Serves a connection, as a task of its own.
    pub(crate) fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let worker = self.worker.clone();
        let service = service_fn(move |request| answer(request, worker.clone()));
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A failed connection is the client's to count.
            let _ended = connection.await;
        });
        Ok(())
    }
}

async fn answer(
    request: Request<Incoming>,
    worker: Option<HeaderValue>,
) -> Result<Response<Reply>, Infallible> {
    let path = request.uri().path();
    let body = match *request.method() {
        Method::GET => match path {
            "/" => Some(Reply::Whole(Some(Bytes::from_static(b"hello")))),
            _ => size_of(path).or_else(|| stream_of(path)),
        },
        Method::POST if path == "/sink" => {
            let read = count(request.into_body()).await;
            read.map(|_| Reply::Whole(Some(Bytes::from_static(b"ok"))))
        }
        _ => None,
    };
    let mut response = Response::new(Reply::Whole(None));
    if let Some(worker) = worker {
        response.headers_mut().insert("Worker", worker);
    }
    match body {
        Some(body) => {
            *response.body_mut() = body;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

/// The bytes of a body that is read to its end, if it has one.
async fn count(mut body: Incoming) -> Option<u64> {
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        total += frame.ok()?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Some(total)
}

fn size_of(path: &str) -> Option<Reply> {
    let size: usize = path.strip_prefix("/size/")?.parse().ok()?;
    LARGEST_BODY.get(..size).map(|bytes| Reply::Whole(Some(Bytes::from_static(bytes))))
}

fn stream_of(path: &str) -> Option<Reply> {
    let count = path.strip_prefix("/stream/")?.parse().ok()?;
    Some(Reply::Stream { sent: 0, count })
}

/// The body of an answer.
#[derive(Debug)]
enum Reply {
    /// Bytes whose number is told in advance; `None` if there are no more.
    Whole(Option<Bytes>),
    /// Frames whose number is not told.
    Stream { sent: usize, count: usize },
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Stream { sent, count } if *sent < *count => {
                *sent += 1;
                Some(Bytes::from_static(&FRAMES[(*sent - 1) % LETTERS]))
            }
            Self::Stream { .. } => None,
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream { sent, count } => sent == count,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}
