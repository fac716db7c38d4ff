//! The project's layers as programs to be measured: `upcall-bench subject LAYER BENCH [options]`.
//!
//! Each is what a careful user of its layer would write, so that it shows what the layer costs. A benchmark is named
//! with its group (`tcp/echo-64`) or without (`echo-64`).

pub(crate) mod asking;
mod async_wrap;
mod client;
mod cluster;
mod datagrams;
mod http;
mod http_async;
mod net;
mod net_async;
mod options;
pub(crate) mod orders;
mod proxy;
mod serving;
pub(crate) mod solo;
mod streams;
mod tasks;
mod tcp_wrap;
pub(crate) mod turns;
mod uv_core;
mod uv_loop;

use crate::{Result, floor};
use options::Layer;
pub(crate) use options::Options;

/// Runs the program of a layer.
pub(crate) fn run(options: &Options) -> Result<()> {
    match options.layer {
        Layer::Floor => floor::run(options),
        Layer::UvCore if options.is_of_datagrams() => datagrams::serve_with_uv_core(),
        Layer::Net if options.is_of_datagrams() => datagrams::serve_with_net(),
        Layer::UvCore => match solo::find(&options.bench) {
            Ok(program) => program.run_ours(options.ops, options.turn),
            Err(_) => uv_core::serve(options),
        },
        Layer::TcpWrap => tcp_wrap::serve(options),
        Layer::AsyncWrap => match solo::find(&options.bench) {
            Ok(program) => program.run_ours(options.ops, options.turn),
            Err(_) => async_wrap::serve(options, false),
        },
        Layer::AsyncWrapHooks => async_wrap::serve(options, true),
        Layer::Net => net::serve(options),
        Layer::NetAsync => net_async::serve(options),
        Layer::Http => match options.bench.split_once('/') {
            Some(("client", _)) => client::run(options),
            Some(("proxy", _)) => proxy::serve(options),
            _ => http::serve(options),
        },
        Layer::HttpAsync => http_async::serve(),
        Layer::Cluster => cluster::run(options),
    }
}
