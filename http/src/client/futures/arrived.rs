//! What has arrived of a response, between the handler that gets it and the futures that ask for it.

use crate::client::{ClientRequest, Error, ErrorKind};
use crate::pieces::Pieces;
use crate::proto::{Fields, IncomingResponse, OwnedFields, OwnedResponse};
use crate::upcall::ClientHandler;
use async_wrap::task::Waiters;
use net::Socket;
use net::futures::AsyncSocket;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What the handler and the futures share.
#[derive(Default)]
pub(super) struct Arrived {
    /// The head, or why there is none, until the future of the response takes it.
    head: Cell<Option<Result<Head, Error>>>,
    /// The future of the response.
    waker: Cell<Option<Waker>>,
    has_head: Cell<bool>,
    /// The head of a response with which the connection leaves HTTP, until its socket comes.
    upgrade: Cell<Option<Box<OwnedResponse>>>,
    pub(super) pieces: Pieces<Error>,
    /// The trailers, until the reader of the body takes them.
    pub(super) trailers: Cell<OwnedFields>,
    /// The upload, which waits for room or for its stream.
    pub(super) uploads: Waiters,
    pub(super) needs_drain: Cell<bool>,
    /// Why the upload has failed, which is why the request was aborted.
    pub(super) upload_failure: Cell<Option<Error>>,
    /// How the request has ended is known.
    is_told: Cell<bool>,
    /// No call of the handler will follow.
    pub(super) is_over: Cell<bool>,
}

/// The head of a response, and the connection if that has left HTTP.
pub(super) struct Head {
    pub(super) response: Box<OwnedResponse>,
    pub(super) socket: Option<AsyncSocket>,
}

impl Arrived {
    pub(super) fn poll_head(&self, context: &Context<'_>) -> Poll<Result<Head, Error>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(head);
        }
        self.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }

    fn set_head(&self, head: Result<Head, Error>) {
        self.has_head.set(true);
        self.head.set(Some(head));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ends the request, for what has awaited it is dropped.
    pub(super) fn give_up(&self, request: &ClientRequest) {
        drop(self.waker.take());
        let is_paused = self.pieces.discard();
        if self.is_over.get() {
            return;
        }
        if self.head.take().is_some() || !self.has_head.get() {
            request.abort();
        } else {
            request.discard();
            if is_paused {
                request.resume();
            }
        }
    }

    /// Ends what waits for a request that ends without a word.
    fn fail_unless_ended(&self) {
        if !self.is_told.get() {
            self.fail(Error::new(ErrorKind::Aborted));
        }
    }

    fn fail(&self, error: Error) {
        self.is_told.set(true);
        if self.has_head.get() {
            self.pieces.end(Err(error));
        } else {
            self.set_head(Err(error));
        }
    }
}

/// Called with each informational response.
pub(crate) type OnInformation = Box<dyn FnMut(&IncomingResponse<'_>)>;

/// The handler of a request that is awaited.
pub(super) struct Collect {
    arrived: Rc<Arrived>,
    on_information: Option<OnInformation>,
}

impl Collect {
    pub(super) fn new(arrived: Rc<Arrived>, on_information: Option<OnInformation>) -> Self {
        Self { arrived, on_information }
    }
}

impl ClientHandler for Collect {
    fn on_information(&mut self, _: &ClientRequest, head: &IncomingResponse<'_>) {
        if let Some(on_information) = &mut self.on_information {
            on_information(head);
        }
    }

    fn on_response(&mut self, _: &ClientRequest, head: &IncomingResponse<'_>) {
        let response = Box::new(OwnedResponse::from(head));
        if head.is_upgrade {
            self.arrived.upgrade.set(Some(response));
        } else {
            self.arrived.set_head(Ok(Head { response, socket: None }));
        }
    }

    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {
        if self.arrived.pieces.put(data) {
            request.pause();
        }
    }

    fn on_end(&mut self, _: &ClientRequest, trailers: &Fields<'_>) {
        let mut kept = OwnedFields::default();
        kept.copy(*trailers);
        self.arrived.trailers.set(kept);
        self.arrived.is_told.set(true);
        self.arrived.pieces.end(Ok(()));
    }

    fn on_upgrade(&mut self, _: &ClientRequest, socket: Socket, head: &[u8]) {
        let mut socket = AsyncSocket::new(socket);
        socket.unshift(head);
        let response = self.arrived.upgrade.take().unwrap_or_default();
        self.arrived.is_told.set(true);
        self.arrived.pieces.end(Ok(()));
        self.arrived.set_head(Ok(Head { response, socket: Some(socket) }));
    }

    fn on_drain(&mut self, _: &ClientRequest) {
        self.arrived.needs_drain.set(false);
        self.arrived.uploads.wake();
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        let cause = self.arrived.upload_failure.take().filter(|_| error.kind() == ErrorKind::Aborted);
        self.arrived.fail(cause.unwrap_or(error));
    }
}

/// The request is over, or a callback has panicked, and its handler gets no further call.
impl Drop for Collect {
    fn drop(&mut self) {
        let arrived = &self.arrived;
        arrived.is_over.set(true);
        arrived.uploads.wake();
        arrived.fail_unless_ended();
    }
}
