//! llhttp's own cases of responses.

use crate::harness::trace;
use crate::llhttp_cases::Verdict::{Refused, Same, Stricter};
use crate::llhttp_cases::all;
use http::proto::Limits;

// HC22.
#[test]
fn each_case_has_llhttps_verdict_or_a_stricter_one_however_it_is_cut() {
    for (title, to, input, verdict) in all() {
        let trace = trace(to, input.as_bytes(), &Limits::default());
        let fault = trace.fault.map(|(fault, _)| fault);
        match verdict {
            Same(items) => {
                assert_eq!(fault, None, "{title}");
                assert_eq!(trace.items.join(" | "), *items, "{title}");
            }
            Refused(expected) => assert_eq!(fault, Some(*expected), "{title}"),
            Stricter(expected, why) => assert_eq!(fault, Some(*expected), "{title}: {why}"),
        }
    }
}
