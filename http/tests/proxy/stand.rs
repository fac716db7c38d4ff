//! A proxy with upstreams: servers in the same loop, or scripts on threads.

use crate::harness::{Client, Site};
use http::proxy::{Proxy, ProxyOptions, Upstream};
use http::upcall::RequestHandler;
use http::{Server, ServerOptions};
use net::ListenOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a script waits for the proxy: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that is to be run.
pub(crate) struct Stand {
    pub(crate) site: Site,
    pub(crate) options: ProxyOptions,
    upstreams: Vec<Upstream>,
    servers: Vec<Server>,
}

/// The URL of an address.
pub(crate) fn url(address: SocketAddr) -> Upstream {
    format!("http://{address}").parse().expect("a URL")
}

impl Stand {
    pub(crate) fn new() -> Self {
        Self::with(ServerOptions::default())
    }

    /// With options of the server in front.
    pub(crate) fn with(options: ServerOptions) -> Self {
        let options_of_proxy = ProxyOptions::default().name(Some("here".to_owned()));
        Self {
            site: Site::new(options),
            options: options_of_proxy,
            upstreams: Vec::new(),
            servers: Vec::new(),
        }
    }

    pub(crate) fn options(mut self, change: impl FnOnce(ProxyOptions) -> ProxyOptions) -> Self {
        self.options = change(self.options);
        self
    }

    /// Adds an upstream in the same loop.
    pub(crate) fn server(mut self, handler: impl RequestHandler + 'static) -> Self {
        let server = Server::new(&self.site.env, ServerOptions::default()).expect("a server");
        let any = ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0)));
        server.listen(any, handler).expect("to listen");
        let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
        self.servers.push(server);
        self.at(address)
    }

    /// Adds an upstream that is somewhere else.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.upstreams.push(url(address));
        self
    }

    /// Runs the proxy until `client`, on a thread of its own, has returned.
    pub(crate) fn run<T: Send + 'static>(self, client: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
        let front = self.site.server.clone();
        self.run_until(client, move || {
            // Refused if the test closed it.
            let _ = front.close();
            front.close_all_connections();
        })
    }

    /// The same, with another end of the server in front.
    pub(crate) fn run_until<T: Send + 'static>(
        self,
        client: impl FnOnce(SocketAddr) -> T + Send + 'static,
        end: impl FnOnce() + 'static,
    ) -> T {
        let Self { site, options, upstreams, servers } = self;
        let proxy = Proxy::new(&site.env, options, upstreams).expect("a proxy");
        site.run_until(proxy, client, move || {
            end();
            for server in &servers {
                let _ = server.close();
                server.close_all_connections();
            }
        })
    }
}

/// An upstream that follows a script: `play` gets each of its connections, and their number.
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Script {
    /// Plays for so many connections, one after the other.
    pub(crate) fn play(connections: usize, mut play: impl FnMut(&mut Peer, usize) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("to listen");
        let address = listener.local_addr().expect("an address");
        let thread = thread::spawn(move || {
            for number in 0..connections {
                let (stream, _) = listener.accept().expect("a connection");
                play(&mut Peer::new(stream), number);
            }
        });
        Self { address, thread: Some(thread) }
    }

    /// Answers each request of one connection with these bytes.
    pub(crate) fn answer(answers: &'static [&'static [u8]]) -> Self {
        Self::play(1, move |peer, _| {
            for answer in answers {
                peer.head();
                peer.send(answer);
            }
            peer.expect_end();
        })
    }

    /// An address at which no server listens.
    pub(crate) fn closed_port() -> SocketAddr {
        TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("an address")
    }

    /// Waits for the end of the script.
    pub(crate) fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the script is played to its end");
        }
    }
}

/// A connection of the proxy's to an upstream.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("to send");
    }

    /// Reads a head.
    pub(crate) fn head(&mut self) -> String {
        String::from_utf8(self.through(b"\r\n\r\n")).expect("text")
    }

    /// Reads up to these bytes.
    pub(crate) fn through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            let mut buffer = [0; 16 * 1024];
            let count = self.stream.read(&mut buffer).expect("more to read");
            assert!(count > 0, "the proxy ended after {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads so many bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            let mut buffer = [0; 16 * 1024];
            let count = self.stream.read(&mut buffer).expect("more to read");
            assert!(count > 0, "the proxy ended after {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&buffer[..count]);
        }
        self.read.drain(..len).collect()
    }

    /// Waits until the proxy ends, by whatever means; what it has sent until then.
    pub(crate) fn expect_end(&mut self) -> Vec<u8> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the proxy does not end: {error}"),
            }
        }
        std::mem::take(&mut self.read)
    }

    pub(crate) fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Asks through a new connection, and returns the answer's status and text.
pub(crate) fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut client = Client::connect(address);
    client.send(request);
    let answer = client.answer();
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}
