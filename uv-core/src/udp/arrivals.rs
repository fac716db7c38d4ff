//! What one receive has brought, handed over datagram by datagram. What is left when its handler stops waits for the next
//! start. Mirrors the loop of `uv__udp_recvmmsg`, which drops the rest.

use super::flags::KEPT;
use super::inner::UdpInner;
use super::{Ecn, Envelope, Udp};
use crate::poller::Readiness;
use crate::sys::slots::{Arrival, Slots};
use std::collections::VecDeque;

/// A datagram whose handler has stopped before it was handed over.
pub(super) struct Kept {
    data: Box<[u8]>,
    envelope: Envelope,
}

/// The datagrams of one receive that are still to be handed over. A buffer of GRO is several.
struct Arrivals<'a> {
    slots: &'a Slots,
    /// The next slot.
    next: usize,
    received: usize,
    /// The rest of a buffer of several datagrams, and the bytes of each.
    rest: Option<(&'a [u8], usize, Envelope)>,
}

impl<'a> Arrivals<'a> {
    fn is_over(&self) -> bool {
        self.next == self.received && self.rest.is_none()
    }

    /// Takes the first datagram of a buffer.
    fn first_of(&mut self, data: &'a [u8], bytes: usize, envelope: Envelope) -> (&'a [u8], Envelope) {
        let several = data.split_at_checked(bytes).filter(|(_, rest)| !rest.is_empty());
        let Some((first, rest)) = several else { return (data, envelope) };
        self.rest = Some((rest, bytes, envelope));
        (first, Envelope { is_truncated: false, ..envelope })
    }
}

impl<'a> Iterator for Arrivals<'a> {
    type Item = (&'a [u8], Envelope);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some((data, bytes, envelope)) = self.rest.take() {
            return Some(self.first_of(data, bytes, envelope));
        }
        while self.next < self.received {
            let arrival = self.slots.arrival(self.next);
            self.next += 1;
            let Some(envelope) = envelope(&arrival) else { continue };
            return Some(match arrival.told.segment.filter(|bytes| *bytes > 0) {
                None => (arrival.data, envelope),
                Some(bytes) => self.first_of(arrival.data, bytes, envelope),
            });
        }
        None
    }
}

/// Keeps what is left when it is dropped, because the handler has stopped or panicked.
struct HandOver<'a> {
    inner: &'a UdpInner,
    arrivals: Arrivals<'a>,
}

impl Drop for HandOver<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.arrivals.is_over() && !self.inner.handle.is_closing() {
            self.inner.keep(&mut self.arrivals);
        }
    }
}

impl UdpInner {
    /// Copies the first datagram, and keeps those behind it.
    pub(super) fn take_first(
        &self,
        slots: &Slots,
        received: usize,
        buffer: &mut [u8],
    ) -> Option<(usize, Envelope)> {
        let arrivals = Arrivals { slots, next: 0, received, rest: None };
        let mut rest = HandOver { inner: self, arrivals };
        let (data, envelope) = rest.arrivals.next()?;
        Some(copied(data, envelope, buffer))
    }

    /// Copies the first of the datagrams that were kept.
    #[cold]
    pub(super) fn take_kept(&self, buffer: &mut [u8]) -> Option<(usize, Envelope)> {
        let (first, is_last) = self.cold.with(|cold| (cold.kept.pop_front(), cold.kept.is_empty()));
        if is_last {
            self.clear(KEPT);
            self.cold.with(|cold| cold.kept = VecDeque::new());
        }
        let Kept { data, envelope } = first?;
        Some(copied(&data, envelope, buffer))
    }

    /// At most what one receive brings is kept, since the next one comes after it.
    #[cold]
    fn keep(&self, arrivals: &mut Arrivals<'_>) {
        let kept = arrivals.map(|(data, envelope)| Kept { data: data.into(), envelope });
        self.cold.with(|cold| cold.kept.extend(kept));
        self.set(KEPT);
        // The start that follows begins with a turn.
        self.ready.set(Readiness::READABLE);
    }
}

impl Udp {
    /// Calls the tower with each datagram, until it stops receiving. Returns the number of calls.
    pub(super) fn hand_over(&self, slots: &Slots, received: usize) -> usize {
        let arrivals = Arrivals { slots, next: 0, received, rest: None };
        let mut hand_over = HandOver { inner: &self.0, arrivals };
        let mut calls = 0;
        for (data, envelope) in hand_over.arrivals.by_ref() {
            calls += 1;
            self.on_receive(data, &envelope);
            if !self.0.receives_on() {
                break;
            }
        }
        calls
    }

    /// Likewise with what was kept.
    #[cold]
    pub(super) fn hand_over_kept(&self) -> usize {
        let inner = &self.0;
        let mut calls = 0;
        while inner.receives_on() {
            let Some(kept) = inner.cold.with(|cold| cold.kept.pop_front()) else {
                inner.clear(KEPT);
                inner.cold.with(|cold| cold.kept = VecDeque::new());
                break;
            };
            calls += 1;
            self.on_receive(&kept.data, &kept.envelope);
        }
        calls
    }

    #[inline]
    fn on_receive(&self, data: &[u8], envelope: &Envelope) {
        self.call("UdpUpcall::on_receive", |upcall, udp| upcall.on_receive(udp, data, envelope));
    }
}

#[inline]
fn envelope(arrival: &Arrival<'_>) -> Option<Envelope> {
    Some(Envelope {
        from: arrival.from?,
        is_truncated: arrival.is_truncated,
        destination: arrival.told.destination,
        ecn: arrival.told.ecn.and_then(Ecn::of_bits),
    })
}

/// Copies what fits.
fn copied(data: &[u8], envelope: Envelope, buffer: &mut [u8]) -> (usize, Envelope) {
    let count = data.len().min(buffer.len());
    buffer[..count].copy_from_slice(&data[..count]);
    (count, Envelope { is_truncated: envelope.is_truncated || count < data.len(), ..envelope })
}
