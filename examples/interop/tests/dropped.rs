//! A TLS handshake, a WebSocket and what follows, dropped at each await point, leave nothing. The only test of its process, whose
//! descriptors it counts.

#[path = "../../../compat/hyper/tests/common/mod.rs"]
mod common;
#[path = "../../../tests/shared/dropping.rs"]
mod dropping;
#[path = "../src/bin/tls.rs"]
#[allow(dead_code, reason = "its `main`")]
mod tls;

use async_tungstenite::tungstenite::Message;
use async_tungstenite::{accept_async, client_async};
use common::{pair, run};
use dropping::check;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use futures_rustls::{TlsAcceptor, TlsConnector};
use futures_util::future::join;
use futures_util::{AsyncReadExt, AsyncWriteExt, StreamExt};
use net::async_wrap::Environment;
use std::sync::Arc;

/// More than a socket takes at once.
const LENGTH: usize = 300_000;

async fn encrypted(env: Environment, acceptor: TlsAcceptor, connector: TlsConnector) {
    let (client, server) = pair(&env).await;
    let serving = async {
        let mut stream = acceptor.accept(server).await.expect("a handshake");
        stream.write_all(&[7; LENGTH]).await.expect("open");
        stream.close().await.expect("open");
    };
    let asking = async {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = connector.connect(name, client).await.expect("trusted");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("close_notify comes before the FIN");
        assert_eq!(all.len(), LENGTH);
        stream.close().await.expect("open");
    };
    join(serving, asking).await;
}

async fn messages(env: Environment) {
    let (client, server) = pair(&env).await;
    let serving = async {
        let mut messages = accept_async(server).await.expect("a handshake");
        while let Some(message) = messages.next().await {
            let message = message.expect("open");
            if message.is_binary() {
                messages.send(message).await.expect("open");
            }
        }
    };
    let asking = async {
        let (mut messages, _) = client_async("ws://localhost/", client).await.expect("it is accepted");
        messages.send(Message::binary(vec![7; LENGTH])).await.expect("open");
        assert_eq!(messages.next().await.expect("an answer").expect("open").len(), LENGTH);
        messages.close(None).await.expect("open");
        while messages.next().await.is_some() {}
    };
    join(serving, asking).await;
}

#[test]
fn a_connection_that_is_dropped_at_any_await_point_leaves_nothing() {
    let (certificate, acceptor) = tls::self_signed(&["localhost"]).expect("a name");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let both = move |env| encrypted(env, acceptor.clone(), connector.clone());
    // Once before, for what these libraries keep for a process. rustls keeps sessions, too.
    run(both.clone());
    check("TLS", false, both);
    run(messages);
    check("a WebSocket", true, messages);
}
