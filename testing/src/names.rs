//! Names and addresses that a world gives out. They are this process's and this run's own, since tests run at the same time,
//! but a trace shows the same ones for every run of a seed.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

const PREFIX: &str = "upcall-testing";

static RUNS: AtomicU64 = AtomicU64::new(0);

/// The paths of one run.
#[derive(Debug)]
pub(crate) struct Names {
    run: u64,
    count: u64,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { run: RUNS.fetch_add(1, Ordering::Relaxed), count: 0 }
    }

    /// The next abstract name. Its length does not depend on the process, so that the same bytes are cut in the same places
    /// where it is sent.
    pub(crate) fn path(&mut self) -> PathBuf {
        let number = self.count;
        self.count += 1;
        PathBuf::from(format!("\0{}{:010}-{number}", own(), self.run))
    }
}

/// What all names of this process begin with.
fn own() -> String {
    format!("{PREFIX}-{:010}-", std::process::id())
}

/// An address that no other process has.
pub(crate) fn loopback() -> Ipv4Addr {
    loopback_of(std::process::id())
}

/// Each of the 22 bits of a process id counts, and the text has one length for nearly all of them: programs send it.
fn loopback_of(pid: u32) -> Ipv4Addr {
    const THREE_DIGITS: u32 = 155;
    const TWO_DIGITS: u32 = 90;
    let (first, digits, number) = match pid.checked_sub(THREE_DIGITS.pow(3)) {
        None => (100, THREE_DIGITS, pid),
        Some(more) => (10, TWO_DIGITS, more),
    };
    let octet = |value: u32| (first + value % digits) as u8;
    Ipv4Addr::new(127, octet(number / digits / digits), octet(number / digits), octet(number))
}

/// The line as it would be in every process.
pub(crate) fn without_process(line: &str) -> String {
    let (own, address) = (own(), loopback().to_string());
    let mut rest = line;
    let mut text = String::with_capacity(line.len());
    while let Some(at) = rest.find(&own) {
        text.push_str(&rest[..at]);
        text.push_str(PREFIX);
        rest = rest[at + own.len()..].trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    text.push_str(rest);
    if text.contains(&address) { text.replace(&address, "127.0.0.1") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_process_has_an_address_of_its_own() {
        let largest = 1 << 22;
        let pids = || (1..70_000).chain(3_700_000..3_750_000).chain(largest - 10_000..=largest);
        let addresses: BTreeSet<_> = pids().map(loopback_of).collect();
        assert_eq!(addresses.len(), pids().count());
        let is_usable = |address: &Ipv4Addr| address.is_loopback() && address.octets()[3] < 255;
        assert!(addresses.iter().all(is_usable));
        assert_eq!(loopback_of(1).to_string().len(), loopback_of(3_700_000).to_string().len());
    }

    #[test]
    fn lines_name_no_process() {
        let mut names = Names::new();
        let (first, second) = (names.path(), names.path());
        let line = format!("from {} to {} at {}:80", first.display(), second.display(), loopback());
        assert_eq!(without_process(&line), "from \0upcall-testing-0 to \0upcall-testing-1 at 127.0.0.1:80");
    }
}
