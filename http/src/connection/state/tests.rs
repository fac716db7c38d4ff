//! Each cell of the table, and what else the state promises.

use super::{Closing, Reading, State, Word};
use std::cell::Cell;

use Closing::{ForClient, ForServer, LastRequest, Lingering, Open, Truncated};
use Reading::{Body, Fresh, Head, Idle, Ignored, Raw, Trailing};

const ALL: [Reading; 7] = [Fresh, Idle, Head, Body, Ignored, Trailing, Raw];

type Event = fn(&State);

/// In a turn, with nothing beside.
fn at(reading: Reading, closing: Closing) -> State {
    State(Cell::new(Word { reading, closing, ..Word::BETWEEN_REQUESTS }))
}

#[test]
fn every_cell_of_the_table() {
    let (ended, closed) = (
        [Fresh, Idle, Head, Ignored, Ignored, Trailing, Raw],
        [Ignored, Ignored, Ignored, Body, Ignored, Trailing, Raw],
    );
    let rows: [(Closing, Event, _); 12] = [
        (Open, |s| _ = s.head_started(), [Head, Head, Head, Body, Ignored, Trailing, Raw]),
        (Open, |s| _ = s.head_completed(), [Body, Body, Body, Body, Ignored, Trailing, Raw]),
        (Open, State::message_ended, [Fresh, Idle, Head, Idle, Ignored, Trailing, Raw]),
        (LastRequest, State::message_ended, ended),
        (ForServer, State::message_ended, ended),
        (Lingering, State::message_ended, ended),
        (Open, |s| s.close(LastRequest), closed),
        (Open, |s| s.close(ForServer), closed),
        (Open, |s| s.close(Lingering), closed),
        (Open, State::refused, [Ignored, Ignored, Ignored, Ignored, Ignored, Trailing, Raw]),
        (Open, State::bytes_skipped, [Fresh, Trailing, Head, Body, Trailing, Trailing, Raw]),
        (Open, State::upgraded, [Ignored, Ignored, Ignored, Raw, Ignored, Trailing, Raw]),
    ];
    for (index, (closing, event, expected)) in rows.into_iter().enumerate() {
        let row = ALL.map(|reading| {
            let state = at(reading, closing);
            event(&state);
            state.get().reading
        });
        assert_eq!(row, expected, "row {index}");
    }
}

#[test]
fn the_clock_restarts_at_the_first_byte_of_every_request_but_the_first() {
    for reading in ALL {
        let restarts = [at(reading, Open).head_started(), at(reading, Open).head_completed()];
        assert_eq!(restarts, [reading == Idle; 2], "{reading:?}");
    }
}

/// Everything that may stand still does, or nothing.
fn stands(state: &State) -> bool {
    let stands = [state.is_body_stopped(), state.is_stalled(), state.get().socket_full];
    assert!(stands == [true; 3] || stands == [false; 3], "{state:?}");
    stands[0]
}

#[test]
fn the_end_only_comes_nearer_and_then_nothing_stands_still() {
    let state = State::new();
    state.pause_body();
    state.set_socket_full(true);
    state.set_stalled(true);
    let mut nearest = Open;
    for to in
        [LastRequest, ForServer, LastRequest, ForClient, ForServer, Truncated, ForClient, Lingering, Open]
    {
        state.close(to);
        nearest = nearest.max(to);
        assert_eq!((state.get().closing, state.is_ending()), (nearest, nearest > LastRequest));
        assert_eq!(stands(&state), nearest < Lingering);
    }
}

#[test]
fn a_client_that_ended_behind_unread_input_counts_while_decoding_is_stalled() {
    let state = State::new();
    for (is_unread, is_stalled, counts) in [
        (true, false, [false, false]),
        (true, true, [false, true]),
        (true, false, [false, false]),
        (false, true, [true, false]),
        (true, true, [true, false]),
    ] {
        state.client_ended(is_unread);
        state.set_stalled(is_stalled);
        assert_eq!([state.has_client_ended(), state.has_ended_unread()], counts, "{state:?}");
    }
}

#[test]
fn a_body_stands_until_it_is_claimed_resumed_or_over() {
    let state = State::new();
    assert!(!state.claim_body() && !state.resume_body());
    state.hold_body();
    state.pause_body();
    assert!(state.claim_body() && !state.claim_body(), "it was held once");
    assert!(state.is_body_stopped(), "it is paused still");
    assert!(state.resume_body() && !state.is_body_stopped());
    state.hold_body();
    state.pause_body();
    state.message_ended();
    assert!(!state.is_body_stopped());
}

#[test]
fn anything_beside_a_request_that_is_served_is_seen_in_the_word() {
    let changes: [Event; 10] = [
        |_| {},
        |s| s.close(LastRequest),
        |s| s.close(Lingering),
        |s| s.client_ended(false),
        |s| s.client_ended(true),
        |s| s.pause_body(),
        |s| s.hold_body(),
        |s| s.set_socket_full(true),
        |s| s.set_stalled(true),
        |s| s.set_in_turn(false),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        for reading in ALL {
            let state = at(reading, Open);
            change(&state);
            let expected = index == 0 && matches!(reading, Fresh | Idle | Head);
            assert_eq!(state.is_between_requests(), expected, "{state:?}");
            assert_eq!(state.is_serving(), index == 0 && reading == Body, "{state:?}");
        }
    }
}
