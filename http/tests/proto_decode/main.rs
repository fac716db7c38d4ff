//! The decoder through its public face: bytes in, events out, the same for every way to cut the bytes into
//! pieces.

mod body;
mod by_name;
mod chunked;
mod connection;
mod faults;
mod fields;
mod harness;
mod host;
mod limits;
mod request_line;
mod robust;
