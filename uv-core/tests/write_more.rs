//! Output that more follows at once: the kernel keeps it until then.

mod common;

use common::*;
use std::fs;
use std::io::Read;
use uv_core::file::File;
use uv_core::{Errno, Pipe};

#[test]
fn what_a_file_follows_at_once_waits_for_it() {
    let event_loop = test_loop();
    let folder = socket_path();
    let path = folder.folder().join("file");
    fs::write(&path, [b'x'; 100]).expect("a file");
    let file = File::from_std(&event_loop, fs::File::open(&path).expect("it exists"), &path);
    let file = file.and_then(|file| file.range(..)).expect("a regular file");
    let waits = |_| {
        let (tcp, mut peer) = connected(&event_loop);
        assert_eq!(tcp.try_write_more(b""), Ok(0));
        assert_eq!(tcp.try_write_more(b"head "), Ok(5));
        peer.set_nonblocking(true).expect("option");
        // The kernel sends it after 200 ms, which a machine that is busy may take.
        let waits = peer.read(&mut [0; 8]).is_err();
        if waits {
            assert_eq!(tcp.try_write_file(&file), Ok(100));
            peer.set_nonblocking(false).expect("option");
            let mut all = [0; 105];
            peer.read_exact(&mut all).expect("read");
            assert_eq!(all[..], [b"head ", &[b'x'; 100][..]].concat());
        }
        tcp.close();
        waits
    };
    assert!((0..20).any(waits));
    event_loop.close_and_finish();
}

#[test]
fn another_kind_of_stream_writes_it_at_once() {
    let event_loop = test_loop();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let pipe = Pipe::new(&event_loop);
    pipe.open(writer.into()).expect("open");
    assert_eq!(pipe.try_write_more(b"another kind"), Ok(12));
    assert_eq!(reader.read(&mut [0; 20]).expect("read"), 12);
    pipe.close();
    assert_eq!(errno(pipe.try_write_more(b"late")), Errno::EBADF);
    event_loop.close_and_finish();
}
