//! Where a worker's servers get their listening handles: from the primary. Mirrors `cluster._getServer`, Node's
//! `lib/internal/cluster/child.js`.

use super::WorkerInner;
use crate::channel::message::{Message, PATH_BYTES};
use async_wrap::Environment;
use net::Result;
use net::source::{ListenHandle, ListenQuery, ListenReply, ListenSource, ListenTarget};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use uv_core::{Errno, Error};

pub(super) struct WorkerSource(pub(super) Rc<WorkerInner>);

impl ListenSource for WorkerSource {
    fn get_handle(
        &self,
        _: &Environment,
        mut query: ListenQuery,
        reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        let worker = &self.0;
        if worker.is_leaving() || worker.channel.is_closing() {
            return Err(Error::new("listen", Errno::EPIPE).into());
        }
        if let ListenTarget::Path(path) = query.target {
            query.target = ListenTarget::Path(absolute(path)?);
        }
        let key = worker.table.key(query.target.clone());
        let index = key.index;
        let id = worker.table.ask(key, reply);
        worker.channel.tell(&Message::Query { id, index, query });
        Ok(None)
    }
}

/// Workers may run in different folders, and share a socket if they mean the same file. An abstract name is not a path.
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
