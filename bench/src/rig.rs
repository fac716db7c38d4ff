//! What every run needs: who starts programs and on which cores, where sockets may be put, how many connections fit.

use super::child::Launcher;
use super::interrupt::Interrupt;
use super::launch::{allowed_cpus, may_pin};
use super::options::Options;
use super::proc;
use crate::Result;
use std::path::{Path, PathBuf};
use std::{env, fs, process};
use upcall::limit;

/// Connections that are held for memory: enough that pages of 4 KiB do not show, few enough to open in a second or two.
const IDLE: usize = 10_000;

/// The same where time is short.
const IDLE_QUICK: usize = 4_000;

/// Descriptors that a process has beside those of its connections.
const OTHER_DESCRIPTORS: u64 = 200;

/// What the name of a run's folder for sockets and files begins with; the number of its process follows. It is among the
/// temporary files, as the path of a socket must be short.
const SCRATCH: &str = "upcall-bench-";

/// How the names of Unix sockets end.
const SOCKET: &str = "sock";

/// What a reader has to know where the kernel has no run times in nanoseconds.
const COARSE: &str = "This kernel tells CPU time in ticks of 10 ms only (there is no schedstat), so servers are measured \
                      in windows of a second, and noise is hardly left out.";

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) launcher: Launcher,
    /// Where servers and programs without clients run; anywhere if nothing can be pinned.
    pub(crate) server_cpu: Option<usize>,
    pub(crate) load_cpu: Option<usize>,
    /// Connections that are held for memory.
    pub(crate) idle: usize,
    /// For the files of servers.
    pub(crate) scratch: PathBuf,
}

impl Rig {
    /// Finds out what this machine allows. `notes` has what a reader of the results must know of it.
    pub(crate) fn new(options: &Options, interrupt: Interrupt, notes: &mut Vec<String>) -> Result<Self> {
        let (server_cpu, load_cpu) = choose_cpus(options, &allowed_cpus(), notes);
        if !proc::has_run_times() {
            notes.push(COARSE.to_owned());
        }
        clear_scratch(&env::temp_dir());
        let scratch = env::temp_dir().join(format!("{SCRATCH}{}", process::id()));
        fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        let launcher = Launcher { program: env::current_exe()?, interrupt };
        let idle = idle_connections(options.quick, notes);
        Ok(Self { launcher, server_cpu, load_cpu, idle, scratch })
    }

    /// Where the Unix server of this name listens.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.scratch.join(name).with_extension(SOCKET)
    }

    /// Removes the sockets of servers that were killed. No server may be listening.
    pub(crate) fn clear_sockets(&self) {
        for entry in fs::read_dir(&self.scratch).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == SOCKET) {
                // The next server says what is in its way.
                let _left = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Nothing can be done about what cannot be removed.
        let _left = fs::remove_dir_all(&self.scratch);
    }
}

/// Takes away what runs have left that were killed outright.
fn clear_scratch(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(SCRATCH)?.parse::<u32>().ok());
        if number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists()) {
            // Perhaps another user's: it is no harm where it is.
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

fn choose_cpus(
    options: &Options,
    allowed: &[usize],
    notes: &mut Vec<String>,
) -> (Option<usize>, Option<usize>) {
    let server =
        options.server_cpu.or_else(|| allowed.iter().copied().find(|cpu| Some(*cpu) != options.load_cpu));
    let load = options.load_cpu.or_else(|| allowed.iter().copied().find(|cpu| Some(*cpu) != server));
    let (Some(server), Some(load)) = (server, load) else {
        notes.push("There is one core only: servers and load share it, and nothing is pinned.".to_owned());
        return (None, None);
    };
    if server == load {
        notes.push(format!("Servers and load share core {server}, as asked for."));
    }
    for cpu in [server, load] {
        if let Err(error) = may_pin(cpu) {
            notes.push(format!("Nothing is pinned to a core: {error}."));
            return (None, None);
        }
    }
    (Some(server), Some(load))
}

/// Raises the limit of descriptors, also for the programs that are started. Returns how many connections there is room for.
fn idle_connections(quick: bool, notes: &mut Vec<String>) -> usize {
    let wanted = if quick { IDLE_QUICK } else { IDLE };
    let limit = limit::raise();
    let room = limit.descriptors.map_or(wanted, |descriptors| {
        usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX).max(1)
    });
    if room < wanted {
        notes.push(format!("Memory is measured with {room} connections, for want of descriptors. {limit}."));
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_has_left_is_taken_away() {
        let folder = env::temp_dir().join(format!("upcall-rig-{}", process::id()));
        let own = format!("{SCRATCH}{}", process::id());
        // No process has so great a number.
        let gone = format!("{SCRATCH}{}", u32::MAX);
        for name in [&*own, &*gone, "upcall-bench-notes"] {
            fs::create_dir_all(folder.join(name)).expect("the temporary folder is writable");
        }
        clear_scratch(&folder);
        let is_left = |name: &str| folder.join(name).exists();
        assert_eq!((is_left(&own), is_left(&gone), is_left("upcall-bench-notes")), (true, false, true));
        fs::remove_dir_all(folder).expect("it was just made");
    }

    #[test]
    fn one_core_is_shared_and_said() {
        let mut notes = Vec::new();
        assert_eq!(choose_cpus(&Options::default(), &[3], &mut notes), (None, None));
        assert!(notes[0].contains("one core"), "{notes:?}");
    }

    #[test]
    fn the_load_keeps_off_the_core_of_the_server() {
        let allowed = allowed_cpus();
        if let [first, second, ..] = allowed[..] {
            let mut notes = Vec::new();
            let chosen = |options| choose_cpus(&options, &allowed, &mut Vec::new());
            assert_eq!(choose_cpus(&Options::default(), &allowed, &mut notes), (Some(first), Some(second)));
            assert!(notes.is_empty(), "{notes:?}");
            let options = Options { server_cpu: Some(second), ..Options::default() };
            assert_eq!(chosen(options), (Some(second), Some(first)));
            let options = Options { load_cpu: Some(first), ..Options::default() };
            assert_eq!(chosen(options), (Some(second), Some(first)));
        }
    }

    #[test]
    fn a_core_that_is_not_there_is_a_note() {
        let mut notes = Vec::new();
        let options = Options { server_cpu: Some(1_000_000), ..Options::default() };
        assert_eq!(choose_cpus(&options, &[0, 1], &mut notes), (None, None));
        assert!(notes[0].contains("no CPU 1000000"), "{notes:?}");
    }
}
