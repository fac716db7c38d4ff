//! Where a worker's servers get their listening handles: from the primary. Mirrors `cluster._getServer`, Node's
//! `lib/internal/cluster/child.js`.

use crate::channel::message::{Message, PATH_BYTES, ProtocolError, Query, Reply, Target};
use crate::worker::WorkerSelf;
use crate::worker::faux_handle::FauxHandle;
use crate::worker::shared_handle::SharedHandle;
use async_wrap::Environment;
use net::source::{ListenHandle, ListenQuery, ListenReply, ListenSource, ListenTarget};
use net::{Address, Result};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::{Errno, Error};

pub(crate) struct WorkerSource(pub(crate) Rc<WorkerSelf>);

impl ListenSource for WorkerSource {
    fn get_handle(
        &self,
        _: &Environment,
        query: ListenQuery,
        reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        let worker = &self.0;
        if worker.is_leaving() || worker.channel.is_closing() {
            return Err(Error::new("listen", Errno::EPIPE).into());
        }
        let target = match query.target {
            ListenTarget::Port(port) => Target::Port(port),
            ListenTarget::Addr(addr) => Target::Addr(addr),
            ListenTarget::Path(path) => Target::Path(absolute(path)?),
        };
        let key = worker.handles.key(target);
        let question = Query {
            key: key.clone(),
            backlog: query.backlog,
            ipv6_only: query.ipv6_only,
            reuse_port: query.reuse_port,
            readable_by_all: query.readable_by_all,
            writable_by_all: query.writable_by_all,
            no_delay: query.no_delay,
            keep_alive: query.keep_alive.map_or(0, seconds),
        };
        let id = worker.handles.ask(key, reply);
        worker.tell(&Message::Query { id, query: question });
        Ok(None)
    }
}

/// Workers may stand in different folders; the file decides. An abstract name is none.
fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    if path.as_os_str().as_bytes().first() == Some(&0) {
        return Ok(path);
    }
    let failed = |errno| Error::new("bind", errno).on(path.display());
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(failed(Errno::EINVAL));
    }
    let absolute = std::path::absolute(&path).map_err(|error| failed(Errno::from(error)))?;
    if absolute.as_os_str().len() > PATH_BYTES { Err(failed(Errno::ENAMETOOLONG)) } else { Ok(absolute) }
}

fn seconds(idle: Duration) -> u32 {
    u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1)
}

impl WorkerSelf {
    /// The primary answered a query.
    pub(crate) fn answered(
        self: &Rc<Self>,
        id: u32,
        reply: Reply,
        fd: Option<OwnedFd>,
    ) -> Result<(), ProtocolError> {
        let question = self.handles.take_question(id).ok_or(ProtocolError::Unexpected)?;
        let key = question.key;
        let handle: Result<Box<dyn ListenHandle>> = match (reply, fd) {
            (Reply::Distributed { key: id, address, prepared }, None) => {
                let handle = FauxHandle::new(self, id, address, prepared);
                self.handles.insert(id, key, Some(Rc::clone(handle.faux())));
                Ok(Box::new(handle))
            }
            (Reply::Shared { key: id, address }, Some(fd)) => {
                self.handles.insert(id, key, None);
                SharedHandle::new(self, id, address, fd).map(|handle| Box::new(handle) as _)
            }
            (Reply::Failed { errno, target }, None) => {
                Err(Error::new("bind", Errno::from_raw(errno)).on(target).into())
            }
            _ => return Err(ProtocolError::Descriptors),
        };
        self.env.make_callback(self.context, || (question.reply)(handle));
        Ok(())
    }

    /// The primary shared a socket, for which this process had no descriptor left.
    pub(crate) fn socket_lost(&self, id: u32, key: u32, address: &Address) -> Result<(), ProtocolError> {
        let question = self.handles.take_question(id).ok_or(ProtocolError::Unexpected)?;
        // So that the next one who asks does not find it in use.
        self.tell(&Message::Close { key });
        let error = Error::new("listen", Errno::EMFILE).on(address);
        self.env.make_callback(self.context, || (question.reply)(Err(error.into())));
        Ok(())
    }
}
