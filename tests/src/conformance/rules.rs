//! What RFC 9110 and RFC 9112 require of every response, so that no case has to repeat it.

use super::case::RequestKind;
use super::date;
use super::response::{Framing, Response};

/// Checks a response on its own.
///
/// # Errors
///
/// The rule that the server broke.
pub(crate) fn check(response: &Response, request: RequestKind) -> Result<(), String> {
    if response.is_interim() {
        if request.http10 {
            return Err("an interim response to HTTP/1.0 (RFC 9110 15.2)".into());
        }
        return Ok(());
    }
    check_date(response)?;
    check_connection(response, request)?;
    check_allow(response)?;
    for (field, option) in [("Keep-Alive", "keep-alive"), ("Upgrade", "upgrade"), ("TE", "te")] {
        if response.values(field).next().is_some() && !response.lists("Connection", option) {
            return Err(format!("{field} is not listed in Connection (RFC 9110 7.6.1)"));
        }
    }
    Ok(())
}

/// An origin server with a clock sends `Date` in every response but 5xx (RFC 9110 6.6.1).
fn check_date(response: &Response) -> Result<(), String> {
    let dates: Vec<&str> = response.values("Date").collect();
    match dates[..] {
        [] if response.status >= 500 => Ok(()),
        [] => Err(format!("no Date in a {} (RFC 9110 6.6.1)", response.status)),
        [date] => date::check(date),
        _ => Err("several Date fields (RFC 9110 5.3)".into()),
    }
}

/// A 405 names the methods of the resource (RFC 9110 15.5.6).
fn check_allow(response: &Response) -> Result<(), String> {
    if response.status == 405 && response.values("Allow").next().is_none() {
        return Err("405 without Allow (RFC 9110 15.5.6)".into());
    }
    Ok(())
}

fn check_connection(response: &Response, request: RequestKind) -> Result<(), String> {
    if response.lists("Connection", "close") && response.lists("Connection", "keep-alive") {
        return Err("Connection lists both close and keep-alive (RFC 9112 9.3)".into());
    }
    if response.framing == Framing::UntilClose && !announces_close(response, request) {
        return Err("neither a length nor chunks nor a close delimits the body (RFC 9112 6.3)".into());
    }
    Ok(())
}

/// Whether the connection ends after this response (RFC 9112 9.3).
pub(crate) fn announces_close(response: &Response, request: RequestKind) -> bool {
    let keeps = response.lists("Connection", "keep-alive");
    response.lists("Connection", "close") || (request.http10 && !keeps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::response::{self, Progress};

    const NOW: RequestKind = RequestKind { head: false, http10: false };
    const HTTP10: RequestKind = RequestKind { head: false, http10: true };

    fn verdict(status: &str, fields: &str, request: RequestKind) -> Result<(), String> {
        let source = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
        match response::parse(source.as_bytes(), true, request) {
            Ok(Progress::Complete(response, _)) => check(&response, request),
            other => panic!("{source:?}: {other:?}"),
        }
    }

    #[test]
    fn broken_rules_are_noticed() {
        let stale = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n";
        for (status, fields, why) in [
            ("200 OK", "Content-Length: 0\r\n", "no Date in a 200"),
            ("304 Not Modified", "", "no Date in a 304"),
            ("400 Bad Request", "Connection: close\r\n", "no Date in a 400"),
            ("200 OK", "Date: now\r\nContent-Length: 0\r\n", "not an IMF-fixdate"),
            ("200 OK", stale, "more than a day"),
            ("500 Oops", "Date: now\r\nDate: now\r\nContent-Length: 0\r\n", "several Date"),
            ("500 Oops", "", "neither a length nor"),
            ("500 Oops", "Connection: close, Keep-Alive\r\n", "both close and keep-alive"),
            ("500 Oops", "Content-Length: 0\r\nKeep-Alive: timeout=5\r\n", "Keep-Alive is not listed"),
            ("500 Oops", "Content-Length: 0\r\nUpgrade: h2c\r\n", "Upgrade is not listed"),
        ] {
            let found = verdict(status, fields, NOW).expect_err(why);
            assert!(found.contains(why), "{found}");
        }
        assert!(verdict("100 Continue", "", HTTP10).is_err());
    }

    #[test]
    fn kept_rules_are_accepted() {
        assert_eq!(verdict("100 Continue", "", NOW), Ok(()));
        assert_eq!(verdict("500 Oops", "Content-Length: 0\r\n", NOW), Ok(()));
        assert_eq!(verdict("500 Oops", "Connection: close\r\n", NOW), Ok(()));
        assert_eq!(verdict("500 Oops", "", HTTP10), Ok(()));
        assert_eq!(
            verdict(
                "500 Oops",
                "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n",
                NOW
            ),
            Ok(())
        );
    }

    #[test]
    fn a_405_names_what_is_allowed() {
        let fields = vec![("allow".to_owned(), String::new())];
        assert!(check_allow(&Response { status: 405, ..Response::default() }).is_err());
        assert!(check_allow(&Response { status: 405, fields, ..Response::default() }).is_ok());
        assert!(check_allow(&Response { status: 404, ..Response::default() }).is_ok());
    }
}
