//! Names of traced calls that the laws of a test know, too: `faults::laws` tells calls apart by them.

/// A handle is asked to close.
pub(crate) const CLOSE: &str = "Handle::close";
/// A write has ended.
pub(crate) const ON_WRITE: &str = "StreamUpcall::on_write";
/// A datagram was sent, or not.
pub(crate) const ON_SEND: &str = "UdpUpcall::on_send";
/// A shutdown has ended.
pub(crate) const ON_SHUTDOWN: &str = "StreamUpcall::on_shutdown";
/// A connect has ended.
pub(crate) const ON_CONNECT: &str = "StreamUpcall::on_connect";
/// A stream is closed.
pub(crate) const ON_CLOSE: &str = "StreamUpcall::on_close";
/// A listening stream is closed.
pub(crate) const ON_CLOSE_LISTENING: &str = "AcceptUpcall::on_close";
/// A socket of datagrams is closed.
pub(crate) const ON_CLOSE_UDP: &str = "UdpUpcall::on_close";
/// Work in the pool has ended.
pub(crate) const AFTER_WORK: &str = "Works::finish";
