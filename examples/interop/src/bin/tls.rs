//! TLS by rustls on the loop: futures-rustls over our sockets, and hyper over both. The certificate is made at the start.
//!
//! ```sh
//! cargo run --bin tls
//! curl --insecure https://127.0.0.1:8004/
//! ```

use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::ServerConfig;
use hyper::body::Incoming as RequestBody;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use net::ListenOptions;
use net::async_wrap::Environment;
use net::futures::{AsyncSocket, Incoming};
use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use upcall_hyper::{Io, http1_server};

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate for `names` that only its owner has signed, and an acceptor with it.
///
/// # Errors
/// A name that no certificate can have.
pub(crate) fn self_signed(names: &[&str]) -> Result<(CertificateDer<'static>, TlsAcceptor), Box<dyn Error>> {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let certified = rcgen::generate_simple_self_signed(names)?;
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.clone()], key)?;
    Ok((certificate, TlsAcceptor::from(Arc::new(config))))
}

async fn hello(_: Request<RequestBody>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("hello over TLS\n".into()))
}

/// One connection: the handshake, then HTTP.
async fn converse(
    env: Environment,
    acceptor: TlsAcceptor,
    server: Rc<Builder>,
    socket: AsyncSocket,
) -> Result<(), Box<dyn Error>> {
    let encrypted = env.timeout(HANDSHAKE, acceptor.accept(socket)).await??;
    Ok(server.serve_connection(Io::new(encrypted), service_fn(hello)).await?)
}

/// Serves until the server beneath `incoming` is closed.
pub(crate) async fn serve(env: Environment, mut incoming: Incoming, acceptor: TlsAcceptor) {
    let server = Rc::new(http1_server(&env));
    while let Some(accepted) = incoming.next().await {
        // An error passes, such as ENOMEM: the server tries again.
        let Ok(socket) = accepted.inspect_err(|error| eprintln!("{error}")) else { continue };
        let conversation = converse(env.clone(), acceptor.clone(), Rc::clone(&server), socket);
        env.spawn_local(async move {
            if let Err(error) = conversation.await {
                eprintln!("a connection: {error}");
            }
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let env = Environment::with_new_loop()?;
    let incoming = Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 8004).into()))?;
    let (_, acceptor) = self_signed(&["localhost", "127.0.0.1"])?;
    println!("https://127.0.0.1:8004/");
    env.spawn_local(serve(env.clone(), incoming, acceptor));
    env.run_to_end()?;
    Ok(())
}
