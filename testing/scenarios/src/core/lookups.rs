//! Look-ups: each is told once, with what the world's name server knows, with an error that the world has injected, or as
//! cancelled; a loop that is dropped tells none.

use super::{dice, one_in};
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::names::{AddrQuery, Family, Lookup, NameFlags, NameQuery};
use uv_core::{Errno, Error, Loop, LoopHandle, Result, RunMode};

/// What look-ups may fail with by the world's decision alone.
const INJECTED: &[Errno] = &[
    Errno::EAI_AGAIN,
    Errno::EAI_FAIL,
    Errno::EAI_MEMORY,
    Errno::EAI_NONAME,
    Errno::EMFILE,
    // A pool without threads.
    Errno::EAGAIN,
];

/// A look-up as its program sees it.
struct Request {
    lookup: Lookup,
    told: Rc<Cell<u32>>,
    is_cancelled: Rc<Cell<bool>>,
}

/// The addresses of the host of this number.
fn addresses_of(number: u64) -> Vec<IpAddr> {
    let four = (0..number % 3).map(|last| IpAddr::from([192, 0, number as u8, last as u8]));
    let six = (0..number / 3 % 2).map(|_| IpAddr::V6(Ipv6Addr::from(u128::from(number) + 1)));
    four.chain(six).collect()
}

/// Random look-ups, cancelled at any time, on a loop that ends and on a loop that is dropped.
pub(crate) fn names(world: &World) -> std::result::Result<(), String> {
    let Ok(event_loop) = world.event_loop("look-ups") else { return Ok(()) };
    (0..6)
        .for_each(|number| uv_core::faults::set_addresses(&format!("{number}.test"), &addresses_of(number)));
    let mut requests = Vec::new();
    for _ in 0..dice(24) {
        requests.push(ask(&event_loop));
        cancel_one(&requests);
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    wrong_questions(&event_loop);
    world.run()?;
    for request in &requests {
        assert_eq!(request.told.get(), 1, "a look-up is told once");
        assert_eq!(request.lookup.cancel().map_err(|error| error.errno()), Err(Errno::EBUSY));
        assert_eq!(Rc::strong_count(&request.told), 1, "a look-up keeps its callback");
    }
    assert_eq!(event_loop.active_requests(), 0, "requests are left");
    dropped(world)
}

fn ask(event_loop: &LoopHandle) -> Request {
    let (told, is_cancelled) = (Rc::<Cell<u32>>::default(), Rc::<Cell<bool>>::default());
    let (tell, cancelled) = (Rc::clone(&told), Rc::clone(&is_cancelled));
    let (again, is_last) = (event_loop.clone(), !one_in(4));
    let check = move |outcome: std::result::Result<bool, Error>| {
        tell.set(tell.get() + 1);
        match outcome {
            Ok(is_right) => assert!(is_right, "the answer to another question"),
            Err(error) if error.errno() == Errno::EAI_CANCELED => {
                assert!(cancelled.get(), "cancelled by itself");
            }
            Err(error) => assert!(INJECTED.contains(&error.errno()), "{error}"),
        }
        if !is_last {
            // Another request gets the key of this one.
            let after = |_: Result<_>| {};
            assert!(again.getaddrinfo(AddrQuery::new("0.test"), after).is_ok());
        }
    };
    let lookup =
        if one_in(4) { ask_for_name(event_loop, check) } else { ask_for_addresses(event_loop, check) };
    Request { lookup, told, is_cancelled }
}

/// Tells `check` whether the answer is right.
fn ask_for_addresses(event_loop: &LoopHandle, check: impl FnOnce(Result<bool>) + 'static) -> Lookup {
    let (number, port) = (dice(8), dice(0x1_0000) as u16);
    let family = [None, Some(Family::V4), Some(Family::V6)][dice(3) as usize];
    let is_wanted =
        move |address: &IpAddr| family.is_none_or(|family| (family == Family::V4) == address.is_ipv4());
    let known: Vec<_> =
        addresses_of(number).into_iter().filter(|address| number < 6 && is_wanted(address)).collect();
    let query = AddrQuery::new(format!("{number}.test")).service(port.to_string()).family(family);
    let after = move |found: Result<uv_core::names::AddrInfo>| match found {
        Ok(found) => {
            let is_right = found.addresses.iter().all(|addr| addr.port() == port)
                && found.addresses.iter().map(|addr| addr.ip()).eq(known);
            check(Ok(is_right));
        }
        Err(error) => {
            assert_eq!(error.target(), Some(&*format!("{number}.test")), "the error names the host");
            let is_unknown =
                known.is_empty() && matches!(error.errno(), Errno::EAI_NODATA | Errno::EAI_NONAME);
            check(if is_unknown { Ok(true) } else { Err(error) });
        }
    };
    event_loop.getaddrinfo(query, after).expect("a question that makes sense")
}

/// As [`ask_for_addresses`].
fn ask_for_name(event_loop: &LoopHandle, check: impl FnOnce(Result<bool>) + 'static) -> Lookup {
    let (last, port) = (dice(4) as u8, dice(0x1_0000) as u16);
    let query = NameQuery::new(([192, 0, 5, last], port).into()).flags(NameFlags::NUMERICSERV);
    event_loop.getnameinfo(query, move |names| {
        let host = if last < 2 { "5.test".to_owned() } else { format!("192.0.5.{last}") };
        check(names.map(|names| names.host == host && names.service == port.to_string()));
    })
}

fn cancel_one(requests: &[Request]) {
    let Some(request) = requests.get(dice(requests.len() as u64 * 2) as usize) else { return };
    if request.lookup.cancel().is_ok() {
        assert!(!request.is_cancelled.replace(true), "cancelled twice");
        assert_eq!(request.told.get(), 0, "cancelled after its report");
    }
}

/// Questions that are refused before any call.
fn wrong_questions(event_loop: &LoopHandle) {
    let long = "a".repeat(255);
    for (host, errno) in
        [("", Errno::EINVAL), ("a\0", Errno::EINVAL), ("ß", Errno::EINVAL), (&long, Errno::ENAMETOOLONG)]
    {
        let refused = event_loop.getaddrinfo(AddrQuery::new(host), |_| panic!("a refused look-up is told"));
        assert_eq!(refused.map(drop).map_err(|error| error.errno()), Err(errno), "{host}");
    }
}

/// A loop that is dropped with look-ups in the pool tells none of them.
fn dropped(world: &World) -> std::result::Result<(), String> {
    let Ok(event_loop) = Loop::new() else { return Ok(()) };
    let requests: Vec<_> = (0..dice(6)).map(|_| ask(&event_loop)).collect();
    if one_in(2) {
        event_loop.run(RunMode::NoWait).map_err(|error| error.to_string())?;
    }
    let told: u32 = requests.iter().map(|request| request.told.get()).sum();
    drop(event_loop);
    for request in &requests {
        assert_eq!(Rc::strong_count(&request.told), 1, "a callback outlives its loop");
        let _ = request.lookup.cancel();
    }
    let Ok(other) = world.event_loop("afterwards") else { return Ok(()) };
    let done = Rc::new(Cell::new(false));
    let tell = Rc::clone(&done);
    other.queue_work(|| {}, move |_| tell.set(true));
    world.run_until(|| done.get())?;
    let after: u32 = requests.iter().map(|request| request.told.get()).sum();
    assert_eq!(after, told, "a dropped loop has told of a look-up");
    Ok(())
}
