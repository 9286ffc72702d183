//! Work that several threads do, taken in in the order in which it was fed. The thread that feeds
//! works too, and whoever has done a work takes in what is due, so that threads need not wake one
//! another for each. Knows nothing of what is worked on.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Works side by side, a thread for each of the workers, of which this is one. `feed` hands over
/// what is to be worked on until it is told that no more is wanted, `work` makes something of each,
/// and `take` gets that in order. While one takes long, only so many are done beside it.
///
/// # Errors
/// `take` fails; then no more is wanted.
///
/// # Panics
/// If one of the three panics, once the others have ended what they began.
pub(super) fn in_order<J: Send, W: Send, D: Send, E: Send>(
    workers: &mut [J],
    feed: impl FnOnce(&mut dyn FnMut(W) -> ControlFlow<()>),
    work: impl Fn(&mut J, W) -> D + Sync,
    take: impl FnMut(D) -> Result<(), E> + Send,
) -> Result<(), E> {
    let Some((mine, others)) = workers.split_first_mut() else {
        return Ok(());
    };
    // Enough to do for the others while this thread works on one that takes long.
    let ahead = if others.is_empty() {
        0
    } else {
        2 * others.len() + 2
    };
    let (feeder, waiting) = sync_channel(ahead);
    let most = 4 * ahead as u64 + 1;
    let taken = &Taken::new(take);
    let do_one = &|worker: &mut J, (number, what)| {
        catch_unwind(AssertUnwindSafe(|| {
            taken.hand_over(number, work(worker, what))
        }))
        .unwrap_or_else(|panic| taken.end(End::Panicked(panic)))
    };
    let waiting = &Mutex::new(waiting);
    let help = &|worker: &mut J| {
        while let Some(one) = next(waiting) {
            if do_one(worker, one).is_break() {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for worker in others {
            scope.spawn(move || help(worker));
        }
        let mut number = 0;
        let mut give = |what| {
            taken.wait_until_wanted(number, most)?;
            let given = feeder.try_send((number, what));
            number += 1;
            match given {
                Ok(()) => ControlFlow::Continue(()),
                Err(TrySendError::Full(one) | TrySendError::Disconnected(one)) => do_one(mine, one),
            }
        };
        let fed = catch_unwind(AssertUnwindSafe(|| feed(&mut give)));
        drop(feeder);
        match fed {
            Ok(()) => help(mine),
            Err(panic) => drop(taken.end(End::Panicked(panic))),
        }
    });
    match taken.lock().end.take() {
        None => Ok(()),
        Some(End::Failed(error)) => Err(error),
        Some(End::Panicked(panic)) => resume_unwind(panic),
    }
}

/// The next that waits; none once all that was fed was taken.
fn next<W>(waiting: &Mutex<Receiver<W>>) -> Option<W> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}

/// Why no more is wanted.
enum End<E> {
    Failed(E),
    Panicked(Box<dyn Any + Send>),
}

/// What was made, until it is due.
struct Taken<T, D, E> {
    inner: Mutex<Inner<T, D, E>>,
    /// Something was taken in, or nothing will be any more.
    went_on: Condvar,
}

struct Inner<T, D, E> {
    take: T,
    /// The number of what is to be taken next.
    due: u64,
    early: BTreeMap<u64, D>,
    end: Option<End<E>>,
}

impl<T: FnMut(D) -> Result<(), E>, D, E> Taken<T, D, E> {
    fn new(take: T) -> Self {
        Self {
            inner: Mutex::new(Inner {
                take,
                due: 0,
                early: BTreeMap::new(),
                end: None,
            }),
            went_on: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, D, E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is due, if that is.
    fn hand_over(&self, number: u64, made: D) -> ControlFlow<()> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.early.insert(number, made);
        while inner.end.is_none()
            && let Some(made) = inner.early.remove(&inner.due)
        {
            inner.due += 1;
            inner.end = (inner.take)(made).err().map(End::Failed);
        }
        self.went_on.notify_one();
        match inner.end {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }

    /// Nothing more is wanted.
    fn end(&self, end: End<E>) -> ControlFlow<()> {
        self.lock().end.get_or_insert(end);
        self.went_on.notify_one();
        ControlFlow::Break(())
    }

    /// Waits while the work of that number would be one of more than `most` that are under way.
    fn wait_until_wanted(&self, number: u64, most: u64) -> ControlFlow<()> {
        let inner = self.lock();
        let too_early =
            |inner: &mut Inner<T, D, E>| inner.end.is_none() && number >= inner.due + most;
        let inner = self.went_on.wait_while(inner, too_early);
        match inner.unwrap_or_else(PoisonError::into_inner).end {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    /// Numbers below `count`, fed to that many threads.
    fn worked<E: Send>(
        threads: usize,
        count: u64,
        work: impl Fn(u64) -> u64 + Sync,
        take: impl FnMut(u64) -> Result<(), E> + Send,
    ) -> (Result<(), E>, u64) {
        let (mut workers, mut fed) = (vec![(); threads], 0);
        let feed = |give: &mut dyn FnMut(u64) -> ControlFlow<()>| {
            while fed < count && give(fed).is_continue() {
                fed += 1;
            }
        };
        let end = in_order(&mut workers, feed, |(), number| work(number), take);
        (end, fed)
    }

    #[test]
    fn what_is_made_comes_in_order_from_any_number_of_threads() {
        for threads in [1, 2, 5] {
            for slow in [5, 60] {
                let mut taken = Vec::new();
                let work = |number| {
                    // The first of each few takes longest.
                    sleep(Duration::from_micros(2_000 * u64::from(number % slow == 0)));
                    number
                };
                let take = |number| {
                    taken.push(number);
                    Ok::<_, ()>(())
                };
                assert_eq!(worked(threads, 120, work, take), (Ok(()), 120));
                assert_eq!(taken, (0..120).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn only_so_many_are_under_way() {
        let begun = Mutex::new(0);
        let work = |number| {
            *begun.lock().unwrap() += 1;
            while number == 0 && *begun.lock().unwrap() < 25 {
                sleep(Duration::from_millis(1));
            }
            // Whatever could be begun has been.
            sleep(Duration::from_millis(20 * u64::from(number == 0)));
            *begun.lock().unwrap()
        };
        let mut first = None;
        let take = |begun| {
            first.get_or_insert(begun);
            Ok::<_, ()>(())
        };
        assert_eq!(worked(3, 100, work, take), (Ok(()), 100));
        assert_eq!(first, Some(25));
    }

    #[test]
    fn a_failure_ends_all_threads() {
        for threads in [1, 3] {
            for fails_at in [0, 9] {
                let fail = |number| {
                    if number == fails_at {
                        Err(number)
                    } else {
                        Ok(())
                    }
                };
                let (end, fed) = worked(threads, u64::MAX, |number| number, fail);
                assert_eq!(end, Err(fails_at));
                assert!(fed <= fails_at + 26, "{fed} after {fails_at}");
            }
        }
    }

    #[test]
    fn a_panic_is_passed_on() {
        for (threads, broken) in [1, 3].into_iter().flat_map(|n| [(n, 0), (n, 1), (n, 2)]) {
            let here = &|place| {
                if place == broken {
                    resume_unwind(Box::new("broken"));
                }
            };
            let mut workers = vec![(); threads];
            let feed = |give: &mut dyn FnMut(()) -> ControlFlow<()>| {
                while give(()).is_continue() {
                    here(0);
                }
            };
            let end = catch_unwind(AssertUnwindSafe(|| {
                let take = |()| {
                    here(2);
                    Ok::<_, ()>(())
                };
                in_order(&mut workers, feed, |(), ()| here(1), take)
            }));
            assert_eq!(*end.unwrap_err().downcast::<&str>().unwrap(), "broken");
        }
    }
}
