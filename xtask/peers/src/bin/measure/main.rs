//! `measure`: the runner. It measures subjects in turn, round by round, so that noise meets them alike.

mod options;
mod proc;
mod round;
mod server;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("measure: {error}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(errors) => {
            eprintln!("measure: {errors} errors");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("measure {}: {error}", options.case.name());
            ExitCode::FAILURE
        }
    }
}

/// Runs all rounds, prints the table, and returns the number of errors.
fn run(options: &Options) -> Result<u64, String> {
    let kit = kit_folder()?;
    server::pin(options.load_cpu).map_err(|error| error.to_string())?;
    let mut samples = Vec::with_capacity(options.rounds);
    for number in 0..options.rounds {
        let mut row = Vec::with_capacity(options.subjects.len());
        for (index, subject) in options.subjects.iter().enumerate() {
            let sample =
                round::run(options, subject, &kit).map_err(|error| format!("{}: {error}", subject.name))?;
            println!("{}", table::round_line(options, number, index, &sample));
            row.push(sample);
        }
        samples.push(row);
    }
    println!("\n{}", table::summary(options, &samples));
    Ok(samples.iter().flatten().map(|sample| sample.errors).sum())
}

/// The folder of this program, where `floor` and `load` are too.
fn kit_folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    own.parent().map(PathBuf::from).ok_or_else(|| "own path has no folder".to_owned())
}
