//! Children that become another user or group, through the public interface.

mod alone;
mod child;

use child::{run, shell, spawn_error};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use uv_core::Errno;
use uv_core::process::SpawnOptions;

/// A user without permissions, which every Linux system has.
const NOBODY: u32 = 65534;

/// Runs `body` in a process that does not belong to root.
fn unprivileged(test: &str, body: impl FnOnce()) {
    let give_up = |command: &mut Command| {
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    assert!(alone::status(test, give_up, body).is_none_or(|status| status.success()));
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

// libuv: spawn_setuid_fails
#[test]
fn becoming_another_user_without_the_right_is_eperm_at_once() {
    unprivileged("becoming_another_user_without_the_right_is_eperm_at_once", || {
        assert_eq!(spawn_error(&shell("exit 0").uid(0)).errno(), Errno::EPERM);
    });
}

// libuv: spawn_setgid_fails
#[test]
fn becoming_another_group_without_the_right_is_eperm_at_once() {
    unprivileged("becoming_another_group_without_the_right_is_eperm_at_once", || {
        assert_eq!(spawn_error(&shell("exit 0").gid(0)).errno(), Errno::EPERM);
    });
}

// libuv: spawn_setuid_setgid
#[test]
fn root_may_start_children_as_another_user_without_other_groups() {
    if is_root() {
        let options = shell("id -u; id -g; id -G").uid(NOBODY).gid(NOBODY);
        assert_eq!(run(options), ((0, 0), "65534\n65534\n65534\n".to_owned()));
    }
}

#[test]
fn a_missing_folder_of_a_child_that_becomes_another_user_is_told_from_a_missing_program() {
    if is_root() {
        let nowhere = "/folder-that-had-better-not-exist";
        assert!(spawn_error(&shell("exit 0").uid(NOBODY).cwd(nowhere)).note().is_some());
        assert_eq!(spawn_error(&SpawnOptions::new(nowhere).uid(NOBODY)).note(), None);
    }
}

#[test]
fn a_child_does_not_become_another_user_with_groups_that_it_could_not_give_up() {
    let name = "a_child_does_not_become_another_user_with_groups_that_it_could_not_give_up";
    const MARK: &str = "UV_CORE_TEST_GROUPS";
    if std::env::var_os(MARK).is_some() {
        assert_eq!(spawn_error(&shell("exit 0").uid(NOBODY)).errno(), Errno::EPERM);
        // It may become the user that it is already, with its groups.
        assert_eq!(run(shell("exit 0").uid(0).gid(0)).0, (0, 0));
        return;
    }
    if !is_root() {
        return;
    }
    let itself = std::env::current_exe().expect("its own path");
    // A root that may become any user but change no group, in a group of its own.
    let status = Command::new("setpriv")
        .args(["--groups=12345", "--inh-caps=-setgid", "--bounding-set=-setgid"])
        .args([itself.as_os_str(), name.as_ref(), "--exact".as_ref()])
        .env(MARK, "1")
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("setpriv runs").success());
}

#[test]
fn the_environment_and_the_user_of_this_process_are_not_its_childs() {
    if is_root() {
        let path = std::env::var_os("PATH");
        let options = shell("id -u").env("PATH", "/bin:/usr/bin").uid(NOBODY).gid(NOBODY);
        assert_eq!(run(options).0, (0, 0));
        assert_eq!(std::env::var_os("PATH"), path);
        for thread in fs::read_dir("/proc/self/task").expect("the threads of this process") {
            // A process that has ended meanwhile has no user.
            if let Ok(status) = fs::read_to_string(thread.expect("a thread").path().join("status")) {
                assert!(status.contains("Uid:\t0\t0\t0\t0"), "{status}");
            }
        }
    }
}
