//! The versions of what is measured, from the lock file that this program was built with.

const LOCK: &str = include_str!("../../Cargo.lock");

/// Prints them as one JSON object.
pub(crate) fn print() {
    let [hyper, util, tokio] = ["hyper", "hyper-util", "tokio"].map(of);
    println!("{{\"hyper\":\"{hyper}\",\"hyper-util\":\"{util}\",\"tokio\":\"{tokio}\"}}");
}

/// The version of a package, or nothing if the lock file does not name it.
fn of(package: &str) -> &'static str {
    let entry = format!("name = \"{package}\"\nversion = \"");
    LOCK.split_once(&entry).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lock_file_has_the_versions() {
        for package in ["hyper", "tokio"] {
            assert!(super::of(package).starts_with("1."), "{package}");
        }
        assert!(super::of("hyper-util").starts_with("0.1."));
        assert_eq!(super::of("no such package"), "");
    }
}
