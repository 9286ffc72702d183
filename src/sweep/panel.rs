//! The judges of a sweep, a thread each, and the history that they are shown. Never reads or writes
//! a store.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::in_order;
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
        let needed = documents.len().div_ceil(AT_A_TIME).min(self.judges.len());
        let Ok(()) = in_order::in_order(
            &mut self.judges[..needed],
            |give| {
                // Taking in does not fail.
                let _ = documents.chunks(AT_A_TIME).try_for_each(give);
            },
            |judge, part| judge.page(part),
            |judged| {
                all.merge(judged);
                Ok::<_, Infallible>(())
            },
        );
        all
    }

    /// Works on all threads, of which this is one: `feed` hands over what is to be worked on until it
    /// is told that no more is wanted, `work` makes something of each, and `take` gets that in order.
    ///
    /// # Errors
    /// `take` fails; then no more is wanted.
    ///
    /// # Panics
    /// If one of the three panics.
    pub fn in_order<W: Send, D: Send, E: Send>(
        &mut self,
        feed: impl FnOnce(&mut dyn FnMut(W) -> ControlFlow<()>),
        work: impl Fn(&mut Judge, W) -> D + Sync,
        take: impl FnMut(D) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        in_order::in_order(&mut self.judges, feed, work, take)
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
