//! What the commands that serve have in common: an HTTP server over the whole chain, in one process or in a cluster, from its
//! start to its end by a signal.

use crate::args::{Policy, Result};
use crate::limit::{self, Limit};
use crate::say;
use crate::signals::{self, SIGINT, SIGTERM};
use async_wrap::layer::Printable;
use async_wrap::{Environment, Timeout};
use cluster::upcall::{PrimaryHandler, WorkerHandler};
use cluster::{Backoff, Primary, Settings, Worker, WorkerHandle};
use http::proto::ParseError;
use http::upcall::RequestHandler;
use http::{Request, Response, Server, ServerOptions};
use net::{Address, Dropped, ListenOptions, ListenPhase, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::ExitStatus;
use uv_core::{RunMode, Signal};

/// The signals that end the service.
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// How long requests may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);

/// How long a fork that failed is waited for before the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// A process that is so late did not run.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Bytes of what a worker says that are shown: more than any error of ours has.
const REASON_BYTES: usize = 500;

/// Where a command serves, and in how many processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) addr: SocketAddr,
    /// 0 is one process without a cluster.
    pub(crate) workers: usize,
    pub(crate) policy: Policy,
}

/// What a command serves, in each of its processes.
pub(crate) trait Service: Clone + 'static {
    fn place(&self) -> Place;

    /// Ends the line that says where it serves: what is served.
    fn about(&self) -> String;

    /// Finds what would keep each worker from serving, so that it is told once.
    fn check(&self, env: &Environment) -> Result<()>;

    /// Listens with a handler of its own.
    fn listen(&self, env: &Environment, listening: Listening<'_>) -> Result<()>;
}

/// A server that is to listen, in whatever process.
pub(crate) struct Listening<'a> {
    server: &'a Server,
    addr: SocketAddr,
    /// The worker, and whether it could not listen.
    worker: Option<(Worker, Rc<Cell<bool>>)>,
}

impl Listening<'_> {
    pub(crate) fn with(self, handler: impl RequestHandler + 'static) -> Result<()> {
        let addr = ListenOptions::addr(self.addr);
        match self.worker {
            Some((worker, failed)) => self.server.listen(addr, WorkerApp { app: handler, worker, failed })?,
            None => self.server.listen(addr, handler)?,
        }
        Ok(())
    }
}

/// Serves until a signal says otherwise, and then until everything is answered.
///
/// # Errors
/// What kept it from listening.
pub(crate) fn run(service: &impl Service) -> Result<()> {
    say::aside();
    let limit = limit::raise();
    let env = Environment::with_new_loop()?;
    if let Some(worker) = Worker::from_env(&env)? {
        return run_worker(&env, &worker, service);
    }
    if service.place().workers == 0 {
        run_alone(&env, service, &limit)
    } else {
        run_primary(&env, service, limit)
    }
}

fn run_alone(env: &Environment, service: &impl Service, limit: &Limit) -> Result<()> {
    let server = Server::new(env, ServerOptions::default())?;
    let addr = service.place().addr;
    service.listen(env, Listening { server: &server, addr, worker: None })?;
    let address = server.address().unwrap_or(Address::Tcp(addr));
    signals::on(env, &SIGNALS, move || {
        // The first signal drains, a second one ends at once.
        if server.shutdown(GRACE).is_err() {
            server.close_all_connections();
        }
    })?;
    // Last: the reader of this may send a signal.
    announce(&address, &format!("in one process{}", service.about()), limit);
    env.run(RunMode::Default)?;
    Ok(())
}

fn announce(address: &Address, how: &str, limit: &Limit) {
    say::out(format_args!("listening on http://{address} {how}"));
    say::out(format_args!("try: curl http://{address}/"));
    say::out(limit);
}

/// What the primary has learned from its workers.
#[derive(Default)]
struct Outcome {
    announced: bool,
    /// Why no worker can listen.
    failure: Option<String>,
}

fn run_primary(env: &Environment, service: &impl Service, limit: Limit) -> Result<()> {
    let place = service.place();
    let policy = match place.policy {
        Policy::RoundRobin => cluster::Policy::round_robin(),
        Policy::Shared => cluster::Policy::shared(),
    };
    service.check(env)?;
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let watch = Watch {
        outcome: Rc::clone(&outcome),
        place,
        about: service.about(),
        limit,
        waiting: Rc::default(),
        heard: BTreeSet::new(),
    };
    let settings = Settings::default().policy(policy).keep_listening(true).respawn(Backoff::default());
    let primary = Primary::new(env, settings, watch);
    for _ in 0..place.workers {
        primary.fork()?;
    }
    signals::on(env, &SIGNALS, move || {
        if primary.is_disconnecting() {
            for worker in primary.workers() {
                // Fails only for a worker that has ended.
                let _ = worker.kill(Signal::SIGKILL);
            }
        } else {
            primary.disconnect();
            kill_stragglers(&primary, GRACE + Duration::from_secs(1));
        }
    })?;
    env.run(RunMode::Default)?;
    outcome.take().failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Ends workers that do not end by themselves: stopped ones, or ones in an endless loop.
fn kill_stragglers(primary: &Primary, within: Duration) {
    let late = primary.clone();
    let due = primary.environment().loop_handle().now() + within;
    let timer = primary.environment().set_deadline(within, move |heard| {
        if heard.until() > due + STANDSTILL {
            // What made this process so late (a stopped process group, a frozen container) has kept the workers too.
            return kill_stragglers(&late, within);
        }
        for worker in late.workers() {
            say::err(format_args!("worker {} (process {}) did not end in time", worker.id(), worker.pid()));
            // Fails only for a worker that has ended.
            let _ = worker.kill(Signal::SIGKILL);
        }
    });
    timer.unref();
}

/// Watches over the workers and says what a person wants to know.
struct Watch {
    outcome: Rc<RefCell<Outcome>>,
    place: Place,
    /// What is served.
    about: String,
    /// Of this process, and so of each worker.
    limit: Limit,
    /// Successors that could not be forked yet.
    waiting: Rc<RefCell<Vec<Timeout>>>,
    /// Workers whose word was shown.
    heard: BTreeSet<u32>,
}

impl PrimaryHandler for Watch {
    /// There is one address, and a worker that wants another is not ours any more.
    fn accepts_listen(&mut self, _: &WorkerHandle, address: &Address) -> bool {
        address.as_tcp() == Some(self.place.addr)
    }

    fn on_listening(&mut self, _: &WorkerHandle, address: &Address) {
        let mut outcome = self.outcome.borrow_mut();
        if !outcome.announced {
            outcome.announced = true;
            let Place { workers, policy, .. } = self.place;
            let policy = match policy {
                Policy::RoundRobin => "round-robin",
                Policy::Shared => "shared",
            };
            let (plural, about) = (if workers == 1 { "" } else { "s" }, &self.about);
            announce(address, &format!("with {workers} worker{plural} ({policy}){about}"), &self.limit);
        }
    }

    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], _: Vec<OwnedFd>) {
        // A worker's one message: it cannot listen, and so no other can. Once one does, workers have heard clients, and
        // are not believed any more: what one of them says is shown, once.
        let mut outcome = self.outcome.borrow_mut();
        let reason = String::from_utf8_lossy(&data[..data.len().min(REASON_BYTES)]);
        if outcome.announced {
            if self.heard.insert(worker.id()) {
                say::err(format_args!(
                    "worker {} (process {}) says: {}",
                    worker.id(),
                    worker.pid(),
                    Printable(&reason)
                ));
            }
        } else if outcome.failure.is_none() {
            outcome.failure = Some(Printable(&reason).to_string());
            if let Some(primary) = worker.primary() {
                primary.disconnect();
            }
        }
    }

    fn on_disconnect(&mut self, worker: &WorkerHandle) {
        self.heard.remove(&worker.id());
    }

    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        // Ctrl-C goes to all processes of a terminal: a worker may meet it before it listens to signals. That none can
        // listen is said by itself.
        let is_known = status.signal == Signal::SIGINT || self.outcome.borrow().failure.is_some();
        if worker.exited_after_disconnect() != Some(true) && !is_known {
            say::err(format_args!("worker {} (process {}) ended: {status}", worker.id(), worker.pid()));
        }
        // A worker that left because of a signal of its own has a successor too.
        let left = worker.exited_after_disconnect() == Some(true);
        if let Some(primary) = worker.primary().filter(|primary| left && !primary.is_disconnecting()) {
            say::err(format_args!("worker {} (process {}) left", worker.id(), worker.pid()));
            succeed(primary, Rc::clone(&self.waiting));
        }
    }

    fn on_disconnected(&mut self, _: &Primary) {
        self.waiting.take().iter().for_each(Timeout::clear);
    }

    fn on_error(&mut self, _: Option<&WorkerHandle>, error: cluster::Error) {
        say::err(format_args!("error: {error}"));
    }
}

/// Forks a successor for a worker that left, if not now then in a while.
fn succeed(primary: Primary, waiting: Rc<RefCell<Vec<Timeout>>>) {
    if primary.is_disconnecting() {
        return;
    }
    if let Err(error) = primary.fork() {
        say::err(format_args!("error: {error}"));
        let (env, next) = (primary.environment().clone(), Rc::clone(&waiting));
        let timeout = env.set_timeout(PAUSE, move || succeed(primary, next));
        let mut waiting = waiting.borrow_mut();
        waiting.retain(Timeout::is_active);
        waiting.push(timeout);
    }
}

fn run_worker(env: &Environment, worker: &Worker, service: &impl Service) -> Result<()> {
    let server = Server::with_source(env, ServerOptions::default(), worker.source())?;
    worker.set_handler(Leave { server: server.clone() });
    let failed = Rc::new(Cell::new(false));
    let (addr, teller) = (service.place().addr, Some((worker.clone(), Rc::clone(&failed))));
    service.listen(env, Listening { server: &server, addr, worker: teller })?;
    let leaving = worker.clone();
    // As without a cluster: the first signal drains, a second one ends at once.
    let end = move || server.close_all_connections();
    signals::on_ending(env, &SIGNALS, move || leaving.disconnect(), end)?;
    env.run(RunMode::Default)?;
    if failed.get() {
        // Its primary has printed the reason, or starts another worker after a pause.
        std::process::exit(1);
    }
    Ok(())
}

/// Ends a worker's connections when it is to go.
struct Leave {
    server: Server,
}

impl WorkerHandler for Leave {
    fn on_leave(&mut self, _: &Worker) {
        // Fails only if the server never listened.
        let _ = self.server.shutdown(GRACE);
    }
}

/// The application in a worker: a failure to listen is the primary's to tell. One to accept passes.
struct WorkerApp<A> {
    app: A,
    worker: Worker,
    failed: Rc<Cell<bool>>,
}

impl<A: RequestHandler> RequestHandler for WorkerApp<A> {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.app.on_request(request, response);
    }

    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        self.app.accepts_upgrade(request)
    }

    fn accepts_method(&mut self, method: &str) -> bool {
        self.app.accepts_method(method)
    }

    fn accepts_overload(&mut self, request: &Request<'_>) -> bool {
        self.app.accepts_overload(request)
    }

    fn accepts_silence(&mut self, socket: &Socket) -> bool {
        self.app.accepts_silence(socket)
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        self.app.on_upgrade(request, socket, head);
    }

    fn on_client_error(&mut self, error: ParseError, socket: &Socket) {
        self.app.on_client_error(error, socket);
    }

    fn on_listening(&mut self, server: &Server) {
        self.app.on_listening(server);
    }

    fn on_drop(&mut self, server: &Server, dropped: Dropped) {
        self.app.on_drop(server, dropped);
    }

    fn on_close(&mut self, server: &Server) {
        self.app.on_close(server);
    }

    fn on_error(&mut self, _: &Server, error: net::Error) {
        if error.phase() == Some(ListenPhase::Accept) {
            return say::err(format_args!("error: {error}"));
        }
        // Fails only if the primary has ended.
        let _ = self.worker.send(error.to_string().as_bytes());
        self.failed.set(true);
        self.worker.environment().loop_handle().stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Instant;
    use uv_core::Loop;

    const TAKEN_OVER: &[u8] = b"\x1b[2Jno worker can listen\n";

    /// A primary with a worker that ends by itself, and what it has learned.
    fn site() -> (Loop, Primary, WorkerHandle, Watch) {
        site_with("true", &[])
    }

    fn site_with(program: &str, args: &[&str]) -> (Loop, Primary, WorkerHandle, Watch) {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        struct Silent;
        impl PrimaryHandler for Silent {}
        let primary = Primary::new(&env, Settings::default().program(program).args(args), Silent);
        let worker = primary.fork().expect("a worker");
        let addr = ([127, 0, 0, 1], 8000).into();
        let watch = Watch {
            outcome: Rc::default(),
            place: Place { addr, workers: 1, policy: Policy::RoundRobin },
            about: String::new(),
            limit: limit::raise(),
            waiting: Rc::default(),
            heard: BTreeSet::new(),
        };
        (event_loop, primary, worker, watch)
    }

    #[test]
    fn workers_of_a_primary_that_stood_still_have_their_time_all_the_same() {
        let (event_loop, primary, worker, _watch) = site_with("sleep", &["1000"]);
        let within = Duration::from_millis(200);
        kill_stragglers(&primary, within);
        // As if it had been stopped, with its workers.
        std::thread::sleep(within + STANDSTILL * 2);
        let going_on = Instant::now();
        assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
        assert_eq!(worker.status().map(|status| status.signal), Some(Signal::SIGKILL));
        assert!(going_on.elapsed() >= within, "{:?}", going_on.elapsed());
    }

    #[test]
    fn what_a_worker_says_ends_nothing_once_one_listens() {
        let (event_loop, primary, worker, mut watch) = site();
        watch.on_listening(&worker, &Address::Tcp(watch.place.addr));
        watch.on_message(&worker, TAKEN_OVER, Vec::new());
        watch.on_message(&worker, TAKEN_OVER, Vec::new());
        assert_eq!(watch.heard.len(), 1);
        assert!(watch.outcome.borrow().failure.is_none() && !primary.is_disconnecting());
        assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    }

    #[test]
    fn that_no_worker_can_listen_is_one_short_line_without_control_characters() {
        let (event_loop, primary, worker, mut watch) = site();
        let long = [TAKEN_OVER, &[b'x'; 100_000]].concat();
        watch.on_message(&worker, &long, Vec::new());
        assert!(primary.is_disconnecting());
        let failure = watch.outcome.take().failure.expect("a failure");
        assert!(failure.starts_with(r"\u{1b}[2Jno worker can listen\n") && failure.len() < 600, "{failure}");
        assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    }

    #[test]
    fn workers_listen_where_they_were_told_to_and_nowhere_else() {
        let (event_loop, _primary, worker, mut watch) = site();
        let told = watch.place.addr;
        assert!(watch.accepts_listen(&worker, &Address::Tcp(told)));
        let other = |port| Address::Tcp((told.ip(), port).into());
        for address in
            [other(0), other(22), Address::Path(PathBuf::from("/tmp/x")), Address::Abstract(vec![1])]
        {
            assert!(!watch.accepts_listen(&worker, &address), "{address}");
        }
        assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    }
}
