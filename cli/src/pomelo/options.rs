//! The command line of `pomelo`.

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, Subcommand};
use std::path::PathBuf;

/// The words after `pomelo`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(
    after_help = "list, stop, add, restart and kill speak to the master of any such project, ours or Node's.\nExit codes: \
                  0 done, 1 a wrong word or anything else, 2 no master there, 3 login refused, 4 command refused or done \
                  in part, 5 no answer."
)]
pub struct Line {
    /// The command
    #[command(subcommand)]
    pub command: Options,
}

/// A command with its words.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Options {
    /// Writes a small project into a new or empty folder
    Init {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Starts a project's master, and its servers: all, those of a type, or one
    ///
    /// Ctrl-C and SIGTERM stop all.
    Start(StartOptions),
    /// Shows the servers that run
    #[command(disable_help_flag = true)]
    List(Master),
    /// Stops some servers, or all and the master
    #[command(disable_help_flag = true)]
    Stop {
        /// The servers
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// The master that stops them
        #[command(flatten)]
        master: Master,
    },
    /// Starts one more server
    #[command(disable_help_flag = true)]
    Add {
        /// Its record: host= port= id= serverType=, or clusterCount= in place of id=
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
        record: Vec<String>,
        /// The master that starts it
        #[command(flatten)]
        master: Master,
    },
    /// Stops and starts some servers, those of a type, or all but the master
    #[command(disable_help_flag = true)]
    Restart {
        /// The servers
        #[arg(short, long = "id", value_name = "ID", num_args = 1.., conflicts_with = "server_type")]
        ids: Vec<String>,
        /// The type
        #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
        server_type: Option<String>,
        /// The master that restarts them
        #[command(flatten)]
        master: Master,
    },
    /// Ends all processes, without a stop
    #[command(disable_help_flag = true)]
    Kill(Master),
    /// Runs one server; a master starts it
    Run {
        /// The project's folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// `env=… id=… …`
        #[arg(value_name = "KEY=VALUE", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// The options of `start`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct StartOptions {
    /// The project's folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The environment. Default: development; in any other one the servers outlive the master
    #[arg(short, long, value_parser = NonEmptyStringValueParser::new())]
    pub env: Option<String>,
    /// Starts the servers of this type only; `master` starts none, for servers that outlived their master
    #[arg(short = 't', long = "type", value_name = "TYPE", conflicts_with = "id")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub server_type: Option<String>,
    /// Starts this server only
    #[arg(short, long, value_parser = NonEmptyStringValueParser::new())]
    pub id: Option<String>,
    /// Runs in the background, with its output in DIR/logs/
    #[arg(short = 'D', long = "daemon")]
    pub is_daemon: bool,
    /// Words for the ssh that starts servers on other hosts, such as '-p 2222'
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub ssh: Vec<String>,
}

/// Where a master is, and how to log in.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// The master's host
    #[arg(short = 'h', long, default_value = "127.0.0.1", value_parser = NonEmptyStringValueParser::new())]
    pub host: String,
    /// Its port
    #[arg(short = 'P', long, default_value_t = 3005, value_parser = port)]
    pub port: u16,
    /// The user's name
    #[arg(short, long, default_value = "admin")]
    pub user: String,
    /// The user's password, which a list of processes shows for a moment. Default: the value of POMELO_PASSWORD, or
    /// admin
    #[arg(short, long, conflicts_with = "password_file")]
    pub password: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Prints help
    #[arg(long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

impl StartOptions {
    /// The words for `ssh`, one by one.
    #[must_use]
    pub fn ssh_words(&self) -> Vec<String> {
        self.ssh.iter().flat_map(|words| words.split_whitespace()).map(str::to_owned).collect()
    }
}

impl Options {
    /// The master that carries out the command; `None` for commands that need none.
    pub(super) fn master(&self) -> Option<&Master> {
        match self {
            Self::List(master) | Self::Kill(master) => Some(master),
            Self::Stop { master, .. } | Self::Add { master, .. } | Self::Restart { master, .. } => {
                Some(master)
            }
            Self::Init { .. } | Self::Start(_) | Self::Run { .. } => None,
        }
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port > 0).ok_or("not a port, which is 1 to 65535")
}

fn pair(word: &str) -> Result<String, &'static str> {
    match word.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(word.to_owned()),
        _ => Err("not KEY=VALUE"),
    }
}
