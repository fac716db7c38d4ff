//! In which context a request runs whose connection was another request's before.

use crate::harness::{Honest, Site};
use async_wrap::storage::Storage;
use async_wrap::{AsyncHook, AsyncId, Provider};
use http::agent::AgentOptions;
use http::client::{ClientRequest, Error};
use http::proto::{Fields, IncomingResponse};
use http::upcall::ClientHandler;
use std::cell::RefCell;
use std::rc::Rc;

/// Notes the values that its calls find.
struct Seeing {
    storage: Storage<u32>,
    seen: Rc<RefCell<Vec<(u32, u32)>>>,
    number: u32,
}

impl Seeing {
    fn note(&self) {
        let value = self.storage.with(|value| value.copied()).unwrap_or_default();
        self.seen.borrow_mut().push((self.number, value));
    }
}

impl ClientHandler for Seeing {
    fn on_response(&mut self, request: &ClientRequest, _: &IncomingResponse<'_>) {
        assert_eq!(request.environment().execution_async_id(), request.async_id());
        self.note();
    }

    fn on_end(&mut self, _: &ClientRequest, _: &Fields<'_>) {
        self.note();
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        panic!("{error}");
    }

    fn on_close(&mut self, _: &ClientRequest) {
        self.note();
    }
}

// HC84. Node: test-async-local-storage-http-agent, async-hooks/test-async-local-storage-http-agent
#[test]
fn a_request_that_has_waited_runs_in_the_context_that_made_it() {
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    let server = Honest::new(&site);
    let (storage, seen) = (Storage::<u32>::new(&site.env), Rc::new(RefCell::default()));
    for number in 1..=4 {
        let seeing = Seeing { storage: storage.clone(), seen: Rc::clone(&seen), number };
        let send = || site.client.get(server.url("/")).send(seeing).map(drop);
        storage.run(number * 10, send).expect("a request that can be sent");
    }
    site.run();
    assert_eq!((site.counters().made, site.counters().reused), (1, 3));
    let expected: Vec<_> = (1..=4).flat_map(|number| [(number, number * 10); 3]).collect();
    assert_eq!(seen.take(), expected);
    site.agent.close();
    server.finish(&site);
    site.finish();
}

#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<String>>>);

impl AsyncHook for Recorder {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        self.0.borrow_mut().push(format!("init {id} {provider} {trigger}"));
    }

    fn on_destroy(&mut self, id: AsyncId) {
        self.0.borrow_mut().push(format!("destroy {id}"));
    }
}

// HC85. Node: async-hooks/test-http-agent-handle-reuse-serial, test-http-agent-handle-reuse-parallel
#[test]
fn a_connection_that_is_used_again_is_a_new_resource_of_its_new_request() {
    let site = Site::new(AgentOptions::default());
    let server = Honest::new(&site);
    let ids = Rc::new(RefCell::new(Vec::new()));
    let send = || {
        let ids = Rc::clone(&ids);
        site.send_then("", site.client.get(server.url("/held")), move |request| {
            ids.borrow_mut().push(request.async_id());
        })
    };
    let recorder = Recorder::default();
    let hook = site.env.hook(recorder.clone());
    hook.enable();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let request = send();
        site.until(|| server.held() == 1);
        sockets.push(request.socket().expect("it is connected").async_id());
        server.release();
        site.run();
    }
    hook.disable();
    let (ids, all) = (ids.take(), recorder.0.take());
    assert!(sockets[0] != sockets[1] && sockets[1] != sockets[2], "{sockets:?}");
    for (socket, request) in sockets.iter().zip(&ids).skip(1) {
        assert!(all.contains(&format!("init {socket} TCPWRAP {request}")), "{all:?}");
    }
    for socket in &sockets[..2] {
        assert_eq!(all.iter().filter(|entry| **entry == format!("destroy {socket}")).count(), 1, "{all:?}");
    }
    site.agent.close();
    server.finish(&site);
    site.finish();
}
