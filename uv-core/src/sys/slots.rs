//! Receiving datagrams: the buffers of `recvmmsg`, which a loop has once for all of its sockets.

use super::control::{self, Control, IN_BYTES, Told};
use super::datagram::sent;
use super::fd::check;
use super::inet::{NAME_BYTES, Name};
use crate::Errno;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// The most datagrams in one `recvmmsg`: libuv's bound of a socket's turn.
pub(crate) const DATAGRAMS_PER_RECEIVE: usize = 32;

/// Room for the largest datagram, and for the largest buffer that GRO makes of several.
pub(crate) const LARGEST_DATAGRAM: usize = 65_536;

/// Between two slots, so that the begins of slots of a power of two do not share the same few lines of a processor's
/// cache.
const GAP: usize = 192;

/// The buffers of one `recvmmsg`.
///
/// The headers point into the other arrays and into the buffer, so all of them are used through pointers only.
pub(crate) struct Slots {
    area: NonNull<Area>,
    buffer: NonNull<[u8]>,
    ready: Ready,
}

struct Area {
    headers: [libc::mmsghdr; DATAGRAMS_PER_RECEIVE],
    slices: [libc::iovec; DATAGRAMS_PER_RECEIVE],
    names: [Name; DATAGRAMS_PER_RECEIVE],
    controls: [Control<IN_BYTES>; DATAGRAMS_PER_RECEIVE],
}

/// Which headers are as `recvmmsg` wants them.
#[derive(Clone, Copy, Default)]
struct Ready {
    /// The number of slots that have been made.
    made: usize,
    /// The bytes of each.
    size: usize,
    with_control: bool,
    /// The first of them that the kernel has filled in since.
    filled: usize,
}

/// What a slot has received.
pub(crate) struct Arrival<'a> {
    /// The datagram, or several of one sender: see [`Told::segment`].
    pub(crate) data: &'a [u8],
    pub(crate) from: Option<SocketAddr>,
    /// The datagram was longer than its slot.
    pub(crate) is_truncated: bool,
    pub(crate) told: Told,
}

impl Slots {
    pub(crate) fn new() -> Self {
        // SAFETY: all zeroes is a valid `Area`: null pointers, integers and arrays of them.
        let area: Box<Area> = Box::new(unsafe { std::mem::zeroed() });
        Self { area: of_box(area), buffer: of_box(Box::from([])), ready: Ready::default() }
    }

    /// Receives up to `count` datagrams of up to `size` bytes, with what the kernel tells of them if `with_control`. The
    /// buffer grows to what is asked for.
    pub(crate) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        count: usize,
        size: usize,
        with_control: bool,
    ) -> Result<usize, Errno> {
        let count = count.clamp(1, DATAGRAMS_PER_RECEIVE);
        #[cfg(upcall_faults)]
        let count = crate::faults::receive_datagrams(fd, count)?;
        self.prepare(count, size.clamp(1, LARGEST_DATAGRAM), with_control);
        let received = sent("recvmmsg(2)", || {
            let area = self.area.as_ptr();
            let flags = libc::MSG_DONTWAIT as _;
            // SAFETY: the first `count` headers describe slots that this value owns (`prepare`); no timeout is given.
            check(unsafe {
                let headers = (&raw mut (*area).headers).cast();
                libc::recvmmsg(fd.as_raw_fd(), headers, count as libc::c_uint, flags, std::ptr::null_mut())
            })
        })?;
        self.ready.filled = received;
        Ok(received)
    }

    /// What the slot of this index has received in the last call.
    pub(crate) fn arrival(&self, index: usize) -> Arrival<'_> {
        assert!(index < self.ready.filled, "the slot was filled");
        let (area, size) = (self.area.as_ptr(), self.ready.size);
        // SAFETY: the area is initialised and owned by this value, and nothing else refers to it.
        let (header, name) = unsafe { (&(*area).headers[index], &(*area).names[index]) };
        let len = (header.msg_len as usize).min(size);
        // SAFETY: the slot lies in the buffer (`prepare`), which is initialised and owned by this value.
        let data = unsafe { std::slice::from_raw_parts(self.start_of(index, size), len) };
        let told = if self.ready.with_control {
            // SAFETY: the kernel has filled in the control part, whose buffer this value owns.
            unsafe { control::read(&header.msg_hdr) }
        } else {
            Told::default()
        };
        Arrival {
            data,
            from: name.addr().filter(|_| header.msg_hdr.msg_namelen > 0),
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            told,
        }
    }

    fn start_of(&self, index: usize, size: usize) -> *mut u8 {
        // The whole buffer has a length of at most `isize::MAX`, and the slot lies inside it.
        self.buffer.as_ptr().cast::<u8>().wrapping_add(index * stride(size))
    }

    /// Makes the first `count` headers describe empty slots of `size` bytes.
    fn prepare(&mut self, count: usize, size: usize, with_control: bool) {
        let needed = count * stride(size);
        if self.buffer.len() < needed {
            // SAFETY: the buffer came from a box, and nothing refers to it: the headers are made anew.
            drop(unsafe { Box::from_raw(self.buffer.as_ptr()) });
            self.buffer = of_box(vec![0; needed].into_boxed_slice());
            self.ready = Ready::default();
        }
        let ready = self.ready;
        if ready.size != size || ready.with_control != with_control {
            self.ready = Ready { made: 0, size, with_control, filled: 0 };
        }
        for index in 0..self.ready.filled.min(count) {
            self.empty(index);
        }
        for index in self.ready.made..count {
            self.make(index);
            self.empty(index);
        }
        // Those behind `count` that are still filled are made again when they are wanted.
        self.ready.made = if self.ready.filled > count { count } else { self.ready.made.max(count) };
        self.ready.filled = 0;
    }

    /// Makes the header of a slot, with its parts that the kernel does not change.
    fn make(&mut self, index: usize) {
        let (area, size) = (self.area.as_ptr(), self.ready.size);
        let start = self.start_of(index, size);
        // SAFETY: the area is initialised and owned by this value, and the index is in its arrays.
        unsafe {
            (*area).slices[index] = libc::iovec { iov_base: start.cast(), iov_len: size };
            let header = &raw mut (*area).headers[index].msg_hdr;
            (*header).msg_name = (&raw mut (*area).names[index]).cast();
            (*header).msg_iov = &raw mut (*area).slices[index];
            (*header).msg_iovlen = 1;
            (*header).msg_control = if self.ready.with_control {
                (&raw mut (*area).controls[index]).cast()
            } else {
                std::ptr::null_mut()
            };
        }
    }

    /// Restores the parts of a slot's header that the kernel changes.
    fn empty(&mut self, index: usize) {
        let area = self.area.as_ptr();
        // SAFETY: the area is initialised and owned by this value, and the index is in its arrays.
        unsafe {
            let header = &raw mut (*area).headers[index].msg_hdr;
            (*header).msg_namelen = NAME_BYTES;
            (*header).msg_controllen = if self.ready.with_control { IN_BYTES as _ } else { 0 };
            (*header).msg_flags = 0;
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: both came from boxes, and nothing refers to them any more.
        drop(unsafe { (Box::from_raw(self.area.as_ptr()), Box::from_raw(self.buffer.as_ptr())) });
    }
}

const fn stride(size: usize) -> usize {
    size.next_multiple_of(64) + GAP
}

fn of_box<T: ?Sized>(value: Box<T>) -> NonNull<T> {
    NonNull::from(Box::leak(value))
}
