//! Sockets of datagrams: one safe function for each system call that sends or makes, and the error queue. What receives
//! is in `slots.rs`.

use super::addr::SockAddr;
use super::control::{self, Control, ControlOut, ERROR_BYTES, Marks, QueuedError};
use super::fd::{check, check_len, own};
use super::inet::{NAME_BYTES, Name};
use super::{call, transfer};
use crate::layer::trace::Facts;
use crate::{Errno, LAYER};
use std::io::IoSlice;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The most datagrams in one `sendmmsg`: enough to make the call's own cost negligible, and few enough for the stack.
pub(crate) const DATAGRAMS_PER_SEND: usize = 64;

/// Entries of the error queue that are no errors and are dropped in one call: a socket that this crate makes has none, but an
/// adopted socket may have asked for the times of its datagrams.
const OTHER_ENTRIES: u32 = 64;

const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A datagram to send; `to` is `None` for the socket's peer.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) to: Option<SocketAddr>,
    pub(crate) marks: Marks,
}

/// Creates a non-blocking UDP socket, with `FD_CLOEXEC`.
pub(crate) fn socket(family: libc::c_int) -> Result<OwnedFd, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("socket(2)")?;
    #[cfg(upcall_faults)]
    if family == libc::AF_INET6 {
        crate::faults::refuse("socket(2) of IPv6")?;
    }
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes integers only; a descriptor that it returns is new.
    unsafe { own(libc::socket(family, kind, 0)) }
}

/// Whether the descriptor is a socket of datagrams.
pub(crate) fn is_datagram_socket(fd: BorrowedFd<'_>) -> bool {
    super::socket::get_option(fd, libc::SOL_SOCKET, libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_DGRAM)
}

/// Sets the peer, which the socket then sends to and receives from alone.
pub(crate) fn connect(fd: BorrowedFd<'_>, addr: &SockAddr) -> Result<(), Errno> {
    call("connect(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("connect(2) of datagrams")?;
        // SAFETY: pointer and length describe the address, which outlives the call.
        check(unsafe { libc::connect(fd.as_raw_fd(), addr.as_ptr(), addr.len()) }).map(drop)
    })
}

/// Removes the peer.
pub(crate) fn disconnect(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let nothing = libc::sockaddr { sa_family: libc::AF_UNSPEC as _, sa_data: [0; 14] };
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    call("connect(2)", || {
        // SAFETY: pointer and length describe the address, which outlives the call.
        check(unsafe { libc::connect(fd.as_raw_fd(), &raw const nothing, len) }).map(drop)
    })
}

/// Sends one datagram, which is gathered from several buffers.
pub(crate) fn send(
    fd: BorrowedFd<'_>,
    data: &[IoSlice<'_>],
    to: Option<SocketAddr>,
    marks: &Marks,
) -> Result<usize, Errno> {
    if let [data] = data
        && !marks.is_any()
    {
        return send_plain(fd, data, to);
    }
    #[cfg(upcall_faults)]
    crate::faults::send_datagrams("sendmsg(2) of a datagram", fd, 1)?;
    let mut control = ControlOut::empty();
    let control_len = control.write(marks);
    let mut name = to.map(Name::of);
    // SAFETY: all zeroes is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some((name, len)) = &mut name {
        message.msg_name = std::ptr::from_mut(name).cast();
        message.msg_namelen = *len;
    }
    // `IoSlice` is guaranteed to have the layout of `iovec`; the kernel does not write through it.
    message.msg_iov = data.as_ptr().cast_mut().cast();
    message.msg_iovlen = data.len() as _;
    if control_len > 0 {
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control_len as _;
    }
    transfer("sendmsg(2)", || {
        // SAFETY: the message's pointers describe buffers that outlive the call.
        check_len(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, FLAGS) })
    })
}

/// Sends one datagram of which nothing is asked, which costs the kernel least by this call.
fn send_plain(fd: BorrowedFd<'_>, data: &[u8], to: Option<SocketAddr>) -> Result<usize, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::send_datagrams("sendto(2)", fd, 1)?;
    let name = to.map(Name::of);
    let (name, len) =
        name.as_ref().map_or((std::ptr::null(), 0), |(name, len)| (std::ptr::from_ref(name), *len));
    transfer("sendto(2)", || {
        // SAFETY: the pointers describe the data and the name, or no name, which outlive the call.
        check_len(unsafe {
            libc::sendto(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), FLAGS, name.cast(), len)
        })
    })
}

/// Sends datagrams, at most [`DATAGRAMS_PER_SEND`]. Returns the number of those sent, which is at least 1: an error is
/// that of the first.
pub(crate) fn send_many<'a>(
    fd: BorrowedFd<'_>,
    messages: impl Iterator<Item = Message<'a>> + Clone,
) -> Result<usize, Errno> {
    let mut rest = messages.clone();
    if let (Some(only), None) = (rest.next(), rest.next())
        && !only.marks.is_any()
    {
        return send_plain(fd, only.data, only.to).map(|_| 1);
    }
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; DATAGRAMS_PER_SEND];
    let mut slices = [const { MaybeUninit::<libc::iovec>::uninit() }; DATAGRAMS_PER_SEND];
    let mut names = [const { MaybeUninit::<Name>::uninit() }; DATAGRAMS_PER_SEND];
    let mut controls = [const { MaybeUninit::<ControlOut>::uninit() }; DATAGRAMS_PER_SEND];
    let rooms = headers.iter_mut().zip(&mut slices).zip(&mut names).zip(&mut controls);
    let mut count = 0;
    for (message, (((header, slice), name), control)) in messages.zip(rooms) {
        // The kernel does not write through it.
        let slice = slice.write(libc::iovec {
            iov_base: message.data.as_ptr().cast_mut().cast(),
            iov_len: message.data.len(),
        });
        // SAFETY: all zeroes is a valid `mmsghdr`: null pointers and zero lengths.
        let header = header.write(unsafe { std::mem::zeroed() });
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(to) = message.to {
            let (of_address, len) = Name::of(to);
            header.msg_hdr.msg_name = std::ptr::from_mut(name.write(of_address)).cast();
            header.msg_hdr.msg_namelen = len;
        }
        if message.marks.is_any() {
            let control = control.write(ControlOut::empty());
            header.msg_hdr.msg_controllen = control.write(&message.marks) as _;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        }
        count += 1;
    }
    #[cfg(upcall_faults)]
    let count = crate::faults::send_datagrams("sendmmsg(2)", fd, count)?;
    sent("sendmmsg(2)", || {
        let first = headers.as_mut_ptr().cast::<libc::mmsghdr>();
        // SAFETY: the first `count` headers are initialised, and their pointers describe buffers that outlive the call.
        check(unsafe { libc::sendmmsg(fd.as_raw_fd(), first, count as libc::c_uint, FLAGS as _) })
    })
}

/// Makes a system call that transfers datagrams, and traces it.
#[inline]
#[track_caller]
pub(super) fn sent(
    name: &'static str,
    call: impl FnOnce() -> Result<libc::c_int, Errno>,
) -> Result<usize, Errno> {
    #[cfg(upcall_faults)]
    let call = || crate::faults::progress(call());
    let count = LAYER.kernel(name, call, |result| match result {
        Ok(count) => Facts::saying(format_args!("{count} datagrams")),
        Err(errno) => Facts::saying(errno.name()),
    });
    count.map(|count| usize::try_from(count).unwrap_or(0))
}

/// Takes an error of the error queue (`IP_RECVERR`); `None` if there is none, or none among the next entries. Those that are no
/// errors are dropped.
pub(crate) fn take_queued_error(fd: BorrowedFd<'_>) -> Result<Option<QueuedError>, Errno> {
    let mut control = Control([0; ERROR_BYTES]);
    let mut name = Name::empty();
    // SAFETY: all zeroes is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut name).cast();
    for _ in 0..OTHER_ENTRIES {
        message.msg_namelen = NAME_BYTES;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = ERROR_BYTES as _;
        let taken = transfer("recvmsg(2)", || {
            let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
            // SAFETY: the message's pointers describe buffers that outlive the call.
            check_len(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })
        });
        match taken {
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
        // SAFETY: the kernel has filled in the control part, whose buffer is still there.
        if let Some(errno) = unsafe { control::read_error(&message) } {
            return Ok(Some(QueuedError { errno, to: name.addr().filter(|_| message.msg_namelen > 0) }));
        }
    }
    Ok(None)
}
