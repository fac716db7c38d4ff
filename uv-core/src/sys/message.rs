//! Messages with descriptors: `sendmsg` and `recvmsg` with `SCM_RIGHTS`.

use super::fd::check_len;
use super::socket::Means;
use super::transfer;
use crate::Errno;
use std::io::IoSlice;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors in one message: the kernel's limit (`SCM_MAX_FD`).
pub(crate) const FDS_PER_MESSAGE: usize = 253;

const CONTROL_BYTES: usize = control_space(FDS_PER_MESSAGE * size_of::<RawFd>());

const fn control_space(bytes: usize) -> usize {
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE(bytes as u32) as usize }
}

/// A buffer for a control message, with the alignment of its header.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Sends buffers, and descriptors with their first byte. Raises no SIGPIPE.
pub(crate) fn send(
    fd: BorrowedFd<'_>,
    means: Means,
    data: &[IoSlice<'_>],
    fds: &[RawFd],
) -> Result<usize, Errno> {
    if fds.len() > FDS_PER_MESSAGE {
        return Err(Errno::EINVAL);
    }
    #[cfg(upcall_faults)]
    let cut = match means {
        Means::WaitingSocket => None,
        _ => crate::faults::write_from("sendmsg(2)", fd, data, !fds.is_empty())?
            .map(|first| [IoSlice::new(first)]),
    };
    #[cfg(upcall_faults)]
    let data = cut.as_ref().map_or(data, |cut| &cut[..]);
    // SAFETY: all zeroes is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // `IoSlice` is guaranteed to have the layout of `iovec`; the kernel does not write through it.
    message.msg_iov = data.as_ptr().cast_mut().cast();
    message.msg_iovlen = data.len() as _;
    if fds.is_empty() {
        return send_message(fd, means, &message);
    }
    let mut control = Control([0; CONTROL_BYTES]);
    let bytes = size_of_val(fds);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control_space(bytes) as _;
    // SAFETY: the control buffer is aligned and, by the check above, large enough for one header and all descriptors;
    // CMSG_FIRSTHDR and CMSG_DATA stay inside it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
        std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), bytes);
    }
    send_message(fd, means, &message)
}

fn send_message(fd: BorrowedFd<'_>, means: Means, message: &libc::msghdr) -> Result<usize, Errno> {
    // SAFETY: the message's pointers describe buffers that the callers keep alive during the call.
    transfer("sendmsg(2)", || check_len(unsafe { libc::sendmsg(fd.as_raw_fd(), message, means.flags()) }))
}

/// Receives bytes and passes every descriptor that came with them to `take`, in order. Does not block.
///
/// Returns the number of bytes, and whether descriptors ended the read early: then there may be more bytes. Descriptors
/// for which the process has no room are lost; they end the read early too.
pub(crate) fn receive_fds(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    mut take: impl FnMut(OwnedFd),
) -> Result<(usize, bool), Errno> {
    #[cfg(upcall_faults)]
    let buffer = crate::faults::read_into("recvmsg(2)", fd, buffer)?;
    let mut control = Control([0; CONTROL_BYTES]);
    let mut slice = io_vector(buffer);
    let mut message = message(&mut slice);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES as _;
    #[cfg(upcall_faults)]
    if let Some(count) = crate::faults::limit_fds() {
        // SAFETY: CMSG_LEN only computes.
        message.msg_controllen = unsafe { libc::CMSG_LEN((count * size_of::<RawFd>()) as u32) } as _;
    }
    let received = receive_message(fd, &mut message)?;
    let mut cut = message.msg_flags & libc::MSG_CTRUNC != 0;
    #[cfg(upcall_faults)]
    if cut {
        crate::faults::reached(crate::faults::Branch::DescriptorsCut);
    }
    // SAFETY: the kernel filled the control part and set its length; the CMSG functions stay inside it. Descriptors in
    // an SCM_RIGHTS header are new and have no owner.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                cut = true;
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(header).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    take(OwnedFd::from_raw_fd(first.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok((received, cut))
}

/// Receives only bytes: descriptors that came with them are closed by the kernel. Does not block.
///
/// Returns the same as [`receive_fds`].
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, bool), Errno> {
    #[cfg(upcall_faults)]
    let buffer = crate::faults::read_into("recvmsg(2)", fd, buffer)?;
    let mut slice = io_vector(buffer);
    let mut message = message(&mut slice);
    let received = receive_message(fd, &mut message)?;
    let cut = message.msg_flags & libc::MSG_CTRUNC != 0;
    #[cfg(upcall_faults)]
    if cut {
        crate::faults::reached(crate::faults::Branch::DescriptorsUnwanted);
    }
    Ok((received, cut))
}

fn io_vector(buffer: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() }
}

fn message(slice: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeroes is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slice;
    message.msg_iovlen = 1;
    message
}

fn receive_message(fd: BorrowedFd<'_>, message: &mut libc::msghdr) -> Result<usize, Errno> {
    transfer("recvmsg(2)", || {
        // SAFETY: the message's pointers describe buffers that the callers keep alive during the call.
        check_len(unsafe {
            libc::recvmsg(fd.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT)
        })
    })
}
