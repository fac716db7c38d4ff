//! Processes: exit statuses, signals, processor affinity and resource usage. Mirrors the system calls of libuv's
//! `src/unix/process.c`, and `uv_getrusage`.

use super::call;
use super::fd::{check, last_errno};
use super::spawn::Spawned;
use crate::Errno;
use crate::process::{ResourceUsage, UsageOf};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The exit status of a child.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) signal: i32,
}

/// Kills and collects a child that is not reported. It is not collected yet, so the id still belongs to it.
pub(crate) fn abandon(pid: i32) {
    #[cfg(upcall_faults)]
    if crate::faults::abandon(pid) {
        return;
    }
    // Fails if the child has ended already.
    let _ = kill(pid, libc::SIGKILL);
    while wait(pid, 0) == Err(Errno::EINTR) {
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::AbandonInterrupted);
    }
}

/// The exit status of the child; `None` while it runs. `ECHILD` if other code has collected it.
///
/// Waits by the pidfd: if other code has collected the child, another child may have its id.
pub(crate) fn try_collect(child: &Spawned) -> Result<Option<Ended>, Errno> {
    #[cfg(upcall_faults)]
    if let Some(collected) = crate::faults::collect(child.pid) {
        return collected;
    }
    // SAFETY: all zeroes is a valid `siginfo_t`: a plain struct of integers.
    let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
    let (of, id) = (libc::P_PIDFD, child.pidfd.as_raw_fd() as libc::id_t);
    // SAFETY: writes one structure, which outlives the call.
    match check(unsafe { libc::waitid(of, id, &raw mut info, libc::WEXITED | libc::WNOHANG) }) {
        Ok(_) => {}
        // Linux 5.3 has pidfds but cannot wait for them.
        Err(Errno::EINVAL) => {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ChildById);
            return try_collect_by_id(child.pid);
        }
        Err(errno) => return Err(errno),
    }
    // SAFETY: `waitid` fills in these fields, or leaves zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let by_itself = info.si_code == libc::CLD_EXITED;
    Ok(Some(if by_itself { Ended { code: status, signal: 0 } } else { Ended { code: 0, signal: status } }))
}

fn try_collect_by_id(pid: i32) -> Result<Option<Ended>, Errno> {
    let Some(status) = wait(pid, libc::WNOHANG)? else { return Ok(None) };
    if libc::WIFSIGNALED(status) {
        return Ok(Some(Ended { code: 0, signal: libc::WTERMSIG(status) }));
    }
    Ok(Some(Ended { code: libc::WEXITSTATUS(status), signal: 0 }))
}

fn wait(pid: i32, options: libc::c_int) -> Result<Option<libc::c_int>, Errno> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let collected = check(unsafe { libc::waitpid(pid, &raw mut status, options) })?;
    Ok((collected == pid).then_some(status))
}

pub(crate) fn kill(pid: i32, signum: i32) -> Result<(), Errno> {
    #[cfg(upcall_faults)]
    if let Some(sent) = crate::faults::kill_by_pid(pid, signum) {
        return sent;
    }
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(pid, signum) }).map(drop)
}

/// Sends a signal to the process of the pidfd, even if another process has its id now.
pub(crate) fn signal(pidfd: BorrowedFd<'_>, signum: i32) -> Result<(), Errno> {
    call("pidfd_send_signal(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("pidfd_send_signal(2)")?;
        #[cfg(upcall_faults)]
        if let Some(sent) = crate::faults::kill_by_pidfd(pidfd, signum) {
            return sent;
        }
        let (no_info, no_flags) = (std::ptr::null::<libc::siginfo_t>(), 0);
        // SAFETY: takes integers and a null pointer.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signum, no_info, no_flags)
        };
        if sent == -1 { Err(last_errno()) } else { Ok(()) }
    })
}

/// Restricts a process to these processors.
pub(crate) fn set_affinity(pid: i32, cpus: &[usize]) -> Result<(), Errno> {
    // SAFETY: the set is an array of bits, and all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    for cpu in cpus {
        if *cpu >= libc::CPU_SETSIZE as usize {
            return Err(Errno::EINVAL);
        }
        // SAFETY: writes a bit that was checked to lie inside of the set.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: reads only the bytes of the set.
    check(unsafe { libc::sched_setaffinity(pid, size_of_val(&set), &raw const set) }).map(drop)
}

/// The resource usage of this process, this thread or the collected children.
pub(crate) fn usage(of: UsageOf) -> Result<ResourceUsage, Errno> {
    let who = match of {
        UsageOf::Process => libc::RUSAGE_SELF,
        UsageOf::Thread => libc::RUSAGE_THREAD,
        UsageOf::Children => libc::RUSAGE_CHILDREN,
    };
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the call writes the whole structure if it succeeds.
    let usage = unsafe {
        check(libc::getrusage(who, usage.as_mut_ptr()))?;
        usage.assume_init()
    };
    // None of these numbers is negative.
    let number = |number: libc::c_long| u64::try_from(number).unwrap_or(0);
    let time = |time: libc::timeval| {
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    Ok(ResourceUsage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_resident: number(usage.ru_maxrss) * 1024,
        minor_faults: number(usage.ru_minflt),
        major_faults: number(usage.ru_majflt),
        voluntary_switches: number(usage.ru_nvcsw),
        involuntary_switches: number(usage.ru_nivcsw),
    })
}
