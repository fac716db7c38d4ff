//! Connections that the worker has taken and that their servers have not got yet. The primary gives a connection to
//! another worker if this process dies before it has acknowledged it, so the acknowledgement goes to the kernel first. Node
//! serves a connection before it acknowledges it.

use super::faux_handle::{FauxInner, Reservation};
use crate::channel::Channel;
use async_wrap::Environment;
use async_wrap::layer::OnUnwind;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

#[derive(Default)]
pub(super) struct Delivery(RefCell<VecDeque<Item>>);

struct Item {
    /// Due once the channel has sent this many bytes, the acknowledgement among them.
    sent: u64,
    what: What,
}

enum What {
    Connection(Reservation, OwnedFd),
    /// A server that is about to close has got all connections that waited for it.
    QueueEnd(Rc<FauxInner>),
}

impl Delivery {
    /// Adds connections that are acknowledged once the channel has sent `sent` bytes.
    pub(super) fn add(&self, sent: u64, connections: impl Iterator<Item = (Reservation, OwnedFd)>) {
        let items = connections.map(|(place, fd)| Item { sent, what: What::Connection(place, fd) });
        self.0.borrow_mut().extend(items);
    }

    /// Adds the end of a server's queue, behind the connections that were added before.
    pub(super) fn add_queue_end(&self, faux: Rc<FauxInner>) {
        let mut items = self.0.borrow_mut();
        let sent = items.back().map_or(0, |item| item.sent);
        items.push_back(Item { sent, what: What::QueueEnd(faux) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Closes the connections that were not delivered.
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }

    /// Delivers what is due. A panic leaves the rest to the channel's `on_notify`.
    pub(super) fn run(&self, env: &Environment, channel: &Channel) {
        let rest = OnUnwind::new(|| channel.notify());
        while let Some(item) = self.next_due(channel) {
            match item.what {
                What::Connection(place, fd) => place.serve(env, fd),
                What::QueueEnd(faux) => faux.queue_taken(),
            }
        }
        rest.disarm();
    }

    fn next_due(&self, channel: &Channel) -> Option<Item> {
        self.0.borrow_mut().pop_front_if(|item| item.sent <= channel.sent())
    }
}
