//! Hosts that are looked up, and the addresses that they have.

use crate::evil::Step::Head;
use crate::evil::{Evil, say};
use crate::rig::{Site, answer_to, run_with};
use http::client::{Client, ErrorKind, Phase, TimeLimits};
use http::net::names::Resolver;
use http::{Agent, AgentOptions};
use std::cell::Cell;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

const OK: &str = "HTTP/1.1 204 N\r\n\r\n";

/// Runs `work` with a client that has this resolver.
fn run<T: 'static, R: Future<Output = T> + 'static>(
    resolver: Resolver,
    scripts: usize,
    work: impl FnOnce(Site) -> R,
) -> T {
    let client = |env: &_| {
        let options = AgentOptions::default().resolver(resolver);
        Client::with_agent(&Agent::new(env, options).expect("the options are valid"))
    };
    run_with(|env| Evil::new(env, vec![vec![Head, say(OK)]; scripts]), client, work).0
}

/// An address without a listener.
fn refusing() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("an address")
}

// HC71.
#[test]
fn an_address_is_not_looked_up_and_a_name_is_for_each_connection() {
    let asked = Rc::new(Cell::new(0));
    let (count, counted) = (Rc::clone(&asked), Rc::clone(&asked));
    let resolver = Resolver::new(move |_, query, answer| {
        assert_eq!(query.host.as_deref(), Some("service.test"));
        count.set(count.get() + 1);
        answer.found([SocketAddr::from(([127, 0, 0, 1], 0))]);
    });
    run(resolver, 2, |site| async move {
        assert_eq!(answer_to(site.get()).await, "204 N | end");
        assert_eq!(counted.get(), 0);
        let port = site.evil.address().port();
        let named = format!("http://Service.test:{port}/");
        assert_eq!(answer_to(site.client.get(named)).await, "204 N | end");
        assert_eq!(counted.get(), 1);
        assert!(
            String::from_utf8_lossy(&site.evil.received())
                .contains(&format!("Host: Service.test:{port}\r\n"))
        );
    });
}

// HC65, HC73.
#[test]
fn a_look_up_without_an_end_ends_at_its_limit() {
    // What is dropped is no answer: it is kept.
    let kept = std::cell::RefCell::new(Vec::new());
    let resolver = Resolver::new(move |_, _, answer| kept.borrow_mut().push(answer));
    let error = run(resolver, 0, |site| async move {
        let limits = TimeLimits::default().resolve(Duration::from_millis(30));
        site.client.get("http://service.test/").time_limits(limits).await.expect_err("no address")
    });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Resolve)), "{error}");
}

#[test]
fn a_name_without_an_address_is_an_error_of_its_phase() {
    let resolver = Resolver::new(|_, _, answer| answer.missing());
    let error = run(resolver, 0, |site| async move {
        site.client.get("http://service.test/").await.expect_err("no address")
    });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Resolve)), "{error}");
    assert!(error.to_string().contains("service.test"), "{error}");
}

// HC74.
#[test]
fn the_addresses_of_a_host_are_tried_until_one_connects() {
    // The port is that of the URL.
    let both = [(Ipv6Addr::LOCALHOST, 0).into(), SocketAddr::from(([127, 0, 0, 1], 0))];
    let resolver = Resolver::new(move |_, _, answer| answer.found(both));
    let error = run(resolver.clone(), 0, |site| async move {
        let url = format!("http://service.test:{}/", refusing().port());
        site.client.get(url).await.expect_err("no server listens there")
    });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)), "{error}");
    assert_eq!(std::io::Error::from(error.clone()).kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
    // The server has the second only.
    let said = run(resolver, 1, |site| async move {
        let port = site.evil.address().port();
        answer_to(site.client.get(format!("http://service.test:{port}/"))).await
    });
    assert_eq!(said, "204 N | end");
}
