//! All benchmarks, as data: what each does, its load, its subjects, its target, and how it is counted.

mod builders;

use super::results::{Bench, Unit};
use builders::{served, solo};

#[derive(Debug)]
pub(crate) struct Entry {
    /// Its group and its own name: `tcp/echo-64`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) op: &'static str,
    pub(crate) work: Work,
    /// The floor that answers behind what is measured: whom a client asks, and a proxy passes requests to. It has the core of
    /// the load, and its time is not counted.
    pub(crate) behind: Option<&'static str>,
    /// Further subjects of ours, besides those of its group.
    further: &'static [&'static str],
    /// What is aimed at: a ratio to the floor (bytes, where memory is measured), and the subject that it is for.
    pub(crate) target: Option<(f64, &'static str)>,
    /// The peer that the ratio is to, in place of the floor.
    pub(crate) target_to: Option<&'static str>,
    /// How `--count` counts it, where counts repeat. They do where one operation follows another: one connection, one
    /// message under way, so that every wake-up of the server finds the same. What depends on how much the kernel takes
    /// at once, or on which of two threads is first, differs from run to run.
    pub(crate) counting: Option<Counting>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Counting {
    /// Operations of the shorter of two runs; the longer one has twice as many.
    pub(crate) operations: u64,
    /// The repository keeps the counts.
    pub(crate) is_kept: bool,
}

/// From here on the warm-up of a program without clients does not grow with its operations, so that the difference of
/// two runs has none of it.
const SOLO: u64 = 100_000;

/// Enough that the noise of a program's start and end, some thousand instructions, is less than one per operation.
const SERVED: u64 = 1000;

/// Connections cost more time to count than messages, and more instructions.
const CONNECTIONS: u64 = 500;

/// A multiple of the pipeline's 16.
const PIPELINED: u64 = 4000;

/// How a benchmark is made to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Without clients. The number of operations follows from a first run of so many.
    Solo { pilot: u64 },
    /// Without clients, always with so many operations, in turns of so many. The caches are swept before each turn: what
    /// the operations touch is larger than the part of a shared cache that is theirs, and how large that part is
    /// depends on the neighbours, who change it by the minute.
    SoloOf { ops: u64, turn: u64 },
    /// A server under the load that these words describe, by its CPU time.
    Time(&'static [&'static str]),
    /// The same at a pace: half of what the slowest of those bears that are not compiled while they run. Latencies count from
    /// the moment when a request was due.
    Paced(&'static [&'static str]),
    /// A server that holds the connections of this load, by its memory.
    Memory(&'static [&'static str]),
    /// A client, by its CPU time: requests on 64 connections at once, in turns of so many.
    Client { turn: u64 },
    /// A client that holds idle connections, by its memory.
    ClientMemory,
    /// A server of several processes with connections one after the other, by the number that each process has.
    Evenness,
    /// The start of an application of many servers, by its CPU time.
    FleetStart,
    /// The same, by the memory of a server.
    FleetMemory,
}

/// Who takes part in the benchmarks of a group, in the order of the tables.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) ours: &'static [&'static str],
    pub(crate) peers: &'static [&'static str],
}

/// The layers that have streams, from the lowest.
const STREAMS: &[&str] = &["uv-core", "tcp-wrap", "async-wrap", "async-wrap-hooks", "net", "net-async"];

const GROUPS: &[Group] = &[
    Group { name: "loop", ours: &["uv-core"], peers: &["libuv", "tokio", "node"] },
    Group { name: "libuv", ours: &["uv-core"], peers: &["libuv"] },
    Group { name: "tcp", ours: STREAMS, peers: &["libuv", "tokio", "node"] },
    Group { name: "unix", ours: STREAMS, peers: &["libuv", "tokio", "node"] },
    Group { name: "udp", ours: &["uv-core", "net"], peers: &["libuv"] },
    Group { name: "http", ours: &["http"], peers: &["libuv", "hyper", "node", "nginx"] },
    Group { name: "client", ours: &["http"], peers: &["hyper", "undici", "node"] },
    Group { name: "proxy", ours: &["http"], peers: &["nginx", "haproxy"] },
    Group { name: "cluster", ours: &["round-robin", "shared"], peers: &["libuv", "hyper", "node"] },
    Group { name: "pomelo", ours: &["pomelo"], peers: &["node"] },
];

/// The benchmarks of tasks, which are in the group of the loop and begin with this.
const OF_TASKS: &str = "loop/tasks";
const TASKS: Group = Group { name: "loop", ours: &["async-wrap"], peers: &["tokio", "futures"] };

/// The same server with an async function as its handler.
const ASYNC: &[&str] = &["http-async"];

/// What is aimed at with the whole chain on raw streams.
const ECHO: (f64, &str) = (1.05, "net");

/// All benchmarks, in the order of the tables.
pub(crate) const ALL: &[Entry] = &[
    solo("loop/ticks", 20_000, "turns of a loop that has something to do in each", "one turn").counted(SOLO),
    solo("loop/timer-churn", 20_000, "timers started and stopped among a thousand", "one start and stop")
        .counted(SOLO),
    Entry {
        work: Work::SoloOf { ops: 1_000_000, turn: 10_000 },
        ..solo("loop/timer-fire", 0, FIRE, "one timer")
    }
    .counted(SOLO)
    .aiming_at((1.30, "uv-core")),
    solo(
        "loop/wakeup",
        2_000,
        "a wake-up from another thread, answered, one at a time",
        "one there and back",
    )
    .aiming_at((1.08, "uv-core")),
    solo("loop/post", 20_000, "messages posted from another thread, in bursts", "one message"),
    solo("loop/work", 5_000, "round trips through the thread pool, 64 under way", "one round trip"),
    solo("loop/spawn", 20, "child processes started and reaped, one at a time", "one process"),
    solo("loop/tasks", 20_000, "tasks spawned, woken and joined, a thousand at a time", "one task")
        .kept(SOLO)
        .aiming_at((1.0, "async-wrap"))
        .beside("tokio"),
    solo("loop/tasks-wake", 20_000, "tasks of a ring that wake one another", "one wake-up and its poll")
        .kept(SOLO),
    solo("libuv/loop_count", 20_000, "turns of a loop with an idle handle", "one turn").counted(SOLO),
    solo("libuv/async1", 2_000, "a wake-up of another loop, answered", "one there and back"),
    solo("libuv/async_pummel_1", 5_000, "a thread that wakes one handle without a pause", "one call of it"),
    solo("libuv/million_async", 20_000, "a thread that wakes a million handles at random", "one call of one"),
    solo(
        "libuv/million_timers",
        20_000,
        "timers started, a thousand due each millisecond, closed",
        "one timer",
    ),
    solo("libuv/queue_work", 5_000, "round trips through the thread pool, one at a time", "one round trip"),
    solo("libuv/spawn", 20, "children that write a line, which is read, one at a time", "one process"),
    solo("libuv/ping_pongs", 5_000, "five bytes that come back; both ends in one loop", "one there and back")
        .counted(SERVED),
    solo("libuv/tcp_pump1", 5_000, "8 KiB written again and again; both ends in one loop", "8 KiB written"),
    solo("libuv/pipe_pump1", 5_000, "the same over a Unix socket", "8 KiB written"),
    solo(
        "libuv/tcp4_pound_100",
        500,
        "a connection, five bytes echoed, closed; 100 at a time in one loop",
        "one connection",
    ),
    solo(
        "libuv/tcp_multi_accept2",
        500,
        "a connection that one of two loops accepts and closes; 40 at a time",
        "one connection",
    ),
    solo("libuv/ping_udp1", 5_000, "a datagram that comes back; both ends in one loop", "one there and back"),
    solo("libuv/udp_pummel_1v1", 5_000, "datagrams from one sender to one receiver", "one datagram sent"),
    solo("libuv/udp_pummel_10v10", 5_000, "datagrams from ten senders to ten receivers", "one datagram sent"),
    solo("libuv/getaddrinfo", 500, "look-ups of localhost, ten at a time", "one look-up"),
    served(
        "tcp/echo-64",
        "64 connections send 64 bytes and wait for them",
        "one message there and back",
        &["echo", "--conns", "64", "--size", "64"],
    )
    .kept(SERVED)
    .aiming_at(ECHO),
    served(
        "tcp/echo-16k",
        "16 connections send 16 KiB and wait for them",
        "one message there and back",
        &["echo", "--conns", "16", "--size", "16384"],
    )
    .counted(SERVED)
    .aiming_at(ECHO),
    // So many that some always have all that a read can take: with few, how much it finds is a matter of luck.
    served(
        "tcp/pump",
        "64 connections send as fast as the server reads",
        "64 KiB read by the server",
        &["pump", "--conns", "64", "--size", "65536"],
    ),
    served(
        "tcp/connect",
        "a connection, 64 bytes echoed, closed by the client; 64 at a time",
        "one connection",
        &["echo", "--conns", "64", "--size", "64", "--once"],
    )
    .counted(CONNECTIONS),
    served(
        "tcp/writes",
        "64 connections send one byte, answered by 16 writes of 64 bytes",
        "one request",
        &["echo", "--conns", "64", "--size", "1", "--answer", "1024"],
    )
    .counted(CONNECTIONS)
    .aiming_at((1.03, "net")),
    Entry {
        work: Work::Memory(&["idle", "--size", "64"]),
        ..served("tcp/idle", "memory of connections that had one echo", "one idle connection", &[])
    },
    served(
        "unix/echo-64",
        "64 connections over a Unix socket send 64 bytes and wait for them",
        "one message there and back",
        &["echo", "--conns", "64", "--size", "64"],
    )
    .counted(SERVED)
    .aiming_at(ECHO),
    served("udp/echo-64", "datagrams of 64 bytes, 64 under way, sent back", ANSWERED, DATAGRAMS[0])
        .aiming_at(ECHO),
    served("udp/echo-1200", "datagrams of 1200 bytes, 64 under way, sent back", ANSWERED, DATAGRAMS[1])
        .aiming_at(ECHO),
    served(
        "http/keep-alive",
        "64 connections ask for `hello` and wait for it",
        "one request",
        &["keepalive", "--conns", "64"],
    )
    .with(ASYNC)
    .kept(SERVED)
    .aiming_at((1.05, "http")),
    served(
        "http/pipelined",
        "64 connections ask for `hello` 16 times at once",
        "one request",
        &["keepalive", "--conns", "64", "--pipeline", "16"],
    )
    .with(ASYNC)
    .kept(PIPELINED)
    .aiming_at((1.20, "http")),
    served(
        "http/connect",
        "a connection for each request, 64 at a time",
        "one connection with its request",
        &["connect", "--conns", "64"],
    )
    .kept(CONNECTIONS)
    .aiming_at((1.10, "http")),
    served("http/down-1k", "answers of 1 KiB, 64 connections", "one request", DOWN[0]).counted(SERVED),
    served("http/down-64k", "answers of 64 KiB, 16 connections", "one request", DOWN[1]),
    served("http/down-1m", "answers of 1 MiB, 4 connections", "one request", DOWN[2]),
    served("http/file-64k", "files of 64 KiB, 16 connections", "one request", FILE[0])
        .aiming_at((1.0, "http"))
        .beside("nginx"),
    served("http/file-16m", "files of 16 MiB, 4 connections", "one request", FILE[1])
        .aiming_at((1.0, "http"))
        .beside("nginx"),
    served("http/up-1k", "requests with 1 KiB of body, 64 connections", "one request", UP[0]).counted(SERVED),
    served("http/up-64k", "requests with 64 KiB of body, 16 connections", "one request", UP[1]),
    served("http/up-1m", "requests with 1 MiB of body, 4 connections", "one request", UP[2]),
    served(
        "http/chunked",
        "answers of 16 KiB in 16 writes of no announced length, 64 connections",
        "one request",
        &["keepalive", "--conns", "64", "--path", "/stream/16"],
    )
    .counted(CONNECTIONS)
    .aiming_at((1.06, "http")),
    Entry {
        work: Work::Memory(&["idle"]),
        ..served("http/idle", "memory of connections that had one answer", "one idle connection", &[])
    }
    .aiming_at((768.0, "http")),
    Entry {
        work: Work::Client { turn: 2_000 },
        ..served(
            "client/keep-alive",
            "a client asks for `hello` on 64 connections at once",
            "one request",
            &[],
        )
    }
    .in_front_of("http/keep-alive")
    .kept(SERVED)
    .aiming_at((1.08, "http")),
    Entry {
        work: Work::ClientMemory,
        ..served("client/idle", "memory of a client's connections that had one answer", POOLED, &[])
    }
    .in_front_of("http/everywhere")
    .aiming_at((512.0, "http")),
    served(
        "proxy/keep-alive",
        "64 connections ask for `hello`, which another server answers",
        "one request",
        &["keepalive", "--conns", "64"],
    )
    .in_front_of("http/keep-alive")
    .kept(SERVED)
    .aiming_at((0.75, "http"))
    .beside("haproxy"),
    served(
        "proxy/connect",
        "the same with a connection for each request, 64 at a time",
        "one connection with its request",
        &["connect", "--conns", "64"],
    )
    .in_front_of("http/keep-alive")
    .aiming_at((0.75, "http"))
    .beside("haproxy"),
    served("proxy/down-64k", "answers of 64 KiB pass, 16 connections", "one request", DOWN[1])
        .in_front_of("http/down-64k")
        .aiming_at((0.75, "http"))
        .beside("haproxy"),
    served("proxy/up-64k", "requests with 64 KiB of body pass, 16 connections", "one request", UP[1])
        .in_front_of("http/up-64k")
        .aiming_at((0.75, "http"))
        .beside("haproxy"),
    Entry {
        work: Work::Paced(&["keepalive", "--conns", "64"]),
        ..served("proxy/half-load", HALF_LOAD, "one request", &[])
    }
    .in_front_of("http/keep-alive"),
    Entry {
        work: Work::Memory(&["idle"]),
        ..served("proxy/idle", "memory of clients that had one answer", "one idle client", &[])
    }
    .in_front_of("http/keep-alive")
    .aiming_at((1024.0, "http")),
    served(
        "cluster/connect",
        "a connection with one request, passed to one of two workers",
        "one connection",
        &["connect", "--conns", "64"],
    )
    .counted(CONNECTIONS)
    .aiming_at((1.25, "round-robin")),
    Entry {
        work: Work::Evenness,
        ..served("cluster/evenness", "how unevenly connections spread over two workers", "the whole", &[])
    },
    Entry { work: Work::FleetStart, ..served("pomelo/start", FLEET_START, "one start of all", &[]) },
    Entry { work: Work::FleetMemory, ..served("pomelo/memory", FLEET_MEMORY, "one server", &[]) },
];

const POOLED: &str = "one idle connection";
const HALF_LOAD: &str = "as `keep-alive`, as often a second as half of what the slowest bears";

const FLEET_START: &str = "a master and 20 servers start; CPU time of all, and p50 is how long it takes";
const FLEET_MEMORY: &str = "memory of a server of 20, when all have started";

/// With what is done to the caches, as that makes it dearer.
const FIRE: &str = "a million timers that are due, fired; caches swept before each ten thousand";

const ANSWERED: &str = "one datagram there and back";

/// Datagrams of two sizes: of a DNS question, and of QUIC.
const DATAGRAMS: [&[&str]; 2] = [
    &["datagrams", "--pipeline", "64", "--size", "64"],
    &["datagrams", "--pipeline", "64", "--size", "1200"],
];

/// Answers of the three sizes.
const DOWN: [&[&str]; 3] = [
    &["keepalive", "--conns", "64", "--path", "/size/1024"],
    &["keepalive", "--conns", "16", "--path", "/size/65536"],
    &["keepalive", "--conns", "4", "--path", "/size/1048576"],
];

/// Files of two sizes.
const FILE: [&[&str]; 2] = [
    &["keepalive", "--conns", "16", "--path", "/size/65536"],
    &["keepalive", "--conns", "4", "--path", "/size/16777216"],
];

/// Requests with bodies of the three sizes.
const UP: [&[&str]; 3] = [
    &["keepalive", "--conns", "64", "--path", "/sink", "--body", "1024"],
    &["keepalive", "--conns", "16", "--path", "/sink", "--body", "65536"],
    &["keepalive", "--conns", "4", "--path", "/sink", "--body", "1048576"],
];

pub(crate) fn is_subject(name: &str) -> bool {
    let is_further = || ALL.iter().any(|entry| entry.further.contains(&name));
    let is_its = |group: &Group| group.ours.contains(&name) || group.peers.contains(&name);
    name == "floor" || GROUPS.iter().chain([&TASKS]).any(is_its) || is_further()
}

impl Entry {
    pub(crate) fn is_kept(&self) -> bool {
        self.counting.is_some_and(|counting| counting.is_kept)
    }

    /// Whether it measures an application of many servers.
    pub(crate) fn is_fleet(&self) -> bool {
        matches!(self.work, Work::FleetStart | Work::FleetMemory)
    }

    /// The part of its name before the slash.
    pub(crate) fn group(&self) -> &'static Group {
        if self.name.starts_with(OF_TASKS) {
            return &TASKS;
        }
        let is_its = |group: &&Group| self.name.split_once('/').is_some_and(|(name, _)| name == group.name);
        // A test holds that each benchmark has a group.
        GROUPS.iter().find(is_its).unwrap_or(&GROUPS[0])
    }

    /// Its subjects of ours, in the order of the tables.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &'static str> {
        self.group().ours.iter().chain(self.further).copied()
    }

    /// The part of its name behind the slash.
    pub(crate) fn own_name(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(_, name)| name)
    }

    /// Its results, without any subject.
    pub(crate) fn bench(&self) -> Bench {
        Bench {
            name: self.name.to_owned(),
            group: self.group().name.to_owned(),
            title: self.title.to_owned(),
            op: self.op.to_owned(),
            unit: self.unit(),
            target: self.target.map(|(target, _)| target),
            target_of: self.target.map(|(_, subject)| subject.to_owned()),
            target_to: self.target_to.map(str::to_owned),
            ..Bench::default()
        }
    }

    /// The unit of its cost.
    pub(crate) fn unit(&self) -> Unit {
        match self.work {
            Work::Memory(_) | Work::ClientMemory | Work::FleetMemory => Unit::Bytes,
            Work::Evenness => Unit::Spread,
            _ => Unit::Ns,
        }
    }

    /// Whether a user's server can take part: it only has to echo, or to speak HTTP.
    pub(crate) fn takes_user_servers(&self) -> bool {
        matches!(self.work, Work::Time(_) | Work::Memory(_))
            && (self.group().name == "http" || self.name.starts_with("tcp/echo"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_is_complete() {
        for entry in ALL {
            let group = entry.group();
            assert!(entry.name.starts_with(&format!("{}/", group.name)), "{}: no such group", entry.name);
            assert!(!entry.title.is_empty() && !entry.op.is_empty(), "{}: no words", entry.name);
            if let Some((_, subject)) = entry.target {
                assert!(entry.ours().any(|ours| ours == subject), "{}: no subject is {subject}", entry.name);
            }
            if let Some(peer) = entry.target_to {
                assert!(group.peers.contains(&peer), "{}: no peer is {peer}", entry.name);
                assert!(entry.target.is_some() && entry.unit() == Unit::Ns, "{}: no ratio", entry.name);
            }
            if let Work::Time(load) | Work::Paced(load) | Work::Memory(load) = entry.work {
                assert!(!load.is_empty(), "{}: no load", entry.name);
            }
            if let Work::SoloOf { ops, turn } = entry.work {
                assert!(ops.is_multiple_of(turn), "{}: turns of different length", entry.name);
            }
        }
    }

    #[test]
    fn what_the_chain_is_drawn_from_is_kept() {
        for name in ["tcp/echo-64", "http/keep-alive"] {
            assert!(ALL.iter().any(|entry| entry.name == name && entry.is_kept()), "{name}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
