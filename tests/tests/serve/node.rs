//! Node's own client talks to the server: `client.js`.

use crate::site::{Outcome, in_every_way};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use tests::running::Running;

#[test]
fn nodes_client_is_served() -> Outcome {
    match Command::new("node").arg("--version").output() {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: there is no node on this machine");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/client.js");
    in_every_way(|site| {
        let ended =
            Running::start(Command::new("node").arg(&script).arg(site.address.to_string()))?.wait()?;
        assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
        Ok(())
    })
}
