//! Compiles the C sources of the peer against the headers of the libuv that libuv-sys2 has built.

use std::env;

const SOURCES: &[&str] = &[
    "c/cluster.c",
    "c/datagrams.c",
    "c/echo_datagrams.c",
    "c/http.c",
    "c/main.c",
    "c/measure.c",
    "c/pairs.c",
    "c/pound.c",
    "c/process.c",
    "c/pummel.c",
    "c/servers.c",
    "c/stream.c",
    "c/threads.c",
    "c/timers.c",
];

fn main() -> Result<(), String> {
    let headers = env::var("DEP_UV_HEADERS")
        .map_err(|_| "libuv-sys2 did not say where its headers are; is bindgen's stand-in in use?")?;
    cc::Build::new()
        .files(SOURCES)
        .include(headers)
        .define("_GNU_SOURCE", None)
        .std("c11")
        .warnings(true)
        .extra_warnings(true)
        .flag_if_supported("-Wno-unused-parameter")
        .compile("peer");
    println!("cargo:rerun-if-changed=c");
    Ok(())
}
