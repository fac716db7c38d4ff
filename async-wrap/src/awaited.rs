//! Requests of the loop to await. Mirrors what Node's promises make of its `ReqWrap`s, such as `FSReqPromise`
//! (`src/node_file.h`), with an end when the future is dropped.

use crate::layer::OnDrop;
use crate::task::Slot;
use crate::{Environment, Provider};
use std::rc::Rc;
use uv_core::Result;
use uv_core::threads::Work;

/// The completion of a request.
pub(crate) type After<T> = Box<dyn FnOnce(Result<T>)>;

/// Makes a request of the pool in a context of its own, and waits for its completion. Dropped before, it abandons the request.
pub(crate) async fn work_of<T: 'static>(
    env: &Environment,
    provider: Provider,
    make: impl FnOnce(After<T>) -> Result<Work>,
) -> Result<T> {
    let slot = Rc::new(Slot::default());
    let told = Rc::clone(&slot);
    let work = make(Box::new(env.request(provider, move |result| told.put(result))))?;
    // Refused once it has ended.
    let _abandoned = OnDrop::new(|| drop(work.abandon()));
    slot.value().await
}
