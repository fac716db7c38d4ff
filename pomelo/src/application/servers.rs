//! The servers that an application knows. Mirrors `addServers`, `removeServers` and `replaceServers` of pomelo's
//! `lib/application.js`.

use crate::record::text;
use crate::{AppEvent, Application, Result, ServerInfo, cluster_seq};

/// The servers in the order in which they joined, and all types that ever joined.
#[derive(Default)]
pub(super) struct Servers {
    servers: Vec<ServerInfo>,
    types: Vec<String>,
}

fn has_id(info: &ServerInfo, id: &str) -> bool {
    text(info, "id") == Some(id)
}

impl Servers {
    fn add(&mut self, info: ServerInfo) {
        if let Some(server_type) = text(&info, "serverType")
            && !self.types.iter().any(|known| known == server_type)
        {
            self.types.push(server_type.to_owned());
        }
        let id = text(&info, "id").unwrap_or_default();
        match self.servers.iter_mut().find(|known| has_id(known, id)) {
            Some(known) => *known = info,
            None => self.servers.push(info),
        }
    }
}

impl Application {
    /// The servers that have joined, this one included unless it is the master.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerInfo> {
        self.inner().servers.borrow().servers.clone()
    }

    /// The server of this id, if it has joined.
    #[must_use]
    pub fn server(&self, id: &str) -> Option<ServerInfo> {
        self.inner().servers.borrow().servers.iter().find(|info| has_id(info, id)).cloned()
    }

    /// The servers of a type that have joined.
    #[must_use]
    pub fn servers_by_type(&self, server_type: &str) -> Vec<ServerInfo> {
        let servers = self.inner().servers.borrow();
        let of_type = servers.servers.iter().filter(|info| text(info, "serverType") == Some(server_type));
        of_type.cloned().collect()
    }

    /// The types of all servers that ever joined.
    #[must_use]
    pub fn server_types(&self) -> Vec<String> {
        self.inner().servers.borrow().types.clone()
    }

    /// The servers of `servers.json`, in the file's order, with clusters expanded (`getServersFromConfig`).
    #[must_use]
    pub fn servers_from_config(&self) -> &[ServerInfo] {
        self.inner().config.servers()
    }

    /// The server of this id in `servers.json`.
    #[must_use]
    pub fn server_from_config(&self, id: &str) -> Option<&ServerInfo> {
        self.servers_from_config().iter().find(|info| has_id(info, id))
    }

    /// Adds servers that have joined. A record of a known id replaces the old one; a record without an id is left out.
    pub fn add_servers(&self, servers: Vec<ServerInfo>) {
        let servers = with_ids(servers);
        if servers.is_empty() {
            return;
        }
        let mut known = self.inner().servers.borrow_mut();
        servers.iter().for_each(|info| known.add(info.clone()));
        drop(known);
        self.emit(AppEvent::AddServers(servers));
    }

    /// Removes servers that have left. Their types stay known.
    pub fn remove_servers(&self, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        let mut known = self.inner().servers.borrow_mut();
        known.servers.retain(|info| !ids.iter().any(|id| has_id(info, id)));
        drop(known);
        self.emit(AppEvent::RemoveServers(ids.to_vec()));
    }

    /// Replaces all servers.
    pub fn replace_servers(&self, servers: Vec<ServerInfo>) {
        let servers = with_ids(servers);
        let mut known = Servers::default();
        servers.iter().for_each(|info| known.add(info.clone()));
        self.inner().servers.replace(known);
        self.emit(AppEvent::ReplaceServers(servers));
    }

    /// The servers for which one record stands: itself, or the servers of a cluster, numbered on from the earlier clusters
    /// of its type.
    ///
    /// # Errors
    /// [`Error::Record`](crate::Error::Record) for a wrong number of servers.
    pub fn expand_cluster(&self, info: ServerInfo) -> Result<Vec<ServerInfo>> {
        let mut seq = self.inner().cluster_seq.borrow_mut();
        Ok(cluster_seq::expand(info, &mut seq)?)
    }
}

fn with_ids(mut servers: Vec<ServerInfo>) -> Vec<ServerInfo> {
    servers.retain(|info| {
        let has_id = text(info, "id").is_some();
        if !has_id {
            log::warn!(target: "pomelo", "a server without an id is left out: {info:?}");
        }
        has_id
    });
    servers
}
