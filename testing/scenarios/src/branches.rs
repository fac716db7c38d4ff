//! Which branches of error handling the runs have reached: every process counts, and a run of all scenarios is judged.
//!
//! A branch is a class that `Failure::of` tells for a call, or one of `faults::Branch`. A branch that no run reaches has its
//! reason in [`UNREACHED`], and only such a branch has one.

use std::collections::BTreeMap;
use std::fmt;
use uv_core::Errno;
use uv_core::failure::{Call, Failure};
use uv_core::faults::{Branch, ERRNOS, take_failed, take_reached};

/// Seeds of each scenario from which on a run is judged.
pub(crate) const SEEDS: u64 = 1000;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Class(Call, Failure),
    Branch(Branch),
}

use Row::{Branch as B, Class as C};

const UNASKED: &str = "only a program asks about this call: no code here does";
const BEFORE: &str = "told apart before the table is asked";
const OURS: &str = "only a mistake of the code that calls: a wrong descriptor or argument";
const IN_A_ROW: &str = "so many in a row do not come by lot";
const EPOLL: &str =
    "epoll_ctl(2) refuses for good only files that are always ready, which are never waited for";
const REFUSED_FD: &str =
    "only for a descriptor of io_uring, and by a seccomp filter: uv-core/tests/passing.rs";
const CHILD: &str = "a child that a test plays runs no program: uv-core/tests/process.rs and user.rs";
const OLD: &str = "only on a kernel before Linux 5.4: uv-core/tests/passing.rs";
const PORT: &str = "asked by pomelo's check of ports, which binds by the standard library";
const OUTPUT: &str = "a thread of its own writes, which no world sees: uv-core/tests/spool.rs";
const POOL: &str = "jobs run on the thread of the test: uv-core/tests/passing.rs";

/// The branches that no scenario reaches, and why.
const UNREACHED: &[(Row, &str)] = &[
    (C(Call::Accept, Failure::Ours), OURS),
    (C(Call::Connect, Failure::Waiting), UNASKED),
    (C(Call::Connect, Failure::Peer), UNASKED),
    (C(Call::Connect, Failure::Connection), UNASKED),
    (C(Call::Connect, Failure::Passing), UNASKED),
    (C(Call::Connect, Failure::Ours), UNASKED),
    (C(Call::Read, Failure::Waiting), BEFORE),
    (C(Call::Read, Failure::Interrupted), IN_A_ROW),
    (C(Call::Read, Failure::Ours), OURS),
    (C(Call::Write, Failure::Interrupted), IN_A_ROW),
    (C(Call::Write, Failure::Ours), OURS),
    (C(Call::Pass, Failure::Interrupted), IN_A_ROW),
    (C(Call::Pass, Failure::Ours), REFUSED_FD),
    (C(Call::Receive, Failure::Interrupted), IN_A_ROW),
    (C(Call::Receive, Failure::Ours), OURS),
    (C(Call::Send, Failure::Interrupted), IN_A_ROW),
    (C(Call::Send, Failure::Ours), OURS),
    (C(Call::Listen, Failure::Interrupted), UNASKED),
    (C(Call::Listen, Failure::Passing), UNASKED),
    (C(Call::Listen, Failure::Ours), UNASKED),
    (C(Call::Watch, Failure::Interrupted), "epoll_ctl(2) does not wait, so no signal interrupts it"),
    (C(Call::Watch, Failure::Ours), EPOLL),
    (C(Call::Poll, Failure::Interrupted), UNASKED),
    (C(Call::Poll, Failure::Passing), UNASKED),
    (C(Call::Poll, Failure::Ours), UNASKED),
    (C(Call::Spawn, Failure::Interrupted), UNASKED),
    (C(Call::Spawn, Failure::Passing), UNASKED),
    (C(Call::Spawn, Failure::Ours), UNASKED),
    (C(Call::Lookup, Failure::Interrupted), UNASKED),
    (C(Call::Lookup, Failure::Passing), UNASKED),
    (C(Call::Lookup, Failure::Ours), UNASKED),
    (C(Call::Open, Failure::Interrupted), PORT),
    (C(Call::Open, Failure::Passing), PORT),
    (C(Call::Open, Failure::Ours), PORT),
    (B(Branch::ListenerLosesPatience), IN_A_ROW),
    (B(Branch::AcceptLosesPatience), IN_A_ROW),
    (B(Branch::ConnectGoesOnStill), "as in libuv: Linux keeps no EINPROGRESS in SO_ERROR"),
    (B(Branch::ReadStartFails), EPOLL),
    (B(Branch::ReadableStartFails), EPOLL),
    (B(Branch::ReadInterruptedOften), IN_A_ROW),
    (B(Branch::InputFails), EPOLL),
    (B(Branch::WriteInterruptedOften), IN_A_ROW),
    (B(Branch::OutputUnwatched), EPOLL),
    (B(Branch::PassAgain), REFUSED_FD),
    (B(Branch::PassSkips), REFUSED_FD),
    (B(Branch::PassFails), REFUSED_FD),
    (B(Branch::ReceiveEnds), OURS),
    (B(Branch::WaitFails), OURS),
    (B(Branch::AlarmRefused), "the clock of a world is not the kernel's: uv-core/tests/emfile.rs"),
    (B(Branch::RetireFails), "the standard descriptors are the runner's: uv-core/src/sys/fd.rs"),
    (
        B(Branch::ReopenOther),
        "only pipes in packet mode and terminals' masters: uv-core/tests/shared_mode.rs",
    ),
    (B(Branch::SpawnRepeatsOften), IN_A_ROW),
    (B(Branch::ExecDenied), CHILD),
    (B(Branch::ExecTriesOn), CHILD),
    (B(Branch::ExecFails), CHILD),
    (B(Branch::ExecWithoutParent), CHILD),
    (B(Branch::GroupsKept), CHILD),
    (B(Branch::PidfdMissing), "only on a kernel before Linux 5.2"),
    (B(Branch::ChildLost), "only where other code of the program collects all children"),
    (B(Branch::ChildById), OLD),
    (B(Branch::AbandonInterrupted), "a child that a test plays is not waited for"),
    (B(Branch::OrphanUnwatched), "a child that a test plays needs no thread to collect it"),
    (B(Branch::ForkUndetected), "only on a kernel before Linux 4.14"),
    (B(Branch::OutputEnds), OUTPUT),
    (B(Branch::OutputInterrupted), OUTPUT),
    (B(Branch::OutputBlocks), OUTPUT),
    (B(Branch::OutputWaitFails), OUTPUT),
    (B(Branch::OutputFails), OUTPUT),
    (B(Branch::PoolWithFewer), POOL),
    (B(Branch::PoolWithout), POOL),
    (B(Branch::VariableKept), "the variables are the runner's: uv-core/tests/environment.rs"),
    (B(Branch::SocketUnread), "a socket that cannot be read was destroyed by the failure before"),
    (B(Branch::ChannelFails), REFUSED_FD),
    (B(Branch::PortUnchecked), PORT),
];

/// How often each branch was reached.
#[derive(Default)]
pub(crate) struct Counts {
    reached: BTreeMap<usize, u64>,
    /// By the call's number and the errno.
    failed: BTreeMap<(usize, i32), u64>,
}

impl Counts {
    /// Takes over what this process has counted.
    pub(crate) fn take() -> Self {
        let reached = take_reached().into_iter().enumerate().filter(|(_, count)| *count > 0);
        let failed = take_failed().into_iter();
        let failed = failed.map(|(call, errno, count)| ((call as usize, errno.raw()), count));
        Self { reached: reached.collect(), failed: failed.collect() }
    }

    /// Adds the words of another process's counts. What is no such word is not counted.
    pub(crate) fn add(&mut self, words: &str) {
        for (word, count) in words.split('\t').filter_map(|word| word.split_once('=')) {
            let Ok(count) = count.parse::<u64>() else { continue };
            let number = |word: &str| word.parse::<usize>().ok();
            match word.split_once('/').map(|(call, errno)| (number(call), errno.parse().ok())) {
                Some((Some(call), Some(errno))) => *self.failed.entry((call, errno)).or_default() += count,
                Some(_) => {}
                None => {
                    number(word).into_iter().for_each(|at| *self.reached.entry(at).or_default() += count);
                }
            }
        }
    }

    /// The rows of the table, with how often each was reached and by which errors.
    fn rows(&self) -> Vec<(Row, u64, String)> {
        let mut classes = Vec::<(Row, u64, String)>::new();
        for (number, call) in Call::ALL.iter().copied().enumerate() {
            for errno in (1..ERRNOS as i32).map(Errno::from_raw) {
                let row = C(call, Failure::of(call, errno));
                let count = self.failed.get(&(number, errno.raw())).copied().unwrap_or(0);
                let at = classes.iter().position(|(known, ..)| *known == row).unwrap_or_else(|| {
                    classes.push((row, 0, String::new()));
                    classes.len() - 1
                });
                if count > 0 {
                    classes[at].1 += count;
                    classes[at].2 += &format!(" {} {count}", errno.name());
                }
            }
        }
        let branches = Branch::ALL.iter().enumerate().map(|(at, (branch, _))| {
            (B(*branch), self.reached.get(&at).copied().unwrap_or(0), String::new())
        });
        classes.into_iter().chain(branches).collect()
    }

    /// The lines of the table.
    pub(crate) fn table(&self) -> Vec<String> {
        let line = |(row, count, errors): (Row, u64, String)| match (count, reason(row)) {
            (0, Some(reason)) => format!("  {row}: not reached: {reason}"),
            (0, None) => format!("  {row}: not reached"),
            (count, _) => format!("  {count:>10}  {row}{}{errors}", if errors.is_empty() { "" } else { ":" }),
        };
        let (reached, others): (Vec<_>, Vec<_>) =
            self.rows().into_iter().partition(|(_, count, _)| *count > 0);
        let title = format!("{} of {} reached", reached.len(), reached.len() + others.len());
        [title].into_iter().chain(reached.into_iter().chain(others).map(line)).collect()
    }

    /// What is wrong with a run of all scenarios: branches without a reason that it has not reached, and those with a reason
    /// that it has.
    pub(crate) fn judge(&self) -> Vec<String> {
        let wrong = |(row, count, _): (Row, u64, String)| match (count, reason(row)) {
            (0, None) => Some(format!("no scenario reaches this branch, and no reason is given: {row}")),
            (0, Some(_)) | (_, None) => None,
            (count, Some(reason)) => {
                Some(format!("reached {count} times, although it should not be ({reason}): {row}"))
            }
        };
        self.rows().into_iter().filter_map(wrong).collect()
    }
}

impl fmt::Display for Counts {
    /// As words on one line, for [`Counts::add`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reached.iter().try_for_each(|(at, count)| write!(f, "{at}={count}\t"))?;
        self.failed.iter().try_for_each(|((call, errno), count)| write!(f, "{call}/{errno}={count}\t"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(call, failure) => write!(f, "{call} fails: {failure:?}"),
            Self::Branch(branch) => f.write_str(Branch::ALL[*branch as usize].1),
        }
    }
}

fn reason(row: Row) -> Option<&'static str> {
    UNREACHED.iter().find(|(known, _)| *known == row).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of a run that has reached all that has no reason.
    fn complete() -> Counts {
        let mut counts = Counts::default();
        for (row, ..) in counts.rows().into_iter().filter(|(row, ..)| reason(*row).is_none()) {
            reach(&mut counts, row);
        }
        counts
    }

    fn reach(counts: &mut Counts, row: Row) {
        match row {
            B(branch) => drop(counts.reached.insert(branch as usize, 1)),
            C(call, failure) => {
                let is_of = |errno: &i32| Failure::of(call, Errno::from_raw(*errno)) == failure;
                let errno = (1..ERRNOS as i32).find(is_of).expect("a row has an error");
                counts.failed.insert((call as usize, errno), 1);
            }
        }
    }

    #[test]
    fn a_branch_that_is_not_reached_needs_a_reason() {
        let mut counts = complete();
        assert_eq!(counts.judge(), Vec::<String>::new());
        counts.reached.remove(&(Branch::ReadPauses as usize));
        let wrong = counts.judge();
        assert!(wrong.len() == 1 && wrong[0].ends_with("read: ENOMEM, ENOBUFS: reading pauses"), "{wrong:?}");
        let mut counts = complete();
        counts.failed.retain(|(call, errno), _| {
            *call != Call::Accept as usize
                || Failure::of(Call::Accept, Errno::from_raw(*errno)) != Failure::Connection
        });
        let wrong = counts.judge();
        assert!(wrong.len() == 1 && wrong[0].ends_with("accept fails: Connection"), "{wrong:?}");
    }

    #[test]
    fn a_branch_with_a_reason_must_not_be_reached() {
        for (row, _) in UNREACHED {
            let mut counts = complete();
            reach(&mut counts, *row);
            assert_eq!(counts.judge().len(), 1, "{row}");
        }
    }

    #[test]
    fn counts_of_several_processes_are_added() {
        let mut counts = complete();
        let words = counts.to_string();
        counts.add(&words);
        assert!(counts.rows().iter().all(|(row, count, _)| *count == 2 * u64::from(reason(*row).is_none())));
        counts.add("7=\tno=1\t3/x=1\tx/3=1\t=\t");
        assert_eq!(counts.reached[&7], 2);
    }
}
