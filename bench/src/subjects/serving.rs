//! What the servers have in common: where they listen, how they say so, and how they end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use upcall::say;
use uv_core::{LoopHandle, Result, Signal};

pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Says that a server listens: to be called when it does.
pub(crate) fn announce(addr: SocketAddr) {
    say::out(addr);
}

pub(crate) fn announce_path(path: &Path) {
    say::out(format_args!("unix:{}", path.display()));
}

/// Ends the loop on SIGTERM at once, whatever is still going on.
pub(crate) fn end_on_sigterm(event_loop: &LoopHandle) -> Result<()> {
    let signal = Signal::new(event_loop);
    signal.start(Signal::SIGTERM, |signal: &Signal, _: i32| signal.loop_handle().stop())?;
    signal.unref();
    Ok(())
}
