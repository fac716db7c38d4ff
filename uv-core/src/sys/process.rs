//! Processes that run: how they ended, signals for them, their processors and what they used. Mirrors the lower half of
//! libuv's `src/unix/process.c`, and `uv_getrusage`.

use super::fd::check;
use crate::{Errno, ResourceUsage, UsageOf};
use std::mem::MaybeUninit;
use std::time::Duration;

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) signal: i32,
}

/// Ends a child that nobody is to know of, and collects it.
pub(crate) fn abandon(pid: i32) {
    // Gone already is fine.
    let _ = kill(pid, libc::SIGKILL);
    while wait(pid, 0) == Err(Errno::EINTR) {}
}

/// How the child ended; nothing while it runs. `ECHILD` if somebody else has collected it.
pub(crate) fn try_collect(pid: i32) -> Result<Option<Ended>, Errno> {
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
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(pid, signum) }).map(drop)
}

/// Lets a process run on these processors only.
pub(crate) fn set_affinity(pid: i32, cpus: &[usize]) -> Result<(), Errno> {
    // SAFETY: a set is an array of bits, and none of them set is the empty one.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    for cpu in cpus {
        if *cpu >= libc::CPU_SETSIZE as usize {
            return Err(Errno::EINVAL);
        }
        // SAFETY: writes into the set, inside of which the processor's bit was found to lie.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: reads as many bytes as the set has.
    check(unsafe { libc::sched_setaffinity(pid, size_of_val(&set), &raw const set) }).map(drop)
}

/// What this process, this thread or the children that were collected have used.
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
    // None of the numbers is negative.
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
