//! Look-ups of names, through the public interface.

mod common;
#[path = "../../tests/shared/dns.rs"]
mod dns;

use common::test_loop;
use dns::{PTR, Reply, in_namespace, serve};
use std::cell::RefCell;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use uv_core::names::{NameFlags, NameInfo, NameQuery, getnameinfo};
use uv_core::{Errno, Result};

const NUMERIC: fn() -> NameFlags = || NameFlags::NUMERICHOST | NameFlags::NUMERICSERV;

/// What a look-up ends with, on a loop of its own.
fn look_up(query: NameQuery) -> Result<NameInfo> {
    let event_loop = test_loop();
    let found = Rc::new(RefCell::new(None));
    let told = Rc::clone(&found);
    event_loop.getnameinfo(query, move |result| assert!(told.replace(Some(result)).is_none(), "told twice"));
    assert!(found.borrow().is_none(), "never from inside the call");
    assert!(event_loop.is_alive(), "the request keeps the loop alive");
    event_loop.finish();
    found.take().expect("it was told")
}

fn here() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

// libuv: getnameinfo_basic_ip4
#[test]
fn an_ipv4_address_has_a_name_and_its_port_a_service() {
    let names = look_up(NameQuery::new(here())).expect("it is found");
    assert!(!names.host.is_empty() && !names.service.is_empty(), "{names:?}");
    let names = look_up(NameQuery::new(here()).flags(NUMERIC())).expect("it is found");
    assert_eq!((&*names.host, &*names.service), ("127.0.0.1", "80"));
}

// libuv: getnameinfo_basic_ip4_sync
#[test]
fn a_look_up_without_a_loop_waits_for_the_names() {
    let names = getnameinfo(&NameQuery::new(here())).expect("it is found");
    assert!(!names.host.is_empty() && !names.service.is_empty(), "{names:?}");
}

// libuv: getnameinfo_basic_ip6
#[test]
fn an_ipv6_address_has_a_name_and_its_port_a_service() {
    // Without an entry in the hosts file a name server would be asked.
    let query = NameQuery::new((Ipv6Addr::LOCALHOST, 80).into()).flags(NUMERIC());
    let names = look_up(query).expect("it is found");
    assert_eq!((&*names.host, &*names.service), ("::1", "80"));
}

#[test]
fn names_come_from_the_hosts_file_and_the_name_server() {
    let name = "names_come_from_the_hosts_file_and_the_name_server";
    in_namespace(name, "127.0.0.1 localhost\\n::1 six\\n", || {
        serve(|name, kind| match (name, kind) {
            ("7.2.0.192.in-addr.arpa", PTR) => Reply::Name("seven.test"),
            ("8.2.0.192.in-addr.arpa", PTR) => Reply::Fails,
            _ => Reply::Missing,
        });
        let host = |query| look_up(query).map(|names| names.host);
        assert_eq!(host(NameQuery::new((Ipv6Addr::LOCALHOST, 80).into())).as_deref(), Ok("six"));
        assert_eq!(host(NameQuery::new(([192, 0, 2, 7], 0).into())).as_deref(), Ok("seven.test"));
        let unnamed = NameQuery::new(([192, 0, 2, 9], 0).into());
        assert_eq!(host(unnamed).as_deref(), Ok("192.0.2.9"));
        let error = host(unnamed.flags(NameFlags::NAMEREQD)).expect_err("it has no name");
        assert_eq!((error.op(), error.target()), ("getnameinfo", Some("192.0.2.9:0")));
        assert_eq!(error.errno(), Errno::EAI_NONAME);
        let failed = NameQuery::new(([192, 0, 2, 8], 0).into()).flags(NameFlags::NAMEREQD);
        let errno = host(failed).expect_err("the server fails").errno();
        assert!(matches!(errno, Errno::EAI_AGAIN | Errno::EAI_NONAME), "{errno}");
    });
}
