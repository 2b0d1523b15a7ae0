//! Many at once.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Does the work this many times, this many at once; the results, by number.
pub fn parallel<T: Send>(times: usize, at_once: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let run = || {
        let number = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < times);
        std::iter::from_fn(number).map(|number| (number, work(number))).collect::<Vec<_>>()
    };
    let mut done = thread::scope(|scope| {
        let threads = (0..at_once).map(|_| scope.spawn(run)).collect::<Vec<_>>();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
