//! Async hooks: which hook is told of which event, and when.

mod common;

use async_wrap::storage::Storage;
use async_wrap::{AsyncContext, AsyncHook, AsyncId, AsyncResource, Environment, Hook, Provider};
use common::{Log, Recorder, close, new_loop, run_to_a_panic, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;
use uv_core::RunMode;

/// A hook that acts once, at its first `init`, and logs every `init`.
struct AtInit<F> {
    log: Log,
    name: &'static str,
    work: Option<F>,
}

impl<F: FnOnce()> AsyncHook for AtInit<F> {
    fn on_init(&mut self, id: AsyncId, _: Provider, _: AsyncId) {
        self.log.push(format!("{} init {id}", self.name));
        if let Some(work) = self.work.take() {
            work();
        }
    }
}

fn at_init(env: &Environment, log: &Log, name: &'static str, work: impl FnOnce() + 'static) -> Hook {
    env.hook(AtInit { log: log.clone(), name, work: Some(work) })
}

#[test]
fn a_hook_is_told_of_a_resource_from_its_beginning_to_its_end() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let hook = env.hook(Recorder(log.clone()));
    assert!(!hook.is_enabled(), "a new hook is inactive");
    let _ = env.new_context(Provider::TcpWrap);
    hook.enable();
    hook.enable();
    env.set_timeout(Duration::ZERO, log.note("timeout"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["init 2 Timeout 0", "before 2", "timeout", "after 2", "destroy 2"]);
    assert!(!hook.is_enabled(), "a closed environment has no hooks");
}

// Node: async-hooks/test-enable-in-init
#[test]
fn a_hook_enabled_in_an_event_is_told_from_the_next_one_on() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let second = at_init(&env, &log, "second", || {});
    at_init(&env, &log, "first", move || second.enable()).enable();
    let _ = env.new_context(Provider::TcpWrap);
    assert_eq!(log.take(), ["first init 1"]);
    let _ = env.new_context(Provider::TcpWrap);
    assert_eq!(log.take(), ["first init 2", "second init 2"]);
    run_to_the_end(&event_loop, &env);
}

// Node: async-hooks/test-disable-in-init
#[test]
fn a_hook_disabled_in_an_event_is_still_told_of_this_one() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let second = at_init(&env, &log, "second", || {});
    let other = second.clone();
    at_init(&env, &log, "first", move || other.disable()).enable();
    second.enable();
    let _ = env.new_context(Provider::TcpWrap);
    assert_eq!(log.take(), ["first init 1", "second init 1"]);
    let _ = env.new_context(Provider::TcpWrap);
    assert_eq!(log.take(), ["first init 2"]);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_hook_may_disable_itself_in_its_own_call() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let own: Rc<RefCell<Option<Hook>>> = Rc::default();
    let inner = Rc::clone(&own);
    let hook = at_init(&env, &log, "only", move || {
        let own = inner.take().expect("set before the first event");
        own.disable();
    });
    hook.enable();
    own.replace(Some(hook));
    let _ = env.new_context(Provider::TcpWrap);
    let _ = env.new_context(Provider::TcpWrap);
    assert_eq!(log.take(), ["only init 1"]);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_hook_is_not_told_of_what_it_causes_itself_but_others_are() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let inner = env.clone();
    at_init(&env, &log, "first", move || inner.next_tick(|| {})).enable();
    env.hook(Recorder(log.clone())).enable();
    let _ = env.new_context(Provider::TcpWrap);
    assert_eq!(log.take(), ["first init 1", "init 2 TickObject 0", "init 1 TCPWRAP 0"]);
    run_to_the_end(&event_loop, &env);
}

// Node: async-hooks/test-late-hook-enable
#[test]
fn a_hook_enabled_in_a_callback_is_told_that_it_is_over() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let hook = env.hook(Recorder(log.clone()));
    env.set_immediate(move || hook.enable());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["after 1", "destroy 1"]);
}

// Node: async-hooks/test-destroy-not-blocked
#[test]
fn destroy_is_told_later_and_does_not_keep_the_loop_alive() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let context = env.new_context(Provider::Custom(&"THING"));
    env.make_callback(context, || {
        env.emit_destroy(context.async_id());
        env.next_tick(log.note("tick"));
    });
    let expected =
        ["init 1 THING 0", "before 1", "init 2 TickObject 1", "after 1", "before 2", "tick", "after 2"];
    assert_eq!(log.take(), expected, "neither in the callback nor at its end");
    assert!(!event_loop.is_alive());
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), [""; 0], "a loop with nothing to do does not turn for it");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["destroy 1", "destroy 2"]);
}

#[test]
fn destroy_is_told_in_the_check_phase_of_a_loop_that_turns() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    env.emit_destroy(env.new_async_id());
    env.set_immediate(log.note("immediate"));
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take()[1..], ["destroy 1", "before 2", "immediate", "after 2"]);
    run_to_the_end(&event_loop, &env);
}

// Node: async-hooks/test-destroy-not-blocked
#[test]
fn a_flood_of_destroyed_resources_is_told_at_the_end_of_the_callback() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    env.make_callback(AsyncContext::NONE, || {
        for _ in 0..16384 + 10 {
            env.emit_destroy(env.new_async_id());
        }
        assert_eq!(log.count("destroy"), 0, "it never interrupts");
    });
    assert_eq!(log.count("destroy"), 16384 + 10);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn without_hooks_nothing_is_remembered() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.emit_destroy(env.new_async_id());
    env.hook(Recorder(log.clone())).enable();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_context_without_an_id_is_nobody_s_business() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    env.make_callback(AsyncContext::NONE, log.note("callback"));
    env.emit_destroy(AsyncId::NONE);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["callback"]);
}

/// Panics at the first event of its kind.
struct Panicking(Log, &'static str);

impl Panicking {
    fn event(&mut self, kind: &'static str) {
        self.0.push(kind);
        if self.1 == kind {
            self.1 = "";
            resume_unwind(Box::new("on purpose"));
        }
    }
}

impl AsyncHook for Panicking {
    fn on_init(&mut self, _: AsyncId, _: Provider, _: AsyncId) {
        self.event("init");
    }

    fn on_before(&mut self, _: AsyncId) {
        self.event("before");
    }

    fn on_after(&mut self, _: AsyncId) {
        self.event("after");
    }

    fn on_destroy(&mut self, _: AsyncId) {
        self.event("destroy");
    }
}

// Node: async-hooks/test-callback-error, where the process exits
#[test]
fn a_panic_of_a_hook_passes_on_and_leaves_the_ids_as_they_were() {
    for (kind, expected) in [
        ("init", vec!["init", "init", "before", "callback", "after", "destroy"]),
        ("before", vec!["init", "before", "init", "before", "callback", "after", "destroy", "destroy"]),
        (
            "after",
            vec![
                "init", "before", "callback", "after", "init", "before", "callback", "after", "destroy",
                "destroy",
            ],
        ),
    ] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        env.hook(Panicking(log.clone(), kind)).enable();
        for _ in 0..2 {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let resource = AsyncResource::new(&env, Provider::Custom(&"THING"));
                resource.run_in_async_scope(log.note("callback"));
            }));
            assert_eq!(env.execution_async_id(), AsyncId::NONE);
        }
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take(), expected, "{kind}");
    }
}

#[test]
fn a_panic_in_destroy_loses_only_its_own_event() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Panicking(log.clone(), "destroy")).enable();
    for _ in 0..3 {
        env.emit_destroy(env.new_async_id());
    }
    catch_unwind(AssertUnwindSafe(|| env.run(RunMode::Default))).expect_err("the panic passes on");
    assert_eq!(log.count("destroy"), 1);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("destroy"), 3);
}

#[test]
fn a_resource_of_the_program_ends_when_it_is_dropped() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let pool = AsyncResource::new(&env, Provider::Custom(&"POOL"));
    let query = AsyncResource::with_trigger(&env, Provider::QueuedRequest, pool.async_id());
    assert_eq!(query.trigger_async_id(), pool.async_id());
    assert_eq!(query.run_in_async_scope(|| env.execution_async_id()), query.async_id());
    query.emit_destroy();
    drop(pool);
    run_to_the_end(&event_loop, &env);
    let expected =
        ["init 1 POOL 0", "init 2 QueuedRequest 1", "before 2", "after 2", "destroy 2", "destroy 1"];
    assert_eq!(log.take(), expected);
}

// Node: async-hooks/test-async-wrap-providers
#[test]
fn providers_bear_the_names_of_node() {
    let names = [
        (Provider::None, "NONE"),
        (Provider::GetAddrInfoReqWrap, "GETADDRINFOREQWRAP"),
        (Provider::HttpClientRequest, "HTTPCLIENTREQUEST"),
        (Provider::HttpIncomingMessage, "HTTPINCOMINGMESSAGE"),
        (Provider::Immediate, "Immediate"),
        (Provider::Microtask, "Microtask"),
        (Provider::PipeConnectWrap, "PIPECONNECTWRAP"),
        (Provider::PipeServerWrap, "PIPESERVERWRAP"),
        (Provider::PipeWrap, "PIPEWRAP"),
        (Provider::ProcessWrap, "PROCESSWRAP"),
        (Provider::Promise, "PROMISE"),
        (Provider::QueuedRequest, "QueuedRequest"),
        (Provider::ShutdownWrap, "SHUTDOWNWRAP"),
        (Provider::SignalWrap, "SIGNALWRAP"),
        (Provider::TcpConnectWrap, "TCPCONNECTWRAP"),
        (Provider::TcpServerWrap, "TCPSERVERWRAP"),
        (Provider::TcpWrap, "TCPWRAP"),
        (Provider::TickObject, "TickObject"),
        (Provider::Timeout, "Timeout"),
        (Provider::TtyWrap, "TTYWRAP"),
        (Provider::UdpSendWrap, "UDPSENDWRAP"),
        (Provider::UdpWrap, "UDPWRAP"),
        (Provider::WriteWrap, "WRITEWRAP"),
        (Provider::Custom(&"DBQUERY"), "DBQUERY"),
    ];
    for (provider, name) in names {
        assert_eq!(provider.name(), name);
        assert_eq!(provider.to_string(), name);
    }
    let (event_loop, env) = new_loop();
    close(&event_loop, &env);
}

/// Refuses calls by a panic, as many as it is told.
struct Refusing(Rc<Cell<u32>>);

impl AsyncHook for Refusing {
    fn on_before(&mut self, _: AsyncId) {
        if let Some(left) = self.0.get().checked_sub(1) {
            self.0.set(left);
            resume_unwind(Box::new("the hook"));
        }
    }
}

// In Node an error of a hook ends the process.
#[test]
fn a_call_that_a_hook_refuses_by_a_panic_leaves_nothing_of_its_resource() {
    type Place = fn(&Environment);
    let places: [(&str, Place); 6] = [
        ("TickObject", |env| env.next_tick(|| unreachable!("it is refused"))),
        ("Microtask", |env| env.queue_microtask(|| unreachable!("it is refused"))),
        ("Immediate", |env| drop(env.set_immediate(|| unreachable!("it is refused")))),
        ("Timeout", |env| drop(env.set_timeout(Duration::ZERO, || unreachable!("it is refused")))),
        ("Timeout", |env| drop(env.set_deadline(Duration::ZERO, |_| unreachable!("it is refused")))),
        ("WORK", |env| {
            let after = env.request(Provider::Custom(&"WORK"), |_| unreachable!("it is refused"));
            env.loop_handle().queue_work(|| (), after);
        }),
    ];
    for (name, place) in places {
        let (event_loop, env) = new_loop();
        let (storage, value, log) = (Storage::<u32>::new(&env), Rc::new(1), Log::default());
        env.hook(Recorder(log.clone())).enable();
        env.hook(Refusing(Rc::new(Cell::new(1)))).enable();
        storage.run(Rc::clone(&value), || place(&env));
        assert_eq!(run_to_a_panic(&env), "the hook", "{name}");
        assert_eq!(Rc::strong_count(&value), 1, "a value of {name} is left");
        assert!(!env.run(RunMode::Default).expect("the loop runs"), "{name}");
        assert_eq!(log.take(), [format!("init 1 {name} 0"), "before 1".to_owned(), "destroy 1".to_owned()]);
        run_to_the_end(&event_loop, &env);
    }
}

#[test]
fn an_interval_whose_call_a_hook_refuses_by_a_panic_goes_on_with_the_next() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Refusing(Rc::new(Cell::new(2)))).enable();
    let mut note = log.note("called");
    let interval: Rc<RefCell<Option<async_wrap::Timeout>>> = Rc::default();
    let own = Rc::clone(&interval);
    *interval.borrow_mut() = Some(env.set_interval(Duration::ZERO, move || {
        note();
        own.take().iter().for_each(async_wrap::Timeout::clear);
    }));
    for _ in 0..2 {
        assert_eq!(run_to_a_panic(&env), "the hook");
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["called"]);
}
