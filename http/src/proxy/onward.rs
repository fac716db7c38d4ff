//! The request to an upstream, as a builder of the client's.

use super::Core;
use super::downstream::Downstream;
use super::fields::{self, Passage};
use crate::client::RequestBuilder;
use crate::proto::{Framing, RequestHead};

/// Prepares the request as an upstream gets it.
pub(super) fn build(
    core: &Core,
    head: &RequestHead<'_>,
    upstream: usize,
    downstream: &Downstream,
) -> RequestBuilder {
    let upstream = &core.upstreams[upstream];
    let address = downstream.socket().remote_address().and_then(|address| address.as_tcp());
    let host = Some(head.authority()).filter(|host| core.options.pass_host && !host.is_empty());
    let passage = Passage {
        client: address.map(|address| address.ip().to_canonical()),
        trusts_client: core.options.trust_clients,
        host: host.unwrap_or_else(|| upstream.authority()),
        via: &core.via,
        offers_upgrade: matches!(downstream, Downstream::Raw(_)),
    };
    let mut scratch = core.scratch.borrow_mut();
    let (bytes, url) = &mut *scratch;
    url.clear();
    url.push_str(upstream.url());
    let is_of_server = head.path() == "*";
    if !is_of_server {
        fields::put_target(head, url);
    }
    let mut builder = core.client.request(head.method, &*url);
    if is_of_server {
        builder = builder.target("*");
    }
    // A builder that has failed stays as it is.
    let mut builder = Some(builder);
    let mut put = |name: &str, value: &[u8]| {
        builder = builder.take().map(|builder| builder.append_field(name, value));
    };
    if matches!(head.framing, Framing::Length(1..)) {
        put("Content-Length", head.fields.get("content-length").unwrap_or_default());
    }
    fields::pass_request(head, &passage, bytes, put);
    builder.unwrap_or_else(|| core.client.request(head.method, upstream.url()))
}
