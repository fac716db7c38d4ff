//! Lists whose links lie in the members themselves, in a slab: entering and leaving one takes a constant time and no memory.

use slab::Slab;

/// The place of a member where there is none.
const NONE: u32 = u32::MAX;

/// A member's neighbours in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    before: u32,
    after: u32,
}

/// In no list.
impl Default for Links {
    fn default() -> Self {
        Self { before: NONE, after: NONE }
    }
}

/// What may be in lists, each of which has a number.
pub(super) trait Member {
    fn links(&self, list: usize) -> &Links;
    fn links_mut(&mut self, list: usize) -> &mut Links;
}

/// A list, in the order in which the members entered.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl List {
    pub(super) fn first(&self) -> Option<u32> {
        Some(self.first).filter(|first| *first != NONE)
    }

    pub(super) fn last(&self) -> Option<u32> {
        Some(self.last).filter(|last| *last != NONE)
    }

    /// Enters a member, which is in no list of this number.
    pub(super) fn push<T: Member>(&mut self, members: &mut Slab<T>, list: usize, id: u32) {
        *members[id as usize].links_mut(list) = Links { before: self.last, after: NONE };
        match self.last() {
            Some(last) => members[last as usize].links_mut(list).after = id,
            None => self.first = id,
        }
        self.last = id;
    }

    /// Removes a member, which is in this list.
    pub(super) fn remove<T: Member>(&mut self, members: &mut Slab<T>, list: usize, id: u32) {
        let Links { before, after } = std::mem::take(members[id as usize].links_mut(list));
        match members.get_mut(before as usize) {
            Some(member) => member.links_mut(list).after = after,
            None => self.first = after,
        }
        match members.get_mut(after as usize) {
            Some(member) => member.links_mut(list).before = before,
            None => self.last = before,
        }
    }

    /// The member behind another one.
    pub(super) fn after<T: Member>(members: &Slab<T>, list: usize, id: u32) -> Option<u32> {
        Some(members[id as usize].links(list).after).filter(|after| *after != NONE)
    }
}
