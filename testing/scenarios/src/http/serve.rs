//! The same conversations with handlers that are async functions. A handler that waits when its client leaves is dropped there,
//! unless it is detached; a handler that fails or panics is answered for; a body is read by pieces, as a stream, by `AsyncRead`, or whole.

use super::plan::{Dice, Ending, Exchange, Expects, Form, Intake, Start, count, letters};
use super::program::Program;
use super::{conversations, wire};
use ::http::proto::ParseError;
use ::http::serve::{BodyReader, Failure, OwnedRequest, Serving};
use ::http::upcall::RequestHandler;
use ::http::{Error, Request, Response, Server};
use ::net::Socket;
use async_wrap::Environment;
use async_wrap::storage::Storage;
use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use testing::World;

/// What a connection may have received beyond what was read of a body: what waits to be read, and what one read brings.
const BEYOND: u64 = 3 * 64 * 1024;

pub(crate) fn serve(world: &World) -> Result<(), String> {
    conversations::converse(world, adapt, |server, options, program| {
        let storage = Storage::new(&program.env);
        let program = Rc::new(program);
        let (handled, value) = (Rc::clone(&program), storage);
        let serving = Serving::new(move |request: OwnedRequest, response: Response| {
            let handler = Handler::new(&handled, &value, &request, &response);
            Judged { future: Box::pin(handler.run(request, response)), program: Rc::clone(&handled) }
        });
        server.listen(options, Asked { program, serving })
    })
}

/// What a handler that is an async function does otherwise.
fn adapt(dice: Dice<'_>, exchange: &mut Exchange) {
    exchange.answer.is_watched = false;
    if exchange.expects != Expects::No && !exchange.is_immediate() {
        // A body that the handler has and does not read is not asked for.
        if exchange.intake == Intake::Ignored {
            exchange.intake = Intake::Read;
        }
        exchange.answer.start = Start::AfterBody(Duration::ZERO);
    } else if !exchange.body.is_empty()
        && matches!(exchange.framing, super::plan::Framing::Length)
        && dice.one_in(12)
    {
        exchange.body = letters(exchange.client, 200_000 + dice.below(400_000));
    }
}

/// Counts the requests as they come, and lets the async function serve them.
struct Asked<F> {
    program: Rc<Program>,
    serving: Serving<F>,
}

impl<F, R> RequestHandler for Asked<F>
where
    F: FnMut(OwnedRequest, Response) -> R + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
{
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.program.note(request);
        self.serving.on_request(request, response);
    }

    fn on_client_error(&mut self, error: ParseError, _: &Socket) {
        self.program.told.client_errors.borrow_mut().push(error);
    }

    fn on_error(&mut self, _: &Server, _: ::net::Error) {}

    fn on_close(&mut self, _: &Server) {
        count(&self.program.told.closed);
    }
}

/// One call of the handler. It is dropped with the call's future.
struct Handler {
    program: Rc<Program>,
    exchange: Rc<Exchange>,
    /// Has the request's number in all that it leads to.
    value: Storage<usize>,
    is_detached: bool,
    has_ended: Cell<bool>,
}

/// What a handler panics with by plan. No hook is called for it, which would print it.
struct Planned;

/// A call of the handler, whose other panics are the scenario's.
struct Judged<F> {
    future: Pin<Box<F>>,
    program: Rc<Program>,
}

impl<F: Future> Future for Judged<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| {
            let panic = panic.downcast::<Planned>().unwrap_or_else(|other| {
                self.program.told.panic.borrow_mut().get_or_insert(other);
                Box::new(Planned)
            });
            resume_unwind(panic)
        })
    }
}

impl Handler {
    fn new(
        program: &Rc<Program>,
        value: &Storage<usize>,
        request: &OwnedRequest,
        response: &Response,
    ) -> Self {
        let exchange = program.find(request.target());
        let exchange = Rc::clone(exchange.unwrap_or_else(|| panic!("no client sent {request:?}")));
        let is_detached = (exchange.client + exchange.number) % 5 == 4;
        if is_detached {
            response.detach();
        } else {
            count(&program.told.tasks);
        }
        let (program, value) = (Rc::clone(program), value.clone());
        Self { program, exchange, value, is_detached, has_ended: Cell::new(false) }
    }

    fn env(&self) -> &Environment {
        &self.program.env
    }

    /// The number of the request in the whole conversation.
    fn number(&self) -> usize {
        self.exchange.client * 1_000 + self.exchange.number
    }

    fn check(&self, request: &OwnedRequest) {
        let Exchange { method, client, number, .. } = &*self.exchange;
        assert_eq!(request.method(), *method, "the method of a request");
        assert_eq!(request.path(), format!("/{client}/{number}"), "the path of a request");
        assert_eq!(request.fields().get("host"), Some(&b"a"[..]), "the host of a request");
        assert_eq!(self.value.get().as_deref(), Some(&self.number()), "the value of a request");
    }

    async fn pause(&self, time: Duration) {
        if !time.is_zero() {
            self.env().sleep(time).await;
        }
    }

    async fn run(self, mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        assert_eq!(self.value.get(), None, "a request begins with the value of another");
        self.value.enter_with(self.number());
        self.check(&request);
        let exchange = Rc::clone(&self.exchange);
        match exchange.answer.start {
            Start::AfterBody(time) => {
                let taken = take(self.env(), &exchange, &mut request).await;
                self.check(&request);
                if let Err(failure) = taken {
                    self.has_ended.set(true);
                    return Err(failure);
                }
                self.pause(time).await;
            }
            start => {
                let time = if let Start::After(time) = start { time } else { Duration::ZERO };
                if exchange.intake == Intake::Ignored {
                    self.pause(time).await;
                    self.check(&request);
                } else {
                    // Read beside the answer, whose end ends it.
                    let (env, exchange) = (self.env().clone(), Rc::clone(&exchange));
                    drop(
                        self.env()
                            .spawn_local(async move { take(&env, &exchange, &mut request).await.is_ok() }),
                    );
                    self.pause(time).await;
                }
            }
        }
        let answered = self.answer(&response).await;
        assert_eq!(self.value.get().as_deref(), Some(&self.number()), "the value behind an answer");
        self.has_ended.set(true);
        answered
    }

    async fn answer(&self, response: &Response) -> Result<(), Failure> {
        let (exchange, plan) = (&self.exchange, &self.exchange.answer);
        if plan.is_announced {
            response.write_information(103, &[("Link", "</a>")])?;
        }
        response.set_status(plan.status)?;
        if plan.sets_close {
            response.set_header("Connection", "close")?;
        }
        if plan.has_field {
            response.set_header("X-Field", "1")?;
        }
        if plan.sets_length {
            let total: usize = plan.pieces.iter().sum();
            response.set_header("Content-Length", total.to_string())?;
        }
        match plan.form {
            Form::Whole if plan.ending == Ending::End => return Ok(response.end(&exchange.piece(0))?),
            Form::Whole => return self.give_up(response),
            Form::Yielded if plan.ending == Ending::End && !wire::has_trailer(exchange) => {
                let pieces = Pieces { exchange: Rc::clone(exchange), next: 0, is_waiting: true };
                return response.send(pieces).await;
            }
            Form::Drained | Form::Yielded => {
                response.yield_now();
                response.drained().await?;
            }
            Form::Burst | Form::Timed(_) => {}
        }
        for index in 0..plan.pieces.len() {
            let piece = exchange.piece(index);
            let has_room =
                if index % 2 == 0 { response.write(&piece) } else { response.write_bytes(piece.into()) }?;
            match plan.form {
                Form::Timed(time) => self.pause(time).await,
                Form::Drained if !has_room => response.drained().await?,
                Form::Yielded => {
                    response.yield_now();
                    response.drained().await?;
                }
                _ => {}
            }
        }
        if plan.ending != Ending::End {
            return self.give_up(response);
        }
        if wire::has_trailer(exchange) {
            response.add_trailer("X-Sum", "1")?;
        }
        Ok(response.end(b"")?)
    }

    /// Ends without an answer, or in the middle of one.
    fn give_up(&self, response: &Response) -> Result<(), Failure> {
        self.has_ended.set(true);
        if self.exchange.answer.ending == Ending::Destroyed {
            response.destroy();
            return Ok(());
        }
        match self.exchange.number % 3 {
            0 => Ok(()),
            1 => Err("it has failed".into()),
            _ => resume_unwind(Box::new(Planned)),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        if !self.is_detached {
            self.program.told.tasks.set(self.program.told.tasks.get() - 1);
        } else if !self.has_ended.get() {
            // Only an error of the connection ends it earlier, which `answer` returns.
            count(&self.program.told.dropped);
        }
    }
}

/// The pieces of an answer as a stream, which waits now and then.
struct Pieces {
    exchange: Rc<Exchange>,
    next: usize,
    is_waiting: bool,
}

impl Stream for Pieces {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let is_waiting = !self.is_waiting;
        self.is_waiting = is_waiting;
        if !is_waiting {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.next += 1;
        let piece =
            (self.next <= self.exchange.answer.pieces.len()).then(|| self.exchange.piece(self.next - 1));
        Poll::Ready(piece.map(|piece| Ok(piece.into())))
    }
}

/// A body that is read. It has one last event: its end, its error, or that its reader is dropped.
struct Taking<'a> {
    exchange: &'a Exchange,
    len: usize,
    has_ended: bool,
}

impl Taking<'_> {
    fn take(&mut self, data: &[u8]) {
        assert!(self.exchange.body[self.len..].starts_with(data), "the body of {}", self.exchange.number);
        self.len += data.len();
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let seen = &self.exchange.seen;
        count(if self.has_ended { &seen.body_ended } else { &seen.body_aborted });
    }
}

/// Reads a body as the plan says.
async fn take(env: &Environment, exchange: &Exchange, request: &mut OwnedRequest) -> Result<(), Failure> {
    if let Intake::Held(time) = exchange.intake {
        env.sleep(time).await;
    }
    count(&exchange.seen.bodies);
    let mut taking = Taking { exchange, len: 0, has_ended: false };
    let (socket, before) = (request.socket().clone(), request.socket().bytes_read());
    let how = exchange.number % 4;
    if how == 3 && !matches!(exchange.intake, Intake::Paused(_)) {
        let all = request.body().bytes(exchange.body.len()).await?;
        taking.take(&all);
    } else {
        while let Some(data) = piece(request.body(), how).await? {
            taking.take(&data);
            if let Intake::Paused(time) = exchange.intake {
                let before_pause = socket.bytes_read();
                env.sleep(time).await;
                let came = socket.bytes_read() - before_pause.max(before);
                // What is behind a body may be discarded, and so is a body behind an answer that closes.
                let is_long = (exchange.body.len() - taking.len) as u64 > BEYOND;
                let is_wanted = exchange.number == 0 && matches!(exchange.answer.start, Start::AfterBody(_));
                let is_held = !is_long || !is_wanted || came <= BEYOND;
                assert!(is_held, "{came} bytes came of a body that is not read");
            }
        }
    }
    assert_eq!(taking.len, exchange.body.len(), "the length of a body");
    taking.has_ended = true;
    Ok(())
}

/// The next piece of a body: as a future, as an item of a stream, or by `AsyncRead`.
async fn piece(body: &mut BodyReader, how: usize) -> Result<Option<Bytes>, Failure> {
    match how {
        0 => Ok(body.next().await.transpose()?),
        1 => Ok(poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await.transpose()?),
        _ => {
            let mut buffer = [0; 1_000];
            let read = poll_fn(|context| Pin::new(&mut *body).poll_read(context, &mut buffer));
            let count = read.await.map_err(|error: io::Error| error)?;
            Ok((count > 0).then(|| Bytes::copy_from_slice(&buffer[..count])))
        }
    }
}
