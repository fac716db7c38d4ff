//! Files as output of a socket. Node has it for HTTP/2 only (`respondWithFile`); its sockets copy a file through a stream.

use crate::state::NEED_DRAIN;
use crate::uv_core::file::FileRange;
use crate::{LAYER, Result, Socket};
use async_wrap::tcp_wrap::Written;

impl Socket {
    /// Like [`write`](Self::write), for output that more follows at once, such as the head of a file: over TCP they share
    /// segments (`MSG_MORE`). If nothing follows, the kernel sends it after 200 ms.
    ///
    /// # Errors
    /// As for `write`.
    pub fn write_more(&self, data: &[u8]) -> Result<bool> {
        let _down = LAYER.down("Socket::write_more", || self.facts().bytes(data.len()));
        self.check_writable()?;
        self.wrote(self.0.stream.write_more(data))
    }

    /// Writes a part of a file behind everything written before, at the peer's pace, without a copy through this process.
    /// Returns `true` if the kernel has taken all of it. After `false` `on_drain` tells when it has, whatever the high-water
    /// mark is: what waits is not in memory. It counts as [`buffered`](Self::buffered) all the same.
    ///
    /// If the file has become shorter, or the disk fails, the peer cannot get what was promised: the socket is destroyed, a
    /// TCP connection with a reset, and `on_error` names the file.
    ///
    /// # Errors
    /// As for [`write`](Self::write); `ENODATA` if the file has become shorter.
    pub fn write_file(&self, file: FileRange) -> Result<bool> {
        let _down = LAYER.down("Socket::write_file", || self.facts());
        self.check_writable()?;
        match self.0.stream.write_file(file) {
            Ok(Written { later: 1.., .. }) => {
                self.0.refresh_timeout();
                self.0.set(NEED_DRAIN);
                Ok(false)
            }
            result => self.wrote(result),
        }
    }
}
