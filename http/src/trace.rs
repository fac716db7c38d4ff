//! What this layer says to [`async_wrap::layer::trace`]: everything that it calls upward, and how responses are written. Calls to
//! handlers go through here, so the scope of a call and its record are made in one place.

use async_wrap::layer::trace::{Call, Facts, Layer};
use async_wrap::{AsyncContext, Environment};

/// The source of this layer's records.
const LAYER: Layer = Layer::new("http");

/// Calls a handler in the context of its request.
#[inline]
pub(crate) fn up(env: &Environment, context: AsyncContext, name: &'static str, call: impl FnOnce()) {
    env.make_callback(context, || up_within(name, || context.facts(), call));
}

/// The same in the context that is entered already.
#[inline]
pub(crate) fn up_within(name: &'static str, facts: impl FnOnce() -> Facts, call: impl FnOnce()) {
    let _up = LAYER.up(name, facts);
    call();
}

/// The program calls this layer, for as long as what this returns is there.
#[inline]
pub(crate) fn down(name: &'static str) -> Call {
    LAYER.down(name, Facts::default)
}

/// The same, with some of a body.
#[inline]
pub(crate) fn down_with(name: &'static str, data: &[u8]) -> Call {
    LAYER.down(name, || Facts::default().bytes(data.len()))
}
