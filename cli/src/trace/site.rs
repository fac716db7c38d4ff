//! What is served while it is traced: `serve`'s application, and beside it a tick and a microtask for each request, to
//! show where those run.

use super::collector::Collection;
use super::step::Step;
use app::App;
use async_wrap::Environment;
use http::upcall::RequestHandler;
use http::{Request, Response};

/// Steps of one trace that are kept: a thousand requests.
const MAX_STEPS: usize = 400_000;

pub(super) struct Site {
    pub(super) env: Environment,
}

impl RequestHandler for Site {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.env.next_tick(|| {});
        self.env.queue_microtask(|| {});
        App::default().on_request(request, response);
    }
}

/// Begins to collect what this thread does.
pub(super) fn collect() -> crate::args::Result<Collection> {
    Collection::begin(MAX_STEPS).ok_or_else(|| "another logger is in the way of the trace".into())
}

/// Ends the collection; the turn in which that happens is no part of it.
pub(super) fn steps_of(collection: Collection) -> Vec<Step> {
    let mut steps = collection.take();
    if let Some(last) = steps.iter().rposition(|step| step.call == "epoll_wait(2)") {
        steps.truncate(last);
    }
    steps
}
