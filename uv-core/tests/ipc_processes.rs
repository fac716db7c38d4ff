//! Handles that travel to another process, or to another thread, and come back.

mod common;
mod helper;

use common::*;
use helper::{Helper, is_helper_of};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::handle::HandleKind;
use uv_core::socket::{PipeName, Received};
use uv_core::{LoopHandle, Pipe, Stream, Tcp};

/// The handle that was received, which the loop owns from now on.
fn adopt(event_loop: &LoopHandle, received: Received) -> Stream {
    match received.kind {
        Some(HandleKind::Tcp) => {
            let tcp = Tcp::new(event_loop);
            tcp.open(received.fd).expect("open");
            (*tcp).clone()
        }
        Some(HandleKind::Pipe) => {
            let pipe = Pipe::new(event_loop);
            pipe.open(received.fd).expect("open");
            (*pipe).clone()
        }
        kind => unreachable!("{kind:?} was not sent"),
    }
}

/// A second descriptor of the handle, to be sent.
fn sendable(stream: &Stream) -> Vec<Rc<OwnedFd>> {
    vec![Rc::new(stream.try_clone_fd().expect("a second descriptor"))]
}

/// The helper's part: sends every handle that comes through the channel back, and closes everything when two are sent.
fn send_back(channel: &Pipe) {
    let (this, event_loop, sent) = (channel.clone(), channel.loop_handle().clone(), Cell::new(0));
    let all = event_loop.clone();
    channel.set_upcall(
        Tower::new(&Log::new(), "helper")
            .on_read(move |_| {
                while let Some(received) = this.take_received() {
                    let handle = adopt(&event_loop, received);
                    this.write_fds(".", sendable(&handle)).expect("write");
                }
            })
            .on_write(move |result| {
                result.expect("the other end reads");
                sent.set(sent.get() + 1);
                if sent.get() == 2 {
                    all.close_all();
                }
            }),
    );
    channel.read_start().expect("read_start");
}

/// Sends both handles through the channel, each in a message of its own, until both are back; checks each
/// with the handle that came back for it, and closes everything.
fn send_and_receive(
    event_loop: &TestLoop,
    channel: &Pipe,
    handles: &[Stream; 2],
    check: fn(&Stream, &Stream),
) {
    let back: Rc<RefCell<Vec<Stream>>> = Rc::default();
    let (this, into) = (channel.clone(), Rc::clone(&back));
    channel.set_upcall(Tower::new(&Log::new(), "channel").on_read(move |_| {
        assert!(this.pending_count() > 0, "each byte comes with a handle");
        while let Some(received) = this.take_received() {
            into.borrow_mut().push(adopt(this.loop_handle(), received));
        }
    }));
    for handle in handles {
        channel.write_fds(".", sendable(handle)).expect("write");
    }
    channel.read_start().expect("read_start");
    event_loop.until(|| back.borrow().len() == 2);
    handles.iter().zip(back.take()).for_each(|(sent, back)| {
        check(sent, &back);
        sent.close();
        back.close();
    });
    channel.close();
}

fn through_a_process(test: &str, make: fn(&TestLoop) -> [Stream; 2], check: fn(&Stream, &Stream)) {
    let event_loop = test_loop();
    if is_helper_of(test) {
        send_back(&helper::channel(&event_loop));
        return event_loop.finish();
    }
    let (helper, channel) = Helper::with_channel(&event_loop, test);
    let handles = make(&event_loop);
    send_and_receive(&event_loop, &channel, &handles, check);
    event_loop.finish();
    assert!(helper.succeeded());
}

/// Over a named pipe.
fn through_a_thread(make: fn(&TestLoop) -> [Stream; 2], check: fn(&Stream, &Stream)) {
    let path = socket_path();
    let name = path.path();
    let (ready, listens) = std::sync::mpsc::channel();
    let helper = std::thread::spawn(move || {
        let event_loop = test_loop();
        let server = Pipe::new_ipc(&event_loop);
        server.bind(&name).expect("bind");
        let accept = |server: &Stream, _| {
            let channel = server.accept().expect("accept");
            send_back(&Pipe::from_stream(&channel).expect("it is a pipe"));
        };
        server.listen_with(1, accept).expect("listen");
        ready.send(()).expect("the test waits");
        event_loop.finish();
    });
    listens.recv().expect("the helper listens");
    let event_loop = test_loop();
    let (channel, log) = (Pipe::new_ipc(&event_loop), Log::new());
    channel.set_upcall(Tower::new(&log, "channel"));
    channel.connect(path.path()).expect("connect");
    event_loop.until(|| log.has("channel connect ok"));
    let handles = make(&event_loop);
    send_and_receive(&event_loop, &channel, &handles, check);
    event_loop.finish();
    helper.join().expect("join");
}

fn two_bound_sockets(event_loop: &TestLoop) -> [Stream; 2] {
    [(), ()].map(|()| (*bound(event_loop).0).clone())
}

fn is_the_same_socket(sent: &Stream, back: &Stream) {
    let addr =
        |stream: &Stream| Tcp::from_stream(stream).expect("it is TCP").local_addr().expect("an address");
    assert_eq!(addr(sent), addr(back));
}

/// With names of the kernel's choice.
fn two_bound_pipes(event_loop: &TestLoop) -> [Stream; 2] {
    [(), ()].map(|()| {
        let pipe = Pipe::new_ipc(event_loop);
        pipe.bind("").expect("bind");
        (*pipe).clone()
    })
}

fn is_the_same_pipe(sent: &Stream, back: &Stream) {
    let name =
        |stream: &Stream| Pipe::from_stream(stream).expect("it is a pipe").local_name().expect("a name");
    assert_eq!(name(sent), name(back));
    assert!(matches!(name(back), PipeName::Abstract(_)));
}

// libuv: ipc_send_recv_tcp
#[test]
fn sockets_go_to_another_process_and_come_back() {
    let test = "sockets_go_to_another_process_and_come_back";
    through_a_process(test, two_bound_sockets, is_the_same_socket);
}

// libuv: ipc_send_recv_tcp_inprocess
#[test]
fn sockets_go_to_another_thread_and_come_back() {
    through_a_thread(two_bound_sockets, is_the_same_socket);
}

// libuv: ipc_send_recv_pipe
#[test]
fn pipes_go_to_another_process_and_come_back() {
    through_a_process("pipes_go_to_another_process_and_come_back", two_bound_pipes, is_the_same_pipe);
}

// libuv: ipc_send_recv_pipe_inprocess
#[test]
fn pipes_go_to_another_thread_and_come_back() {
    through_a_thread(two_bound_pipes, is_the_same_pipe);
}

/// Writes as much as it reads, in so many pieces that the channel is full both ways, and ends its side when everything has
/// come. Returns how many bytes were read.
fn exchange(channel: &Pipe) -> Rc<Cell<usize>> {
    const PIECES: usize = 64;
    const BYTES: usize = 4 << 20;
    let read = Rc::new(Cell::new(0));
    let (total, this, ended) = (Rc::clone(&read), channel.clone(), channel.clone());
    channel.set_upcall(
        Tower::new(&Log::new(), "channel")
            .on_read(move |data| {
                assert!(data.iter().all(|byte| *byte == 7));
                total.set(total.get() + data.len());
                if total.get() == BYTES {
                    this.read_stop();
                    this.shutdown().expect("shutdown");
                }
            })
            .on_write(|result| result.expect("the other end reads"))
            // The other process may have ended: it has everything.
            .on_shutdown(move |_| ended.close()),
    );
    for _ in 0..PIECES {
        channel.write(vec![7; BYTES / PIECES]).expect("write");
    }
    assert!(channel.write_queue_size() > 0, "more than the channel holds");
    channel.read_start().expect("read_start");
    read
}

// libuv: ipc_heavy_traffic_deadlock_bug
#[test]
fn two_processes_that_both_write_much_before_they_read_do_not_deadlock() {
    let test = "two_processes_that_both_write_much_before_they_read_do_not_deadlock";
    let event_loop = test_loop();
    if is_helper_of(test) {
        exchange(&helper::channel(&event_loop));
        return event_loop.finish();
    }
    let (helper, channel) = Helper::with_channel(&event_loop, test);
    let read = exchange(&channel);
    event_loop.finish();
    assert_eq!(read.get(), 4 << 20);
    assert!(helper.succeeded());
}
