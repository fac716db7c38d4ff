//! `servers.json`: the servers of every type. Mirrors `loadServers` of pomelo's `lib/util/appUtil.js`.

use super::json::{ConfigError, Document, Step};
use crate::ServerInfo;
use crate::cluster_seq::{ClusterSeq, expand};
use crate::record::{check, text};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

/// The servers of an environment, in the order of the file, with clusters expanded.
pub(crate) struct ServersFile(Vec<ServerInfo>);

impl ServersFile {
    pub(crate) fn servers(&self) -> &[ServerInfo] {
        &self.0
    }
}

/// Reads `servers.json`.
pub(crate) fn load(base: &Path, env: &str, seq: &mut ClusterSeq) -> Result<ServersFile, ConfigError> {
    let document = Document::require(base, "servers", env)?;
    let Value::Object(types) = &document.value else {
        return Err(document.error(&[], "is not an object with an array of servers for each type"));
    };
    let (mut servers, mut ids) = (Vec::new(), HashSet::new());
    for (server_type, records) in types {
        let place = [Step::Key(server_type.clone())];
        let Value::Array(records) = records else {
            return Err(document.error(&place, "is not an array of servers"));
        };
        for (index, record) in records.iter().enumerate() {
            let place = [Step::Key(server_type.clone()), Step::Index(index)];
            for server in servers_of(record, server_type, seq, &document, &place)? {
                let id = text(&server, "id").unwrap_or_default();
                if !ids.insert(id.to_owned()) {
                    let [server_type, index] = place;
                    let problem = format!("another server has the id {id:?}");
                    return Err(document.error(&[server_type, index, Step::Key("id".into())], problem));
                }
                servers.push(server);
            }
        }
    }
    Ok(ServersFile(servers))
}

fn servers_of(
    record: &Value,
    server_type: &str,
    seq: &mut ClusterSeq,
    document: &Document,
    place: &[Step],
) -> Result<Vec<ServerInfo>, ConfigError> {
    let Value::Object(record) = record else {
        return Err(document.error(place, "is not an object, the record of a server"));
    };
    if record.contains_key("wsPort") {
        let problem = "is deprecated, use clientPort in a frontend server instead";
        let place: Vec<Step> = place.iter().cloned().chain([Step::Key("wsPort".into())]).collect();
        log::warn!(target: "pomelo", "{}", document.error(&place, problem));
    }
    let mut record = record.clone();
    record.insert("serverType".into(), Value::from(server_type));
    let servers = expand(record, seq).map_err(|error| document.record_error(place, &error))?;
    for server in &servers {
        check(server).map_err(|error| document.record_error(place, &error))?;
    }
    Ok(servers)
}
