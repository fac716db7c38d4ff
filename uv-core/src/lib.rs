//! The event loop: libuv's phases, handles and requests on mio.
