//! Tasks as boxed closures in a table, with a queue of those to be called.

use crate::Result;
use crate::subjects::solo::{RING, TASKS, bursts, check, measure};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Returns whether the task has ended.
type Task = Box<dyn FnMut() -> bool>;

/// Calls the tasks of the queue until it is empty, and drops those that have ended.
fn run(tasks: &mut [Option<Task>], queue: &RefCell<VecDeque<usize>>) {
    loop {
        let next = queue.borrow_mut().pop_front();
        let Some(index) = next else { return };
        if tasks[index].as_mut().is_some_and(|task| task()) {
            tasks[index] = None;
        }
    }
}

/// One operation is a closure that is boxed, called, queued again, called, and dropped behind its result.
pub(crate) fn life(ops: u64) -> Result<()> {
    let queue = RefCell::new(VecDeque::new());
    measure(ops, |count| {
        let mut joined = 0;
        for burst in bursts(count, TASKS) {
            let waiting = Rc::new(RefCell::new(Vec::new()));
            let results = Rc::new(RefCell::new(vec![0; burst]));
            let mut tasks: Vec<Option<Task>> = Vec::new();
            for index in 0..burst {
                let (waiting, results, mut is_new) = (Rc::clone(&waiting), Rc::clone(&results), true);
                tasks.push(Some(Box::new(move || {
                    if std::mem::take(&mut is_new) {
                        waiting.borrow_mut().push(index);
                        return false;
                    }
                    results.borrow_mut()[index] = 1;
                    true
                })));
                queue.borrow_mut().push_back(index);
            }
            run(&mut tasks, &queue);
            queue.borrow_mut().extend(waiting.take());
            run(&mut tasks, &queue);
            joined += results.take().into_iter().sum::<u64>();
        }
        check(joined, count)
    })
}

/// One operation is a closure that is queued and called by another.
pub(crate) fn wake(ops: u64) -> Result<()> {
    let queue = Rc::new(RefCell::new(VecDeque::new()));
    measure(ops, |count| {
        let left = Rc::new(Cell::new(count));
        let mut tasks: Vec<Option<Task>> = Vec::new();
        for place in 0..RING {
            let (left, queue) = (Rc::clone(&left), Rc::clone(&queue));
            tasks.push(Some(Box::new(move || {
                left.set(left.get() - 1);
                if left.get() > 0 {
                    queue.borrow_mut().push_back((place + 1) % RING);
                }
                false
            })));
        }
        queue.borrow_mut().push_back(0);
        run(&mut tasks, &queue);
        check(left.get(), 0)
    })
}
