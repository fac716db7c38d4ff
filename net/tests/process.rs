//! Child processes to await: output, limits, pipes, and their end when the future is dropped.

use net::async_wrap::storage::Storage;
use net::async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use net::process::{Command, Stdio};
use net::uv_core::{Errno, Loop, RunMode, Signal};
use std::cell::RefCell;
use std::future::poll_fn;
use std::mem::take;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Runs to the end, and asserts that nothing is left.
fn finish(event_loop: &Loop, env: &Environment) {
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

/// Runs `work` in an environment of its own.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let (event_loop, env) = new_loop();
    env.block_on(work(env.clone())).expect("it ends");
    finish(&event_loop, &env);
}

fn shell(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// Whether a process is there, as a zombie too.
fn lives(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn wait_for_the_end(pid: i32) {
    let begun = Instant::now();
    while lives(pid) {
        assert!(begun.elapsed() < Duration::from_secs(10), "process {pid} is alive");
        std::thread::yield_now();
    }
}

// Node: parallel/test-child-process-exec-maxbuf, test-child-process-stdio
#[test]
fn output_is_collected_with_the_status() {
    run(|env| async move {
        let output = shell("echo out; echo err >&2; exit 3").output(&env).await.expect("started");
        assert_eq!((output.status.code, output.status.signal), (3, 0));
        assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
        let killed = shell("kill -9 $$").output(&env).await.expect("started");
        assert_eq!(killed.status.signal, Signal::SIGKILL);
        // Without input there is the null device.
        assert_eq!(Command::new("cat").output(&env).await.expect("started").stdout, b"");
    });
}

// A pipe holds some 200 KiB, and each of the three gets more than that.
#[test]
fn input_and_both_streams_of_output_flow_at_the_same_time() {
    const SIZE: usize = 1 << 20;
    run(|env| async move {
        let input: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        let output =
            shell("head -c 1048576 /dev/zero >&2 & cat; wait").input(input.clone()).output(&env).await;
        let output = output.expect("started");
        assert!(output.status.success());
        assert!(output.stdout == input, "{} bytes", output.stdout.len());
        assert_eq!(output.stderr.len(), SIZE);
    });
}

// Node: parallel/test-child-process-execfile-maxbuf
#[test]
fn output_beyond_the_limit_is_an_error_and_ends_the_child() {
    run(|env| async move {
        let exact = shell("printf 12345").limit(5).output(&env).await.expect("it fits");
        assert_eq!(exact.stdout, b"12345");
        let error = Command::new("yes").output(&env).await.expect_err("it has no end");
        let system = error.system().expect("of the system's kind");
        assert_eq!((system.errno(), system.target()), (Errno::ENOBUFS, Some("yes")));
        let error = shell("printf 123456 >&2").limit(5).output(&env).await.expect_err("a byte more");
        assert_eq!(error.errno(), Some(Errno::ENOBUFS));
    });
}

// Node: parallel/test-child-process-stdin; an EPIPE of the input would hide the child's own status.
#[test]
fn input_that_is_not_read_is_no_error() {
    run(|env| async move {
        let output = shell("exit 0").input(vec![7; 1 << 20]).output(&env).await.expect("started");
        assert!(output.status.success());
    });
}

#[test]
fn a_program_that_does_not_exist_is_an_error_with_its_name() {
    run(|env| async move {
        let error = Command::new("/does/not/exist").output(&env).await.expect_err("no file");
        assert_eq!(error.system().map(|error| (error.errno(), error.target().map(str::to_owned))), {
            Some((Errno::ENOENT, Some("/does/not/exist".to_owned())))
        });
        let command = Command::new("/does/not/exist").stdin(Stdio::Pipe).stdout(Stdio::Pipe);
        assert_eq!(command.spawn(&env).expect_err("no file").errno(), Some(Errno::ENOENT));
    });
}

#[test]
fn a_child_reads_and_writes_while_it_runs() {
    run(|env| async move {
        let mut child =
            Command::new("cat").stdin(Stdio::Pipe).stdout(Stdio::Pipe).spawn(&env).expect("started");
        assert!(child.stderr.is_none() && lives(child.pid()));
        let (mut input, mut output) =
            (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut buffer = [0; 10];
        for text in [&b"one"[..], b"two"] {
            input.write_all(text).await.expect("open");
            let count = output.read(&mut buffer).await.expect("open");
            assert_eq!(&buffer[..count], text);
        }
        input.finish().await.expect("the FIN is sent");
        assert_eq!(output.read(&mut buffer).await, Ok(0));
        assert!(child.wait().await.success());
        assert!(child.wait().await.success(), "the status stays");
        assert_eq!(child.kill(Signal::SIGTERM).expect_err("it has ended").errno(), Errno::ESRCH);
    });
}

// std::process::Child::wait: a wait that holds the child's input open would never end.
#[test]
fn wait_ends_the_input() {
    run(|env| async move {
        let mut child =
            Command::new("cat").stdin(Stdio::Pipe).stdout(Stdio::Null).spawn(&env).expect("started");
        assert!(child.wait().await.success());
    });
}

// Only the task that waits is woken: what it has given up wakes it no more.
#[test]
fn a_wait_that_is_dropped_wakes_nothing() {
    run(|env| async move {
        let mut child = shell("exit 0").spawn(&env).expect("started");
        let (mut is_first, mut polls) = (true, 0);
        let mut sleep = pin!(env.sleep(Duration::from_millis(100)));
        poll_fn(|context| {
            polls += 1;
            if take(&mut is_first) {
                assert!(pin!(child.wait()).poll(context).is_pending());
            }
            sleep.as_mut().poll(context)
        })
        .await;
        assert!(child.status().is_some(), "it has ended meanwhile");
        assert_eq!(polls, 2);
        assert!(child.wait().await.success());
    });
}

// python/cpython#119710: the child has ended, although a child of its own has the pipe.
#[test]
fn wait_ends_with_the_child_and_output_with_its_pipes() {
    run(|env| async move {
        let command = shell("sleep 600 & echo $!").stdout(Stdio::Pipe);
        let mut child = command.spawn(&env).expect("started");
        assert!(child.wait().await.success());
        let mut output = child.stdout.take().expect("a pipe");
        let mut buffer = [0; 20];
        let count = output.read(&mut buffer).await.expect("open");
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let grandchild = text.trim().parse().expect("a number");
        assert!(env.timeout(Duration::from_millis(5), output.read(&mut buffer)).await.is_err());
        net::uv_core::process::kill(grandchild, Signal::SIGKILL).expect("it is alive");
        assert_eq!(output.read(&mut buffer).await, Ok(0));
        let late = shell("(sleep 0.05; echo late) &").output(&env).await.expect("started");
        assert_eq!(late.stdout, b"late\n");
    });
}

// tokio-rs/tokio#2685, alexcrichton/tokio-process#3: no process is left, and no zombie.
#[test]
fn a_child_that_is_dropped_is_killed() {
    run(|env| async move {
        let child = Command::new("sleep").arg("600").spawn(&env).expect("started");
        let pid = child.pid();
        drop(child);
        wait_for_the_end(pid);
        let path = temporary("pid");
        let script = format!("echo $$ > {} && exec sleep 600", path.display());
        let output = shell(&script).output(&env);
        assert!(env.timeout(Duration::from_millis(300), output).await.is_err());
        let pid = std::fs::read_to_string(&path).expect("it was written").trim().parse().expect("a number");
        wait_for_the_end(pid);
        std::fs::remove_file(&path).expect("it is there");
    });
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("net-process-{}-{name}", std::process::id()))
}

#[test]
fn a_child_that_is_detached_goes_on_and_keeps_nothing_alive() {
    let (event_loop, env) = new_loop();
    let child = Command::new("sleep").arg("600").spawn(&env).expect("started");
    let pid = child.pid();
    assert!(event_loop.is_alive());
    child.detach();
    finish(&event_loop, &env);
    assert!(lives(pid));
    net::uv_core::process::kill(pid, Signal::SIGKILL).expect("it is alive");
    wait_for_the_end(pid);
}

struct Inits(Rc<RefCell<Vec<Provider>>>);

impl AsyncHook for Inits {
    fn on_init(&mut self, _: AsyncId, provider: Provider, _: AsyncId) {
        self.0.borrow_mut().push(provider);
    }
}

// Node: async-hooks/test-pipewrap
#[test]
fn hooks_see_the_process_and_its_pipes_and_values_follow() {
    let (event_loop, env) = new_loop();
    let inits = Rc::<RefCell<Vec<_>>>::default();
    env.hook(Inits(Rc::clone(&inits))).enable();
    let storage = Storage::<u32>::new(&env);
    let (inner, value) = (env.clone(), storage.clone());
    let task = storage.run(9, || {
        env.spawn_local(async move {
            shell("echo hello").output(&inner).await.expect("started");
            value.get().as_deref().copied()
        })
    });
    assert_eq!(env.block_on(task).expect("the loop runs").expect("it ends"), Some(9));
    finish(&event_loop, &env);
    let inits = inits.take();
    let of = |provider| inits.iter().filter(|of| **of == provider).count();
    assert_eq!((of(Provider::ProcessWrap), of(Provider::PipeWrap)), (1, 2));
}
