//! Whether a process of this host has a certain connection open, which unlike a process's claims cannot be forged. Reads
//! `/proc`, as `ss -p` does.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};

/// Whether the process has the socket that is bound to `own` and connected to `peer`; `false` if the process may not be
/// inspected. Reads every connection of the process's network namespace, so it is for rare cases.
pub(crate) fn has_connection(pid: i32, own: SocketAddr, peer: SocketAddr) -> bool {
    #[cfg(upcall_faults)]
    let pid = uv_core::faults::real_pid(pid);
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| inode(pid, table, own, peer))
        .any(|inode| has_socket(pid, &inode))
}

/// The number of the socket in one of the kernel's tables.
fn inode(pid: i32, table: &str, own: SocketAddr, peer: SocketAddr) -> Option<String> {
    let is_six = table == "tcp6";
    let (own, peer) = (as_kernel(own, is_six)?, as_kernel(peer, is_six)?);
    let file = File::open(format!("/proc/{pid}/net/{table}")).ok()?;
    BufReader::new(file).lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next() == Some(&own) && fields.next() == Some(&peer);
        // After the state, the queues, the timer, its retries, the user and the time-out.
        is_it.then(|| fields.nth(6).map(str::to_owned)).flatten()
    })
}

/// An address in the form of these tables: 32-bit words in this machine's byte order, then the port.
fn as_kernel(address: SocketAddr, is_six: bool) -> Option<String> {
    let word = |bytes: &[u8]| bytes.try_into().map(u32::from_ne_bytes).unwrap_or_default();
    let text = match (address.ip(), is_six) {
        (IpAddr::V4(ip), false) => format!("{:08X}", word(&ip.octets())),
        (IpAddr::V4(ip), true) => hex(&ip.to_ipv6_mapped().octets(), word),
        (IpAddr::V6(ip), true) => hex(&ip.octets(), word),
        (IpAddr::V6(ip), false) => format!("{:08X}", word(&ip.to_ipv4_mapped()?.octets())),
    };
    Some(format!("{text}:{:04X}", address.port()))
}

fn hex(octets: &[u8], word: impl Fn(&[u8]) -> u32) -> String {
    octets.chunks(4).map(|bytes| format!("{:08X}", word(bytes))).collect()
}

fn has_socket(pid: i32, inode: &str) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))
}
