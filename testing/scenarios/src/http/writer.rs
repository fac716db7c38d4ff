//! How an answer is given: at once, in pieces, with pauses and back-pressure, and dropped or broken off.

use super::plan::{Ending, Exchange, Form, count};
use super::wire;
use ::http::upcall::ResponseHandler;
use ::http::{Error, Response};
use async_wrap::Environment;
use std::rc::Rc;
use std::time::Duration;

/// Begins an answer.
pub(super) fn answer(env: &Environment, exchange: &Rc<Exchange>, response: Response) {
    let plan = &exchange.answer;
    if plan.is_announced {
        check(response.write_information(103, &[("Link", "</a>")]));
    }
    check(response.set_status(plan.status));
    if plan.sets_close {
        check(response.set_header("Connection", "close"));
    }
    if plan.has_field {
        check(response.set_header("X-Field", "1"));
    }
    if plan.sets_length {
        let total: usize = plan.pieces.iter().sum();
        check(response.set_header("Content-Length", total.to_string()));
    }
    let form = match plan.form {
        // Its handler has got its last event.
        Form::Drained | Form::Yielded if exchange.seen.closed.get() > 0 => Form::Burst,
        form => form,
    };
    match form {
        Form::Whole => match plan.ending {
            Ending::End => check(response.end(&exchange.piece(0))),
            Ending::Dropped => drop(response),
            Ending::Destroyed => response.destroy(),
        },
        Form::Burst => {
            for index in 0..plan.pieces.len() {
                check(response.write(&exchange.piece(index)));
            }
            end(exchange, &response);
        }
        Form::Timed(pause) => write_on(env, exchange, response, pause, 0),
        // The handler writes.
        Form::Drained | Form::Yielded => response.yield_now(),
    }
}

/// Writes a piece after each pause.
fn write_on(env: &Environment, exchange: &Rc<Exchange>, response: Response, pause: Duration, index: usize) {
    if index == exchange.answer.pieces.len() {
        return end(exchange, &response);
    }
    check(response.write(&exchange.piece(index)));
    let (next, exchange) = (env.clone(), Rc::clone(exchange));
    env.set_timeout(pause, move || write_on(&next, &exchange, response, pause, index + 1));
}

fn end(exchange: &Exchange, response: &Response) {
    match exchange.answer.ending {
        Ending::End => {
            if wire::has_trailer(exchange) {
                check(response.add_trailer("X-Sum", "1"));
            }
            check(response.end(b""));
        }
        Ending::Dropped => {}
        Ending::Destroyed => response.destroy(),
    }
}

/// A call may fail because the connection is closed, and for nothing else.
fn check<T>(result: ::http::Result<T>) {
    if let Err(error) = result
        && error != Error::Closed
    {
        panic!("a call of the response failed: {error}");
    }
}

/// Counts the events of a response, and writes it if it is written with each `on_drain`.
pub(super) struct Watch {
    exchange: Rc<Exchange>,
    next: usize,
}

impl Watch {
    pub(super) fn new(exchange: &Rc<Exchange>) -> Self {
        Self { exchange: Rc::clone(exchange), next: 0 }
    }

    fn is_over(&self) -> bool {
        self.exchange.seen.finished.get() + self.exchange.seen.closed.get() > 0
    }
}

impl ResponseHandler for Watch {
    fn on_drain(&mut self, response: &Response) {
        assert!(!self.is_over(), "on_drain behind the last event of a response");
        let exchange = &self.exchange;
        if !matches!(exchange.answer.form, Form::Drained | Form::Yielded) {
            return;
        }
        while self.next < exchange.answer.pieces.len() {
            let written = response.write(&exchange.piece(self.next));
            self.next += 1;
            if exchange.answer.form == Form::Yielded {
                response.yield_now();
                return;
            }
            match written {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return check(written),
            }
        }
        end(exchange, response);
    }

    fn on_finish(&mut self, _: &Response) {
        assert!(!self.is_over(), "on_finish behind the last event of a response");
        count(&self.exchange.seen.finished);
    }

    fn on_client_end(&mut self, _: &Response) {
        assert!(!self.is_over(), "on_client_end behind the last event of a response");
        count(&self.exchange.seen.client_ends);
        assert_eq!(self.exchange.seen.client_ends.get(), 1, "calls of on_client_end");
    }

    fn on_close(&mut self, _: &Response) {
        assert!(!self.is_over(), "on_close behind the last event of a response");
        count(&self.exchange.seen.closed);
    }
}
