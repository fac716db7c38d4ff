//! The commands that add: servers, cron jobs, addresses of the blacklist.

use super::commands::Command;
use super::{CONSOLE, Gather, texts};
use crate::ServerInfo;
use crate::admin::reply::Reply;
use crate::record::{check, text};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::rc::Rc;

const WRONG_FORMAT: &str = "Error server parameters format.";
const MISSING: &str = "Miss necessary server parameters.";

/// The keys that a server's record must have. Node's check has no effect: without an id it starts a second master.
const OF_SERVER: &[&str] = &["host", "port", "id", "serverType"];
const OF_CLUSTER: &[&str] = &["host", "port", "clusterCount", "serverType"];

/// The keys that the master sets.
const NOT_THEIRS: &[&str] = &["env", "main", "pid", "mode", "type", "startId", "masterha"];

impl Command {
    /// Starts a server, or the servers of a cluster. The answer comes before they have registered.
    pub(super) fn add(self, reply: Reply) {
        let info = match self.arguments() {
            Ok(info) => info,
            Err(reason) => return reply.fail(reason),
        };
        let is_cluster = info.contains_key("clusterCount");
        let needed = if is_cluster { OF_CLUSTER } else { OF_SERVER };
        if needed.iter().any(|key| !info.contains_key(*key)) {
            return reply.fail(MISSING);
        }
        if info.keys().any(|key| NOT_THEIRS.contains(&key.as_str())) {
            return reply.fail(WRONG_FORMAT);
        }
        let servers = match self.fleet.app().expand_cluster(info) {
            Ok(servers) => servers,
            Err(error) => return reply.fail(error),
        };
        if let Some(error) = servers.iter().find_map(|server| check(server).err()) {
            return reply.fail(error);
        }
        if is_cluster { self.add_cluster(servers, reply) } else { self.add_one(servers, reply) }
    }

    fn add_one(self, servers: Vec<ServerInfo>, reply: Reply) {
        let Some(server) = servers.into_iter().next() else { return reply.fail(MISSING) };
        let has_process = |id| self.agent.has_server(id) || self.fleet.is_starting(id);
        if text(&server, "id").is_some_and(has_process) {
            return reply.fail(format_args!("id has been registered. id:{}", server["id"]));
        }
        self.fleet.add(server, move |result| match result {
            Ok(()) => reply.ok(json!({ "status": "ok" })),
            Err(reason) => reply.fail(reason),
        });
    }

    /// Answers with the records of the servers that could not be started.
    fn add_cluster(self, servers: Vec<ServerInfo>, reply: Reply) {
        let count = servers.len();
        let gather = Gather::new(count, move |failed: Vec<ServerInfo>| {
            if failed.len() == count {
                reply.fail("all servers start failed.")
            } else {
                reply.ok(json!(failed))
            }
        });
        for server in servers {
            let (gather, record) = (Rc::clone(&gather), server.clone());
            self.fleet.add(server, move |result| {
                if let Err(reason) = &result {
                    log::error!(target: "pomelo", "server {:?} is not added: {reason}", text(&record, "id"));
                }
                gather.add(result.err().map(|_| record));
            });
        }
    }

    /// Sends a cron job to a server or to the servers of a type.
    pub(super) fn cron(self, signal: &str, needed: &[&str], reply: Reply) {
        let cron = match self.arguments() {
            Ok(cron) => cron,
            Err(reason) => return reply.fail(reason),
        };
        let message = json!({ "signal": signal, "cron": cron });
        let is_complete = needed.iter().all(|key| cron.contains_key(*key));
        match (text(&cron, "serverId"), text(&cron, "serverType")) {
            (Some(id), _) if is_complete => drop(self.agent.notify(id, CONSOLE, &message)),
            (None, Some(of_type)) if is_complete => drop(self.agent.notify_type(of_type, CONSOLE, &message)),
            _ => return reply.fail(MISSING),
        }
        reply.ok(json!({ "status": "ok" }));
    }

    /// Sends addresses to all servers.
    pub(super) fn blacklist(self, reply: Reply) {
        let Some(addresses) = texts(&self.body, "args") else { return reply.fail(WRONG_FORMAT) };
        if let Some(wrong) = addresses.iter().find(|address| address.parse::<Ipv4Addr>().is_err()) {
            return reply.fail(format_args!("blacklist ip: {wrong} is error format."));
        }
        self.agent.notify_all(CONSOLE, &json!({ "signal": "blacklist", "blacklist": addresses }));
        reply.ok(json!({ "status": "ok" }));
    }

    /// The arguments `key=value` of a request. (Node breaks on an argument without `=`, and cuts a value at a second `=`.)
    fn arguments(&self) -> Result<ServerInfo, &'static str> {
        let words = texts(&self.body, "args").ok_or(WRONG_FORMAT)?;
        let pair = |word: &String| {
            let (key, value) = word.split_once('=').ok_or(WRONG_FORMAT)?;
            Ok((key.to_owned(), Value::from(value)))
        };
        words.iter().map(pair).collect()
    }
}
