//! The floor of datagrams that are sent back: for each event one `recvmmsg` and one `sendmmsg`.

use crate::batch::Batch;
use crate::poller::{EventFlags, Poller};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use upcall::say;

/// Serves until a signal ends it.
pub(crate) fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    say::out(socket.local_addr()?);
    let (mut poller, mut batch) = (Poller::new()?, Batch::new());
    poller.add(&socket, 0, EventFlags::IN)?;
    loop {
        poller.wait(None)?;
        if batch.receive(&socket)? {
            batch.send_back(&socket);
        }
    }
}
