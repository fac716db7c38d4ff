//! A stream of connections: the server accepts only while something waits for one.

use super::AsyncSocket;
use crate::upcall::ServerHandler;
use crate::{Address, Error, ErrorCode, ListenOptions, Result, Server, ServerOptions, Socket};
use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use async_wrap::task::Waiter;
use futures_core::Stream;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The connections of a server, as a [`Stream`]. Nothing is accepted unless something waits for it: connections then wait in the
/// kernel, up to the backlog. Dropping it closes the server; the connections stay.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::futures::Incoming;
/// use net::ListenOptions;
///
/// let env = Environment::with_new_loop()?;
/// let mut incoming = Incoming::listen(&env, ListenOptions::port(0))?;
/// # let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
/// # let _client = std::net::TcpStream::connect(("127.0.0.1", address.port()))?;
/// let spawner = env.clone();
/// env.spawn_local(async move {
///     while let Some(accepted) = incoming.next().await {
///         match accepted {
///             Ok(mut socket) => drop(spawner.spawn_local(async move { socket.write_all(b"hello").await })),
///             // The kernel has no memory for it, say: the server tries again.
///             Err(error) => eprintln!("{error}"),
///         }
/// #       break;
///     }
/// });
/// env.run_to_end()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Incoming {
    server: Server,
    accepted: Rc<Accepted>,
}

/// What the server has accepted, or has failed with.
#[derive(Default)]
struct Accepted {
    queue: RefCell<VecDeque<Result<Socket>>>,
    is_closed: Cell<bool>,
    waiter: Waiter,
}

impl Incoming {
    /// Listens, with [`ServerOptions`] whose sockets allow half-open connections, so that this side ends when its program ends it.
    ///
    /// # Errors
    /// As for [`Server::listen`].
    pub fn listen(env: &Environment, options: ListenOptions) -> Result<Self> {
        Self::of(Server::new(env, ServerOptions::default().allow_half_open(true)), options)
    }

    /// Listens with a server of the program's own, for its options and limits.
    ///
    /// # Errors
    /// As for [`Server::listen`].
    pub fn of(server: Server, options: ListenOptions) -> Result<Self> {
        let accepted = Rc::new(Accepted::default());
        server.pause();
        server.listen(options, Handler(Rc::clone(&accepted)))?;
        Ok(Self { server, accepted })
    }

    /// The next connection, or why there is none now; `None` once the server is closed. A loop over it goes on after an error, as
    /// the server does: most pass, such as `ENOMEM`. A process without free descriptors (`EMFILE`) sees no error: as in libuv the
    /// listener accepts with its spare descriptor what waits, and closes it, until there are descriptors again.
    ///
    /// Dropping the future loses none: those that come stay in the kernel again.
    ///
    /// # Errors
    /// Any error of listening or accepting; the server tries again.
    pub async fn next(&mut self) -> Option<Result<AsyncSocket>> {
        let (server, accepted) = (self.server.clone(), Rc::clone(&self.accepted));
        let _waiting = OnDrop::new(|| {
            if accepted.waiter.leave() {
                server.pause();
            }
        });
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next connection, where a connection is expected. A loop that serves uses [`next`](Self::next), since it has to tell errors
    /// that pass from the end.
    ///
    /// Dropping the future loses none: those that come stay in the kernel again.
    ///
    /// # Errors
    /// As for [`next`](Self::next). `ServerNotRunning` once the server is closed, at each call.
    pub async fn accept(&mut self) -> Result<AsyncSocket> {
        let closed = || Err(Error::new(ErrorCode::ServerNotRunning, "accept: the server is closed"));
        self.next().await.unwrap_or_else(closed)
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.server.address()
    }

    /// The server beneath: for its limits, and to close it.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Stream for Incoming {
    type Item = Result<AsyncSocket>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<AsyncSocket>>> {
        let Self { server, accepted } = &*self;
        let next = accepted.queue.borrow_mut().pop_front();
        match next {
            Some(connection) => Poll::Ready(Some(connection.map(AsyncSocket::new))),
            None if accepted.is_closed.get() => Poll::Ready(None),
            None => {
                accepted.waiter.wait(context);
                // `on_connection` pauses again.
                server.resume();
                Poll::Pending
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Refused if the program has closed it.
        let _ = self.server.close();
        for connection in self.accepted.queue.take().into_iter().flatten() {
            connection.destroy();
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("server", &self.server).finish_non_exhaustive()
    }
}

struct Handler(Rc<Accepted>);

impl Handler {
    fn put(&self, connection: Result<Socket>) {
        self.0.queue.borrow_mut().push_back(connection);
        self.0.waiter.wake();
    }
}

impl ServerHandler for Handler {
    fn on_connection(&mut self, server: &Server, socket: Socket) {
        // Until something waits for a connection again.
        server.pause();
        self.put(Ok(socket));
    }

    fn on_error(&mut self, _: &Server, error: Error) {
        self.put(Err(error));
    }

    fn on_close(&mut self, _: &Server) {
        self.0.is_closed.set(true);
        self.0.waiter.wake();
    }
}
