//! Each cell of the table, and what else the state promises.

use super::{Closing, Reading, State, Why, Word};
use std::cell::Cell;

use Reading::{Body, Fresh, Head, Idle, Ignored, Raw, Trailing};

const ALL: [Reading; 7] = [Fresh, Idle, Head, Body, Ignored, Trailing, Raw];

fn at(reading: Reading, closing: Closing) -> State {
    State(Cell::new(Word { reading, closing, in_turn: false, ..Word::BETWEEN_REQUESTS }))
}

/// What an event makes of each state that the table names, in its order.
fn row(closing: Closing, event: impl Fn(&State)) -> [Reading; 7] {
    ALL.map(|reading| {
        let state = at(reading, closing);
        event(&state);
        state.reading()
    })
}

#[test]
fn every_cell_of_the_table() {
    let open = Closing::Open;
    assert_eq!(row(open, |s| _ = s.head_started()), [Head, Head, Head, Body, Ignored, Trailing, Raw]);
    assert_eq!(row(open, |s| _ = s.head_completed()), [Body, Body, Body, Body, Ignored, Trailing, Raw]);
    assert_eq!(row(open, State::message_ended), [Fresh, Idle, Head, Idle, Ignored, Trailing, Raw]);
    for closing in
        [Closing::LastRequest, Closing::EndingForServer, Closing::EndingTruncated, Closing::Lingering]
    {
        assert_eq!(row(closing, State::message_ended)[3], Ignored, "{closing:?}");
    }
    let ignored = [Ignored, Ignored, Ignored, Body, Ignored, Trailing, Raw];
    assert_eq!(row(open, State::last_request), ignored);
    assert_eq!(row(open, |s| s.end(Why::Server)), ignored);
    assert_eq!(row(open, State::linger), ignored);
    assert_eq!(row(open, State::refused), [Ignored, Ignored, Ignored, Ignored, Ignored, Trailing, Raw]);
    assert_eq!(row(open, State::bytes_skipped), [Fresh, Trailing, Head, Body, Trailing, Trailing, Raw]);
    assert_eq!(row(open, State::upgraded), [Ignored, Ignored, Ignored, Raw, Ignored, Trailing, Raw]);
}

#[test]
fn the_clock_restarts_at_the_first_byte_of_every_request_but_the_first() {
    let restarts = |event: fn(&State) -> bool| ALL.map(|reading| event(&at(reading, Closing::Open)));
    let at_idle = ALL.map(|reading| reading == Idle);
    assert_eq!(restarts(State::head_started), at_idle);
    assert_eq!(restarts(State::head_completed), at_idle);
}

#[test]
fn the_end_only_comes_nearer_and_the_strongest_reason_counts() {
    let state = State::new();
    assert!(state.is_open() && state.due_end().is_none());
    state.last_request();
    assert!(!state.is_open() && !state.is_ending());
    for (why, due) in [
        (Why::Server, Why::Server),
        (Why::Client, Why::Client),
        (Why::Server, Why::Client),
        (Why::Truncated, Why::Truncated),
        (Why::Client, Why::Truncated),
    ] {
        state.end(why);
        assert_eq!(state.due_end(), Some(due));
    }
    state.last_request();
    assert!(state.is_ending());
    state.linger();
    state.end(Why::Client);
    assert!(state.is_lingering() && state.is_ending() && state.is_deaf() && state.due_end().is_none());
}

#[test]
fn a_client_that_ended_behind_unread_input_counts_while_decoding_is_stalled() {
    let state = State::new();
    state.client_ended_unread();
    assert!(state.is_client_end_known() && !state.has_ended_unread() && !state.has_client_ended());
    state.stall();
    assert!(state.has_ended_unread());
    state.unstall();
    state.client_ended();
    state.client_ended_unread();
    assert!(state.has_client_ended() && !state.has_ended_unread());
}

#[test]
fn a_body_stands_until_it_is_claimed_resumed_or_over() {
    let state = State::new();
    assert!(!state.claim_body() && !state.resume_body());
    state.hold_body();
    state.pause_body();
    assert!(state.is_body_held() && state.is_body_paused());
    assert!(state.claim_body() && !state.claim_body(), "it was held once");
    assert!(state.is_body_stopped(), "it is paused still");
    assert!(state.resume_body() && !state.is_body_stopped());
    for end in [State::message_ended, State::linger] {
        state.hold_body();
        state.pause_body();
        end(&state);
        assert!(!state.is_body_stopped());
    }
}

#[test]
fn nothing_stands_still_on_a_connection_that_lingers() {
    let state = State::new();
    state.socket_filled();
    state.stall();
    state.linger();
    assert!(!state.is_socket_full() && !state.is_stalled());
}

#[test]
fn anything_beside_a_request_that_is_served_is_seen_in_the_word() {
    for reading in ALL {
        let state = at(reading, Closing::Open);
        assert!(!state.is_between_requests() && !state.is_serving(), "there is no turn");
        state.turn_began();
        assert_eq!(state.is_between_requests(), matches!(reading, Fresh | Idle | Head), "{reading:?}");
        assert_eq!(state.is_serving(), reading == Body, "{reading:?}");
    }
    let changes: [fn(&State); 9] = [
        State::last_request,
        State::linger,
        State::client_ended,
        State::client_ended_unread,
        State::pause_body,
        State::hold_body,
        State::socket_filled,
        State::stall,
        State::turn_ended,
    ];
    for change in changes {
        for reading in [Fresh, Idle, Head, Body] {
            let state = at(reading, Closing::Open);
            state.turn_began();
            change(&state);
            assert!(!state.is_between_requests() && !state.is_serving(), "{state:?}");
        }
    }
}
