//! Which branches of error handling have run in this process, and how often: for a test that judges what its seeds reach.
//!
//! A branch is a place that tells errors apart, or that goes on without what failed. The counters are the process's, not a
//! world's: a thread of the pool or of an output counts too.

use crate::Errno;
use crate::failure::Call;
use std::sync::atomic::{AtomicU64, Ordering};

/// A branch of error handling, in this crate or in one above it. [`Branch::ALL`] describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "described in `ALL`")]
pub enum Branch {
    ListenTellsBind,
    ListenerDrained,
    ListenerSkips,
    ListenerLosesPatience,
    ListenerSheds,
    ListenerPauses,
    ListenerWithoutAddress,
    ListenerUnasked,
    ShedOpensSpare,
    ShedWithoutSpare,
    ShedSkips,
    ShedDrained,
    ShedFails,
    ShedGoesOn,
    SpareMissing,
    SpareLost,
    AcceptSkips,
    AcceptLosesPatience,
    AcceptFails,
    ConnectGoesOn,
    ConnectUnwatched,
    ConnectReturns,
    ConnectTells,
    ConnectTellsBind,
    ConnectGoesOnStill,
    ConnectFails,
    ConnectToItself,
    ReadStartWaits,
    ReadStartFails,
    UnreadUnwatched,
    UnreadFails,
    ReadInterrupted,
    ReadInterruptedOften,
    ReadBlocks,
    ReadPauses,
    ReadFails,
    ReadableStartWaits,
    ReadableStartFails,
    TryReadBlocks,
    TryReadLater,
    TryReadFails,
    InputWaits,
    InputFails,
    PollRefused,
    PollStartFails,
    PollUnasked,
    DescriptorsCut,
    DescriptorsUnwanted,
    DescriptorUnknown,
    TryWriteInterrupted,
    TryWriteLater,
    TryWriteReturns,
    TryPassReturns,
    WriteInterrupted,
    WriteInterruptedOften,
    WriteBlocks,
    WriteShort,
    OutputPauses,
    OutputUnwatched,
    WriteFails,
    PassAgain,
    PassSkips,
    PassFails,
    TryFileLater,
    TryFileReturns,
    FileBlocks,
    FileShorter,
    FileCopied,
    BeneathByWalk,
    ShutdownFails,
    CloseWithoutFin,
    DatagramBindFails,
    DatagramErrorTaken,
    ReceiveInterrupted,
    ReceiveBlocks,
    ReceivePauses,
    ReceiveTells,
    ReceiveTellsOther,
    ReceiveEnds,
    ReceiveUnwatched,
    SendInterrupted,
    SendBlocks,
    SendRepeats,
    SendFails,
    SendUnwatched,
    TrySendReturns,
    PauseEnds,
    PauseEndsEarly,
    TroubleEnds,
    TroubleWithoutSpare,
    WaitInterrupted,
    WaitFails,
    AlarmRefused,
    LoopFails,
    RetireFails,
    BindDelays,
    BindFails,
    BindNameFails,
    BindWithoutFolder,
    BindLeftOver,
    NameUnbound,
    ModeLent,
    ModeBlocks,
    ModeBusy,
    ReopenOther,
    FilesUncompared,
    SpawnRepeats,
    SpawnRepeatsOften,
    SpawnFails,
    SpawnFolderFails,
    ExecDenied,
    ExecTriesOn,
    ExecFails,
    ExecWithoutParent,
    GroupsKept,
    PidfdMissing,
    ChildUnwatched,
    ChildLost,
    ChildById,
    AbandonInterrupted,
    OrphanUnwatched,
    KillEnded,
    KillFails,
    SignalPipeFails,
    SignalFails,
    ForkUndetected,
    OutputEnds,
    OutputInterrupted,
    OutputBlocks,
    OutputWaitFails,
    OutputFails,
    PoolWithFewer,
    PoolWithout,
    WorkFails,
    VariableKept,
    WriteAtOnceBlocks,
    SocketUnread,
    SocketUnusable,
    WithoutIpv6,
    ArrivalUnnamed,
    ChannelEnds,
    ChannelFails,
    WorkerMissing,
    DealFails,
    DealWaits,
    SharedSocketLost,
    ConnectionsLost,
    PortUnchecked,
}

impl Branch {
    /// All branches, in order: where each is, and what happens there.
    pub const ALL: &[(Self, &str)] = &[
        (Self::ListenTellsBind, "listen: the EADDRINUSE of bind(2) is returned"),
        (Self::ListenerDrained, "listener: EAGAIN: the next event tells of more"),
        (Self::ListenerSkips, "listener: EINTR, ECONNABORTED and the like: the next connection is accepted"),
        (Self::ListenerLosesPatience, "listener: 64 such errors in one turn: it pauses"),
        (Self::ListenerSheds, "listener: EMFILE, ENFILE: the spare descriptor is used"),
        (Self::ListenerPauses, "listener: ENOMEM, ENOBUFS and the unknown: it pauses"),
        (Self::ListenerWithoutAddress, "listener: getsockname(2) fails: the error has no address"),
        (Self::ListenerUnasked, "listener: poll(2) fails: a connection may wait"),
        (Self::ShedOpensSpare, "shedding: no spare descriptor, and one can be opened: the next turn goes on"),
        (Self::ShedWithoutSpare, "shedding: no spare descriptor, and none can be opened: it pauses"),
        (Self::ShedSkips, "shedding: EINTR, ECONNABORTED and the like: the next connection is accepted"),
        (Self::ShedDrained, "shedding: EAGAIN: the next event tells of more"),
        (Self::ShedFails, "shedding: another error before the first connection: it pauses"),
        (Self::ShedGoesOn, "shedding: another error behind a connection: the next turn goes on"),
        (Self::SpareMissing, "a loop begins without a spare descriptor"),
        (Self::SpareLost, "shedding: the spare descriptor cannot be opened again"),
        (
            Self::AcceptSkips,
            "try_accept_fd: EINTR, ECONNABORTED and the like: the next connection is accepted",
        ),
        (Self::AcceptLosesPatience, "try_accept_fd: 64 such errors in a row are returned"),
        (Self::AcceptFails, "try_accept_fd: EAGAIN and every other error is returned"),
        (Self::ConnectGoesOn, "connect: EINPROGRESS, EINTR: an event tells of the end"),
        (Self::ConnectUnwatched, "connect: epoll_ctl(2) fails, which is returned"),
        (Self::ConnectReturns, "connect: an error of TCP is returned"),
        (
            Self::ConnectTells,
            "connect: ECONNREFUSED, and every error of a Unix socket, is told by on_connect",
        ),
        (Self::ConnectTellsBind, "connect: the EADDRINUSE of bind(2) is told by on_connect"),
        (Self::ConnectGoesOnStill, "connect: SO_ERROR is EINPROGRESS: another event tells of the end"),
        (Self::ConnectFails, "connect: SO_ERROR is another error, which is told by on_connect"),
        (Self::ConnectToItself, "connect: TCP connected the socket to itself"),
        (Self::ReadStartWaits, "read_start: a shortage of epoll_ctl(2): reading pauses"),
        (Self::ReadStartFails, "read_start: another error of epoll_ctl(2) is returned"),
        (
            Self::UnreadUnwatched,
            "stream that does not read: epoll_ctl(2) fails: the next read tells of the end",
        ),
        (Self::UnreadFails, "stream that does not read: SO_ERROR is told by on_read_error"),
        (Self::ReadInterrupted, "read: EINTR: repeated"),
        (Self::ReadInterruptedOften, "read: EINTR 16 times in a row: reading pauses"),
        (Self::ReadBlocks, "read: EAGAIN: the next event tells of more"),
        (Self::ReadPauses, "read: ENOMEM, ENOBUFS: reading pauses"),
        (Self::ReadFails, "read: another error is told by on_read_error"),
        (Self::ReadableStartWaits, "readable_start: a shortage of epoll_ctl(2): it pauses"),
        (Self::ReadableStartFails, "readable_start: another error of epoll_ctl(2) is returned"),
        (Self::TryReadBlocks, "try_read: EAGAIN is returned"),
        (
            Self::TryReadLater,
            "try_read: ENOMEM, ENOBUFS: EAGAIN is returned, and a stream that is pulled pauses",
        ),
        (Self::TryReadFails, "try_read: another error is returned"),
        (Self::InputWaits, "read: a shortage of epoll_ctl(2) behind the input: reading pauses"),
        (Self::InputFails, "read: another error of epoll_ctl(2) behind the input is told by on_read_error"),
        (Self::PollRefused, "Poll::new: an error of epoll_ctl(2) is returned"),
        (Self::PollStartFails, "Poll::start: an error of epoll_ctl(2) is returned"),
        (Self::PollUnasked, "poll: poll(2) fails: the event is taken as mio tells it"),
        (Self::DescriptorsCut, "recvmsg(2): MSG_CTRUNC: descriptors are lost, the bytes are not"),
        (Self::DescriptorsUnwanted, "recvmsg(2): MSG_CTRUNC of a stream that takes no descriptors"),
        (Self::DescriptorUnknown, "received descriptor: getsockname(2) fails: its kind is unknown"),
        (Self::TryWriteInterrupted, "try_write: EINTR: repeated"),
        (Self::TryWriteLater, "try_write: ENOMEM, ENOBUFS and many EINTR are returned as EAGAIN"),
        (Self::TryWriteReturns, "try_write: EAGAIN and every other error is returned"),
        (Self::TryPassReturns, "try_write_fds: every error is returned"),
        (Self::WriteInterrupted, "write: EINTR: repeated"),
        (Self::WriteInterruptedOften, "write: EINTR 16 times in a row: writing pauses"),
        (Self::WriteBlocks, "write: EAGAIN: an event tells when there is room"),
        (Self::WriteShort, "write: fewer bytes than offered: an event tells when there is room"),
        (Self::OutputPauses, "write: a shortage: the queue stays, and writing pauses"),
        (Self::OutputUnwatched, "write: an error of epoll_ctl(2) that is no shortage fails the request"),
        (Self::WriteFails, "write: another error fails the request"),
        (Self::PassAgain, "write: a request with descriptors is refused: it is tried again"),
        (
            Self::PassSkips,
            "write: a request with descriptors is refused 6 times: it fails, those behind it do not",
        ),
        (Self::PassFails, "write: a request without descriptors is refused as one with them: it fails"),
        (Self::TryFileLater, "try_write_file: EAGAIN, ENOMEM, ENOBUFS and many EINTR are returned as EAGAIN"),
        (Self::TryFileReturns, "try_write_file: every other error is returned"),
        (Self::FileBlocks, "sendfile(2): EAGAIN: an event tells when there is room"),
        (Self::FileShorter, "sendfile(2) takes nothing: the file has become shorter: ENODATA"),
        (Self::FileCopied, "sendfile(2): EINVAL, ENOSYS: the file is read and written"),
        (Self::BeneathByWalk, "openat2(2): ENOSYS, EPERM: each folder on the way is opened by itself"),
        (Self::ShutdownFails, "shutdown: shutdown(2) fails, which on_shutdown tells"),
        (Self::CloseWithoutFin, "close_with_fin: shutdown(2) fails, and the stream closes"),
        (Self::DatagramBindFails, "bind of a socket of datagrams: an error is returned"),
        (Self::DatagramErrorTaken, "socket of datagrams that does not receive: SO_ERROR is told by on_error"),
        (Self::ReceiveInterrupted, "receive: EINTR: repeated"),
        (Self::ReceiveBlocks, "receive: EAGAIN: the next event tells of more"),
        (Self::ReceivePauses, "receive: ENOMEM, ENOBUFS and many EINTR: receiving pauses"),
        (Self::ReceiveTells, "receive: an error of an earlier datagram is told by on_error"),
        (Self::ReceiveTellsOther, "receive: an error that is unknown is told by on_error: receiving pauses"),
        (Self::ReceiveEnds, "receive: a mistake ends receiving, which on_error tells"),
        (Self::ReceiveUnwatched, "receive: a shortage of epoll_ctl(2): receiving pauses"),
        (Self::SendInterrupted, "send: EINTR: repeated"),
        (Self::SendBlocks, "send: EAGAIN: an event tells when there is room"),
        (Self::SendRepeats, "send: an error that may be of an earlier datagram: repeated once"),
        (Self::SendFails, "send: another error, or a shortage, fails the datagram"),
        (Self::SendUnwatched, "send: a shortage of epoll_ctl(2): sending pauses"),
        (Self::TrySendReturns, "try_send: EAGAIN and every other error is returned"),
        (Self::PauseEnds, "pause: its time is over"),
        (Self::PauseEndsEarly, "pause: a descriptor was closed"),
        (Self::TroubleEnds, "trouble: nothing has failed for a second"),
        (
            Self::TroubleWithoutSpare,
            "trouble: nothing has failed for a second, but there is no spare descriptor",
        ),
        (Self::WaitInterrupted, "epoll_wait(2): EINTR: the wait goes on"),
        (Self::WaitFails, "epoll_wait(2): another error ends the run"),
        (Self::AlarmRefused, "a timerfd is refused: waits have timeouts"),
        (Self::LoopFails, "a loop cannot be made: epoll_create1(2), fcntl(2), eventfd(2)"),
        (Self::RetireFails, "close of a standard descriptor: /dev/null cannot be opened: it is closed"),
        (Self::BindDelays, "bind: EADDRINUSE of TCP: listen or connect tells it"),
        (Self::BindFails, "bind: another error of TCP is returned"),
        (Self::BindNameFails, "bind: another error of a Unix socket is returned"),
        (Self::BindWithoutFolder, "bind: ENOENT of a Unix socket is returned as EACCES"),
        (Self::BindLeftOver, "bind: EADDRINUSE of a Unix socket whose file is left over"),
        (Self::NameUnbound, "a Unix socket's name: ECONNREFUSED: it has no owner"),
        (Self::ModeLent, "open of a pipe: it cannot be opened again: its mode is changed and restored"),
        (Self::ModeBlocks, "descriptor of a child: it cannot be opened again: the child makes it blocking"),
        (
            Self::ModeBusy,
            "descriptor of a child: it cannot be opened again, and this process needs its mode: EBUSY",
        ),
        (Self::ReopenOther, "opening a file again: it would be another file: ENOTSUP"),
        (Self::FilesUncompared, "kcmp(2) fails: files are compared by fstat(2)"),
        (Self::SpawnRepeats, "spawn: ETXTBSY: repeated after a pause"),
        (Self::SpawnRepeatsOften, "spawn: ETXTBSY 5 times: the last result is returned"),
        (Self::SpawnFails, "spawn: another error is returned"),
        (Self::SpawnFolderFails, "spawn: an error of chdir(2) is returned with a note"),
        (Self::ExecDenied, "exec: EACCES: the next candidate is tried, and this is the error if none runs"),
        (Self::ExecTriesOn, "exec: ENOENT and the like: the next candidate is tried"),
        (Self::ExecFails, "exec: another error ends the child"),
        (Self::ExecWithoutParent, "exec: the parent has ended before the child: ESRCH"),
        (Self::GroupsKept, "exec: setgroups(2) is refused, which does not matter"),
        (Self::PidfdMissing, "clone(2) without a pidfd: ENOSYS"),
        (Self::ChildUnwatched, "spawn: epoll_ctl(2) fails: the child is killed, the error returned"),
        (Self::ChildLost, "end of a child: ECHILD: other code has collected it, its status is unknown"),
        (Self::ChildById, "end of a child: EINVAL of waitid(2): it is collected by its id"),
        (Self::AbandonInterrupted, "child that is given up: EINTR of waitpid(2): repeated"),
        (Self::OrphanUnwatched, "child without a handle: no thread can be started to collect it"),
        (Self::KillEnded, "kill: the child has ended: ESRCH"),
        (Self::KillFails, "kill: another error is returned"),
        (Self::SignalPipeFails, "signal: the loop's pipe cannot be made or watched, which is returned"),
        (Self::SignalFails, "signal: sigaction(2) fails, which is returned"),
        (Self::ForkUndetected, "madvise(2) fails: forked children are not told apart"),
        (Self::OutputEnds, "output: write(2) takes nothing: EIO"),
        (Self::OutputInterrupted, "output: EINTR: repeated"),
        (Self::OutputBlocks, "output: EAGAIN: poll(2) waits"),
        (Self::OutputWaitFails, "output: poll(2) fails: the lines are lost and counted"),
        (Self::OutputFails, "output: another error: the lines are lost and counted"),
        (Self::PoolWithFewer, "pool: no further thread: it goes on with those that it has"),
        (Self::PoolWithout, "pool: no first thread: the work is refused"),
        (Self::WorkFails, "work that was refused: its callback gets the error"),
        (Self::VariableKept, "environment: other threads run: EBUSY"),
        (Self::WriteAtOnceBlocks, "tcp-wrap: EAGAIN of a write at once is no error"),
        (Self::SocketUnread, "net: reading cannot begin: the socket is destroyed"),
        (Self::SocketUnusable, "net: ENOTSOCK, ENOTCONN of a descriptor: an error of its own"),
        (Self::WithoutIpv6, "net: a port on every address, without IPv6: IPv4"),
        (Self::ArrivalUnnamed, "net: the name of a connection that may be refused is unknown"),
        (Self::ChannelEnds, "cluster: a channel's peer has ended: what waits is abandoned"),
        (Self::ChannelFails, "cluster: a channel fails: the worker is given up"),
        (Self::WorkerMissing, "cluster: ESRCH of a signal: the worker is dead"),
        (
            Self::DealFails,
            "cluster: an error of accept4(2) other than EAGAIN while connections are dealt out",
        ),
        (
            Self::DealWaits,
            "cluster: the last worker of a socket gets its connections once a shortage is over",
        ),
        (Self::SharedSocketLost, "cluster: a worker had no room for the descriptor of a shared socket"),
        (Self::ConnectionsLost, "cluster: a worker had no room for the descriptors of connections"),
        (Self::PortUnchecked, "pomelo: a lack of descriptors: the port counts as free"),
    ];
}

/// Whether a branch is missing in [`Branch::ALL`], or is out of order, is known when this is compiled.
const _: () = {
    assert!(Branch::ALL.len() == Branch::PortUnchecked as usize + 1);
    let mut at = 0;
    while at < Branch::ALL.len() {
        assert!(Branch::ALL[at].0 as usize == at);
        at += 1;
    }
};

/// Above every errno of Linux on most machines.
pub const ERRNOS: usize = 134;

static REACHED: [AtomicU64; Branch::ALL.len()] = [const { AtomicU64::new(0) }; Branch::ALL.len()];
static FAILED: [AtomicU64; Call::ALL.len() * ERRNOS] =
    [const { AtomicU64::new(0) }; Call::ALL.len() * ERRNOS];

/// Counts a branch that runs.
pub fn reached(branch: Branch) {
    REACHED[branch as usize].fetch_add(1, Ordering::Relaxed);
}

/// Counts a branch if the result is an error.
pub(crate) fn reached_if<T, E>(branch: Branch, result: &Result<T, E>) {
    if result.is_err() {
        reached(branch);
    }
}

/// Counts an error that is classified.
pub(crate) fn failed(call: Call, errno: Errno) {
    let errno = usize::try_from(errno.raw()).ok().filter(|errno| *errno < ERRNOS);
    if let Some(errno) = errno {
        FAILED[call as usize * ERRNOS + errno].fetch_add(1, Ordering::Relaxed);
    }
}

/// How often this process has reached each branch, in the order of [`Branch::ALL`]. The counters are zero afterwards.
#[must_use]
pub fn take_reached() -> Vec<u64> {
    REACHED.iter().map(|count| count.swap(0, Ordering::Relaxed)).collect()
}

/// How often this process has classified each error of each call, without those that it has not seen. The counters are zero
/// afterwards.
#[must_use]
pub fn take_failed() -> Vec<(Call, Errno, u64)> {
    let each = FAILED.iter().enumerate().map(|(at, count)| (at, count.swap(0, Ordering::Relaxed)));
    let seen = each.filter(|(_, count)| *count > 0);
    seen.map(|(at, count)| (Call::ALL[at / ERRNOS], Errno::from_raw((at % ERRNOS) as i32), count)).collect()
}
