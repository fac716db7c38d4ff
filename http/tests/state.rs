//! Each cell of the table of a connection's state, and what else the state promises. The state is private to the crate, and
//! depends on nothing of it, so its file is compiled into this test.

#[path = "../src/connection/state.rs"]
#[expect(dead_code, reason = "the connection uses all of it, this test does not")]
mod state;

use state::Closing::{ForClient, ForServer, LastRequest, Lingering, Open, Truncated};
use state::Reading::{self, Body, Fresh, Head, Idle, Ignored, Raw, Trailing};
use state::State;

const ALL: [Reading; 7] = [Fresh, Idle, Head, Body, Ignored, Trailing, Raw];

type Event = fn(&State);

/// A state in a turn of input.
fn at(reading: Reading) -> State {
    let state = State::new();
    state.set_in_turn(true);
    let events: &[Event] = match reading {
        Fresh => &[],
        Idle => &[|s| _ = s.head_completed(), State::message_ended],
        Head => &[|s| _ = s.head_started()],
        Body => &[|s| _ = s.head_completed()],
        Ignored => &[State::refused],
        Trailing => &[State::refused, State::bytes_skipped],
        Raw => &[|s| _ = s.head_completed(), State::upgraded],
    };
    events.iter().for_each(|event| event(&state));
    assert_eq!(state.get().reading, reading);
    state
}

#[test]
fn every_cell_of_the_table() {
    let closed = [Ignored, Ignored, Ignored, Body, Ignored, Trailing, Raw];
    let rows: [(Event, _); 9] = [
        (|s| _ = s.head_started(), [Head, Head, Head, Body, Ignored, Trailing, Raw]),
        (|s| _ = s.head_completed(), [Body, Body, Body, Body, Ignored, Trailing, Raw]),
        (State::message_ended, [Fresh, Idle, Head, Idle, Ignored, Trailing, Raw]),
        (|s| s.close(LastRequest), closed),
        (|s| s.close(ForServer), closed),
        (|s| s.close(Lingering), closed),
        (State::refused, [Ignored, Ignored, Ignored, Ignored, Ignored, Trailing, Raw]),
        (State::bytes_skipped, [Fresh, Trailing, Head, Body, Trailing, Trailing, Raw]),
        (State::upgraded, [Ignored, Ignored, Ignored, Raw, Ignored, Trailing, Raw]),
    ];
    for (index, (event, expected)) in rows.into_iter().enumerate() {
        let row = ALL.map(|reading| {
            let state = at(reading);
            event(&state);
            state.get().reading
        });
        assert_eq!(row, expected, "row {index}");
    }
    for closing in [LastRequest, ForServer, Truncated, Lingering] {
        let state = at(Body);
        state.close(closing);
        state.message_ended();
        assert_eq!(state.get().reading, Ignored, "no further request is taken after {closing:?}");
    }
}

#[test]
fn the_clock_restarts_at_the_first_byte_of_every_request_but_the_first() {
    for reading in ALL {
        let restarts = [at(reading).head_started(), at(reading).head_completed()];
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
            let state = at(reading);
            change(&state);
            let expected = index == 0 && matches!(reading, Fresh | Idle);
            assert_eq!(state.is_between_requests(), expected, "{state:?}");
            assert_eq!(state.is_serving(), index == 0 && reading == Body, "{state:?}");
        }
    }
}
