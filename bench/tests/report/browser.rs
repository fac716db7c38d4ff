//! The page in a real browser, when Chromium is installed; else the test says that it was skipped.

use crate::results;
use bench::report::page;
use std::path::Path;
use std::process::Command;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Shows the page in frames, as no window can be made as narrow as a telephone, and reads how far it can be scrolled
/// sideways and how many parts of charts stand out of their card.
const FRAMES: &str = r#"<!DOCTYPE html><title>waiting</title><body><script>
const widths = [400, 1280], found = [];
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style = `border:0;width:${width}px;height:900px`;
  frame.src = "page.html";
  frame.onload = () => {
    const root = frame.contentDocument.documentElement;
    for (const details of root.querySelectorAll("details")) details.open = true;
    const outside = [...root.querySelectorAll(".chart *, .targets *")].filter((text) => {
      const card = text.closest(".card, li").getBoundingClientRect(), own = text.getBoundingClientRect();
      return own.width > 0 && (own.left < card.left - 1 || own.right > card.right + 1);
    });
    found.push(`${width}:${root.scrollWidth - root.clientWidth}:${outside.length}`);
    if (found.length === widths.length) {
      document.title = found.sort().join(" ");
      console.error("the log is read");
    }
  };
  document.body.append(frame);
}
</script>"#;

/// What the browser made of a file: the document, and its log.
fn open(browser: &str, folder: &Path, file: &str) -> (String, String) {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .args(["--allow-file-access-from-files", "--virtual-time-budget=10000", "--window-size=1320,2000"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", folder.join(file).display()))
        .output()
        .expect("the browser has just told its version");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_browser_shows_the_page_without_a_message_and_without_scrolling_sideways() {
    let installed =
        |name: &&&str| Command::new(**name).arg("--version").output().is_ok_and(|o| o.status.success());
    let Some(browser) = NAMES.iter().find(installed) else {
        eprintln!("skipped: none of {NAMES:?} is installed");
        return;
    };
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    std::fs::write(folder.path().join("page.html"), page(&results())).unwrap();
    std::fs::write(folder.path().join("frames.html"), FRAMES).unwrap();

    let (document, log) = open(browser, folder.path(), "page.html");
    assert!(document.contains("http/keep-alive"), "the page was not shown: {log}");
    assert!(!log.contains("CONSOLE"), "{log}");

    let (document, log) = open(browser, folder.path(), "frames.html");
    let messages = log.matches("CONSOLE").count();
    assert!(messages == 1 && log.contains("the log is read"), "{log}");
    assert!(document.contains("<title>1280:0:0 400:0:0</title>"), "{}", &document[..document.len().min(300)]);
}
