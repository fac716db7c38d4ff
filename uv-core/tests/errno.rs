//! The names and the texts of errors, through the public interface.

use std::io;
use uv_core::Errno;

// libuv: error_message
#[test]
fn every_error_has_a_text_and_none_says_success() {
    assert_eq!(Errno::EINVAL.to_string(), "Invalid argument (EINVAL)");
    let unknown = Errno::from_raw(1337);
    assert_eq!((unknown.name(), unknown.raw()), ("EUNKNOWN", 1337));
    assert_eq!(unknown.to_string(), "Unknown error 1337 (EUNKNOWN)");
    for number in 1..134 {
        let error = Errno::from_raw(number);
        let text = error.to_string();
        assert!(!text.contains("Success") && text.ends_with(&format!(" ({})", error.name())), "{text}");
        assert!(error.name().starts_with('E') && text.len() > error.name().len() + 3, "{text}");
    }
}

// libuv: sys_error
#[test]
fn an_error_of_the_system_is_the_same_number_with_the_same_name() {
    for (number, name) in [
        (libc::EPERM, "EPERM"),
        (libc::EPIPE, "EPIPE"),
        (libc::EINVAL, "EINVAL"),
        (libc::ERANGE, "ERANGE"),
        (libc::EACCES, "EACCES"),
        (libc::ENOTEMPTY, "ENOTEMPTY"),
    ] {
        let error = Errno::from(io::Error::from_raw_os_error(number));
        assert_eq!((error, error.raw(), error.name()), (Errno::from_raw(number), number, name));
    }
    assert_eq!(Errno::from(io::Error::from_raw_os_error(libc::EPERM)), Errno::EPERM);
    // An error that no system call has made.
    assert_eq!(Errno::from(io::Error::other("made up")).name(), "EIO");
}

// libuv: `UV_ERRNO_MAP`, what Linux has of it.
#[test]
fn every_error_that_libuv_names_has_its_name() {
    const NAMED: &[(i32, &str)] = &[
        (libc::E2BIG, "E2BIG"),
        (libc::EDESTADDRREQ, "EDESTADDRREQ"),
        (libc::EHOSTDOWN, "EHOSTDOWN"),
        (libc::EILSEQ, "EILSEQ"),
        (libc::EMLINK, "EMLINK"),
        (libc::ENODATA, "ENODATA"),
        (libc::ENONET, "ENONET"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::EOVERFLOW, "EOVERFLOW"),
        (libc::EREMOTEIO, "EREMOTEIO"),
        (libc::ESHUTDOWN, "ESHUTDOWN"),
        (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
        (libc::ESPIPE, "ESPIPE"),
        (libc::EUNATCH, "EUNATCH"),
        (libc::EXDEV, "EXDEV"),
    ];
    for (number, name) in NAMED {
        assert_eq!(Errno::from_raw(*number).name(), *name);
    }
}
