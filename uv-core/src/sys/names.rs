//! Look-ups of names and addresses by the C library, and its error codes.

use super::addr::SockAddr;
use super::call;
use super::fd::last_errno;
use crate::Errno;
use crate::names::{AddrInfo, NameInfo};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::net::SocketAddr;
use std::ptr;

/// The most addresses of one answer: a DNS message, which has 64 KiB at most, has room for no more, and each comes once
/// for each of three types of sockets.
const MOST_ENTRIES: usize = 3 * 4096;

/// `NI_MAXHOST`.
const HOST_BYTES: usize = 1025;

/// `NI_MAXSERV`.
const SERVICE_BYTES: usize = 32;

/// glibc's codes that the crate `libc` does not have.
const EAI_ADDRFAMILY: libc::c_int = -9;
const EAI_CANCELED: libc::c_int = -101;

/// The codes of the C library, and libuv's numbers for them.
const CODES: &[(libc::c_int, Errno)] = &[
    (EAI_ADDRFAMILY, Errno::EAI_ADDRFAMILY),
    (libc::EAI_AGAIN, Errno::EAI_AGAIN),
    (libc::EAI_BADFLAGS, Errno::EAI_BADFLAGS),
    (EAI_CANCELED, Errno::EAI_CANCELED),
    (libc::EAI_FAIL, Errno::EAI_FAIL),
    (libc::EAI_FAMILY, Errno::EAI_FAMILY),
    (libc::EAI_MEMORY, Errno::EAI_MEMORY),
    (libc::EAI_NODATA, Errno::EAI_NODATA),
    (libc::EAI_NONAME, Errno::EAI_NONAME),
    (libc::EAI_OVERFLOW, Errno::EAI_OVERFLOW),
    (libc::EAI_SERVICE, Errno::EAI_SERVICE),
    (libc::EAI_SOCKTYPE, Errno::EAI_SOCKTYPE),
];

/// The arguments of getaddrinfo(3).
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) host: Option<CString>,
    pub(crate) service: Option<CString>,
    pub(crate) family: libc::c_int,
    pub(crate) socket_type: libc::c_int,
    pub(crate) flags: libc::c_int,
}

/// The arguments of getnameinfo(3).
#[derive(Debug)]
pub(crate) struct AskedName {
    pub(crate) addr: SocketAddr,
    pub(crate) flags: libc::c_int,
}

/// The C library's list of addresses.
struct List(*mut libc::addrinfo);

impl List {
    fn iter(&self) -> impl Iterator<Item = &libc::addrinfo> {
        // SAFETY: the pointers are null or point to entries that live until `freeaddrinfo`, which only `drop` calls.
        let entry = |at: *mut libc::addrinfo| unsafe { at.as_ref() };
        std::iter::successors(entry(self.0), move |last| entry(last.ai_next)).take(MOST_ENTRIES)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list came from `getaddrinfo` and is freed once.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

/// Looks up addresses, and waits as long as the C library does.
pub(crate) fn getaddrinfo(asked: &Asked) -> Result<AddrInfo, Errno> {
    call("getaddrinfo(3)", || {
        #[cfg(upcall_faults)]
        if let Some(answer) = crate::faults::find_addresses(asked) {
            return answer;
        }
        let list = list(asked)?;
        let (mut addresses, mut known) = (Vec::new(), HashSet::new());
        for entry in list.iter() {
            // SAFETY: the entry's address has the length that it states.
            let addr = unsafe { SockAddr::copied(entry.ai_addr, entry.ai_addrlen) };
            addresses.extend(addr.as_inet().filter(|addr| known.insert(*addr)));
        }
        let canonical_name = list.iter().find_map(|entry| name_at(entry.ai_canonname));
        if addresses.is_empty() { Err(Errno::EAI_NODATA) } else { Ok(AddrInfo { addresses, canonical_name }) }
    })
}

fn list(asked: &Asked) -> Result<List, Errno> {
    let as_ptr = |name: &Option<CString>| name.as_ref().map_or(ptr::null(), |name| name.as_ptr());
    // SAFETY: all zeroes is a valid `addrinfo`: integers and null pointers.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = asked.family;
    hints.ai_socktype = asked.socket_type;
    hints.ai_flags = asked.flags;
    let mut list = List(ptr::null_mut());
    // SAFETY: names are null or C strings, and outlive the call, as the hints do; the call writes one pointer.
    let code = unsafe {
        libc::getaddrinfo(as_ptr(&asked.host), as_ptr(&asked.service), &raw const hints, &raw mut list.0)
    };
    check(code).map(|()| list)
}

/// Looks up the names of an address and its port, and waits as long as the C library does.
pub(crate) fn getnameinfo(asked: &AskedName) -> Result<NameInfo, Errno> {
    call("getnameinfo(3)", || {
        #[cfg(upcall_faults)]
        if let Some(answer) = crate::faults::find_name(asked) {
            return answer;
        }
        let addr = SockAddr::inet(asked.addr);
        let (mut host, mut service) = ([0; HOST_BYTES], [0; SERVICE_BYTES]);
        // SAFETY: address and buffers outlive the call and have the lengths that it is given.
        check(unsafe {
            libc::getnameinfo(
                addr.as_ptr(),
                addr.len(),
                host.as_mut_ptr(),
                HOST_BYTES as libc::socklen_t,
                service.as_mut_ptr(),
                SERVICE_BYTES as libc::socklen_t,
                asked.flags,
            )
        })?;
        Ok(NameInfo { host: name_in(&host), service: name_in(&service) })
    })
}

fn check(code: libc::c_int) -> Result<(), Errno> {
    match code {
        0 => Ok(()),
        libc::EAI_SYSTEM => Err(last_errno()),
        // A code that no manual has.
        _ => Err(CODES.iter().find(|(known, _)| *known == code).map_or(Errno::EAI_FAIL, |(_, errno)| *errno)),
    }
}

/// The text of a look-up's error; `None` for other errors.
pub(crate) fn text(errno: Errno) -> Option<String> {
    let (code, _) = CODES.iter().find(|(_, known)| *known == errno)?;
    // SAFETY: takes an integer only.
    name_at(unsafe { libc::gai_strerror(*code) })
}

/// The C string at a pointer that is null or from the C library.
fn name_at(name: *const libc::c_char) -> Option<String> {
    // SAFETY: a text of `gai_strerror` is static, and a canonical name lives as long as its list, whose entries the
    // caller holds.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

/// The C string in a buffer.
fn name_in(buffer: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
