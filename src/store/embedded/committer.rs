//! The one thread that writes. It takes all that waits, stages it, and makes it durable with one
//! commit that carries the state, then answers: many small writes share one fsync. Whatever fails
//! is rolled back at once and everybody who waits is told; nothing is acknowledged before its
//! commit, but verdicts, which are kept in memory until the next commit, whoever's it is.

use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use serde_json::{Map, Value};
use tantivy::indexer::IndexWriterOptions;
use tantivy::merge_policy::LogMergePolicy;
use tantivy::{Index, IndexReader, IndexWriter};
use tokio::sync::{mpsc, oneshot};

use super::error;
use super::row::{Entry, Row, Rows};
use super::schema::{Columns, State, VERSION};
use super::snapshot::Snapshot;
use super::stage::{Stage, Write, Writes};
use crate::document::{Document, DocumentId, Version};
use crate::finding::Verdict;
use crate::store::{Outcome, Progress, StoreError, StoreErrorKind};
use crate::taxonomy::Reader;

/// How many threads index.
const WRITERS: usize = 2;
/// Memory of each of them in bytes, before it starts a new segment.
const WRITER_MEMORY: usize = 30_000_000;
/// A segment is written anew once more than that share of its documents are replaced: every verdict
/// replaces a document, and what was replaced shall not fill the disk.
const MAX_REPLACED: f32 = 0.3;
/// Segments of fewer documents are merged among themselves, so that a stream of small writes does
/// not write a large segment anew each time.
const MIN_LAYER: u32 = 1_000;
/// A group takes no more jobs once it has that many documents.
const MAX_GROUP: usize = 20_000;
/// Verdicts wait in memory for a commit up to that many.
const MAX_PENDING: usize = 20_000;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
pub(super) enum Job {
    Add(Vec<Row>, Reply<()>),
    Edit(DocumentId, Version, Map<String, Value>, Reply<bool>),
    Get(Vec<DocumentId>, Reply<Vec<Option<Document>>>),
    Apply(Vec<Verdict>, Reply<Vec<Outcome>>),
    Commit(String, Progress, Reply<()>),
    Remove(Vec<DocumentId>, Reply<()>),
}

/// The answer to a job, held back until its commit.
enum Answer {
    Done(Reply<()>),
    Edited(Reply<bool>, bool),
    Applied(Reply<Vec<Outcome>>, Vec<Outcome>),
    Got(Reply<Vec<Option<Document>>>, Vec<Option<Document>>),
}

impl Answer {
    /// Who does not wait any more needs no answer.
    fn send(self, result: &Result<(), StoreError>) {
        let failed = |error: &StoreError| StoreError::new(error.kind, error.message.clone());
        let result = result.as_ref().copied();
        match self {
            Self::Done(reply) => drop(reply.send(result.map_err(failed))),
            Self::Edited(reply, done) => drop(reply.send(result.map(|()| done).map_err(failed))),
            Self::Applied(reply, outcomes) => {
                drop(reply.send(result.map(|()| outcomes).map_err(failed)));
            }
            Self::Got(reply, documents) => {
                drop(reply.send(result.map(|()| documents).map_err(failed)));
            }
        }
    }
}

/// Where everybody finds what the last commit left.
pub(super) type Latest = Arc<RwLock<Arc<Snapshot>>>;

/// What the last commit left.
pub(super) fn latest(latest: &Latest) -> Arc<Snapshot> {
    Arc::clone(&latest.read().unwrap_or_else(PoisonError::into_inner))
}

/// The writing half of a store.
pub(super) struct Committer {
    index: Index,
    index_reader: IndexReader,
    columns: Columns,
    writer: Option<IndexWriter<Entry>>,
    rows: Rows,
    /// As it is on the disk.
    state: State,
    /// The highest sequence number that was ever given out.
    seq: u64,
    /// Acknowledged verdicts that no commit holds yet.
    pending: Writes,
    latest: Latest,
    /// The latest snapshot is older than the last commit.
    stale: bool,
}

/// What a group of jobs came to.
#[derive(Default)]
struct Group {
    answers: Vec<Answer>,
    staged: Writes,
    sweeps: Vec<(String, Progress)>,
    /// What goes, unless it is written in the same group.
    removed: Vec<DocumentId>,
    /// Somebody waits for it to be durable.
    commit: bool,
}

impl Committer {
    /// Takes the writer's lock, and writes the first state if there is none.
    pub(super) fn new(
        index: Index,
        index_reader: IndexReader,
        columns: Columns,
        reader: Arc<Reader>,
        state: Option<State>,
    ) -> Result<Self, StoreError> {
        let mut writer = writer(&index).map_err(error::lock)?;
        let state = match state {
            Some(state) => state,
            None => {
                let state = State {
                    version: VERSION,
                    ..State::default()
                };
                commit(&mut writer, &state).map_err(error::write)?;
                index_reader.reload().map_err(error::read)?;
                state
            }
        };
        let latest = Snapshot::new(columns, index_reader.searcher(), state.clone())?;
        Ok(Self {
            index,
            index_reader,
            columns,
            writer: Some(writer),
            rows: Rows::new(reader),
            seq: state.seq,
            state,
            pending: Writes::new(),
            latest: Arc::new(RwLock::new(Arc::new(latest))),
            stale: false,
        })
    }

    pub(super) fn latest(&self) -> Latest {
        Arc::clone(&self.latest)
    }

    /// Runs until nobody can send jobs any more.
    pub(super) fn spawn(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
    ) -> std::io::Result<JoinHandle<()>> {
        let run = move || {
            while let Some(first) = jobs.blocking_recv() {
                self.work(first, &mut jobs);
            }
        };
        std::thread::Builder::new()
            .name("picket-store".into())
            .spawn(run)
    }

    fn work(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) {
        let mut group = Group::default();
        let mut result = self.refresh();
        let mut next = Some(first);
        while let Some(job) = next {
            if let Err(error) = self.stage(job, &mut group, result.is_ok()) {
                result = Err(error);
            }
            next = (group.staged.len() < MAX_GROUP)
                .then(|| jobs.try_recv().ok())
                .flatten();
        }
        let Group {
            answers,
            staged,
            sweeps,
            removed,
            commit,
        } = group;
        if result.is_ok() {
            if commit || self.pending.len() + staged.len() > MAX_PENDING {
                result = self.write_out(staged, sweeps, &removed);
            } else {
                self.pending.extend(staged);
            }
        }
        for answer in answers {
            answer.send(&result);
        }
    }

    /// Stages one job. If the group has failed already, the job only joins it to be told.
    fn stage(&mut self, job: Job, group: &mut Group, go: bool) -> Result<(), StoreError> {
        let snapshot = latest(&self.latest);
        let mut stage = Stage {
            snapshot: &snapshot,
            pending: &self.pending,
            staged: std::mem::take(&mut group.staged),
            rows: &mut self.rows,
            seq: self.seq,
        };
        let mut result = Ok(());
        let answer = match job {
            Job::Add(rows, reply) => {
                if go {
                    result = stage.add(rows);
                    group.commit = true;
                }
                Answer::Done(reply)
            }
            Job::Edit(id, version, change, reply) => {
                let edited = go.then(|| stage.edit(&id, version, &change)).transpose();
                group.commit = true;
                Answer::Edited(reply, keep(edited, &mut result).unwrap_or_default())
            }
            Job::Get(ids, reply) => {
                let got = go.then(|| ids.iter().map(|id| stage.current(id)).collect());
                Answer::Got(
                    reply,
                    keep(got.transpose(), &mut result).unwrap_or_default(),
                )
            }
            Job::Apply(verdicts, reply) => {
                let outcomes = go.then(|| verdicts.iter().map(|v| stage.apply(v)).collect());
                Answer::Applied(
                    reply,
                    keep(outcomes.transpose(), &mut result).unwrap_or_default(),
                )
            }
            Job::Commit(sweep, progress, reply) => {
                group.sweeps.push((sweep, progress));
                group.commit = true;
                Answer::Done(reply)
            }
            Job::Remove(ids, reply) => {
                group.removed.extend(ids);
                group.commit = true;
                Answer::Done(reply)
            }
        };
        self.seq = stage.seq;
        group.staged = stage.staged;
        group.answers.push(answer);
        result
    }

    /// Makes durable what is pending and what is staged, and lets everybody see it.
    fn write_out(
        &mut self,
        staged: Writes,
        sweeps: Vec<(String, Progress)>,
        removed: &[DocumentId],
    ) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state.seq = self.seq;
        state.sweeps.extend(sweeps);
        let nothing = staged.is_empty() && self.pending.is_empty() && removed.is_empty();
        if nothing && state == self.state {
            return Ok(());
        }
        match self.try_write(staged, removed, &state) {
            Ok(()) => {
                self.pending.clear();
                self.state = state;
                self.stale = true;
                // What is durable is acknowledged even if it cannot be shown yet.
                let _ = self.refresh();
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn try_write(
        &mut self,
        staged: Writes,
        removed: &[DocumentId],
        state: &State,
    ) -> Result<(), StoreError> {
        let snapshot = latest(&self.latest);
        if self.writer.is_none() {
            self.writer = Some(writer(&self.index).map_err(error::write)?);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        // Before the writes: a delete takes what was added before it.
        for id in removed {
            writer.delete_term(self.columns.key_term(id));
        }
        let kept = self.pending.iter();
        let kept = kept.filter(|(id, _)| !staged.contains_key(*id));
        let mut writes: Vec<Write> = kept.map(|(_, write)| write.clone()).collect();
        writes.extend(staged.into_values());
        writes.sort_unstable_by_key(|write| write.seq);
        for Write { seq, row } in writes {
            // Staging has looked already where a row never replaces a document.
            if !row.only_new && snapshot.place(&row.id)?.is_some() {
                writer.delete_term(self.columns.key_term(&row.id));
            }
            let columns = self.columns;
            let entry = Entry { columns, seq, row };
            if let Err(error) = writer.add_document(entry) {
                // Only the thread that ended knows why.
                let why = writer.prepare_commit().err().unwrap_or(error);
                return Err(error::write(why));
            }
        }
        commit(writer, state).map_err(error::write)
    }

    /// Back to what the disk holds. Without it, later commits succeed and documents vanish.
    fn roll_back(&mut self) {
        let rolled_back = |mut writer: IndexWriter<Entry>| {
            writer.rollback().ok()?;
            set_merges(&writer);
            Some(writer)
        };
        self.writer = self.writer.take().and_then(rolled_back);
        if let Ok(Some(state)) = stored_state(&self.index) {
            self.state = state;
        }
        self.stale = true;
        let _ = self.refresh();
    }

    /// Shows everybody the last commit, if that failed before.
    fn refresh(&mut self) -> Result<(), StoreError> {
        if self.stale {
            self.index_reader.reload().map_err(error::read)?;
            let searcher = self.index_reader.searcher();
            let new = Snapshot::new(self.columns, searcher, self.state.clone())?;
            *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
            self.stale = false;
        }
        Ok(())
    }
}

fn keep<T>(done: Result<Option<T>, StoreError>, result: &mut Result<(), StoreError>) -> Option<T> {
    match done {
        Ok(done) => done,
        Err(error) => {
            *result = Err(error);
            None
        }
    }
}

fn writer(index: &Index) -> tantivy::Result<IndexWriter<Entry>> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(WRITERS)
        .memory_budget_per_thread(WRITER_MEMORY)
        .num_merge_threads(1)
        .build();
    let writer = index.writer_with_options(options)?;
    set_merges(&writer);
    Ok(writer)
}

/// A rollback forgets it.
fn set_merges(writer: &IndexWriter<Entry>) {
    let mut policy = LogMergePolicy::default();
    policy.set_min_layer_size(MIN_LAYER);
    policy.set_del_docs_ratio_before_merge(MAX_REPLACED);
    writer.set_merge_policy(Box::new(policy));
}

/// Never `IndexWriter::commit`, which forgets the state.
fn commit(writer: &mut IndexWriter<Entry>, state: &State) -> tantivy::Result<()> {
    let payload = serde_json::to_string(state)
        .map_err(|error| tantivy::TantivyError::InvalidArgument(error.to_string()))?;
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(&payload);
    commit.commit().map(drop)
}

/// The state that the last commit on the disk carries.
///
/// # Errors
/// The store is damaged, or another version of Picket wrote it.
pub(super) fn stored_state(index: &Index) -> Result<Option<State>, StoreError> {
    let Some(payload) = index.load_metas().map_err(error::read)?.payload else {
        return Ok(None);
    };
    let version = serde_json::from_str::<Value>(&payload)
        .ok()
        .and_then(|state| state.get("version")?.as_u64());
    match (version, serde_json::from_str(&payload)) {
        (Some(version), _) if version > u64::from(VERSION) => Err(StoreError::new(
            StoreErrorKind::BadRequest,
            format!(
                "a newer Picket wrote this store (version {version}, this one reads {VERSION}); \
                 use that Picket, or another folder"
            ),
        )),
        (Some(version), _) if version < u64::from(VERSION) => Err(StoreError::new(
            StoreErrorKind::BadRequest,
            format!(
                "an older Picket wrote this store (version {version}, this one reads {VERSION}); \
                 use that Picket, or load the files again into another folder"
            ),
        )),
        (Some(_), Ok(state)) => Ok(Some(state)),
        _ => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            "the state of the store cannot be read; restore its folder from a copy",
        )),
    }
}
