//! The judges of a sweep, a thread each, and the history that they are shown. Never reads or writes
//! a store.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};

use crate::detect::correlate::Correlator;
use crate::detect::judge::{Ask, Draft, NewEvent};
use crate::detect::{Judge, Judged};
use crate::document::{Document, DocumentId};
use crate::problem::Problem;
use crate::store::MAX_WINDOW;

/// How many documents a thread takes at a time.
const AT_A_TIME: usize = 64;

/// A window holds more than a module is shown.
pub fn too_many(ask: &Ask) -> Problem {
    let message = format!("has more documents than a module is shown: the newest {MAX_WINDOW}");
    Problem::new(&ask.entity, message)
}

/// The history of an entity as it is judged. The page's own documents are taken as they were read,
/// so that page and window speak of one version.
pub(super) fn history_of(
    ask: &Ask,
    mut history: Vec<Document>,
    page: &[Document],
    judged: &mut Judged,
) -> Vec<Document> {
    let dropped = history.len().saturating_sub(MAX_WINDOW);
    history.drain(..dropped);
    if dropped > 0 {
        judged.problems.push(too_many(ask));
    }
    let known: BTreeMap<&DocumentId, &Document> = page.iter().map(|d| (&d.id, d)).collect();
    for document in &mut history {
        if let Some(read) = known.get(&document.id) {
            document.clone_from(read);
        }
    }
    history
}

/// Judges that work on one page side by side, a thread each.
pub struct Panel {
    judges: Vec<Judge>,
    digest: Arc<str>,
    correlator: Arc<Correlator>,
}

impl Panel {
    /// That many forks of a judge; at least one.
    pub fn new(judge: &Judge, threads: usize) -> Self {
        Self {
            judges: (0..threads.max(1)).map(|_| judge.fork()).collect(),
            digest: Arc::clone(judge.digest()),
            correlator: Arc::clone(judge.correlator()),
        }
    }

    /// Digest of rules, blacklist and modules.
    pub fn digest(&self) -> Arc<str> {
        Arc::clone(&self.digest)
    }

    /// What judges hits of correlations.
    pub fn correlator(&self) -> Arc<Correlator> {
        Arc::clone(&self.correlator)
    }

    /// What verdicts on these documents are made of.
    pub fn drafts(&mut self, documents: &[Document]) -> Vec<(DocumentId, Draft)> {
        let judge = self.judges.first_mut();
        judge
            .map(|judge| judge.drafts(documents))
            .unwrap_or_default()
    }

    /// How many judges there are.
    pub fn threads(&self) -> usize {
        self.judges.len()
    }

    /// Judges documents on all threads; the result does not depend on how many there are.
    pub fn page(&mut self, documents: &[Document]) -> Judged {
        let mut all = Judged::default();
        let Ok(()) = self.in_order(
            documents.chunks(AT_A_TIME),
            |judge, part| judge.page(part),
            |judged| {
                all.merge(judged);
                Ok::<_, Infallible>(())
            },
        );
        all
    }

    /// Works on all threads, each of which takes what comes next whenever it is done with the last,
    /// so that none waits for another; and hands over what was made of it in the order in which it
    /// came. Who feeds it bounds how much is under way.
    ///
    /// # Errors
    /// `take` fails. It is dropped before the threads have ended, so that who feeds them may see by
    /// what it holds that nothing more is wanted.
    pub fn in_order<W, D: Send, E>(
        &mut self,
        works: impl Iterator<Item = W> + Send,
        work: impl Fn(&mut Judge, W) -> D + Sync,
        mut take: impl FnMut(D) -> Result<(), E>,
    ) -> Result<(), E> {
        let most = works.size_hint().1.unwrap_or(usize::MAX);
        let works = Mutex::new(works.enumerate());
        let next = &|| works.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (work, judges) = (&work, self.judges.iter_mut().take(most));
        std::thread::scope(move |scope| {
            let (sender, made) = channel();
            for judge in judges {
                let sender = sender.clone();
                scope.spawn(move || {
                    while let Some((number, what)) = next() {
                        let made = catch_unwind(AssertUnwindSafe(|| work(judge, what)));
                        if sender.send((number, made)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let (mut early, mut due) = (BTreeMap::new(), 0);
            for (number, made) in made {
                early.insert(number, made.unwrap_or_else(|panic| resume_unwind(panic)));
                while let Some(made) = early.remove(&due) {
                    take(made)?;
                    due += 1;
                }
            }
            Ok(())
        })
    }

    /// Judges the history of one entity.
    pub fn window(&mut self, ask: &Ask, new: &[NewEvent], documents: &[Document]) -> Judged {
        let mut seen = HashSet::new();
        let unique: Vec<Document> = documents
            .iter()
            .filter(|d| seen.insert(&d.id))
            .cloned()
            .collect();
        self.judges
            .first_mut()
            .map(|judge| judge.window(ask, new, &unique))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::detect::Detectors;

    fn panel(threads: usize) -> Panel {
        let judge = Judge::new(Detectors {
            set: Vec::new(),
            fields: Arc::default(),
            digest: "d".into(),
        });
        Panel::new(&judge, threads)
    }

    #[test]
    fn what_is_made_comes_in_order_from_any_number_of_threads() {
        for threads in [0, 1, 2, 5] {
            let mut taken = Vec::new();
            let end = panel(threads).in_order(
                0..60_u64,
                |_, number| {
                    // The first of each few takes longest.
                    sleep(Duration::from_micros(1_000 * u64::from(number % 5 == 0)));
                    number
                },
                |number| {
                    taken.push(number);
                    Ok::<_, ()>(())
                },
            );
            assert_eq!((end, taken), (Ok(()), (0..60).collect()));
        }
    }

    /// Feeds as long as something comes back.
    fn fed(threads: usize, fails_at: u64) -> (Result<(), u64>, u64) {
        let (free, permits) = channel();
        let (feed, works) = channel();
        (0..4).for_each(|_| free.send(()).unwrap());
        std::thread::scope(|scope| {
            let feeding = scope.spawn(move || {
                let mut fed = 0;
                while permits.recv().is_ok() && feed.send(fed).is_ok() {
                    fed += 1;
                }
                fed
            });
            let end = panel(threads).in_order(
                works.into_iter(),
                |_, number: u64| number,
                move |number| {
                    free.send(()).unwrap();
                    if number == fails_at {
                        Err(number)
                    } else {
                        Ok(())
                    }
                },
            );
            (end, feeding.join().unwrap())
        })
    }

    #[test]
    fn a_failure_ends_all_threads() {
        for threads in [1, 3] {
            for fails_at in [0, 9] {
                let (end, fed) = fed(threads, fails_at);
                assert_eq!(end, Err(fails_at));
                assert!(fed <= fails_at + 5, "{fed} after {fails_at}");
            }
        }
    }

    #[test]
    fn a_panic_is_passed_on() {
        for threads in [1, 3] {
            let (free, permits) = channel::<()>();
            let (feed, works) = channel();
            feed.send(1).unwrap();
            let end = std::thread::scope(|scope| {
                // What is fed ends only once nothing more is wanted.
                scope.spawn(move || {
                    let _ = permits.recv();
                    drop(feed);
                });
                catch_unwind(AssertUnwindSafe(|| {
                    panel(threads).in_order(
                        works.into_iter(),
                        |_, _| resume_unwind(Box::new("broken")),
                        move |()| free.send(()),
                    )
                }))
            });
            assert_eq!(*end.unwrap_err().downcast::<&str>().unwrap(), "broken");
        }
    }
}
