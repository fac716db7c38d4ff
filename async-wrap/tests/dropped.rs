//! Every future of this layer, dropped at each of its await points, leaves nothing. The only test of its process, whose
//! descriptors and signals it uses.

#[path = "../../tests/shared/dropping.rs"]
mod dropping;

use async_wrap::file::{self, File};
use async_wrap::layer::OnDrop;
use async_wrap::storage::Storage;
use async_wrap::uv_core::names::{AddrFlags, AddrQuery, NameFlags, NameQuery};
use dropping::check;
use std::fs::OpenOptions;
use std::future::{pending, ready};
use std::path::PathBuf;
use std::time::Duration;
use uv_core::{Signal, process};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(600);

/// A path of this test.
fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("async-wrap-dropped-{}-{name}", std::process::id()))
}

#[test]
fn a_future_that_is_dropped_at_any_await_point_leaves_nothing() {
    time();
    tasks();
    signals();
    work_and_look_ups();
    files();
}

fn time() {
    check("sleep", true, |env| async move { env.sleep(SHORT).await });
    check("interval", true, |env| async move {
        let mut interval = env.interval(SHORT);
        interval.tick().await;
        interval.tick().await;
    });
    check("a timeout that is over", true, |env| async move {
        assert!(env.timeout(SHORT, pending::<()>()).await.is_err());
    });
    check("a timeout that is not", true, |env| async move {
        assert!(env.timeout(LONG, env.sleep(SHORT)).await.is_ok());
    });
    check("a sleep that is reset", true, |env| async move {
        let mut sleep = env.sleep(LONG);
        assert!(env.timeout(SHORT, &mut sleep).await.is_err());
        sleep.reset(SHORT);
        sleep.await;
    });
}

fn tasks() {
    check("a task's handle", true, |env| async move {
        let inner = env.clone();
        let task = env.spawn_local(async move { inner.sleep(SHORT).await });
        task.await.expect("it ends");
    });
    check("a task that is aborted", true, |env| async move {
        let inner = env.clone();
        let task = env.spawn_local(async move { inner.sleep(LONG).await });
        // Dropping the handle would let the task go on.
        let _aborted = OnDrop::new(|| task.abort());
        env.sleep(SHORT).await;
    });
    check("a guard", true, |env| async move {
        let _guard = env.keep_alive();
        env.sleep(SHORT).await;
    });
    check("a value's scope", true, |env| async move {
        let storage = Storage::<u32>::new(&env);
        storage.scope(1, env.sleep(SHORT)).await;
    });
    check("nothing to wait for", true, |_| ready(()));
}

fn signals() {
    check("a signal", false, |env| async move {
        // Its default action is nothing, which it meets if it comes behind the end of the watch, by another thread.
        let mut signals = env.signal(Signal::SIGWINCH).expect("watched");
        for _ in 0..2 {
            // A signal of the run before may come late, too.
            let _ = env.timeout(SHORT, signals.recv()).await;
            process::kill(std::process::id().cast_signed(), Signal::SIGWINCH).expect("to this process");
            signals.recv().await;
        }
    });
}

fn work_and_look_ups() {
    check("work", false, |env| async move { env.work(|| {}).await.expect("it ends") });
    check("work that takes time", false, |env| async move {
        env.work(|| (0..1000).for_each(|_| std::thread::yield_now())).await.expect("it ends");
    });
    check("a look-up", false, |env| async move {
        let query = AddrQuery::new("127.0.0.1").flags(AddrFlags::NUMERICHOST);
        env.lookup(query).await.expect("it is found");
    });
    check("a look-up of names", false, |env| async move {
        let query = NameQuery::new(([127, 0, 0, 1], 80).into());
        env.lookup_service(query.flags(NameFlags::NUMERICHOST | NameFlags::NUMERICSERV))
            .await
            .expect("it is found");
    });
}

fn files() {
    let path = temporary("file");
    let of = || path.clone();
    check("a whole file", false, |env| {
        let path = of();
        async move {
            file::write(&env, &path, "hello").await.expect("written");
            assert_eq!(file::read(&env, &path).await.as_deref(), Ok(&b"hello"[..]));
            file::stat(&env, &path).await.expect("it exists");
        }
    });
    check("an open file", false, |env| {
        let path = of();
        async move {
            let options = OpenOptions::new().read(true).write(true).create(true).clone();
            let file = File::open(&env, &path, &options).await.expect("opened");
            file.write_at(0, "hello").await.expect("written");
            file.sync().await.expect("on the disk");
            assert_eq!(file.read_at(1, 2).await.as_deref(), Ok(&b"el"[..]));
            file.stat().await.expect("it is open");
            file.close().await.expect("it is closed");
        }
    });
    let folder = temporary("folder");
    check("names", false, |env| {
        let (folder, other) = (folder.clone(), temporary("other"));
        // What a run before has left behind.
        let _ = (std::fs::remove_dir_all(&folder), std::fs::remove_file(&other));
        async move {
            // A request that runs when its future is dropped may still be done.
            let _ = file::mkdir(&env, &folder, 0o700).await;
            let within = folder.join("within");
            let _ = file::write(&env, &within, "").await;
            let _ = file::scandir(&env, &folder).await;
            let _ = file::rename(&env, &within, &other).await;
            let _ = file::unlink(&env, &other).await;
            let _ = file::rmdir(&env, &folder).await;
        }
    });
    let _ = (std::fs::remove_file(&path), std::fs::remove_dir_all(&folder));
}
