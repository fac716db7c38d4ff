//! One request on its way: to an upstream, to another one if that is safe, and its response back.
//!
//! # Theory of operation
//!
//! A relay stands between three handlers: that of the request's body and that of the response, which the server calls, and that
//! of the request to the upstream, which the client calls. Each passes on what it is told, and pauses its own side while the other
//! one has enough:
//!
//! ```text
//!            on_data ─▶ write                  (body of the request)
//! client  ◀─ pause/resume ◀─ on_drain ─        upstream
//!         ─  write ◀─ on_data                  (body of the response)
//!            on_drain ─▶ pause/resume
//! ```
//!
//! What has failed before the head of a response has come is tried with another upstream if that has the effect of one attempt: no
//! upstream has seen the request, or it may be sent twice (RFC 9110, 9.2.2), and what was read of its body is kept. Afterwards the response is
//! broken off. That a connection which was used before has failed under a request is the client's own affair, which tries such
//! a request once more by itself.

use super::downstream::{Answer, Downstream};
use super::failure::{explain, is_idempotent, is_unsent, outcome};
use super::fields;
use super::onward::build;
use super::sides::{BodySide, ClientSide, UpstreamSide};
use super::tunnel::Use;
use super::upstreams::{Outcome, Tried};
use super::{Core, TARGET};
use crate::client::{ClientRequest, Error, ErrorKind};
use crate::connection::{BodyPlace, ResponsePlace};
use crate::proto::{
    Expect, Fields, Framing, IncomingResponse, KEPT_CAPACITY, OwnedHead, RequestHead, recycle,
};
use crate::{Body, Response};
use net::Socket;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// A piece of a response's body that waits for those behind it; larger ones are sent from where they are.
const SMALL: usize = 16 * 1024;

/// Pieces that do not wait any longer: enough to make a send worth while.
const MUCH: usize = 64 * 1024;

pub(super) struct Relay {
    core: Rc<Core>,
    /// Where the handlers are that the server calls. They do not own the relay, which serves one request after another, as the
    /// client's record of a request does: the handler of the request at its upstream owns it.
    response_place: ResponsePlace,
    body_place: BodyPlace,
    downstream: RefCell<Option<Downstream>>,
    request: RefCell<Option<ClientRequest>>,
    /// What has come of the response's body in this turn.
    pending: RefCell<Vec<u8>>,
    kept: RefCell<Kept>,
    tried: Cell<Tried>,
    /// The upstream that has the request.
    upstream: Cell<Option<usize>>,
    facts: Cell<Facts>,
}

/// What is needed to send a request once more.
#[derive(Default)]
struct Kept {
    head: OwnedHead,
    /// What was read of the body.
    body: Vec<u8>,
}

impl Kept {
    /// Forgets the request, and keeps buffers that are small.
    fn clear(&mut self) {
        recycle(&mut self.body, 0, KEPT_CAPACITY);
        if self.head.capacity() > KEPT_CAPACITY {
            self.head = OwnedHead::default();
        }
    }
}

/// How far a relay is.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// The request can be sent once more: its head is kept, and of its body all that was read.
    is_kept: bool,
    /// It may be sent once more although an upstream may have seen it.
    is_idempotent: bool,
    /// The body is being read.
    is_body_claimed: bool,
    is_body_ended: bool,
    /// The head of the response is passed on.
    has_begun: bool,
    /// It is to be sent even if no body follows soon.
    is_head_due: bool,
    /// What waits is sent soon.
    is_flush_due: bool,
    /// Nothing follows.
    is_over: bool,
}

impl Relay {
    /// A relay without a request.
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new_cyclic(|relay| Self {
            core: Rc::clone(core),
            response_place: Response::place(ClientSide(Weak::clone(relay))),
            body_place: Body::place(BodySide(Weak::clone(relay))),
            downstream: RefCell::default(),
            request: RefCell::default(),
            pending: RefCell::default(),
            kept: RefCell::default(),
            tried: Cell::default(),
            upstream: Cell::default(),
            facts: Cell::default(),
        })
    }

    /// Forgets its request, and keeps the buffers.
    pub(super) fn clear(&self) {
        // What these were handles of may be dropped with them.
        drop((self.request.take(), self.downstream.take()));
        self.kept.borrow_mut().clear();
        recycle(&mut self.pending.borrow_mut(), 0, KEPT_CAPACITY);
        self.tried.take();
        self.upstream.take();
        self.facts.take();
    }

    /// Begins to pass a request on.
    pub(super) fn start(core: &Rc<Core>, head: &RequestHead<'_>, downstream: Downstream) {
        let relay = core.take_relay();
        let is_kept = core.upstreams.len() > 1;
        relay.facts.set(Facts { is_kept, is_idempotent: is_idempotent(head), ..Facts::default() });
        if is_kept {
            relay.kept.borrow_mut().head.copy(head);
        }
        match &downstream {
            Downstream::Http(response, _) => response.set_place(&relay.response_place),
            Downstream::Raw(raw) => raw.socket().set_handler(ClientSide(Rc::downgrade(&relay))),
        }
        relay.downstream.replace(Some(downstream));
        relay.send(head, None);
    }

    /// The last owner gives it back.
    pub(super) fn give(relay: &Rc<Self>) {
        // The request may be on its way to another upstream.
        if Rc::strong_count(relay) == 1 {
            relay.clear();
            relay.core.give_relay(relay);
        }
    }

    /// Works on the client's side, while there is one.
    fn with<R: Default>(&self, work: impl FnOnce(&Downstream) -> R) -> R {
        self.downstream.borrow().as_ref().map(work).unwrap_or_default()
    }

    /// Whether this is the response of the request at hand.
    pub(super) fn is_for(&self, response: &Response) -> bool {
        self.with(|downstream| matches!(downstream, Downstream::Http(own, _) if own.is_same(response)))
    }

    /// Whether this is the body of the request at hand.
    pub(super) fn is_of(&self, body: &Body) -> bool {
        self.with(|downstream| downstream.body().is_some_and(|own| own.is_same(body)))
    }

    /// Whether this is the connection of the offer at hand.
    pub(super) fn is_on(&self, socket: &Socket) -> bool {
        self.with(|downstream| matches!(downstream, Downstream::Raw(raw) if raw.is_on(socket)))
    }

    fn has_body(&self) -> bool {
        self.with(|downstream| downstream.body().is_some())
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts.get();
        change(&mut facts);
        self.facts.set(facts);
    }

    /// Sends the request to the next upstream, or answers with what has failed.
    fn send(self: &Rc<Self>, head: &RequestHead<'_>, failed: Option<&Error>) {
        let core = &self.core;
        let mut tried = self.tried.get();
        let chosen = core.choice.borrow_mut().choose(&mut tried, core.now());
        self.tried.set(tried);
        let Some(index) = chosen else { return self.refuse(failed) };
        self.upstream.set(Some(index));
        let has_body = self.has_body();
        let builder = self.with(|downstream| Some(build(core, head, index, downstream)));
        let Some(builder) = builder else { return };
        let handler = UpstreamSide(Rc::clone(self));
        let begun = if has_body { builder.begin(handler) } else { builder.send(handler) };
        match begun {
            Ok(request) => {
                let old = self.request.replace(Some(request));
                drop(old);
                if has_body {
                    self.begin_body(head);
                }
            }
            Err(error) => {
                self.release(Outcome::Unknown, &error);
                self.refuse(Some(&error));
            }
        }
    }

    /// Sends what was read of the body, and reads on.
    fn begin_body(self: &Rc<Self>, head: &RequestHead<'_>) {
        let (facts, request) = (self.facts.get(), self.request.borrow().clone());
        let Some(request) = request else { return };
        if !facts.is_body_claimed {
            if head.expect == Expect::Continue {
                // The body waits with the client, until the upstream asks for it.
                let _ = request.flush_headers();
                self.claim_body_later();
            } else {
                self.claim_body();
                // The head leaves with the first of the body, or soon.
                self.flush_soon();
            }
            return;
        }
        let kept = self.kept.borrow();
        let is_welcome = kept.body.is_empty() || request.write(&kept.body).unwrap_or(true);
        drop(kept);
        if facts.is_body_ended {
            let _ = request.end(b"");
        } else if is_welcome {
            self.on_upstream_drain();
        }
    }

    pub(super) fn claim_body(&self) {
        let facts = self.facts.get();
        if !facts.is_body_claimed && !facts.is_over {
            self.change(|facts| facts.is_body_claimed = true);
            self.with(|downstream| {
                downstream.body().iter().for_each(|body| body.set_place(&self.body_place));
            });
        }
    }

    /// Does not wait for the upstream's demand without a limit.
    fn claim_body_later(self: &Rc<Self>) {
        let Some(limit) = self.core.options.time_limits.await_continue else { return };
        let (relay, request) =
            (Rc::downgrade(self), self.request.borrow().as_ref().map(ClientRequest::async_id));
        // Unless it is over, and the relay has another one.
        let is_same =
            move |relay: &Self| relay.request.borrow().as_ref().map(ClientRequest::async_id) == request;
        let claim = move || {
            relay.upgrade().filter(|relay| is_same(relay)).iter().for_each(|relay| relay.claim_body());
        };
        self.core.client.environment().set_timeout(limit, claim).unref();
    }

    /// Keeps a part of the body, as long as that is little.
    fn keep(&self, data: &[u8]) {
        if !self.facts.get().is_kept {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        if kept.body.len() + data.len() > self.core.options.max_replay {
            kept.clear();
            self.change(|facts| facts.is_kept = false);
        } else {
            kept.body.extend_from_slice(data);
        }
    }

    /// The request at its upstream is over.
    fn release(&self, outcome: Outcome, error: &Error) {
        let Some(index) = self.upstream.take() else { return };
        let core = &self.core;
        if core.choice.borrow_mut().release(index, outcome, core.now()) {
            let (upstream, pause) = (&core.upstreams[index], core.options.pause);
            log::warn!(target: TARGET, "{upstream} is left out for {pause:?}: {error}");
        } else {
            log::debug!(target: TARGET, "{}: {error}", core.upstreams[index]);
        }
    }

    /// The response is complete, or the connection is another one's now.
    fn succeed(&self) {
        self.change(|facts| facts.is_over = true);
        if let Some(index) = self.upstream.take() {
            let core = &self.core;
            core.choice.borrow_mut().release(index, Outcome::Answered, core.now());
        }
        self.request.take();
    }

    /// The client has left, or its request has no end.
    pub(super) fn abort(&self) {
        if self.facts.get().is_over {
            return;
        }
        self.change(|facts| facts.is_over = true);
        if let Some(index) = self.upstream.take() {
            let core = &self.core;
            core.choice.borrow_mut().release(index, Outcome::Unknown, core.now());
        }
        let request = self.request.take();
        if let Some(request) = request {
            request.abort();
        }
        // A client that has ended only its own side reads this.
        let answer =
            Answer { status: 503, text: "the client has ended its side\n", error: "connection_terminated" };
        if !self.facts.get().has_begun {
            self.with(|downstream| _ = downstream.answer(&self.core.name, &answer, true));
        }
    }

    /// The request has failed at its upstream.
    pub(super) fn fail(self: &Rc<Self>, error: &Error) {
        let facts = self.facts.get();
        if facts.is_over {
            return;
        }
        self.release(outcome(error), error);
        self.request.take();
        if facts.has_begun {
            if !self.with(Downstream::has_begun) {
                // Nothing of it is sent.
                return self.refuse(Some(error));
            }
            self.change(|facts| facts.is_over = true);
            self.send_pending();
            return self.with(Downstream::break_off);
        }
        let may_repeat =
            is_unsent(error) || (facts.is_idempotent && error.kind() == ErrorKind::ConnectionLost);
        if !(may_repeat && facts.is_kept) {
            return self.refuse(Some(error));
        }
        let kept = std::mem::take(&mut self.kept.borrow_mut().head);
        self.send(&kept.head(), Some(error));
        self.kept.borrow_mut().head = kept;
    }

    /// Answers in place of an upstream.
    fn refuse(&self, error: Option<&Error>) {
        self.change(|facts| facts.is_over = true);
        let facts = self.facts.get();
        let is_cut = self.has_body() && !facts.is_body_ended;
        // Fails only if the client has left.
        self.with(|downstream| _ = downstream.answer(&self.core.name, &explain(error), is_cut));
    }

    /// Some of the request's body has come.
    pub(super) fn on_request_data(&self, body: &Body, data: &[u8]) {
        self.keep(data);
        let request = self.request.borrow().clone();
        // An error is the request's end, of which the client tells.
        if let Some(Ok(false)) = request.map(|request| request.write(data)) {
            body.pause();
        }
    }

    /// The request's body is complete.
    pub(super) fn on_request_end(&self, trailers: &Fields<'_>) {
        self.change(|facts| facts.is_body_ended = true);
        let request = self.request.borrow().clone();
        let Some(request) = request else { return };
        for (name, value) in trailers.iter().filter(|(name, _)| fields::is_passed_trailer(name)) {
            // They are not kept.
            self.change(|facts| facts.is_kept = false);
            // Refused where trailers cannot follow.
            let _ = request.add_trailer(name, value);
        }
        let _ = request.end(b"");
    }

    /// The upstream has room again.
    pub(super) fn on_upstream_drain(&self) {
        self.with(|downstream| downstream.body().iter().for_each(|body| body.resume()));
    }

    pub(super) fn on_information(&self, head: &IncomingResponse<'_>) {
        // The server itself sends 100, once the body is claimed.
        if !self.facts.get().is_over && head.status != 100 {
            self.with(|downstream| downstream.inform(head));
        }
    }

    pub(super) fn on_head(&self, request: &ClientRequest, head: &IncomingResponse<'_>) {
        if self.facts.get().is_over {
            return;
        }
        self.change(|facts| (facts.has_begun, facts.is_kept, facts.is_head_due) = (true, false, true));
        if self.with(|downstream| downstream.begin(head).is_err()) {
            // The client has left, or the head cannot be sent.
            self.change(|facts| facts.has_begun = false);
            return request.abort();
        }
        if !matches!(head.framing, Framing::None | Framing::Length(0)) {
            self.flush_soon();
        }
    }

    /// Has what is prepared sent soon, from the loop, if it is not sent by then with what follows it.
    fn flush_soon(&self) {
        if !self.facts.get().is_flush_due {
            self.change(|facts| facts.is_flush_due = true);
            self.with(Downstream::flush_soon);
        }
    }

    /// Some of the response's body has come. Small pieces of one turn leave together.
    pub(super) fn on_body(&self, request: &ClientRequest, data: &[u8]) {
        let is_small = data.len() < SMALL;
        if is_small {
            let mut pending = self.pending.borrow_mut();
            pending.extend_from_slice(data);
            if pending.len() < MUCH {
                drop(pending);
                return self.flush_soon();
            }
        }
        let mut is_welcome = self.send_pending();
        if !is_small {
            is_welcome = self.write(data);
        }
        if !is_welcome {
            request.pause();
        }
    }

    /// Sends what has come of the body. Returns whether more is welcome.
    fn send_pending(&self) -> bool {
        let mut pending = self.pending.borrow_mut();
        let is_welcome = pending.is_empty() || self.write(&pending);
        recycle(&mut pending, 0, KEPT_CAPACITY);
        is_welcome
    }

    fn write(&self, data: &[u8]) -> bool {
        self.change(|facts| facts.is_head_due = false);
        // It fails only if the client has left, of which the server tells.
        self.with(|downstream| downstream.write(data).ok()).unwrap_or(true)
    }

    pub(super) fn on_end(&self, trailers: &Fields<'_>) {
        let facts = self.facts.get();
        if facts.is_over {
            return;
        }
        let is_cut = self.has_body() && !facts.is_body_ended;
        self.succeed();
        let mut pending = self.pending.borrow_mut();
        // Fails only if the client has left.
        self.with(|downstream| _ = downstream.end(&pending, trailers, is_cut));
        recycle(&mut pending, 0, KEPT_CAPACITY);
    }

    pub(super) fn on_upgrade(&self, socket: &Socket, surplus: &[u8]) {
        if self.facts.get().is_over {
            return;
        }
        let Some(upstream) = self.upstream.take() else { return };
        let core = Rc::clone(&self.core);
        core.choice.borrow_mut().learn(upstream, Outcome::Answered, core.now());
        self.succeed();
        let used = Use { core, upstream };
        self.with(|downstream| match downstream {
            Downstream::Raw(raw) if raw.join(socket, surplus, used).is_ok() => {}
            downstream => downstream.break_off(),
        });
    }

    /// The client has room again, or what is prepared may wait no longer.
    pub(super) fn on_client_drain(&self) {
        if let Some(request) = &*self.request.borrow() {
            // Nothing happens if it is sent.
            let _ = request.flush_headers();
        }
        let is_head_due = self.facts.get().is_head_due;
        self.change(|facts| (facts.is_flush_due, facts.is_head_due) = (false, false));
        if is_head_due && self.pending.borrow().is_empty() {
            self.with(Downstream::flush);
        }
        let is_welcome =
            self.send_pending() && self.downstream.borrow().as_ref().is_none_or(Downstream::has_room);
        if let Some(request) = &*self.request.borrow() {
            // What is not welcome is asked for when there is room again.
            if is_welcome { request.resume() } else { request.pause() }
        }
    }
}
