//! What is measured: the benchmarks that the command line names, and who takes part in each.

use super::catalogue::{ALL, Entry};
use super::options::{Options, UserSubject};
use super::peers::Peers;
use super::pomelo;
use super::results::{LeftOut, Role};
use super::rig::Rig;
use crate::Result;
use std::collections::BTreeSet;
use std::ffi::OsString;

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) entry: &'static Entry,
    ours: Vec<&'static str>,
}

/// A subject of a benchmark.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The program and its words.
    pub(crate) command: Vec<OsString>,
}

/// The benchmarks that `what` names, all if it names none.
pub(crate) fn select(what: &[String]) -> Result<Vec<Choice>> {
    for word in what {
        if !ALL.iter().any(|entry| !named(entry, word).is_empty()) {
            return Err(format!("bench: nothing is called {word:?}; see `cargo xtask bench --list`").into());
        }
    }
    let choose = |entry: &'static Entry| {
        let is_wanted =
            |layer: &&str| what.is_empty() || what.iter().any(|word| named(entry, word).contains(layer));
        let ours: Vec<_> = entry.ours().filter(is_wanted).collect();
        (!ours.is_empty()).then_some(Choice { entry, ours })
    };
    Ok(ALL.iter().filter_map(choose).collect())
}

/// Those of our layers in `entry` that `word` names: all, if it is the name of the benchmark or of its group.
fn named(entry: &Entry, word: &str) -> Vec<&'static str> {
    let group = entry.group();
    let is_beginning = word.contains('/') && entry.name.starts_with(word);
    if group.name == word || entry.own_name() == word || is_beginning {
        return entry.ours().collect();
    }
    // async-wrap is measured with hooks and without.
    let is_named = |layer: &&str| *layer == word || layer.strip_prefix(word) == Some("-hooks");
    entry.ours().filter(is_named).collect()
}

/// The peers that take part in any of the benchmarks.
pub(crate) fn peers_of<'a>(
    choices: impl IntoIterator<Item = &'a Choice>,
    options: &Options,
) -> BTreeSet<&'static str> {
    let peers = choices.into_iter().flat_map(|choice| choice.entry.group().peers).copied();
    peers.filter(|name| options.wants(name)).collect()
}

impl Choice {
    /// Who takes part, in the order of the tables, and who does not.
    pub(crate) fn contenders(
        &self,
        rig: &Rig,
        peers: &Peers,
        options: &Options,
    ) -> (Vec<Contender>, Vec<LeftOut>) {
        let floor = (!self.entry.is_fleet()).then(|| self.own(rig, "floor", Role::Floor));
        let (mut contenders, mut left_out): (Vec<_>, _) = (floor.into_iter().collect(), Vec::new());
        let ours = self.ours.iter().filter(|layer| options.wants(layer));
        contenders.extend(ours.map(|layer| self.own(rig, layer, Role::Ours)));
        for &name in self.entry.group().peers.iter().filter(|name| options.wants(name)) {
            let command = match self.entry.is_fleet() {
                true => pomelo::node(rig),
                false => peers.command(name).map(|program| {
                    [program, vec![self.entry.name.into()], self.path_words(rig, name)].concat()
                }),
            };
            match command {
                Ok(command) => {
                    contenders.push(Contender { name: name.to_owned(), role: Role::Peer, command });
                }
                Err(reason) => left_out.push(LeftOut { name: name.to_owned(), reason }),
            }
        }
        if self.entry.takes_user_servers() {
            contenders.extend(options.subjects.iter().map(of_user));
        }
        (contenders, left_out)
    }

    fn own(&self, rig: &Rig, name: &str, role: Role) -> Contender {
        let words: &[&str] = match (role, self.entry.group().name) {
            (Role::Floor, _) => &["floor", self.entry.name],
            (_, "pomelo") => &["pomelo", "start"],
            (_, "cluster") => &["subject", "cluster", self.entry.name, "--policy", name],
            _ => &["subject", name, self.entry.name],
        };
        let mut command: Vec<OsString> = vec![rig.launcher.program.clone().into()];
        command.extend(words.iter().map(OsString::from));
        command.extend(self.path_words(rig, name));
        Contender { name: name.to_owned(), role, command }
    }

    /// Where a Unix server listens, where nginx and HAProxy put their files, and the project of an application of many servers.
    fn path_words(&self, rig: &Rig, name: &str) -> Vec<OsString> {
        match (self.entry.group().name, name) {
            ("unix", _) => vec!["--path".into(), rig.socket(name).into()],
            ("pomelo", _) => vec![pomelo::folder(rig).into()],
            (_, "nginx" | "haproxy") => vec!["--path".into(), rig.scratch.clone().into()],
            _ => Vec::new(),
        }
    }
}

impl Contender {
    /// Whether it compiles its code while it runs.
    pub(crate) fn is_compiled(&self) -> bool {
        matches!(&*self.name, "node" | "undici")
    }
}

fn of_user(subject: &UserSubject) -> Contender {
    let command = ["sh".into(), "-c".into(), format!("exec {}", subject.command).into()].into();
    Contender { name: subject.name.clone(), role: Role::Peer, command }
}

/// The benchmarks with those who take part, for `--list`.
pub(crate) fn list(choices: &[Choice]) -> String {
    let mut lines = Vec::new();
    for Choice { entry, ours } in choices {
        lines.push(format!("{:<23} {}", entry.name, entry.title));
        lines.push(format!("{:<20} {} | {}", "", ours.join(" "), entry.group().peers.join(" ")));
    }
    lines.join("\n")
}
