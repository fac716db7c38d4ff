//! placeholder
/// placeholder
#[derive(Debug)]
pub struct Work;
