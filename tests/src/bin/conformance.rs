//! Runs the conformance suite against an HTTP server: `cargo run -p tests --bin conformance -- ADDRESS [FILTER]`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use tests::conformance::{self, Config};

const USAGE: &str = "usage: conformance ADDRESS [FILTER]";

/// Where the case files lie.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // Nothing is left to tell the failure to if the error stream is closed.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every case held.
fn run() -> Result<bool, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or(USAGE)?.parse()?;
    let config = Config { filter: arguments.next().unwrap_or_default(), ..Config::default() };
    let report = conformance::run(address, Path::new(CASES), &config)?;
    writeln!(io::stdout(), "{report}")?;
    Ok(report.is_clean())
}
