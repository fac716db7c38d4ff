//! A queue of what comes first: a heap in which each node has four children.
//!
//! It is half as deep as a heap of two children to a node, and the four lie together in memory, so that a removal from a
//! large one waits half as often for the memory.

use std::mem;

/// Children of a node.
const CHILDREN: usize = 4;

pub(crate) struct Heap<T>(Vec<T>);

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Heap<T> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<&T> {
        self.0.first()
    }

    /// The items that will probably come first, the first one included.
    #[inline]
    pub(crate) fn first_few(&self) -> &[T] {
        &self.0[..self.0.len().min(1 + CHILDREN)]
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn push(&mut self, item: T) {
        self.0.push(item);
        self.rise(self.0.len() - 1, 0);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.0.pop()?;
        let Some(first) = self.0.first_mut() else { return Some(last) };
        let first = mem::replace(first, last);
        self.settle(0);
        Some(first)
    }

    /// Changes the first item, and moves it to its new place.
    pub(crate) fn change_first(&mut self, change: impl FnOnce(&mut T)) {
        if let Some(first) = self.0.first_mut() {
            change(first);
            self.settle(0);
        }
    }

    /// Keeps the items for which `keep` returns `true`.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
        // The nodes with children, from the last one.
        for root in (0..self.0.len().div_ceil(CHILDREN)).rev() {
            self.settle(root);
        }
    }

    /// Moves the item at `root` to its place beneath. It is mostly one of the last, so it sinks to the bottom without a
    /// comparison, and rises from there.
    fn settle(&mut self, root: usize) {
        let mut at = root;
        while let Some(child) = self.least_child(at) {
            self.0.swap(at, child);
            at = child;
        }
        self.rise(at, root);
    }

    fn rise(&mut self, mut at: usize, root: usize) {
        while at > root {
            let parent = (at - 1) / CHILDREN;
            if self.0[parent] <= self.0[at] {
                break;
            }
            self.0.swap(at, parent);
            at = parent;
        }
    }

    #[inline]
    fn least_child(&self, at: usize) -> Option<usize> {
        let first = CHILDREN * at + 1;
        match self.0.get(first..)? {
            // Comparisons of which none waits for another's result, and no branch.
            [a, b, c, d, ..] => {
                let (left, right) = (usize::from(b < a), usize::from(d < c));
                let is_right = [c, d][right] < [a, b][left];
                Some(first + if is_right { 2 + right } else { left })
            }
            some => (0..some.len()).min_by_key(|index| &some[*index]).map(|index| first + index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Heap;
    use crate::seeds::each_seed;

    #[test]
    fn it_gives_what_a_sorted_list_gives() {
        each_seed(50, |mut dice| {
            let (mut heap, mut list) = (Heap::default(), Vec::new());
            for _ in 0..2_000 {
                match dice.roll(10) {
                    0..5 => {
                        let item = dice.roll(500);
                        heap.push(item);
                        list.push(item);
                    }
                    5..8 => assert_eq!(heap.pop(), list.pop()),
                    8 => {
                        let item = dice.roll(500);
                        heap.change_first(|first| *first = item);
                        list.pop().into_iter().for_each(|_| list.push(item));
                    }
                    _ => {
                        let least = dice.roll(20);
                        heap.retain(|item| *item % 20 >= least / 4);
                        list.retain(|item| *item % 20 >= least / 4);
                    }
                }
                list.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!((heap.first(), heap.len()), (list.last(), list.len()));
                assert!(heap.first_few().iter().all(|item| Some(item) >= list.last()));
            }
        });
    }
}
