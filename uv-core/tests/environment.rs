//! The variables of this process, and the path of its program.

mod child;

use child::Folder;
use std::env;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use uv_core::Errno;
use uv_core::os::{exe_path, program_path, unset_variable};

#[test]
fn a_name_that_no_variable_can_have_is_refused() {
    for name in ["", "=", "A=B", "A\0", "\0"] {
        let error = unset_variable(name).expect_err("no variable has this name");
        assert_eq!((error.op(), error.errno()), ("unsetenv", Errno::EINVAL), "{name:?}");
    }
}

#[test]
fn a_variable_stays_while_another_thread_may_read_it() {
    // The other thread is that of the test harness.
    assert_eq!(unset_variable("PATH").expect_err("two threads").errno(), Errno::EBUSY);
    assert!(env::var_os("PATH").is_some());
}

// The path at which a deployment installs the next version.
#[test]
fn the_path_of_the_program_keeps_the_link_by_which_it_was_started() {
    const LINK: &str = "UV_CORE_TEST_LINK";
    if let Some(link) = env::var_os(LINK) {
        assert_eq!(program_path().expect("a path"), link);
        assert_eq!(exe_path().expect("a path"), env::current_exe().expect("a path"));
        return;
    }
    let folder = Folder::new("program-path");
    let link = folder.0.join("link");
    symlink(env::current_exe().expect("a path"), &link).expect("a link");
    let status = Command::new(&link)
        .args(["--exact", "the_path_of_the_program_keeps_the_link_by_which_it_was_started"])
        .env(LINK, &link)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("a test binary runs itself").success());
}
