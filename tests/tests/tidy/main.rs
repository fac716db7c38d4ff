//! The house rules that can be read off the sources. A breach is named with file, line and the rule's reason.

mod code;
mod face;
mod files;
mod libuv;
mod sources;
mod words;
