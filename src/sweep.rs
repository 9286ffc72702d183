//! A [`Sweep`] reads what is new, judges it, writes the verdicts, then keeps the checkpoint: in
//! this order, so that a crash repeats a page and never skips one. An activation is idempotent,
//! takes no input and does not retry: the next activation is the retry.

mod report;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tracing::info;

use crate::detect::judge::{Ask, NewEvent};
use crate::detect::{Judge, Judged};
use crate::document::{Document, DocumentId};
use crate::finding::Verdict;
use crate::problem::Problem;
use crate::store::{
    Begin, Checkpoint, MAX_WINDOW, Outcome, Page, Progress, Sources, Store, StoreError, Window,
};

pub use report::SweepReport;

/// Documents read at a time.
pub const PAGE: usize = 5_000;

/// How many windows are read at a time: each may hold that many documents.
const WINDOWS: usize = 4;

/// Judges what is new in some sources of a store.
pub struct Sweep {
    name: String,
    store: Arc<dyn Store>,
    sources: Sources,
    /// Where to begin with some of the sources, when they are new.
    begin: Vec<(Sources, Begin)>,
    /// Where to read again from, without moving the checkpoint.
    again: Option<Begin>,
    panel: Arc<Mutex<Panel>>,
    page: usize,
    dry_run: bool,
}

/// Why a sweep ended early. What it committed before stays; the next activation goes on from
/// there.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store could not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A detector broke down, which is a fault of Picket's.
    #[error("judging broke down: {0}; this is a bug, please report it")]
    Broken(String),
}

/// What a sweep tells while it works.
pub struct Step<'a> {
    /// The numbers so far.
    pub report: &'a SweepReport,
    /// The verdicts of the page.
    pub verdicts: &'a [Verdict],
    /// What became of each; empty on a dry run.
    pub outcomes: &'a [Outcome],
}

impl Sweep {
    /// A sweep called `name`, which keeps its checkpoint under that name.
    pub fn new(
        name: impl Into<String>,
        store: Arc<dyn Store>,
        sources: Sources,
        judge: &Judge,
        threads: usize,
    ) -> Self {
        Self {
            name: name.into(),
            store,
            sources,
            begin: Vec::new(),
            again: None,
            panel: Arc::new(Mutex::new(Panel::new(judge, threads))),
            page: PAGE,
            dry_run: false,
        }
    }

    /// The same, reading that many documents at a time.
    #[must_use]
    pub fn page_of(mut self, documents: usize) -> Self {
        self.page = documents.max(1);
        self
    }

    /// The same, beginning elsewhere than with the oldest document where a source is new to it.
    #[must_use]
    pub fn beginning(mut self, begin: Vec<(Sources, Begin)>) -> Self {
        self.begin = begin;
        self
    }

    /// The same, reading everything again from there on, wherever the checkpoint is, which stays.
    #[must_use]
    pub fn again(mut self, from: Begin) -> Self {
        self.again = Some(from);
        self
    }

    /// The same, writing nothing at all: neither verdicts nor the checkpoint.
    #[must_use]
    pub fn dry(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One activation: until the feed is at rest, or until `stop` is set, which ends it after the
    /// page in hand. `tell` hears of every page.
    ///
    /// # Errors
    /// The store failed, or judging broke down. What was committed before holds.
    pub async fn activate(
        &self,
        stop: &AtomicBool,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<SweepReport, SweepError> {
        let mut report = SweepReport::begin(&self.name, self.dry_run);
        let read = self.read_all(&mut report, stop, tell).await;
        // Whatever happened, others may go on from here.
        let released = match self.reader() {
            Some(sweep) => self.store.release(sweep).await,
            None => Ok(()),
        };
        read?;
        released?;
        Ok(report)
    }

    async fn read_all(
        &self,
        report: &mut SweepReport,
        stop: &AtomicBool,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<(), SweepError> {
        let mut progress = self.begin().await?;
        let mut at = match self.again {
            Some(from) => self.store.begin(&self.sources, from).await?,
            None => progress.at.clone(),
        };
        let mut page = self.changes(&at).await?;
        while page.next != at {
            let next = page.next.clone();
            report.problems(std::mem::take(&mut page.problems));
            // The next page is fetched while this one is judged.
            let (judged, following) = tokio::join!(self.judge(page), self.changes(&next));
            at = next;
            if self.again.is_none() {
                progress.at.clone_from(&at);
            }
            self.write(judged?, &mut progress, report, tell).await?;
            if stop.load(Ordering::Relaxed) {
                report.stopped = true;
                page = Page::default();
                break;
            }
            page = following?;
            // At the end of the feed our own write-backs may have come since it was fetched.
            if page.next == at && !self.dry_run {
                report.problems(page.problems);
                page = self.changes(&at).await?;
            }
        }
        report.problems(page.problems);
        report.end();
        if !self.dry_run {
            self.commit(&mut progress, report).await?;
        }
        Ok(())
    }

    /// How far the sweep is; where a source is new to it, that source's beginning.
    async fn begin(&self) -> Result<Progress, StoreError> {
        let mut progress = self.store.progress(&self.name).await?;
        // A store of an earlier Picket does not say what was begun.
        let begun_before = !progress.at.0.is_empty() && progress.begun.is_empty();
        for (sources, from) in &self.begin {
            let mut new = sources.0.clone();
            new.retain(|pattern| !progress.begun.contains(pattern));
            if new.is_empty() || begun_before || *from == Begin::Beginning {
                continue;
            }
            info!(sweep = self.name, sources = new.join(","), from = %from, "begins");
            let first = self.store.begin(&Sources(new), *from).await?;
            for (shard, at) in first.0 {
                progress.at.advance(&shard, at);
            }
        }
        progress.begun.extend(self.sources.0.iter().cloned());
        Ok(progress)
    }

    async fn changes(&self, at: &Checkpoint) -> Result<Page, StoreError> {
        self.store
            .changes(self.reader(), &self.sources, at, self.page)
            .await
    }

    /// For whom is read: what only looks, or reads again, takes nothing from other processes.
    fn reader(&self) -> Option<&str> {
        (!self.dry_run && self.again.is_none()).then_some(self.name.as_str())
    }

    async fn commit(
        &self,
        progress: &mut Progress,
        report: &SweepReport,
    ) -> Result<(), StoreError> {
        progress.report = serde_json::to_value(report).ok();
        self.store.commit(&self.name, progress).await
    }

    async fn judge(&self, page: Page) -> Result<Judged, SweepError> {
        let documents: Arc<[Document]> = page.documents.into();
        let mut judged = self
            .on_panel({
                let documents = Arc::clone(&documents);
                move |panel| panel.page(&documents)
            })
            .await?;
        let mut asks = std::mem::take(&mut judged.asks).into_iter();
        let mut reading = VecDeque::new();
        loop {
            // The next windows are read while one is judged.
            for (ask, new) in asks.by_ref().take(WINDOWS - reading.len()) {
                let history = self.read_window(&ask, &new);
                reading.push_back((ask, new, history));
            }
            let Some((ask, new, history)) = reading.pop_front() else {
                return Ok(judged);
            };
            let history = history
                .await
                .map_err(|error| SweepError::Broken(error.to_string()))??;
            let history = history_of(&ask, history, &documents, &mut judged);
            let found = self
                .on_panel(move |panel| panel.window(&ask, &new, &history))
                .await?;
            judged.merge(found);
        }
    }

    /// Begins to read the documents of the entity around the new events.
    fn read_window(
        &self,
        ask: &Ask,
        new: &[NewEvent],
    ) -> JoinHandle<Result<Vec<Document>, StoreError>> {
        let times = || new.iter().map(|n| n.time);
        let window = Window {
            sources: self.sources.clone(),
            scope: ask.scope,
            entity: ask.entity.clone(),
            from: times().min().unwrap_or(i64::MAX).saturating_sub(ask.span),
            to: times().max().unwrap_or(i64::MIN).saturating_add(ask.span),
            fields: ask.fields.to_vec(),
        };
        let store = Arc::clone(&self.store);
        tokio::spawn(async move { store.window(&window).await })
    }

    async fn on_panel<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Panel) -> T + Send + 'static,
    ) -> Result<T, SweepError> {
        let panel = Arc::clone(&self.panel);
        tokio::task::spawn_blocking(move || {
            work(&mut panel.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(|error| SweepError::Broken(error.to_string()))
    }

    async fn write(
        &self,
        mut judged: Judged,
        progress: &mut Progress,
        report: &mut SweepReport,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<(), SweepError> {
        let verdicts = judged.verdicts(&self.digest(), chrono::Utc::now().timestamp_millis());
        let outcomes = if self.dry_run {
            Vec::new()
        } else {
            self.store.apply(&verdicts).await?
        };
        report.add(&judged.counts, judged.problems, &verdicts, &outcomes);
        if !self.dry_run {
            self.commit(progress, report).await?;
        }
        tell(&Step {
            report,
            verdicts: &verdicts,
            outcomes: &outcomes,
        });
        Ok(())
    }

    fn digest(&self) -> Arc<str> {
        let panel = self.panel.lock().unwrap_or_else(PoisonError::into_inner);
        panel.digest()
    }
}

/// A window holds more than a module is shown.
pub fn too_many(ask: &Ask) -> Problem {
    let message = format!("has more documents than a module is shown: the newest {MAX_WINDOW}");
    Problem::new(&ask.entity, message)
}

/// The history of an entity as it is judged. The page's own documents are taken as they were read,
/// so that page and window speak of one version.
fn history_of(
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
}

impl Panel {
    /// That many forks of a judge; at least one.
    pub fn new(judge: &Judge, threads: usize) -> Self {
        Self {
            judges: (0..threads.max(1)).map(|_| judge.fork()).collect(),
            digest: Arc::clone(judge.digest()),
        }
    }

    /// Digest of rules, blacklist and modules.
    pub fn digest(&self) -> Arc<str> {
        Arc::clone(&self.digest)
    }

    /// Judges documents on all threads; the result does not depend on how many there are.
    pub fn page(&mut self, documents: &[Document]) -> Judged {
        let share = documents.len().div_ceil(self.judges.len()).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .judges
                .iter_mut()
                .zip(documents.chunks(share))
                .map(|(judge, part)| scope.spawn(move || judge.page(part)))
                .collect();
            let mut all = Judged::default();
            for thread in threads {
                match thread.join() {
                    Ok(judged) => all.merge(judged),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
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
