//! hyper's HTTP/1 client on the loop: hyper's own example `client`, over our sockets.
//!
//! ```sh
//! cargo run --bin hyper_client -- http://example.com/
//! ```

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming as ResponseBody};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Request, Response, Uri};
use net::ConnectOptions;
use net::async_wrap::Environment;
use net::futures::AsyncSocket;
use std::error::Error;
use std::io::{Write, stdout};
use upcall_hyper::Io;

/// Connects by name and sends a GET. The body is still to come.
///
/// # Errors
/// A URL without a host, no connection, or a server that breaks the rules.
pub(crate) async fn get(env: &Environment, url: &Uri) -> Result<Response<ResponseBody>, Box<dyn Error>> {
    let host = url.host().ok_or("a URL with a host is needed")?;
    let socket = AsyncSocket::connect(env, ConnectOptions::host(host, url.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = handshake(Io::new(socket)).await?;
    // It ends when the response has been read, or dropped.
    env.spawn_local(connection).detach();
    let authority = url.authority().ok_or("a URL with a host is needed")?;
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::get(target).header(HOST, authority.as_str()).body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?)
}

async fn print(env: Environment, url: Uri) -> Result<(), Box<dyn Error>> {
    let mut response = get(&env, &url).await?;
    eprintln!("{:?} {}\n{:#?}", response.version(), response.status(), response.headers());
    while let Some(frame) = response.body_mut().frame().await {
        if let Ok(data) = frame?.into_data() {
            stdout().write_all(&data)?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: hyper_client -- http://HOST/PATH")?;
    let env = Environment::with_new_loop()?;
    env.block_on(print(env.clone(), url.parse()?))?
}
