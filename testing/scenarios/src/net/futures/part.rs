//! The tasks of a connection: one reads and writes by turns, or one reads and one writes. Futures are dropped at their awaits, and
//! what they were to do is done again.

use super::{Side, Sides};
use crate::awaits::some_time;
use crate::core::{bytes_at, dice, one_in, some_len};
use ::net::futures::{AsyncSocket, ReadHalf, WriteHalf};
use ::net::{Error, Result, Socket};
use async_wrap::Environment;
use async_wrap::storage::Storage;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Writes of a few bytes each, and pauses of seconds, are over long before.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What a task writes that reads, too, or over TCP: the kernel takes it, whether or not the peer reads.
const LITTLE: u64 = 3_000;

/// What a task has of a connection: the direction that it reads, or that it writes.
pub(super) struct Part {
    pub(super) env: Environment,
    /// Has the side's number in all that its tasks do.
    pub(super) value: Storage<usize>,
    pub(super) sides: Rc<Sides>,
    pub(super) side: Rc<Side>,
    reads: bool,
}

impl Part {
    pub(super) fn new(
        env: &Environment,
        value: &Storage<usize>,
        sides: &Rc<Sides>,
        side: &Rc<Side>,
        reads: bool,
    ) -> Self {
        sides.tasks.set(sides.tasks.get() + 1);
        let (sides, side) = (Rc::clone(sides), Rc::clone(side));
        Self { env: env.clone(), value: value.clone(), sides, side, reads }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.sides.tasks.set(self.sides.tasks.get() - 1);
        if self.reads && !self.side.has_ended.get() {
            self.side.is_cut.set(true);
        }
    }
}

/// A write that may be dropped: then what the socket has taken was sent.
struct Writing<'a>(&'a Side, Socket);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.sent.set(self.1.bytes_written());
    }
}

/// The direction from the peer.
trait Reads: AsyncRead + Unpin {
    async fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize>;
}

/// The direction to the peer.
trait Writes: AsyncWrite + Unpin {
    async fn write_some(&mut self, data: &[u8]) -> Result<()>;
    async fn end(&mut self) -> Result<()>;
    fn beneath(&self) -> &Socket;
}

impl Reads for AsyncSocket {
    async fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read(buffer).await
    }
}

impl Reads for ReadHalf {
    async fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read(buffer).await
    }
}

impl Writes for AsyncSocket {
    async fn write_some(&mut self, data: &[u8]) -> Result<()> {
        if one_in(2) { self.write(data).await.map(drop) } else { self.write_all(data).await }
    }

    async fn end(&mut self) -> Result<()> {
        self.finish().await
    }

    fn beneath(&self) -> &Socket {
        self.socket()
    }
}

impl Writes for WriteHalf {
    async fn write_some(&mut self, data: &[u8]) -> Result<()> {
        self.write_all(data).await
    }

    async fn end(&mut self) -> Result<()> {
        self.finish().await
    }

    fn beneath(&self) -> &Socket {
        self.socket()
    }
}

impl Part {
    fn is_over(&self) -> bool {
        self.sides.is_over.get()
    }

    /// Awaits for some time, or until `future` is ready; mostly to its end.
    async fn let_go<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let outcome = match dice(6) {
            _ if self.is_over() => self.to_its_end(future).await,
            0 => self.env.timeout(some_time(), future).await.ok(),
            1 => {
                // Polled once.
                let mut future = pin!(future);
                poll_fn(|context| match future.as_mut().poll(context) {
                    Poll::Ready(value) => Poll::Ready(Some(value)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            }
            _ => self.to_its_end(future).await,
        };
        assert_eq!(self.value.get().as_deref(), Some(&self.side.number), "the value behind an await");
        outcome
    }

    /// Awaits to the end. Where a reader was dropped, two writers may wait for each other's.
    async fn to_its_end<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if self.sides.is_tcp {
            // Its delivery takes real time, in which virtual time would jump.
            return Some(future.await);
        }
        let outcome = self.env.timeout(LONGEST, future).await.ok();
        assert!(outcome.is_some() || self.sides.has_cut(), "side {} stands still", self.side.number);
        outcome
    }

    /// Reads once. Returns whether there may be more.
    async fn read(&self, from: &mut impl Reads, waits: bool) -> bool {
        let mut buffer = vec![0; [1, 10, 100, 5_000][dice(4) as usize]];
        let by_trait = one_in(3);
        let reading = async {
            if !by_trait {
                return from.read_some(&mut buffer).await;
            }
            let read = poll_fn(|context| Pin::new(&mut *from).poll_read(context, &mut buffer));
            read.await.map_err(own)
        };
        let read = if waits {
            self.let_go(reading).await
        } else {
            self.env.timeout(some_time(), reading).await.ok()
        };
        match read {
            None => true,
            Some(Ok(0)) => {
                self.side.has_ended.set(true);
                false
            }
            Some(Ok(count)) => {
                self.side.take(&self.sides, &buffer[..count]);
                true
            }
            Some(Err(error)) => {
                self.side.fail(error);
                false
            }
        }
    }

    /// Writes once, so many bytes at most. Returns whether more can be written.
    async fn write(&self, to: &mut impl Writes, most: u64) -> bool {
        let (side, len) = (&self.side, some_len().clamp(1, most));
        let before = to.beneath().bytes_written();
        assert_eq!(before, side.sent.get(), "bytes_written of side {}", side.number);
        let data = bytes_at(side.number, before, len);
        let writing = Writing(side, to.beneath().clone());
        // What is handed over can be received before this task goes on.
        side.sent.set(before + len);
        let by_trait = one_in(3);
        let written = self.let_go(async {
            if !by_trait {
                return to.write_some(&data).await;
            }
            poll_fn(|context| Pin::new(&mut *to).poll_write(context, &data)).await.map(drop).map_err(own)
        });
        let written = written.await;
        drop(writing);
        let sent = side.sent.get();
        assert!(sent >= before && sent <= before + len, "of {len} bytes {} were written", sent - before);
        assert!(!matches!(written, Some(Ok(()))) || sent > before, "a write of nothing");
        match written {
            Some(Err(error)) => {
                side.fail(error);
                false
            }
            _ => true,
        }
    }

    /// Ends its direction. Returns whether it could.
    async fn end(&self, to: &mut impl Writes) -> bool {
        loop {
            match self.let_go(to.end()).await {
                Some(Ok(())) => return true,
                Some(Err(error)) => {
                    self.side.fail(error);
                    return false;
                }
                None if self.sides.has_cut() => return false,
                None => {}
            }
        }
    }

    async fn pause(&self) {
        if !self.is_over() && one_in(6) {
            self.env.sleep(some_time()).await;
        }
    }

    pub(super) async fn read_all(self, mut from: ReadHalf) {
        // Some are dropped with their input.
        while self.is_over() || !one_in(40) {
            self.pause().await;
            if !self.read(&mut from, true).await {
                return;
            }
        }
    }

    pub(super) async fn write_all(self, mut to: WriteHalf) {
        for _ in 0..dice(12) {
            self.pause().await;
            if !self.write(&mut to, if self.sides.is_tcp { LITTLE } else { u64::MAX }).await {
                return;
            }
        }
        // Else it ends when it is dropped.
        if !one_in(3) {
            self.end(&mut to).await;
        }
    }
}

/// One task for both directions. It waits for its peer only when it has ended its own direction.
pub(super) async fn take_turns([reader, writer]: [Part; 2], mut socket: AsyncSocket) {
    for _ in 0..dice(8) {
        writer.pause().await;
        if !writer.write(&mut socket, LITTLE).await {
            return;
        }
        if one_in(2) && !reader.read(&mut socket, false).await {
            break;
        }
    }
    // Some are dropped with what they have written.
    if one_in(4) || !writer.end(&mut socket).await {
        return;
    }
    while !reader.side.has_ended.get() && reader.read(&mut socket, true).await {}
}

/// The error that an error of `std::io` has inside.
fn own(error: io::Error) -> Error {
    let inner = error.into_inner().and_then(|inner| inner.downcast::<Error>().ok());
    inner.map_or_else(|| panic!("an error of another kind"), |error| *error)
}
