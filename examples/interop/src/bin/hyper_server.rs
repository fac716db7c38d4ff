//! hyper's HTTP/1 server on the loop: hyper's own example `echo`, over our sockets and with our timer.
//!
//! ```sh
//! cargo run --bin hyper_server
//! curl -d 'some text' http://127.0.0.1:8001/echo/reversed
//! ```

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming as RequestBody};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use net::ListenOptions;
use net::async_wrap::Environment;
use net::futures::Incoming;
use std::error::Error;
use upcall_hyper::{Io, http1_server};

type AnyBody = BoxBody<Bytes, hyper::Error>;

/// What `/echo/reversed` collects at most: it has to have the last byte before it can send one.
const MOST_REVERSED: u64 = 64 * 1024;

fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

fn status(status: StatusCode, text: &'static str) -> Response<AnyBody> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response
}

async fn answer(request: Request<RequestBody>) -> Result<Response<AnyBody>, hyper::Error> {
    let body = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => full("POST something to /echo, /echo/uppercase or /echo/reversed\n"),
        (&Method::POST, "/echo") => request.into_body().boxed(),
        (&Method::POST, "/echo/uppercase") => {
            let upper = |frame: Frame<Bytes>| frame.map_data(|data| data.to_ascii_uppercase().into());
            request.into_body().map_frame(upper).boxed()
        }
        (&Method::POST, "/echo/reversed") => {
            if request.body().size_hint().upper().is_none_or(|size| size > MOST_REVERSED) {
                return Ok(status(StatusCode::PAYLOAD_TOO_LARGE, "too long\n"));
            }
            let mut all = request.into_body().collect().await?.to_bytes().to_vec();
            all.reverse();
            full(all)
        }
        _ => return Ok(status(StatusCode::NOT_FOUND, "not found\n")),
    };
    Ok(Response::new(body))
}

/// Serves until the server beneath `incoming` is closed.
pub(crate) async fn serve(env: Environment, mut incoming: Incoming) {
    // With the timer of the loop: a head has to come within 30 s.
    let server = http1_server(&env);
    while let Some(accepted) = incoming.next().await {
        // An error passes, such as ENOMEM: the server tries again.
        let Ok(socket) = accepted.inspect_err(|error| eprintln!("{error}")) else { continue };
        let connection = server.serve_connection(Io::new(socket), service_fn(answer));
        env.spawn_local(async move {
            if let Err(error) = connection.await {
                // A client that has left, or has broken a rule.
                eprintln!("a connection: {error}");
            }
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let env = Environment::with_new_loop()?;
    let incoming = Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 8001).into()))?;
    println!("http://127.0.0.1:8001/");
    env.spawn_local(serve(env.clone(), incoming));
    env.run_to_end()?;
    Ok(())
}
