//! A reverse proxy: a handler of requests that passes them on to other servers. Node has none of its own; programs use
//! `http-proxy`, which is a server and a client with pipes between them, as this is.
//!
//! ```text
//!             ┌─ Server ─┐        ┌──────── Proxy ────────┐        ┌─ Agent ─┐
//!  clients ──▶│ requests │──────▶ │ fields.rs  relay.rs   │ ─────▶ │ pooled  │──▶ upstreams
//!          ◀──│ responses│◀────── │ upstreams.rs (choice) │ ◀───── │ conns   │◀──
//!             └──────────┘        └───────────────────────┘        └─────────┘
//! ```
//!
//! ```
//! use http::async_wrap::Environment;
//! use http::net::ListenOptions;
//! use http::proxy::{Proxy, ProxyOptions};
//! use http::{Server, ServerOptions};
//!
//! let env = Environment::with_new_loop()?;
//! let upstreams = ["http://127.0.0.1:9000".parse()?, "http://127.0.0.1:9001".parse()?];
//! let server = Server::new(&env, ServerOptions::default())?;
//! server.listen(ListenOptions::port(0), Proxy::new(&env, ProxyOptions::default(), upstreams)?)?;
//! # server.close()?;
//! env.run_to_end()?;
//! # Ok::<(), http::Error>(())
//! ```
//!
//! # What is passed on, and what is changed
//!
//! | of a message | what becomes of it |
//! |---|---|
//! | method, target | passed on; of a target in absolute form its path and query. `CONNECT` is answered with 501 |
//! | body | streamed, at the pace of the slower side. How it is delimited is decided anew: a length stays a length, everything else is chunked, or for an HTTP/1.0 client ends with its connection |
//! | trailers, 1xx | passed on; `Expect: 100-continue` is the upstream's to answer |
//! | `Host` | the client's, or the upstream's own: [`ProxyOptions::pass_host`] |
//! | `Connection` and what it names, `Keep-Alive`, `Proxy-Connection`, `Proxy-Authorization`, `Proxy-Authenticate`, `TE`, `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings` | removed; `TE: trailers` and an `Upgrade` are made anew |
//! | `Forwarded`, `X-Forwarded-For`, `-Host`, `-Proto` | made anew; or with [`ProxyOptions::trust_clients`] this hop is added to the first two, and the others stay |
//! | other `X-Forwarded-…`, `X-Real-IP` | removed unless the client is trusted |
//! | `Via` | this proxy is added, in requests |
//! | `Max-Forwards` | counted down for `OPTIONS` and `TRACE`, and answered here at zero |
//! | status, reason, all other fields | passed on, in their order |
//! | `Upgrade` | the offer is passed on; behind a 101 both connections are one. What is no 101 is the last response on its connection |
//!
//! Both sides are read as strictly as the server reads requests, and written by the encoders of this crate, so nothing passes that
//! two recipients could read differently.
//!
//! # What goes wrong
//!
//! | what happens | what the client gets |
//! |---|---|
//! | an upstream cannot be reached | the next one is tried; 502 if there is none |
//! | its connection is lost before the head of the response | the same if the method is idempotent and what was read of the body is kept ([`ProxyOptions::max_replay`]); else 502 |
//! | it sends what is no response | 502 |
//! | it takes longer than the [limits](ProxyOptions#structfield.time_limits) | 504 |
//! | too many requests wait for connections | 503 |
//! | the response ends too early | its start, and the end of the connection |
//! | the request has come through this proxy before | 508 |
//! | the client leaves | nothing: the request to the upstream is aborted |
//!
//! Such a response has `Proxy-Status` (RFC 9209), and its reason as text. An upstream that has failed is left out for a
//! [while](ProxyOptions::pause), and then tried by one request.

mod downstream;
mod failure;
mod fields;
mod onward;
mod options;
mod relay;
mod sides;
mod tunnel;
mod upstreams;

pub use options::{MAX_UPSTREAMS, ProxyOptions, Upstream};

use crate::client::Client;
use crate::proto::Framing;
use crate::upcall::RequestHandler;
use crate::{Agent, Request, Response, Result, Server};
use async_wrap::Environment;
use downstream::{Answer, Downstream, Raw};
use fields::{Refusal, Via};
use net::Socket;
use relay::Relay;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::time::Duration;
use upstreams::Upstreams;

/// The target of what is told to `log`: upstreams that are left out, as warnings.
const TARGET: &str = "http::proxy";

/// Relays kept for reuse: more requests than that are under way only in a burst.
const SPARE_RELAYS: usize = 256;

/// A handler of requests that passes them on: see the [module](self).
pub struct Proxy {
    core: Rc<Core>,
}

/// What the requests of a proxy share.
struct Core {
    client: Client,
    options: ProxyOptions,
    upstreams: Vec<Upstream>,
    choice: RefCell<Upstreams>,
    name: String,
    via: Via,
    /// Room for what is put together of a request.
    scratch: RefCell<(Vec<u8>, String)>,
    /// Relays that are out of use: a request in the steady state allocates none.
    spare: RefCell<Vec<Rc<Relay>>>,
    /// The proxy is dropped. Relays refer to what they share, so none is kept from then on.
    is_abandoned: Cell<bool>,
}

impl Core {
    fn take_relay(self: &Rc<Self>) -> Rc<Relay> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| Relay::new(self))
    }

    fn give_relay(&self, relay: &Rc<Relay>) {
        let mut spare = self.spare.borrow_mut();
        if !self.is_abandoned.get() && spare.len() < SPARE_RELAYS {
            spare.push(Rc::clone(relay));
        }
    }

    /// The loop's clock.
    fn now(&self) -> Duration {
        self.client.environment().loop_handle().now()
    }
}

impl Proxy {
    /// A proxy for these upstreams, with an agent of its own.
    ///
    /// # Errors
    /// `InvalidOptions` without an upstream or with more than [`MAX_UPSTREAMS`], if `max_failures` is zero, for a name that is no
    /// token, and for options that the agent refuses.
    pub fn new(
        env: &Environment,
        options: ProxyOptions,
        upstreams: impl IntoIterator<Item = Upstream>,
    ) -> Result<Self> {
        let upstreams: Vec<Upstream> = upstreams.into_iter().collect();
        options.check(upstreams.len())?;
        let agent = Agent::new(env, options.agent.clone())?;
        let name = options.name.clone().unwrap_or_else(random_name);
        let core = Core {
            client: Client::with_agent(&agent).time_limits(options.time_limits),
            choice: RefCell::new(Upstreams::new(upstreams.len(), options.health())),
            via: Via::new(&name),
            options,
            upstreams,
            name,
            scratch: RefCell::default(),
            spare: RefCell::default(),
            is_abandoned: Cell::default(),
        };
        Ok(Self { core: Rc::new(core) })
    }

    /// The client whose connections lead to the upstreams.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.core.client
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.core.is_abandoned.set(true);
        drop(self.core.spare.take());
    }
}

/// A name that no other proxy has.
fn random_name() -> String {
    format!("upcall-{:016x}", RandomState::new().build_hasher().finish())
}

impl RequestHandler for Proxy {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let core = &self.core;
        if let Err(refusal) = fields::check(request, &core.via) {
            return refuse(core, request, response, refusal);
        }
        let has_body = !matches!(request.framing, Framing::None | Framing::Length(0));
        let body = has_body.then(|| request.body());
        Relay::start(core, request, Downstream::Http(response, body));
    }

    fn accepts_method(&mut self, _: &str) -> bool {
        // That is for the upstream to say.
        true
    }

    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        fields::offers_upgrade(request)
            && !request.is_connect()
            && fields::check(request, &self.core.via).is_ok()
    }

    fn on_close(&mut self, _: &Server) {
        self.core.client.agent().close();
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        Relay::start(&self.core, request, Downstream::Raw(Box::new(Raw::new(request, socket, head))));
    }
}

/// Answers a request that is not passed on.
fn refuse(core: &Core, request: &Request<'_>, response: Response, refusal: Refusal) {
    let status = refusal.status(request.method);
    if refusal == Refusal::LastHop {
        // As any server of which nothing is known but that it is a proxy.
        let allow = if status == 405 { Some(("Allow", "OPTIONS")) } else { None };
        let _ = response.write_head(status, allow.as_slice()).and_then(|response| response.end(b""));
        return;
    }
    let error = if refusal == Refusal::Loop { "proxy_loop_detected" } else { "http_request_error" };
    let text = format!("{refusal}\n");
    // Fails only if the client has left.
    let _ = Downstream::Http(response, None).answer(&core.name, &Answer { status, text: &text, error }, true);
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("name", &self.core.name)
            .field("upstreams", &self.core.choice.borrow())
            .finish_non_exhaustive()
    }
}
