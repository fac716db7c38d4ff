//! Judges one response by what a case expects of it.

use super::case::{Alternative, Check, Expected};
use super::json;
use super::response::{Framing, Response};
use super::text;

/// The checks of the alternative with this status.
pub(crate) fn fitting(expected: &Expected, status: u16) -> Option<&[Check]> {
    expected.alternatives.iter().find_map(|alternative| match alternative {
        Alternative::Answer { statuses, checks } if statuses.iter().any(|pattern| pattern.fits(status)) => {
            Some(checks.as_slice())
        }
        _ => None,
    })
}

/// Judges a response against the alternative with its status.
pub(crate) fn answer(response: &Response, expected: &Expected, broken_off: bool) -> Result<(), String> {
    let checks =
        fitting(expected, response.status).ok_or_else(|| format!("the status is {}", response.status))?;
    match (broken_off, checks.contains(&Check::Truncated)) {
        (true, false) => return Err("the connection was closed within the response".into()),
        (false, true) => return Err("the response does not break off".into()),
        _ => {}
    }
    checks.iter().try_for_each(|wanted| check(response, wanted))
}

/// Judges a response against one check.
pub(crate) fn check(response: &Response, wanted: &Check) -> Result<(), String> {
    let contains =
        |part: &[u8]| part.is_empty() || response.body.windows(part.len()).any(|window| window == part);
    let member = |name: &String| json::parse_object(&response.body).map(|mut members| members.remove(name));
    let holds = match wanted {
        Check::Body(body) => response.body == *body,
        Check::BodyContains(part) => contains(part),
        Check::BodyLacks(part) => !contains(part),
        Check::Chunked => response.framing == Framing::Chunked,
        Check::UntilClose => response.framing == Framing::UntilClose,
        // The reader of the response has checked it.
        Check::Truncated => true,
        Check::Field(name) => response.values(name).next().is_some(),
        Check::FieldIs(name, value) => response.values(name).eq([value.as_str()]),
        Check::FieldHas(name, item) => response.lists(name, item),
        Check::NoField(name) => response.values(name).next().is_none(),
        Check::JsonIs(name, value) => member(name)?.as_ref() == Some(value),
        Check::NoJson(name) => member(name)?.is_none(),
    };
    if holds { Ok(()) } else { Err(describe(response, wanted)) }
}

fn describe(response: &Response, wanted: &Check) -> String {
    match wanted {
        Check::Body(_)
        | Check::BodyContains(_)
        | Check::BodyLacks(_)
        | Check::JsonIs(..)
        | Check::NoJson(_) => {
            format!("the body is `{}`", text::show(&response.body))
        }
        Check::Chunked | Check::UntilClose | Check::Truncated => {
            format!("the body is delimited otherwise: {:?}", response.framing)
        }
        Check::Field(name) | Check::FieldIs(name, _) | Check::FieldHas(name, _) | Check::NoField(name) => {
            format!("the values of {name} are {:?}", response.values(name).collect::<Vec<_>>())
        }
    }
}
