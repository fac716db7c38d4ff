//! The output of attached servers, passed on. Mirrors the listeners on `child.stdout` and `child.stderr` of pomelo's
//! `lib/master/starter.js`.

use super::local::{Kind, Launch};
use crate::Application;
use crate::upcall::OutputHandler;
use async_wrap::layer::HandlerCell;
use async_wrap::{AsyncContext, Environment, Provider};
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{PipeWrap, StreamWrap};
use uv_core::LoopHandle;
use uv_core::os::Spool;
use uv_core::process::Stdio;

/// The stream to which a server wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error, which does not mean that the start has failed.
    Stderr,
}

/// The server and the stream of some output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOf {
    /// The server's id.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Whether it is on this host.
    pub is_local: bool,
    /// The stream.
    pub stream: OutputStream,
}

/// The receiver of the output.
pub(crate) struct Output(HandlerCell<Box<dyn OutputHandler>>);

impl Output {
    pub(crate) fn new(handler: Option<Box<dyn OutputHandler>>) -> Self {
        let slot = HandlerCell::empty();
        slot.set(handler.unwrap_or_else(|| Box::new(pass_on)));
        Self(slot)
    }
}

/// Writes to this process's own output, with the host's name before the output of another host. If that output is not
/// read, lines are dropped and counted: a master does not block on the output of its servers.
fn pass_on(from: &OutputOf, data: &[u8]) {
    let mut text = Vec::with_capacity(data.len());
    if !from.is_local {
        text.extend_from_slice(format!("[{}] ", from.host).as_bytes());
    }
    text.extend_from_slice(data);
    match from.stream {
        OutputStream::Stdout => Spool::stdout().write(&text),
        OutputStream::Stderr => Spool::stderr().write(&text),
    };
}

/// The output pipes of a server that is about to start.
pub(super) struct Pipes([(OutputStream, PipeWrap); 2]);

impl Pipes {
    pub(super) fn new(event_loop: &LoopHandle) -> Self {
        Self([OutputStream::Stdout, OutputStream::Stderr].map(|stream| (stream, PipeWrap::new(event_loop))))
    }

    pub(super) fn stdio(&self) -> [Stdio; 2] {
        self.0.each_ref().map(|(_, pipe)| Stdio::Pipe(pipe.handle().clone()))
    }

    /// Closes the pipes of a server that did not start.
    pub(super) fn close(&self) {
        self.0.iter().for_each(|(_, pipe)| pipe.close());
    }

    /// Reads until the server and all its children have closed their ends.
    pub(super) fn read(self, app: &Application, launch: &Launch) {
        for (stream, pipe) in self.0 {
            let Launch { id, host, kind, .. } = launch;
            let is_local = *kind == Kind::Server;
            let from = OutputOf { id: id.clone(), host: host.clone(), is_local, stream };
            let context = app.environment().new_context(Provider::PipeWrap);
            pipe.set_handler(Reading { app: app.clone(), from, context });
            if let Err(error) = pipe.read_start() {
                log::warn!(target: "pomelo", "output of server {id:?}: {error}");
                pipe.close();
            }
        }
    }
}

/// The handler of one pipe.
struct Reading {
    app: Application,
    from: OutputOf,
    context: AsyncContext,
}

impl Reading {
    fn environment(&self) -> &Environment {
        self.app.environment()
    }
}

impl OnStream for Reading {
    fn on_read(&mut self, _: &StreamWrap, data: &[u8]) {
        let output = &self.app.inner().output.0;
        let call = || output.call(|handler| handler.on_output(&self.from, data));
        self.environment().make_callback(self.context, call);
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, error: uv_core::Error) {
        log::debug!(target: "pomelo", "output of server {:?}: {error}", self.from.id);
        stream.close();
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.environment().emit_destroy(self.context.async_id());
    }
}
