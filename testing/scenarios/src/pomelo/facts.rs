//! What the processes of a scenario did, as the test sees it and not as the master does.

use ::pomelo::{AppEvent, Application, ServerInfo};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;
use uv_core::faults;

/// A server and its process.
pub(super) type Member = (String, i32);

/// What an application told its handlers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    Added(Vec<Member>),
    Removed(Vec<String>),
    /// These are all.
    Replaced(Vec<Member>),
    Started,
    AllStarted,
}

/// A process: the master, or a server's.
pub(super) struct Process {
    /// The server's id.
    pub(super) id: String,
    /// 0 for the master.
    pub(super) pid: i32,
    pub(super) born: Duration,
    /// When it was seen to have ended.
    pub(super) ended: Cell<Option<Duration>>,
    /// With the time of each.
    pub(super) news: RefCell<Vec<(Duration, News)>>,
    /// The servers that its application knew behind the last of the news.
    pub(super) view: RefCell<Vec<Member>>,
    /// It may take longer to stop than a server has.
    pub(super) may_linger: Cell<bool>,
}

impl Process {
    /// Whether it runs: not a zombie.
    pub(super) fn runs(&self) -> bool {
        let word = OsString::from(format!("id={}", self.id));
        self.pid != 0 && faults::child_has_argument(self.pid, &word) == Some(true)
    }

    /// When its application told this first.
    pub(super) fn time_of(&self, what: &News) -> Option<Duration> {
        self.news.borrow().iter().find(|(_, news)| news == what).map(|(at, _)| *at)
    }

    pub(super) fn count_of(&self, what: &News) -> usize {
        self.news.borrow().iter().filter(|(_, news)| news == what).count()
    }

    /// Listens to the application of the process.
    pub(super) fn listen(self: &Rc<Self>, app: &Application) {
        let this = Rc::clone(self);
        app.on(move |app: &Application, event: &AppEvent| {
            let news = match event {
                AppEvent::AddServers(servers) => News::Added(members(servers)),
                AppEvent::RemoveServers(ids) => News::Removed(ids.clone()),
                AppEvent::ReplaceServers(servers) => News::Replaced(members(servers)),
                AppEvent::StartServer(_) => News::Started,
                AppEvent::StartAll => News::AllStarted,
                _ => return,
            };
            this.news.borrow_mut().push((faults::now().unwrap_or_default(), news));
            this.view.replace(sorted(members(&app.servers())));
        });
    }
}

/// The servers and processes of records.
fn members(servers: &[ServerInfo]) -> Vec<Member> {
    let member = |info: &ServerInfo| {
        let pid = info.get("pid").and_then(|pid| i32::try_from(pid.as_i64()?).ok());
        (info["id"].as_str().unwrap_or_default().to_owned(), pid.unwrap_or_default())
    };
    servers.iter().map(member).collect()
}

pub(super) fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all
}

/// All processes of a scenario.
#[derive(Default)]
pub(super) struct Facts {
    processes: RefCell<Vec<Rc<Process>>>,
}

impl Facts {
    /// A process begins.
    pub(super) fn begin(&self, id: &str, pid: i32) -> Rc<Process> {
        let process = Rc::new(Process {
            id: id.to_owned(),
            pid,
            born: faults::now().unwrap_or_default(),
            ended: Cell::new(None),
            news: RefCell::default(),
            view: RefCell::default(),
            may_linger: Cell::new(false),
        });
        self.processes.borrow_mut().push(Rc::clone(&process));
        process
    }

    /// Notes which processes have ended.
    pub(super) fn look(&self) {
        for process in self.processes.borrow().iter() {
            if process.pid != 0 && process.ended.get().is_none() && !process.runs() {
                process.ended.set(faults::now());
            }
        }
    }

    /// The processes of servers, in the order of their starts.
    pub(super) fn processes(&self) -> Vec<Rc<Process>> {
        self.processes.borrow().iter().filter(|process| process.pid != 0).cloned().collect()
    }

    /// Those of one server.
    pub(super) fn of(&self, id: &str) -> Vec<Rc<Process>> {
        self.processes().into_iter().filter(|process| process.id == id).collect()
    }

    /// The processes that have not ended.
    pub(super) fn living(&self) -> Vec<Rc<Process>> {
        self.processes().into_iter().filter(|process| process.runs()).collect()
    }

    /// A server with two processes, if there is one.
    pub(super) fn twice(&self) -> Option<String> {
        let ids = sorted(self.living().iter().map(|process| process.id.clone()).collect());
        ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
    }
}

/// The members that processes are.
pub(super) fn as_members(processes: &[Rc<Process>]) -> Vec<Member> {
    sorted(processes.iter().map(|process| (process.id.clone(), process.pid)).collect())
}
