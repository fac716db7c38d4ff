//! A listening handle like the plain one, which notes what passes from `async-wrap` to `net`.

use crate::transcript::Transcript;
use async_wrap::upcall::OnConnection;
use async_wrap::{AsyncId, AsyncStream, Environment, Provider};
use net::source::{Acceptor, ListenHandle, ListenQuery, ListenReply, ListenSource, ListenTarget};
use net::{Address, Result};
use tcp_wrap::TcpWrap;
use uv_core::{BindOptions, Errno};

pub(crate) struct WatchedSource(pub(crate) Transcript);

struct WatchedHandle {
    stream: AsyncStream,
    transcript: Transcript,
}

struct Watched {
    transcript: Transcript,
    acceptor: Acceptor,
}

impl ListenSource for WatchedSource {
    fn get_handle(
        &self,
        env: &Environment,
        query: ListenQuery,
        _: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        let ListenTarget::Addr(address) = query.target else {
            return Err(uv_core::Error::new("bind", Errno::ENOTSUP).into());
        };
        let wrap = TcpWrap::new(env.loop_handle());
        wrap.bind(address, BindOptions::default())?;
        let stream = AsyncStream::new(env, (*wrap).clone(), Provider::TcpServerWrap);
        Ok(Some(Box::new(WatchedHandle { stream, transcript: self.0.clone() })))
    }
}

impl ListenHandle for WatchedHandle {
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()> {
        let watched = Watched { transcript: self.transcript.clone(), acceptor };
        Ok(self.stream.listen(backlog, watched)?)
    }

    fn address(&self) -> Option<Address> {
        self.stream.local_addr().ok().map(Address::Tcp)
    }

    fn close(&self) {
        self.stream.close();
    }

    fn async_id(&self) -> Option<AsyncId> {
        Some(self.stream.async_id())
    }

    fn ref_(&self) {
        self.stream.ref_();
    }

    fn unref(&self) {
        self.stream.unref();
    }
}

impl OnConnection for Watched {
    fn on_connection(&mut self, listener: &AsyncStream, connection: uv_core::Result<AsyncStream>) {
        let Self { transcript, acceptor } = self;
        transcript.upcall("OnConnection::on_connection", || acceptor.on_connection(listener, connection));
    }

    fn on_close(&mut self, listener: &AsyncStream) {
        self.transcript.note("OnConnection::on_close");
        self.acceptor.on_close(listener);
    }
}
