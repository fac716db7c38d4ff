//! The roles of the tests' workers.

use super::{as_worker, deployed, invited, obedient, rogue};
use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use cluster::Worker;
use cluster::upcall::WorkerHandler;
use net::upcall::{ServerHandler, SocketHandler};
use net::{Error, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::StreamWrap;
use uv_core::RunMode;

/// Plays the role to its end.
pub(crate) fn play(role: &str, args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match role {
        "greeter" => greeter(&args),
        "holder" => holder(&args),
        "obedient" => obedient::obedient(),
        "idle" => idle(),
        "leaver" => leaver(),
        "exits" => std::process::exit(args[0].parse().expect("an exit code")),
        "busy" => busy(),
        "asker" => asker(),
        "crowded" => crowded(),
        "liar" => liar(&args),
        "contexts" => contexts(),
        "environment" => environment(),
        "primary" => primary(&args),
        "grandchild" => grandchild(),
        "outsider" => outsider(),
        "rogue" => rogue::rogue(&args),
        "deployed" => deployed::deployed(&args),
        "linked" => deployed::linked(),
        "supervised" => deployed::supervised(),
        "relative" => deployed::relative(),
        "would_be" => invited::would_be(),
        "short_of_descriptors" => invited::short_of_descriptors(args[0]),
        "heedless" => invited::heedless(),
        "threaded" => invited::threaded(),
        "hindered" => invited::hindered(),
        other => panic!("there is no role {other}"),
    }
}

/// `port`, `127.0.0.1:0`, `unix:PATH`, with options behind a comma.
pub(crate) fn listen_options(text: &str) -> ListenOptions {
    let mut parts = text.split(',');
    let target = parts.next().unwrap_or_default();
    let mut options = match (target.strip_prefix("unix:"), target.parse()) {
        (Some(path), _) => ListenOptions::path(path.replace('@', "\0")),
        (None, _) if target == "fd" => {
            ListenOptions::fd(std::net::TcpListener::bind("127.0.0.1:0").expect("a listener").into())
        }
        (None, Ok(port)) => ListenOptions::port(port),
        (None, Err(_)) => ListenOptions::addr(target.parse().expect("an address")),
    };
    for option in parts {
        options = match option {
            "all" => options.writable_by_all(true).readable_by_all(true),
            "v6only" => options.ipv6_only(true),
            other => panic!("there is no option {other}"),
        };
    }
    options
}

/// Sends its id and closes the connection, on each of its addresses.
fn greeter(addresses: &[&str]) {
    let (_lp, env, worker) = as_worker();
    let greeting = worker.id().to_string();
    for address in addresses {
        let greeting = greeting.clone();
        let server = Server::with_source(&env, ServerOptions::default(), worker.source());
        let reporter = Reporter { worker: worker.clone(), server: server.clone(), greet: true, greeting };
        server.listen(listen_options(address), reporter).expect("the primary is asked");
    }
    env.run(RunMode::Default).expect("the loop runs");
}

/// Sends its id and keeps the connection until the peer ends it. Takes `LIMIT`, a number or `-`; with a second
/// argument `drop`, connections above the limit are dropped, and with `address` those above a limit of one for each address.
fn holder(args: &[&str]) {
    let (_lp, env, worker) = as_worker();
    let options = ServerOptions::default()
        .max_connections(args[0].parse().ok())
        .max_connections_per_address((args.get(1) == Some(&"address")).then_some(1))
        .drop_max_connection(args.get(1) == Some(&"drop"));
    let server = Server::with_source(&env, options, worker.source());
    let greeting = worker.id().to_string();
    let reporter = Reporter { worker: worker.clone(), server: server.clone(), greet: false, greeting };
    server.listen(listen_options("127.0.0.1:0"), reporter).expect("the primary is asked");
    worker.set_handler(Leaving);
    env.run(RunMode::Default).expect("the loop runs");
    worker.send(b"never seen").expect_err("the channel is closed");
}

/// Reports that the worker is to leave, and that its servers were closed. At any message it kills itself.
struct Leaving;

impl WorkerHandler for Leaving {
    fn on_message(&mut self, worker: &Worker, _: &[u8], _: Vec<OwnedFd>) {
        worker.kill();
        worker.kill();
    }
    fn on_leave(&mut self, worker: &Worker) {
        worker.send(b"leaving").expect("the primary is there");
        let later = worker.clone();
        worker.environment().set_immediate(move || {
            // Without connections the worker has left by now.
            let _ = later.send(b"still serving");
        });
    }
}

pub(super) struct Reporter {
    pub(super) worker: Worker,
    pub(super) server: Server,
    pub(super) greet: bool,
    pub(super) greeting: String,
}

impl Reporter {
    fn report(&self, text: &str) {
        self.worker.send(text.as_bytes()).expect("the primary is there");
    }
}

impl ServerHandler for Reporter {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        socket.write(self.greeting.as_bytes()).expect("a fresh connection takes a word");
        if self.greet {
            socket.destroy_soon();
        }
        socket.set_handler(Quiet);
    }
    fn on_listening(&mut self, _: &Server) {
        let address = self.server.address().map(|address| address.to_string());
        self.report(&format!("address {}", address.unwrap_or_default()));
    }
    fn on_drop(&mut self, _: &Server, _: net::Dropped) {
        self.report("dropped");
    }
    fn on_error(&mut self, _: &Server, error: Error) {
        let system = error.system().expect("the system's error");
        self.report(&format!("error {} {}", system.op(), system.errno().name()));
        self.report(&format!("reason {system}"));
    }
}

struct Quiet;

impl SocketHandler for Quiet {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

/// Reports the context of a connection.
fn contexts() {
    let (_lp, env, worker) = as_worker();
    let hook = env.hook(Contexts);
    hook.enable();
    let server = Server::with_source(&env, ServerOptions::default(), worker.source());
    let reporter = ContextReporter { env: env.clone(), worker, listening_cause: AsyncId::NONE };
    server.listen(listen_options("127.0.0.1:0"), reporter).expect("the primary is asked");
    env.run(RunMode::Default).expect("the loop runs");
}

struct ContextReporter {
    env: Environment,
    worker: Worker,
    /// The trigger of `on_listening`.
    listening_cause: AsyncId,
}

impl ServerHandler for ContextReporter {
    fn on_listening(&mut self, _: &Server) {
        self.listening_cause = self.env.trigger_async_id();
    }

    fn on_connection(&mut self, _: &Server, socket: Socket) {
        let (executing, context) = (self.env.execution_async_id(), socket.stream().context());
        let provider = PROVIDERS.with_borrow(|providers| providers[&executing.get()]);
        let causes = [
            (self.listening_cause, "on_listening".to_owned()),
            (context.trigger_async_id(), context.provider().to_string()),
        ];
        let caused = causes.into_iter().filter(|(cause, _)| *cause == executing).map(|(_, effect)| effect);
        let caused = caused.collect::<Vec<_>>().join(" and ");
        let text = format!("contexts executes in {provider}, which caused {caused}");
        let (sender, ticked) = (self.worker.clone(), Rc::new(Cell::new(false)));
        self.env.next_tick({
            let ticked = Rc::clone(&ticked);
            move || ticked.set(true)
        });
        self.env.set_immediate(move || {
            let text = format!("{text}; ticks ran: {}", ticked.get());
            sender.send(text.as_bytes()).expect("the primary is there");
        });
    }
}

thread_local! {
    static PROVIDERS: RefCell<BTreeMap<u64, Provider>> = const { RefCell::new(BTreeMap::new()) };
}

struct Contexts;

impl AsyncHook for Contexts {
    fn on_init(&mut self, id: AsyncId, provider: Provider, _: AsyncId) {
        PROVIDERS.with_borrow_mut(|providers| providers.insert(id.get(), provider));
    }
}

/// Lives until its channel is closed.
fn idle() {
    let (_lp, env, _worker) = as_worker();
    env.run(RunMode::Default).expect("the loop runs");
}

/// Ends at once.
fn leaver() {
    let (_lp, env, worker) = as_worker();
    worker.disconnect();
    env.run(RunMode::Default).expect("the loop runs");
}

/// Blocks its loop from the first message on, as long as its primary lives.
fn busy() {
    let (_lp, env, worker) = as_worker();
    worker.set_handler(Busy);
    env.run(RunMode::Default).expect("the loop runs");
}

struct Busy;

impl WorkerHandler for Busy {
    fn on_message(&mut self, worker: &Worker, _: &[u8], _: Vec<OwnedFd>) {
        worker.send(b"busy").expect("the primary is there");
        let parent = std::os::unix::process::parent_id();
        while std::os::unix::process::parent_id() == parent {
            std::hint::spin_loop();
        }
    }
}

/// Sends its argument, in hexadecimal, instead of messages.
fn liar(args: &[&str]) {
    use std::os::fd::AsFd;
    use tcp_wrap::PipeWrap;
    let bytes: Vec<u8> = (0..args[0].len() / 2)
        .map(|at| u8::from_str_radix(&args[0][at * 2..at * 2 + 2], 16).expect("hexadecimal"))
        .collect();
    let event_loop = uv_core::Loop::new().expect("a loop");
    let stdin = PipeWrap::new_ipc(&event_loop);
    stdin.open(std::io::stdin().as_fd().try_clone_to_owned().expect("a copy")).expect("a socket");
    stdin.set_handler(Liar { stdin: stdin.clone(), channel: PipeWrap::new_ipc(&event_loop), bytes });
    stdin.read_start().expect("a socket");
    event_loop.run(RunMode::Default).expect("the loop runs");
    unreachable!("a liar is killed");
}

/// Asks to listen on one address again and again, sends `done`, and reads no answers before SIGUSR1.
fn asker() {
    use std::os::fd::AsFd;
    use tcp_wrap::PipeWrap;
    let query: &[u8] = &[
        &[27, 0, 0, 0, 1, 0, 7, 0, 0, 0][..],
        &[1, 4, 127, 0, 0, 2, 0, 0, 0, 0, 0, 0],
        &[255, 1, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let mut bytes = query.to_vec();
    // It listens, on the second socket that the primary opened.
    bytes.extend([6, 0, 0, 0, 2, 0, 2, 0, 0, 0]);
    bytes.extend(query.repeat(100_000));
    bytes.extend([6, 0, 0, 0, 11, 0]);
    bytes.extend(b"done");
    let event_loop = uv_core::Loop::new().expect("a loop");
    let stdin = PipeWrap::new_ipc(&event_loop);
    stdin.open(std::io::stdin().as_fd().try_clone_to_owned().expect("a copy")).expect("a socket");
    let channel = PipeWrap::new_ipc(&event_loop);
    let signal = uv_core::Signal::new(&event_loop);
    let reader = channel.clone();
    let read = move |_: &uv_core::Signal, _: i32| reader.read_start().expect("a channel");
    signal.start(super::SIGUSR1, read).expect("a signal");
    channel.set_handler(Deaf);
    stdin.set_handler(Liar { stdin: stdin.clone(), channel, bytes });
    stdin.read_start().expect("a socket");
    event_loop.run(RunMode::Default).expect("the loop runs");
    unreachable!("an asker is killed");
}

struct Deaf;

impl tcp_wrap::upcall::OnStream for Deaf {
    fn on_read(&mut self, _: &StreamWrap, _: &[u8]) {}
    fn on_end(&mut self, _: &StreamWrap) {}
    fn on_error(&mut self, _: &StreamWrap, _: uv_core::Error) {}
}

/// A primary that has no descriptor left for what its worker sends it.
fn crowded() {
    let cluster = super::Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    cluster.until_event("online 1");
    let null = || std::fs::File::open("/dev/null");
    worker.send_fds(b"echo lost", vec![null().expect("a file").into()]).expect("a channel");
    let hoard: Vec<_> = std::iter::from_fn(|| null().ok()).collect();
    cluster.until_event("error Some(1) a message is lost: 0 of its 1 descriptors arrived");
    drop(hoard);
    worker.send_fds(b"echo found", vec![null().expect("a file").into()]).expect("a channel");
    cluster.until_event("message 1 echo found");
    assert_eq!(cluster.count("error"), 1);
    cluster.finish();
}

struct Liar {
    stdin: tcp_wrap::PipeWrap,
    channel: tcp_wrap::PipeWrap,
    bytes: Vec<u8>,
}

impl tcp_wrap::upcall::OnStream for Liar {
    fn on_read(&mut self, _: &StreamWrap, _: &[u8]) {
        if let Some(received) = self.stdin.take_received() {
            self.channel.open(received.fd).expect("a channel");
            let _ = self.channel.write(&self.bytes).expect("room");
            self.stdin.read_stop();
            // Stays until it is killed.
            let patience = uv_core::Timer::new(self.stdin.loop_handle());
            patience.start(super::PATIENCE, super::PATIENCE, |_: &uv_core::Timer| {}).expect("a timer");
        }
    }
    fn on_end(&mut self, _: &StreamWrap) {}
    fn on_error(&mut self, _: &StreamWrap, _: uv_core::Error) {}
}

/// Reports its environment, and whether one of its own children takes itself for a worker.
fn environment() {
    let (_lp, env, worker) = as_worker();
    assert!(Worker::from_env(&env).expect("no error").is_none(), "only once");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let text = format!("ONE={} TWO={} HOME={}", variable("ONE"), variable("TWO"), variable("HOME"));
    worker.send(text.as_bytes()).expect("a channel");
    for stdin in [std::process::Stdio::inherit(), std::process::Stdio::null()] {
        let program = std::env::current_exe().expect("this program");
        let child = std::process::Command::new(program).args(["--as", "grandchild"]).stdin(stdin).status();
        let code = child.expect("a child").code();
        worker.send(format!("grandchild {code:?}").as_bytes()).expect("a channel");
    }
    env.run(RunMode::Default).expect("the loop runs");
}

fn grandchild() {
    let event_loop = uv_core::Loop::new().expect("a loop");
    let worker = Worker::from_env(&Environment::new(&event_loop)).expect("no error");
    std::process::exit(if worker.is_some() { 1 } else { 0 });
}

/// A primary with one worker, which is there until it is killed. Its policy is round robin or `shared`.
fn primary(args: &[&str]) {
    let settings = super::role("outsider", &[]);
    let cluster = super::Cluster::with(match args {
        ["shared"] => settings.policy(cluster::Policy::shared()),
        _ => settings,
    });
    cluster.fork();
    cluster.until(|| false);
}

/// A worker with a server and a connection to itself, so that its loop would not end by itself.
fn outsider() {
    let (_lp, env, worker) = as_worker();
    let server = Server::with_source(&env, ServerOptions::default(), worker.source());
    let handler = Outsider { server: server.clone(), client: None };
    server.listen(listen_options("127.0.0.1:0"), handler).expect("the primary is asked");
    assert!(env.run(RunMode::Default).expect("the loop runs"), "the loop was stopped in the middle");
    println!("outsider ends");
}

struct Outsider {
    server: Server,
    client: Option<std::net::TcpStream>,
}

impl ServerHandler for Outsider {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        socket.set_handler(Quiet);
        println!("outsider serves {}", std::process::id());
    }
    fn on_listening(&mut self, _: &Server) {
        let address = self.server.address().and_then(|address| address.as_tcp()).expect("an address");
        self.client = Some(super::connect(address));
    }
}
