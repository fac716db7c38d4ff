//! What can not be done is refused in one clear line, which names what was asked and why it failed.

use crate::site::{Outcome, WAYS, command};
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use tests::running::Running;

/// A user who may do nothing.
const NOBODY: u32 = 65534;

fn is_refused(command: &mut Command, named: &[&str]) -> Outcome {
    is_refused_with(command, named, 1)
}

fn is_refused_with(command: &mut Command, named: &[&str], code: i32) -> Outcome {
    let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
    let ended = Running::start(command)?.wait().map_err(|error| format!("{what}: {error}"))?;
    assert_eq!(ended.stdout, "", "{what}");
    assert_eq!(ended.stderr.lines().count(), 1, "{what}: not one line but\n{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{what}: {}", ended.stderr);
    for word in named {
        assert!(ended.stderr.contains(word), "{what}: {word:?} is not named by {}", ended.stderr);
    }
    assert_eq!(ended.status.code(), Some(code), "{what}");
    Ok(())
}

#[test]
fn wrong_words_are_named() -> Outcome {
    for (words, named) in [
        (&["fly"][..], &["unrecognized subcommand", "fly"][..]),
        (&["serv"], &["serv", "a similar", "serve"]),
        (&["--fly"], &["--fly"]),
        (&["serve", "--fly"], &["--fly"]),
        (&["serve", "--adr", "[::1]:80"], &["--adr", "a similar", "--addr"]),
        (&["serve", "8000"], &["8000"]),
        (&["serve", "--addr"], &["--addr"]),
        (&["serve", "--addr", "localhost:8000"], &["'localhost:8000' for '--addr", "IP address"]),
        (&["serve", "--addr", "127.0.0.1"], &["'127.0.0.1' for '--addr", "port"]),
        (&["serve", "--addr", "127.0.0.1:65536"], &["'127.0.0.1:65536' for '--addr"]),
        (&["serve", "--workers", "-1"], &["'-1' for '--workers", "number"]),
        (&["serve", "--workers", "1e9"], &["'1e9' for '--workers", "number"]),
        (&["serve", "--policy", "best"], &["'best' for '--policy", "round-robin", "shared"]),
    ] {
        is_refused_with(&mut command(words)?, named, 2)?;
    }
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for way in WAYS {
        is_refused(command(&["serve", "--addr", &address])?.args(*way), &[&address, "EADDRINUSE"])?;
    }
    Ok(())
}

#[test]
fn an_address_of_another_machine_is_named() -> Outcome {
    for way in WAYS {
        // Reserved for documentation.
        let words = ["serve", "--addr", "192.0.2.1:8000"];
        is_refused(command(&words)?.args(*way), &["192.0.2.1:8000", "EADDRNOTAVAIL"])?;
    }
    Ok(())
}

#[test]
fn a_privileged_port_is_named() -> Outcome {
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")?;
    if first_free.trim().parse::<u16>()? <= 1 {
        println!("skipped: no port is privileged on this machine");
        return Ok(());
    }
    for way in WAYS {
        let mut serve = command(&["serve", "--addr", "127.0.0.1:1"])?;
        serve.args(*way);
        if fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
        {
            // In a folder that the user `nobody` may not enter the program cannot be started at all.
            if Command::new(crate::site::program()?).arg("help").uid(NOBODY).output().is_err() {
                println!("skipped: only root may start the program where it was built");
                return Ok(());
            }
            serve.uid(NOBODY).current_dir("/");
        }
        is_refused(&mut serve, &["127.0.0.1:1", "EACCES"])?;
    }
    Ok(())
}

#[test]
fn help_is_no_error() -> Outcome {
    for (words, says) in [
        (&[][..], "serve"),
        (&["help"], "serve"),
        (&["--help"], "Exit codes:"),
        (&["--version"], "upcall "),
        (&["serve", "--help"], "--addr"),
        (&["pomelo"], "Exit codes:"),
        (&["completions", "bash"], "_upcall()"),
    ] {
        let ended = Running::start(&mut command(words)?)?.wait()?;
        assert!(ended.status.success(), "{words:?}");
        assert_eq!(ended.stderr, "", "{words:?}");
        assert!(ended.stdout.contains(says), "{words:?}: {}", ended.stdout);
    }
    Ok(())
}
