//! The floors: the least work with which a program can do what is measured, the measure of everything else.
//!
//! A server's floor is one thread with level-triggered epoll, no parser, no timeouts, no limits and nothing queued, which
//! accepts until that fails, as such programs are usually written: what a server above it costs more is the price of what
//! it does. A client's and a proxy's are made in the same way. SIGTERM and SIGINT keep their default action, so they end it at once.

mod answer;
mod answers;
mod client;
mod datagrams;
mod pass;
mod reactor;
mod relay;
pub(crate) mod solo;

use crate::Result;
use crate::sockets::Address;
use crate::subjects::{Options, asking::Asking, solo::find};
use answers::{CannedHttp, Sink, send_all, write_often};
use reactor::{Answer, Listener};
use rustix::fd::BorrowedFd;

/// The processes that the floor of a cluster passes connections to.
const WORKERS: usize = 2;

/// `http/everywhere`: the server of clients that hold many connections.
const EVERYWHERE: &str = "everywhere";

/// The bodies of `http/down-…`, `http/file-…` and `http/up-…`.
const SIZES: &[(&str, usize)] = &[("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("16m", 16 << 20)];

/// Runs a floor.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bench = &*options.bench;
    match bench.split_once('/') {
        Some(("tcp", name)) => serve_raw(name, &Address::ANY_PORT),
        Some(("unix", name)) => {
            let path = options.path.clone().ok_or("floor: want --path")?;
            serve_raw(name, &Address::Unix(path))
        }
        Some(("udp", "echo-64" | "echo-1200")) => Ok(datagrams::serve()?),
        Some(("http", name)) => serve_http(name),
        Some(("client", "keep-alive")) => {
            client::keep_alive(options.to()?, options.connections, Asking::new(options))
        }
        Some(("client", "idle")) => client::hold(options.to()?),
        Some(("proxy", _)) => Ok(relay::serve(&Address::Tcp(options.to()?))?),
        Some(("cluster", _)) => Ok(pass::primary(WORKERS)?),
        None if bench == pass::WORKER_ARGUMENT => Ok(pass::worker()?),
        Some(("loop" | "libuv", _)) => find(bench)?.run_floor(options.ops, options.turn),
        _ => Err(format!("{bench}: no such floor").into()),
    }
}

fn serve_raw(name: &str, address: &Address) -> Result<()> {
    match name {
        "pump" => serve(address, &|_: BorrowedFd<'_>, _: &[u8]| Ok(())),
        "writes" => serve(address, &write_often),
        "echo-64" | "echo-16k" | "connect" | "idle" => serve(address, &send_all),
        _ => Err(format!("{name}: no such floor").into()),
    }
}

fn serve_http(name: &str) -> Result<()> {
    let sized = |way| {
        let size = name.strip_prefix(way)?;
        SIZES.iter().find(|(known, _)| *known == size).map(|(_, bytes)| *bytes)
    };
    // Its clients have an address for each batch of connections.
    let address = if name == EVERYWHERE { &Address::EVERYWHERE } else { &Address::ANY_PORT };
    match (name, sized("down-").or_else(|| sized("file-")), sized("up-")) {
        ("keep-alive" | "pipelined" | "connect" | "idle" | EVERYWHERE, ..) => {
            serve(address, &CannedHttp::hello())
        }
        ("chunked", ..) => serve(address, &CannedHttp::chunked()),
        (_, Some(bytes), _) => serve(address, &CannedHttp::sized(bytes)),
        (_, _, Some(bytes)) => serve(address, &Sink::new(bytes)),
        _ => Err(format!("{name}: no such floor").into()),
    }
}

fn serve(address: &Address, answer: &impl Answer) -> Result<()> {
    Ok(reactor::serve(&Listener::open(address)?, answer)?)
}
