//! A real browser, if there is one.

use crate::program::{Folder, Outcome};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tests::running::Running;

/// What Chromium is called.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A Chromium without a window.
pub(crate) struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The first one on the path; without one the test is skipped, with a message.
    pub(crate) fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&path).collect();
        let mut programs = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let program = programs.find(|program| program.is_file());
        if program.is_none() {
            println!("skipped: there is no Chromium on the path, under the names {NAMES:?}");
        }
        program.map(|program| Self { program })
    }

    /// Opens a page and returns the document that its scripts left.
    ///
    /// # Errors
    /// It does not open, or its scripts complain.
    pub(crate) fn open(&self, url: &str) -> Outcome<String> {
        let profile = Folder::new()?;
        let mut command = Command::new(&self.program);
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--enable-logging=stderr", "--dump-dom", url])
            .arg(format!("--user-data-dir={}", profile.file("profile").display()));
        let ended = Running::start(&mut command)?.wait()?;
        if !ended.status.success() {
            return Err(format!("{url}: {}\n{}", ended.status, ended.stderr).into());
        }
        let complaints: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{url}: {complaints:?}");
        Ok(ended.stdout)
    }

    /// Opens a document in a frame of this width and has `check` look at it: a function's body that is given the frame's
    /// document and window, and returns what is wrong, as text.
    pub(crate) fn look(&self, document: &str, width: u32, check: &str) -> Outcome<String> {
        let inner = document.replace('&', "&amp;").replace('"', "&quot;");
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><body><iframe style=\"width:{width}px;height:900px;border:0\" \
             srcdoc=\"{inner}\"></iframe><pre id=\"found\">nothing was looked at</pre><script>\
             onload = () => {{ const frame = document.querySelector('iframe'); \
             const check = (document, window) => {{ {check} }}; document.querySelector('#found').textContent = \
             check(frame.contentDocument, frame.contentWindow); }};</script>"
        );
        let folder = Folder::new()?;
        let file = folder.file("page.html");
        fs::write(&file, page)?;
        let document = self.open(&format!("file://{}", file.display()))?;
        let (_, found) = document.rsplit_once("<pre id=\"found\">").ok_or("there is no frame")?;
        Ok(found.split("</pre>").next().unwrap_or_default().to_owned())
    }
}
