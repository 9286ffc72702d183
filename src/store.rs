//! The seam to the world's data: trait [`Store`], its questions and its answers. One contract
//! suite (`tests/store_contract.rs`) runs on every implementation. Nothing here judges.

pub mod elastic;
pub mod embedded;
mod error;
pub mod findings;
mod glob;
pub mod patch;
mod query;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::detect::correlate::Hit;
use crate::document::{Document, DocumentId, Scope, Version};
use crate::finding::Verdict;
use crate::problem::Problem;

pub use error::{StoreError, StoreErrorKind};
pub use sources::{Sources, wildcard};

/// The index that findings are kept in, one document for each judged document.
pub const FINDINGS_INDEX: &str = "picket-findings";

/// The index that hits of correlations are kept in.
pub const HITS_INDEX: &str = ".picket-hits";

/// The most hits of a group that are looked at together: the newest.
pub const MAX_HITS: usize = 50_000;

/// Position in the change feed: for each index and shard (the store names them), a number that grows
/// with what was judged. The embedded store has one shard, `""`, and keeps the last sequence number
/// judged; Elasticsearch keeps the number below which everything is judged, since its first is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint(pub BTreeMap<String, u64>);

impl Checkpoint {
    /// How far that shard is; 0 if it was never read.
    pub fn of(&self, shard: &str) -> u64 {
        self.0.get(shard).copied().unwrap_or(0)
    }

    /// Moves that shard on; never back.
    pub fn advance(&mut self, shard: &str, to: u64) {
        match self.0.get_mut(shard) {
            Some(at) => *at = to.max(*at),
            None => drop(self.0.insert(shard.to_owned(), to)),
        }
    }
}

/// Where a sweep begins with sources that it has never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest document.
    #[default]
    Beginning,
    /// With what is written from now on.
    Now,
    /// With the first document written whose event is not longer ago than that.
    Ago(Duration),
}

impl Begin {
    /// The event time to begin with, in milliseconds since 1970 (UTC), if one is given.
    fn time(self) -> Option<i64> {
        let Self::Ago(ago) = self else {
            return None;
        };
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        Some(chrono::Utc::now().timestamp_millis().saturating_sub(ago))
    }
}

impl fmt::Display for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("the oldest document"),
            Self::Now => f.write_str("what is written from now on"),
            Self::Ago(ago) => write!(f, "what happened {} hours ago", ago.as_secs() / 3600),
        }
    }
}

/// Some documents of the feed, oldest sequence number first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The documents. A page may be empty and yet move the checkpoint (other indices' writes).
    pub documents: Vec<Document>,
    /// The checkpoint once these documents are judged. Equal to what was asked with: the feed is
    /// at rest.
    pub next: Checkpoint,
    /// What could not be read now, and comes later.
    pub problems: Vec<Problem>,
}

/// The most documents of one host or user that a window module is shown: the newest.
pub const MAX_WINDOW: usize = 50_000;

/// Asks for the history of one host or user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where to look: what would belong to a feed of these.
    pub sources: Sources,
    /// A host's or a user's.
    pub scope: Scope,
    /// Its name, compared without case.
    pub entity: String,
    /// The earliest event time, in milliseconds since 1970 (UTC), inclusive.
    pub from: i64,
    /// The latest event time, inclusive.
    pub to: i64,
    /// Only documents that say one of these Sigma fields. Empty: all.
    pub fields: Vec<String>,
}

/// What became of the verdicts of one [`Store::apply`], in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The document says so now.
    Written,
    /// Nothing had to change on the document; the finding is kept.
    Kept,
    /// Somebody wrote in between, so the document comes again in the feed; or it is gone. Nothing
    /// is written and no finding kept.
    Conflict,
    /// The store refuses; the finding is kept. Why, as a sentence.
    Rejected(String),
}

/// A person's or a shipper's write.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDocument {
    /// The index it goes to.
    pub index: String,
    /// Its id. `None`: the store makes one from the index and the source.
    pub id: Option<String>,
    /// Whether it takes the place of the document of that id, if there is one. Otherwise that one
    /// stays, with its verdict and what a person said of it: loading a file twice changes nothing.
    pub replace: bool,
    /// The JSON object.
    pub source: Box<str>,
}

impl NewDocument {
    /// The longest index name and id in bytes, as in Elasticsearch.
    const MAX_INDEX: usize = 255;
    const MAX_ID: usize = 512;

    /// Where it goes; its id may have to be made from its source.
    fn id(&self) -> Result<DocumentId, StoreError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => findings::digest(&self.index, &self.source),
        };
        let ok =
            |text: &str, max: usize| !text.is_empty() && text.len() <= max && !text.contains('\0');
        if !ok(&self.index, Self::MAX_INDEX) || !ok(&id, Self::MAX_ID) {
            return Err(StoreError::new(
                StoreErrorKind::BadRequest,
                format!(
                    "index {:?}, id {id:?}: an index has 1 to {} bytes, an id 1 to {}, and \
                     neither a NUL",
                    self.index,
                    Self::MAX_INDEX,
                    Self::MAX_ID
                ),
            ));
        }
        Ok(DocumentId {
            index: self.index.as_str().into(),
            id: id.into(),
        })
    }
}

/// How to order what [`Store::find`] finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By event time, newest first; ties by sequence number.
    #[default]
    NewestFirst,
    /// By event time, oldest first; ties by sequence number.
    OldestFirst,
}

/// A question to a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Which indices; `None`: all, findings included. On a cluster "all", also as the pattern `*`,
    /// is what Picket is configured to read.
    pub sources: Option<Sources>,
    /// A query string. Bare words and `"phrases"` are looked for in the command line and all
    /// text. `field:value` compares whole values, however long, without case (a cluster may find
    /// more where its index keeps only the words of a long value);
    /// `wild*cards?` find parts, and `field:*` that there is a value. Ranges are `field:[a TO b]`,
    /// `{a TO b}`, `field:>5`, over numbers, times or text. `AND` (also by standing side by side), `OR`, `NOT`, `( )` join them.
    /// A field is named by its Sigma name, by its path in the source, or `host`, `user`, `time`,
    /// `index`. A backslash takes the meaning of the sign after it. Empty: everything.
    pub query: String,
    /// The earliest event time, in milliseconds since 1970 (UTC), inclusive.
    pub from: Option<i64>,
    /// The latest event time, inclusive.
    pub to: Option<i64>,
    /// The order.
    pub sort: Sort,
    /// How many to pass over.
    pub offset: usize,
    /// How many at most; 0: only count and aggregate. `offset` and `limit` together are at most
    /// 10,000, as in Elasticsearch.
    pub limit: usize,
    /// Counted over all that is found, whatever the limit.
    pub aggregations: Vec<Aggregation>,
}

/// One way to count what a [`Search`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// How many in each interval of that many milliseconds of event time (aligned to 1970).
    DateHistogram(i64),
    /// The values of a field that occur most, and how often.
    Terms {
        /// `AlertLevel`, `index`, `host`, `user`, or a field of the source.
        field: String,
        /// How many values.
        size: usize,
    },
}

/// What a [`Search`] finds.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many there are, whatever the limit.
    pub total: u64,
    /// The documents asked for.
    pub documents: Vec<Document>,
    /// For each [`Aggregation`] its buckets: key and count. Keys of a histogram are the interval's
    /// start in milliseconds since 1970 (UTC), ascending; those of terms come most frequent first.
    pub buckets: Vec<Vec<(String, u64)>>,
}

/// Where data is read, judged and written back.
///
/// Laws, each held by the contract suite:
/// - **Nothing is skipped.** Following `changes` from any checkpoint until it rests yields every
///   document of the sources whose last write came after that checkpoint, whoever writes meanwhile.
/// - **Nothing is overwritten.** `apply` and `edit` change a document only if its `Version` is the
///   one given. So a verdict that was settled on that version, see [`Verdict::settle`], never lowers
///   an `AlertLevel` and never touches a document with `Ignore` 1.
/// - **Nothing acknowledged is lost.** What `add`, `edit` and `commit` answered `Ok` to, and what
///   `apply` reported before that `commit`, survives `kill -9`.
/// - **Repeating is harmless.** Applying the same verdicts again changes nothing and doubles no
///   finding.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes documents. `Ok` means they are durable.
    async fn add(&self, documents: Vec<NewDocument>) -> Result<(), StoreError>;

    /// Where a feed of those sources begins that was never read.
    async fn begin(&self, sources: &Sources, from: Begin) -> Result<Checkpoint, StoreError>;

    /// The next at most `limit` documents of the sources that were written after `since`. For a
    /// sweep, what is read is its own until it calls [`Store::release`] or is silent for a minute:
    /// other processes read other shards meanwhile. `None` reads everything.
    async fn changes(
        &self,
        sweep: Option<&str>,
        sources: &Sources,
        since: &Checkpoint,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// Documents as they are now, whatever searches see yet; `None` where there is none.
    async fn get(&self, ids: &[DocumentId]) -> Result<Vec<Option<Document>>, StoreError>;

    /// All documents of one host or user in a span of time, oldest first.
    async fn window(&self, window: &Window) -> Result<Vec<Document>, StoreError>;

    /// Writes verdicts where their `Version` still holds, and their findings, one document a
    /// judged document in [`FINDINGS_INDEX`] under an id made of the document's. A verdict that is
    /// not `whole` adds its findings to those that are kept; a whole one replaces them. One
    /// outcome a verdict, in order. Durable at the latest with the next [`Store::commit`].
    async fn apply(&self, verdicts: &[Verdict]) -> Result<Vec<Outcome>, StoreError>;

    /// A person's decision: sets the fields of `patch` at the top of the document if its version
    /// still holds (`false`: it does not). `Ok(true)` means it is durable.
    async fn edit(
        &self,
        document: &DocumentId,
        version: Version,
        patch: &Map<String, Value>,
    ) -> Result<bool, StoreError>;

    /// How far that sweep is; nothing if it never ran.
    async fn progress(&self, sweep: &str) -> Result<Progress, StoreError>;

    /// Keeps how far that sweep is, and makes everything applied before it durable.
    async fn commit(&self, sweep: &str, progress: &Progress) -> Result<(), StoreError>;

    /// Lets other processes go on with what this sweep was reading.
    async fn release(&self, sweep: &str) -> Result<(), StoreError>;

    /// Keeps hits of correlations in [`HITS_INDEX`], each once, however often it is kept, with the
    /// time now in milliseconds since 1970 (UTC). `Ok` means that they are durable, and that whoever
    /// asks [`Store::hits`] from now on sees them: of two processes that keep hits of a group and
    /// then ask for it, one at least sees both.
    async fn keep_hits(&self, hits: &[Hit], now: i64) -> Result<(), StoreError>;

    /// For each group its hits in a span of time, in any order: the newest [`MAX_HITS`], and one
    /// more if there are more.
    async fn hits(&self, groups: &[GroupSpan]) -> Result<Vec<Vec<Hit>>, StoreError>;

    /// Forgets hits that were kept on a day before that of this time (UTC); all, or some.
    async fn forget_hits(&self, before: i64) -> Result<(), StoreError>;

    /// Searches, counts and aggregates.
    async fn find(&self, search: &Search) -> Result<Found, StoreError>;

    /// How many documents of the sources there are, and how many wait after `since`.
    async fn waiting(&self, sources: &Sources, since: &Checkpoint) -> Result<Waiting, StoreError>;
}

/// Asks for the hits of one group of a correlation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpan {
    /// The group, see [`crate::detect::correlate::Part::group`].
    pub group: String,
    /// The earliest event time, in milliseconds since 1970 (UTC), inclusive.
    pub from: i64,
    /// The latest event time, inclusive.
    pub to: i64,
}

/// How far a sweep is, and how it went: kept in one with what it wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What it has judged.
    pub at: Checkpoint,
    /// The patterns whose first document was chosen, see [`Store::begin`].
    #[serde(default)]
    pub begun: BTreeSet<String>,
    /// The report of its last activation, for people to look at; the store does not look into it.
    pub report: Option<Value>,
    /// Those of other processes that did the same sweep meanwhile; a store tells, and is not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Value>,
}

/// How far a feed is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Documents of the sources.
    pub documents: u64,
    /// Those written after the checkpoint.
    pub waiting: u64,
    /// The event time of the oldest of them, in milliseconds since 1970 (UTC).
    pub oldest: Option<i64>,
    /// The same for each shard, where the store has more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardWaiting>,
}

/// How far the feed of one shard is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShardWaiting {
    /// The index that it belongs to.
    pub index: String,
    /// Its number in that index.
    pub shard: u32,
    /// Its documents.
    pub documents: u64,
    /// Those written after the checkpoint.
    pub waiting: u64,
    /// The event time of the one of them that was written first, in milliseconds since 1970 (UTC).
    pub oldest: Option<i64>,
    /// Nobody answers for it now, so that none of this is known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
}
