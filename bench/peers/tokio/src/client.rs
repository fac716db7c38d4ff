//! The client of hyper-util, which has a pool: a task for each request that is under way.

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use crate::options::Options;
use crate::solo::Turns;

/// What this client is measured with.
pub(crate) const BENCHES: &[&str] = &["client/keep-alive", "client/idle"];

/// Requests before those that count.
const WARM_UP: u64 = 5_000;

/// Connections that are made at once, to an address of their own.
const BATCH: u64 = 100;

type Client = legacy::Client<HttpConnector, Empty<Bytes>>;

/// Asks `to`.
pub(crate) async fn run(options: &Options, to: SocketAddr) -> io::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    match &*options.bench {
        "client/keep-alive" => keep_alive(options, &client, to).await,
        _ => hold(&client, to).await,
    }
}

async fn keep_alive(options: &Options, client: &Client, to: SocketAddr) -> io::Result<()> {
    let uri = uri_of(to)?;
    ask_all(client, &uri, options.connections, WARM_UP).await?;
    let turn = options.turn.map(NonZeroU64::get);
    let mut turns = Turns::new(options.ops, turn);
    let mut left = options.ops;
    turns.begin();
    while left > 0 {
        let count = turn.unwrap_or(options.ops).min(left);
        left -= count;
        ask_all(client, &uri, options.connections, count).await?;
        for _ in 0..count {
            turns.did_last();
        }
    }
    turns.end()
}

fn uri_of(to: SocketAddr) -> io::Result<Uri> {
    format!("http://{to}/").parse().map_err(io::Error::other)
}

/// Asks `count` times, on so many connections at once.
async fn ask_all(client: &Client, uri: &Uri, connections: u64, count: u64) -> io::Result<()> {
    let left = Arc::new(AtomicU64::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..connections.min(count) {
        let (client, uri, left) = (client.clone(), uri.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                ask(&client, &uri).await?;
            }
            Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect()
}

async fn ask(client: &Client, uri: &Uri) -> io::Result<()> {
    let response = client.get(uri.clone()).await.map_err(io::Error::other)?;
    if response.status() != StatusCode::OK {
        return Err(io::Error::other(format!("status {}", response.status())));
    }
    response.into_body().collect().await.map(drop).map_err(io::Error::other)
}

/// Holds as many connections as each line of standard input says.
async fn hold(client: &Client, to: SocketAddr) -> io::Result<()> {
    let (mut held, mut batches) = (0, 0u16);
    for line in io::stdin().lock().lines() {
        let wanted: u64 = line?.trim().parse().map_err(io::Error::other)?;
        while held < wanted {
            let count = BATCH.min(wanted - held);
            let [high, low] = batches.to_be_bytes();
            let uri = uri_of(SocketAddr::from(([127, 1, high, low], to.port())))?;
            // As many requests as connections, so that each makes one.
            ask_all(client, &uri, count, count).await?;
            held += count;
            batches += 1;
        }
        // What the tasks of the connections still have to do is done.
        tokio::task::yield_now().await;
        println!("ready");
    }
    Ok(())
}
