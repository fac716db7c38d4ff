//! A connect by name: the look-up, then attempts to connect to one address after the other, until one succeeds ("happy
//! eyeballs", RFC 8305). Mirrors `lookupAndConnectMultiple` and `internalConnectMultiple`, Node's `lib/net.js`.
//!
//! What happens elsewhere (an answer, the end of an attempt, its time limit) becomes a piece of news of the socket, and
//! each `on_notify` of the stream handles one. So the events come from the loop and in order, and after each the state is
//! looked at again.

use super::attempts::{self, Attempt};
use super::order::by_turns;
use super::{Asked, Resolver};
use crate::query::probe_after;
use crate::state::{CONNECT_NEWS, DESTROYED, NAMED, SocketInner};
use crate::tower::up;
use crate::upcall::SocketHandler;
use crate::uv_core;
use crate::uv_core::names::{AddrQuery, Family};
use crate::{ConnectOptions, Error, Result, Socket};
use async_wrap::Timeout;
use async_wrap::layer::OnDrop;
use std::collections::VecDeque;
use std::mem::take;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

/// The state of a connect by name, until the socket is connected or destroyed.
pub(crate) struct Connecting {
    options: Rc<ConnectOptions>,
    /// The program has changed options of the connection since an attempt may have begun.
    is_changed: bool,
    query: AddrQuery,
    port: u16,
    /// The look-up, until it is answered.
    asked: Option<Asked>,
    /// The addresses that are still to be tried.
    left: VecDeque<SocketAddr>,
    /// The attempts whose end is not handled yet.
    running: Vec<Attempt>,
    /// The address of the last attempt, unless that has ended or reached its time limit.
    latest: Option<SocketAddr>,
    /// The time limit of the last attempt, if there is another address.
    limit: Option<Timeout>,
    failed: Vec<uv_core::Error>,
    news: VecDeque<News>,
}

/// What has happened to a connect, or is to be done next.
pub(super) enum News {
    Answer(Result<Vec<SocketAddr>, uv_core::Error>),
    /// The next address is to be tried.
    Next,
    Failed(SocketAddr, uv_core::Error),
    TimedOut(SocketAddr),
    Connected(SocketAddr),
}

impl Connecting {
    /// Begins with the look-up.
    pub(crate) fn begin(socket: &Socket, options: ConnectOptions, query: AddrQuery, port: u16) {
        let resolver: Resolver = options.resolver.clone();
        let connecting = Self {
            options: Rc::new(options),
            is_changed: false,
            query: query.clone(),
            port,
            asked: None,
            left: VecDeque::new(),
            running: Vec::new(),
            latest: None,
            limit: None,
            failed: Vec::new(),
            news: VecDeque::new(),
        };
        socket.0.cold.with(|cold| cold.connecting = Some(Box::new(connecting)));
        socket.0.set(NAMED);
        let (env, weak) = (socket.environment(), Rc::downgrade(&socket.0));
        let then = move |answer| tell(&weak, News::Answer(answer));
        let asked = env.with_default_trigger(socket.async_id(), || resolver.ask(env, query, then));
        with(&socket.0, |connecting| connecting.asked = Some(asked));
    }

    /// Handles one piece of news.
    pub(crate) fn go_on<H: SocketHandler>(socket: &Socket, handler: &mut H) {
        let Some(news) = with(&socket.0, |connecting| connecting.news.pop_front()).flatten() else { return };
        // Also if the handler panics.
        let _more = OnDrop::new(|| {
            if with(&socket.0, |connecting| !connecting.news.is_empty()) == Some(true) {
                announce(&socket.0);
            }
        });
        match news {
            News::Answer(answer) => Self::answered(socket, handler, answer),
            News::Next => Self::try_next(socket, handler),
            News::Failed(addr, error) => Self::failed(socket, handler, addr, error),
            News::TimedOut(addr) => Self::timed_out(socket, handler, addr),
            News::Connected(addr) => Self::connected(socket, addr),
        }
    }

    fn answered<H: SocketHandler>(
        socket: &Socket,
        handler: &mut H,
        answer: Result<Vec<SocketAddr>, uv_core::Error>,
    ) {
        let asked = with(&socket.0, |connecting| connecting.asked.take());
        // Outside of the state, since it runs destructors of the resolver.
        drop(asked);
        socket.0.refresh_timeout();
        let found = with(&socket.0, |connecting| {
            let host = connecting.query.host.clone().unwrap_or_default();
            (host, answer.map_err(Error::from).and_then(|addresses| connecting.keep(&addresses)))
        });
        let Some((host, found)) = found else { return };
        let error = found.as_ref().err().cloned();
        let _then = OnDrop::new(|| {
            if let Some(error) = error {
                socket.destroy_with(error);
            }
        });
        up(socket, "SocketHandler::on_lookup", || {
            handler.on_lookup(socket, &host, found.as_deref());
        });
    }

    /// Keeps the addresses of the wanted family in the order in which they are tried. Returns the answer with its ports.
    fn keep(&mut self, answer: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
        let is_wanted = |addr: &&SocketAddr| match self.query.family {
            Some(Family::V4) => addr.is_ipv4(),
            Some(Family::V6) => addr.is_ipv6(),
            None => true,
        };
        let with_port = |addr: &SocketAddr| {
            let mut addr = *addr;
            addr.set_port(if addr.port() == 0 { self.port } else { addr.port() });
            addr
        };
        let found: Vec<_> = answer.iter().filter(is_wanted).map(with_port).collect();
        if found.is_empty() {
            let message = "connect: the look-up has found no address of the wanted family";
            return Err(Error::no_address(message, self.query.host.as_deref().unwrap_or_default()));
        }
        let (blocked, free): (Vec<_>, Vec<_>) =
            found.iter().copied().partition(|addr| self.options.blocks(addr.ip()));
        if let (Some(addr), []) = (blocked.first(), &*free) {
            return Err(Error::blocked(addr.ip()));
        }
        self.left = by_turns(&free);
        if !self.options.auto_select_family {
            self.left.truncate(1);
        }
        self.news.push_back(News::Next);
        Ok(found)
    }

    fn try_next<H: SocketHandler>(socket: &Socket, handler: &mut H) {
        let next = with(&socket.0, |connecting| {
            let addr = connecting.left.pop_front()?;
            connecting.latest = Some(addr);
            Some((addr, Rc::clone(&connecting.options)))
        });
        let Some((addr, options)) = next.flatten() else { return };
        let _then = OnDrop::new(|| {
            if !socket.0.has(DESTROYED) {
                let (attempt, failed) = Attempt::begin(socket, addr, &options);
                let is_last = with(&socket.0, |connecting| {
                    connecting.running.push(attempt);
                    connecting.left.is_empty()
                });
                match failed {
                    Some(error) => tell(&Rc::downgrade(&socket.0), News::Failed(addr, error)),
                    None if is_last == Some(false) => {
                        let limit = attempts::limit(socket, addr, options.time_of_attempt());
                        with(&socket.0, |connecting| connecting.limit = Some(limit));
                    }
                    None => {}
                }
            }
        });
        up(socket, "SocketHandler::on_connection_attempt", || handler.on_connection_attempt(socket, addr));
    }

    fn failed<H: SocketHandler>(socket: &Socket, handler: &mut H, addr: SocketAddr, error: uv_core::Error) {
        let ended = with(&socket.0, |connecting| {
            let attempt = connecting.take_attempt(addr)?;
            connecting.failed.push(error.clone());
            let limit = connecting.end_latest(addr);
            let is_over = connecting.left.is_empty() && connecting.running.is_empty();
            let host = || connecting.query.host.as_deref().unwrap_or_default();
            let over = is_over.then(|| Error::attempts_failed(host(), connecting.port, &connecting.failed));
            Some((attempt, limit, over))
        });
        let Some((attempt, limit, over)) = ended.flatten() else { return };
        drop(attempt);
        limit.iter().for_each(Timeout::clear);
        let _then = OnDrop::new(|| {
            if let Some(error) = over {
                socket.destroy_with(error);
            }
        });
        up(socket, "SocketHandler::on_connection_attempt_failed", || {
            handler.on_connection_attempt_failed(socket, addr, &error.into());
        });
    }

    fn timed_out<H: SocketHandler>(socket: &Socket, handler: &mut H, addr: SocketAddr) {
        let is_latest = with(&socket.0, |connecting| {
            let is_latest = connecting.latest == Some(addr);
            drop(connecting.end_latest(addr));
            is_latest
        });
        // The attempt goes on, and may still be the first to succeed.
        if is_latest == Some(true) {
            up(socket, "SocketHandler::on_connection_attempt_timeout", || {
                handler.on_connection_attempt_timeout(socket, addr);
            });
        }
    }

    /// The first attempt has succeeded: its connection becomes the socket's, which `on_connect` reports, and the others
    /// are closed.
    fn connected(socket: &Socket, addr: SocketAddr) {
        let taken = with(&socket.0, |connecting| {
            let changed = connecting.is_changed.then(|| Rc::clone(&connecting.options));
            Some((connecting.take_attempt(addr)?, changed))
        });
        let Some((attempt, changed)) = taken.flatten() else { return };
        Self::drop_of(&socket.0);
        let stream = &socket.0.stream;
        let set = |options: Rc<ConnectOptions>| {
            stream.set_nodelay(options.no_delay)?;
            stream.set_keepalive(options.keep_alive.map(probe_after))
        };
        let result = stream.take_connection(attempt.stream()).and_then(|()| changed.map_or(Ok(()), set));
        if let Err(error) = result {
            socket.destroy_with(error.into());
        }
    }

    /// Changes the options of a connection that is not there yet.
    pub(crate) fn change(socket: &SocketInner, change: impl FnOnce(&mut ConnectOptions)) {
        with(socket, |connecting| {
            change(Rc::make_mut(&mut connecting.options));
            connecting.is_changed = true;
        });
    }

    /// The last attempt has ended or reached its limit: the next address is to be tried. Returns its limit.
    fn end_latest(&mut self, addr: SocketAddr) -> Option<Timeout> {
        if self.latest != Some(addr) {
            return None;
        }
        self.latest = None;
        if !self.left.is_empty() {
            self.news.push_back(News::Next);
        }
        self.limit.take()
    }

    /// Takes an attempt that has ended. `None` if that is known already: the close of an attempt that failed at once, but had
    /// begun to connect, is one more end.
    fn take_attempt(&mut self, addr: SocketAddr) -> Option<Attempt> {
        let at = self.running.iter().position(|attempt| attempt.addr() == addr)?;
        Some(self.running.swap_remove(at))
    }

    /// Ends the look-up and all attempts of a socket that is connected or destroyed.
    #[cold]
    pub(crate) fn drop_of(socket: &SocketInner) {
        socket.clear(NAMED | CONNECT_NEWS);
        let Some(mut connecting) = socket.cold.peek(|cold| cold.connecting.take()).flatten() else { return };
        take(&mut connecting.limit).iter().for_each(Timeout::clear);
    }
}

/// Calls `work` with the state of a connect by name, if there is one. `work` must not use the socket.
fn with<R>(socket: &SocketInner, work: impl FnOnce(&mut Connecting) -> R) -> Option<R> {
    socket.cold.peek(|cold| cold.connecting.as_deref_mut().map(work)).flatten()
}

/// Keeps news for the socket's next `on_notify`.
pub(super) fn tell(socket: &Weak<SocketInner>, news: News) {
    let Some(socket) = socket.upgrade() else { return };
    if with(&socket, |connecting| connecting.news.push_back(news)).is_some() {
        announce(&socket);
    }
}

fn announce(socket: &SocketInner) {
    socket.set(CONNECT_NEWS);
    socket.stream.notify();
}
