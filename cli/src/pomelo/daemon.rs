//! `pomelo start --daemon`: the master in a session of its own, its output in a file. This process shows that output until
//! the servers are up, and leaves.

use super::init::PRIVATE;
use super::options::StartOptions;
use super::progress::READY;
use crate::args::Result;
use crate::say;
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};

/// How often the file is read: a tenth of a second goes unnoticed.
const LOOK: Duration = Duration::from_millis(50);

/// Starts the master in the background and waits until its servers are up.
pub(super) fn run(options: &StartOptions) -> Result<()> {
    let folder = super::start::folder(options)?;
    let path = folder.join("logs").join("pomelo.log");
    let failed = |error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder.join("logs")).map_err(failed)?;
    let log = File::options().create(true).append(true).mode(PRIVATE).open(&path).map_err(failed)?;
    // What servers say may be secret; an older file may be open to others.
    log.set_permissions(Permissions::from_mode(PRIVATE)).map_err(failed)?;
    let mut tail = Tail { file: File::open(&path).map_err(failed)?, line: Vec::new(), is_ready: false };
    tail.file.seek(SeekFrom::End(0)).map_err(failed)?;
    let (pid, ended) = watch(options, &folder, &log, tail)?;
    match ended {
        None => say::out(format_args!("the master is process {pid}, and its log {}", path.display())),
        Some(status) if status.success() => {}
        Some(status) => return Err(format!("the master ended: {status}; see {}", path.display()).into()),
    }
    Ok(())
}

/// Starts the master and shows its output. Returns its process id, and its exit status if it has ended.
fn watch(options: &StartOptions, folder: &Path, log: &File, tail: Tail) -> Result<(i32, Option<ExitStatus>)> {
    let env = Environment::with_new_loop()?;
    let output = Stdio::InheritFd(log.as_raw_fd());
    let command = SpawnOptions::new(uv_core::os::program_path()?)
        .args(["pomelo", "start"])
        .args(words(options))
        .arg("--")
        .arg(folder)
        .detached(true)
        .stdio([Stdio::Ignore, output.clone(), output]);
    let (ended, tail) = (Rc::new(Cell::new(None)), Rc::new(RefCell::new(tail)));
    let (told, last) = (Rc::clone(&ended), Rc::clone(&tail));
    let process =
        Process::spawn(env.loop_handle(), &command, move |process: &Process, status: ExitStatus| {
            process.close();
            told.set(Some(status));
            last.borrow_mut().show();
        })?;
    // The timer keeps the loop alive.
    process.unref();
    let timer = Rc::new(RefCell::new(None));
    let (own, over) = (Rc::clone(&timer), Rc::clone(&ended));
    timer.replace(Some(env.set_interval(LOOK, move || {
        let mut tail = tail.borrow_mut();
        tail.show();
        if tail.is_ready || over.get().is_some() {
            own.take().iter().for_each(async_wrap::Timeout::clear);
        }
    })));
    env.run_to_end()?;
    Ok((process.pid(), ended.get()))
}

/// The options for the master, without those of this process.
fn words(options: &StartOptions) -> Vec<String> {
    let StartOptions { env, server_type, id, ssh, .. } = options;
    let mut words = Vec::new();
    for (option, value) in [("--env", env), ("--type", server_type), ("--id", id)] {
        words.extend(value.iter().map(|value| format!("{option}={value}")));
    }
    if !ssh.is_empty() {
        words.push(format!("--ssh={}", ssh.join(" ")));
    }
    words
}

/// Reads what is appended to a file.
struct Tail {
    file: File,
    line: Vec<u8>,
    /// The line that ends the wait was there.
    is_ready: bool,
}

impl Tail {
    /// Shows the lines that have come. A file that cannot be read shows nothing, and the master's end is seen all the
    /// same.
    fn show(&mut self) {
        let _read = self.file.read_to_end(&mut self.line);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if !self.is_ready {
                say::out(line.trim_end());
            }
            self.is_ready |= line.starts_with(READY);
        }
    }
}
