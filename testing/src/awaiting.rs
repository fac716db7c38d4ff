//! Awaiting in a scenario: a future that everything of the world goes on for.

use crate::world::World;
use async_wrap::Environment;
use async_wrap::task::JoinError;
use std::panic::resume_unwind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

impl World {
    /// Lets everything take turns until `future`, a task of `env`, has ended, and returns its value: `Environment::block_on` of a
    /// world. The other tasks, loops, peers and children go on meanwhile, and what is alive then goes on with the next turns.
    ///
    /// ```
    /// use net::futures::{AsyncSocket, Incoming};
    /// use net::{ConnectOptions, ListenOptions};
    ///
    /// testing::explore(0..100, |world| {
    ///     let Ok(env) = world.environment("both") else { return Ok(()) };
    ///     let path = world.path();
    ///     // Refused by a fault.
    ///     let Ok(mut incoming) = Incoming::listen(&env, ListenOptions::path(&path)) else { return Ok(()) };
    ///     let greeter = env.spawn_local(async move {
    ///         let mut socket = incoming.accept().await?;
    ///         socket.write_all(b"hello").await
    ///     });
    ///     let client = env.clone();
    ///     let greeting = world.block_on(&env, async move {
    ///         let mut socket = AsyncSocket::connect(&client, ConnectOptions::path(&path)).await?;
    ///         let mut greeting = Vec::new();
    ///         socket.read_to_end(&mut greeting).await?;
    ///         Ok::<_, net::Error>(greeting)
    ///     })?;
    ///     // A client whose connect a fault has refused leaves the greeter waiting.
    ///     greeter.abort();
    ///     assert!(greeting.is_err() || greeting.is_ok_and(|greeting| b"hello".starts_with(&greeting)));
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    /// A text that says what every loop waits for, if nothing is left that could happen; the future is dropped then. If the
    /// environment was closed.
    ///
    /// # Panics
    /// If the future does.
    pub fn block_on<T: 'static>(
        &self,
        env: &Environment,
        future: impl Future<Output = T> + 'static,
    ) -> Result<T, String> {
        let task = env.spawn_local(future);
        let ran = self.run_until(|| task.is_finished());
        if ran.is_err() {
            task.abort();
        }
        ran?;
        match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(value)) => Ok(value),
            Poll::Ready(Err(error)) if error.is_aborted() => Err("the environment has ended".to_owned()),
            Poll::Ready(Err(error)) => match JoinError::into_panic(error) {
                Some(panic) => resume_unwind(panic),
                None => Err("the environment has ended".to_owned()),
            },
            Poll::Pending => Err("a task that has ended has no value".to_owned()),
        }
    }
}
