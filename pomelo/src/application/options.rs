//! The options of an application, and the identity that they give it. Mirrors
//! `defaultConfiguration` and `processArgs` of pomelo's `lib/util/appUtil.js`.

use crate::args::{self, Args};
use crate::upcall::OutputHandler;
use crate::{Result, ServerInfo};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use uv_core::os::Spool;

pub(crate) const DEVELOPMENT: &str = "development";
pub(crate) const MASTER: &str = "master";
pub(crate) const ALL: &str = "all";

/// The time that the end of the process leaves for the queued output of its servers.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The time limit of a stop (`TIME_WAIT_STOP`).
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// The program that the servers of an application run. A server's command line has the `args` of its record, these
/// arguments, then `env=… id=…`.
///
/// ```
/// use pomelo::{Options, Program};
///
/// let server = Program { path: "/srv/game/bin/server".into(), args: vec!["serve".into()] };
/// let options = Options::from_process().program(server);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The leading arguments: none, a subcommand, or a script (`main`).
    pub args: Vec<String>,
}

/// Whether a master starts servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It starts the servers of its configuration (`clusters`).
    Clusters,
    /// It starts none (`mode=stand-alone`).
    StandAlone,
}

pub(crate) type Exit = Rc<dyn Fn(i32)>;

/// The options of [`Application::new`](crate::Application::new).
///
/// ```
/// use pomelo::Options;
///
/// let options = Options::new("/srv/game").args(["env=production", "id=connector-1"]);
/// # let _ = options;
/// ```
pub struct Options {
    pub(super) base: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) node_env: Option<String>,
    pub(super) program: Option<Program>,
    pub(super) stop_limit: Duration,
    pub(super) has_admin: bool,
    pub(super) exit: Option<Exit>,
    pub(super) output: Option<Box<dyn OutputHandler>>,
}

impl Options {
    /// The options of this process: its folder, its arguments, the variable `NODE_ENV`.
    #[must_use]
    pub fn from_process() -> Self {
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        let node_env = std::env::var_os("NODE_ENV").map(|name| name.to_string_lossy().into_owned());
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let mut options = Self::new(folder).args(words);
        options.node_env = node_env;
        options
    }

    /// An application in a folder, without arguments.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: absolute(base.into()),
            args: Vec::new(),
            node_env: None,
            program: None,
            stop_limit: STOP_LIMIT,
            has_admin: true,
            exit: None,
            output: None,
        }
    }

    /// The folder of `config/`.
    #[must_use]
    pub fn base(mut self, base: impl Into<PathBuf>) -> Self {
        self.base = absolute(base.into());
        self
    }

    /// The arguments, without the executable's name: words of the program's own, then `key=value`.
    #[must_use]
    pub fn args(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args = words.into_iter().map(Into::into).collect();
        self
    }

    /// The environment, unless an argument `env=` names another. Default: `development`.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>) -> Self {
        self.node_env = Some(name.into());
        self
    }

    /// The program that the servers run. Default: this executable, with the arguments before the first `key=value`.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// The time limit of a stop, after which the process ends. Default: 3 s.
    #[must_use]
    pub fn stop_limit(mut self, limit: Duration) -> Self {
        self.stop_limit = limit;
        self
    }

    /// Whether the application loads its default components, `__master__` and `__monitor__`. Default: `true`.
    #[must_use]
    pub fn admin(mut self, has_admin: bool) -> Self {
        self.has_admin = has_admin;
        self
    }

    /// The function that is called instead of [`std::process::exit`] when the process is to end: after a stop, or by a
    /// command of the console.
    #[must_use]
    pub fn on_exit(mut self, exit: impl Fn(i32) + 'static) -> Self {
        self.exit = Some(Rc::new(exit));
        self
    }

    /// The receiver of the output of attached servers. Default: this process's own output.
    #[must_use]
    pub fn on_output(mut self, handler: impl OutputHandler + 'static) -> Self {
        self.output = Some(Box::new(handler));
        self
    }

    pub(super) fn take_program(&mut self) -> Program {
        self.program.take().unwrap_or_else(|| Program {
            // Without a path every start fails, since no such program exists.
            path: uv_core::os::program_path().unwrap_or_default(),
            args: self.args[..args::main_words(&self.args)].to_vec(),
        })
    }

    pub(super) fn take_exit(&mut self) -> Exit {
        self.exit.take().unwrap_or_else(|| {
            Rc::new(|code| {
                Spool::flush_standard(LAST_WORDS);
                std::process::exit(code)
            })
        })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("base", &self.base)
            .field("args", &self.args)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// Makes a path absolute: servers on other hosts are started in the same folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The identity of this process.
pub(super) struct Identity {
    pub(super) env: String,
    pub(super) id: String,
    pub(super) server_type: String,
    pub(super) mode: Mode,
    pub(super) run_type: String,
    pub(super) start_id: Option<String>,
    pub(super) master: ServerInfo,
    pub(super) cur_server: ServerInfo,
}

impl Identity {
    pub(super) fn new(args: Args, env: String, master: ServerInfo) -> Result<Self> {
        let mut values = args.values;
        let word = |key: &str| values.get(key).map(args::text_of);
        let server_type = word("serverType").unwrap_or_else(|| MASTER.into());
        let master_id = || master.get("id").map(args::text_of).unwrap_or_default();
        let id = word("id").unwrap_or_else(master_id);
        let mode = match word("mode").as_deref() {
            None | Some("clusters") => Mode::Clusters,
            Some("stand-alone") => Mode::StandAlone,
            Some(other) => {
                return Err(args::wrong(format!("mode={other}"), "clusters or stand-alone"));
            }
        };
        let run_type = word("type").unwrap_or_else(|| ALL.into());
        let start_id = word("startId");
        let is_master_of_many = word("masterha").as_deref() == Some("true");
        let cur_server = if server_type == MASTER && !is_master_of_many {
            master.clone()
        } else {
            for (key, text) in [("id", &id), ("serverType", &server_type), ("env", &env)] {
                if let Some(value) = values.get_mut(key) {
                    *value = Value::from(text.as_str());
                }
            }
            values
        };
        let master = if is_master_of_many { cur_server.clone() } else { master };
        Ok(Self { env, id, server_type, mode, run_type, start_id, master, cur_server })
    }
}
