//! A server of the files beneath a folder, the current one unless another is named.
//!
//! `cargo run -p upcall-http --example static_files`, then `curl http://127.0.0.1:8000/README.md`.

use http::async_wrap::Environment;
use http::net::ListenOptions;
use http::uv_core::{self, file::File};
use http::{Response, Result, Server, ServerOptions};

/// Sends the file that was opened, or says why there is none.
fn answer(response: &Response, opened: uv_core::Result<File>) -> Result<()> {
    match opened.and_then(|file| file.range(..)) {
        Ok(whole) => response.send_file(whole),
        Err(error) => {
            println!("{error}");
            response.set_status(404)?.end(b"not found\n")
        }
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let root = words.next().unwrap_or_else(|| ".".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    let root = File::from_std(env.loop_handle(), std::fs::File::open(&root)?, &root)?;
    server.listen_with(ListenOptions::addr(address.parse()?), move |request, response| {
        // A path that leads out of the folder is an error, whatever it consists of. An error of `answer` means that the
        // client has closed the connection.
        let path = request.path().trim_start_matches('/');
        let later = response.clone();
        if let Err(error) = root.open_beneath(path, move |opened| _ = answer(&later, opened)) {
            let _ = answer(&response, Err(error));
        }
    })?;
    println!("listening on http://{}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
