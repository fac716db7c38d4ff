//! The admin side of an application: how a master knows its servers, and how people and programs command it. Mirrors
//! pomelo-admin, and pomelo's `lib/modules`, `lib/master` and `lib/monitor`.
//!
//! A master has a [`MasterAgent`], every server, the master included, a [`MonitorAgent`], and a command line a
//! [`Client`]. They exchange messages, each for a [`Module`](crate::upcall::Module) of the other side. From beneath:
//! `mqtt`, `link` and `dial` (packets and connections), `message`, `registration` and `reply` (what they say), the
//! agents with `peers`, `roster` and `requests`, the `console` of modules, and the modules that every application has:
//! `watcher` with `watchdog`, and `console_module` with `fleet`, which has `auto_restart`, `orders` and `ending`.
//!
//! ```
//! use async_wrap::{Environment, Loop, RunMode};
//! use pomelo::admin::{Client, Credentials, MasterAgent, MasterOptions, Reply, Session, Target};
//! use pomelo::upcall::Module;
//! use serde_json::{Value, json};
//!
//! struct Greeter;
//!
//! impl Module for Greeter {
//!     fn on_client(&mut self, _: &MasterAgent, session: &Session, _: Value, reply: Reply) {
//!         reply.ok(format!("hello {}", session.user.username));
//!     }
//! }
//!
//! let lp = Loop::new()?;
//! let env = Environment::new(&lp);
//! let users = Credentials::new().user("admin", "secret", 1);
//! let master = MasterAgent::new(&env, MasterOptions::new(users), ())?;
//! master.register("greeter", Greeter);
//! master.listen(net::ListenOptions::addr("127.0.0.1:0".parse()?))?;
//! let port = master.address().and_then(|address| address.port()).expect("it listens");
//!
//! Client::connect(&env, Target::new("127.0.0.1", port), "doc-1", "admin", "secret", move |client| {
//!     let client = client.expect("the password is right");
//!     let asking = client.clone();
//!     asking.request("greeter", json!({}), move |response| {
//!         assert_eq!(response.expect("an answer").body, Some(json!("hello admin")));
//!         client.close();
//!         master.close();
//!     });
//! });
//! env.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where it differs from pomelo-admin and pomelo's modules
//!
//! Left out: the modules `watchServer`, `systemInfo`, `nodeInfo`, `monitorLog`, `profiler` and `scripts`, of which the
//! last runs whatever it is sent.
//!
//! Unmodified servers and the unmodified command line of Node's pomelo work with this master, and this crate's servers
//! and client with a master of Node's. Passwords are sent as MD5 without a challenge, as the command line of Node sends
//! them: whoever can read the connection can log in. Nothing but another network can change that.
//!
//! | | Node's pomelo | here |
//! |---|---|---|
//! | where a master listens | on every address | on the loopback interface if that is its host, else on every address |
//! | a master whose port is taken | ends with code 0 | its start fails |
//! | a server that does not find its master | ends with code 0 | its start fails |
//! | a master that greets and never answers the registration | is waited for, for ever | is given up after 10 s |
//! | a server that is refused | waits for ever, and joins by `reconnect` | its start fails |
//! | `reconnect` | asks for no token | asks for the token. The setting `reconnectWithoutToken` admits servers without one, which those of Node's pomelo need, but never in the place of one that showed a token, unless it is the same process: see [`MasterOptions::admits_any_reconnect`] |
//! | an id | is whoever's registers it | belongs to the type that the configuration or `add` names, else to the first that had it |
//! | names | are any text | of up to 256 bytes without controls |
//! | a server of type `master` | needs no token | is the master's own monitor, which knows a secret of the process |
//! | the type in a server's record | may be another than its token's | must be the same |
//! | a second server of an id | stays in the shade for ever, and may answer for the first | takes the place of the first when that has gone |
//! | the pause before reconnecting | is never shorter again | 1 s again after a success |
//! | a master that answers no pings | is left and never sought again | is sought again |
//! | a peer that breaks the protocol, or does not register | stays, or brings the master down | is closed; so are silent ones and those that do not read |
//! | long packets | are held | end the connection: 512 bytes before the CONNECT, 64 KiB before the registration, 1 MiB of a user, 16 MiB of a server |
//! | connections that do not register | stay | 256 of an address and 512 in all; the oldest gives way, and all after 10 s |
//! | connections of one user | as many as there are | 32; the oldest gives way |
//! | a wrong password or token | is refused at once | after 1 s |
//! | rejections | are logged | once in 10 s of each kind, with their count |
//! | requests ahead of their answers | are all taken | 8 of a user, and none while answers are not read; `list` is asked once for all who wait |
//! | topics other than the protocol's | are events of the socket | close the connection |
//! | who asks | is what the message says | is who has logged in on the connection |
//! | a server that does not answer `list` | is left out | is named under `silent`, beside `msg` |
//! | `restart`, `addCron`, `removeCron`, `blacklist` | are for every level | need level 1, as `stop`, `add` and `kill` do |
//! | a refused `kill` | breaks the command line | names the servers that remain |
//! | a request that a module forgets | is never answered | is answered with an error |
//! | a request that a server never answers | is kept for ever | fails in time; only the server that was asked may answer |
//! | requests that are sent again | also the newest, twice | those of the lost connection |
//! | commands `enable` and `disable` | break every server | reach servers of ours, and do no harm to Node's |
//! | `record` | counts messages | counts servers, those that are registered |
//! | `stop` of some | is answered at once | is answered when they have ended, and names those that have not |
//! | a `stop`, `restart` or `kill` that a server does not answer in time | is obeyed whenever it is read | is not obeyed later, by servers of ours; those of Node's pomelo are asked whether they answer before they are told |
//! | `kill` of a server that does not answer | is given up after 120 s | ends it by SIGKILL after 10 s |
//! | `stop` with an unknown id | answers twice | answers once, with the error |
//! | `stop` without `ids` | throws | is refused |
//! | `add` | takes records without an id, type, host or port | refuses them, and `main`, `env` and the like |
//! | what `restart` and auto-restart start | what the server has said of itself | the record of the configuration or of `add` |
//! | `restart` of nothing | throws, and never answers | answers that nothing failed |
//! | `restart` of a server with auto-restart | both start it | it is started once |
//! | `restart` of a server that does not end in time | starts a second one | names it as failed, and starts it when it has ended |
//! | a server that starts while all are stopped | lives on | is told to stop as soon as it registers; restarts that are under way end |
//! | a server that was stopped and added again | is never restarted after a crash | is |
//! | auto-restart | starts a server once that has left | tries until it is up or told to stop, after 3 s, 6 s, up to 60 s, also if its process ends before it registers |
//! | a first start that fails | is the last one | is tried again, if the record says `auto-restart` |
//! | auto-restart and a port that is taken | calls the start callback of the application again | is logged, and tried again |
//! | `restart-force` | ends the process that the server named | ends it if its command line has the server's id (on other hosts: if servers show tokens) |
//! | `heapTotal`, `heapUsed` | of V8 | the data segment, and what of the process's own memory is resident |

mod agent;
mod auth;
mod auto_restart;
mod client;
mod console;
mod console_module;
mod dial;
mod ending;
mod fleet;
mod link;
mod lobby;
mod master_agent;
mod message;
mod monitor_agent;
pub(crate) mod mqtt;
mod orders;
mod owner;
mod peers;
mod registration;
mod registry;
mod rejections;
mod reply;
mod requests;
mod resolve;
mod roster;
mod times;
mod watchdog;
mod watcher;

pub use agent::Agent;
pub use auth::{Credentials, User, md5_hex};
pub use client::{Client, ClientError};
pub use console::{Pace, Schedule};
pub use console_module::CONSOLE;
pub use dial::Target;
pub use master_agent::{MasterAgent, MasterOptions};
pub use message::Response;
pub use monitor_agent::{MonitorAgent, MonitorOptions, MonitorState};
pub use peers::Session;
pub use registration::{Login, ServerClaim};
pub use reply::Reply;
pub use requests::RequestError;
pub use times::Times;

pub(crate) use console_module::{MasterConsole, MonitorConsole};
pub(crate) use fleet::Fleet;
pub(crate) use registry::Admin;
pub(crate) use watchdog::Watchdog;
pub(crate) use watcher::{MASTER_WATCHER, MONITOR_WATCHER, MasterWatcher, MonitorWatcher};
