//! placeholder
/// placeholder
#[derive(Debug)]
pub struct Process;
/// placeholder
#[derive(Debug)]
pub struct ExitStatus;
/// placeholder
#[derive(Debug)]
pub struct SpawnOptions;
/// placeholder
#[derive(Debug)]
pub struct Stdio;
/// placeholder
pub fn kill() {}
