//! The smallest set of faults with which a run still fails, by leaving out halves, quarters and so on (delta debugging).

use uv_core::faults::Fault;

/// Runs that are tried at most.
const TRIES: usize = 400;

/// Returns a part of `faults` with which `fails` still holds, and from which no single fault can be left out, unless the tries
/// run out.
pub(crate) fn minimal(faults: &[Fault], fails: impl Fn(&[Fault]) -> bool) -> Vec<Fault> {
    let mut kept = faults.to_vec();
    let mut tries = 0;
    if fails(&[]) {
        return Vec::new();
    }
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 && tries < TRIES {
        let mut at = 0;
        while at < kept.len() && tries < TRIES {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + chunk).min(kept.len()));
            tries += 1;
            if fails(&fewer) {
                kept = fewer;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    kept
}
