//! What happened, in order, as text: upcalls and callback scopes indented as they nest, under the phase of the loop in
//! which they happened.

use async_wrap::{AsyncHook, AsyncId, Provider};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// The transcript of one conversation. A cheap clone.
#[derive(Clone, Default)]
pub(crate) struct Transcript(Rc<State>);

#[derive(Default)]
struct State {
    lines: RefCell<Vec<String>>,
    depth: Cell<usize>,
    /// The phase whose heading is to be written before the next line.
    phase: Cell<Option<&'static str>>,
}

impl Transcript {
    /// The loop is in `phase` from now on. A phase in which nothing happens leaves no trace.
    pub(crate) fn phase(&self, phase: &'static str) {
        self.0.phase.set(Some(phase));
    }

    /// Notes what happens now.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        let mut lines = self.0.lines.borrow_mut();
        if let Some(phase) = self.0.phase.take() {
            lines.push(phase.to_owned());
        }
        let indent = 2 * (self.0.depth.get() + 1);
        lines.push(format!("{:indent$}{}", "", line.as_ref()));
    }

    /// Notes an upcall, and what happens during it as its parts.
    pub(crate) fn upcall<R>(&self, line: impl AsRef<str>, body: impl FnOnce() -> R) -> R {
        self.note(line);
        self.open();
        let result = body();
        self.close();
        result
    }

    /// A callback that only notes that it was called.
    pub(crate) fn noting(&self, line: &'static str) -> impl FnOnce() + 'static {
        let transcript = self.clone();
        move || transcript.note(line)
    }

    fn open(&self) {
        self.0.depth.set(self.0.depth.get() + 1);
    }

    fn close(&self) {
        self.0.depth.set(self.0.depth.get() - 1);
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lines.borrow().len()
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.0.lines.borrow().join("\n")
    }

    /// Compares the whole with what is expected, in which lines that begin with `#` are remarks.
    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &str) {
        let is_remark = |line: &&str| line.trim_start().starts_with('#');
        let expected: Vec<&str> = expected.trim().lines().filter(|line| !is_remark(line)).collect();
        let (text, expected) = (self.text(), expected.join("\n"));
        let differs = text.lines().zip(expected.lines()).take_while(|(is, ought)| is == ought).count() + 1;
        assert!(
            text == expected,
            "line {differs} is another than expected:\n{text}\n\nexpected:\n{expected}"
        );
    }
}

/// The hook that writes scopes into the transcript, each resource with its type and its id.
pub(crate) struct Scopes {
    transcript: Transcript,
    names: HashMap<AsyncId, String>,
}

impl Scopes {
    pub(crate) fn new(transcript: &Transcript) -> Self {
        let names = HashMap::from([(AsyncId::NONE, "nothing".to_owned())]);
        Self { transcript: transcript.clone(), names }
    }

    fn name(&self, id: AsyncId) -> &str {
        self.names.get(&id).map_or("an unknown resource", String::as_str)
    }
}

impl AsyncHook for Scopes {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        self.names.insert(id, format!("{provider} {id}"));
        self.transcript.note(format!("init {} because of {}", self.name(id), self.name(trigger)));
    }

    fn on_before(&mut self, id: AsyncId) {
        self.transcript.note(format!("before {}", self.name(id)));
        self.transcript.open();
    }

    fn on_after(&mut self, id: AsyncId) {
        self.transcript.close();
        self.transcript.note(format!("after {}", self.name(id)));
    }

    fn on_destroy(&mut self, id: AsyncId) {
        self.transcript.note(format!("destroy {}", self.name(id)));
    }
}
