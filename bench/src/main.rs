//! `upcall-bench [WHAT…]`: see `cargo xtask bench --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::program::main(&std::env::args_os().collect::<Vec<_>>())
}
