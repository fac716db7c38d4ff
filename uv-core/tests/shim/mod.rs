//! System calls that fail on demand: a library that is preloaded into the program under test.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which call fails, as a file that the library reads. A program and its children share it.
#[derive(Clone, Debug)]
pub struct Failing(PathBuf);

/// A line of the file: the first `good` calls succeed, `times` further ones fail, in the process `pid` or, if that is 0,
/// in each.
struct Rule<'a> {
    call: &'a str,
    errno: i32,
    times: i64,
    pid: i32,
    good: u32,
}

/// No call fails.
const NONE: Rule<'static> = Rule { call: "none", errno: 0, times: 0, pid: 0, good: 0 };

/// Fails every call.
const ALWAYS: i64 = -1;

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Failing {
    /// Makes `command` run with the library, in which no call fails yet.
    pub fn preload(command: &mut Command) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = folder.join(format!("failing.{}.{number}", std::process::id()));
        std::fs::write(&file, "").expect("a file");
        static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
        command.env("LD_PRELOAD", LIBRARY.get_or_init(|| library(folder))).env("FAILING", &file);
        Self(file)
    }

    /// The same for the current process, which was started with the library.
    pub fn here() -> Self {
        Self(std::env::var_os("FAILING").expect("started with the library").into())
    }

    /// Makes `call` fail with this error, `times` times.
    pub fn fail(&self, call: &str, errno: i32, times: u32) {
        self.set(Rule { call, errno, times: times.into(), ..NONE });
    }

    /// Like [`fail`](Self::fail), after `good` successful calls.
    pub fn fail_after(&self, good: u32, call: &str, errno: i32, times: u32) {
        self.set(Rule { call, errno, times: times.into(), good, ..NONE });
    }

    /// Like [`fail`](Self::fail), in one process only.
    pub fn fail_in(&self, pid: i32, call: &str, errno: i32, times: u32) {
        self.set(Rule { call, errno, times: times.into(), pid, ..NONE });
    }

    /// Makes `call` fail until [`stop`](Self::stop).
    pub fn fail_always(&self, call: &str, errno: i32) {
        self.set(Rule { call, errno, times: ALWAYS, ..NONE });
    }

    /// Like [`fail_always`](Self::fail_always), after `good` successful calls.
    pub fn fail_always_after(&self, good: u32, call: &str, errno: i32) {
        self.set(Rule { call, errno, times: ALWAYS, good, ..NONE });
    }

    /// Like [`fail_always`](Self::fail_always), in one process only.
    pub fn fail_always_in(&self, pid: i32, call: &str, errno: i32) {
        self.set(Rule { call, errno, times: ALWAYS, pid, ..NONE });
    }

    fn set(&self, Rule { call, errno, times, pid, good }: Rule<'_>) {
        // Replaced by a rename, because another process may be reading it. The full name is kept: other tests have
        // files beside it.
        let beside = PathBuf::from(format!("{}.new", self.0.display()));
        let line = format!("{call:<16} {errno:>4} {times:>9} {pid:>9} {good:>9}\n");
        std::fs::write(&beside, line).expect("a file");
        std::fs::rename(beside, &self.0).expect("the same folder");
    }

    /// Ends all failures. Returns how many calls have failed since `fail_always`.
    pub fn stop(&self) -> u32 {
        let failed = self.failed();
        self.set(NONE);
        failed
    }

    /// How many calls have failed since `fail_always`.
    pub fn failed(&self) -> u32 {
        u32::try_from(ALWAYS - self.times()).unwrap_or(0)
    }

    /// Whether all failures that [`fail`](Self::fail) requested have happened.
    pub fn is_over(&self) -> bool {
        self.times() == 0
    }

    fn times(&self) -> i64 {
        let text = std::fs::read_to_string(&self.0).expect("the file");
        text.split_whitespace().nth(2).and_then(|times| times.parse().ok()).expect("a number")
    }
}

/// Builds the library with the linker's C compiler. Several programs may do that at once.
fn library(folder: &Path) -> PathBuf {
    let library = folder.join("failing.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shim/failing.c");
    let source = [source, concat!(env!("CARGO_MANIFEST_DIR"), "/../uv-core/tests/shim/failing.c")]
        .into_iter()
        .find(|source| Path::new(source).exists())
        .expect("the source");
    let beside = folder.join(format!("failing.{}.so", std::process::id()));
    if !is_newer(&library, Path::new(source)) {
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&beside)
            .args([source, "-ldl"])
            .status()
            .expect("a C compiler");
        assert!(built.success(), "the library is built");
        std::fs::rename(&beside, &library).expect("the same folder");
    }
    library
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    changed(file).is_some_and(|time| Some(time) > changed(than))
}
