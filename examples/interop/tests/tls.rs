//! The program `tls`, with a client by futures-rustls and hyper in the same loop.

#[path = "../../../compat/hyper/tests/common/mod.rs"]
mod common;
#[path = "../src/bin/tls.rs"]
#[allow(dead_code, reason = "its `main`")]
mod tls;

use common::{listen, pair, run};
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use net::ConnectOptions;
use net::async_wrap::Environment;
use net::futures::AsyncSocket;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use upcall_hyper::Io;

/// A connector that trusts `certificate` alone.
fn connector(certificate: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

async fn connect(env: &Environment, address: SocketAddr) -> AsyncSocket {
    AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens")
}

// AI14
#[test]
fn https_by_rustls_and_hyper_on_both_sides() {
    run(|env| async move {
        let (incoming, address) = listen(&env);
        let server = incoming.server().clone();
        let (certificate, acceptor) = tls::self_signed(&["localhost"]).expect("a name");
        env.spawn_local(tls::serve(env.clone(), incoming, acceptor)).detach();
        let connector = connector(certificate);
        let encrypted = connector.connect(localhost(), connect(&env, address).await).await.expect("trusted");
        let (mut sender, connection) = handshake(Io::new(encrypted)).await.expect("open");
        let connection = env.spawn_local(connection);
        for _ in 0..3 {
            sender.ready().await.expect("open");
            let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new());
            let response = sender.send_request(request.expect("a right request")).await.expect("an answer");
            let body = response.into_body().collect().await.expect("all of it").to_bytes();
            assert_eq!(body, "hello over TLS\n");
        }
        drop(sender);
        connection.await.expect("no panic").expect("an end between requests");
        server.close().expect("it listens");
    });
}

// AI1, AI14
#[test]
fn what_is_copied_through_rustls_comes_back_and_the_end_is_told() {
    const TOTAL: usize = 8 << 20;
    run(|env| async move {
        let (client, server) = pair(&env).await;
        let (certificate, acceptor) = tls::self_signed(&["localhost"]).expect("a name");
        let echo = env.spawn_local(async move {
            let encrypted = acceptor.accept(server).await.expect("a handshake");
            let (reader, mut writer) = encrypted.split();
            let count = futures_util::io::copy(reader, &mut writer).await.expect("open");
            // close_notify, and the FIN behind it.
            writer.close().await.expect("open");
            count
        });
        let encrypted = connector(certificate).connect(localhost(), client).await.expect("trusted");
        let (mut reader, mut writer) = encrypted.split();
        let data: Vec<u8> = (0..=250).cycle().take(TOTAL).collect();
        let sent = data.clone();
        let sending = env.spawn_local(async move {
            writer.write_all(&sent).await.expect("open");
            writer.close().await.expect("open");
        });
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await.expect("close_notify comes before the FIN");
        assert!(back == data, "{} of {TOTAL} bytes, or others", back.len());
        sending.await.expect("no panic");
        assert_eq!(echo.await.expect("no panic"), TOTAL as u64);
    });
}

#[test]
fn a_handshake_that_fails_or_stands_still_leaves_nothing() {
    run(|env| async move {
        let (incoming, address) = listen(&env);
        let server = incoming.server().clone();
        let (_, acceptor) = tls::self_signed(&["localhost"]).expect("a name");
        env.spawn_local(tls::serve(env.clone(), incoming, acceptor)).detach();
        let (other, _) = tls::self_signed(&["localhost"]).expect("a name");
        let socket = connect(&env, address).await;
        let error = connector(other.clone()).connect(localhost(), socket).await.expect_err("not trusted");
        assert!(error.to_string().contains("certificate"), "{error}");
        // No TLS at all: the alert is all that comes back.
        let mut plain = connect(&env, address).await;
        plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("open");
        let mut alert = [0; 16];
        assert!(plain.read(&mut alert).await.is_ok_and(|count| count > 0 && alert[0] == 21), "{alert:?}");
        drop(plain);
        // Dropped while it waits for the other side.
        let silent = connect(&env, address).await;
        let waiting = connector(other).connect(localhost(), silent);
        let _ = env.timeout(Duration::ZERO, waiting).await;
        drop(connect(&env, address).await);
        server.close().expect("it listens");
    });
}
