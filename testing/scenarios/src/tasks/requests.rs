//! Requests of the pool that are awaited: work, files and look-ups. Each is ready once, with the right value or with an error that a
//! fault explains, and what is dropped leaves nothing.

use crate::awaits::{Tasks, let_go, some_time};
use crate::core::{Folder, bytes_at, dice, one_in};
use async_wrap::Environment;
use async_wrap::file::{self, File};
use async_wrap::storage::Storage;
use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testing::World;
use uv_core::faults::set_addresses;
use uv_core::names::{AddrQuery, NameFlags, NameQuery};
use uv_core::{Errno, Error};

/// The addresses of `0.test`, `1.test` and so on.
const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))];

/// The bytes of the largest file.
const LONGEST: u64 = 40_000;

/// Work that was made: how often it ran, and what it holds until it is dropped.
struct Made {
    runs: Arc<AtomicU64>,
    has_value: Cell<bool>,
}

#[derive(Clone)]
struct Program {
    env: Environment,
    folder: Rc<Folder>,
    /// Has the task's number in all that it does.
    value: Storage<u64>,
    last_number: Rc<Cell<u64>>,
    work: Rc<RefCell<Vec<Rc<Made>>>>,
    /// What only a fault explains.
    failures: Rc<RefCell<Vec<Error>>>,
}

impl Program {
    fn next_number(&self) -> u64 {
        self.last_number.set(self.last_number.get() + 1);
        self.last_number.get()
    }

    /// Awaits a request. `None` if it was dropped, or failed by a fault.
    async fn ask<T>(&self, request: impl Future<Output = uv_core::Result<T>>) -> Option<T> {
        let before = self.value.get();
        let outcome = let_go(&self.env, request).await;
        assert_eq!(self.value.get(), before, "the value behind a request");
        outcome?.inspect_err(|error| self.failures.borrow_mut().push(error.clone())).ok()
    }

    async fn task(self) {
        for _ in 0..dice(8) {
            let number = self.next_number();
            self.value.enter_with(number);
            match dice(10) {
                0 | 1 => self.work(number).await,
                2..4 => drop(self.file(number).await),
                4 => drop(self.pieces(number).await),
                5 => drop(self.folders(number).await),
                6 => drop(self.wrong_paths(number).await),
                7 => self.addresses().await,
                8 => self.names().await,
                _ => self.env.sleep(some_time()).await,
            }
        }
    }

    async fn work(&self, number: u64) {
        let made = Rc::new(Made { runs: Arc::default(), has_value: Cell::new(false) });
        self.work.borrow_mut().push(Rc::clone(&made));
        let (runs, panics) = (Arc::clone(&made.runs), one_in(4));
        let work = self.env.work(move || {
            runs.fetch_add(1, Ordering::Relaxed);
            if panics {
                resume_unwind(Box::new(number));
            }
            number * 3
        });
        let Some(outcome) = let_go(&self.env, work).await else { return };
        match outcome {
            Ok(value) => assert_eq!((value, panics), (number * 3, false), "the value of other work"),
            Err(error) => match error.into_panic() {
                Ok(panic) => assert_eq!(panic.downcast_ref(), Some(&number), "the panic of other work"),
                Err(error) => {
                    assert_eq!(error.errno(), Errno::EAGAIN, "a pool without threads");
                    return self.failures.borrow_mut().push(error);
                }
            },
        }
        made.has_value.set(true);
    }

    fn path(&self, name: &str, number: u64) -> PathBuf {
        self.folder.path.join(format!("{name}{number}"))
    }

    /// Writes a file, reads it in three ways, and moves it. `None` where one of these is dropped or fails.
    async fn file(&self, number: u64) -> Option<()> {
        let (path, to) = (self.path("file", number), self.path("moved", number));
        let data = bytes_at(number as usize, 0, dice(LONGEST));
        self.ask(file::write(&self.env, &path, data.clone())).await?;
        assert!(std::fs::read(&path).is_ok_and(|written| written == data), "other bytes than were written");
        assert!(self.ask(file::read(&self.env, &path)).await? == data, "other bytes than are there");
        let length = self.ask(file::stat(&self.env, &path)).await?.len();
        assert_eq!(length, data.len() as u64, "the length of a file");
        let file = self.ask(File::open(&self.env, &path, OpenOptions::new().read(true))).await?;
        let (offset, len) = (dice(LONGEST), dice(9_000) as usize);
        let part = self.ask(file.read_at(offset, len)).await?;
        let rest = data.get(offset as usize..).unwrap_or_default();
        assert!(rest.starts_with(&part), "wrong bytes at {offset}");
        assert!(!part.is_empty() || rest.is_empty() || len == 0, "nothing at {offset}");
        self.ask(file::rename(&self.env, &path, &to)).await?;
        assert!(!path.exists() && to.exists(), "a file that was renamed");
        assert_eq!(self.ask(file.stat()).await?.len(), length);
        drop(file);
        self.ask(file::unlink(&self.env, &to)).await?;
        assert!(!to.exists(), "a file that was removed");
        Some(())
    }

    /// Appends to a file piece by piece.
    async fn pieces(&self, number: u64) -> Option<()> {
        let path = self.path("pieces", number);
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let file = self.ask(File::open(&self.env, &path, &options)).await?;
        let mut len = 0;
        for _ in 0..dice(4) {
            let more = dice(3_000);
            self.ask(file.clone().append(bytes_at(number as usize, len, more))).await?;
            len += more;
        }
        self.ask(file.sync()).await?;
        let all = self.ask(file.read_to_end()).await?;
        assert!(all == bytes_at(number as usize, 0, len), "other bytes than were appended");
        let other = file.clone();
        self.ask(file.close()).await?;
        let closed = other.stat().await.map_err(|error| error.errno());
        assert_eq!(closed.err(), Some(Errno::EBADF), "a closed file");
        Some(())
    }

    async fn folders(&self, number: u64) -> Option<()> {
        let path = self.path("folder", number);
        self.ask(file::mkdir(&self.env, &path, 0o755)).await?;
        std::fs::write(path.join("inner"), b"inner").expect("a file");
        let names = self.ask(file::scandir(&self.env, &path)).await?;
        assert!(names.iter().map(|entry| &*entry.name).eq(["inner"]), "the entries of a folder");
        let folder = self.ask(File::open(&self.env, &path, OpenOptions::new().read(true))).await?;
        let inner = self.ask(folder.open_beneath("inner")).await?;
        assert_eq!(self.ask(inner.read_to_end()).await?, b"inner");
        std::fs::remove_file(path.join("inner")).expect("it is there");
        self.ask(file::rmdir(&self.env, &path)).await?;
        assert!(!path.exists(), "a folder that was removed");
        Some(())
    }

    /// What fails without a fault.
    async fn wrong_paths(&self, number: u64) -> Option<()> {
        let path = self.path("nothing", number);
        let read = let_go(&self.env, file::read(&self.env, &path)).await?;
        let error = read.expect_err("it is not there");
        assert!(error.errno() == Errno::ENOENT || is_fault(&error), "{error}");
        let opened = let_go(&self.env, File::open(&self.env, "a\0b", OpenOptions::new().read(true))).await?;
        assert_eq!(opened.expect_err("a wrong path").errno(), Errno::EINVAL);
        Some(())
    }

    async fn addresses(&self) {
        let (number, port) = (dice(3), dice(0x1_0000) as u16);
        let query = AddrQuery::new(format!("{number}.test")).service(port.to_string());
        let Some(found) = let_go(&self.env, self.env.lookup(query)).await else { return };
        match (number, found) {
            (0 | 1, Ok(found)) => {
                let expected = &ADDRESSES[..=number as usize];
                assert!(found.addresses.iter().map(|addr| addr.ip()).eq(expected.iter().copied()));
                assert!(found.addresses.iter().all(|addr| addr.port() == port), "another port");
            }
            (2, Err(error)) if matches!(error.errno(), Errno::EAI_NODATA | Errno::EAI_NONAME) => {}
            (_, Err(error)) => self.failures.borrow_mut().push(error),
            (_, Ok(found)) => panic!("a host that is not there: {found:?}"),
        }
    }

    async fn names(&self) {
        let query = NameQuery::new((ADDRESSES[1], 80).into()).flags(NameFlags::NUMERICSERV);
        if let Some(names) = self.ask(self.env.lookup_service(query)).await {
            assert_eq!((&*names.host, &*names.service), ("1.test", "80"));
        }
    }
}

/// An error that no wrong path has.
fn is_fault(error: &Error) -> bool {
    !matches!(error.errno(), Errno::EINVAL | Errno::EBADF | Errno::ECANCELED)
}

fn is_open_beneath(folder: &Path) -> bool {
    let open = std::fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    open.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|name| name.starts_with(folder)))
}

/// Tasks that make one request after the other.
pub(crate) fn requests(world: &World) -> Result<(), String> {
    let Ok(env) = world.environment("requests") else { return Ok(()) };
    (0..2).for_each(|number| set_addresses(&format!("{number}.test"), &ADDRESSES[..=number]));
    let program = Program {
        env: env.clone(),
        folder: Rc::new(Folder::new()),
        value: Storage::new(&env),
        last_number: Rc::default(),
        work: Rc::default(),
        failures: Rc::default(),
    };
    let tasks = Tasks::default();
    for _ in 0..=dice(4) {
        tasks.spawn(&env, program.clone().task());
        if one_in(2) {
            world.run_for(some_time())?;
        }
    }
    if one_in(5) {
        // Everything is dropped at some await.
        world.run_for(some_time())?;
        tasks.abort();
    }
    world.run_until(|| tasks.are_over())?;
    world.run()?;
    for made in &*program.work.borrow() {
        let runs = made.runs.load(Ordering::Relaxed);
        assert!(runs <= 1 && (runs == 1 || !made.has_value.get()), "work has run {runs} times");
        assert_eq!(Arc::strong_count(&made.runs), 1, "work is left");
    }
    assert_eq!(env.loop_handle().active_requests(), 0, "requests are left");
    assert!(!is_open_beneath(&program.folder.path), "a file is open");
    let failures = program.failures.borrow();
    assert!(failures.is_empty() || world.has_met(|_| true), "without a cause: {:?}", failures.first());
    Ok(())
}
