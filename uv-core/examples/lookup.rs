//! Looks up the addresses of hosts and the names of those addresses, as dig(1) does.
//!
//! `cargo run -p upcall-uv-core --example lookup -- example.org localhost`

use std::env;
use std::rc::Rc;
use uv_core::names::{AddrQuery, NameQuery};
use uv_core::{Loop, Result, RunMode};

fn main() -> Result<()> {
    let event_loop = Rc::new(Loop::new()?);
    let mut hosts: Vec<String> = env::args().skip(1).collect();
    if hosts.is_empty() {
        hosts.push("localhost".to_owned());
    }
    // All look-ups are asked at the same time.
    for host in hosts {
        let again = Rc::clone(&event_loop);
        event_loop.getaddrinfo(AddrQuery::new(host.clone()), move |found| match found {
            Err(error) => println!("{error}"),
            Ok(found) => {
                for addr in found.addresses {
                    let host = host.clone();
                    again.getnameinfo(NameQuery::new(addr), move |names| {
                        let name = names.map_or_else(|error| error.to_string(), |names| names.host);
                        println!("{host}\t{}\t{name}", addr.ip());
                    });
                }
            }
        })?;
    }
    event_loop.run(RunMode::Default)?;
    Ok(())
}
