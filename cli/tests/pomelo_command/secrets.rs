//! Passwords and tokens are for their owner.

use crate::site::{Outcome, Site, UPCALL, said};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

/// Ends a process whatever becomes of the test.
struct Asking(Child);

impl Drop for Asking {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_init_writes_is_for_its_owner_and_so_is_the_log() -> Outcome {
    let site = Site::new()?;
    let is_private = |name: &str| -> Outcome<bool> {
        let mode = fs::metadata(site.path().join(name))?.permissions().mode();
        Ok(mode & 0o777 == 0o600)
    };
    for name in ["master.json", "servers.json", "adminUser.json", "adminServer.json"] {
        assert!(is_private(&format!("config/{name}"))?, "{name}");
    }
    // A log of before, open to all.
    fs::create_dir(site.path().join("logs"))?;
    let log = site.path().join("logs/pomelo.log");
    fs::write(&log, "")?;
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644))?;
    let output = Command::new(UPCALL).args(["pomelo", "start", "--daemon"]).arg(site.path()).output()?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(is_private("logs/pomelo.log")?);
    assert!(site.ask(&["stop"])?.status.success());
    site.assert_nothing_is_left()
}

#[test]
fn a_password_does_not_stay_in_the_list_of_processes_and_the_other_words_do() -> Outcome {
    // A master that says nothing.
    let master = TcpListener::bind("127.0.0.1:0")?;
    let port = master.local_addr()?.port().to_string();
    for (words, left) in [
        (&["stop", "one", "--password", "open sesame"][..], &["stop", "one"][..]),
        (&["stop", "one", "--password=open sesame"], &["stop", "one"]),
        (&["list", "-p", "open sesame", "--host", "127.0.0.1"], &["list", "--host", "127.0.0.1"]),
        (
            &["stop", "a", "-p=sesame", "--user=-u", "--", "-b", "--password"],
            &["stop", "a", "--user=-u", "--", "-b", "--password"],
        ),
        (&["add", "-psesame", "id=a", "port=1"], &["add", "id=a", "port=1"]),
        (&["restart", "-i", "a", "b", "-p", "sesame"], &["restart", "-i", "a", "b"]),
        (&["restart", "--password=sesame", "-t", "chat"], &["restart", "-t", "chat"]),
        (&["kill", "--password=sesame", "--password", "sesame"], &["kill"]),
    ] {
        // The port comes before what follows `--`, as that is no option any more.
        let with_port = |words: &[&str]| [&words[..1], &["--port", &port], &words[1..]].concat().join(" ");
        let mut command = Command::new(UPCALL);
        command.args(["pomelo", words[0], "--port", &port]).args(&words[1..]);
        let asking = Asking(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let (_connection, _) = master.accept()?;
        let line = fs::read(format!("/proc/{}/cmdline", asking.0.id()))?;
        let line = String::from_utf8(line)?.replace('\0', " ");
        assert!(line.ends_with(&format!(" pomelo {} ", with_port(left))), "{line}");
    }
    Ok(())
}

#[test]
fn a_password_is_taken_from_a_word_a_file_or_a_variable() -> Outcome {
    let site = Site::new()?;
    site.edit("adminUser.json", |text| {
        text.replace("\"password\": \"admin\"", "\"password\": \"open sesame\"")
    })?;
    let master = site.up(&[])?;
    let file = site.path().join("logs");
    fs::create_dir(&file)?;
    let file = file.join("password");
    fs::write(&file, "open sesame\n")?;
    let file = file.to_str().ok_or("a folder's name in UTF-8")?.to_owned();
    let ask = |words: &[&str], variable: Option<&str>| -> Outcome<Option<i32>> {
        let mut command = Command::new(UPCALL);
        command.args(["pomelo", "list"]).args(site.address()).args(words);
        command.envs(variable.map(|password| ("POMELO_PASSWORD", password)));
        Ok(command.output()?.status.code())
    };
    assert_eq!(ask(&["--password", "open sesame"], None)?, Some(0));
    assert_eq!(ask(&["--password-file", &file], Some("wrong"))?, Some(0));
    assert_eq!(ask(&[], Some("open sesame"))?, Some(0));
    assert_eq!(ask(&[], None)?, Some(3));
    assert_eq!(ask(&["--password-file", "/nowhere/at/all"], None)?, Some(1));
    assert_eq!(ask(&["--password-file", &file, "--password", "x"], None)?, Some(1));
    master.end()?;
    site.assert_nothing_is_left()
}
