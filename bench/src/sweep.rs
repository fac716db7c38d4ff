//! Sweeps a core's caches: reads more memory than they hold, so that the program that runs there next finds them without anything
//! of its own.

use super::launch::pin;
use std::hint::black_box;
use std::thread;

/// Bytes that are read: twice the last cache that the cores of one group share in most machines.
const SWEPT: usize = 64 << 20;

/// Words of a cache line.
const LINE: usize = 8;

pub(crate) struct Sweeper {
    cpu: Option<usize>,
    memory: Vec<u64>,
}

impl Sweeper {
    /// For the caches of `cpu`, or of any.
    pub(crate) fn new(cpu: Option<usize>) -> Self {
        // All pages of zeros would be the same one.
        Self { cpu, memory: vec![1; SWEPT / size_of::<u64>()] }
    }

    pub(crate) fn sweep(&self) {
        thread::scope(|scope| {
            scope.spawn(|| {
                // Where this cannot be pinned the programs are not either, and the shared cache is swept at least.
                let _pinned = self.cpu.map(pin);
                black_box(self.memory.iter().step_by(LINE).fold(0, |sum: u64, word| sum.wrapping_add(*word)));
            });
        });
    }
}
