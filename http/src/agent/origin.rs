//! Where connections lead: what two requests have to have in common to share one. Mirrors `agent.getName`.

use crate::client::Url;
use crate::net::ConnectOptions;
use crate::uv_core::names::Family;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the connection of a request leads. A record that is used again keeps its buffers.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// All of it as text: the key of the pool.
    key: String,
    host: String,
    port: u16,
    pub(crate) unix_path: Option<PathBuf>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) family: Option<Family>,
}

impl Origin {
    /// Leads to the host of a URL, from anywhere.
    pub(crate) fn set(&mut self, url: &Url<'_>) {
        self.host.clear();
        self.host.push_str(url.host);
        self.host.make_ascii_lowercase();
        self.port = url.port;
        (self.unix_path, self.local, self.family) = (None, None, None);
    }

    /// Completes the key, once all else is set.
    pub(crate) fn conclude(&mut self) {
        let Self { key, host, port, unix_path, local, family } = self;
        key.clear();
        // Writing to a string does not fail.
        let _ = if host.contains(':') {
            write!(key, "http://[{host}]:{port}")
        } else {
            write!(key, "http://{host}:{port}")
        };
        if let Some(path) = unix_path {
            let _ = write!(key, " unix {path:?}");
        }
        if let Some(local) = local {
            let _ = write!(key, " from {local}");
        }
        if let Some(family) = family {
            let _ = write!(key, " {family:?}");
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether a connection to it begins with a look-up.
    pub(crate) fn is_looked_up(&self) -> bool {
        self.unix_path.is_none() && self.host.parse::<std::net::IpAddr>().is_err()
    }

    pub(crate) fn connect_options(&self) -> ConnectOptions {
        let options = match &self.unix_path {
            Some(path) => ConnectOptions::path(path),
            None => ConnectOptions::host(&*self.host, self.port),
        };
        options.local(self.local).family(self.family).read_after_failed_write(true)
    }
}
