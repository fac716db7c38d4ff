//! What a loop has once for all its streams, and lends: the buffer of a read, an empty write queue, and the descriptor that
//! is closed when the process has none left. libuv asks the program for a buffer, and has `emfile_fd`.

use crate::LoopHandle;
use crate::stream::Outgoing;
use crate::sys;
use std::os::fd::OwnedFd;

/// Size in bytes of the read buffer, libuv's suggestion. There is one per loop, not one per connection.
const READ_BUFFER: usize = 64 * 1024;

impl LoopHandle {
    /// Lends the loop's read buffer for one upcall. Return it with [`return_buffer`](Self::return_buffer); if a panic
    /// drops it, the next call allocates a new one.
    pub(crate) fn lend_buffer(&self) -> Box<[u8]> {
        self.inner().read_buffer.take().unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice())
    }

    pub(crate) fn return_buffer(&self, buffer: Box<[u8]>) {
        self.inner().read_buffer.set(Some(buffer));
    }

    /// Returns an empty write queue.
    pub(crate) fn take_output(&self) -> Box<Outgoing> {
        self.inner().spare_output.take().unwrap_or_default()
    }

    pub(crate) fn return_output(&self, output: Box<Outgoing>) {
        self.inner().spare_output.set(Some(output));
    }

    pub(crate) fn take_spare_fd(&self) -> Option<OwnedFd> {
        self.inner().spare_fd.take()
    }

    /// Opens the spare descriptor again. Returns whether there is one.
    pub(crate) fn restore_spare_fd(&self) -> bool {
        let spare = self.inner().spare_fd.take().or_else(|| sys::fd::open_spare().ok());
        let restored = spare.is_some();
        #[cfg(upcall_faults)]
        if !restored {
            crate::faults::reached(crate::faults::Branch::SpareLost);
        }
        self.inner().spare_fd.set(spare);
        restored
    }
}
