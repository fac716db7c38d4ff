//! When a request has taken too long. Mirrors `socket.setTimeout` of Node's client, with a limit for each phase and an end that
//! follows.
//!
//! No request has a timer with the default limits: one timer of the agent looks at all requests once a second. A limit below
//! [`COARSE`] has a timer of its own, for as long as it is the next one to pass.

use super::Shared;
use super::error::ErrorKind;
use super::exchange::Exchange;
use super::options::{Phase, TimeLimits};
use crate::agent::Core;
use async_wrap::Heard;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The interval of the looks at all requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limits from here on are left to those looks, which are late by a tenth of it at most.
const COARSE: Duration = Duration::from_secs(10);

/// What follows when a limit passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fails(ErrorKind),
    /// The body is sent without a `100 Continue`.
    SendsBody,
}

/// A limit that applies, and since when.
#[derive(Clone, Copy, Debug)]
struct Applied {
    limit: Duration,
    since: Duration,
    verdict: Verdict,
}

impl TimeLimits {
    /// Whether a limit is too short for the looks at all requests.
    pub(super) fn has_fine(&self) -> bool {
        let Self { queue, resolve, connect, send, await_continue: _, head, between_bytes, whole } = *self;
        [queue, resolve, connect, send, head, between_bytes, whole]
            .into_iter()
            .flatten()
            .any(|limit| limit < COARSE)
    }
}

impl Exchange {
    /// The limits that apply now.
    fn applied(&self) -> impl Iterator<Item = Applied> {
        let (limits, clock) = (self.limits.get(), &self.clock);
        let timeout = Verdict::Fails(ErrorKind::Timeout);
        let of_phase = match clock.phase() {
            None => None,
            Some(Phase::Queue) => limits.queue.map(|limit| (limit, clock.since(), timeout)),
            Some(Phase::Resolve) => limits.resolve.map(|limit| (limit, clock.since(), timeout)),
            Some(Phase::Connect) => limits.connect.map(|limit| (limit, clock.since(), timeout)),
            Some(Phase::Send) => limits.send.map(|limit| (limit, clock.moved(), timeout)),
            Some(Phase::AwaitContinue) => {
                limits.await_continue.map(|limit| (limit, clock.since(), Verdict::SendsBody))
            }
            Some(Phase::Head) => limits.head.map(|limit| (limit, clock.since(), timeout)),
            // A pause is the program's own.
            Some(Phase::Body) if self.facts().is_paused => None,
            Some(Phase::Body) => limits.between_bytes.map(|limit| (limit, clock.moved(), timeout)),
        };
        let whole = limits.whole.filter(|_| !self.is_over());
        let whole = whole.map(|limit| (limit, clock.began(), Verdict::Fails(ErrorKind::WholeTimeout)));
        of_phase.into_iter().chain(whole).map(|(limit, since, verdict)| Applied { limit, since, verdict })
    }

    /// Sets the timer of a limit that is too short for the looks at all requests, unless it is set for that time or an earlier
    /// one.
    pub(super) fn arm(self: &Rc<Self>) {
        let fine = self.applied().filter(|applied| applied.limit < COARSE);
        let Some(due) = fine.map(|applied| applied.since.saturating_add(applied.limit)).min() else { return };
        let armed = self.peek_rare(|rare| rare.timer.as_ref().map(|(due, _)| *due));
        if armed.is_some_and(|armed| armed <= due) {
            return;
        }
        self.disarm();
        let (env, exchange) = (&self.core.shared.env, Rc::downgrade(self));
        let after = due.saturating_sub(self.core.shared.now());
        let timer = env.set_deadline(after, move |heard| {
            if let Some(exchange) = exchange.upgrade() {
                exchange.peek_rare(|rare| rare.timer = None);
                exchange.judge(heard);
                if !exchange.is_over() {
                    exchange.arm();
                }
            }
        });
        timer.unref();
        self.rare(|rare| rare.timer = Some((due, timer)));
    }

    pub(super) fn disarm(&self) {
        if let Some((_, timer)) = self.peek_rare(|rare| rare.timer.take()) {
            timer.clear();
        }
    }

    /// Ends the request if a limit has passed.
    fn judge(self: &Rc<Self>, heard: Heard) {
        let now = heard.until();
        self.clock.correct(heard);
        if matches!(self.clock.phase(), Some(Phase::Send | Phase::Body)) {
            self.note_progress(now);
        }
        let has_passed = |applied: &Applied| now.saturating_sub(applied.since) >= applied.limit;
        let passed = self.applied().find(has_passed);
        match passed.map(|applied| applied.verdict) {
            None => {}
            Some(Verdict::SendsBody) => {
                if let Some(connection) = self.connection() {
                    connection.release(self);
                }
            }
            // What is left is the rest of the request, behind a complete response.
            Some(Verdict::Fails(kind)) if self.is_over() => {
                self.connection().iter().for_each(|connection| connection.break_off(kind));
            }
            Some(Verdict::Fails(kind)) => self.end_with(kind),
        }
    }

    /// Notes whether the server has fetched some of what is written. If nothing waits for it the program is to go on.
    fn note_progress(&self, now: Duration) {
        let Some(connection) = self.connection() else { return };
        let socket = &connection.socket;
        // What the kernel holds is not fetched either, and it takes more only when much of that is.
        let fetched = socket.bytes_written().saturating_sub(socket.unacknowledged() as u64);
        let is_sending = self.clock.phase() == Some(Phase::Send);
        if self.clock.note_fetched(fetched) || (is_sending && socket.buffered() == 0) {
            self.clock.note_move(now);
        }
    }
}

/// What the timer has of the agent. It is dropped with the loop, and then the requests that were under way are.
struct Looker {
    core: Weak<Core>,
    /// Of the timer; the next one may run already when what a stopped one has is dropped.
    number: u32,
}

impl Looker {
    fn look(&self, heard: Heard) {
        self.core.upgrade().iter().for_each(|core| core.shared.look(heard));
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        let Some(core) = self.core.upgrade() else { return };
        if core.shared.timers.get() == self.number {
            core.shared.each(|exchange| exchange.give_up());
        }
    }
}

impl Shared {
    /// Looks at a request from now on, until it is [left](Self::leave).
    pub(super) fn watch(core: &Rc<Core>, exchange: &Rc<Exchange>) {
        let shared = &core.shared;
        exchange.key.set(shared.active.borrow_mut().insert(Rc::clone(exchange)));
        if shared.looking.borrow().is_none() {
            let looker = Looker { core: Rc::downgrade(core), number: shared.timers.get() };
            let timer = shared.env.set_inspection(INTERVAL, move |heard| looker.look(heard));
            timer.unref();
            shared.looking.replace(Some(timer));
        }
        if exchange.limits.get().has_fine() {
            exchange.change(|facts| facts.has_fine_limits = true);
            exchange.arm();
        }
    }

    /// Looks at a request no more.
    pub(super) fn leave(&self, exchange: &Exchange) {
        let left = self.active.borrow_mut().try_remove(exchange.key.replace(usize::MAX));
        drop(left);
        if self.is_abandoned() {
            self.stop_looking();
        }
    }

    /// The timer is stopped once there is nothing to look at.
    pub(super) fn stop_looking(&self) {
        if self.active.borrow().is_empty() {
            self.timers.set(self.timers.get().wrapping_add(1));
            self.looking.take().iter().for_each(|timer| timer.clear());
        }
    }

    fn look(&self, heard: Heard) {
        self.each(|exchange| exchange.judge(heard));
        self.stop_looking();
    }

    /// Works on each of the requests as they are now: working on one may end others.
    fn each(&self, work: impl FnMut(&Rc<Exchange>)) {
        let all: Vec<_> = self.active.borrow().iter().map(|(_, exchange)| Rc::clone(exchange)).collect();
        all.iter().for_each(work);
    }
}
