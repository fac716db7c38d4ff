//! Which program a worker runs when files and folders change under a primary.

mod common;

use common::deployed::{run_as, run_linked};

fn main() {
    common::main(&[
        ("a_fork_after_a_deployment_starts_what_is_deployed", deployed),
        ("a_fork_after_a_deployment_that_renamed_the_old_program_starts_the_new_one", renamed),
        ("a_fork_after_a_deployment_that_let_a_link_lead_to_another_folder_starts_what_is_there", linked),
        ("a_primary_made_after_the_deployment_starts_what_is_deployed", made_later),
        ("a_supervised_worker_that_dies_after_a_deployment_has_a_successor", supervised),
        ("relative_paths_in_settings_are_meant_from_where_they_were_named", relative),
    ]);
}

fn deployed() {
    for name in ["app", "a program", "app (deleted)", " (deleted)"] {
        assert!(run_as(name, "deployed", &[]).success(), "{name}");
    }
}

fn renamed() {
    assert!(run_as("app", "deployed", &["renamed"]).success());
}

// openclaw/openclaw#99183: package managers deploy like this, and remove the previous folder.
fn linked() {
    assert!(run_linked("linked").success());
}

fn made_later() {
    assert!(run_as("app", "deployed", &["before"]).success());
}

fn supervised() {
    assert!(run_as("app", "supervised", &[]).success());
}

fn relative() {
    assert!(run_as("app", "relative", &[]).success());
}
