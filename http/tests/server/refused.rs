//! Requests that an async handler refuses: their clients get a status and a text.

use crate::harness::{Client, Site};
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Error, Response, ServerOptions};

async fn refuse(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    let status = request.query().unwrap_or("400").parse()?;
    match request.path() {
        "/prepared" => {
            response.set_status(201)?.set_header("Content-Length", "1000")?;
            response.set_header("ETag", "\"1\"")?.set_header("Content-Encoding", "gzip")?;
        }
        "/begun" => _ = response.write(b"some")?,
        "/body" => _ = request.body().next().await,
        "/well" => return Ok(response.end(b"well")?),
        _ => {}
    }
    Err(Error::refused(status, format!("no {}", request.path())))?
}

fn serve<T: Send + 'static>(client: impl FnOnce(std::net::SocketAddr) -> T + Send + 'static) -> T {
    Site::new(ServerOptions::default()).run(Serving::new(refuse), client)
}

// tokio-rs/axum: `IntoResponse` for errors
#[test]
fn a_refused_request_gets_its_status_and_text_and_the_connection_goes_on() {
    serve(|address| {
        let mut client = Client::connect(address);
        for status in [400, 404, 422, 503, 999] {
            let answer = client.ask(&format!("/thing?{status}"));
            assert_eq!((answer.status, answer.text()), (status, "no /thing"));
            assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
            assert!(!answer.closes());
        }
        client.send("HEAD /thing?404 HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.head();
        assert_eq!((head.status, head.field("Content-Length")), (404, Some("9")));
        assert_eq!(client.ask("/well").text(), "well");
    });
}

#[test]
fn what_was_prepared_of_a_response_is_gone_when_it_is_refused() {
    serve(|address| {
        let mut client = Client::connect(address);
        let answer = client.ask("/prepared?409");
        assert_eq!((answer.status, answer.text()), (409, "no /prepared"));
        assert_eq!((answer.field("ETag"), answer.field("Content-Encoding")), (None, None));
        assert_eq!(client.ask("/well").text(), "well");
    });
}

#[test]
fn the_rest_of_a_body_is_discarded_behind_a_refusal() {
    serve(|address| {
        let mut client = Client::connect(address);
        client.send("POST /body?403 HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
        client.send(vec![b'x'; 100_000]);
        assert_eq!(client.answer().status, 403);
        assert_eq!(client.ask("/well").text(), "well");
    });
}

#[test]
fn a_response_that_has_begun_is_broken_off_and_no_refusal_is_500() {
    serve(|address| {
        let mut client = Client::connect(address);
        client.get("/begun?400");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.chunk(), b"some");
        assert_eq!(client.rest(), b"", "the end of the chunks is missing");
        for query in ["99", "100", "1000", "none"] {
            assert_eq!(Client::connect(address).ask(&format!("/thing?{query}")).status, 500, "{query}");
        }
    });
}
