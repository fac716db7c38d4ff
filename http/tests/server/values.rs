//! What requests find in a storage: each its own value, on a kept connection too, in its body, its response and what it starts.

use crate::harness::{Client, Log, Site};
use async_wrap::storage::Storage;
use http::proto::Fields;
use http::serve::{OwnedRequest, Serving};
use http::upcall::{BodyHandler, RequestHandler, ResponseHandler};
use http::{Body, Request, Response, Server, ServerOptions};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Notes the name of the request in whose name it is called.
#[derive(Clone)]
struct Naming {
    name: Storage<String>,
    log: Log,
}

impl Naming {
    fn note(&self, what: &str) {
        self.name.with(|name| self.log.note(format!("{}:{what}", name.map_or("none", String::as_str))));
    }
}

impl BodyHandler for Naming {
    fn on_data(&mut self, _: &Body, _: &[u8]) {
        self.note("data");
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.note("end");
    }
}

impl ResponseHandler for Naming {
    fn on_finish(&mut self, _: &Response) {
        self.note("finish");
    }
}

/// Answers each request 5 ms later with the name that is in the storage then.
fn answering_later(naming: &Naming) -> impl FnMut(&Request<'_>, Response) + use<> {
    let naming = naming.clone();
    move |request, response| {
        naming.note("request");
        naming.name.enter_with(request.path().to_owned());
        request.body().set_handler(naming.clone());
        response.set_handler(naming.clone());
        let (env, name) = (response.socket().environment().clone(), naming.name.clone());
        env.set_timeout(Duration::from_millis(5), move || {
            let name = name.with(|name| name.cloned().unwrap_or_default());
            response.end(name.as_bytes()).expect("to end");
        });
    }
}

// AL7, AL12
// Node: async_hooks/test-async-local-storage-http, -http-agent; parallel/test-async-local-storage-http-multiclients
#[test]
fn each_request_has_a_value_of_its_own_in_all_of_its_callbacks() {
    let site = Site::new(ServerOptions::default());
    let naming = Naming { name: Storage::new(&site.env), log: Log::default() };
    let log = naming.log.clone();
    site.run(answering_later(&naming), |address| {
        let (mut one, mut other) = (Client::connect(address), Client::connect(address));
        for round in 0..3 {
            for (client, who) in [(&mut one, "one"), (&mut other, "other")] {
                client
                    .send(format!("POST /{who}/{round} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"));
            }
            assert_eq!(one.answer().text(), format!("/one/{round}"));
            assert_eq!(other.answer().text(), format!("/other/{round}"));
        }
    });
    let all = log.all();
    assert_eq!(all.iter().filter(|line| *line == "none:request").count(), 6, "{all:?}");
    for who in ["one", "other"] {
        for round in 0..3 {
            for what in ["data", "end", "finish"] {
                let line = format!("/{who}/{round}:{what}");
                assert_eq!(all.iter().filter(|other| **other == line).count(), 1, "{line} in {all:?}");
            }
        }
    }
}

// Values may do anything when they are dropped: nothing of the connection is borrowed meanwhile.
#[test]
fn a_value_that_a_new_handler_replaces_may_use_its_response_when_it_is_dropped() {
    struct Ends(Response);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.end(b"by its value").expect("to end");
        }
    }
    let site = Site::new(ServerOptions::default());
    let (last, naming) =
        (Storage::<Ends>::new(&site.env), Naming { name: Storage::new(&site.env), log: Log::default() });
    let respond = move |request: &Request<'_>, response: Response| {
        let (body, handler) = (request.body(), naming.clone());
        if request.path() == "/body" {
            last.run(Rc::new(Ends(response)), || body.set_handler(handler));
            body.set_handler(naming.clone());
        } else {
            last.run(Rc::new(Ends(response.clone())), || response.set_handler(handler));
            response.set_handler(naming.clone());
        }
    };
    site.run(respond, |address| {
        let mut client = Client::connect(address);
        for path in ["/body", "/response"] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"));
            assert_eq!(client.answer().text(), "by its value", "{path}");
        }
    });
}

#[test]
fn pipelined_requests_do_not_see_the_values_of_those_before() {
    let site = Site::new(ServerOptions::default());
    let name = Storage::<String>::new(&site.env);
    let naming = name.clone();
    let respond = move |request: &Request<'_>, response: Response| {
        let before = naming.with(|name| name.cloned().unwrap_or_default());
        naming.enter_with(request.path().to_owned());
        response.end(before.as_bytes()).expect("to end");
    };
    site.run(respond, |address| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20));
            for _ in 0..20 {
                assert_eq!(client.answer().text(), "");
            }
        }
    });
    assert_eq!(name.get(), None);
}

// Node: the connections of a server have the values that were there when it began to listen.
#[test]
fn requests_begin_with_what_the_server_had_when_it_began_to_listen() {
    let site = Site::new(ServerOptions::default());
    let name = Storage::<String>::new(&site.env);
    let reading = name.clone();
    let respond = move |_: &Request<'_>, response: Response| {
        let name = reading.with(|name| name.cloned().unwrap_or_default());
        response.end(name.as_bytes()).expect("to end");
    };
    // Listens within.
    name.run("server".to_owned(), || {
        site.run(respond, |address| {
            let mut client = Client::connect(address);
            assert_eq!(client.ask("/").text(), "server");
            assert_eq!(client.ask("/").text(), "server");
        });
    });
}

// nodejs/help#2546, expressjs/body-parser#422, nodejs/node#37207
#[test]
fn a_handler_that_is_given_within_a_run_has_its_values() {
    let site = Site::new(ServerOptions::default());
    let naming = Naming { name: Storage::new(&site.env), log: Log::default() };
    let log = naming.log.clone();
    let respond = move |request: &Request<'_>, response: Response| {
        naming.name.run(request.path().to_owned(), || {
            request.body().set_handler(naming.clone());
            response.set_handler(naming.clone());
            response.end(b"").expect("to end");
        });
        naming.note("behind");
    };
    site.run(respond, |address| {
        let mut client = Client::connect(address);
        for path in ["/a", "/b"] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"));
            assert_eq!(client.answer().status, 200);
            client.send("hi");
        }
        assert_eq!(client.ask("/c").status, 200);
    });
    let all = log.all();
    for path in ["/a", "/b", "/c"] {
        assert!(all.contains(&format!("{path}:finish")), "{all:?}");
    }
    let of_none = all.iter().filter(|line| line.starts_with("none:")).count();
    assert_eq!(of_none, 3, "only what is behind the run has none: {all:?}");
}

// nodejs/node#61882, nodejs/node#41978: the values of a request are dropped with it, while its connection stays.
#[test]
fn a_connection_that_idles_holds_no_value_of_its_requests() {
    let site = Site::new(ServerOptions::default());
    let value = Storage::<()>::new(&site.env);
    let latest: Rc<RefCell<Weak<()>>> = Rc::default();
    let asked = Rc::clone(&latest);
    let respond = move |request: OwnedRequest, response: Response| {
        let (value, latest) = (value.clone(), Rc::clone(&asked));
        async move {
            let is_gone = latest.borrow().upgrade().is_none() && value.get().is_none();
            let own = Rc::new(());
            latest.replace(Rc::downgrade(&own));
            value.enter_with(own);
            if request.path() == "/later" {
                response.socket().environment().sleep(Duration::from_millis(1)).await;
            }
            Ok(response.end(is_gone.to_string().as_bytes())?)
        }
    };
    site.run(Serving::new(respond), |address| {
        let mut clients = [Client::connect(address), Client::connect(address)];
        for path in ["/", "/later", "/later", "/"] {
            for client in &mut clients {
                assert_eq!(client.ask(path).text(), "true");
            }
        }
    });
    assert!(latest.borrow().upgrade().is_none());
}

/// Notes the name that is there when its server has closed.
struct Closing(Naming);

impl RequestHandler for Closing {
    fn on_request(&mut self, _: &Request<'_>, response: Response) {
        response.end(b"").expect("to end");
    }

    fn on_close(&mut self, _: &Server) {
        self.0.note("close");
    }
}

// oven-sh/bun#33719: as in Node, where no connection is open. Otherwise the end of the last connection is its cause.
#[test]
fn a_server_that_has_closed_has_the_values_of_its_close() {
    let site = Site::new(ServerOptions::default());
    let naming = Naming { name: Storage::new(&site.env), log: Log::default() };
    let (server, name, log) = (site.server.clone(), naming.name.clone(), naming.log.clone());
    let closer = name.clone();
    let end = move || closer.run("closer".to_owned(), || server.close().expect("it listens"));
    name.run("listener".to_owned(), || {
        site.run_until(Closing(naming), |_| (), end);
    });
    assert_eq!(log.all(), ["closer:close"]);
}
