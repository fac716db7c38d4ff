//! Trace records of the loop, as a logger of the program sees them.

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;
use uv_core::layer::trace::Facts;
use uv_core::{Loop, RunMode, Timer};

static RECORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

/// The key-values of a record, in order.
#[derive(Default)]
struct Pairs(String);

impl VisitSource<'_> for Pairs {
    fn visit_pair(&mut self, key: Key<'_>, value: Value<'_>) -> Result<(), Error> {
        self.0 += &format!(" {key}={value}");
        Ok(())
    }
}

impl Log for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "uv_core"
    }

    fn log(&self, record: &Record<'_>) {
        let mut pairs = Pairs::default();
        record.key_values().visit(&mut pairs).expect("nothing is refused");
        let (file, line) = (record.file().unwrap_or_default(), record.line().unwrap_or_default());
        assert!(file.ends_with(".rs") && line > 0, "{file}:{line}");
        if !pairs.0.contains("epoll_") {
            RECORDS.lock().expect("no thread panics with it").push(format!(
                "{}{}: {}",
                record.target(),
                pairs.0,
                record.args()
            ));
        }
    }

    fn flush(&self) {}
}

#[test]
fn facts_name_the_resource_and_its_trigger() {
    assert_eq!(Facts::within(7, 3).bytes(5).to_string(), " async_id=7 trigger_id=3 bytes=5");
}

/// The only test of this process that logs, because a process has one logger.
#[test]
fn a_call_begins_and_ends_also_by_a_panic_each_if_the_level_says_so_then() {
    log::set_logger(&Recorder).expect("the first logger");
    log::set_max_level(LevelFilter::Trace);
    let event_loop = Loop::new().expect("a loop");
    let timer = Timer::new(&event_loop);
    timer
        .start(Duration::ZERO, Duration::ZERO, |_: &Timer| resume_unwind(Box::new("on purpose")))
        .expect("a fresh timer starts");
    catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).expect_err("the callback panics");
    let said = std::mem::take(&mut *RECORDS.lock().expect("no thread panics with it"));
    let [begin, end] = &said[..] else { panic!("{said:?}") };
    let call = "call=TimerQueue::run";
    assert!(begin.starts_with(&format!("uv_core dir=up edge=begin {call} handle=")), "{begin}");
    assert!(begin.contains(": up   TimerQueue::run handle="), "{begin}");
    assert_eq!(end, &format!("uv_core dir=up edge=end {call}: end  TimerQueue::run"));

    log::set_max_level(LevelFilter::Debug);
    timer.close();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert!(RECORDS.lock().expect("no thread panics with it").is_empty());

    for (before, during, edge) in
        [(LevelFilter::Trace, LevelFilter::Off, "begin"), (LevelFilter::Off, LevelFilter::Trace, "end")]
    {
        let timer = Timer::new(&event_loop);
        timer
            .start(Duration::ZERO, Duration::ZERO, move |_: &Timer| log::set_max_level(during))
            .expect("a fresh timer starts");
        log::set_max_level(before);
        event_loop.run(RunMode::Default).expect("the loop runs");
        log::set_max_level(LevelFilter::Off);
        let said = std::mem::take(&mut *RECORDS.lock().expect("no thread panics with it"));
        let calls: Vec<_> = said.iter().filter(|line| line.contains(call)).collect();
        let [only] = calls[..] else { panic!("{said:?}") };
        assert!(only.contains(&format!("edge={edge} ")), "{only}");
        timer.close();
        event_loop.run(RunMode::Default).expect("the loop runs");
    }
}
