//! `peer-libuv` is a C program, as its users write it: its `main` is in `c/main.c`. Cargo builds it, and links the libuv
//! that libuv-sys2 has built from libuv's sources.

#![no_main]
#![forbid(unsafe_code)]

// Links the library; the bindings are not used.
use libuv_sys2 as _;
