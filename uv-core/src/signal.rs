//! Signals: placeholder.
use crate::LoopHandle;
#[derive(Default)]
pub(crate) struct Signals;
impl Signals {
    pub(crate) fn deliver(&self, _lp: &LoopHandle) {}
}
/// placeholder
#[derive(Debug)]
pub struct Signal;
