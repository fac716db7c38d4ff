//! Which connections a server admits: by rules about addresses, by a limit for each address, and by a decision of the
//! program. All of it is decided by the accepted descriptor, before there is a handle, a context or a [`Socket`] for it; in a
//! cluster in the worker that got the connection.
//!
//! The options are [`ServerOptions::block_list`], [`max_connections_per_address`] and [`admit`]. A connection that is refused
//! is closed immediately; it is counted ([`Server::drops`]) and reported ([`on_drop`]). Its bytes are not read.
//!
//! A server that has too much to do may [`pause`](crate::Server::pause): connections wait in the kernel meanwhile. Behind a
//! proxy all clients have its address, and only the proxy can tell them apart.
//!
//! A turn of the loop refuses up to 64 connections beside the batch that it accepts, so that clients behind a flood are
//! reached, and timers and other connections have their turns.
//!
//! ```
//! use net::admission::BlockList;
//! use net::{Address, ListenOptions, ServerOptions};
//!
//! // Only these, and not more than 20 connections from each of them.
//! let own: BlockList = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?].into_iter().collect();
//! let options = ServerOptions::default().max_connections_per_address(Some(20));
//! let listen = ListenOptions::port(8000)
//!     .admit(move |peer: &Address| peer.as_tcp().is_some_and(|peer| own.check(peer.ip())));
//! # let _ = (options, listen);
//! # Ok::<(), net::admission::RuleError>(())
//! ```
//!
//! A list from a file, a rule in each line:
//!
//! ```
//! use net::admission::{BlockList, Rule};
//!
//! let text = "# the neighbours\n10.0.0.0/8\n\n192.0.2.1-192.0.2.99\n"; // As std::fs::read_to_string returns it.
//! let rules = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
//! let list = rules.map(str::parse::<Rule>).collect::<Result<BlockList, _>>()?;
//! assert_eq!(list.rules().len(), 2);
//! # Ok::<(), net::admission::RuleError>(())
//! ```
//!
//! [`Socket`]: crate::Socket
//! [`ServerOptions::block_list`]: crate::ServerOptions#structfield.block_list
//! [`max_connections_per_address`]: crate::ServerOptions#structfield.max_connections_per_address
//! [`admit`]: crate::ListenOptions::admit
//! [`Server::drops`]: crate::Server::drops
//! [`on_drop`]: crate::upcall::ServerHandler::on_drop

mod block_list;
mod gate;
mod places;
mod rule;

pub use block_list::BlockList;
pub use gate::{DropReason, Drops};
pub use rule::{Rule, RuleError};

pub(crate) use gate::{Admit, Arrival};
pub(crate) use places::{Place, Places};
