//! How it ends: the first signal drains, the second ends at once.

use crate::client::{Halfway, ask, connect};
use crate::site::{Outcome, Site, WAYS};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use tests::running::DEADLINE;
use uv_core::process::kill;
use uv_core::{Errno, Signal};

/// Half of what the server grants to requests that go on: a second signal must be faster.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Waits until no process listens any more.
fn stops_listening(site: &Site) -> Outcome {
    let until = Instant::now() + DEADLINE;
    while TcpStream::connect(site.address).is_ok() {
        if Instant::now() > until {
            return Err("it still listens".into());
        }
        thread::yield_now();
    }
    Ok(())
}

/// Holds that `signal` lets the server finish what it has begun. Returns what each way to serve said about its end.
fn drains(signal: impl Fn(&Site) -> Outcome) -> Outcome<String> {
    let mut said = String::new();
    for way in WAYS {
        let site = Site::start(way)?;
        let idle = connect(site.address)?;
        let halfway = Halfway::begin(site.address)?;
        signal(&site)?;
        stops_listening(&site)?;
        let answer = halfway.finish()?;
        assert_eq!((answer.status, answer.text()?), (200, "first2nd"), "serve {}", way.join(" "));
        said += &site.ends_well().map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
        drop(idle);
    }
    Ok(said)
}

#[test]
fn sigterm_drains_and_exits_with_success() -> Outcome {
    assert_eq!(drains(|site| Ok(site.running.signal(Signal::SIGTERM)?))?, "");
    Ok(())
}

#[test]
fn ctrl_c_drains_and_exits_with_success() -> Outcome {
    // A terminal sends it to every process of the group: also to a worker that is still about to start, which then ends
    // in its own way. What is said about that is not of interest here.
    drains(|site| Ok(kill(-site.running.pid(), Signal::SIGINT)?))?;
    Ok(())
}

#[test]
fn a_server_with_nothing_to_do_ends_when_it_is_told_to() -> Outcome {
    for way in WAYS {
        let site = Site::start(way)?;
        site.running.signal(Signal::SIGTERM)?;
        let said = site.ends_well().map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
        assert_eq!(said, "", "serve {}", way.join(" "));
    }
    Ok(())
}

/// The processes of a service, the first one first.
fn processes(site: &Site) -> Outcome<Vec<i32>> {
    let pid = site.running.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>()?;
    Ok([pid].into_iter().chain(children).collect())
}

#[test]
fn requests_that_wait_in_the_listen_queue_are_answered_before_it_ends() -> Outcome {
    answers_what_waits(|site| Ok(site.running.signal(Signal::SIGTERM)?))
}

#[test]
fn requests_that_wait_in_the_listen_queue_are_answered_when_all_processes_are_told() -> Outcome {
    // As a terminal and a service manager do.
    answers_what_waits(|site| Ok(kill(-site.running.pid(), Signal::SIGTERM)?))
}

fn answers_what_waits(signal: impl Fn(&Site) -> Outcome) -> Outcome {
    for way in WAYS {
        let site = Site::start(way)?;
        // All workers listen that have answered.
        ask(site.address, "GET / HTTP/1.1\r\n", b"")?;
        let processes = processes(&site)?;
        // Stands for a loop that is busy.
        processes.iter().try_for_each(|pid| kill(*pid, Signal::SIGSTOP))?;
        let mut waiting = Vec::new();
        for _ in 0..200 {
            let mut client = connect(site.address)?;
            client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")?;
            waiting.push(client);
        }
        signal(&site)?;
        for pid in processes {
            // A worker that has just started has died of the signal.
            match kill(pid, Signal::SIGCONT) {
                Err(error) if error.errno() != Errno::ESRCH => return Err(error.into()),
                _ => {}
            }
        }
        for mut client in waiting {
            let mut answer = String::new();
            client.read_to_string(&mut answer).map_err(|error| format!("{}: {error}", way.join(" ")))?;
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer:?}");
        }
        site.ends_well().map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
    }
    Ok(())
}

#[test]
fn a_second_signal_ends_at_once() -> Outcome {
    for way in WAYS {
        let site = Site::start(way)?;
        let _halfway = Halfway::begin(site.address)?;
        site.running.signal(Signal::SIGTERM)?;
        stops_listening(&site)?;
        let second = Instant::now();
        site.running.signal(Signal::SIGTERM)?;
        site.running.wait().map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
        assert!(second.elapsed() < AT_ONCE, "serve {}: it took {:?}", way.join(" "), second.elapsed());
    }
    Ok(())
}
