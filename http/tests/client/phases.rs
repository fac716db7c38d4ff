//! The limits of a request's phases.

use crate::evil::Step::{Deaf, Head, Listen, Told, Turns};
use crate::evil::{Evil, Script, Silent, pour, say};
use crate::rig::{Site, run, run_with};
use http::client::{Client, Error, ErrorKind, Phase, RequestBuilder, TimeLimits};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

const MUCH: usize = 32 << 20;

fn limits() -> TimeLimits {
    TimeLimits::default()
}

/// Asks, and reads all.
async fn fail(request: RequestBuilder) -> Error {
    let outcome = async {
        let mut response = request.await?;
        response.bytes(usize::MAX).await
    };
    outcome.await.expect_err("the limit passes")
}

// HC65.
#[test]
fn each_phase_has_a_limit_whose_error_names_it() {
    type Case = (Phase, fn() -> Script, fn(&Site) -> RequestBuilder);
    let silent = || vec![Head];
    let cases: [Case; 3] = [
        (
            Phase::Send,
            || vec![Deaf],
            |site| site.post().body(vec![0; MUCH]).time_limits(limits().send(SHORT)),
        ),
        (Phase::Head, silent, |site| site.get().time_limits(limits().head(SHORT))),
        (
            Phase::Body,
            || vec![Head, say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")],
            |site| site.get().time_limits(limits().between_bytes(SHORT)),
        ),
    ];
    for (phase, script, ask) in cases {
        let (error, _) = run([script()], |site| async move { fail(ask(&site)).await });
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{error}");
        assert!(error.is_timeout() && error.elapsed(phase) >= SHORT, "{error}");
    }
}

// HC65.
#[test]
fn a_connect_has_a_limit() {
    let (error, _) = run([], |site| async move {
        let silent = Silent::new(&site.env);
        fail(site.client.get(silent.url("/")).time_limits(limits().connect(SHORT))).await
    });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Connect)));
}

// HC65, HC67.
#[test]
fn the_whole_request_has_a_limit_in_whatever_phase_it_is() {
    let (error, _) = run([], |site| async move {
        let silent = Silent::new(&site.env);
        fail(site.client.get(silent.url("/")).timeout(SHORT)).await
    });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::WholeTimeout, Some(Phase::Connect)));
    let (error, _) = run([vec![Head]], |site| async move { fail(site.get().timeout(SHORT)).await });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::WholeTimeout, Some(Phase::Head)));
}

// HC68.
#[test]
fn an_upload_that_makes_progress_is_not_too_slow() {
    let step = [Told, Listen, Turns(1), Deaf];
    let last = [Listen, Head, crate::evil::Step::Bytes(MUCH), say("HTTP/1.1 204 N\r\n\r\n")];
    let script = std::iter::repeat_n(step, 12).flatten().chain(last).collect();
    let (status, _) = run([script], |site| async move {
        let evil = std::rc::Rc::clone(&site.evil);
        let every = site.env.set_interval(Duration::from_millis(50), move || evil.tell());
        let limits = limits().send(Duration::from_millis(500));
        let status = site.post().body(vec![0; MUCH]).time_limits(limits).await.expect("a response").status();
        every.clear();
        status
    });
    assert_eq!(status, 204);
}

// HC69.
#[test]
fn a_body_that_the_program_does_not_read_is_not_too_slow() {
    let script = vec![
        Head,
        say(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n")),
        pour([0; 1 << 16], MUCH >> 16),
    ];
    let (len, _) = run([script], |site| async move {
        let mut response = site.get().time_limits(limits().between_bytes(SHORT)).await.expect("a response");
        site.env.sleep(SHORT * 5).await;
        response.bytes(MUCH).await.expect("all of it").len()
    });
    assert_eq!(len, MUCH);
}

// HC66.
#[test]
fn the_defaults_are_those_of_the_documentation() {
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    let TimeLimits { queue, resolve, connect, send, await_continue, head, between_bytes, whole, .. } =
        limits();
    let all = [queue, resolve, connect, send, await_continue, head, between_bytes, whole].map(seconds);
    assert_eq!(all, [None, Some(10), Some(10), Some(300), Some(1), Some(300), Some(300), None]);
}

#[test]
fn the_limits_of_a_client_are_those_of_its_requests() {
    let client = |env: &_| Client::new(env).expect("a client").time_limits(limits().head(SHORT));
    let (error, _) =
        run_with(|env| Evil::new(env, [vec![Head]]), client, |site| async move { fail(site.get()).await });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Head)));
}
