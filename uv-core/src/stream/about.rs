//! What a stream does and with whom, for people who ask what keeps a loop alive. libuv has no counterpart.

use super::flags::{CONNECTING, READING};
use super::{SOCKET, StreamInner};
use crate::poller::Readiness;
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::why::{About, counted};

impl StreamInner {
    pub(super) fn describe(&self) -> About {
        let (output, requests) = self.describe_output();
        let is_connecting = self.has(CONNECTING);
        let target = || self.cold.peek(|cold| cold.target.clone()).flatten().unwrap_or_default();
        let does = match () {
            () if self.handle.is_closing() => None,
            () if self.listening().is_some() => Some(format!("listens on {}", self.own_name())),
            () if is_connecting => Some(format!("connects to {}", target())),
            () if self.has(READING) => Some("reads".to_owned()),
            () if self.ready.has(Readiness::PULLED) => Some("waits for input".to_owned()),
            () => None,
        };
        let peer = self.peer_name().map(|peer| format!("peer {peer}"));
        let parts: Vec<String> = does.into_iter().chain(peer).chain(output).collect();
        About { text: parts.join(", "), requests: requests + usize::from(is_connecting) }
    }

    /// What is to be written, and the number of these requests.
    fn describe_output(&self) -> (Vec<String>, usize) {
        let counts =
            self.out.peek(|out| (out.queue.len(), out.bytes, out.done.len(), out.shutdown.is_some()));
        let (queued, bytes, done, shuts_down) = counts.unwrap_or_default();
        let mut parts = Vec::new();
        if queued > 0 {
            parts.push(counted(queued, "write", &format!(" of {bytes} bytes in the queue")));
        }
        if done > 0 {
            parts.push(counted(done, "write", " not reported"));
        }
        if shuts_down {
            parts.push("shuts down".to_owned());
        }
        (parts, queued + done + usize::from(shuts_down))
    }

    fn own_name(&self) -> String {
        let addr = self.fd.get().and_then(|fd| sys::socket::local_addr(fd).ok());
        addr.and_then(name).unwrap_or_else(|| "a socket without a name".to_owned())
    }

    fn peer_name(&self) -> Option<String> {
        let fd = self.fd.get().filter(|_| self.has(SOCKET))?;
        name(sys::socket::peer_addr(fd).ok()?)
    }
}

/// An address as people write it; `None` for a Unix socket without a name.
fn name(addr: SockAddr) -> Option<String> {
    if let Some(inet) = addr.as_inet() {
        return Some(inet.to_string());
    }
    let bytes = addr.as_unix().filter(|name| !name.is_empty())?;
    Some(match bytes.split_first() {
        Some((0, name)) => format!("@{}", String::from_utf8_lossy(name)),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    })
}
