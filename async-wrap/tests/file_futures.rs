//! Files to await: each request in its context, errors with their path, and nothing left when a future is dropped.

mod common;

use async_wrap::Environment;
use async_wrap::file::{self, File};
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::fs::OpenOptions;
use std::path::PathBuf;
use uv_core::Errno;

/// A folder that is removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("async-wrap-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a fresh folder");
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `work` in an environment of its own.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let (event_loop, env) = new_loop();
    env.block_on(work(env.clone())).expect("it ends");
    run_to_the_end(&event_loop, &env);
}

// Node: parallel/test-fs-promises
#[test]
fn a_file_is_written_read_renamed_and_removed() {
    let folder = Folder::new("all");
    let (one, other, within) = (folder.at("one"), folder.at("other"), folder.at("within"));
    run(|env| async move {
        file::write(&env, &one, "hello").await.expect("written");
        file::write(&env, &one, "hi").await.expect("replaced");
        assert_eq!(file::read(&env, &one).await.as_deref(), Ok(&b"hi"[..]));
        assert_eq!(file::stat(&env, &one).await.map(|stat| stat.len()), Ok(2));
        file::rename(&env, &one, &other).await.expect("renamed");
        file::mkdir(&env, &within, 0o700).await.expect("made");
        let entries = file::scandir(&env, other.parent().expect("a folder")).await.expect("listed");
        let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().expect("text")).collect();
        assert_eq!(names, ["other", "within"]);
        file::rmdir(&env, &within).await.expect("removed");
        file::unlink(&env, &other).await.expect("removed");
        let error = file::read(&env, &other).await.expect_err("it was removed");
        assert_eq!((error.errno(), error.target()), (Errno::ENOENT, other.to_str()));
        assert_eq!(file::read(&env, "").await.expect_err("no name").errno(), Errno::EINVAL);
    });
}

#[test]
fn an_open_file_is_read_and_written_at_offsets() {
    let folder = Folder::new("offsets");
    let path = folder.at("file");
    run(|env| async move {
        let mut options = OpenOptions::new();
        let file =
            File::open(&env, &path, options.read(true).write(true).create_new(true)).await.expect("opened");
        file.write_at(3, "def").await.expect("written");
        file.write_at(0, "abc").await.expect("written");
        assert_eq!(file.read_at(2, 2).await.as_deref(), Ok(&b"cd"[..]));
        assert_eq!(file.read_at(100, 2).await.as_deref(), Ok(&b""[..]));
        assert_eq!(file.read_at(0, usize::MAX).await.expect_err("too much").errno(), Errno::EINVAL);
        assert_eq!(file.stat().await.map(|stat| stat.len()), Ok(6));
        file.sync().await.expect("on the disk");
        let appending = File::open(&env, &path, OpenOptions::new().append(true)).await.expect("opened");
        appending.append("ghi").await.expect("written");
        assert_eq!(file.read_to_end().await.as_deref(), Ok(&b"abcdefghi"[..]));
        let parent = File::open(&env, path.parent().expect("a folder"), OpenOptions::new().read(true)).await;
        let beneath = parent.expect("opened").open_beneath("file").await.expect("opened");
        assert_eq!(beneath.read_at(6, 9).await.as_deref(), Ok(&b"ghi"[..]));
    });
}

#[test]
fn a_file_of_several_requests_is_read_whole() {
    let folder = Folder::new("large");
    let path = folder.at("file");
    let data: Vec<u8> = (0..1_500_000_u32).map(|at| at.to_le_bytes()[at as usize % 4]).collect();
    std::fs::write(&path, &data).expect("written");
    run(|env| async move {
        assert!(file::read(&env, &path).await.expect("read") == data);
        // The kernel does not know its length before it is read.
        assert!(file::read(&env, "/proc/self/status").await.expect("read").starts_with(b"Name:"));
    });
}

// Node: async-hooks/test-fsreqcallback-readFile, for promises
#[test]
fn each_request_is_a_resource() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let inner = env.clone();
    env.spawn_local(async move { file::stat(&inner, "Cargo.toml").await.map(drop) });
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    assert_eq!(&all[..4], ["init 1 PROMISE 0", "before 1", "init 2 FSREQPROMISE 1", "after 1"]);
    assert_eq!(&all[4..8], ["before 2", "after 2", "before 1", "after 1"]);
}

/// Whether this process has the file open.
fn is_open(path: &std::path::Path) -> bool {
    let all = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).any(|target| target == path)
}

// tokio-rs/tokio#2307, tokio-rs/tokio#4296: what was awaited is written, and a file that is dropped is closed.
#[test]
fn a_write_is_done_when_it_was_awaited_and_a_file_is_closed_with_its_last_handle() {
    let folder = Folder::new("closed");
    let path = folder.at("file");
    run(|env| async move {
        let options = OpenOptions::new().write(true).create(true).clone();
        let file = File::open(&env, &path, &options).await.expect("opened");
        file.write_at(0, "hello").await.expect("written");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"hello");
        assert!(is_open(&path));
        drop(file);
        assert!(!is_open(&path));
        let file = File::open(&env, &path, &options).await.expect("opened");
        let clone = file.clone();
        file.close().await.expect("closed");
        assert!(!is_open(&path));
        assert_eq!(clone.sync().await.expect_err("it is closed").errno(), Errno::EBADF);
        assert_eq!(clone.close().await.expect_err("it is closed").errno(), Errno::EBADF);
    });
}

// A FIFO without a writer: its open blocks a thread, and not the loop.
#[test]
fn the_loop_does_not_wait_for_a_file_whose_future_was_dropped() {
    let folder = Folder::new("fifo");
    let path = folder.at("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let opened = path.clone();
    run(|env| async move {
        let options = OpenOptions::new().read(true).clone();
        let opening = File::open(&env, &opened, &options);
        assert!(env.timeout(std::time::Duration::from_millis(5), opening).await.is_err());
    });
    // Ends the open that a thread may still be in.
    drop(OpenOptions::new().read(true).write(true).open(&path).expect("both ends"));
}
