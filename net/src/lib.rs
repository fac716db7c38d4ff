//! net.Server and net.Socket over wrapped streams.
