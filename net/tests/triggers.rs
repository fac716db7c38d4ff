//! Triggers: the trigger ids of the reports to a server, as hooks get them.

mod common;

use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use common::{Host, Log, anywhere, new_loop, port_of, run_to_the_end};
use net::{Server, ServerOptions};
use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;

/// The created servers, and the triggers of all ticks.
#[derive(Clone, Default)]
struct Causes {
    servers: Rc<RefCell<Vec<AsyncId>>>,
    ticks: Rc<RefCell<Vec<AsyncId>>>,
}

impl AsyncHook for Causes {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        match provider {
            Provider::TcpServerWrap => self.servers.borrow_mut().push(id),
            Provider::TickObject => self.ticks.borrow_mut().push(trigger),
            _ => {}
        }
    }
}

fn watch(env: &Environment) -> Causes {
    let causes = Causes::default();
    env.hook(causes.clone()).enable();
    causes
}

// Node: lib/net.js, emitListeningNT and emitCloseNT are queued with the server's id as the default trigger
#[test]
fn the_reports_of_listening_and_of_close_are_caused_by_the_server() {
    let (event_loop, env) = new_loop();
    let (log, causes) = (Log::default(), watch(&env));
    let server = Server::new(&env, ServerOptions::default());
    let me = server.clone();
    let handler = Host::new(&log, |_| {}).on("listening", move || me.close().expect("the server listens"));
    server.listen(anywhere(), handler).expect("the server listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close"]);
    let servers = causes.servers.take();
    assert_eq!(causes.ticks.take(), [servers[0], servers[0]]);
}

// The close is noticed in the connection's context, which is not its trigger.
#[test]
fn the_report_of_a_close_that_waited_for_a_connection_is_caused_by_the_server() {
    let (event_loop, env) = new_loop();
    let (log, causes) = (Log::default(), watch(&env));
    let server = Server::new(&env, ServerOptions::default());
    let me = server.clone();
    let handler = Host::new(&log, move |socket| {
        me.close().expect("the server listens");
        socket.destroy();
    });
    server.listen(anywhere(), handler).expect("the server listens");
    let _peer = TcpStream::connect(port_of(&server)).expect("the server listens");
    run_to_the_end(&event_loop, &env);
    assert!(log.take().iter().any(|line| line == "server close"));
    let servers = causes.servers.take();
    assert_eq!(causes.ticks.take(), [servers[0], servers[0]]);
}
