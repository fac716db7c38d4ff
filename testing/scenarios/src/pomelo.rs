//! Scenarios of `pomelo`: whatever fails, a server that lives is registered in the end, none runs twice, a server that is kept
//! up comes back, and a stop ends all.

use crate::is_passing;
use ::pomelo::admin::{CONSOLE, Client, Login, Target};
use ::pomelo::{Application, Options, Program, State};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, Fault, World};
use uv_core::{Signal, process};

/// The master's port, on the world's own address.
const PORT: u16 = 3005;

/// The time in which everything is up again once nothing fails any more: more than the longest pause between starts, and
/// than the silence after which a connection counts as lost.
const RECOVERY: Duration = Duration::from_secs(15 * 60);

/// The time in which a stop of all servers ends: four seconds until SIGKILL, one to die, three for the master itself.
const STOP: Duration = Duration::from_secs(30);

/// The time in which the timers end that a connection leaves behind: the ten seconds in which rejections are only counted are
/// the longest.
const REST: Duration = Duration::from_secs(11);

/// What the processes of a scenario did.
#[derive(Default)]
struct Facts {
    /// Every process that was started: the server's id and the process id.
    processes: RefCell<Vec<(String, i32)>>,
    /// Whether the master started; `None` until it has, or has failed to.
    started: Cell<Option<bool>>,
}

impl Facts {
    /// The processes that have not ended.
    fn living(&self) -> Vec<(String, i32)> {
        let processes = self.processes.borrow();
        processes.iter().filter(|(_, pid)| process::kill(*pid, 0).is_ok()).cloned().collect()
    }
}

/// The folder of a configuration.
struct Folder(PathBuf);

impl Folder {
    fn new(world: &World, servers: u64, is_kept_up: bool) -> Self {
        let name = format!("upcall-scenarios-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = Self(std::env::temp_dir().join(name));
        let config = folder.0.join("config");
        fs::create_dir_all(&config).expect("the folder of temporary files takes a folder");
        let write = |name, text: String| fs::write(config.join(name), text).expect("a small file");
        let host = world.loopback();
        write("master.json", format!(r#"{{"id": "master-1", "host": "{host}", "port": {PORT}}}"#));
        let kept_up = if is_kept_up { r#", "auto-restart": "true""# } else { "" };
        let server = |number| format!(r#"{{"id": "chat-{number}", "host": "{host}"{kept_up}}}"#);
        let servers: Vec<String> = (1..=servers).map(server).collect();
        write("servers.json", format!(r#"{{"chat": [{}]}}"#, servers.join(", ")));
        write(
            "adminUser.json",
            r#"[{"id": "1", "username": "admin", "password": "secret", "level": 1}]"#.to_owned(),
        );
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left over if the system refuses: it is a folder of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Site {
    env: Environment,
    app: Application,
    facts: Rc<Facts>,
    servers: usize,
    _folder: Folder,
}

/// A master whose servers are being started. `None` if a fault keeps it from starting.
fn site(world: &World, is_kept_up: bool) -> Option<Site> {
    let env = world.environment("master").ok()?;
    let servers = 1 + world.choose(3);
    let folder = Folder::new(world, servers, is_kept_up);
    let facts = Rc::<Facts>::default();
    let (base, theirs) = (folder.0.clone(), Rc::clone(&facts));
    world.play_children(move |child| server(child, &base, &theirs));
    let program = Program { path: "/bin/true".into(), args: Vec::new() };
    let options = Options::new(&folder.0).program(program);
    let app = Application::new(&env, options).expect("the configuration is right");
    let told = Rc::clone(&facts);
    app.start(move |result| told.started.set(Some(result.is_ok())));
    Some(Site { env, app, facts, servers: servers as usize, _folder: folder })
}

/// The program of a server.
fn server(child: &Child<'_>, base: &Path, facts: &Facts) {
    let id = child.args().iter().find_map(|arg| arg.strip_prefix("id=")).unwrap_or_default().to_owned();
    facts.processes.borrow_mut().push((id, child.pid()));
    let exit = child.exit();
    let options = Options::new(base).args(&child.args()[1..]).on_exit(child.exit());
    match Application::new(child.environment(), options) {
        // As in `main`: a server that cannot start ends.
        Ok(app) => app.start(move |result| {
            if result.is_err() {
                exit(1);
            }
        }),
        Err(_) => exit(1),
    }
}

/// Whether a fault ended a connection, a process or a start.
fn is_fatal(fault: &Fault) -> bool {
    !is_passing(fault)
}

impl Site {
    /// Lets time pass, and holds that no server has two processes.
    fn run_for(&self, world: &World, time: Duration) -> Result<(), String> {
        let until = world.now() + time;
        // A timer, so that there is always something that happens.
        let is_over = Rc::new(Cell::new(false));
        let over = Rc::clone(&is_over);
        let timer = self.env.set_timeout(time, move || over.set(true));
        world.run_until(|| is_over.get() || world.now() > until || self.twice().is_some())?;
        timer.clear();
        self.twice().map_or(Ok(()), |id| Err(format!("server {id:?} runs twice")))
    }

    fn twice(&self) -> Option<String> {
        let living = self.facts.living();
        let mut ids: Vec<&str> = living.iter().map(|(id, _)| id.as_str()).collect();
        ids.sort_unstable();
        ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
    }

    /// The ids of the servers that the master knows, in order.
    fn registered(&self) -> Vec<String> {
        let servers = self.app.servers();
        let id = |info: &::pomelo::ServerInfo| info["id"].as_str().unwrap_or_default().to_owned();
        let mut ids: Vec<String> = servers.iter().map(id).collect();
        ids.sort_unstable();
        ids
    }

    /// Once nothing fails any more, exactly the processes that live are registered.
    fn settle(&self, world: &World) -> Result<usize, String> {
        world.calm();
        self.run_for(world, RECOVERY)?;
        let mut living: Vec<String> = self.facts.living().into_iter().map(|(id, _)| id).collect();
        living.sort_unstable();
        let registered = self.registered();
        if registered != living {
            return Err(format!("{registered:?} are registered, and {living:?} live"));
        }
        Ok(living.len())
    }

    /// Whether the master has come up; not by a fault only. Waits for the result of its start.
    fn is_up(&self, world: &World) -> Result<bool, String> {
        let until = world.now() + RECOVERY;
        world.run_until(|| self.facts.started.get().is_some() || world.now() > until)?;
        match self.facts.started.get() {
            Some(true) => Ok(true),
            Some(false) if world.has_met(is_fatal) => Ok(false),
            Some(false) => Err("the master does not start".to_owned()),
            None => Err("the master's start has no result".to_owned()),
        }
    }

    /// Stops everything, which has to end.
    fn stop(&self, world: &World) -> Result<(), String> {
        self.app.stop_all(false);
        self.end(world)
    }

    fn end(&self, world: &World) -> Result<(), String> {
        let until = world.now() + STOP;
        let is_over = || self.app.state() == State::Stopped && self.facts.living().is_empty();
        world.run_until(|| is_over() || world.now() > until)?;
        if !is_over() {
            return Err(format!("the stop does not end: {:?} live", self.facts.living()));
        }
        self.run_for(world, REST)?;
        world.run()
    }
}

/// All servers start and register; whatever a fault ends meanwhile, those that live are registered in the end.
pub(crate) fn registration(world: &World) -> Result<(), String> {
    let Some(site) = site(world, false) else { return Ok(()) };
    if site.is_up(world)? {
        site.run_for(world, Duration::from_secs(world.choose(600)))?;
        let was_fatal = world.has_met(is_fatal);
        let living = site.settle(world)?;
        if living < site.servers && !was_fatal {
            return Err(format!("{living} of {} servers run", site.servers));
        }
    }
    site.stop(world)
}

/// Servers that are kept up are killed, and stand still for longer than a connection lasts: in the end each runs once.
pub(crate) fn restarts(world: &World) -> Result<(), String> {
    let Some(site) = site(world, true) else { return Ok(()) };
    if site.is_up(world)? {
        for _ in 0..=world.choose(5) {
            site.run_for(world, Duration::from_millis(1 + world.choose(20_000)))?;
            let living = site.facts.living();
            if let Some((_, pid)) = living.get(world.choose(living.len().max(1) as u64) as usize) {
                let signals = [Signal::SIGKILL, Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGCONT];
                // Fails by a fault.
                let _ = process::kill(*pid, signals[world.choose(4) as usize]);
            }
            if world.choose(3) == 0 {
                site.run_for(world, Duration::from_secs(world.choose(400)))?;
            }
        }
        world.calm();
        for (_, pid) in site.facts.living() {
            process::kill(pid, Signal::SIGCONT).map_err(|error| error.to_string())?;
        }
        let living = site.settle(world)?;
        if living < site.servers {
            return Err(format!("{living} of {} servers that are kept up run", site.servers));
        }
    }
    site.stop(world)
}

/// A stop at any moment, of servers that start, run, stand still and die, ends all of them, and the master.
pub(crate) fn stops(world: &World) -> Result<(), String> {
    let Some(site) = site(world, world.choose(2) == 0) else { return Ok(()) };
    site.run_for(world, Duration::from_micros(world.choose(200_000)))?;
    for (_, pid) in site.facts.living() {
        // Fails by a fault.
        let _ = match world.choose(4) {
            0 => process::kill(pid, Signal::SIGSTOP),
            1 => process::kill(pid, Signal::SIGKILL),
            _ => Ok(()),
        };
    }
    site.run_for(world, Duration::from_micros(world.choose(20_000_000)))?;
    // A signal that a fault refuses is not sent again.
    world.calm();
    site.stop(world)
}

/// Users ask, also for what is not there, and peers send anything: each request has one answer, and a stop that a user
/// asks for ends all.
pub(crate) fn console(world: &World) -> Result<(), String> {
    let Some(site) = site(world, true) else { return Ok(()) };
    if !site.is_up(world)? {
        return site.stop(world);
    }
    let address = SocketAddr::from((world.loopback(), PORT));
    for _ in 0..world.choose(4) {
        // Refused by a fault.
        let Ok(peer) = world.tcp_peer(address) else { continue };
        let length = world.choose(200);
        let noise: Vec<u8> = (0..length).map(|_| world.choose(256) as u8).collect();
        peer.send(b"\x10\x1a\x00\x04MQTT\x04\x02\x00\x00\x00\x0eMQTT_ADMIN_123");
        peer.send(noise);
        match world.choose(3) {
            0 => peer.finish(),
            1 => peer.close(),
            _ => {}
        }
    }
    let user = world.environment("user");
    let (asked, answered) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    if let Ok(user) = &user {
        let (asked, answered) = (Rc::clone(&asked), Rc::clone(&answered));
        let questions: Vec<u64> = (0..world.choose(6)).map(|_| world.choose(4)).collect();
        let target = Target::new(address.ip().to_string(), PORT);
        let env = user.clone();
        Client::connect(user, target, Login::new("admin", "secret"), move |client| {
            let Ok(client) = client else { return };
            asked.set(questions.len());
            for question in &questions {
                let (module, body) = match question {
                    0 => (CONSOLE, r#"{"signal": "list"}"#),
                    1 => (CONSOLE, r#"{"signal": "restart", "ids": ["chat-1"]}"#),
                    2 => (CONSOLE, r#"{"signal": "stop", "ids": ["chat-1", "chat-9"]}"#),
                    _ => ("nowhere", r#"{"what": [1, 2, {"x": null}]}"#),
                };
                let answered = Rc::clone(&answered);
                let body = body.parse().expect("it is JSON");
                client.request(module, body, move |_| answered.set(answered.get() + 1));
            }
            // The requests end with the connection, a minute later.
            let lasts = env.clone();
            env.set_timeout(Duration::from_secs(60), move || {
                client.close();
                drop(lasts.set_timeout(REST, || {}));
            });
        });
    }
    site.run_for(world, Duration::from_secs(120))?;
    if asked.get() != answered.get() {
        return Err(format!("{} requests had {} answers", asked.get(), answered.get()));
    }
    world.calm();
    site.stop(world)
}
