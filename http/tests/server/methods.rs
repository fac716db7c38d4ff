//! Methods that no specification defines.

use crate::harness::{Client, Count, Site};
use http::upcall::RequestHandler;
use http::{Request, Response, ServerOptions};

/// Echoes methods, of which it has one of its own.
struct Echo(Count);

impl RequestHandler for Echo {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        response.end(request.method.as_bytes()).expect("to end");
    }

    fn accepts_method(&mut self, method: &str) -> bool {
        self.0.add(1);
        method == "BREW"
    }
}

fn ask(client: &mut Client, method: &str) -> (u16, String) {
    client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"));
    let answer = client.answer();
    assert!(!answer.closes());
    (answer.status, answer.text().to_owned())
}

// RFC 9110, 9.1. Node: test-http-methods, which has a fixed set, and 400 for the rest
#[test]
fn a_method_that_no_handler_knows_is_not_implemented() {
    let asked = Count::default();
    Site::new(ServerOptions::default()).run(Echo(asked.clone()), |address| {
        let mut client = Client::connect(address);
        for known in
            ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "M-SEARCH", "PROPFIND"]
        {
            assert_eq!(ask(&mut client, known), (200, known.to_owned()));
        }
        for unknown in ["FROB", "get", "Get", "GETS", "GE", "X", "HEADER"] {
            assert_eq!(ask(&mut client, unknown), (501, String::new()), "{unknown}");
        }
        assert_eq!(ask(&mut client, "BREW"), (200, "BREW".to_owned()));
    });
    assert_eq!(asked.get(), 8, "only what no specification defines is asked for");
}
