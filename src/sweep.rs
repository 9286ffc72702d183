//! A [`Sweep`] reads what is new, judges it, writes the verdicts, then keeps the checkpoint: in
//! this order, so that a crash repeats a page and never skips one. An activation is idempotent,
//! takes no input and does not retry: the next activation is the retry.

mod afresh;
mod anomalies;
mod correlate;
mod in_order;
mod panel;
mod report;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tracing::info;

use crate::detect::judge::{Ask, NewEvent};
use crate::detect::{Judge, Judged};
use crate::document::Document;
use crate::finding::Verdict;
use crate::problem::Problem;
use crate::store::{
    Begin, Checkpoint, Outcome, Page, Progress, Sources, Store, StoreError, Window,
};

pub use anomalies::Anomalies;
pub use correlate::Ledger;
pub use panel::{Panel, too_many};
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
    /// What takes the panel's place with the next page.
    next_panel: Arc<Mutex<Option<Panel>>>,
    /// Which results of anomaly jobs are folded in.
    anomalies: Option<Anomalies>,
    /// The hits of a dry run, which no store keeps.
    ledger: Mutex<Ledger>,
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
            next_panel: Arc::default(),
            anomalies: None,
            ledger: Mutex::default(),
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

    /// The same, folding in what anomaly jobs found.
    #[must_use]
    pub fn folding(mut self, anomalies: Option<Anomalies>) -> Self {
        self.anomalies = anomalies;
        self
    }

    /// Judges with that judge from the next page on, also amidst an activation. Pages that were
    /// judged stay so.
    pub fn rearm(&self, judge: &Judge, threads: usize) {
        let panel = Panel::new(judge, threads);
        *self
            .next_panel
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(panel);
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
        let mut judged = None;
        // Three pages are under way: one is read while one is judged and one is written.
        loop {
            let (next, is_new) = (page.next.clone(), page.next != at);
            if !is_new && judged.is_none() {
                break;
            }
            report.problems(std::mem::take(&mut page.problems));
            let writes = judged.is_some();
            let (written, fresh, following) = tokio::join!(
                self.write(judged.take(), &mut progress, report, tell),
                self.judge_new(page, is_new),
                self.following(&next, is_new),
            );
            written?;
            if stop.load(Ordering::Relaxed) {
                report.stopped = true;
                page = Page::default();
                break;
            }
            judged = fresh?;
            at = next;
            page = match following {
                // At the end of the feed our own write-backs may have come since it was read.
                Ok(_) if !is_new && writes && !self.dry_run => self.changes(&at).await?,
                Ok(page) => page,
                Err(error) => {
                    self.write(judged, &mut progress, report, tell).await?;
                    return Err(error.into());
                }
            };
        }
        report.problems(page.problems);
        // What jobs say elsewhere is no reason to lose what was judged here.
        if let Err(error) = self.fold(report, stop, tell).await {
            report.problems(vec![Problem::new("anomalies", error.to_string())]);
        }
        report.end();
        if !self.dry_run {
            self.commit(&mut progress, report).await?;
            self.forget_hits().await?;
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

    /// What follows a page that is judged; where nothing is, nothing is asked for.
    async fn following(&self, at: &Checkpoint, is_wanted: bool) -> Result<Page, StoreError> {
        if is_wanted {
            return self.changes(at).await;
        }
        Ok(Page {
            next: at.clone(),
            ..Page::default()
        })
    }

    async fn judge_new(&self, page: Page, is_new: bool) -> Result<Option<Settled>, SweepError> {
        if !is_new {
            return Ok(None);
        }
        let next = page.next.clone();
        let (judged, digest) = self.judge(page).await?;
        Ok(Some(Settled {
            judged,
            digest,
            next,
        }))
    }

    /// What is found on a page, and the digest of what found it.
    async fn judge(&self, page: Page) -> Result<(Judged, Arc<str>), SweepError> {
        let documents: Arc<[Document]> = page.documents.into();
        let (mut judged, digest) = self
            .on_panel({
                let documents = Arc::clone(&documents);
                let next = Arc::clone(&self.next_panel);
                move |panel| {
                    // A page and the windows that it asks for are judged by the same.
                    if let Some(next) = next.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        *panel = next;
                    }
                    (panel.page(&documents), panel.digest())
                }
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
                self.correlate(&mut judged).await?;
                return Ok((judged, digest));
            };
            let history = history
                .await
                .map_err(|error| SweepError::Broken(error.to_string()))??;
            let history = panel::history_of(&ask, history, &documents, &mut judged);
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
        settled: Option<Settled>,
        progress: &mut Progress,
        report: &mut SweepReport,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<(), SweepError> {
        let Some(mut settled) = settled else {
            return Ok(());
        };
        let judged = &mut settled.judged;
        let mut verdicts = judged.verdicts(&settled.digest, chrono::Utc::now().timestamp_millis());
        let outcomes = if self.dry_run {
            Vec::new()
        } else {
            afresh::apply(&*self.store, &mut verdicts).await?
        };
        let problems = judged.take_problems();
        report.add(&judged.counts, problems, &verdicts, &outcomes);
        if self.again.is_none() {
            progress.at = settled.next;
        }
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
}

/// A page that is judged and not yet written.
struct Settled {
    judged: Judged,
    /// Of what judged it.
    digest: Arc<str>,
    /// Where the feed goes on.
    next: Checkpoint,
}
