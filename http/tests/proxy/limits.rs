//! Limits of the connections to upstreams.

use crate::harness::Client;
use crate::stand::{Script, Stand};
use std::sync::mpsc::sync_channel;

#[test]
fn too_many_waiting_requests_are_503() {
    let (here, is_here) = sync_channel(1);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        here.send(()).expect("the client waits");
        peer.expect_end();
    });
    let stand = Stand::new().at(script.address).options(|options| {
        let agent = options.agent.clone().max_per_origin(1).max_waiting(0);
        options.agent(agent)
    });
    stand.run(move |address| {
        let (mut first, mut second) = (Client::connect(address), Client::connect(address));
        first.get("/");
        is_here.recv().expect("the upstream has it");
        let answer = second.ask("/");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.field("Proxy-Status"), Some("here; error=connection_limit_reached"));
    });
    script.finish();
}
