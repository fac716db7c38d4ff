//! A folder with a configuration, an application in it, and what the two say.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod fleet;
pub(crate) mod tasks;

use async_wrap::Environment;
use pomelo::upcall::Component;
use pomelo::{Application, Completion, Error, Options};
use std::cell::{Cell, Ref, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use uv_core::{Loop, RunMode};

/// No test waits so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const MASTER: &str = r#"{"development": {"id": "master-1", "host": "127.0.0.1", "port": 3005}}"#;
pub(crate) const NO_SERVERS: &str = r#"{"development": {}}"#;

/// What happened, in order. A cheap clone.
#[derive(Clone, Default)]
pub(crate) struct Story(Rc<RefCell<Vec<String>>>);

impl Story {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn lines(&self) -> Ref<'_, Vec<String>> {
        self.0.borrow()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines().iter().any(|have| have == line)
    }
}

/// A loop, a folder, and how the process would have ended.
pub(crate) struct World {
    pub(crate) event_loop: Loop,
    pub(crate) env: Environment,
    pub(crate) folder: TempDir,
    pub(crate) exit: Rc<Cell<Option<i32>>>,
    pub(crate) story: Story,
}

impl World {
    /// A folder with a master and without servers.
    pub(crate) fn new() -> Self {
        logs::begin();
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let folder = tempfile::tempdir().expect("a folder");
        let world = Self { event_loop, env, folder, exit: Rc::default(), story: Story::default() };
        world.config("master.json", MASTER);
        world.config("servers.json", NO_SERVERS);
        world
    }

    pub(crate) fn base(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into `config/`.
    pub(crate) fn config(&self, name: &str, text: &str) -> PathBuf {
        self.write(&format!("config/{name}"), text)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.base().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(&path, text).expect("the file");
        path
    }

    /// Options for an application that is alone: no default components, and its end is noted instead of taking place.
    pub(crate) fn options(&self) -> Options {
        let exit = Rc::clone(&self.exit);
        Options::new(self.base()).admin(false).on_exit(move |code| exit.set(Some(code)))
    }

    pub(crate) fn app(&self, args: &[&str]) -> Application {
        self.try_app(args).expect("a good configuration")
    }

    pub(crate) fn try_app(&self, args: &[&str]) -> Result<Application, Error> {
        Application::new(&self.env, self.options().args(args.iter().copied()))
    }

    /// Runs the loop to its end: nothing may be alive then.
    pub(crate) fn run(&self) {
        self.bounded(|| !self.env.run(RunMode::Once).expect("the loop runs"));
    }

    /// Runs the loop until the condition holds.
    pub(crate) fn until(&self, condition: impl Fn() -> bool) {
        self.bounded(|| {
            condition()
                || !self.env.run(RunMode::Once).expect("the loop runs") && {
                    assert!(condition(), "the loop ended before: {:#?}", self.story.lines());
                    true
                }
        });
    }

    fn bounded(&self, mut turn: impl FnMut() -> bool) {
        let hung = Rc::new(Cell::new(false));
        let seen = Rc::clone(&hung);
        let watchdog = self.env.set_timeout(PATIENCE, move || seen.set(true));
        watchdog.unref();
        while !turn() {
            assert!(!hung.get(), "the loop does not end: {:#?}", self.story.lines());
        }
        watchdog.clear();
        self.env.run(RunMode::NoWait).expect("the loop runs");
    }

    /// Starts the application and runs the loop until it says how that went.
    pub(crate) fn start(&self, app: &Application) -> Result<(), Error> {
        let result = Rc::new(RefCell::new(None));
        let told = Rc::clone(&result);
        app.start(move |result| {
            told.replace(Some(result));
        });
        self.until(|| result.borrow().is_some());
        result.take().expect("it was told")
    }
}

/// A component that says what is done to it, and answers as it is told to.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) story: Story,
    /// The methods that fail.
    pub(crate) fails: &'static [&'static str],
    /// The methods that never answer.
    pub(crate) hangs: &'static [&'static str],
    kept: Vec<Completion>,
}

impl Part {
    pub(crate) fn new(name: &'static str, story: &Story) -> Self {
        Self { name, story: story.clone(), fails: &[], hangs: &[], kept: Vec::new() }
    }

    pub(crate) fn failing(self, methods: &'static [&'static str]) -> Self {
        Self { fails: methods, ..self }
    }

    pub(crate) fn hanging(self, methods: &'static [&'static str]) -> Self {
        Self { hangs: methods, ..self }
    }

    fn answer(&mut self, app: &Application, method: &str, done: Completion) {
        self.story.add(format!("{}.{method} {}", self.name, app.state() as u8));
        if self.hangs.contains(&method) {
            self.kept.push(done);
        } else if self.fails.contains(&method) {
            done.fail(format!("{method} of {} is broken", self.name));
        } else {
            // Later, as most components answer: the next one has to wait for it.
            app.environment().set_immediate(move || done.ok(()));
        }
    }
}

impl Component for Part {
    fn on_start(&mut self, app: &Application, done: Completion) {
        self.answer(app, "start", done);
    }
    fn on_after_start(&mut self, app: &Application, done: Completion) {
        self.answer(app, "afterStart", done);
    }
    fn on_stop(&mut self, app: &Application, _: bool, done: Completion) {
        self.answer(app, "stop", done);
    }
}

/// What this thread's code logs.
pub(crate) mod logs {
    use log::{LevelFilter, Log, Metadata, Record};
    use std::cell::RefCell;
    use std::sync::Once;

    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    struct Keeper;

    impl Log for Keeper {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &Record<'_>) {
            let line = format!("{} {}", record.level(), record.args());
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
        fn flush(&self) {}
    }

    pub(crate) fn begin() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&Keeper).expect("the first logger");
            log::set_max_level(LevelFilter::Info);
        });
        LINES.take();
    }

    /// The lines that contain a text.
    pub(crate) fn with(text: &str) -> Vec<String> {
        LINES.with_borrow(|lines| lines.iter().filter(|line| line.contains(text)).cloned().collect())
    }
}
