//! The entry points of the fuzz targets of this crate, whose decoders and readers are private. Not part of an ordinary
//! build.

use crate::admin::message::{
    Message, Topic, answer_packet, command_packet, notice_packet, parse_answer, parse_json,
    registration_packet, request_packet, response_packet,
};
use crate::admin::mqtt::{Decoder, FrameError, MAX_REGISTERED, Packet};
use crate::admin::registration::Registration;
use crate::args::{Args, pair, text_of, value_of};
use crate::cluster_seq::ClusterSeq;
use crate::config::{ConfigError, load_master, load_servers, load_tokens, load_users};
use crate::record::{check, cpu_list, program_args};
use crate::starter::quote::join;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The most bytes of a packet after its head.
const LIMIT: usize = 4096;

/// Decodes packets from all bytes at once and in pieces, and compares.
///
/// # Panics
/// The results differ, or a packet is longer than allowed.
pub fn packets(bytes: &[u8], pieces: &[&[u8]]) {
    let (whole, fault) = decode(&[bytes]);
    assert!(whole.iter().all(|packet| packet.len() < 6 * LIMIT), "a packet longer than allowed");
    assert_eq!(decode(pieces), (whole, fault));
}

/// The packets, in words, and the fault that ended them.
fn decode(pieces: &[&[u8]]) -> (Vec<String>, Option<FrameError>) {
    let (mut decoder, mut packets) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next(LIMIT) {
                Ok(Some(packet)) => packets.push(format!("{packet:?}")),
                Ok(None) => break,
                Err(fault) => return (packets, Some(fault)),
            }
        }
    }
    (packets, None)
}

/// Reads a payload as each of the messages, writes what it is, and reads that again.
///
/// # Panics
/// It is another message then.
pub fn message(payload: &[u8]) {
    if let Ok(message) = Message::parse(payload) {
        let packet = match &message {
            Message::Request { id, module, body } => request_packet(Topic::Monitor, id, module, body),
            Message::Notice { module, body } => notice_packet(Topic::Monitor, module, body),
            Message::Response { id, response } => response_packet(Topic::Monitor, &(*id).into(), response),
            Message::Command { id, command } => command_packet(Topic::Monitor, id, command),
        };
        assert_eq!(Message::parse(&payload_of(&packet)), Ok(message));
    }
    if let Ok(answer) = parse_answer(payload) {
        let packet = answer_packet(Topic::Register, answer.as_deref().map_or(Ok(()), Err));
        assert_eq!(parse_answer(&payload_of(&packet)), Ok(answer));
    }
    match parse_json(payload).map(Registration::parse) {
        Ok(Ok(Registration::User(login))) => {
            let again = Registration::parse(Value::Object(login.message()));
            assert!(matches!(again, Ok(Registration::User(again)) if again == login));
        }
        Ok(Ok(Registration::Server(claim))) => {
            let packet = registration_packet(Topic::Register, &claim.message());
            let again = parse_json(&payload_of(&packet)).map(Registration::parse);
            let Ok(Ok(Registration::Server(again))) = again else { panic!("{again:?} was {claim:?}") };
            assert_eq!((&again, &again.info), (&claim, &claim.info));
        }
        _ => {}
    }
}

fn payload_of(packet: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::default();
    decoder.push(packet);
    match decoder.next(MAX_REGISTERED) {
        Ok(Some(Packet::Publish { payload, .. })) => payload.to_vec(),
        other => panic!("no message: {other:?}"),
    }
}

/// Reads each of the configuration's files with this text.
///
/// # Panics
/// A server that is taken has a wrong record, or an error has no line of the file or more than one of its own.
pub fn config(text: &[u8]) {
    // Files in memory, where there are some: the disk is what takes time.
    let memory = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
    let base = memory.unwrap_or_else(std::env::temp_dir);
    let base = base.join(format!("upcall-fuzz-config-{}", std::process::id()));
    let folder = base.join("config");
    fs::create_dir_all(&folder).expect("a folder");
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    let check_error = |error: &ConfigError| {
        assert!(error.line().is_none_or(|line| (1..=lines).contains(&line)), "{error:?}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    };
    let write = |name: &str| fs::write(folder.join(name), text).expect("to write");
    write("servers.json");
    match load_servers(&base, "development", &mut ClusterSeq::default()) {
        Ok(servers) => servers.servers().iter().for_each(|info| check(info).expect("a right record")),
        Err(error) => check_error(&error),
    }
    write("master.json");
    load_master(&base, "development").map_or_else(|error| check_error(&error), drop);
    write("adminUser.json");
    load_users(&base, "development").map_or_else(|error| check_error(&error), drop);
    write("adminServer.json");
    load_tokens(&base, "development").map_or_else(|error| check_error(&error), drop);
}

/// Reads the words of a server's command line, and quotes them for a shell.
///
/// # Panics
/// A value changes when it is written and read again, or a shell would read other words.
pub fn words(words: &[String]) {
    if let Ok(args) = Args::parse(words) {
        for (key, value) in &args.values {
            let word = format!("{key}={}", text_of(value));
            let (_, text) = pair(&word).unwrap_or((key, ""));
            assert!(key == "main" || text_of(&value_of(text)) == text_of(value), "{word}");
        }
        let _ = (program_args(&args.values), args.values.get("cpu").map(cpu_list));
        args.environment(None);
    }
    assert_eq!(unquote(&join(words.iter().map(String::as_str))), words);
}

/// The words that a POSIX shell reads. Only what [`join`] may write is known.
fn unquote(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut chars) = (None::<String>, line.chars());
    while let Some(char) = chars.next() {
        if char == ' ' {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match char {
            '\'' => word.extend(chars.by_ref().take_while(|char| *char != '\'')),
            '\\' => word.extend(chars.next()),
            plain => {
                assert!(plain.is_ascii_alphanumeric() || "_-./:=,@%+".contains(plain), "{plain:?} in {line}");
                word.push(plain);
            }
        }
    }
    words.extend(word);
    words
}
