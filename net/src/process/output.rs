//! A child's whole output. Mirrors `child_process.execFile`, with its `maxBuffer`.

use super::{Command, ExitStatus, Stdio};
use crate::futures::AsyncSocket;
use crate::uv_core::{self, Errno};
use crate::{Error, Result};
use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use bytes::Bytes;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What is read at a time.
const CHUNK: usize = 16 * 1024;

/// How a child has ended, and what it has written: see [`Command::output`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it has ended.
    pub status: ExitStatus,
    /// What it has written to its standard output, if that was a pipe.
    pub stdout: Vec<u8>,
    /// What it has written to its standard error, if that was a pipe.
    pub stderr: Vec<u8>,
}

pub(super) async fn output_of(env: Environment, command: Command) -> Result<Output> {
    let input = if command.input.is_some() { Stdio::Pipe } else { Stdio::Null };
    let mut child = command.start(&env, [input, Stdio::Pipe, Stdio::Pipe])?;
    let [stdin, stdout, stderr] = [child.stdin.take(), child.stdout.take(), child.stderr.take()];
    let mut feeding = pin!(feed(stdin, command.input.clone().unwrap_or_default()));
    let mut reading = pin!(async {
        let (stdout, stderr) = both(gather(stdout, &command), gather(stderr, &command)).await?;
        Ok(Output { status: child.wait().await, stdout, stderr })
    });
    let mut is_fed = false;
    poll_fn(|context| {
        is_fed = is_fed || feeding.as_mut().poll(context).is_ready();
        reading.as_mut().poll(context)
    })
    .await
}

/// Writes all input, and ends it.
async fn feed(stdin: Option<AsyncSocket>, input: Bytes) {
    let Some(mut stdin) = stdin else { return };
    let socket = stdin.socket().clone();
    // What is dropped before the child has read it is not sent.
    let _destroyed = OnDrop::new(|| socket.destroy());
    // The child may end without reading it.
    if stdin.write_all(&input).await.is_ok() {
        let _ = stdin.finish().await;
    }
}

/// Reads all output, up to the limit.
async fn gather(socket: Option<AsyncSocket>, command: &Command) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let Some(mut socket) = socket else { return Ok(all) };
    loop {
        let from = all.len();
        // A byte more than the limit tells that there is more.
        all.resize(from + CHUNK.min(command.limit.saturating_add(1) - from), 0);
        let count = socket.read(&mut all[from..]).await?;
        all.truncate(from + count);
        if count == 0 {
            return Ok(all);
        }
        if all.len() > command.limit {
            let error = uv_core::Error::new("output", Errno::ENOBUFS).on(command.program());
            return Err(error.noting("the child has written more than the limit").into());
        }
    }
}

/// Awaits both, up to the first error.
async fn both<T, U>(
    one: impl Future<Output = Result<T>>,
    other: impl Future<Output = Result<U>>,
) -> Result<(T, U)> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none() {
            first = ready_value(one.as_mut().poll(context))?;
        }
        if second.is_none() {
            second = ready_value(other.as_mut().poll(context))?;
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready(Ok((first, second))),
            others => {
                (first, second) = others;
                Poll::Pending
            }
        }
    })
    .await
}

fn ready_value<T>(polled: Poll<Result<T>>) -> Result<Option<T>, Error> {
    match polled {
        Poll::Ready(result) => result.map(Some),
        Poll::Pending => Ok(None),
    }
}
