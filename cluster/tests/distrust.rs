//! Compromised workers, and how little they can do to their primary and to other workers.

mod common;

use cluster::upcall::PrimaryHandler;
use cluster::{ProtocolError, Settings, WorkerHandle};
use common::{Cluster, Recorder, SIGKILL, policies, role};
use net::Address;
use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn main() {
    common::main(&[
        ("a_worker_has_no_more_sockets_than_it_may", most_sockets),
        ("queries_for_many_ports_leave_few_sockets_and_none_after_the_worker", many_ports),
        ("sockets_that_are_kept_for_workers_to_come_are_few", kept),
        ("sockets_do_not_pile_up_for_a_worker_that_does_not_read", churn),
        ("a_worker_closes_no_socket_that_is_kept_for_others", others_socket),
        ("a_worker_of_another_user_gets_no_socket_file_made", other_user),
        ("a_relative_path_or_one_beyond_measure_is_no_message", bad_path),
        ("what_a_primary_does_not_accept_is_refused", not_accepted),
        ("a_path_that_cannot_be_is_an_error_in_the_worker", impossible_path),
        ("a_half_message_holds_few_descriptors", half_message),
        ("descriptors_where_none_belong_end_the_worker", misplaced),
        ("what_is_said_twice_is_told_once", twice),
        ("a_worker_that_left_its_channel_to_another_process_is_gone_all_the_same", heir),
    ]);
}

/// The sockets and other files of this process, which is the primary.
fn open() -> BTreeSet<PathBuf> {
    let fds = fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}

fn kill(cluster: &Cluster, worker: &WorkerHandle) {
    worker.kill(SIGKILL).expect("it lives");
    let id = worker.id();
    cluster.until(|| cluster.has(&format!("exit {id} 0 9")) && cluster.has(&format!("disconnect {id}")));
}

fn most_sockets() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy).max_listeners(2));
        let workers = [cluster.fork(), cluster.fork()];
        for worker in &workers {
            let id = worker.id();
            for _ in 0..3 {
                worker.send(common::LISTEN).expect("a channel");
            }
            assert_eq!(cluster.message(id, "error "), "bind EMFILE");
            cluster.until(|| cluster.count(&format!("message {id} address")) == 2);
            worker.send(b"close").expect("a channel");
            cluster.until_event(&format!("message {id} closed"));
            worker.send(common::LISTEN).expect("a channel");
            cluster.until(|| cluster.count(&format!("message {id} address")) == 3);
        }
        cluster.finish();
    }
    let none = Cluster::with(role("obedient", &[]).max_listeners(0));
    none.fork().send(common::LISTEN).expect("a channel");
    assert_eq!(none.message(1, "error "), "bind EMFILE");
    none.finish();
}

fn many_ports() {
    for policy in policies() {
        let cluster = Cluster::with(role("rogue", &["ports", "30000"]).policy(policy).keep_listening(true));
        let before = open();
        let worker = cluster.fork();
        cluster.until_event("message 1 done");
        // Its channel too.
        assert!(open().len() <= before.len() + 64 + 2, "{}", open().len());
        kill(&cluster, &worker);
        assert_eq!(open(), before, "no server listened on them");
        cluster.finished();
    }
}

fn kept() {
    for policy in policies() {
        let settings = || role("rogue", &["heard", "200"]).policy(policy.clone()).keep_listening(true);
        let cluster = Cluster::with(settings().max_listeners(8));
        let before = open();
        for id in 1..4 {
            let worker = cluster.fork();
            cluster.until_event(&format!("message {id} done"));
            kill(&cluster, &worker);
            assert_eq!(open().len(), before.len() + 8, "after {id} of them");
        }
        assert_eq!(cluster.count("listening"), 24, "each once for each worker");
        cluster.primary.disconnect();
        cluster.until_event("disconnected");
        assert_eq!(open(), before);
        cluster.finished();
    }
}

fn churn() {
    for policy in policies() {
        let cluster = Cluster::with(role("rogue", &["churn", "20000"]).policy(policy));
        let before = descriptors();
        let worker = cluster.fork();
        // It is read until its answers wait.
        let waits = std::time::Duration::from_millis(500);
        cluster.run_for(waits);
        assert!(descriptors() <= before + 2 * 64 + 4, "{}", descriptors());
        kill(&cluster, &worker);
        cluster.finished();
        assert_eq!(descriptors(), before);
    }
}

fn others_socket() {
    for policy in policies() {
        let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy).keep_listening(true));
        let worker = cluster.fork_listening(1).remove(0);
        let address = cluster.address();
        kill(&cluster, &worker);
        // A worker that never asked for the socket, and a worker that has closed another socket.
        cluster.change_role("rogue", &["close", "1"]);
        let rogue = cluster.fork();
        cluster.until_event("message 2 done");
        kill(&cluster, &rogue);
        cluster.change_role("obedient", &[]);
        let honest = cluster.fork();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("an address");
        honest.send(format!("listen {free}").as_bytes()).expect("a channel");
        cluster.until_event("listening 3");
        honest.send(b"close").expect("a channel");
        cluster.until_event("message 3 closed");
        // It waits for a successor.
        let waiting = TcpStream::connect(address).expect("the primary listens");
        cluster.change_role("greeter", &["127.0.0.1:0"]);
        cluster.fork();
        assert_eq!(cluster.hear(vec![waiting]), ["4"]);
        drop(honest);
        cluster.finish();
    }
}

fn other_user() {
    const NOBODY: u32 = 65534;
    if fs::metadata("/proc/self").expect("this process").uid() != 0 {
        println!("skipped: only root may start workers of another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Every user could create a file in it.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("a folder of our own");
    let path = folder.path().join("socket");
    let listen = format!("listen unix:{}", path.display());
    for settings in [role("obedient", &[]).uid(NOBODY), role("obedient", &[]).gid(NOBODY)] {
        let cluster = Cluster::with(settings);
        // The other user may not enter the folder of this program: then it cannot be started at all.
        let Ok(worker) = cluster.primary.fork() else {
            println!("skipped: only root may start the program where it was built");
            return;
        };
        assert!(!worker.is_same_user());
        worker.send(listen.as_bytes()).expect("a channel");
        assert_eq!(cluster.message(1, "error "), "bind EACCES");
        assert!(!path.exists());
        worker.send(common::LISTEN).expect("a channel");
        cluster.until_event("listening 1");
        cluster.finish();
    }
    let cluster =
        Cluster::with_handler(role("obedient", &[]).uid(NOBODY), |recorder| Only(path.clone(), recorder));
    let worker = cluster.primary.fork().expect("a worker");
    worker.send(listen.as_bytes()).expect("a channel");
    cluster.message(1, "address ");
    assert!(path.exists(), "the program means it");
    cluster.finish();
}

fn bad_path() {
    let long = format!("/{}", "x".repeat(5000));
    let name = format!("rogue-socket-{}", std::process::id());
    for path in [&name, &format!("./{name}"), &long] {
        let cluster = Cluster::new("rogue", &["path", path]);
        cluster.fork();
        cluster.until(|| cluster.has("exit 1 0 9") && cluster.has("disconnect 1"));
        assert!(cluster.has(&format!("error Some(1) channel: {}", ProtocolError::Malformed)));
        assert!(!Path::new(&name).exists());
        cluster.finished();
    }
}

/// A program whose workers may listen on this path only.
struct Only(PathBuf, Recorder);

impl PrimaryHandler for Only {
    fn accepts_listen(&mut self, _: &WorkerHandle, address: &Address) -> bool {
        matches!(address, Address::Path(path) if *path == self.0)
    }
    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], fds: Vec<std::os::fd::OwnedFd>) {
        self.1.on_message(worker, data, fds);
    }
    fn on_exit(&mut self, worker: &WorkerHandle, status: uv_core::process::ExitStatus) {
        self.1.on_exit(worker, status);
    }
    fn on_disconnected(&mut self, primary: &cluster::Primary) {
        self.1.on_disconnected(primary);
    }
}

fn not_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (meant, other) = (folder.path().join("meant"), folder.path().join("other"));
    for policy in policies() {
        let settings = || -> Settings { role("obedient", &[]).policy(policy.clone()) };
        let cluster = Cluster::with_handler(settings(), |recorder| Only(meant.clone(), recorder));
        let worker = cluster.fork();
        let refused =
            [format!("unix:{}", other.display()), "127.0.0.1:0".into(), "0".into(), "unix:@name".into()];
        for (times, address) in (1..).zip(refused) {
            worker.send(format!("listen {address}").as_bytes()).expect("a channel");
            cluster.until(|| cluster.count("message 1 error bind EACCES") == times);
        }
        assert!(!other.exists());
        worker.send(format!("listen unix:{}", meant.display()).as_bytes()).expect("a channel");
        cluster.message(1, "address ");
        cluster.finish();
    }
}

fn impossible_path() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    for (path, error) in [("x".repeat(5000), "ENAMETOOLONG"), ("nul@nul".into(), "EINVAL")] {
        worker.send(format!("try-listen unix:{path}").as_bytes()).expect("a channel");
        let refused = format!("message 1 refused {error}");
        cluster.until_event(&refused);
    }
    cluster.finish();
}

fn half_message() {
    let cluster = Cluster::new("rogue", &["half", "16"]);
    let before = descriptors();
    let worker = cluster.fork();
    // Its channel, its process and what it may hold.
    cluster.until(|| descriptors() == before + 2 + 16);
    kill(&cluster, &worker);
    assert_eq!(descriptors(), before);
    cluster.finished();
    for what in ["half", "many"] {
        let cluster = Cluster::new("rogue", &[what, "17"]);
        let before = descriptors();
        cluster.fork();
        cluster.until(|| cluster.has("exit 1 0 9") && cluster.has("disconnect 1"));
        assert!(cluster.has(&format!("error Some(1) channel: {}", ProtocolError::Descriptors)));
        cluster.finished();
        assert_eq!(descriptors(), before);
    }
}

fn misplaced() {
    let cluster = Cluster::new("rogue", &["misplaced", ""]);
    let before = descriptors();
    cluster.fork();
    cluster.until(|| cluster.has("exit 1 0 9") && cluster.has("disconnect 1"));
    assert!(cluster.has(&format!("error Some(1) channel: {}", ProtocolError::Descriptors)));
    assert_eq!(cluster.count("online"), 0);
    cluster.finished();
    assert_eq!(descriptors(), before);
}

fn twice() {
    for policy in policies() {
        let cluster = Cluster::with(role("rogue", &["repeat", ""]).policy(policy));
        let worker = cluster.fork();
        cluster.until_event("message 1 done");
        assert_eq!((cluster.count("online"), cluster.count("listening")), (1, 1));
        kill(&cluster, &worker);
        cluster.finished();
    }
    // A server that closes and listens again is reported again.
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    for times in 1..3 {
        worker.send(common::LISTEN).expect("a channel");
        cluster.until(|| cluster.count("listening 1") == times);
        worker.send(b"close").expect("a channel");
    }
    cluster.finish();
}

fn heir() {
    for policy in policies() {
        let cluster = Cluster::with(role("rogue", &["heir", ""]).policy(policy));
        let before = descriptors();
        cluster.fork();
        cluster.until_event("exit 1 0 0");
        cluster.until_event("disconnect 1");
        assert!(cluster.primary.workers().is_empty());
        // Also a worker that is disconnected right after its fork.
        cluster.fork();
        cluster.primary.disconnect();
        cluster.until_event("disconnected");
        cluster.finished();
        assert_eq!(descriptors(), before);
    }
}
