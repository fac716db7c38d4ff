//! Clusters: records that stand for several servers. Mirrors `loadCluster` of pomelo's `lib/util/utils.js`.

use crate::ServerInfo;
use crate::record::{RecordError, name, number};
use serde_json::Value;
use std::collections::BTreeMap;

/// The most servers of one record: each is a process, and a typing error must not start a million.
const MAX_CLUSTER: u64 = 1024;

/// The next number of each type's clusters.
#[derive(Clone, Default)]
pub(crate) struct ClusterSeq(BTreeMap<String, u64>);

/// The servers that a record stands for: itself, or `clusterCount` of them, numbered on from `seq`.
///
/// A text such as `3250++` becomes that number, one higher in each server.
pub(crate) fn expand(info: ServerInfo, seq: &mut ClusterSeq) -> Result<Vec<ServerInfo>, RecordError> {
    let Some(count) = info.get("clusterCount") else { return Ok(vec![info]) };
    let count = number(count).filter(|count| (1..=MAX_CLUSTER).contains(count)).ok_or_else(|| {
        RecordError::new(
            "clusterCount",
            format!("{count} is no number of servers, which is 1 to {MAX_CLUSTER}"),
        )
    })?;
    let server_type = name(&info, "serverType")?;
    let next = seq.0.entry(server_type.to_owned()).or_default();
    let first = *next;
    *next += count;
    Ok((0..count).map(|index| numbered(&info, server_type, first, index)).collect())
}

fn numbered(info: &ServerInfo, server_type: &str, first: u64, index: u64) -> ServerInfo {
    let mut server = info.clone();
    for value in server.values_mut() {
        if let Some(base) = counted(value) {
            *value = Value::from(base.saturating_add(index));
        }
    }
    server.insert("id".into(), Value::from(format!("cluster-server-{server_type}-{}", first + index)));
    server
}

/// The number in front of `++`.
fn counted(value: &Value) -> Option<u64> {
    value
        .as_str()?
        .strip_suffix("++")
        .filter(|base| base.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}
