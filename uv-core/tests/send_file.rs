//! Sending parts of files over streams.

mod alone;
mod common;

use common::*;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::file::{File, FileRange};
use uv_core::{Errno, Pipe, Signal, Tcp};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// A folder with a file of so many bytes.
fn with_file(event_loop: &TestLoop, len: usize) -> (SocketPath, PathBuf, File) {
    let folder = socket_path();
    let path = folder.folder().join("file");
    fs::write(&path, pattern(len)).expect("a file");
    let file = opened(event_loop, &path);
    (folder, path, file)
}

fn opened(event_loop: &TestLoop, path: &Path) -> File {
    let file = fs::File::open(path).expect("it exists");
    File::from_std(event_loop, file, path).expect("a file")
}

fn range(file: &File, range: impl std::ops::RangeBounds<u64>) -> FileRange {
    file.range(range).expect("a regular file")
}

/// A connection whose kernel buffers are small.
fn narrow(event_loop: &TestLoop) -> (Tcp, TcpStream) {
    let (tcp, peer) = connected(event_loop);
    tcp.set_send_buffer_size(64 * 1024).expect("option");
    (tcp, peer)
}

/// Reads everything in another thread.
fn read_all(mut peer: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).expect("read");
        all
    })
}

#[test]
fn what_lies_beyond_four_gibibytes_is_sent_as_it_is() {
    const BEYOND: u64 = (4 << 30) + 5;
    let event_loop = test_loop();
    let folder = socket_path();
    let path = folder.folder().join("file");
    // A hole, which takes no room on the disk.
    let file = fs::File::create(&path).expect("a file");
    file.write_all_at(&pattern(1000), BEYOND).expect("written");
    let file = opened(&event_loop, &path);
    let (tcp, peer) = connected(&event_loop);
    tcp.write_file(range(&file, BEYOND - 10..)).expect("write_file");
    assert_eq!(tcp.write_queue_size(), 1010);
    tcp.shutdown().expect("shutdown");
    let reader = read_all(peer);
    event_loop.until(|| tcp.write_queue_size() == 0);
    event_loop.turn();
    let expected: Vec<u8> = [0; 10].into_iter().chain(pattern(1000)).collect();
    assert_eq!(reader.join().expect("read"), expected);
    event_loop.close_and_finish();
}

// libuv: fs_async_sendfile
#[test]
fn a_file_and_a_part_of_one_go_in_order_with_other_writes() {
    const LEN: usize = 5_000_000;
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, LEN);
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write("head ").expect("write");
    tcp.write_file(range(&file, ..)).expect("write_file");
    tcp.write(" between ").expect("write");
    tcp.write_file(range(&file, 10..=12)).expect("write_file");
    tcp.write_file(range(&file, 7..7)).expect("write_file");
    tcp.write_file(range(&file, LEN as u64 - 3..)).expect("write_file");
    tcp.write(" tail").expect("write");
    assert_eq!(tcp.write_queue_size(), LEN + 9 + 6 + 5);
    assert_eq!(tcp.bytes_written(), LEN as u64 + 25);
    assert!(tcp.is_active());
    assert_eq!(errno(tcp.try_write(b"late")), Errno::EAGAIN);
    assert_eq!(errno(tcp.try_write_file(&range(&file, ..1))), Errno::EAGAIN);
    let reader = read_all(peer);
    tcp.shutdown().expect("shutdown");
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!((log.count("tcp write ok"), log.lines().len(), tcp.write_queue_size()), (7, 8, 0));
    event_loop.close_and_finish();
    let whole = pattern(LEN);
    let expected = [b"head ", &whole[..], b" between ", &whole[10..13], &whole[LEN - 3..], b" tail"].concat();
    assert!(reader.join().expect("join") == expected);
}

// libuv: fs_async_sendfile_nodata
#[test]
fn an_empty_file_is_sent_at_once_and_reported_later() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, 0);
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    assert!(range(&file, ..).is_empty());
    assert_eq!(tcp.try_write_file(&range(&file, ..)), Ok(0));
    tcp.write_file(range(&file, ..)).expect("write_file");
    tcp.write("x").expect("write");
    assert!(log.lines().is_empty());
    event_loop.until(|| log.count("tcp write ok") == 2);
    assert_eq!(peer.read(&mut [0; 8]).expect("read"), 1);
    event_loop.close_and_finish();
}

#[test]
fn what_the_kernel_takes_now_is_told_and_the_rest_can_follow() {
    const LEN: usize = 4 << 20;
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, LEN);
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let mut rest = range(&file, ..);
    let now = tcp.try_write_file(&rest).expect("there is room");
    assert!(now > 0 && now <= 1 << 20, "{now}");
    rest.advance(now as u64);
    assert_eq!((rest.start(), rest.len()), (now as u64, (LEN - now) as u64));
    tcp.write_file(rest).expect("write_file");
    let reader = read_all(peer);
    tcp.shutdown().expect("shutdown");
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!(tcp.bytes_written(), LEN as u64);
    event_loop.close_and_finish();
    assert!(reader.join().expect("join") == pattern(LEN));
}

#[test]
fn unix_sockets_and_pipes_take_files_too() {
    const LEN: usize = 1_000_000;
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, LEN);
    let (ours, peer) = UnixStream::pair().expect("sockets");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let readers = [read_all(peer), read_all(reader)];
    for fd in [ours.into(), writer.into()] {
        let pipe = Pipe::new(&event_loop);
        pipe.open(fd).expect("open");
        pipe.set_upcall(Tower::new(&log, "pipe"));
        pipe.write_file(range(&file, ..)).expect("write_file");
    }
    event_loop.until(|| log.count("pipe write ok") == 2);
    event_loop.close_and_finish();
    for reader in readers {
        assert!(reader.join().expect("join") == pattern(LEN));
    }
}

#[test]
fn a_file_that_the_kernel_cannot_send_is_copied() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = Path::new("/proc/self/limits");
    let whole = fs::read(path).expect("read");
    let file = opened(&event_loop, path);
    assert_eq!(file.metadata().len(), 0, "its length is not known");
    let (tcp, peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write_file(range(&file, ..whole.len() as u64)).expect("write_file");
    event_loop.until(|| log.has("tcp write ok"));
    let reader = read_all(peer);
    event_loop.close_and_finish();
    assert!(reader.join().expect("join") == whole);
}

#[test]
fn a_file_that_becomes_shorter_fails_with_its_path_and_nothing_follows_it() {
    const LEN: usize = 4 << 20;
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, path, file) = with_file(&event_loop, LEN);
    let (tcp, mut peer) = narrow(&event_loop);
    let errors = Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = Rc::clone(&errors);
    tcp.set_upcall(Tower::new(&log, "tcp").on_write(move |result| told.borrow_mut().extend(result.err())));
    tcp.write_file(range(&file, ..)).expect("write_file");
    tcp.write("behind").expect("write");
    event_loop.turn();
    assert!(tcp.write_queue_size() > 6, "the peer has not read");
    OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(LEN as u64 / 2)).expect("cut");
    let mut read = 0;
    let mut buffer = vec![0; 1 << 16];
    while errors.borrow().is_empty() {
        event_loop.turn();
        peer.set_read_timeout(Some(Duration::from_millis(1))).expect("option");
        read += peer.read(&mut buffer).unwrap_or(0);
    }
    let error = errors.borrow()[0].clone();
    assert_eq!((error.op(), error.errno(), error.target()), ("sendfile", Errno::ENODATA, path.to_str()));
    assert_eq!(tcp.write_queue_size(), 6, "the write behind it waits for the close");
    assert_eq!(errno(tcp.write("later")), Errno::EPIPE, "nothing follows a part of a file");
    assert_eq!(errno(tcp.shutdown()), Errno::ENOTCONN, "not even an end");
    tcp.close();
    event_loop.until(|| log.has("tcp close"));
    assert_eq!(log.take(), ["tcp write ENODATA", "tcp write ECANCELED", "tcp close"]);
    peer.set_read_timeout(None).expect("option");
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).expect("read");
    assert_eq!(read + rest.len(), LEN / 2);
    // At once it is an error of the call.
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    assert_eq!(errno(tcp.try_write_file(&range(&file, LEN as u64 / 2..))), Errno::ENODATA);
    event_loop.close_and_finish();
}

#[test]
fn a_fin_does_not_follow_a_file_that_failed() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, path, file) = with_file(&event_loop, 1000);
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write_file(range(&file, ..)).expect("write_file");
    tcp.shutdown().expect("shutdown");
    OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(10)).expect("cut");
    event_loop.until(|| log.has("tcp shutdown ENODATA"));
    assert_eq!(log.lines(), ["tcp write ENODATA", "tcp shutdown ENODATA"]);
    peer.set_nonblocking(true).expect("option");
    let mut read = [0; 32];
    assert_eq!(peer.read(&mut read).expect("read"), 10);
    assert_eq!(peer.read(&mut read).expect_err("no end").kind(), std::io::ErrorKind::WouldBlock);
    event_loop.close_and_finish();
}

#[test]
fn a_close_cancels_a_file_that_is_being_sent_in_order_and_closes_its_descriptor() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, path, file) = with_file(&event_loop, 8 << 20);
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write("first").expect("write");
    tcp.write_file(range(&file, ..)).expect("write_file");
    tcp.write("behind").expect("write");
    drop(file);
    event_loop.until(|| log.has("tcp write ok"));
    tcp.close();
    assert_eq!(errno(tcp.write("late")), Errno::EBADF);
    drop(peer);
    event_loop.finish();
    assert_eq!(log.lines(), ["tcp write ok", "tcp write ECANCELED", "tcp write ECANCELED", "tcp close"]);
    let open = fs::read_dir("/proc/self/fd").expect("proc");
    let names = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    assert_eq!(names.filter(|name| *name == path).count(), 0);
}

#[test]
fn a_peer_that_resets_fails_the_file_as_any_write() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, 8 << 20);
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write_file(range(&file, ..)).expect("write_file");
    event_loop.turn();
    // Unread input makes the close a reset.
    drop(peer);
    event_loop.until(|| log.lines().iter().any(|line| line.starts_with("tcp write E")));
    let told = log.lines();
    assert!(
        told.iter().any(|line| ["tcp write EPIPE", "tcp write ECONNRESET"].contains(&line.as_str())),
        "{told:?}"
    );
    event_loop.close_and_finish();
}

// sendfile(2) has no MSG_NOSIGNAL
#[test]
fn a_peer_that_has_closed_raises_no_sigpipe_whatever_the_program_does_with_it() {
    let name = "a_peer_that_has_closed_raises_no_sigpipe_whatever_the_program_does_with_it";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = test_loop();
            let watcher = Signal::new(&event_loop);
            watcher.start(Signal::SIGPIPE, |_, _| panic!("SIGPIPE")).expect("start");
            send_to_nobody(&event_loop);
            // The default action is restored, which ends the process.
            watcher.stop();
            send_to_nobody(&event_loop);
            event_loop.close_and_finish();
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}

fn send_to_nobody(event_loop: &TestLoop) {
    let log = Log::new();
    let (_folder, _, file) = with_file(event_loop, 1000);
    let pipe = Pipe::new(event_loop);
    let peer = UnixStream::from(pipe.open_pair().expect("a pair"));
    pipe.set_upcall(Tower::new(&log, "pipe"));
    drop(peer);
    pipe.write_file(range(&file, ..)).expect("write_file");
    event_loop.until(|| log.lines().iter().any(|line| line == "pipe write EPIPE"));
    event_loop.turn();
}

#[test]
fn a_turn_sends_a_mebibyte_at_most_and_others_have_theirs() {
    const LEN: usize = 64 << 20;
    let event_loop = test_loop();
    let log = Log::new();
    let folder = socket_path();
    let path = folder.folder().join("sparse");
    fs::File::create(&path).and_then(|file| file.set_len(LEN as u64)).expect("a file");
    let file = opened(&event_loop, &path);
    let (tcp, peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let mut reader = peer.try_clone().expect("a clone");
    let reader = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()).expect("read"));
    tcp.write_file(range(&file, ..)).expect("write_file");
    let mut left = LEN;
    while tcp.write_queue_size() > 0 {
        event_loop.turn();
        let now = tcp.write_queue_size();
        assert!(left - now <= 1 << 20, "{} bytes in one turn", left - now);
        left = now;
    }
    event_loop.close_and_finish();
    assert_eq!(reader.join().expect("join"), LEN as u64);
}

#[test]
fn a_peer_that_does_not_read_costs_nothing_and_holds_up_no_other() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, 8 << 20);
    let (slow, _slow_peer) = narrow(&event_loop);
    slow.set_upcall(Tower::new(&log, "slow"));
    slow.write_file(range(&file, ..)).expect("write_file");
    let (tcp, peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let reader = read_all(peer);
    tcp.write_file(range(&file, ..)).expect("write_file");
    event_loop.until(|| log.has("tcp write ok"));
    // The loop blocks, rather than asking the slow peer again and again.
    let began = Instant::now();
    let timer = uv_core::Timer::new(&event_loop);
    let period = Duration::from_millis(50);
    timer.start(period, Duration::ZERO, |timer: &uv_core::Timer| timer.close()).expect("start");
    let mut turns = 0;
    while began.elapsed() < period {
        event_loop.run(uv_core::RunMode::Once).expect("run");
        turns += 1;
    }
    assert!(turns < 10, "{turns} turns");
    assert!(slow.write_queue_size() > 1 << 20);
    event_loop.close_and_finish();
    assert_eq!(reader.join().expect("join").len(), 8 << 20);
}

#[test]
fn what_is_no_regular_file_is_refused_with_its_name() {
    let event_loop = test_loop();
    let (folder, path, file) = with_file(&event_loop, 10);
    let error = opened(&event_loop, folder.folder()).range(..).expect_err("a folder");
    assert_eq!(
        (error.op(), error.errno(), error.target()),
        ("sendfile", Errno::EISDIR, folder.folder().to_str())
    );
    let error = opened(&event_loop, Path::new("/dev/null")).range(..).expect_err("a device");
    assert_eq!(
        error.to_string(),
        "sendfile /dev/null (this is not a regular file): Invalid argument (EINVAL)"
    );
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake that is to be refused")]
    let error = file.range(5..3).expect_err("reversed");
    assert_eq!((error.errno(), error.target()), (Errno::EINVAL, path.to_str()));
    assert_eq!((range(&file, 12..).len(), range(&file, ..=u64::MAX).len()), (0, u64::MAX));
    event_loop.finish();
}

#[test]
fn a_stream_that_cannot_be_written_to_refuses_a_file() {
    let event_loop = test_loop();
    let (_folder, _, file) = with_file(&event_loop, 10);
    let fresh = Tcp::new(&event_loop);
    assert_eq!(errno(fresh.write_file(range(&file, ..))), Errno::EBADF);
    assert_eq!(errno(fresh.try_write_file(&range(&file, ..))), Errno::EBADF);
    let (tcp, _peer) = connected(&event_loop);
    tcp.shutdown().expect("shutdown");
    assert_eq!(errno(tcp.write_file(range(&file, ..))), Errno::EPIPE);
    event_loop.close_and_finish();
}

#[test]
fn a_file_waits_for_the_connect() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, 100_000);
    let received = Rc::new(std::cell::Cell::new(0));
    let count = Rc::clone(&received);
    let (server, addr) = serve(&event_loop, move |tcp| {
        let count = Rc::clone(&count);
        let of_loop = tcp.clone();
        tcp.set_upcall(Tower::new(&Log::new(), "peer").on_read(move |data| {
            count.set(count.get() + data.len());
            if count.get() == 100_000 {
                of_loop.close();
            }
        }));
        tcp.read_start().expect("read_start");
    });
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    client.write_file(range(&file, ..)).expect("write_file");
    event_loop.until(|| received.get() == 100_000);
    assert_eq!(log.lines(), ["client connect ok", "client write ok"]);
    server.close();
    event_loop.close_and_finish();
}

#[test]
fn a_blocking_mode_that_another_process_set_does_not_block_the_loop() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, _, file) = with_file(&event_loop, 8 << 20);
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let shared = TcpStream::from(tcp.try_clone_fd().expect("a duplicate"));
    shared.set_nonblocking(false).expect("option");
    tcp.write_file(range(&file, ..)).expect("write_file");
    event_loop.turn();
    event_loop.turn();
    assert!(tcp.write_queue_size() > 0);
    drop((peer, shared));
    event_loop.close_and_finish();
}

#[test]
fn the_bytes_are_those_of_the_moment_of_sending() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_folder, path, file) = with_file(&event_loop, 10);
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write_file(range(&file, ..)).expect("write_file");
    let mut writer = OpenOptions::new().write(true).open(&path).expect("open");
    writer.write_at(b"changed", 0).expect("written");
    writer.seek(SeekFrom::End(0)).and_then(|_| writer.write(b"longer")).expect("written");
    event_loop.until(|| log.has("tcp write ok"));
    let mut read = [0; 32];
    let count = peer.read(&mut read).expect("read");
    assert_eq!(&read[..count], b"changed\x07\x08\x09");
    event_loop.close_and_finish();
}
