//! The program on the server: it carries the plan out, and checks what it is told.

use super::plan::{Exchange, Form, Intake, Start, count};
use super::writer::{self, Watch};
use ::http::proto::{Fields, ParseError};
use ::http::upcall::{BodyHandler, RequestHandler};
use ::http::{Body, Request, Response, Server};
use ::net::Socket;
use async_wrap::Environment;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What the server's handler was told besides requests.
#[derive(Default)]
pub(super) struct Told {
    pub(super) closed: Cell<u32>,
    pub(super) client_errors: RefCell<Vec<ParseError>>,
    /// The handlers that are async functions, have not ended, and are not detached.
    pub(super) tasks: Cell<u32>,
    /// The first panic of a handler that is not by plan.
    pub(super) panic: RefCell<Option<Box<dyn Any + Send>>>,
    /// The detached handlers that were dropped before their end.
    pub(super) dropped: Cell<u32>,
}

/// The server's handler.
pub(super) struct Program {
    pub(super) env: Environment,
    /// By client and number.
    pub(super) exchanges: Rc<Vec<Vec<Rc<Exchange>>>>,
    pub(super) told: Rc<Told>,
}

impl Program {
    pub(super) fn find(&self, target: &str) -> Option<&Rc<Exchange>> {
        let (client, number) = target.strip_prefix('/')?.split_once('/')?;
        self.exchanges.get(client.parse::<usize>().ok()?)?.get(number.parse::<usize>().ok()?)
    }

    /// A request has come: it is the next one of its client.
    pub(super) fn note(&self, request: &Request<'_>) -> &Rc<Exchange> {
        let Some(exchange) = self.find(request.target) else {
            panic!("a request that no client sent: {request:?}")
        };
        assert_eq!(request.method, exchange.method, "the method of {}", request.target);
        assert_eq!(request.fields.get("host"), Some(&b"a"[..]), "the host of {}", request.target);
        let before = &self.exchanges[exchange.client][..exchange.number];
        let is_next =
            exchange.seen.requests.get() == 0 && before.iter().all(|one| one.seen.requests.get() == 1);
        assert!(is_next, "the request {} came twice or too early", request.target);
        count(&exchange.seen.requests);
        exchange
    }
}

impl RequestHandler for Program {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let exchange = self.note(request);
        if exchange.answer.is_watched {
            response.set_handler(Watch::new(exchange));
        }
        serve(&self.env, exchange, request, response);
    }

    fn on_client_error(&mut self, error: ParseError, _: &Socket) {
        self.told.client_errors.borrow_mut().push(error);
    }

    fn on_error(&mut self, _: &Server, _: ::net::Error) {}

    fn on_close(&mut self, _: &Server) {
        count(&self.told.closed);
    }
}

fn serve(env: &Environment, exchange: &Rc<Exchange>, request: &Request<'_>, response: Response) {
    let mut kept = Some(response);
    let is_after_body = matches!(exchange.answer.start, Start::AfterBody(_));
    let intake = |response: &mut Option<Response>| Take {
        env: env.clone(),
        exchange: Rc::clone(exchange),
        response: response.take_if(|_| is_after_body),
        len: 0,
    };
    match exchange.intake {
        Intake::Ignored => {}
        Intake::Read | Intake::Paused(_) => {
            count(&exchange.seen.bodies);
            request.body().set_handler(intake(&mut kept));
        }
        Intake::Held(time) => {
            let (body, take, exchange) = (request.body(), intake(&mut kept), Rc::clone(exchange));
            env.set_timeout(time, move || {
                count(&exchange.seen.bodies);
                body.set_handler(take);
            });
        }
    }
    let Some(response) = kept else { return };
    match exchange.answer.start {
        Start::After(time) => later(env, time, exchange, response),
        Start::AtOnce | Start::AfterBody(_) => writer::answer(env, exchange, response),
    }
}

fn later(env: &Environment, time: Duration, exchange: &Rc<Exchange>, response: Response) {
    let (own, exchange) = (env.clone(), Rc::clone(exchange));
    env.set_timeout(time, move || writer::answer(&own, &exchange, response));
}

/// Takes a body and compares it.
struct Take {
    env: Environment,
    exchange: Rc<Exchange>,
    /// The answer, if it begins behind the body.
    response: Option<Response>,
    len: usize,
}

impl Take {
    fn is_over(&self) -> bool {
        self.exchange.seen.body_ended.get() + self.exchange.seen.body_aborted.get() > 0
    }
}

impl BodyHandler for Take {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        let exchange = &self.exchange;
        assert!(!self.is_over(), "on_data behind the last event of a body");
        assert!(!exchange.seen.is_paused.get(), "on_data of a body that is paused");
        assert!(exchange.body[self.len..].starts_with(data), "the body of {}", exchange.number);
        self.len += data.len();
        if let Intake::Paused(time) = exchange.intake {
            body.pause();
            exchange.seen.is_paused.set(true);
            let (body, exchange) = (body.clone(), Rc::clone(exchange));
            self.env.set_timeout(time, move || {
                exchange.seen.is_paused.set(false);
                body.resume();
            });
        }
    }

    fn on_end(&mut self, _: &Body, trailers: &Fields<'_>) {
        let exchange = &self.exchange;
        assert!(!self.is_over(), "on_end behind the last event of a body");
        assert!(!exchange.seen.is_paused.get(), "on_end of a body that is paused");
        assert_eq!(self.len, exchange.body.len(), "the length of a body");
        let found: Vec<_> = trailers.iter().map(|(name, value)| (name, value.to_vec())).collect();
        let right: Vec<_> =
            (0..exchange.trailers()).map(|at| ("X-Trailer", at.to_string().into_bytes())).collect();
        assert_eq!(found, right, "the trailers of a body");
        count(&exchange.seen.body_ended);
        let Some(response) = self.response.take() else { return };
        match exchange.answer.start {
            Start::AfterBody(time) if !time.is_zero() => later(&self.env, time, exchange, response),
            _ => writer::answer(&self.env, exchange, response),
        }
    }

    fn on_abort(&mut self, _: &Body) {
        assert!(!self.is_over(), "on_abort behind the last event of a body");
        count(&self.exchange.seen.body_aborted);
        drop(self.response.take());
    }
}

/// Checks that each handler got its last event, exactly once.
pub(super) fn check_events(exchange: &Exchange) -> Result<(), String> {
    let seen = &exchange.seen;
    let (last, bodies) =
        (seen.finished.get() + seen.closed.get(), seen.body_ended.get() + seen.body_aborted.get());
    let is_watched = exchange.answer.is_watched && seen.requests.get() == 1;
    let name = format!("/{}/{}", exchange.client, exchange.number);
    if last != u32::from(is_watched) {
        return Err(format!("the response to {name} got {last} last events"));
    }
    if bodies != seen.bodies.get() {
        return Err(format!(
            "the body of {name} got {bodies} last events, with {} handlers",
            seen.bodies.get()
        ));
    }
    Ok(())
}

/// Whether the answer may come in the turn of input that brought the request, and as a whole.
pub(super) fn is_prompt(exchange: &Exchange) -> bool {
    let is_short = matches!(exchange.answer.form, Form::Whole | Form::Burst);
    let is_early = matches!(exchange.answer.start, Start::AtOnce | Start::AfterBody(Duration::ZERO));
    is_short && is_early && !matches!(exchange.intake, Intake::Paused(_) | Intake::Held(_))
}
