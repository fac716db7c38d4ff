//! Look-ups as resources.

mod common;

use async_wrap::uv_core::names::{AddrFlags, AddrQuery, NameFlags, NameQuery};
use common::{Log, Recorder, new_loop, run_to_the_end};
use uv_core::Errno;

/// A query that no name server is asked.
fn numeric(host: &str) -> AddrQuery {
    AddrQuery::new(host).flags(AddrFlags::NUMERICHOST)
}

// Node: async-hooks/test-getaddrinforeqwrap
#[test]
fn a_look_up_of_addresses_ends_in_the_context_of_its_request_and_ticks_right_after_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let (told, inner) = (log.clone(), env.clone());
    let request = env.getaddrinfo(numeric("127.0.0.1"), move |found| {
        let found = found.expect("it is found");
        told.push(format!("found {} in {}", found.addresses[0].ip(), inner.execution_async_id()));
        let after = told.clone();
        inner.next_tick(move || after.push("tick"));
    });
    assert_eq!(request.expect("it is asked").async_id().get(), 1);
    assert_eq!(log.take(), ["init 1 GETADDRINFOREQWRAP 0"]);
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    assert_eq!(&all[..2], ["before 1", "found 127.0.0.1 in 1"]);
    assert_eq!(all.iter().filter(|entry| *entry == "destroy 1").count(), 1);
    assert!(all.iter().position(|entry| entry == "tick") < all.iter().position(|entry| entry == "destroy 1"));
}

// Node: async-hooks/test-getnameinforeqwrap
#[test]
fn a_look_up_of_names_ends_in_the_context_of_its_request() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let told = log.clone();
    let query = NameQuery::new(([127, 0, 0, 1], 80).into());
    let query = query.flags(NameFlags::NUMERICHOST | NameFlags::NUMERICSERV);
    env.getnameinfo(query, move |names| {
        let names = names.expect("it is found");
        told.push(format!("{} {}", names.host, names.service));
    });
    run_to_the_end(&event_loop, &env);
    let expected = ["init 1 GETNAMEINFOREQWRAP 0", "before 1", "127.0.0.1 80", "after 1", "destroy 1"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_cancelled_look_up_ends_once_in_its_context_and_a_refused_one_has_none() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let refused = env.getaddrinfo(AddrQuery::new(""), |_| unreachable!("it was refused"));
    assert_eq!(refused.expect_err("an empty name").errno(), Errno::EINVAL);
    assert_eq!(log.take(), Vec::<String>::new());
    let told = log.clone();
    let request = env.getaddrinfo(numeric("::1"), move |found| {
        told.push(found.map_or_else(|error| error.errno().name(), |_| "found"));
    });
    let is_cancelled = request.expect("it is asked").cancel().is_ok();
    run_to_the_end(&event_loop, &env);
    let outcome = if is_cancelled { "EAI_CANCELED" } else { "found" };
    let expected = ["init 1 GETADDRINFOREQWRAP 0", "before 1", outcome, "after 1", "destroy 1"];
    assert_eq!(log.take(), expected);
}
