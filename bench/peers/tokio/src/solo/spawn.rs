//! Child processes, one at a time.

use std::io;

use tokio::process::Command;

use super::{Meter, warm_up};
use crate::runtime;

/// Starts `/bin/true` and waits for its end.
pub(super) fn spawn(ops: u64) -> io::Result<()> {
    runtime()?.block_on(async {
        run(warm_up(ops)).await?;
        let meter = Meter::start()?;
        run(ops).await?;
        meter.print(ops)
    })
}

async fn run(ops: u64) -> io::Result<()> {
    let mut command = Command::new("/bin/true");
    for _ in 0..ops {
        let status = command.status().await?;
        if !status.success() {
            return Err(io::Error::other(format!("/bin/true: {status}")));
        }
    }
    Ok(())
}
