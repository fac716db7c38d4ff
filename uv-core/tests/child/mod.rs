//! Helpers of tests with child processes.
#![allow(dead_code, reason = "each test file uses its share")]

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::PathBuf;
use std::rc::Rc;
use uv_core::Stream;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Loop, Pipe, RunMode};

pub(crate) fn finish(event_loop: &Loop) {
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"), "nothing is left alive");
    event_loop.close().expect("nothing is left open");
}

pub(crate) fn shell(script: &str) -> SpawnOptions {
    SpawnOptions::new("/bin/sh").args(["-c", script])
}

/// The output of a pipe, and whether it has ended. The pipe closes itself then.
#[derive(Clone, Default)]
pub(crate) struct Output(Rc<RefCell<Vec<u8>>>, Rc<Cell<bool>>);

pub(crate) struct Collect(pub(crate) Output);

impl Output {
    pub(crate) fn of(pipe: &Pipe) -> Self {
        let output = Self::default();
        pipe.set_upcall(Collect(output.clone()));
        pipe.read_start().expect("a child's pipe may be read");
        output
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("the children write text")
    }

    pub(crate) fn ended(&self) -> bool {
        self.1.get()
    }
}

impl StreamUpcall for Collect {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        self.0.0.borrow_mut().extend_from_slice(data);
    }

    fn on_end(&mut self, stream: &Stream) {
        self.0.1.set(true);
        stream.close();
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        panic!("{error}");
    }
}

/// Stores the child's exit status and closes its handle.
pub(crate) fn exit_into(status: &Rc<Cell<Option<ExitStatus>>>) -> impl FnMut(&Process, ExitStatus) + 'static {
    let into = Rc::clone(status);
    move |process: &Process, status| {
        assert!(!process.is_active());
        assert_eq!(into.replace(Some(status)), None, "a child ends once");
        process.close();
    }
}

/// Runs a child to its end. Returns its exit code and signal, and its standard output.
pub(crate) fn run(options: SpawnOptions) -> ((i32, i32), String) {
    let event_loop = Loop::new().expect("a loop");
    let (stdout, status) = (Pipe::new(&event_loop), Rc::default());
    let options = options.stdio([Stdio::Ignore, Stdio::Pipe(stdout.clone())]);
    Process::spawn(&event_loop, &options, exit_into(&status)).expect("the child starts");
    let output = Output::of(&stdout);
    finish(&event_loop);
    assert!(output.ended());
    let status = status.get().expect("the child ended");
    ((status.code, status.signal), output.text())
}

/// A directory for one test, which is removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("uv-core-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> (PathBuf, File) {
        let path = self.0.join(name);
        let file = File::create(&path).expect("a file for the test");
        (path, file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The error of a child that cannot start, which leaves no handle.
pub(crate) fn spawn_error(options: &SpawnOptions) -> Error {
    let event_loop = Loop::new().expect("a loop");
    let error = Process::spawn(&event_loop, options, |_: &Process, _| unreachable!("there is no child"));
    let error = error.expect_err("the child cannot start");
    assert!(!event_loop.is_alive());
    event_loop.close_all();
    finish(&event_loop);
    error
}
