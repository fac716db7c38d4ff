//! Fetches a URL and prints the response; without a URL that of a server of its own.
//!
//! `cargo run -p upcall-http --example client http://example.org/`.

use http::async_wrap::Environment;
use http::client::{Client, Error};
use http::net::ListenOptions;
use http::{Server, ServerOptions};
use std::io::Write;
use std::time::Duration;

/// Prints the head of the response, and its body as it comes.
async fn fetch(client: Client, url: String) -> Result<(), Error> {
    let mut response = client.get(&url).field("Accept", "*/*").timeout(Duration::from_secs(30)).await?;
    println!("{} {}", response.status(), String::from_utf8_lossy(response.reason()));
    for (name, value) in response.fields().iter() {
        println!("{name}: {}", String::from_utf8_lossy(value));
    }
    println!();
    while let Some(piece) = response.next().await {
        // A pipe that is closed ends the program with it.
        let _ = std::io::stdout().write_all(&piece?);
    }
    println!();
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env = Environment::with_new_loop()?;
    let client = Client::new(&env)?;
    if let Some(url) = std::env::args().nth(1) {
        return Ok(env.block_on(fetch(client, url))??);
    }
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), |_, response| {
        // An error means that the client has closed the connection.
        let _ = response.end(b"hello from the same loop");
    })?;
    let url = format!("http://{}/", server.address().ok_or("no address")?);
    env.block_on(fetch(client, url))??;
    server.close()?;
    env.run_to_end()?;
    Ok(())
}
