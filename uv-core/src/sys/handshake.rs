//! Listening sockets that are about to close: the kernel begins no further connection on them.

use super::call;
use super::fd::check;
use super::socket::set_option;
use crate::Errno;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Where the flags of a TCP header are.
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Makes a listening TCP socket ignore the SYNs of new clients (`SO_ATTACH_FILTER`): a client sends its SYN again after
/// a second, and is then refused if the socket is closed. Handshakes that have begun go on.
///
/// Needs no privilege. The filter belongs to the socket, not to the descriptor. Connections inherit it, and lose nothing
/// by it: no segment of an established connection has a SYN.
pub(crate) fn ignore_syns(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let instruction = |code: u32, jump_if: u8, jump_else: u8, operand: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_if,
        jf: jump_else,
        k: operand,
    };
    // The filter sees a segment from its TCP header on, and returns how many bytes of it to keep.
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let len = size_of::<libc::sock_fprog>() as libc::socklen_t;
    call("setsockopt(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("setsockopt(2)")?;
        // SAFETY: pointer and length describe the struct, which names the program and its length; the kernel copies it.
        check(unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const filter).cast(),
                len,
            )
        })
        .map(drop)
    })
}

/// Undoes [`ignore_syns`].
pub(crate) fn answer_syns(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    call("setsockopt(2)", || set_option(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0))
}

/// Makes a listening Unix socket refuse new clients; those in its queue can still be accepted. Cannot be undone.
pub(crate) fn refuse_connects(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    call("shutdown(2)", || check(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RD) }).map(drop))
}
