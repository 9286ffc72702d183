//! The embedded [`Store`], on tantivy: in a folder, or in RAM for tests. One thread writes
//! (`committer`), everybody reads what its last commit left (`snapshot`). Never blocks the
//! async runtime, and never acknowledges what a crash could take back.

mod bits;
mod check;
mod committer;
mod error;
mod eval;
mod find;
mod hits;
mod row;
mod schema;
mod snapshot;
mod stage;
mod words;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tantivy::directory::MmapDirectory;
use tantivy::{Index, IndexReader, ReloadPolicy};
use tokio::sync::{mpsc, oneshot};

use self::committer::{Committer, Job, Latest, latest};
use self::row::Rows;
use self::schema::Columns;
use self::snapshot::Snapshot;
use super::{
    Begin, Checkpoint, Found, GroupSpan, NewDocument, Outcome, Page, Progress, Search, Sources,
    Store, StoreError, StoreErrorKind, Waiting, Window,
};
use crate::detect::correlate::Hit;
use crate::document::{Document, DocumentId, Version};
use crate::finding::Verdict;
use crate::taxonomy::{Fields, Reader};

/// How many jobs may wait for the committer before a sender has to.
const QUEUE: usize = 256;

/// A store in a folder, or in RAM.
pub struct Embedded {
    reader: Arc<Reader>,
    index: Index,
    latest: Latest,
    writing: Option<Writing>,
}

struct Writing {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Writing {
    /// Waits for the thread, so that the folder can be opened again at once.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Embedded {
    /// Opens the store in that folder to read and write; makes it if there is none. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// `Locked`: another process writes to it. `Unauthorized`, `Full`: the folder cannot be
    /// written. `Corrupt`: files are missing or cut. `BadRequest`: another version of Picket wrote it.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|e| error::open_io(dir, e))?;
        let directory = MmapDirectory::open(dir).map_err(|e| error::open(dir, e.into()))?;
        let exists = Index::exists(&directory).map_err(|e| error::open(dir, e.into()))?;
        let index = if exists {
            Index::open(directory)
        } else {
            // A folder with an index's files but without its head is a damaged store.
            if dir.join(".managed.json").is_file() {
                return Err(missing_head(dir));
            }
            Index::create(directory, Columns::schema().0, Default::default())
        };
        let index = index.map_err(|e| error::open(dir, e))?;
        Self::over(index, true).map_err(|e| in_dir(dir, e))
    }

    /// Opens the store in that folder only to read, beside the process that writes to it, as its
    /// last commit left it. Everything that would write answers `Locked`.
    ///
    /// # Errors
    /// `Unavailable`: there is none. Otherwise as [`Embedded::open`].
    pub fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        if !dir.join("meta.json").is_file() {
            return Err(if dir.join(".managed.json").is_file() {
                missing_head(dir)
            } else {
                StoreError::new(
                    StoreErrorKind::Unavailable,
                    format!(
                        "there is no store in {}; load something first",
                        dir.display()
                    ),
                )
            });
        }
        let index = Index::open_in_dir(dir).map_err(|e| error::open(dir, e))?;
        Self::over(index, false).map_err(|e| in_dir(dir, e))
    }

    /// A store in RAM, empty.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::over(Index::create_in_ram(Columns::schema().0), true)
    }

    fn over(index: Index, write: bool) -> Result<Self, StoreError> {
        let (schema, columns) = Columns::schema();
        // The state is read before the segments: it may be older than them, never newer.
        let state = committer::stored_state(&index)?;
        if index.schema() != schema {
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                "its schema is not Picket's; use another folder",
            ));
        }
        Columns::register(&index);
        let reader = Arc::new(Reader::new(&Fields::default()));
        let index_reader: IndexReader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(error::read)?;
        if !write {
            let snapshot =
                Snapshot::new(columns, index_reader.searcher(), state.unwrap_or_default())?;
            return Ok(Self {
                reader,
                index,
                latest: Arc::new(std::sync::RwLock::new(Arc::new(snapshot))),
                writing: None,
            });
        }
        let committer = Committer::new(
            index.clone(),
            index_reader,
            columns,
            Arc::clone(&reader),
            state,
        )?;
        let latest = committer.latest();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = committer.spawn(queue).map_err(error::read_io)?;
        Ok(Self {
            reader,
            index,
            latest,
            writing: Some(Writing {
                jobs: Some(jobs),
                thread: Some(thread),
            }),
        })
    }

    /// Reads every file and compares its checksum: the names of those that are damaged.
    ///
    /// # Errors
    /// A file cannot be read at all.
    pub async fn verify(&self) -> Result<Vec<String>, StoreError> {
        let index = self.index.clone();
        let damaged = blocking(move || index.validate_checksum().map_err(error::read)).await?;
        let mut damaged: Vec<String> = damaged.iter().map(|p| p.display().to_string()).collect();
        damaged.sort();
        Ok(damaged)
    }

    async fn ask<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot) -> Result<T, StoreError> + Send + 'static,
    {
        let snapshot = latest(&self.latest);
        blocking(move || question(&snapshot)).await
    }

    async fn tell<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let Some(jobs) = self.writing.as_ref().and_then(|w| w.jobs.as_ref()) else {
            return Err(StoreError::new(
                StoreErrorKind::Locked,
                "the store is open only to read; another process may be writing to it",
            ));
        };
        let (reply, answer) = oneshot::channel();
        jobs.send(job(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| stopped())?
}

fn stopped() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "the store has stopped after an error of its own; start Picket again",
    )
}

fn in_dir(dir: &Path, error: StoreError) -> StoreError {
    let message = format!(
        "cannot open the store in {}: {}",
        dir.display(),
        error.message
    );
    StoreError::new(error.kind, message)
}

fn missing_head(dir: &Path) -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        format!(
            "the store in {} is damaged: meta.json is missing; restore the folder from a copy",
            dir.display()
        ),
    )
}

#[async_trait]
impl Store for Embedded {
    async fn add(&self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        if documents.is_empty() {
            return Ok(());
        }
        let reader = Arc::clone(&self.reader);
        let rows = blocking(move || {
            let mut rows = Rows::new(reader);
            let row = |document: NewDocument| {
                let id = document.id()?;
                let mut row = rows.row(id, document.source.into())?;
                row.only_new = !document.replace;
                Ok(row)
            };
            documents.into_iter().map(row).collect()
        })
        .await?;
        self.tell(|reply| Job::Add(rows, reply)).await
    }

    async fn begin(&self, sources: &Sources, from: Begin) -> Result<Checkpoint, StoreError> {
        let sources = sources.clone();
        self.ask(move |snapshot| snapshot.begin(&sources, from))
            .await
    }

    async fn changes(
        &self,
        _: Option<&str>,
        sources: &Sources,
        since: &Checkpoint,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let (sources, since) = (sources.clone(), since.clone());
        self.ask(move |snapshot| snapshot.changes(&sources, &since, limit))
            .await
    }

    async fn get(&self, ids: &[DocumentId]) -> Result<Vec<Option<Document>>, StoreError> {
        let ids = ids.to_vec();
        if self.writing.is_none() {
            let get = move |snapshot: &Snapshot| ids.iter().map(|id| snapshot.get(id)).collect();
            return self.ask(get).await;
        }
        // What was applied and is not committed is known only there.
        self.tell(|reply| Job::Get(ids, reply)).await
    }

    async fn window(&self, window: &Window) -> Result<Vec<Document>, StoreError> {
        let window = window.clone();
        self.ask(move |snapshot| snapshot.window(&window)).await
    }

    async fn apply(&self, verdicts: &[Verdict]) -> Result<Vec<Outcome>, StoreError> {
        if verdicts.is_empty() {
            return Ok(Vec::new());
        }
        let verdicts = verdicts.to_vec();
        self.tell(|reply| Job::Apply(verdicts, reply)).await
    }

    async fn edit(
        &self,
        document: &DocumentId,
        version: Version,
        patch: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        let (document, patch) = (document.clone(), patch.clone());
        self.tell(|reply| Job::Edit(document, version, patch, reply))
            .await
    }

    async fn progress(&self, sweep: &str) -> Result<Progress, StoreError> {
        let state = &latest(&self.latest).state;
        Ok(state.sweeps.get(sweep).cloned().unwrap_or_default())
    }

    async fn commit(&self, sweep: &str, progress: &Progress) -> Result<(), StoreError> {
        let (sweep, progress) = (sweep.to_owned(), progress.clone());
        self.tell(|reply| Job::Commit(sweep, progress, reply)).await
    }

    /// Nobody else writes to the folder: there is nothing to let go.
    async fn release(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn keep_hits(&self, hits: &[Hit], now: i64) -> Result<(), StoreError> {
        if hits.is_empty() {
            return Ok(());
        }
        let hits = hits.to_vec();
        let reader = Arc::clone(&self.reader);
        let rows = blocking(move || hits::rows(&hits, now, &mut Rows::new(reader))).await?;
        self.tell(|reply| Job::Add(rows, reply)).await
    }

    async fn hits(&self, groups: &[GroupSpan]) -> Result<Vec<Vec<Hit>>, StoreError> {
        let groups = groups.to_vec();
        self.ask(move |snapshot| {
            groups
                .iter()
                .map(|group| hits::of(snapshot, group))
                .collect()
        })
        .await
    }

    async fn forget_hits(&self, before: i64) -> Result<(), StoreError> {
        let old = self
            .ask(move |snapshot| hits::kept_before(snapshot, before))
            .await?;
        match old.is_empty() {
            true => Ok(()),
            false => self.tell(|reply| Job::Remove(old, reply)).await,
        }
    }

    async fn find(&self, search: &Search) -> Result<Found, StoreError> {
        let search = search.clone();
        let mut rows = Rows::new(Arc::clone(&self.reader));
        self.ask(move |snapshot| find::find(snapshot, &search, &mut rows))
            .await
    }

    async fn waiting(&self, sources: &Sources, since: &Checkpoint) -> Result<Waiting, StoreError> {
        let (sources, since) = (sources.clone(), since.clone());
        self.ask(move |snapshot| snapshot.waiting(&sources, &since))
            .await
    }
}
