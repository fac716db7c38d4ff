//! HTTP over the whole chain: the application of `cargo xtask serve`, with files or without, or two routes for bodies of any
//! size.

use super::options::Options;
use super::serving::{ANYWHERE, announce, end_on_sigterm};
use crate::Result;
use crate::catalogue::ALL;
use async_wrap::Environment;
use http::files::Files;
use http::proto::Fields;
use http::upcall::{BodyHandler, RequestHandler};
use http::{Body, Request, Response, Server, ServerOptions};
use net::ListenOptions;
use std::path::PathBuf;
use std::{env, fs};
use upcall::app::App;

/// Bytes of the largest body of `/size/N`.
const MAX_SIZE: usize = 1 << 20;

/// Bytes of the files `/size/N`.
const FILE_SIZES: &[usize] = &[1 << 16, 16 << 20];

/// Serves until SIGTERM, whatever is asked for.
pub(crate) fn serve(options: &Options) -> Result<()> {
    if !ALL.iter().any(|entry| entry.group().name == "http" && entry.own_name() == options.own_name()) {
        return Err(format!("subject: no benchmark {:?} of HTTP", options.bench).into());
    }
    let env = Environment::with_new_loop()?;
    end_on_sigterm(env.loop_handle())?;
    let server = Server::new(&env, ServerOptions::default())?;
    let address = ListenOptions::addr(ANYWHERE);
    // What is measured of the application's own routes is what `cargo xtask serve` runs.
    if options.own_name().starts_with("up-") || options.own_name().starts_with("down-") {
        server.listen(address, Site { body: vec![b'x'; MAX_SIZE] })?;
    } else if options.own_name().starts_with("file-") {
        let folder = files()?;
        let files = Files::open(&env, &folder)?;
        // The files stay until the program ends: they are opened for each request.
        server.listen(address, upcall::app::Site::new(App::default(), files))?;
    } else {
        server.listen(address, App::default())?;
    }
    announce(server.address().and_then(|address| address.as_tcp()).ok_or("no address")?);
    Ok(env.run_to_end()?)
}

/// A folder with files `size/N`, the same for every run.
fn files() -> Result<PathBuf> {
    let folder = env::temp_dir().join("upcall-bench-files");
    fs::create_dir_all(folder.join("size"))?;
    for size in FILE_SIZES {
        fs::write(folder.join("size").join(size.to_string()), vec![b'x'; *size])?;
    }
    Ok(folder)
}

/// The routes of bodies: `GET /size/N` sends N bytes, `POST /sink` counts what it is sent.
struct Site {
    /// What `/size/N` sends the beginning of.
    body: Vec<u8>,
}

impl RequestHandler for Site {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let path = request.path();
        if path == "/sink" {
            request.body().set_handler(Sink { response, received: 0 });
        } else {
            // Fails only if the connection is closed, which ends the response by itself.
            let _ = self.send(&response, path.strip_prefix("/size/").unwrap_or_default());
        }
    }
}

impl Site {
    fn send(&self, response: &Response, size: &str) -> http::Result<()> {
        let body = size.parse::<usize>().ok().and_then(|size| self.body.get(..size));
        match body {
            Some(body) => response.set_header("Content-Type", "text/plain")?.end(body),
            None => response.set_status(404)?.end(b""),
        }
    }
}

/// Counts a body, which is all that becomes of it.
struct Sink {
    response: Response,
    received: u64,
}

impl BodyHandler for Sink {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.received += data.len() as u64;
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        // Fails only if the connection is closed.
        let _ =
            self.response.set_header("Content-Type", "text/plain").and_then(|response| response.end(b"ok"));
    }
}
