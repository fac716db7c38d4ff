//! The command line of `pomelo`.

use super::secret;
use crate::args::Result;
use lexopt::prelude::{Long, Short, Value};
use std::path::PathBuf;

/// What `cargo xtask pomelo --help` prints.
pub const USAGE: &str = "\
cargo xtask pomelo COMMAND

  init DIR              writes a small project into a new or empty folder
  start DIR [--env E] [--type T | --id ID] [--daemon] [--ssh WORDS]
                        starts the project's master, and its servers: all,
                        those of a type, or one. --type master starts none,
                        for servers that outlived their master. Ctrl-C and
                        SIGTERM stop all. --env is development if nothing is
                        said; in any other one the servers outlive the
                        master. --daemon: in the background, with its output
                        in DIR/logs/. --ssh: words for the ssh that starts
                        servers on other hosts, such as '-p 2222'
  list                  shows who runs
  stop [ID…]            stops some servers, or all and the master
  add KEY=VALUE…        starts one more server: host= port= id= serverType=,
                        or clusterCount= in place of id=
  restart [-i ID…] [-t TYPE]
                        stops and starts some servers, those of a type, or
                        all but the master
  kill                  ends all processes, without a stop
  run DIR KEY=VALUE…    is one server: what a master starts

The last five speak to the master of any such project, ours or Node's:
  --host 127.0.0.1  --port 3005  --user admin
  --password-file FILE, or the variable POMELO_PASSWORD, or --password P, which
                        a list of processes shows for a moment; else admin

Exit codes: 0 done, 1 a wrong word or anything else, 2 no master there,
3 login refused, 4 command refused or done in part, 5 no answer.";

/// The command and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Options {
    /// Print the usage.
    Help,
    /// Write a project into this folder.
    Init(PathBuf),
    /// Be a master, or start one.
    Start(StartOptions),
    /// Be a server.
    Run {
        /// The project's folder.
        folder: PathBuf,
        /// `env=… id=… …`.
        words: Vec<String>,
    },
    /// Have a master do something.
    Console(Master, Order),
}

/// The options of `start`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// The project's folder.
    pub folder: PathBuf,
    /// The environment, if one was named.
    pub env: Option<String>,
    /// The one type to start.
    pub server_type: Option<String>,
    /// The one server to start.
    pub id: Option<String>,
    /// Whether to start in the background.
    pub is_daemon: bool,
    /// Words for `ssh`, in front of the host.
    pub ssh: Vec<String>,
}

/// Where a master is, and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Whether it stood on the command line, where a list of processes shows it.
    pub is_shown: bool,
}

impl Default for Master {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 3005,
            user: "admin".into(),
            password: "admin".into(),
            is_shown: false,
        }
    }
}

/// What a master is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Say who runs.
    List,
    /// Stop these servers; without any, all and itself.
    Stop(Vec<String>),
    /// Start a server with this record.
    Add(Vec<String>),
    /// Stop and start these servers, or those of a type, or all.
    Restart {
        /// The servers.
        ids: Vec<String>,
        /// The type.
        server_type: Option<String>,
    },
    /// End all processes.
    Kill,
}

/// Reads the words after `pomelo`.
///
/// # Errors
/// Names the word that is unknown, missing or out of range.
pub fn parse(words: &mut lexopt::Parser) -> Result<Options> {
    let command = match words.next()? {
        None | Some(Long("help") | Short('h')) => return Ok(Options::Help),
        Some(Value(word)) => word,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.to_str() {
        Some("help") => Ok(Options::Help),
        Some("init") => parse_init(words),
        Some("start") => parse_start(words),
        Some("run") => parse_run(words),
        Some(name @ ("list" | "stop" | "add" | "restart" | "kill")) => parse_order(name, words),
        _ => Err(format!("unknown command {command:?}; see `cargo xtask pomelo help`").into()),
    }
}

fn parse_init(words: &mut lexopt::Parser) -> Result<Options> {
    let mut folder = None;
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Options::Help),
            Value(path) if folder.is_none() => folder = Some(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Options::Init(folder.ok_or("init: want the folder to write a project into")?))
}

fn parse_start(words: &mut lexopt::Parser) -> Result<Options> {
    let (mut options, mut folder) = (StartOptions::default(), None);
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Options::Help),
            Long("env") | Short('e') => options.env = Some(name("--env", words)?),
            Long("type") | Short('t') => options.server_type = Some(name("--type", words)?),
            Long("id") | Short('i') => options.id = Some(name("--id", words)?),
            Long("daemon") | Short('D') => options.is_daemon = true,
            Long("ssh") => options.ssh.extend(text(words)?.split_whitespace().map(str::to_owned)),
            Value(path) if folder.is_none() => folder = Some(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.server_type.is_some() && options.id.is_some() {
        return Err("--type and --id exclude each other".into());
    }
    options.folder = folder.ok_or("start: want the project's folder")?;
    Ok(Options::Start(options))
}

fn parse_run(words: &mut lexopt::Parser) -> Result<Options> {
    let mut words = words.raw_args()?;
    let folder = words.next().ok_or("run: want the project's folder, then env=… id=…")?.into();
    let words = words.map(utf8).collect::<Result<_>>()?;
    Ok(Options::Run { folder, words })
}

fn parse_order(command: &str, words: &mut lexopt::Parser) -> Result<Options> {
    let (mut master, mut given) = (Master::default(), Vec::new());
    let (mut ids, mut server_type) = (Vec::new(), None);
    let (mut password, mut file) = (None, None);
    let is_restart = command == "restart";
    while let Some(word) = words.next()? {
        match word {
            Long("help") => return Ok(Options::Help),
            Long("host") | Short('h') => master.host = name("--host", words)?,
            Long("port") | Short('P') => {
                let value = text(words)?;
                let port = value.parse().ok().filter(|port| *port > 0);
                master.port =
                    port.ok_or_else(|| format!("--port {value}: not a port, which is 1 to 65535"))?;
            }
            Long("user") | Short('u') => master.user = text(words)?,
            Long("password") | Short('p') => password = Some(text(words)?),
            Long("password-file") => file = Some(PathBuf::from(words.value()?)),
            Long("id") | Short('i') if is_restart => {
                ids.extend(words.values()?.map(utf8).collect::<Result<Vec<_>>>()?);
            }
            Long("type") | Short('t') if is_restart => server_type = Some(name("--type", words)?),
            Value(word) if command == "stop" => given.push(utf8(word)?),
            Value(word) if command == "add" => given.push(pair(utf8(word)?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let order = match command {
        "list" => Order::List,
        "stop" => Order::Stop(given),
        "add" if given.is_empty() => {
            return Err("add: want the server's record: host=… port=… id=… serverType=…".into());
        }
        "add" => Order::Add(given),
        "restart" if !ids.is_empty() && server_type.is_some() => {
            return Err("-i and -t exclude each other".into());
        }
        "restart" => Order::Restart { ids, server_type },
        _ => Order::Kill,
    };
    master.is_shown = password.is_some();
    if let Some(password) = secret::password(password, file.as_deref())? {
        master.password = password;
    }
    Ok(Options::Console(master, order))
}

fn pair(word: String) -> Result<String> {
    match word.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(word),
        _ => Err(format!("add: {word:?} is not KEY=VALUE").into()),
    }
}

fn name(option: &str, words: &mut lexopt::Parser) -> Result<String> {
    match text(words)? {
        empty if empty.is_empty() => Err(format!("{option}: want a name").into()),
        name => Ok(name),
    }
}

fn text(words: &mut lexopt::Parser) -> Result<String> {
    utf8(words.value()?)
}

fn utf8(word: std::ffi::OsString) -> Result<String> {
    word.into_string().map_err(|word| format!("{word:?} is not UTF-8").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> std::result::Result<Options, String> {
        super::parse(&mut lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_master_is_where_pomelo_s_is_unless_told_otherwise() {
        let here = Master::default();
        assert_eq!(parse(&["list"]), Ok(Options::Console(here.clone(), Order::List)));
        let there =
            Master { host: "h".into(), port: 1, user: "u".into(), password: "=p".into(), is_shown: true };
        let words = ["stop", "a", "--host=h", "-P", "1", "b", "--user", "u", "--password==p"];
        assert_eq!(parse(&words), Ok(Options::Console(there, Order::Stop(vec!["a".into(), "b".into()]))));
        let ids = Order::Restart { ids: vec!["a".into(), "b".into()], server_type: None };
        assert_eq!(parse(&["restart", "-i", "a", "b"]), Ok(Options::Console(here, ids)));
    }

    #[test]
    fn options_of_start_are_read_in_any_order() {
        let expected = StartOptions {
            folder: "demo".into(),
            env: Some("production".into()),
            server_type: Some("master".into()),
            id: None,
            is_daemon: true,
            ssh: vec!["-p".into(), "2222".into()],
        };
        let words = ["start", "--daemon", "--ssh", "-p 2222", "--env=production", "demo", "-t", "master"];
        assert_eq!(parse(&words), Ok(Options::Start(expected)));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["fly"][..], "\"fly\""),
            (&["--fly"], "--fly"),
            (&["init"], "folder"),
            (&["init", "a", "b"], "\"b\""),
            (&["start"], "folder"),
            (&["start", "a", "--env"], "--env"),
            (&["start", "a", "--env="], "--env"),
            (&["start", "a", "--id", "x", "--type", "y"], "exclude"),
            (&["run"], "folder"),
            (&["list", "all"], "\"all\""),
            (&["list", "--port", "0"], "--port 0"),
            (&["list", "--port", "http"], "--port http"),
            (&["list", "-i", "x"], "-i"),
            (&["list", "--password-file", "/nowhere/at/all"], "/nowhere/at/all"),
            (&["list", "--password-file", "/x", "--password", "y"], "exclude"),
            (&["add"], "host="),
            (&["add", "host"], "\"host\""),
            (&["add", "=1"], "\"=1\""),
            (&["restart", "a"], "\"a\""),
            (&["restart", "-i", "a", "-t", "b"], "exclude"),
            (&["kill", "-9"], "-9"),
        ] {
            let error = parse(words).expect_err("a wrong command line");
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }

    #[test]
    fn help_is_there_however_it_is_asked_for() {
        for words in [&[][..], &["help"], &["--help"], &["-h"], &["start", "--help"], &["list", "--help"]] {
            assert_eq!(parse(words), Ok(Options::Help), "{words:?}");
        }
    }
}
