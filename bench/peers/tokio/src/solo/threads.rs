//! Wake-ups and messages from other threads, and the pool for blocking work.

use std::io;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;

use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{IN_FLIGHT, Meter, warm_up};
use crate::runtime;

/// Two runtimes on two threads that wake each other by turns.
pub(super) fn wakeup(ops: u64) -> io::Result<()> {
    let (near, far) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pair = (near.clone(), far.clone());
    let far_runtime = runtime()?;
    // This thread waits in its runtime until the program ends.
    thread::spawn(move || {
        far_runtime.block_on(async {
            loop {
                pair.1.notified().await;
                pair.0.notify_one();
            }
        })
    });
    runtime()?.block_on(async {
        ping(&near, &far, warm_up(ops)).await;
        let meter = Meter::start()?;
        ping(&near, &far, ops).await;
        meter.print(ops)
    })
}

async fn ping(near: &Notify, far: &Notify, ops: u64) {
    for _ in 0..ops {
        far.notify_one();
        near.notified().await;
    }
}

/// A message: a function to be called on the runtime's thread.
type Message = fn(&mut u64);

/// A thread posts messages in bursts; it begins the next one when the last was received.
pub(super) fn post(ops: u64) -> io::Result<()> {
    let (outbox, mut inbox) = mpsc::unbounded_channel::<Message>();
    let (next, bursts) = blocking::channel();
    thread::spawn(move || {
        // The loop and this thread end with the program.
        while let Ok(burst) = bursts.recv() {
            for _ in 0..burst {
                let _received = outbox.send(|count| *count += 1);
            }
        }
    });
    runtime()?.block_on(async {
        receive(&mut inbox, &next, warm_up(ops)).await?;
        let meter = Meter::start()?;
        receive(&mut inbox, &next, ops).await?;
        meter.print(ops)
    })
}

async fn receive(
    inbox: &mut mpsc::UnboundedReceiver<Message>,
    next: &blocking::Sender<u64>,
    ops: u64,
) -> io::Result<()> {
    let mut count = 0;
    while count < ops {
        let burst = (ops - count).min(IN_FLIGHT);
        let end = count + burst;
        next.send(burst).map_err(io::Error::other)?;
        while count < end {
            let message = inbox.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
            message(&mut count);
        }
    }
    Ok(())
}

/// Round trips through the blocking pool, so many at a time as there are tasks.
pub(super) fn work(ops: u64) -> io::Result<()> {
    runtime()?.block_on(async {
        work_through(warm_up(ops)).await?;
        let meter = Meter::start()?;
        work_through(ops).await?;
        meter.print(ops)
    })
}

async fn work_through(ops: u64) -> io::Result<()> {
    let share = move |task| ops / IN_FLIGHT + u64::from(task < ops % IN_FLIGHT);
    let tasks: Vec<JoinHandle<io::Result<()>>> = (0..IN_FLIGHT)
        .map(|task| {
            tokio::spawn(async move {
                for _ in 0..share(task) {
                    spawn_blocking(|| ()).await?;
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
