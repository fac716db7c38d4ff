//! Async handlers whose clients leave at each of their await points, and clients that are dropped, leave nothing. The only test of
//! its process, whose descriptors it counts.

#[path = "../../tests/shared/dropping.rs"]
mod dropping;

use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use dropping::check;
use http::net::futures::AsyncSocket;
use http::net::{ConnectOptions, ListenOptions};
use http::serve::{Failure, OwnedRequest};
use http::{Response, Server, ServerOptions};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);

/// Reads the body whole, awaits all that a handler may, and answers with the body.
async fn all(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    let env = response.socket().environment().clone();
    let body = request.body().bytes(1000).await?;
    env.sleep(SHORT).await;
    let text = env.work(move || body.to_ascii_uppercase()).await?;
    if !response.write(&text)? {
        response.drained().await?;
    }
    response.end(b"")?;
    response.closed().await;
    Ok(())
}

/// Sends each piece back when it comes.
async fn echo(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    response.send(request.body()).await
}

/// A client that sends its body in two pieces, and waits for the end of the answer.
async fn request<R>(env: Environment, handler: impl FnMut(OwnedRequest, Response) -> R + 'static) -> String
where
    R: Future<Output = Result<(), Failure>> + 'static,
{
    let server = Server::new(&env, ServerOptions::default()).expect("valid options");
    server.serve(ListenOptions::addr(([127, 0, 0, 1], 0).into()), handler).expect("to listen");
    let _closing = OnDrop::new(|| server.close().expect("it listens"));
    let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
    let mut client = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await.expect("it listens");
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
    client.write_all(head).await.expect("open");
    client.write_all(b"hello").await.expect("open");
    env.sleep(SHORT).await;
    client.write_all(b"world").await.expect("open");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("it ends");
    String::from_utf8(answer).expect("text")
}

#[test]
fn a_client_that_leaves_at_any_await_point_leaves_nothing() {
    check("a body that is sent back", true, |env| async move {
        let answer = request(env, echo).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("world"), "{answer}");
    });
    check("a handler that awaits", false, |env| async move {
        let answer = request(env, all).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("HELLOWORLD"), "{answer}");
    });
    check("a handler that fails", true, |env| async move {
        let answer = request(env, |mut request, _| async move {
            request.body().bytes(7).await?;
            Ok(())
        });
        assert!(answer.await.starts_with("HTTP/1.1 413"));
    });
}
