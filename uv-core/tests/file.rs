//! Requests on files and folders.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use uv_core::file::{self, File};
use uv_core::threads::Work;
use uv_core::{Errno, LoopHandle, Result};

/// Runs one request, and returns what its completion got.
fn ask<T: 'static>(
    event_loop: &TestLoop,
    request: impl FnOnce(Box<dyn FnOnce(Result<T>)>) -> Result<Work>,
) -> Result<T> {
    let answer = Rc::new(RefCell::new(None));
    let place = Rc::clone(&answer);
    request(Box::new(move |result| assert!(place.replace(Some(result)).is_none(), "one completion")))?;
    assert!(answer.borrow().is_none(), "never from inside the call");
    event_loop.until(|| answer.borrow().is_some());
    answer.take().expect("it was called")
}

fn open(event_loop: &TestLoop, path: &Path, options: &OpenOptions) -> Result<File> {
    ask(event_loop, |after| File::open(event_loop, path, options, after))
}

fn reading() -> OpenOptions {
    OpenOptions::new().read(true).clone()
}

fn read(event_loop: &TestLoop, file: &File, offset: u64, len: usize) -> Result<Vec<u8>> {
    ask(event_loop, |after| file.read(offset, len, after))
}

fn close(event_loop: &TestLoop, file: &File) -> Result<()> {
    let answer = Rc::new(RefCell::new(None));
    let place = Rc::clone(&answer);
    file.close(move |result| assert!(place.replace(Some(result)).is_none(), "one completion"))?;
    event_loop.until(|| answer.borrow().is_some());
    answer.take().expect("it was called")
}

/// How many descriptors of this process are open for the file. Other tests have theirs.
fn descriptors(path: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("proc");
    open.filter(|fd| fd.as_ref().is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|open| open == path)))
        .count()
}

/// A folder with one file.
fn folder() -> (SocketPath, PathBuf) {
    let folder = socket_path();
    let path = folder.folder().join("file");
    fs::write(&path, "0123456789").expect("a file");
    (folder, path)
}

// libuv: fs_file_noent
#[test]
fn a_file_that_does_not_exist_is_an_error_with_operation_and_path() {
    let event_loop = test_loop();
    let (folder, _) = folder();
    let path = folder.folder().join("missing");
    let error = open(&event_loop, &path, &reading()).expect_err("there is none");
    assert_eq!((error.op(), error.errno()), ("open", Errno::ENOENT));
    assert_eq!(error.target(), path.to_str());
    assert_eq!(errno(ask(&event_loop, |after| file::stat(&event_loop, &path, after))), Errno::ENOENT);
    event_loop.finish();
}

// libuv: fs_file_async
#[test]
fn a_file_is_made_written_read_renamed_and_removed() {
    let event_loop = test_loop();
    let (folder, _) = folder();
    let (one, other) = (folder.folder().join("one"), folder.folder().join("other"));
    let options = OpenOptions::new().write(true).read(true).create_new(true).clone();
    let file = open(&event_loop, &one, &options).expect("made");
    assert_eq!(ask(&event_loop, |after| file.write(0, "test-buffer\n", after)), Ok(()));
    assert_eq!(ask(&event_loop, |after| file.sync(after)), Ok(()));
    assert_eq!(read(&event_loop, &file, 5, 100).as_deref(), Ok(&b"buffer\n"[..]));
    assert_eq!(close(&event_loop, &file), Ok(()));
    assert_eq!(ask(&event_loop, |after| file::rename(&event_loop, &one, &other, after)), Ok(()));
    let metadata = ask(&event_loop, |after| file::stat(&event_loop, &other, after)).expect("it is there");
    assert_eq!(metadata.len(), 12);
    assert_eq!(ask(&event_loop, |after| file::unlink(&event_loop, &other, after)), Ok(()));
    assert_eq!(fs::metadata(&other).expect_err("removed").kind(), ErrorKind::NotFound);
    event_loop.finish();
}

// libuv: fs_async_dir
#[test]
fn a_folder_is_made_listed_and_removed() {
    let event_loop = test_loop();
    let (folder, _) = folder();
    let path = folder.folder().join("sub");
    assert_eq!(ask(&event_loop, |after| file::mkdir(&event_loop, &path, 0o755, after)), Ok(()));
    let again = ask(&event_loop, |after| file::mkdir(&event_loop, &path, 0o755, after));
    assert_eq!(errno(again), Errno::EEXIST);
    for name in ["b", "a", "c"] {
        fs::write(path.join(name), "").expect("a file");
    }
    let entries = ask(&event_loop, |after| file::scandir(&event_loop, &path, after)).expect("listed");
    let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().expect("a name")).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(entries.iter().all(|entry| entry.kind.is_file()));
    let error = ask(&event_loop, |after| file::rmdir(&event_loop, &path, after)).expect_err("not empty");
    assert_eq!((error.errno(), error.target()), (Errno::ENOTEMPTY, path.to_str()));
    for entry in entries {
        fs::remove_file(path.join(entry.name)).expect("removed");
    }
    assert_eq!(ask(&event_loop, |after| file::rmdir(&event_loop, &path, after)), Ok(()));
    event_loop.finish();
}

// libuv: fs_scandir_empty_dir
#[test]
fn an_empty_folder_has_no_entries() {
    let event_loop = test_loop();
    let folder = socket_path();
    let entries = ask(&event_loop, |after| file::scandir(&event_loop, folder.folder(), after));
    assert!(entries.expect("listed").is_empty());
    event_loop.finish();
}

// libuv: fs_scandir_non_existent_dir, fs_scandir_file
#[test]
fn only_a_folder_can_be_listed() {
    let event_loop = test_loop();
    let (folder, path) = folder();
    let scan = |path: &Path| ask(&event_loop, |after| file::scandir(&event_loop, path, after));
    assert_eq!(errno(scan(&path)), Errno::ENOTDIR);
    assert_eq!(errno(scan(&folder.folder().join("missing"))), Errno::ENOENT);
    event_loop.finish();
}

// libuv: fs_fstat
#[test]
fn an_open_file_tells_what_it_was_and_what_it_is() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let file = open(&event_loop, &path, &reading()).expect("opened");
    assert_eq!((file.path(), file.metadata().len(), file.metadata().is_file()), (&*path, 10, true));
    fs::write(&path, "0").expect("shortened");
    let now = ask(&event_loop, |after| file.stat(after)).expect("open");
    assert_eq!((file.metadata().len(), now.len()), (10, 1));
    assert_eq!(close(&event_loop, &file), Ok(()));
    event_loop.finish();
}

// libuv: fs_read_file_eof, fs_partial_read
#[test]
fn a_read_ends_with_the_file_and_beyond_it_there_is_nothing() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let file = open(&event_loop, &path, &reading()).expect("opened");
    for (offset, len, expected) in
        [(0, 4, "0123"), (4, 100, "456789"), (10, 5, ""), (1 << 40, 5, ""), (3, 0, "")]
    {
        assert_eq!(read(&event_loop, &file, offset, len).as_deref(), Ok(expected.as_bytes()));
    }
    let error = read(&event_loop, &file, 0, usize::MAX).expect_err("too many");
    assert_eq!((error.op(), error.errno()), ("read", Errno::EINVAL));
    drop(file);
    event_loop.finish();
}

// libuv: fs_file_open_append
#[test]
fn what_is_appended_follows_what_there_is() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let file = open(&event_loop, &path, OpenOptions::new().append(true)).expect("opened");
    assert_eq!(ask(&event_loop, |after| file.append("ab", after)), Ok(()));
    assert_eq!(ask(&event_loop, |after| file.append("", after)), Ok(()));
    // pwrite(2): "If a file is opened with O_APPEND, on Linux, pwrite() appends data […] regardless of offset."
    assert_eq!(ask(&event_loop, |after| file.write(0, "cd", after)), Ok(()));
    assert_eq!(fs::read(&path).expect("read"), b"0123456789abcd");
    assert_eq!(errno(read(&event_loop, &file, 0, 1)), Errno::EBADF, "it is open for writing only");
    drop(file);
    event_loop.finish();
}

// libuv: fs_write_alotof_bufs_with_offset, fs_file_pos_after_op_with_offset
#[test]
fn writes_at_offsets_leave_the_rest_and_the_position_as_they_were() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let file = open(&event_loop, &path, OpenOptions::new().read(true).write(true)).expect("opened");
    let large = vec![b'x'; 3 << 20];
    assert_eq!(ask(&event_loop, |after| file.write(8, large, after)), Ok(()));
    assert_eq!(
        ask(&event_loop, |after| file.append("AB", after)),
        Ok(()),
        "at the position, which is the start"
    );
    let whole = fs::read(&path).expect("read");
    assert_eq!(whole.len(), 8 + (3 << 20));
    assert!(whole.starts_with(b"AB234567x") && whole.ends_with(b"xx"));
    drop(file);
    event_loop.finish();
}

// libuv: fs_rename_to_existing_file
#[test]
fn a_rename_replaces_the_file_of_the_new_name() {
    let event_loop = test_loop();
    let (folder, path) = folder();
    let other = folder.folder().join("other");
    fs::write(&other, "other").expect("a file");
    assert_eq!(ask(&event_loop, |after| file::rename(&event_loop, &other, &path, after)), Ok(()));
    assert_eq!(fs::read(&path).expect("read"), b"other");
    let nowhere = folder.folder().join("missing/name");
    let error = ask(&event_loop, |after| file::rename(&event_loop, &path, &nowhere, after));
    let error = error.expect_err("no such folder");
    let both = format!("{} -> {}", path.display(), nowhere.display());
    assert_eq!((error.op(), error.errno(), error.target()), ("rename", Errno::ENOENT, Some(&*both)));
    event_loop.finish();
}

#[test]
fn options_without_an_access_are_invalid() {
    let event_loop = test_loop();
    let (_guard, path) = folder();
    for options in [OpenOptions::new(), OpenOptions::new().read(true).truncate(true).clone()] {
        let error = open(&event_loop, &path, &options).expect_err("refused");
        assert_eq!(error.to_string(), format!("open {}: Invalid argument (EINVAL)", path.display()));
    }
    event_loop.close_and_finish();
}

// libuv: fs_stat_missing_path
#[test]
fn a_path_that_names_nothing_is_refused_before_any_call() {
    let event_loop = test_loop();
    let refused = |result: Result<Work>| {
        let error = result.expect_err("refused");
        assert_eq!(error.errno(), Errno::EINVAL);
        error.to_string()
    };
    let reading = reading();
    for path in ["", "a\0b"] {
        refused(File::open(&event_loop, path, &reading, |_| unreachable!()));
        refused(file::stat(&event_loop, path, |_| unreachable!()));
        refused(file::scandir(&event_loop, path, |_| unreachable!()));
        refused(file::mkdir(&event_loop, path, 0o755, |_| unreachable!()));
        refused(file::rmdir(&event_loop, path, |_| unreachable!()));
        refused(file::unlink(&event_loop, path, |_| unreachable!()));
        refused(file::rename(&event_loop, path, "x", |_| unreachable!()));
        refused(file::rename(&event_loop, "x", path, |_| unreachable!()));
    }
    let told = refused(file::stat(&event_loop, "a\0b", |_| unreachable!()));
    assert_eq!(told, "stat a\\u{0}b (the path contains NUL): Invalid argument (EINVAL)");
    let told = refused(file::unlink(&event_loop, "", |_| unreachable!()));
    assert_eq!(told, "unlink (the path is empty): Invalid argument (EINVAL)");
    event_loop.finish();
}

/// Occupies every thread of the pool until the senders are dropped.
fn fill_pool(event_loop: &LoopHandle) -> Vec<Sender<()>> {
    let (running, wait_running) = channel();
    let size = std::env::var("UV_THREADPOOL_SIZE").map_or(4, |size| size.parse().unwrap_or(1));
    let fill = |_| {
        let running = running.clone();
        let (release, released) = channel::<()>();
        let work = move || {
            running.send(()).expect("the test waits");
            released.recv().expect_err("released by a drop");
        };
        event_loop.queue_work(work, |done| assert_eq!(done, Ok(())));
        release
    };
    let filled = (0..size).map(fill).collect();
    (0..size).for_each(|_| wait_running.recv().expect("the work runs"));
    filled
}

// libuv: threadpool_cancel_fs
#[test]
fn a_request_that_has_not_begun_can_be_cancelled_and_a_close_cancels_all_in_order() {
    // All tests of this process share the pool: only this one fills it.
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let file = open(&event_loop, &path, OpenOptions::new().read(true).write(true)).expect("opened");
    let filled = fill_pool(&event_loop);
    let log = Log::new();
    let noted = |name: &str| {
        let (log, name) = (log.clone(), name.to_owned());
        move |result: Result<()>| log.add(format!("{name} {}", outcome(&result)))
    };
    let nothing = |result: Result<Vec<u8>>| result.map(drop);
    let (first, second) = (noted("first"), noted("second"));
    let cancelled = file.read(0, 1, move |result| first(nothing(result))).expect("queued");
    cancelled.cancel().expect("it has not begun");
    assert_eq!(errno(cancelled.cancel()), Errno::EBUSY);
    assert!(log.lines().is_empty(), "never from inside the call");
    file.write(0, "changed", second).expect("queued");
    file.sync(noted("third")).expect("queued");
    file.close(noted("close")).expect("the first close");
    for late in [file.sync(|_| unreachable!()).map(drop), file.close(|_| unreachable!())] {
        let error = late.expect_err("it is closing");
        assert_eq!((error.errno(), error.target()), (Errno::EBADF, path.to_str()));
    }
    assert_eq!(errno(file.range(..)), Errno::EBADF);
    assert!(file.is_closing() && log.lines().is_empty());
    drop(filled);
    event_loop.finish();
    assert_eq!(log.lines(), ["first ECANCELED", "second ECANCELED", "third ECANCELED", "close ok"]);
    assert_eq!(fs::read(&path).expect("read"), b"0123456789");
}

#[test]
fn a_close_waits_for_a_request_that_runs_and_comes_last() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    for _ in 0..100 {
        let file = open(&event_loop, &path, &reading()).expect("opened");
        let order = Rc::new(RefCell::new(Vec::new()));
        for number in 0..8 {
            let order = Rc::clone(&order);
            file.read(number, 1, move |_| order.borrow_mut().push(number)).expect("queued");
        }
        let ended = Rc::clone(&order);
        file.close(move |result| {
            assert_eq!((result, ended.borrow().len()), (Ok(()), 8));
            ended.borrow_mut().push(100);
        })
        .expect("the first close");
        event_loop.until(|| order.borrow().len() == 9);
        assert_eq!(order.borrow().last(), Some(&100));
    }
    assert_eq!(descriptors(&path), 0);
    event_loop.finish();
}

#[test]
fn a_file_may_be_closed_in_the_completion_of_its_own_request() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let closed = Rc::new(Cell::new(false));
    let is_closed = Rc::clone(&closed);
    File::open(&event_loop, &path, &reading(), move |file| {
        let file = file.expect("opened");
        let same = file.clone();
        let read = move |data: Result<Vec<u8>>| {
            assert_eq!(data.as_deref(), Ok(&b"01"[..]));
            same.close(move |result| is_closed.set(result.is_ok())).expect("the first close");
        };
        file.read(0, 2, read).expect("the file is open");
    })
    .expect("a path");
    event_loop.finish();
    assert!(closed.get());
}

#[test]
fn ten_thousand_requests_leave_no_descriptor_and_nothing_alive() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let done = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        let done = Rc::clone(&done);
        let after = move |file: Result<File>| {
            assert!(file.is_ok());
            done.set(done.get() + 1);
        };
        File::open(&event_loop, &path, &reading(), after).expect("a path");
        // Not so many descriptors at once as the process may not have.
        if event_loop.is_alive() {
            event_loop.turn();
        }
    }
    event_loop.until(|| done.get() == 10_000);
    assert_eq!(descriptors(&path), 0);
    event_loop.finish();
}

#[test]
fn dropping_the_loop_drops_requests_and_closes_the_file() {
    let event_loop = test_loop();
    let (_folder, path) = folder();
    let file = open(&event_loop, &path, &reading()).expect("opened");
    let in_after = Rc::new(());
    let held = (Rc::clone(&in_after), file.clone());
    file.read(0, 1, move |_| drop(held)).expect("queued");
    let held = (Rc::clone(&in_after), file.clone());
    file.close(move |_| drop(held)).expect("closed");
    drop(event_loop);
    drop(file);
    assert_eq!(Rc::strong_count(&in_after), 1, "no cycle is left");
    while descriptors(&path) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn nothing_beneath_a_folder_leads_out_of_it() {
    let event_loop = test_loop();
    let (folder, path) = folder();
    let root = folder.folder().join("root");
    fs::create_dir(&root).expect("a folder");
    fs::write(root.join("inside"), "inside").expect("a file");
    std::os::unix::fs::symlink("../file", root.join("out")).expect("a link");
    std::os::unix::fs::symlink("inside", root.join("in")).expect("a link");
    let root_file = open(&event_loop, &root, &reading()).expect("opened");
    let beneath = |path: &str| ask(&event_loop, |after| root_file.open_beneath(path, after));
    let inside = beneath("inside").expect("it is inside");
    assert_eq!((inside.path(), inside.metadata().len()), (&*root.join("inside"), 6));
    for way in ["../file", "out", "./../file", "/etc/passwd", path.to_str().expect("a path")] {
        let error = beneath(way).expect_err(way);
        assert!(matches!(error.errno(), Errno::EXDEV | Errno::ELOOP), "{error}");
        assert!(error.target().is_some_and(|target| target.ends_with(way)), "{error}");
    }
    assert_eq!(errno(beneath("missing")), Errno::ENOENT);
    assert_eq!(errno(beneath("in\0side")), Errno::EINVAL);
    assert_eq!(errno(beneath("")), Errno::EINVAL);
    assert!(beneath(".").expect("the folder itself").metadata().is_dir());
    assert_eq!(errno(ask(&event_loop, |after| inside.open_beneath("x", after))), Errno::ENOTDIR);
    // At once, if the kernel can tell that it needs no disk for that.
    match root_file.try_open_beneath("inside") {
        Ok(file) => assert_eq!((file.path(), file.metadata().len()), (&*root.join("inside"), 6)),
        Err(error) => assert_eq!((error.op(), error.errno()), ("open", Errno::EAGAIN)),
    }
    for way in ["../file", "out", "/etc/passwd"] {
        let error = root_file.try_open_beneath(way).expect_err(way);
        assert!(matches!(error.errno(), Errno::EXDEV | Errno::EAGAIN), "{error}");
    }
    assert_eq!(errno(root_file.try_open_beneath("")), Errno::EINVAL);
    drop((inside, root_file));
    event_loop.finish();
}
