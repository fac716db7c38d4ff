//! Where a request keeps its handler. The place outlives the handler: the next handler of the same type moves in, so that a
//! request in the steady state allocates none.

use crate::upcall::ClientHandler;
use std::any::Any;

/// The place of a handler, of whatever type.
pub(crate) trait Place {
    /// The handler, if there is one.
    fn handler(&mut self) -> Option<&mut dyn ClientHandler>;

    /// Drops the handler.
    fn clear(&mut self);

    fn as_any(&mut self) -> &mut dyn Any;
}

struct Slot<H>(Option<H>);

impl<H: ClientHandler + 'static> Place for Slot<H> {
    fn handler(&mut self) -> Option<&mut dyn ClientHandler> {
        self.0.as_mut().map(|handler| handler as _)
    }

    fn clear(&mut self) {
        self.0 = None;
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// A place with a handler: the last one, if that is of its type.
pub(crate) fn place<H: ClientHandler + 'static>(last: Option<Box<dyn Place>>, handler: H) -> Box<dyn Place> {
    if let Some(mut last) = last
        && let Some(slot) = last.as_any().downcast_mut::<Slot<H>>()
    {
        slot.0 = Some(handler);
        return last;
    }
    Box::new(Slot(Some(handler)))
}
