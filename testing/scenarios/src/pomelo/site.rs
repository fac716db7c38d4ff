//! A master with its configuration, its servers, and the laws that hold in every scenario.

use super::facts::{Facts, Process, as_members, sorted};
use super::server::{self, Manners};
use super::{is_fatal, views};
use ::pomelo::upcall::EventHandler;
use ::pomelo::{AppEvent, Application, Options, Program, State, StopNews};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, World};
use uv_core::faults;

/// The master's port, on the world's own address.
const PORT: u16 = 3005;

/// The time in which everything is up again once nothing fails any more: more than the longest pause between starts, and
/// than the silence after which a connection counts as lost.
pub(super) const RECOVERY: Duration = Duration::from_secs(8 * 60);

/// The time in which a stop of all servers ends: four seconds until SIGKILL, one to die, three for the master itself, and
/// what events may be late.
const STOP: Duration = Duration::from_secs(30);

/// The time in which the timers end that a connection leaves behind: the ten seconds in which rejections are only counted are
/// the longest.
pub(super) const REST: Duration = Duration::from_secs(11);

/// The time in which the master learns that a process has ended.
const TO_LEARN: Duration = Duration::from_secs(1);

/// The folder of a configuration.
struct Folder(PathBuf);

impl Folder {
    fn new(world: &World, plan: &Plan) -> Self {
        let name = format!("upcall-scenarios-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = Self(std::env::temp_dir().join(name));
        let config = folder.0.join("config");
        fs::create_dir_all(&config).expect("the folder of temporary files takes a folder");
        let write = |name, text: String| fs::write(config.join(name), text).expect("a small file");
        let host = world.loopback();
        write("master.json", format!(r#"{{"id": "master-1", "host": "{host}", "port": {PORT}}}"#));
        let kept_up = if plan.is_kept_up { r#", "auto-restart": "true""# } else { "" };
        let server = |number| format!(r#"{{"id": "chat-{number}", "host": "{host}"{kept_up}}}"#);
        let servers: Vec<String> = (1..=plan.servers).map(server).collect();
        write("servers.json", format!(r#"{{"chat": [{}]}}"#, servers.join(", ")));
        let user = |name, level| {
            format!(r#"{{"id": "{level}", "username": "{name}", "password": "secret", "level": {level}}}"#)
        };
        write("adminUser.json", format!("[{}, {}]", user("admin", 1), user("guest", 2)));
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left over if the system refuses: it is a folder of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The servers of a site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) servers: u64,
    pub(super) is_kept_up: bool,
    pub(super) manners: Manners,
}

/// A master that was told to start.
pub(super) struct Site {
    pub(super) env: Environment,
    pub(super) app: Application,
    pub(super) facts: Rc<Facts>,
    pub(super) plan: Plan,
    /// As a process that has views of the servers.
    pub(super) master: Rc<Process>,
    pub(super) address: SocketAddr,
    started: Rc<Cell<Option<bool>>>,
    /// Servers that were ended by force, or left.
    forced: Rc<RefCell<Vec<i32>>>,
    /// A breach of a law that a handler has seen.
    breach: Rc<RefCell<Option<String>>>,
    _folder: Folder,
}

/// The master's handler of its stop.
struct Stop {
    facts: Rc<Facts>,
    forced: Rc<RefCell<Vec<i32>>>,
    breach: Rc<RefCell<Option<String>>>,
}

impl EventHandler for Stop {
    fn on_event(&mut self, _: &Application, _: &AppEvent) {}

    fn on_stop_all(&mut self, _: &Application, news: &StopNews) {
        let (StopNews::Killed { pid, .. } | StopNews::Remains { pid, .. }) = news else { return };
        self.forced.borrow_mut().push(*pid);
        self.facts.look();
        let now = faults::now().unwrap_or_default();
        let processes = self.facts.processes();
        let ended = processes.iter().find(|process| process.pid == *pid).and_then(|one| one.ended.get());
        if ended.is_some_and(|ended| now.saturating_sub(ended) > TO_LEARN) {
            *self.breach.borrow_mut() = Some(format!("a process that had ended counts as running: {news:?}"));
        }
    }
}

impl Site {
    /// A master whose servers are being started. `None` if a fault keeps it from starting.
    pub(super) fn new(world: &World, plan: Plan) -> Option<Self> {
        let base = Rc::new(RefCell::new(PathBuf::new()));
        let (facts, told) = (Rc::<Facts>::default(), Rc::clone(&base));
        let theirs = Rc::clone(&facts);
        let play = move |child: &Child<'_>| {
            server::play(child, &told.borrow(), &theirs, plan.manners);
        };
        let site = Self::with_program(world, plan, facts, play)?;
        base.replace(site._folder.0.clone());
        Some(site)
    }

    /// As `new`, with a program of its own for the servers.
    pub(super) fn with_program(
        world: &World,
        plan: Plan,
        facts: Rc<Facts>,
        play: impl Fn(&Child<'_>) + 'static,
    ) -> Option<Self> {
        let env = world.environment("master").ok()?;
        let folder = Folder::new(world, &plan);
        world.play_children(play);
        let program = Program { path: "/bin/true".into(), args: Vec::new() };
        let options = Options::new(&folder.0).program(program);
        let app = Application::new(&env, options).expect("the configuration is right");
        let (forced, breach) = (Rc::default(), Rc::default());
        let stop = Stop { facts: Rc::clone(&facts), forced: Rc::clone(&forced), breach: Rc::clone(&breach) };
        app.on(stop);
        let master = facts.begin("master-1", 0);
        master.listen(&app);
        let started = Rc::new(Cell::new(None));
        let told = Rc::clone(&started);
        app.start(move |result| told.set(Some(result.is_ok())));
        let address = SocketAddr::from((world.loopback(), PORT));
        Some(Self { env, app, facts, plan, master, address, started, forced, breach, _folder: folder })
    }

    /// The folder of the configuration, for a program that is made later.
    pub(super) fn base(&self) -> PathBuf {
        self._folder.0.clone()
    }

    /// The breach of a law that holds at any time.
    fn breach(&self) -> Option<String> {
        self.facts.look();
        let twice = || self.facts.twice().map(|id| format!("server {id:?} runs twice"));
        self.breach.borrow().clone().or_else(twice)
    }

    /// Lets time pass, and holds what holds at any time.
    pub(super) fn run_for(&self, world: &World, time: Duration) -> Result<(), String> {
        let until = world.now() + time;
        // A timer, so that there is always something that happens.
        let is_over = Rc::new(Cell::new(false));
        let over = Rc::clone(&is_over);
        let timer = self.env.set_timeout(time, move || over.set(true));
        let ran = self.run_until(world, || is_over.get() || world.now() > until);
        timer.clear();
        ran
    }

    /// Lets everything take turns until `is_done`, and holds what holds at any time.
    pub(super) fn run_until(&self, world: &World, is_done: impl Fn() -> bool) -> Result<(), String> {
        world.run_until(|| is_done() || self.breach().is_some())?;
        self.breach().map_or(Ok(()), Err)
    }

    /// Once nothing fails any more, exactly the processes that live are registered, and every one of them knows all others.
    /// Returns their number.
    pub(super) fn settle(&self, world: &World) -> Result<usize, String> {
        world.calm();
        self.run_for(world, RECOVERY)?;
        let living = self.facts.living();
        let members = as_members(&living);
        views::hold(&self.master, &members)?;
        living.iter().try_for_each(|process| views::hold(process, &members))?;
        views::hold_starts(&self.master, &self.facts, self.plan.servers)?;
        Ok(living.len())
    }

    /// Whether the master has come up; not by a fault only. Waits for the result of its start.
    pub(super) fn is_up(&self, world: &World) -> Result<bool, String> {
        let until = world.now() + RECOVERY;
        self.run_until(world, || self.started.get().is_some() || world.now() > until)?;
        match self.started.get() {
            Some(true) => Ok(true),
            Some(false) if world.has_met(is_fatal) => Ok(false),
            Some(false) => Err("the master does not start".to_owned()),
            None => Err("the master's start has no result".to_owned()),
        }
    }

    /// Stops everything, which has to end.
    pub(super) fn stop(&self, world: &World) -> Result<(), String> {
        self.app.stop_all(false);
        self.end(world)
    }

    /// As `stop`, once nothing fails any more: only servers that linger or stand still are ended by force.
    pub(super) fn stop_calmly(&self, world: &World) -> Result<(), String> {
        world.calm();
        let living = self.facts.living();
        let may = |process: &&Rc<Process>| process.may_linger.get() || faults::is_stopped(process.pid);
        let slow: Vec<i32> = living.iter().filter(may).map(|process| process.pid).collect();
        self.stop(world)?;
        let forced = self.forced.borrow();
        match forced.iter().find(|pid| !slow.contains(pid)) {
            Some(pid) => Err(format!("process {pid} was ended by force, of {:?}", as_members(&living))),
            None => Ok(()),
        }
    }

    /// Waits for the end of a stop.
    pub(super) fn end(&self, world: &World) -> Result<(), String> {
        let until = world.now() + STOP;
        let is_over = || self.app.state() == State::Stopped && self.facts.living().is_empty();
        self.run_until(world, || is_over() || world.now() > until)?;
        if !is_over() {
            return Err(format!("the stop does not end: {:?} live", as_members(&self.facts.living())));
        }
        self.run_for(world, REST)?;
        world.run()
    }

    /// The ids of the configuration's servers.
    pub(super) fn ids(&self) -> Vec<String> {
        sorted((1..=self.plan.servers).map(|number| format!("chat-{number}")).collect())
    }
}
