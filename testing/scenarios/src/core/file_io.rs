//! Files: each request has one completion, with what the file has; and parts of files go over a stream in order with other
//! writes, whatever sendfile(2) takes at a time.

use super::{Folder, bytes_at, dice, one_in};
use std::cell::{Cell, RefCell};
use std::fs::{self, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::file::{self, File};
use uv_core::threads::Work;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, LoopHandle, Pipe, Result, Stream};

/// The length of the file that is read.
const LEN: u64 = 40_000;

/// A request, and what came of it.
struct Request {
    work: Work,
    /// Of the file that is closed, rather than of a path or another file.
    is_of_file: Cell<bool>,
    reports: Rc<Cell<u64>>,
    is_cancelled: Cell<bool>,
    outcome: Rc<Cell<Option<Errno>>>,
}

/// All requests of a seed, the reports among them in order.
#[derive(Default)]
struct Requests(RefCell<Vec<Request>>);

impl Requests {
    /// Makes a request, whose completion checks its result with `check`.
    fn make<T: 'static>(
        &self,
        check: impl FnOnce(&T) + 'static,
        make: impl FnOnce(Box<dyn FnOnce(Result<T>)>) -> Result<Work>,
    ) {
        let (reports, outcome) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        let (told, kept) = (Rc::clone(&reports), Rc::clone(&outcome));
        let work = make(Box::new(move |result: Result<T>| {
            told.set(told.get() + 1);
            match result {
                Ok(value) => check(&value),
                Err(error) => kept.set(Some(error.errno())),
            }
        }));
        // Refused for a file that is closed.
        if let Ok(work) = work {
            let is_cancelled = Cell::new(false);
            let is_of_file = Cell::new(false);
            self.0.borrow_mut().push(Request { work, is_of_file, reports, is_cancelled, outcome });
        }
    }

    /// The last request is one of the file that is closed.
    fn mark_last(&self) {
        self.0.borrow().last().into_iter().for_each(|request| request.is_of_file.set(true));
    }

    fn are_told_of_file(&self) -> bool {
        self.0.borrow().iter().all(|request| !request.is_of_file.get() || request.reports.get() == 1)
    }

    fn cancel_any(&self) {
        let requests = self.0.borrow();
        let Some(request) = requests.get(dice(requests.len() as u64 * 2) as usize) else { return };
        if request.work.cancel().is_ok() {
            assert_eq!(request.reports.get(), 0, "cancelled after its report");
            assert!(!request.is_cancelled.replace(true), "cancelled twice");
        }
    }

    /// When the loop has ended.
    fn check(&self, world: &World, is_closed: bool) {
        for request in self.0.borrow().iter() {
            assert_eq!(request.reports.get(), 1, "reports of a request");
            assert_eq!(Rc::strong_count(&request.reports), 1, "a request keeps its completion");
            let has_cancelled = request.outcome.get() == Some(Errno::ECANCELED);
            // Also by leading out of the folder.
            let has_failed = !matches!(request.outcome.get(), None | Some(Errno::ECANCELED | Errno::EXDEV));
            assert!(!has_failed || world.has_met(|_| true), "a request has failed by itself");
            assert!(!has_cancelled || request.is_cancelled.get() || is_closed, "cancelled by itself");
            assert!(has_cancelled || !request.is_cancelled.get(), "cancelled, and not told");
        }
    }
}

/// Requests on files and folders, cancelled at any time, and a file that is closed in the middle of them.
pub(crate) fn requests(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("files") else { return Ok(()) };
    let folder = Folder::new();
    let path = folder.write("read", &bytes_at(1, 0, LEN));
    let requests = Rc::new(Requests::default());
    let opened = Rc::new(RefCell::new(None::<File>));
    let place = Rc::clone(&opened);
    let keep = move |file: &File| drop(place.replace(Some(file.clone())));
    requests.make(keep, |after| File::open(&event_loop, &path, OpenOptions::new().read(true), after));
    world.run()?;
    let file = opened.take();
    let root = fs::File::open(&folder.path).map_err(|error| error.to_string())?;
    // Fails by a fault.
    let Ok(root) = File::from_std(&event_loop, root, &folder.path) else { return world.run() };
    let closes_at = dice(80);
    let (mut is_closed, closed) = (false, Rc::new(Cell::new(0)));
    for step in 0..dice(40) {
        if let Some(file) = file.as_ref().filter(|_| step == closes_at) {
            is_closed = true;
            let (told, others) = (Rc::clone(&closed), Rc::clone(&requests));
            let last = move |result: Result<()>| {
                // A pool without threads drops the descriptor, which closes it too.
                let errno = result.map_err(|error| error.errno());
                assert!(matches!(errno, Ok(()) | Err(Errno::EAGAIN)), "the close: {errno:?}");
                assert!(others.are_told_of_file(), "a request is told behind the close");
                told.set(told.get() + 1);
            };
            file.close(last).map_err(|error| error.to_string())?;
        }
        one_request(&event_loop, &folder, file.as_ref(), &requests);
        open_beneath(&root, &requests);
        requests.cancel_any();
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    drop((file, root));
    world.run()?;
    requests.check(world, is_closed);
    assert_eq!(closed.get(), u64::from(is_closed), "reports of the close");
    is_open_nowhere(&path)
}

fn one_request(event_loop: &LoopHandle, folder: &Folder, file: Option<&File>, requests: &Requests) {
    let path = folder.path.join("read");
    match (dice(8), file) {
        (0..3, Some(file)) => {
            let (offset, len) = (dice(LEN + 1_000), dice(9_000));
            let expected = bytes_at(1, offset, len.min(LEN.saturating_sub(offset)));
            let check = move |data: &Vec<u8>| {
                assert!(expected.starts_with(data), "wrong bytes at {offset}");
                assert!(!data.is_empty() || expected.is_empty(), "nothing at {offset}");
            };
            requests.make(check, |after| file.read(offset, len as usize, after));
            if !file.is_closing() {
                requests.mark_last();
            }
        }
        (3, Some(file)) => {
            let check = |metadata: &fs::Metadata| assert_eq!(metadata.len(), LEN);
            requests.make(check, |after| file.stat(after));
            if !file.is_closing() {
                requests.mark_last();
            }
        }
        (4, _) => write_new(event_loop, folder, requests),
        (5, _) => {
            let check = |entries: &Vec<file::DirEntry>| {
                assert!(entries.iter().any(|entry| entry.name == "read"), "an entry is missing");
            };
            requests.make(check, |after| file::scandir(event_loop, &folder.path, after));
        }
        (6, _) => {
            let sub = folder.path.join(format!("sub{}", requests.0.borrow().len()));
            let made = sub.clone();
            let check = move |(): &()| assert!(made.is_dir(), "no folder was made");
            requests.make(check, |after| file::mkdir(event_loop, sub, 0o755, after));
        }
        _ => {
            let check = |metadata: &fs::Metadata| assert_eq!(metadata.len(), LEN);
            requests.make(check, |after| file::stat(event_loop, path, after));
        }
    }
}

/// Opens a file that is in the folder, or what is outside of it.
fn open_beneath(root: &File, requests: &Requests) {
    let is_read = |file: &File| assert_eq!(file.metadata().len(), LEN);
    match dice(8) {
        0 => requests.make(is_read, |after| root.open_beneath("read", after)),
        1 => {
            let outside = |_: &File| panic!("a file outside of the folder was opened");
            requests.make(outside, |after| root.open_beneath("../read", after));
        }
        2 => {
            // Fails by a fault, and where the kernel would have to ask the disk.
            let _ = root.try_open_beneath("read").as_ref().map(is_read);
            assert!(root.try_open_beneath("../read").is_err(), "a file outside of the folder was opened");
        }
        _ => {}
    }
}

/// Makes a file, writes it, renames it, and reads it: each in the completion of the one before.
fn write_new(event_loop: &LoopHandle, folder: &Folder, requests: &Requests) {
    let number = requests.0.borrow().len();
    let (path, to) = (folder.path.join(format!("new{number}")), folder.path.join(format!("renamed{number}")));
    let data = bytes_at(number, 0, 1 + dice(5_000));
    let (from, again) = (path.clone(), event_loop.clone());
    let check = move |file: &File| {
        let (written, from) = (data.clone(), from.clone());
        let rename = move |result: Result<()>| {
            if result.is_ok() {
                assert!(fs::read(&from).expect("it was written") == written, "other bytes than were written");
                let moved = to.clone();
                let renamed =
                    move |result: Result<()>| assert!(result.is_err() || moved.exists(), "not renamed");
                file::rename(&again, &from, to, renamed).expect("a path");
            }
        };
        file.write(0, data, rename).expect("the file is open");
    };
    let options = OpenOptions::new().write(true).create_new(true).clone();
    requests.make(check, |after| File::open(event_loop, path, &options, after));
}

fn is_open_nowhere(path: &Path) -> Result<(), String> {
    let open = fs::read_dir("/proc/self/fd").map_err(|error| error.to_string())?;
    let is_open = open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|name| name == path));
    if is_open { Err("a closed file is open".into()) } else { Ok(()) }
}

/// What a writer is told, and what its reader receives.
#[derive(Default)]
struct Seen {
    received: RefCell<Vec<u8>>,
    outcomes: RefCell<Vec<Option<Errno>>>,
    has_failed: Cell<bool>,
}

struct Watching(Rc<Seen>);

impl StreamUpcall for Watching {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        self.0.received.borrow_mut().extend_from_slice(data);
        if one_in(20) {
            stream.read_stop();
        }
    }

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        self.0.has_failed.set(true);
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        let errno = result.err().map(|error| error.errno());
        self.0.outcomes.borrow_mut().push(errno);
        if errno.is_some() {
            stream.close();
        }
    }

    fn on_shutdown(&mut self, stream: &Stream, _: Result<()>) {
        stream.close();
    }
}

/// Parts of files and other writes over a Unix socket, to a reader that stops at times; a file that becomes shorter.
pub(crate) fn sending(world: &World) -> Result<(), String> {
    let (Ok(server), Ok(client)) = (world.event_loop("server"), world.event_loop("client")) else {
        return Ok(());
    };
    let folder = Folder::new();
    let len = 1 + dice([100, 5_000, 400_000][dice(3) as usize]);
    let path = folder.write("sent", &bytes_at(1, 0, len));
    let file = fs::File::open(&path).and_then(|file| Ok(File::from_std(&server, file, &path)?));
    // Fails by a fault.
    let Ok(file) = file else { return Ok(()) };
    let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
    let (writer, reader) = (Pipe::new(&server), Pipe::new(&client));
    let (writes, reads) = (Rc::new(Seen::default()), Rc::new(Seen::default()));
    writer.set_upcall(Watching(Rc::clone(&writes)));
    reader.set_upcall(Watching(Rc::clone(&reads)));
    let opened = writer.open(ours.into()).and_then(|()| reader.open(theirs.into()));
    if opened.and_then(|()| reader.read_start()).is_err() {
        writer.close();
        reader.close();
        return world.run();
    }
    let (mut expected, mut queued, mut left) = (Vec::new(), 0_u64, len);
    for _ in 0..1 + dice(12) {
        let written = if one_in(3) {
            let data = bytes_at(2, 0, dice(2_000));
            expected.extend_from_slice(&data);
            writer.write(data).map(|()| true)
        } else {
            let start = dice(len + 1);
            let end = start + dice(len - start + 1);
            expected.extend(bytes_at(1, start, end - start));
            write_range(&writer, &file, start..end)
        };
        queued += u64::from(written == Ok(true));
        if written.is_err() {
            break;
        }
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
        if one_in(40) {
            left = dice(left);
            OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(left)).expect("cut");
        }
        // Fails if it reads, or has ended.
        let _ = reader.read_start();
    }
    if writer.shutdown().is_err() {
        writer.close();
    }
    drop(file);
    world.run_until(|| {
        let _ = reader.read_start();
        writer.is_closing() && reader.is_closing()
    })?;
    world.run()?;
    check_sent(world, &writes, &reads.received.borrow(), &expected, (queued, left < len))?;
    is_open_nowhere(&path)
}

/// Writes a part of the file, sometimes what the kernel takes now by itself, as the layers above do. Returns whether some of
/// it is queued, of which the stream tells.
fn write_range(writer: &Pipe, file: &File, range: std::ops::Range<u64>) -> Result<bool> {
    let mut range = file.range(range)?;
    if one_in(2) {
        match writer.try_write_file(&range) {
            Ok(now) => range.advance(now as u64),
            Err(error) if error.errno() == Errno::EAGAIN => {}
            Err(error) => return Err(error),
        }
        if range.is_empty() {
            return Ok(false);
        }
    }
    writer.write_file(range).map(|()| true)
}

fn check_sent(
    world: &World,
    writes: &Seen,
    received: &[u8],
    expected: &[u8],
    (queued, is_cut): (u64, bool),
) -> Result<(), String> {
    let outcomes = writes.outcomes.borrow();
    assert_eq!(outcomes.len() as u64, queued, "each write is told once");
    let failed = outcomes.iter().position(Option::is_some);
    if let Some(failed) = failed {
        // What is written later may be tried, and finds the same failure.
        assert!(outcomes[failed + 1..].iter().all(Option::is_some), "a write behind a failure was made");
    }
    let is_shorter = outcomes.contains(&Some(Errno::ENODATA));
    assert!(is_cut || !is_shorter, "a file that has its length has become shorter");
    let is_harmless = !world.has_met(|fault| !crate::is_passing(fault));
    if is_cut || failed.is_some() || !is_harmless {
        // The kernel sends the file's pages: what is cut off reads as zeros until the peer has fetched it.
        let is_there = |(byte, known): (&u8, &u8)| byte == known || (is_cut && *byte == 0);
        let is_right = received.len() <= expected.len() && received.iter().zip(expected).all(is_there);
        return if is_right { Ok(()) } else { Err("other bytes than were sent".into()) };
    }
    if received == expected {
        Ok(())
    } else {
        Err(format!("{} of {} bytes came, and nothing failed", received.len(), expected.len()))
    }
}
