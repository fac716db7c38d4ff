//! `upcall-faults`: runs scenarios under seeds. Without `--cfg upcall_faults` it only says how to build it.

#[cfg(not(upcall_faults))]
fn main() {
    eprintln!("built without faults: run it by `cargo xtask faults`");
    std::process::exit(2);
}

#[cfg(upcall_faults)]
fn main() {
    std::process::exit(scenarios::run::main());
}
