//! Primary and workers: one listening socket, many processes.
