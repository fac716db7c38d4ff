//! A WebSocket server: our HTTP server, and async-tungstenite on the connections that leave HTTP.
//!
//! ```sh
//! cargo run --bin websocket
//! websocat ws://127.0.0.1:8003/echo
//! ```

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use futures_util::StreamExt;
use net::ListenOptions;
use net::async_wrap::Environment;
use std::error::Error;
use upcall_http::serve::{Failure, OwnedRequest, Serving, Upgrade};
use upcall_http::upcall::RequestHandler;
use upcall_http::{Request, Response, Server, ServerOptions};

async fn page(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    let status = if request.path() == "/echo" { 426 } else { 404 };
    response.set_status(status)?.set_header("Upgrade", "websocket")?.end(b"a WebSocket is at /echo\n")?;
    Ok(())
}

fn is_websocket(request: &Request<'_>) -> bool {
    let offer = request.fields.get("upgrade").unwrap_or_default();
    request.path() == "/echo" && offer.eq_ignore_ascii_case(b"websocket")
}

/// RFC 6455, 4.2.2: accepts the handshake; then returns each message to its sender.
async fn echo(request: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    let fields = request.fields();
    let key = fields.get("sec-websocket-key");
    let (Some(key), Some(b"13")) = (key, fields.get("sec-websocket-version")) else {
        return Ok(upgrade.refuse(400, &[("Sec-WebSocket-Version", "13")])?);
    };
    let socket = upgrade.accept(&[("Sec-WebSocket-Accept", &derive_accept_key(key))])?;
    let mut messages = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    while let Some(message) = messages.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            messages.send(message).await?;
        }
    }
    Ok(())
}

/// What the server calls.
pub(crate) fn handler() -> impl RequestHandler {
    Serving::new(page).with_upgrades(is_websocket, echo)
}

fn main() -> Result<(), Box<dyn Error>> {
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen(ListenOptions::addr(([127, 0, 0, 1], 8003).into()), handler())?;
    println!("ws://127.0.0.1:8003/echo");
    env.run_to_end()?;
    Ok(())
}
