//! Listening: which workers share a socket, and how long it stays open.

mod common;

use cluster::{Policy, Settings};
use common::{Cluster, Event, SIGKILL, connect, policies, read_all, role};
use net::Address;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

fn main() {
    common::main(&[
        ("all_workers_get_the_same_port_and_each_further_server_another_one", same_port),
        ("a_server_in_a_worker_knows_the_address_of_the_primarys_socket", address),
        ("an_address_in_use_is_an_error_of_the_server_and_a_retry_may_succeed", address_in_use),
        ("a_port_is_listened_on_once_in_each_worker", once_per_worker),
        ("a_server_may_listen_again_where_it_was_closed", listen_again),
        ("a_socket_closes_with_its_last_server", closes_with_the_last),
        ("a_server_closed_before_the_answer_leaves_nothing", closed_before_the_answer),
        ("a_server_keeps_its_worker_alive_until_it_is_unreferenced", unref),
        ("ipv6_only_reaches_the_primary", ipv6_only),
        ("any_address_takes_both_families", any_address),
        ("relative_and_absolute_paths_of_a_file_share_a_socket", paths),
        ("a_file_that_took_the_place_of_the_primarys_socket_file_stays", successors_file),
        ("the_error_says_that_a_socket_file_is_left_over", left_over),
        ("abstract_names_work_as_paths_do", abstract_name),
        ("a_path_longer_than_the_kernel_takes_is_reached_from_the_primarys_folder", long_path),
        ("a_path_in_a_missing_folder_is_an_error", missing_folder),
        ("connections_run_in_the_context_of_their_server", contexts),
        ("a_socket_that_a_worker_has_already_is_its_own", own_socket),
    ]);
}

fn addresses(cluster: &Cluster, id: u32) -> BTreeSet<String> {
    let begin = format!("message {id} address ");
    cluster.shorts().iter().filter_map(|event| event.strip_prefix(&begin).map(str::to_owned)).collect()
}

// Node: test-cluster-child-index-net, sequential/test-net-listen-shared-ports
fn same_port() {
    for policy in policies() {
        let any = "127.0.0.1:0";
        let cluster = Cluster::with(role("greeter", &[any, any, any]).policy(policy));
        cluster.fork();
        cluster.fork();
        cluster.until(|| cluster.count("message") == 6);
        assert_eq!(addresses(&cluster, 1).len(), 3);
        assert_eq!(addresses(&cluster, 1), addresses(&cluster, 2));
        cluster.finish();
    }
}

// Node: test-cluster-listening-port, test-cluster-net-listen
fn address() {
    for policy in policies() {
        let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
        cluster.fork_listening(1);
        let inside = cluster.message(1, "address ");
        assert_eq!(inside, cluster.address().to_string());
        assert_eq!(cluster.visit(1), ["1"]);
        cluster.finish();
    }
}

// Node: test-cluster-eaddrinuse, test-cluster-bind-twice, test-cluster-shared-handle-bind-error
fn address_in_use() {
    for policy in policies() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = taken.local_addr().expect("an address");
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let workers = [cluster.fork(), cluster.fork()];
        let listen = format!("listen {address}");
        workers[0].send(listen.as_bytes()).expect("a channel");
        assert_eq!(cluster.message(1, "error "), "bind EADDRINUSE");
        drop(taken);
        for worker in &workers {
            worker.send(listen.as_bytes()).expect("the worker is there");
            assert_eq!(cluster.message(worker.id(), "address "), address.to_string());
        }
        cluster.until(|| cluster.count("listening") == 2);
        cluster.visit(2);
        cluster.finish();
    }
}

// Node: RoundRobinHandle.has, SharedHandle.has
fn once_per_worker() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let worker = cluster.fork();
        worker.send(b"listen 127.0.0.1:0").expect("a channel");
        let address = cluster.message(1, "address ");
        worker.send(format!("listen {address}").as_bytes()).expect("a channel");
        // Under another key the kernel refuses the address; under the same key the primary does.
        assert_eq!(cluster.message(1, "error "), "bind EADDRINUSE");
        worker.send(b"close").expect("a channel");
        cluster.until_event("message 1 closed");
        worker.send(format!("listen {address}").as_bytes()).expect("a channel");
        cluster.until(|| cluster.count("message 1 address") == 2);
        worker.send(format!("listen {address}").as_bytes()).expect("a channel");
        cluster.until(|| cluster.count("message 1 error bind EADDRINUSE") == 2);
        cluster.finish();
    }
}

// Node: test-cluster-server-restart-rr, test-cluster-server-restart-none
fn listen_again() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let workers = [cluster.fork(), cluster.fork()];
        workers[0].send(b"listen 127.0.0.1:0").expect("a channel");
        let address = cluster.message(1, "address ");
        let listen = format!("listen {address}");
        for times in 2..5 {
            workers[0].send(b"close").expect("a channel");
            workers[0].send(listen.as_bytes()).expect("a channel");
            cluster.until(|| cluster.count("message 1 address") == times);
        }
        // With another worker on the same socket, which keeps it open.
        workers[1].send(listen.as_bytes()).expect("a channel");
        cluster.until(|| cluster.count("message 2 address") == 1);
        workers[0].send(b"close").expect("a channel");
        workers[0].send(listen.as_bytes()).expect("a channel");
        cluster.until(|| cluster.count("message 1 address") == 5);
        assert_eq!(addresses(&cluster, 1), addresses(&cluster, 2));
        assert_eq!(cluster.count("message 1 error"), 0);
        assert_eq!(cluster.visit(4).len(), 4);
        cluster.finish();
    }
}

fn closes_with_the_last() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let workers = [cluster.fork(), cluster.fork()];
        workers[0].send(b"listen 127.0.0.1:0").expect("a channel");
        cluster.until_event("listening 1");
        let address = cluster.address();
        workers[1].send(b"listen 127.0.0.1:0").expect("a channel");
        cluster.until_event("listening 2");
        workers[0].send(b"close").expect("a channel");
        cluster.until_event("message 1 closed");
        assert_eq!(cluster.visit(3), ["2", "2", "2"]);
        workers[1].send(b"close").expect("a channel");
        cluster.until_event("message 2 closed");
        let refused = cluster.meanwhile(move || TcpStream::connect(address).is_err());
        assert!(refused);
        cluster.finish();
    }
}

// Node: test-cluster-rr-handle-close, test-cluster-shared-leak
fn closed_before_the_answer() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let worker = cluster.fork();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("an address");
        worker.send(format!("listen-close {free}").as_bytes()).expect("a channel");
        worker.send(b"echo after").expect("a channel");
        cluster.until_event("message 1 echo after");
        // The primary has closed its socket, so the port is free.
        worker.send(b"listen 127.0.0.1:0").expect("a channel");
        cluster.until_event("listening 1");
        assert!(TcpListener::bind(free).is_ok());
        assert_eq!(cluster.count("message 1 error"), 0);
        cluster.finish();
    }
}

// Node: test-cluster-rr-handle-keep-loop-alive, test-cluster-rr-handle-ref-unref, test-cluster-rr-ref
fn unref() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let workers = [cluster.fork(), cluster.fork()];
        for worker in &workers {
            worker.send(b"listen 127.0.0.1:0").expect("a channel");
        }
        cluster.until(|| cluster.count("listening") == 2);
        workers[0].send(b"unref channel").expect("a channel");
        assert_eq!(cluster.visit(2).len(), 2);
        workers[1].send(b"unref").expect("a channel");
        cluster.until(|| cluster.has("exit 2 0 0") && cluster.has("disconnect 2"));
        assert!(!workers[0].is_dead(), "its server keeps it alive without the channel");
        assert_eq!(cluster.visit(2), ["1", "1"]);
        cluster.finish();
    }
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

// Node: sequential/test-cluster-net-listen-ipv6only-rr, sequential/test-cluster-net-listen-ipv6only-none
fn ipv6_only() {
    if !has_ipv6() {
        return;
    }
    for policy in policies() {
        let cluster = Cluster::with(role("greeter", &["[::]:0,v6only"]).policy(policy));
        cluster.fork_listening(1);
        let port = cluster.address().port();
        let (six, four) = cluster.meanwhile(move || {
            let six = read_all(connect(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))));
            (six, TcpStream::connect(("127.0.0.1", port)).is_err())
        });
        assert_eq!((six.as_str(), four), ("1", true));
        cluster.finish();
    }
}

// Node: test-cluster-net-listen-ipv6only-false
fn any_address() {
    for policy in policies() {
        let cluster = Cluster::with(role("greeter", &["0"]).policy(policy));
        cluster.fork_listening(2);
        let port = cluster.address().port();
        let greetings = cluster.meanwhile(move || {
            let four = read_all(connect(([127, 0, 0, 1], port).into()));
            let six = has_ipv6().then(|| read_all(connect((std::net::Ipv6Addr::LOCALHOST, port).into())));
            four.len() + six.map_or(1, |six| six.len())
        });
        assert_eq!(greetings, 2);
        cluster.finish();
    }
}

fn socket_file(event: &Event) -> Option<&Path> {
    match event {
        Event::Listening(_, Address::Path(path)) => Some(path),
        _ => None,
    }
}

// Node: test-cluster-net-listen-relative-path, test-cluster-listen-pipe-readable-writable, test-cluster-http-pipe
fn paths() {
    for policy in policies() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let options =
            |policy: &Policy| -> Settings { role("obedient", &[]).cwd(folder.path()).policy(policy.clone()) };
        let cluster = Cluster::with(options(&policy));
        let workers = [cluster.fork(), cluster.fork()];
        workers[0].send(b"listen unix:socket,all").expect("a channel");
        cluster.until_event("listening 1");
        workers[1].send(format!("listen unix:{}", path.display()).as_bytes()).expect("a channel");
        cluster.until_event("listening 2");
        assert!(cluster.events().iter().filter_map(socket_file).all(|file| file == path));
        let mode = std::fs::metadata(&path).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o666, 0o666, "the first one asked for it");
        let visited = path.clone();
        let greetings: BTreeSet<String> = cluster.meanwhile(move || {
            (0..4).map(|_| read_all(UnixStream::connect(&visited).expect("a connection"))).collect()
        });
        assert!(greetings.iter().all(|greeting| greeting == "1" || greeting == "2"));
        cluster.finish();
        assert!(!path.exists(), "the primary removes its file");
    }
}

fn successors_file() {
    for policy in policies() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let cluster = Cluster::with(role("greeter", &[&format!("unix:{}", path.display())]).policy(policy));
        cluster.fork_listening(1);
        std::fs::remove_file(&path).expect("the primary's file");
        let _successor = UnixListener::bind(&path).expect("the path is free");
        cluster.finish();
        UnixStream::connect(&path).expect("the successor serves");
    }
}

fn left_over() {
    for policy in policies() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).expect("the path is free"));
        let cluster = Cluster::with(role("greeter", &[&format!("unix:{}", path.display())]).policy(policy));
        cluster.fork();
        let reason = cluster.message(1, "reason ");
        let expected = format!("bind {} (left over: nothing listens on this socket file): ", path.display());
        assert!(reason.starts_with(&expected), "{reason}");
        cluster.finish();
    }
}

fn abstract_name() {
    for (number, policy) in policies().into_iter().enumerate() {
        let name = format!("upcall-cluster-test-{}-{number}", std::process::id());
        let cluster = Cluster::with(role("greeter", &[&format!("unix:@{name}")]).policy(policy));
        cluster.fork_listening(2);
        let greeting = cluster.meanwhile(move || {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
            read_all(UnixStream::connect_addr(&address).expect("a connection"))
        });
        assert_eq!(greeting.len(), 1);
        cluster.finish();
    }
}

fn long_path() {
    let elsewhere = std::env::current_dir().expect("a folder");
    for policy in policies() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("f".repeat(107));
        std::fs::create_dir(&folder).expect("a folder");
        std::env::set_current_dir(&folder).expect("it is there");
        let address = format!("unix:{}", folder.join("socket").display());
        let cluster = Cluster::with(role("greeter", &[&address]).policy(policy));
        cluster.fork_listening(1);
        let greeting = cluster.meanwhile(|| read_all(UnixStream::connect("socket").expect("a connection")));
        assert_eq!(greeting, "1");
        cluster.finish();
        assert!(!folder.join("socket").exists(), "the primary removes its file");
        std::env::set_current_dir(&elsewhere).expect("it is there");
    }
}

fn missing_folder() {
    for policy in policies() {
        let cluster = Cluster::with(role("greeter", &["unix:/no/such/folder/socket"]).policy(policy));
        cluster.fork();
        assert_eq!(cluster.message(1, "error "), "bind EACCES");
        cluster.finish();
    }
}

// Node: test-cluster-rr-domain-listen
fn contexts() {
    for policy in policies() {
        let cluster = Cluster::with(role("contexts", &[]).policy(policy));
        cluster.fork_listening(1);
        cluster.visit(1);
        let contexts = cluster.message(1, "contexts ");
        assert_eq!(
            contexts,
            "executes in TCPSERVERWRAP, which caused on_listening and TCPWRAP; ticks ran: true"
        );
        cluster.finish();
    }
}

fn own_socket() {
    let cluster = Cluster::new("greeter", &["fd"]);
    let worker = cluster.fork();
    let address: SocketAddr = cluster.message(1, "address ").parse().expect("an address");
    assert_eq!(cluster.meanwhile(move || read_all(connect(address))), "1");
    assert_eq!(cluster.count("listening"), 0, "the primary has no part in it");
    // Nor does it end with the channel.
    worker.kill(SIGKILL).expect("it lives");
    cluster.finish();
}
