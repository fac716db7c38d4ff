//! The parts of a run: a process for each processor, which runs its share of the seeds and says what came of them in lines on
//! its standard output.
//!
//! A part also says which seed it runs, so that a seed is known that ends its process, or that does not end. It ends with the
//! process that has started it, of which it holds the other end of its standard input.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Begins a line with the scenario, by its number, and the seed that run now.
pub(crate) const AT: &str = "at\t";

/// The last line. A scenario may end its process, too, with any code.
pub(crate) const END: &str = "end";

/// How often it is looked whether every part still says something.
const TICK: Duration = Duration::from_secs(1);

/// All parts.
pub(crate) struct Parts {
    parts: Vec<Part>,
    lines: Receiver<(usize, String)>,
    looked: Instant,
    patience: u64,
}

/// A part that ended before its share was done.
pub(crate) struct Lost {
    /// The scenario and the seed that it ran.
    pub(crate) at: Option<(usize, u64)>,
    pub(crate) reason: String,
}

struct Part {
    process: Child,
    at: Option<(usize, u64)>,
    /// How often in succession it was looked, and the part had said nothing.
    silent: u64,
    has_ended: bool,
}

impl Parts {
    /// Starts them, with the words of this process. `patience` is for one seed, in seconds.
    pub(crate) fn start(count: u64, patience: u64) -> io::Result<Self> {
        let (sender, lines) = channel();
        let parts = (0..count).map(|part| Part::start(part, count, sender.clone()));
        Ok(Self { parts: parts.collect::<io::Result<_>>()?, lines, looked: Instant::now(), patience })
    }

    /// Waits for the next line of a part, apart from those about the part itself. `None` once all have ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        loop {
            let line = match self.lines.recv_timeout(TICK) {
                Ok((part, line)) => self.parts[part].take(line),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            };
            if self.looked.elapsed() >= TICK {
                self.looked = Instant::now();
                self.parts.iter_mut().for_each(|part| part.look(self.patience));
            }
            if line.is_some() {
                return line;
            }
        }
    }

    /// Waits for the ends of the processes. Returns those that ended too soon.
    pub(crate) fn end(self) -> Vec<Lost> {
        self.parts.into_iter().filter_map(|part| part.end(self.patience)).collect()
    }
}

impl Part {
    fn start(part: u64, count: u64, lines: Sender<(usize, String)>) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .args(["--part", &part.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take();
        thread::spawn(move || {
            let output = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            for line in output.map_while(Result::ok) {
                if lines.send((part as usize, line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, at: None, silent: 0, has_ended: false })
    }

    /// Takes a line, and returns it unless it is about the part itself.
    fn take(&mut self, line: String) -> Option<String> {
        self.silent = 0;
        if let Some((index, seed)) = line.strip_prefix(AT).and_then(|at| at.split_once('\t')) {
            self.at = index.parse().ok().zip(seed.parse().ok());
            return None;
        }
        self.has_ended |= line == END;
        Some(line).filter(|_| !self.has_ended)
    }

    /// Kills a process that runs one seed for too long. The looks are counted, and not the time: all processes may have been
    /// stopped for a while.
    fn look(&mut self, patience: u64) {
        self.silent += 1;
        if self.silent == patience {
            // Fails only if it has ended.
            let _ = self.process.kill();
        }
    }

    fn end(mut self, patience: u64) -> Option<Lost> {
        let reason = match self.process.wait() {
            Ok(status) if status.success() && self.has_ended => return None,
            Ok(_) if self.silent >= patience => format!("it does not end within {patience} s"),
            Ok(status) => format!("it has ended its process: {status}"),
            Err(error) => format!("its process: {error}"),
        };
        Some(Lost { at: self.at, reason })
    }
}

/// Ends this process, a part, together with its parent process, also in the middle of a seed.
pub(crate) fn end_with_starter() {
    thread::spawn(|| {
        // Nothing is ever written to it.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
}
