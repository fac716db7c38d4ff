//! Requests that async functions handle: what they await, what becomes of them when they fail, panic, or lose their client.

use crate::harness::{Client, Count, Log, Site};
use async_wrap::Environment;
use async_wrap::storage::Storage;
use futures_core::Stream;
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Error, Response, ServerOptions};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

fn env_of(response: &Response) -> Environment {
    response.environment().clone()
}

fn serve<R, T: Send + 'static>(
    handler: impl FnMut(OwnedRequest, Response) -> R + 'static,
    client: impl FnOnce(std::net::SocketAddr) -> T + Send + 'static,
) -> T
where
    R: Future<Output = Result<(), Failure>> + 'static,
{
    Site::new(ServerOptions::default()).run(Serving::new(handler), client)
}

async fn greet(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    if request.path() == "/later" {
        env_of(&response).sleep(Duration::from_millis(2)).await;
    }
    let agent = request.fields().get("user-agent").unwrap_or(b"none").to_vec();
    let text = format!("{} {} {:?}", request.method(), request.target(), request.query());
    response.set_header("X-Agent", agent)?;
    response.end(text.as_bytes())?;
    Ok(())
}

#[test]
fn a_request_is_kept_over_an_await_with_its_head() {
    serve(greet, |address| {
        let mut client = Client::connect(address);
        for path in ["/now", "/later", "/later?a=1", "/now?b"] {
            client.send(format!("PUT {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: me\r\n\r\n"));
            let answer = client.answer();
            let query = path.split_once('?').map(|(_, query)| query);
            assert_eq!(answer.text(), format!("PUT {path} {query:?}"));
            assert_eq!(answer.field("X-Agent"), Some("me"));
        }
    });
}

#[test]
fn pipelined_responses_keep_their_order_however_long_each_handler_waits() {
    serve(greet, |address| {
        let mut client = Client::connect(address);
        let paths: Vec<_> = (0..30).map(|n| if n % 3 == 0 { "/later" } else { "/now" }).collect();
        let all: String =
            paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
        client.send(all);
        for path in paths {
            assert_eq!(client.answer().text(), format!("GET {path} None"));
        }
    });
}

/// Answers with the length of the body and the number of its pieces, read in the way that the path names.
async fn measure(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    let (mut len, mut sum) = (0, 0_u64);
    let mut add = |data: &[u8]| {
        len += data.len();
        sum += data.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    };
    match request.path() {
        "/bytes" => add(&request.body().bytes(10_000_000).await?),
        "/read" => {
            let mut buffer = [0; 1000];
            loop {
                let body = request.body();
                let read = poll_fn(|context| {
                    futures_io::AsyncRead::poll_read(Pin::new(&mut *body), context, &mut buffer)
                });
                let count = read.await?;
                if count == 0 {
                    break;
                }
                add(&buffer[..count]);
            }
        }
        "/slow" => {
            let env = env_of(&response);
            while let Some(data) = request.body().next().await {
                add(&data?);
                env.sleep(Duration::from_millis(1)).await;
            }
        }
        _ => {
            while let Some(data) = request.body().next().await {
                add(&data?);
            }
        }
    }
    assert!(request.body().next().await.is_none(), "the end stays the end");
    response.end(format!("{len} {sum}").as_bytes())?;
    Ok(())
}

// AI16. Node: parallel/test-http-incoming-... (for await of a request)
#[test]
fn a_body_is_read_by_pieces_whole_or_into_buffers() {
    serve(measure, |address| {
        let mut client = Client::connect(address);
        for path in ["/pieces", "/bytes", "/read", "/slow"] {
            for len in [0, 1, 1000, 3_000_000] {
                client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
                client.send(vec![1; len]);
                assert_eq!(client.answer().text(), format!("{len} {len}"), "{path}");
            }
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
            client.send("3\r\n\u{1}\u{1}\u{1}\r\n2\r\n\u{1}\u{1}\r\n0\r\n\r\n");
            assert_eq!(client.answer().text(), "5 5", "{path}");
        }
    });
}

#[test]
fn a_body_beyond_its_limit_is_413_and_the_connection_goes_on() {
    async fn limited(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let body = request.body().bytes(10).await?;
        Ok(response.end(&body)?)
    }
    serve(limited, |address| {
        let mut client = Client::connect(address);
        for (len, status) in [(10, 200), (11, 413), (0, 200), (100_000, 413), (1, 200)] {
            client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
            client.send(vec![b'x'; len]);
            assert_eq!(client.answer().status, status, "{len} bytes");
        }
    });
}

// AI16
#[test]
fn a_body_that_is_not_read_holds_its_client_back() {
    async fn unread(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        env_of(&response).sleep(Duration::from_millis(20)).await;
        assert!(request.socket().bytes_read() < 4_000_000, "it waits in the kernel");
        Ok(response.end(b"enough")?)
    }
    serve(unread, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000000\r\n\r\n");
        let mut sender = client.another_handle();
        let sending = std::thread::spawn(move || sender.try_send(vec![b'x'; 40_000_000]));
        assert_eq!(client.answer().text(), "enough");
        drop(client);
        sending.join().expect("it ends");
    });
}

// AI15
#[test]
fn a_failure_or_a_panic_before_the_head_is_500_and_the_server_goes_on() {
    async fn failing(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        if request.path().ends_with("later") {
            env_of(&response).sleep(Duration::from_millis(1)).await;
        }
        match request.path() {
            "/fail" | "/fail-later" => Err("on purpose".into()),
            "/panic" | "/panic-later" => std::panic::resume_unwind(Box::new("on purpose")),
            "/forget" => Ok(()),
            _ => Ok(response.end(b"well")?),
        }
    }
    serve(failing, |address| {
        for path in ["/fail", "/fail-later", "/panic", "/panic-later", "/forget"] {
            let mut client = Client::connect(address);
            assert_eq!(client.ask(path).status, 500, "{path}");
            let mut client = Client::connect(address);
            assert_eq!(client.ask("/").text(), "well");
        }
    });
}

// AI15
#[test]
fn a_failure_is_500_although_others_hold_the_response() {
    let held = Rc::new(RefCell::new(Vec::new()));
    let handler = move |request: OwnedRequest, response: Response| {
        held.borrow_mut().push(response);
        async move {
            match request.path() {
                "/fail" => Err("on purpose".into()),
                _ => std::panic::resume_unwind(Box::new("on purpose")),
            }
        }
    };
    serve(handler, |address| {
        for path in ["/fail", "/panic"] {
            assert_eq!(Client::connect(address).ask(path).status, 500, "{path}");
        }
    });
}

#[test]
fn a_failure_behind_the_head_breaks_the_connection_off() {
    async fn failing(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        response.write(b"some")?;
        env_of(&response).sleep(Duration::from_millis(1)).await;
        match request.path() {
            "/fail" => Err("on purpose".into()),
            _ => std::panic::resume_unwind(Box::new("on purpose")),
        }
    }
    serve(failing, |address| {
        for path in ["/fail", "/panic"] {
            let mut client = Client::connect(address);
            client.get(path);
            assert_eq!(client.head().status, 200);
            assert_eq!(client.chunk(), b"some");
            assert_eq!(client.rest(), b"", "the end of the chunks is missing");
        }
    });
}

/// Notes that it is dropped.
struct Guard(Log);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

// AI15
#[test]
fn a_handler_is_dropped_when_its_client_goes_away() {
    let log = Log::default();
    let seen = log.clone();
    let waiting = move |_: OwnedRequest, response: Response| {
        let guard = Guard(log.clone());
        async move {
            response.flush_headers()?;
            let _held = (guard, response);
            pending::<()>().await;
            Ok(())
        }
    };
    serve(waiting, |address| {
        for _ in 0..3 {
            let mut client = Client::connect(address);
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
            client.head();
        }
    });
    assert_eq!(seen.joined(), ["dropped"; 6].join(" "));
}

#[test]
fn a_handler_is_dropped_when_its_client_breaks_off_its_request() {
    let log = Log::default();
    let seen = log.clone();
    let waiting = move |mut request: OwnedRequest, response: Response| {
        let log = log.clone();
        async move {
            if request.path() == "/next" {
                log.note("next");
                return Ok(response.end(b"")?);
            }
            let _guard = Guard(log);
            poll_fn(|context| {
                // Whatever the body brings, it waits for something else.
                let _ = Pin::new(request.body()).poll_next(context);
                Poll::Pending
            })
            .await
        }
    };
    serve(waiting, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n");
        assert_eq!(client.answer().status, 400);
        Client::connect(address).ask("/next");
    });
    assert_eq!(seen.joined(), "dropped next");
}

// AI15
#[test]
fn a_detached_handler_goes_on_without_its_client_and_one_whose_response_is_written_too() {
    let (log, ended) = (Log::default(), Count::default());
    let (seen, count) = (log.clone(), ended.clone());
    let going_on = move |request: OwnedRequest, response: Response| {
        let (log, ended) = (log.clone(), ended.clone());
        async move {
            let env = env_of(&response);
            if request.path() == "/detached" {
                response.detach();
                response.flush_headers()?;
                response.closed().await;
                log.note(format!("{:?}", response.end(b"late")));
            } else {
                response.end(b"early")?;
            }
            env.sleep(Duration::from_millis(5)).await;
            ended.add(1);
            Ok(())
        }
    };
    serve(going_on, |address| {
        let mut client = Client::connect(address);
        client.get("/detached");
        client.head();
        drop(client);
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/written").text(), "early");
    });
    assert_eq!(seen.joined(), format!("{:?}", Err::<(), _>(Error::Closed)));
    assert_eq!(count.get(), 2);
}

#[test]
fn drained_waits_for_a_client_that_does_not_read() {
    async fn pour(_: OwnedRequest, response: Response) -> Result<(), Failure> {
        let mut waits = 0;
        for _ in 0..40 {
            if !response.write(&[b'x'; 1 << 20])? {
                assert!(response.socket().buffered() <= 3 << 20, "it is not kept here");
                response.drained().await?;
                waits += 1;
            }
        }
        response.add_trailer("X-Waits", waits.to_string())?;
        Ok(response.end(b"")?)
    }
    serve(pour, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        client.head();
        assert_eq!(client.chunks().len(), 40 << 20);
    });
}

#[test]
fn drained_and_closed_end_with_the_response() {
    let log = Log::default();
    let seen = log.clone();
    let waiting = move |_: OwnedRequest, response: Response| {
        let log = log.clone();
        async move {
            response.detach();
            assert_eq!(response.drained().await, Ok(()), "there is room");
            while response.write(&[b'x'; 1 << 20]) == Ok(true) {}
            log.note(format!("{:?}", response.drained().await));
            log.note(format!("{:?}", response.drained().await));
            response.closed().await;
            Ok(())
        }
    };
    serve(waiting, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        client.head();
    });
    assert_eq!(seen.joined(), format!("{0:?} {0:?}", Err::<(), _>(Error::Closed)));
}

#[test]
fn each_handler_has_its_values_behind_its_awaits() {
    let site = Site::new(ServerOptions::default());
    let name = Storage::<String>::new(&site.env);
    let handler = move |request: OwnedRequest, response: Response| {
        let name = name.clone();
        async move {
            name.enter_with(request.path().to_owned());
            for _ in 0..3 {
                env_of(&response).sleep(Duration::from_millis(1)).await;
                name.with(|name| assert_eq!(name.map(String::as_str), Some(request.path())));
            }
            Ok(response.end(request.path().as_bytes())?)
        }
    };
    site.run(Serving::new(handler), |address| {
        let mut clients: Vec<_> = (0..10).map(|_| Client::connect(address)).collect();
        for round in 0..3 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.get(&format!("/{number}/{round}"));
            }
            for (number, client) in clients.iter_mut().enumerate() {
                assert_eq!(client.answer().text(), format!("/{number}/{round}"));
            }
        }
    });
}

#[test]
fn a_request_has_no_value_of_the_one_before_whose_output_has_drained() {
    // More than the kernel takes, so that the second request is decoded when the first response is sent.
    const LEN: usize = 8 << 20;
    let site = Site::new(ServerOptions::default());
    let (number, log) = (Storage::<u32>::new(&site.env), Log::default());
    let seen = log.clone();
    let handler = move |_: OwnedRequest, response: Response| {
        let (number, log) = (number.clone(), log.clone());
        async move {
            log.note(format!("{:?}", number.get()));
            number.enter_with(1);
            Ok(response.end(&vec![b'x'; LEN])?)
        }
    };
    site.run(Serving::new(handler), |address| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
        for _ in 0..2 {
            assert_eq!(client.answer().text().len(), LEN);
        }
    });
    assert_eq!(seen.joined(), "None None");
}

#[test]
fn a_client_that_leaves_in_its_body_ends_the_handler() {
    let log = Log::default();
    let seen = log.clone();
    let reading = move |mut request: OwnedRequest, response: Response| {
        let (guard, log) = (Guard(log.clone()), log.clone());
        async move {
            let _guard = guard;
            if request.path() == "/detached" {
                response.detach();
            }
            let body = request.body().bytes(1000).await;
            log.note(format!("{body:?}"));
            Ok(response.end(&body?)?)
        }
    };
    serve(reading, |address| {
        for path in ["/", "/detached"] {
            let mut client = Client::connect(address);
            let fields = "Host: h\r\nContent-Length: 10\r\nExpect: 100-continue";
            client.send(format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
            assert_eq!(client.head().status, 100);
            client.send("half");
        }
    });
    let mut all = seen.all();
    all.sort();
    let closed = format!("{:?}", Err::<(), _>(Error::Closed));
    // Only the detached one is told.
    assert_eq!(all, [closed, "dropped".into(), "dropped".into()]);
}

#[test]
fn a_future_that_ends_at_once_needs_no_turn_of_its_own() {
    let polls = Count::default();
    let count = polls.clone();
    let handler = move |_: OwnedRequest, response: Response| {
        let polls = polls.clone();
        poll_fn(move |_| {
            polls.add(1);
            Poll::Ready(response.end(b"now").map_err(Failure::from))
        })
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
        for _ in 0..100 {
            assert_eq!(client.answer().text(), "now");
        }
    });
    assert_eq!(count.get(), 100);
}
