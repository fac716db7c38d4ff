//! An HTTP/1.1 server: connectionListener on a net socket.
