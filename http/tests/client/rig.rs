//! A client and an evil server on one loop, and the proof that nothing is left of both.

use crate::evil::{Evil, Script, Seen, watch};
use async_wrap::Environment;
use bytes::Bytes;
use futures_core::Stream;
use http::client::{Client, ClientResponse, Error, ErrorKind, RequestBuilder};
use http::proto::{Fields, ParseError};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use uv_core::RunMode;

/// What the work of a test has.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) env: Environment,
    pub(crate) client: Client,
    pub(crate) evil: Rc<Evil>,
}

impl Site {
    pub(crate) fn url(&self, path: &str) -> String {
        self.evil.url(path)
    }

    /// A `GET` of the server.
    pub(crate) fn get(&self) -> RequestBuilder {
        self.client.get(self.url("/"))
    }

    /// A `POST` to the server.
    pub(crate) fn post(&self) -> RequestBuilder {
        self.client.post(self.url("/"))
    }
}

/// Runs `work` with a server that plays the n-th script on the n-th connection. Returns what it has returned, and what the server
/// has seen of each connection.
pub(crate) fn run<T: 'static, R: Future<Output = T> + 'static>(
    scripts: impl IntoIterator<Item = Script>,
    work: impl FnOnce(Site) -> R,
) -> (T, Vec<Seen>) {
    run_with(|env| Evil::new(env, scripts), |env| Client::new(env).expect("the options are valid"), work)
}

/// The same with a server and a client of the test's own.
pub(crate) fn run_with<T: 'static, R: Future<Output = T> + 'static>(
    serve: impl FnOnce(&Environment) -> Evil,
    client: impl FnOnce(&Environment) -> Client,
    work: impl FnOnce(Site) -> R,
) -> (T, Vec<Seen>) {
    let env = Environment::with_new_loop().expect("a loop");
    let evil = Rc::new(serve(&env));
    let (site, inner) = (Site { env: (*env).clone(), client: client(&env), evil: Rc::clone(&evil) }, evil);
    let watched = watch(&env, "the client");
    let done = env.block_on(work(site)).expect("the client waits for something");
    // What ends without the test, such as a connection that is drained.
    assert!(
        !env.run(RunMode::Default).expect("the loop runs"),
        "still alive: {}",
        env.event_loop().why_alive()
    );
    watched.clear();
    assert_eq!(env.tasks(), 0, "{}", env.why_pending());
    let evil = Rc::try_unwrap(inner).unwrap_or_else(|_| panic!("the work of the test has ended"));
    let seen = evil.finish();
    env.run_to_end().expect("the loop runs");
    (done, seen)
}

/// What a client gets, word by word.
#[derive(Clone, Default)]
pub(crate) struct Said(Rc<RefCell<Vec<String>>>);

impl Said {
    pub(crate) fn note(&self, word: impl Into<String>) {
        self.0.borrow_mut().push(word.into());
    }

    pub(crate) fn joined(&self) -> String {
        self.0.borrow().join(" | ")
    }

    fn fields(&self, fields: Fields<'_>) {
        fields.iter().for_each(|(name, value)| self.note(format!("{name}: {}", value.escape_ascii())));
    }

    /// Awaits a request, and all of its response.
    async fn listen(&self, request: RequestBuilder) -> Result<(), Error> {
        let informed = self.clone();
        let request = request.on_information(move |head| informed.note(format!("info {}", head.status)));
        let mut response = request.await?;
        let head = response.head();
        self.note(format!("{} {}", head.status, head.reason.escape_ascii()).trim());
        self.fields(head.fields);
        if head.is_upgrade {
            return self.listen_to_socket(response).await;
        }
        let (mut body, mut end) = (Vec::new(), Ok(()));
        while let Some(piece) = response.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(error) => end = Err(error),
            }
        }
        if !body.is_empty() {
            self.note(format!("body={}", body.escape_ascii()));
        }
        end?;
        self.fields(response.trailers().expect("the body has ended"));
        self.note("end");
        Ok(())
    }

    async fn listen_to_socket(&self, response: ClientResponse) -> Result<(), Error> {
        let mut socket = response.upgrade().expect("the connection has left HTTP");
        let mut all = Vec::new();
        socket.finish().await.expect("it is open");
        socket.read_to_end(&mut all).await.expect("the server ends too");
        self.note(format!("upgrade {}", all.escape_ascii()).trim());
        Ok(())
    }
}

/// What a request gets: see `answers.rs`.
pub(crate) async fn answer_to(request: RequestBuilder) -> String {
    let said = Said::default();
    if let Err(error) = said.listen(request).await {
        said.note(word_for(&error));
    }
    said.joined()
}

/// The word for an error, which is Node's code where there is one.
fn word_for(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Truncated { .. } => "cut".to_owned(),
        ErrorKind::ConnectionLost => "error ECONNRESET".to_owned(),
        ErrorKind::InvalidResponse(fault, _) => match fault.code() {
            Some(code) => format!("error {code}"),
            None => format!("error {fault:?}"),
        },
        kind => format!("error {kind:?}"),
    }
}

/// The fault of a response that is no HTTP, and where it is.
pub(crate) fn fault_of<T>(result: Result<T, Error>) -> Option<(ParseError, u64)> {
    match result.err()?.kind() {
        ErrorKind::InvalidResponse(fault, at) => Some((fault, at)),
        _ => None,
    }
}

/// A stream from a closure.
pub(crate) struct Pieces<F>(pub(crate) F);

impl<F: FnMut(&mut Context<'_>) -> Poll<Option<Piece>> + Unpin> Stream for Pieces<F> {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        (self.0)(context)
    }
}

pub(crate) type Piece = Result<Bytes, io::Error>;

/// So many pieces of one buffer, and then an error or the end.
pub(crate) fn repeated(
    piece: impl Into<Bytes>,
    mut left: usize,
    error: Option<&'static str>,
) -> impl Stream<Item = Piece> {
    let piece = piece.into();
    Pieces(move |_: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(error.map(|error| Err(io::Error::other(error))));
        }
        left -= 1;
        Poll::Ready(Some(Ok(piece.clone())))
    })
}

/// So many pieces of one buffer, each a millisecond behind the one before.
pub(crate) fn slow(
    env: &Environment,
    piece: &'static str,
    mut left: usize,
) -> impl Stream<Item = Piece> + use<> {
    let mut sleep = Box::pin(env.sleep(Duration::from_millis(1)));
    let env = env.clone();
    Pieces(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        ready!(sleep.as_mut().poll(context));
        sleep.set(env.sleep(Duration::from_millis(1)));
        left -= 1;
        Poll::Ready(Some(Ok(Bytes::from_static(piece.as_bytes()))))
    })
}

/// A stream that yields nothing, and has no end.
pub(crate) fn endless() -> impl Stream<Item = Piece> {
    Pieces(|_: &mut Context<'_>| Poll::Pending)
}
