//! Look-ups of addresses, through the public interface.

mod common;
#[path = "../../tests/shared/dns.rs"]
mod dns;

use common::test_loop;
use dns::{A, Reply, in_namespace, serve};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;
use std::thread;
use std::time::Duration;
use uv_core::names::{AddrFlags, AddrInfo, AddrQuery, Family, SocketType, getaddrinfo};
use uv_core::{Errno, Loop, Result, RunMode};

/// What a look-up ends with, on a loop of its own.
fn look_up(query: AddrQuery) -> Result<AddrInfo> {
    let event_loop = test_loop();
    let found = Rc::new(RefCell::new(None));
    let told = Rc::clone(&found);
    event_loop
        .getaddrinfo(query, move |result| assert!(told.replace(Some(result)).is_none(), "told twice"))?;
    assert!(found.borrow().is_none(), "never from inside the call");
    assert!(event_loop.is_alive(), "the request keeps the loop alive");
    event_loop.finish();
    found.take().expect("it was told")
}

fn addresses(query: AddrQuery) -> Vec<IpAddr> {
    let found = look_up(query).expect("it is found").addresses;
    found.iter().map(SocketAddr::ip).collect()
}

fn errno(query: AddrQuery) -> Errno {
    look_up(query).expect_err("it fails").errno()
}

// libuv: getaddrinfo_basic
#[test]
fn localhost_has_an_address_which_is_told_from_the_loop() {
    let here = addresses(AddrQuery::new("localhost"));
    assert!(!here.is_empty() && here.iter().all(IpAddr::is_loopback), "{here:?}");
}

// libuv: getaddrinfo_basic_sync
#[test]
fn a_look_up_without_a_loop_waits_for_its_answer() {
    let here = getaddrinfo(&AddrQuery::new("localhost")).expect("it is found").addresses;
    assert!(!here.is_empty() && here.iter().all(|addr| addr.ip().is_loopback()), "{here:?}");
}

// libuv: getaddrinfo_fail
#[test]
fn a_name_without_an_address_is_not_found_and_neither_name_nor_service_is_a_mistake() {
    let event_loop = test_loop();
    let nothing = event_loop.getaddrinfo(AddrQuery::default(), |_| unreachable!("it was refused"));
    let error = nothing.expect_err("nothing is asked");
    assert_eq!((error.op(), error.errno()), ("getaddrinfo", Errno::EINVAL));
    event_loop.finish();
    // No name server is asked.
    let query = AddrQuery::new("example.invalid.").flags(AddrFlags::NUMERICHOST);
    let error = look_up(query).expect_err("no such name");
    assert_eq!((error.target(), error.errno().code()), (Some("example.invalid."), "ENOTFOUND"));
    let text = "getaddrinfo example.invalid.: Name or service not known (ENOTFOUND, EAI_NONAME)";
    assert_eq!(error.to_string(), text);
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::NotFound);
}

// libuv: getaddrinfo_fail_sync
#[test]
fn a_failed_look_up_without_a_loop_returns_its_error() {
    let query = AddrQuery::new("example.invalid.").flags(AddrFlags::NUMERICHOST);
    assert_eq!(getaddrinfo(&query).expect_err("no such name").errno(), Errno::EAI_NONAME);
    assert_eq!(getaddrinfo(&AddrQuery::default()).expect_err("nothing is asked").errno(), Errno::EINVAL);
}

// libuv: getaddrinfo_concurrent
#[test]
fn ten_look_ups_at_once_are_told_once_each() {
    let event_loop = test_loop();
    let told: Vec<_> = (0..10).map(|_| Rc::new(Cell::new(0))).collect();
    for told in &told {
        let told = Rc::clone(told);
        let after = move |result: Result<AddrInfo>| {
            assert!(result.is_ok());
            told.set(told.get() + 1);
        };
        event_loop.getaddrinfo(AddrQuery::new("localhost"), after).expect("it is asked");
    }
    event_loop.finish();
    assert!(told.iter().all(|told| told.get() == 1));
}

#[test]
fn a_numeric_host_and_service_need_no_name_server() {
    let numeric = AddrFlags::NUMERICHOST | AddrFlags::NUMERICSERV;
    let query = AddrQuery::new("::1").service("65535").socket_type(SocketType::Datagram).flags(numeric);
    let found = look_up(query).expect("it is found");
    assert_eq!(found.addresses, [SocketAddr::from((Ipv6Addr::LOCALHOST, 65535))]);
    assert_eq!(found.canonical_name, None);
    // Every type of socket has the address, which comes once.
    assert_eq!(addresses(AddrQuery::new("127.0.0.1")), [IpAddr::from([127, 0, 0, 1])]);
    let mapped = AddrQuery::new("127.0.0.1").family(Family::V6).flags(AddrFlags::V4MAPPED);
    assert_eq!(addresses(mapped), [IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1])]);
    let anywhere = AddrQuery::default().service("80").flags(AddrFlags::PASSIVE);
    assert!(addresses(anywhere).iter().all(IpAddr::is_unspecified));
    let named = AddrQuery::new("127.0.0.1").flags(AddrFlags::CANONNAME);
    assert_eq!(look_up(named).expect("it is found").canonical_name.as_deref(), Some("127.0.0.1"));
}

#[test]
fn the_zone_of_a_link_local_address_becomes_its_scope() {
    let scope = std::fs::read_to_string("/sys/class/net/lo/ifindex").expect("the loopback interface");
    let scope = scope.trim().parse().expect("a number");
    let expected = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().expect("an address"), 7, 0, scope));
    for kind in [None, Some(SocketType::Stream)] {
        for zone in ["lo".to_owned(), scope.to_string()] {
            let query = AddrQuery::new(format!("fe80::1%{zone}")).service("7").socket_type(kind);
            assert_eq!(look_up(query).expect("it is found").addresses, [expected]);
        }
    }
    assert_eq!(errno(AddrQuery::new("fe80::1%no-such-interface")), Errno::EAI_NONAME);
}

#[test]
fn hints_that_contradict_each_other_have_errors_of_their_own() {
    assert_eq!(errno(AddrQuery::new("127.0.0.1").service("no service has this name")), Errno::EAI_SERVICE);
    let named = AddrQuery::new("localhost").service("http").flags(AddrFlags::NUMERICSERV);
    assert_eq!(errno(named), Errno::EAI_NONAME);
    assert_eq!(errno(AddrQuery::new("127.0.0.1").family(Family::V6)), Errno::EAI_ADDRFAMILY);
    let nameless = AddrQuery::default().service("80").flags(AddrFlags::CANONNAME);
    assert_eq!(errno(nameless), Errno::EAI_BADFLAGS);
}

#[test]
fn a_host_that_is_more_than_a_host_is_looked_up_and_its_failure_says_so() {
    for (host, note) in [
        ("localhost:80", Some("a host has no port")),
        ("[::1]:80", Some("a host has no brackets, and no port")),
        ("[::1]", Some("a host has no brackets, and no port")),
        ("http://localhost/", Some("a URL is no host")),
        ("local host", Some("a host has no spaces")),
        ("fe80::1%none", None),
        ("localhost", None),
    ] {
        // No name server is asked.
        let query = AddrQuery::new(host).flags(AddrFlags::NUMERICHOST);
        let error = look_up(query).expect_err("no address");
        assert_eq!((error.errno(), error.note()), (Errno::EAI_NONAME, note), "{host}");
    }
    let text =
        look_up(AddrQuery::new("a:1").flags(AddrFlags::NUMERICHOST)).expect_err("no address").to_string();
    assert!(text.starts_with("getaddrinfo a:1 (a host has no port): "), "{text}");
}

#[test]
fn a_host_alone_is_a_question() {
    let event_loop = test_loop();
    event_loop.getaddrinfo("127.0.0.1", |found| assert!(found.is_ok())).expect("a valid name");
    let addr = SocketAddr::from(([127, 0, 0, 1], 80));
    event_loop.getnameinfo(addr, |found| assert!(found.is_ok()));
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close_and_finish();
}

#[test]
fn a_wrong_name_is_refused_before_any_call() {
    let refused = |query: AddrQuery| {
        let event_loop = test_loop();
        let error = event_loop.getaddrinfo(query, |_| unreachable!("it was refused"));
        event_loop.finish();
        let error = error.expect_err("a wrong name");
        (error.errno(), error.to_string())
    };
    let long = "a".repeat(255);
    for (query, errno, text) in [
        (AddrQuery::new(""), Errno::EINVAL, "getaddrinfo (the host is empty): Invalid argument (EINVAL)"),
        (
            AddrQuery::new(&long),
            Errno::ENAMETOOLONG,
            "getaddrinfo (the host is longer than 254 bytes): File name too long (ENAMETOOLONG)",
        ),
        (
            AddrQuery::new("a\0b"),
            Errno::EINVAL,
            r"getaddrinfo a\u{0}b (the host has a NUL): Invalid argument (EINVAL)",
        ),
        (
            AddrQuery::new("münchen.de"),
            Errno::EINVAL,
            "getaddrinfo münchen.de (the host is not ASCII: ask for its form xn--…): Invalid argument (EINVAL)",
        ),
        (
            AddrQuery::new("localhost").service("\u{661}"),
            Errno::EINVAL,
            "getaddrinfo \u{661} (the service is not ASCII): Invalid argument (EINVAL)",
        ),
        (
            AddrQuery::new("localhost").service(&long[..32]),
            Errno::ENAMETOOLONG,
            "getaddrinfo (the service is longer than 31 bytes): File name too long (ENAMETOOLONG)",
        ),
    ] {
        assert_eq!(refused(query), (errno, text.to_owned()));
    }
}

/// Answers like the name server that a machine has.
fn ordinary(name: &str, _: u16) -> Reply {
    let four = |last| IpAddr::from([192, 0, 2, last]);
    let six = |last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    match name {
        "both.test" => Reply::Addresses(vec![four(1), six(1)]),
        "four.test" => Reply::Addresses(vec![four(4)]),
        "twice.test" => Reply::Addresses(vec![four(2), four(2), four(3)]),
        "nodata.test" => Reply::Addresses(Vec::new()),
        "fails.test" => Reply::Fails,
        "silent.test" => Reply::Silence,
        "late.test" => Reply::Late(Duration::from_millis(200), Box::new(Reply::Addresses(vec![four(5)]))),
        "liar.test" => Reply::Lie(Box::new(Reply::Addresses(vec![four(6)]))),
        "long.test" => Reply::Truncated((0..200).map(four).collect()),
        "garbage.test" => Reply::Garbage,
        _ => Reply::Missing,
    }
}

#[test]
fn each_answer_of_a_name_server_is_told_as_what_it_is() {
    in_namespace("each_answer_of_a_name_server_is_told_as_what_it_is", "127.0.0.1 localhost\\n", || {
        serve(ordinary);
        let query = AddrQuery::new;
        let both = addresses(query("both.test"));
        assert!(both.len() == 2 && both.iter().any(IpAddr::is_ipv4) && both.iter().any(IpAddr::is_ipv6));
        assert_eq!(addresses(query("both.test").family(Family::V4)), [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(addresses(query("BOTH.test.").family(Family::V6)).len(), 1);
        assert_eq!(addresses(query("late.test")), [IpAddr::from([192, 0, 2, 5])]);
        assert_eq!(addresses(query("liar.test")), [IpAddr::from([192, 0, 2, 6])]);
        assert_eq!(addresses(query("twice.test")).len(), 2, "without duplicates");
        assert_eq!(addresses(query("long.test")).len(), 200, "over TCP");
        for (name, expected) in [
            ("example.invalid.", Errno::EAI_NONAME),
            ("nodata.test", Errno::EAI_NODATA),
            ("fails.test", Errno::EAI_AGAIN),
            ("silent.test", Errno::EAI_AGAIN),
            ("garbage.test", Errno::EAI_AGAIN),
        ] {
            assert_eq!(errno(query(name)), expected, "{name}");
        }
        let six = errno(query("four.test").family(Family::V6));
        assert!(matches!(six, Errno::EAI_NODATA | Errno::EAI_ADDRFAMILY), "{six}");
        let text = "getaddrinfo silent.test: Temporary failure in name resolution (EAI_AGAIN)";
        assert_eq!(look_up(query("silent.test")).expect_err("no answer").to_string(), text);
    });
}

#[test]
fn localhost_is_what_the_hosts_file_says_in_both_families_without_duplicates() {
    let hosts = "127.0.0.1 localhost\\n::1 localhost ip6-localhost\\n127.0.0.1 localhost again\\n";
    in_namespace("localhost_is_what_the_hosts_file_says_in_both_families_without_duplicates", hosts, || {
        serve(|_, _| Reply::Fails);
        let mut here = addresses(AddrQuery::new("localhost"));
        here.sort();
        assert_eq!(here, [IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()]);
        assert_eq!(addresses(AddrQuery::new("localhost").family(Family::V6)), [Ipv6Addr::LOCALHOST]);
        assert_eq!(addresses(AddrQuery::new("again")), [IpAddr::from([127, 0, 0, 1])]);
    });
}

#[test]
fn many_look_ups_leave_memory_and_descriptors_as_they_were() {
    const LOOK_UPS: usize = 10_000;
    let name = "many_look_ups_leave_memory_and_descriptors_as_they_were";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        serve(|name, kind| if kind == A { ordinary("both.test", kind) } else { ordinary(name, kind) });
        let event_loop = Loop::new().expect("a loop");
        let (told, host) = (Rc::new(Cell::new(0)), ["localhost", "127.0.0.1", "example.invalid"]);
        let mut before = None;
        for number in 0..LOOK_UPS {
            let told = Rc::clone(&told);
            // One in a hundred asks the server.
            let host = if number % 100 == 0 { host[2] } else { host[number % 2] };
            let after = move |_| told.set(told.get() + 1);
            let request = event_loop.getaddrinfo(AddrQuery::new(host), after).expect("it is asked");
            if number % 7 == 0 {
                let _ = request.cancel();
            }
            if number % 50 == 0 {
                event_loop.run(RunMode::Default).expect("the loop runs");
                before = before.or_else(|| (number == LOOK_UPS / 2).then(usage));
            }
        }
        assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
        assert_eq!((told.get(), event_loop.active_requests()), (LOOK_UPS, 0));
        let (descriptors, memory) = before.expect("half of them");
        let (descriptors_after, memory_after) = usage();
        // A look-up that was cancelled may still run.
        assert!(
            descriptors_after <= descriptors + 2,
            "{descriptors_after} descriptors, {descriptors} before"
        );
        assert!(memory_after < memory + 1024, "{memory_after} KiB, {memory} before");
    });
}

/// Open descriptors, and resident memory in KiB.
fn usage() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("the descriptors").count();
    let status = std::fs::read_to_string("/proc/self/status").expect("the status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the memory");
    let memory = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    (descriptors, memory)
}

#[test]
fn threads_look_up_without_loops_too() {
    let look_ups = [(); 8].map(|()| thread::spawn(|| getaddrinfo(&AddrQuery::new("localhost"))));
    for look_up in look_ups {
        assert!(look_up.join().expect("no panic").is_ok());
    }
}
