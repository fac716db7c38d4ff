//! From the path of a request to a path beneath the root, and back.

use crate::proto::percent_decode;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Relative to the root, without `.` and `..`; empty for the root.
    pub(super) path: PathBuf,
    /// It ends with a slash, or is the root: only a folder can be meant.
    pub(super) is_folder: bool,
    /// Names at the end of `path` that the request's last segment has: one, unless it has encoded slashes.
    last: usize,
}

/// Why a path asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not one: `%` without two digits, or an encoded NUL.
    Malformed,
    /// It has a segment that no file has: `.`, `..`, or a name that begins with a dot, which is not shown.
    Hidden,
}

impl Target {
    /// Reads the path of a request. It is decoded once, and only then taken apart: `%2e%2e%2f` is `../`.
    pub(super) fn of(path: &str) -> Result<Self, Refused> {
        let decoded =
            percent_decode(path).filter(|decoded| !decoded.contains(&0)).ok_or(Refused::Malformed)?;
        let Some(rest) = decoded.strip_prefix(b"/") else { return Err(Refused::Hidden) };
        let last = path.rsplit('/').next().and_then(percent_decode).unwrap_or_default();
        let last = last.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).count();
        let mut path = PathBuf::new();
        // Slashes in a row count as one.
        for segment in rest.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()) {
            // RFC 8615 has the one name with a dot that is for everyone.
            if segment.starts_with(b".") && segment != b".well-known" {
                return Err(Refused::Hidden);
            }
            path.push(OsString::from_vec(segment.to_vec()));
        }
        Ok(Self { is_folder: rest.is_empty() || rest.ends_with(b"/"), path, last })
    }

    /// The path of a folder as a client is to ask for it, as seen from the request's own path (RFC 3986, 5.2): so it is right
    /// also where that path has a prefix that a program or a proxy took off. No client takes it for another host.
    pub(super) fn as_folder(&self) -> String {
        let mut location = String::from("./");
        let names = self.path.iter().count();
        for name in self.path.iter().skip(names.saturating_sub(self.last)) {
            for byte in name.as_encoded_bytes() {
                match byte {
                    b'-' | b'.' | b'_' | b'~' => location.push(char::from(*byte)),
                    byte if byte.is_ascii_alphanumeric() => location.push(char::from(*byte)),
                    byte => location.push_str(&format!("%{byte:02X}")),
                }
            }
            location.push('/');
        }
        location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> (String, bool) {
        let target = Target::of(path).expect(path);
        (target.path.to_string_lossy().into_owned(), target.is_folder)
    }

    #[test]
    fn a_path_is_decoded_once_and_only_then_taken_apart() {
        assert_eq!(found("/"), (String::new(), true));
        assert_eq!(found("/a/b.html"), ("a/b.html".into(), false));
        assert_eq!(found("/a%20b/%C3%A4/"), ("a b/ä".into(), true));
        assert_eq!(found("//a///b"), ("a/b".into(), false));
        assert_eq!(found("/%252e%252e/a"), ("%2e%2e/a".into(), false));
        assert_eq!(found("/.well-known/a"), (".well-known/a".into(), false));
        // Overlong forms of UTF-8 and backslashes are bytes of a name.
        assert_eq!(Target::of("/%c0%ae%c0%ae/a").expect("a name").path.components().count(), 2);
        assert_eq!(found("/a\\..\\b"), ("a\\..\\b".into(), false));
    }

    #[test]
    fn nothing_leads_up_in_any_encoding() {
        for path in [
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/%2e%2e/a",
            "/%2E%2e/a",
            "/.%2e/a",
            "/%2e./a",
            "/..%2fa",
            "/%2e%2e%2fa",
            "/a%2f..%2fb",
            "/./a",
            "/a/.",
            "/%2e",
            "/.git/config",
            "/a/.env",
            "*",
            "a",
        ] {
            assert_eq!(Target::of(path), Err(Refused::Hidden), "{path}");
        }
        for path in ["/%", "/%2", "/%zz", "/a%00", "/%00", "/%+1"] {
            assert_eq!(Target::of(path), Err(Refused::Malformed), "{path}");
        }
    }

    #[test]
    fn a_folder_is_named_in_ascii_and_never_as_another_host() {
        let folder = |path: &str| Target::of(path).expect(path).as_folder();
        assert_eq!(folder("/a b"), "./a%20b/");
        assert_eq!(folder("/a/b"), "./b/");
        assert_eq!(folder("/a/b%2fc"), "./b/c/");
        assert_eq!(folder("/a/%2f%2fb%2f%2fc"), "./b/c/");
        assert_eq!(folder("//example.org"), "./example.org/");
        assert_eq!(folder("/%2f%2fexample.org"), "./example.org/");
        assert_eq!(folder("/http:x"), "./http%3Ax/");
        assert_eq!(folder("/%0d%0aSet-Cookie:x"), "./%0D%0ASet-Cookie%3Ax/");
        assert_eq!(folder("/\\example.org"), "./%5Cexample.org/");
    }
}
