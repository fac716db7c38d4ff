//! Static files. Mirrors `serve-static`, with which most of Node's applications do this.
//!
//! A file is opened beneath the root whatever the path is, in the thread pool unless the kernel has all of the path in memory,
//! and sent by the kernel. What is decided about
//! it (its length, its version, the part that is sent) is decided for the open file, so that it fits together also while files
//! are replaced.
//!
//! ```
//! use http::async_wrap::Environment;
//! use http::files::Files;
//! use http::net::ListenOptions;
//! use http::{Server, ServerOptions};
//!
//! let env = Environment::with_new_loop()?;
//! let server = Server::new(&env, ServerOptions::default())?;
//! server.listen(ListenOptions::port(0), Files::open(&env, ".")?)?;
//! # server.close()?;
//! env.run_to_end()?;
//! # Ok::<(), http::Error>(())
//! ```

mod target;
mod types;
mod version;

use crate::proto::{Conditions, RequestHead, Selected, Validators};
use crate::upcall::RequestHandler;
use crate::uv_core::file::File;
use crate::uv_core::{self, Errno};
use crate::{Request, Response, Result};
use async_wrap::{Environment, Provider};
use httpdate::fmt_http_date;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;
use target::{Refused, Target};
use version::Version;

/// What a folder is answered with.
const INDEX: &str = "index.html";

/// The files beneath a folder, as a handler of requests, or for some of them: [`serve`](Self::serve). Clones share the folder.
///
/// It answers `GET` and `HEAD`: types by extension, ranges and conditional requests, `index.html` for a folder. It lists no
/// folder, and serves no name that begins with a dot, but `.well-known`, and nothing outside of the folder.
#[derive(Clone, Debug)]
pub struct Files(File);

/// What is asked for, kept while the file is being opened.
struct Asked {
    target: Target,
    query: Option<String>,
    conditions: Conditions,
    response: Response,
}

impl Files {
    /// Opens the folder, once: where a link to it leads later does not matter.
    ///
    /// # Errors
    /// `Net` with why it cannot be opened; `ENOTDIR` if it is not a folder.
    pub fn open(env: &Environment, root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let failed = |errno| uv_core::Error::new("open", errno).on(root.display());
        let folder = std::fs::File::open(root).map_err(|error| failed(error.into()))?;
        let folder = File::from_std(env.loop_handle(), folder, root)?;
        if folder.metadata().is_dir() { Ok(Self(folder)) } else { Err(failed(Errno::ENOTDIR).into()) }
    }

    /// Responds with the file that the path names, now or when it is open, or with the status that tells why not.
    ///
    /// # Errors
    /// As for [`Response::end`]: the connection is closed, say.
    pub fn serve(&self, request: &RequestHead<'_>, response: Response) -> Result<()> {
        if !matches!(request.method, "GET" | "HEAD") {
            response.set_header("Allow", "GET, HEAD")?;
            return send_text(&response, 405, "method not allowed\n");
        }
        let target = match Target::of(request.path()) {
            Ok(target) => target,
            Err(Refused::Malformed) => return send_text(&response, 400, "malformed path\n"),
            Err(Refused::Hidden) => return send_text(&response, 404, "not found\n"),
        };
        let query = request.query().map(str::to_owned);
        let asked = Rc::new(Asked { target, query, conditions: Conditions::of(request), response });
        let path = asked.target.path.clone();
        let path = if path.as_os_str().is_empty() { Path::new(".").to_owned() } else { path };
        open(&self.0, &path, Rc::clone(&asked), |root, file, asked| match file.metadata() {
            metadata if metadata.is_dir() => serve_folder(root, asked),
            metadata if metadata.is_file() && !asked.target.is_folder => asked.send(file),
            _ => asked.refuse(404),
        })
    }
}

impl RequestHandler for Files {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        // Fails only if the connection is closed, which ends the response by itself.
        if let Err(error) = self.serve(request, response) {
            log::debug!(target: "http", "{} {}: {error}", request.method, request.target);
        }
    }
}

fn send_text(response: &Response, status: u16, text: &str) -> Result<()> {
    response.set_status(status)?.set_header("Content-Type", "text/plain")?.end(text.as_bytes())
}

/// A folder has its index, and its path ends with a slash, so that links in the index lead on from there.
fn serve_folder(root: &File, asked: Rc<Asked>) -> Result<()> {
    if !asked.target.is_folder {
        let query = asked.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
        let location = asked.target.as_folder() + &query;
        asked.response.set_header("Location", location)?;
        return asked.refuse(301);
    }
    let index = asked.target.path.join(INDEX);
    open(
        root,
        &index,
        asked,
        |_, file, asked| {
            if file.metadata().is_file() { asked.send(file) } else { asked.refuse(404) }
        },
    )
}

/// Opens a file and answers: at once if that needs no disk, else in the pool, and then in the context of that request.
fn open(
    root: &File,
    path: &Path,
    asked: Rc<Asked>,
    answer: impl FnOnce(&File, &File, Rc<Asked>) -> Result<()> + 'static,
) -> Result<()> {
    match root.try_open_beneath(path) {
        Ok(file) => return answer(root, &file, asked),
        Err(error) if error.errno() == Errno::EAGAIN => {}
        Err(error) => return asked.refuse_because(&error),
    }
    let env = asked.response.environment().clone();
    let (folder, waiting) = (root.clone(), Rc::clone(&asked));
    let after = env.request(Provider::FsReqCallback, move |opened: uv_core::Result<File>| {
        let answered = match opened {
            Ok(file) => answer(&folder, &file, waiting),
            Err(error) => waiting.refuse_because(&error),
        };
        // Fails only if the connection is closed, which ends the response by itself.
        if let Err(error) = answered {
            log::debug!(target: "http", "{error}");
        }
    });
    // Refused only for a path that is not valid, and for a root that is closed.
    match root.open_beneath(path, after) {
        Ok(_) => Ok(()),
        Err(error) => asked.refuse_because(&error),
    }
}

impl Asked {
    fn refuse(&self, status: u16) -> Result<()> {
        let text = match status {
            301 => "moved permanently\n",
            403 => "forbidden\n",
            404 => "not found\n",
            412 => "precondition failed\n",
            416 => "range not satisfiable\n",
            503 => "try again later\n",
            _ => "internal server error\n",
        };
        send_text(&self.response, status, text)
    }

    /// Answers that a file cannot be opened.
    fn refuse_because(&self, error: &uv_core::Error) -> Result<()> {
        let status = match error.errno() {
            Errno::EACCES | Errno::EPERM => 403,
            // Also for what leads out of the root (EXDEV), and for a link that may not be followed (ELOOP).
            Errno::ENOENT
            | Errno::ENOTDIR
            | Errno::EXDEV
            | Errno::ELOOP
            | Errno::ENAMETOOLONG
            | Errno::ENXIO => 404,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => 503,
            _ => 500,
        };
        if status >= 500 {
            log::warn!(target: "http", "{error}");
        }
        self.refuse(status)
    }

    /// Sends what of the file the request is for.
    fn send(&self, file: &File) -> Result<()> {
        let (metadata, response) = (file.metadata(), &self.response);
        let (len, now) = (metadata.len(), SystemTime::now());
        let Version { etag, modified } = Version::of(metadata, now);
        let version = Validators { etag: Some(&etag), modified, now: Some(now) };
        let selected = self.conditions.select(&version, len);
        // What is sent with a refusal is another representation.
        if !matches!(selected, Selected::Failed | Selected::Unsatisfiable) {
            response.set_header("ETag", &etag)?;
            if let Some(modified) = modified {
                response.set_header("Last-Modified", fmt_http_date(modified))?;
            }
        }
        match selected {
            Selected::Whole => {
                self.describe(file)?;
                response.send_file(file.range(..len)?)
            }
            Selected::Part(part) => {
                self.describe(file)?;
                let range = format!("bytes {}-{}/{len}", part.start, part.end - 1);
                response.set_status(206)?.set_header("Content-Range", range)?;
                response.send_file(file.range(part)?)
            }
            Selected::NotModified => response.set_status(304)?.end(b""),
            Selected::Failed => self.refuse(412),
            Selected::Unsatisfiable => {
                response.set_header("Content-Range", format!("bytes */{len}"))?;
                self.refuse(416)
            }
        }
    }

    fn describe(&self, file: &File) -> Result<()> {
        self.response.set_header("Content-Type", types::of(file.path()))?;
        self.response.set_header("Accept-Ranges", "bytes").map(drop)
    }
}
