//! Each sentence about the pool's decisions, by itself.

use crate::pool::{
    Bounds, ConnectionId, Counters, Decision, Keep, Pool, Release, RequestId, Scheduling, Start,
};
use crate::unbounded;
use std::collections::HashMap;
use std::time::Duration;

/// A pool with a clock.
struct Site {
    pool: Pool,
    now: Duration,
}

impl Site {
    fn new(bounds: Bounds) -> Self {
        Self { pool: Pool::new(bounds), now: Duration::from_secs(100) }
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn request(&mut self, origin: &str) -> Decision {
        self.pool.request(origin, self.now)
    }

    /// A connection for a request, new or used.
    fn get(&mut self, origin: &str) -> ConnectionId {
        match self.request(origin) {
            Decision::Reuse(id) => id,
            Decision::Connect { connection, evicted: None } => {
                self.pool.connected(connection);
                connection
            }
            other => panic!("{other:?}"),
        }
    }

    fn counters(&self, origin: &str) -> Option<Counters> {
        self.pool.origins().find(|(name, _)| *name == origin).map(|(_, counters)| counters)
    }

    fn is_empty(&self) -> bool {
        self.pool.total().connections() == 0 && self.pool.waiting().is_empty()
    }

    fn wait(&mut self, origin: &str) -> RequestId {
        match self.request(origin) {
            Decision::Wait(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn release(&mut self, id: ConnectionId) -> Release {
        self.pool.release(id, Keep::Yes, self.now)
    }

    /// What becomes of a connection that is idle for as long as usual.
    fn idle_in_place_of(&self, evicted: Option<ConnectionId>) -> Release {
        Release::Idle { until: self.now + Duration::from_secs(5), evicted }
    }

    /// So many idle connections of an origin, in the order of their release.
    fn idle<const COUNT: usize>(&mut self, origin: &str) -> [ConnectionId; COUNT] {
        let all = [(); COUNT].map(|()| self.get(origin));
        for id in all {
            assert_eq!(self.release(id), self.idle_in_place_of(None));
        }
        all
    }
}

// HC44
#[test]
fn an_idle_connection_is_over_after_the_idle_time() {
    let mut site = Site::new(unbounded());
    let [id] = site.idle("a");
    assert_eq!(site.pool.next_expiry(), Some(site.now + Duration::from_secs(5)));
    site.after(4);
    assert_eq!(site.pool.expire(site.now), []);
    site.after(1);
    assert_eq!(site.pool.expire(site.now), [id]);
    assert_eq!(site.pool.next_expiry(), None);
}

// HC44
#[test]
fn a_servers_hint_replaces_the_idle_time_but_for_a_margin_and_up_to_a_limit() {
    for (hint, idle) in
        [(2, Some(1)), (5, Some(4)), (60, Some(59)), (86_400, Some(599)), (1, None), (0, None)]
    {
        let mut site = Site::new(unbounded());
        let id = site.get("a");
        let released = site.pool.release(id, Keep::For(Duration::from_secs(hint)), site.now);
        let until = idle.map(|idle| site.now + Duration::from_secs(idle));
        let expected = until.map_or(Release::Close(None), |until| Release::Idle { until, evicted: None });
        assert_eq!(released, expected, "{hint}");
        assert_eq!(site.pool.next_expiry(), until, "{hint}");
    }
}

// HC44
#[test]
fn a_connection_that_is_over_is_not_handed_out_although_no_timer_has_fired() {
    let mut site = Site::new(unbounded());
    let [id] = site.idle("a");
    site.after(5);
    assert_eq!(site.request("a"), Decision::Discard(id));
    assert!(matches!(site.request("a"), Decision::Connect { .. }));
}

// HC45
#[test]
fn the_connection_that_was_used_last_is_reused_first() {
    let mut site = Site::new(unbounded());
    let all: [_; 3] = site.idle("a");
    assert_eq!([(); 3].map(|()| site.get("a")), [all[2], all[1], all[0]]);
}

// HC45
#[test]
fn the_connection_that_was_idle_for_longest_can_be_reused_first() {
    let mut site = Site::new(Bounds { scheduling: Scheduling::Fifo, ..unbounded() });
    let all: [_; 3] = site.idle("a");
    assert_eq!([(); 3].map(|()| site.get("a")), all);
}

// HC45
#[test]
fn the_least_used_connection_can_be_reused_first_which_spreads_the_requests() {
    let mut site = Site::new(Bounds { scheduling: Scheduling::LeastUsed, ..unbounded() });
    let all: [_; 5] = site.idle("a");
    let mut counts = HashMap::from(all.map(|id| (id, 0)));
    // Up to three requests at a time, which are answered out of order.
    let mut busy = Vec::new();
    for number in 0..1000 {
        let id = site.get("a");
        *counts.get_mut(&id).expect("no further connection is made") += 1;
        busy.push(id);
        if busy.len() > number % 4 {
            let id = busy.remove(number % busy.len());
            site.release(id);
        }
    }
    assert!(counts.values().all(|count| (180..=220).contains(count)), "{counts:?}");
}

// HC45
#[test]
fn a_new_connection_does_not_get_every_request_until_it_has_had_as_many_as_the_others() {
    let mut site = Site::new(Bounds { scheduling: Scheduling::LeastUsed, ..unbounded() });
    site.idle::<2>("a");
    for _ in 0..100 {
        let id = site.get("a");
        site.release(id);
    }
    let all = [(); 3].map(|()| site.get("a"));
    for id in all {
        site.release(id);
    }
    let mut of_new = 0;
    for _ in 0..30 {
        let id = site.get("a");
        of_new += usize::from(id == all[2]);
        site.release(id);
    }
    assert!((8..=12).contains(&of_new), "{of_new} of 30");
}

// HC46
#[test]
fn the_oldest_idle_connection_of_an_origin_with_too_many_goes() {
    let mut site = Site::new(Bounds { max_idle_per_origin: 2, ..unbounded() });
    let all: [_; 3] = [(); 3].map(|()| site.get("a"));
    let other = site.get("b");
    let evicted = all.map(|id| site.release(id));
    let none = site.idle_in_place_of(None);
    assert_eq!(evicted, [none, none, site.idle_in_place_of(Some(all[0]))]);
    assert_eq!(site.release(other), none, "another origin has its own limit");
}

// HC47
#[test]
fn an_origins_limit_counts_connecting_active_and_idle_connections() {
    let mut site = Site::new(Bounds { max_per_origin: 2, ..unbounded() });
    assert!(matches!(site.request("a"), Decision::Connect { .. }));
    let active = site.get("a");
    let first = site.wait("a");
    assert!(matches!(site.request("b"), Decision::Connect { .. }), "it holds up no other");
    assert_eq!(site.release(active), Release::Serve(first));
    assert_eq!(site.release(active), site.idle_in_place_of(None));
    let counters = site.counters("a").expect("it is in use");
    assert_eq!((counters.connecting, counters.active, counters.idle), (1, 0, 1));
    assert_eq!(site.request("a"), Decision::Reuse(active));
    site.wait("a");
}

// HC48
#[test]
fn at_the_total_limit_the_least_recently_used_idle_connection_makes_room_or_the_request_waits() {
    let mut site = Site::new(Bounds { max_total: 3, ..unbounded() });
    let [first] = site.idle("a");
    let [second] = site.idle("b");
    let [third] = site.idle("c");
    // No other was used more recently now.
    assert_eq!(site.get("a"), first);
    site.release(first);
    for expected in [second, third, first] {
        let Decision::Connect { evicted, .. } = site.request("d") else { panic!("there is room") };
        assert_eq!(evicted, Some(expected));
    }
    site.wait("d");
}

// HC49
#[test]
fn the_oldest_request_is_served_first_over_all_origins() {
    let mut site = Site::new(Bounds { max_total: 2, ..unbounded() });
    let (one, other) = (site.get("a"), site.get("b"));
    let waiting = ["c", "a", "b", "c"].map(|origin| site.wait(origin));
    // Those of c are older than those of a: the connection of a makes room.
    let Release::Close(Some(Start { request, connection })) = site.release(one) else { panic!("c is next") };
    assert_eq!(request, waiting[0]);
    // Then a is older than b.
    let Release::Close(Some(Start { request, connection: of_a })) = site.release(other) else {
        panic!("a is next")
    };
    assert_eq!(request, waiting[1]);
    // The next of c may have the connection of c, but b is older.
    let Release::Close(Some(Start { request, connection: of_b })) = site.release(connection) else {
        panic!("b is next")
    };
    assert_eq!(request, waiting[2]);
    let Some(Start { request, .. }) = site.pool.remove(of_b, site.now) else { panic!("c is next") };
    assert_eq!(request, waiting[3]);
    assert_eq!(site.release(of_a), site.idle_in_place_of(None));
}

// HC49
#[test]
fn an_origin_at_its_limit_holds_up_no_other() {
    let mut site = Site::new(Bounds { max_per_origin: 1, max_total: 2, ..unbounded() });
    let (_, of_b) = (site.get("a"), site.get("b"));
    site.wait("a");
    let younger = site.wait("c");
    let Release::Close(Some(start)) = site.release(of_b) else { panic!("c is next") };
    assert_eq!(start.request, younger, "the older request cannot have a connection");
}

// HC50
#[test]
fn a_request_beyond_the_queues_bound_is_refused_at_once() {
    let mut site = Site::new(Bounds { max_per_origin: 1, max_waiting: 2, ..unbounded() });
    site.get("a");
    let first = site.wait("a");
    site.wait("a");
    assert_eq!(site.request("a"), Decision::QueueFull);
    site.get("b");
    assert_eq!(site.request("b"), Decision::QueueFull, "the bound is of all origins together");
    site.pool.cancel(first);
    site.wait("a");
}

// HC51
#[test]
fn a_request_that_is_cancelled_frees_its_place_and_starts_no_connection() {
    let mut site = Site::new(Bounds { max_per_origin: 1, ..unbounded() });
    let busy = site.get("a");
    let waiting = [(); 3].map(|()| site.wait("a"));
    site.pool.cancel(waiting[0]);
    site.pool.cancel(waiting[2]);
    assert_eq!(site.release(busy), Release::Serve(waiting[1]));
    // It has a connection already.
    site.pool.cancel(waiting[1]);
    assert_eq!(site.release(busy), site.idle_in_place_of(None));
    let counters = site.counters("a").expect("it is in use");
    assert_eq!((counters.made, counters.waiting), (1, 0));
}

// HC52
#[test]
fn a_connection_that_closes_while_requests_wait_is_replaced_at_once() {
    let mut site = Site::new(Bounds { max_per_origin: 1, ..unbounded() });
    let mut busy = site.get("a");
    for expected in [(); 3].map(|()| site.wait("a")) {
        let start = site.pool.remove(busy, site.now).expect("a request waits");
        assert_eq!(start.request, expected);
        busy = start.connection;
    }
    assert_eq!(site.pool.remove(busy, site.now), None);
    assert!(site.is_empty());
}

// HC61
#[test]
fn the_greatest_age_and_number_of_requests_are_obeyed_at_the_return() {
    let bounds = Bounds { max_age: Some(Duration::from_secs(10)), max_requests: Some(3), ..unbounded() };
    let mut site = Site::new(bounds);
    let [id] = site.idle("a");
    assert_eq!(site.get("a"), id);
    site.after(9);
    let until = site.now + Duration::from_secs(1);
    assert_eq!(site.release(id), Release::Idle { until, evicted: None });
    assert_eq!(site.get("a"), id);
    assert_eq!(site.release(id), Release::Close(None), "it has had three requests");
    let old = site.get("a");
    site.after(10);
    assert_eq!(site.release(old), Release::Close(None), "it is ten seconds old");
}

// HC61, HC75
#[test]
fn an_idle_connection_does_not_outlast_the_greatest_age() {
    let mut site = Site::new(Bounds { max_age: Some(Duration::from_secs(10)), ..unbounded() });
    let (busy, id) = (site.get("a"), site.get("a"));
    site.after(8);
    site.release(id);
    assert_eq!(site.pool.next_expiry(), Some(site.now + Duration::from_secs(2)));
    site.after(2);
    assert_eq!(site.pool.expire(site.now), [id], "its idle time is not over");
    assert_eq!(site.release(busy), Release::Close(None));
}

// HC64
#[test]
fn ten_thousand_that_are_over_together_are_found_in_one_look() {
    let mut site = Site::new(Bounds { max_idle_per_origin: usize::MAX, ..unbounded() });
    let ids: Vec<_> = (0..10_000).map(|_| site.get("a")).collect();
    for id in &ids {
        site.release(*id);
    }
    let later = site.get("b");
    site.after(1);
    site.release(later);
    site.after(4);
    assert_eq!(site.pool.expire(site.now), ids);
    assert_eq!(site.pool.next_expiry(), Some(site.now + Duration::from_secs(1)), "one is left");
}

// HC63
#[test]
fn origins_that_nothing_uses_are_remembered_up_to_a_number_and_their_counts_always() {
    let mut site = Site::new(unbounded());
    for number in 0..1000 {
        let id = site.get(&format!("origin {number}"));
        site.pool.remove(id, site.now);
    }
    assert!(site.counters("origin 999").is_some() && site.counters("origin 0").is_none());
    assert!(site.pool.origins().count() <= 300);
    assert_eq!(site.pool.total().made, 1000);
}
