//! The [`Store`] on Elasticsearch or OpenSearch. Reads what is new shard by shard up to the global
//! checkpoint, writes back under the version that was read, and shares the work with other Picket
//! processes through `.picket-state`. Judges nothing, and holds nothing that is not also there.

mod bulk;
mod client;
mod coverage;
mod dsl;
mod feed;
mod hits;
mod load;
mod role;
mod search;
mod server;
mod shards;
mod state;
mod tls;
mod types;
mod verdicts;
mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use self::bulk::Write;
use self::client::{Client, bad};
use self::feed::Pace;
use self::search::Known;
use self::shards::Shard;
use super::{
    Begin, Checkpoint, Found, NewDocument, Outcome, Page, Progress, Search, Sources, Store,
    StoreError, StoreErrorKind, Waiting, Window,
};
use crate::document::{Document, DocumentId, Version};
use crate::finding::Verdict;
use crate::problem::Problem;
use crate::taxonomy::read::leaves;

pub use client::{Connection, Login};
pub use load::{Loaded, Loading};
pub use role::Role;
pub use server::{Kind, Server};
pub use state::STATE_INDEX;

/// A store on a cluster.
pub struct Elastic {
    client: Client,
    /// This process, to the others.
    owner: String,
    /// Where it begins among shards.
    chance: usize,
    /// What everything means to a search.
    sources: Sources,
    known: Known,
    lease: Duration,
    feeds: Mutex<BTreeMap<Reading, Feed>>,
}

/// Who reads what: a sweep, or somebody in passing.
type Reading = (Option<String>, Vec<String>);

/// What is being read for one sweep.
#[derive(Default)]
struct Feed {
    /// Shards with something new, refreshed, the one that is read now last.
    open: Vec<Shard>,
    pace: BTreeMap<String, Pace>,
}

impl Elastic {
    /// Connects to the cluster.
    ///
    /// # Errors
    /// `Unavailable`: nobody answers. `Unauthorized`: it does not accept the credentials.
    /// `BadRequest`: it is no server that Picket can work with, or `connection` makes no sense.
    pub async fn open(connection: &Connection) -> Result<Self, StoreError> {
        let chance = RandomState::new().hash_one(std::process::id()) as usize;
        Ok(Self {
            client: Client::connect(connection).await?,
            owner: format!("{}-{chance:016x}", std::process::id()),
            chance,
            sources: Sources::all(),
            known: Known::default(),
            lease: state::LEASE,
            feeds: Mutex::default(),
        })
    }

    /// The same; a search of everything looks at no more than these.
    #[must_use]
    pub fn reading(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// The same, leaving a shard to others once it has said nothing for that long.
    #[must_use]
    pub fn leasing(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// What answers there.
    pub fn server(&self) -> &Server {
        self.client.server()
    }

    /// Looks for shards with something after `since`, and makes it visible. With a sweep, only
    /// shards that no other process works on, which are then ours.
    async fn look(
        &self,
        sweep: Option<&str>,
        sources: &Sources,
        since: &mut Checkpoint,
    ) -> Result<Vec<Shard>, StoreError> {
        let mut shards = shards::shards(&self.client, sources).await?;
        shards.retain(|shard| shard.upto > since.of(&shard.key));
        if let Some(sweep) = sweep
            && !shards.is_empty()
        {
            self.claim(sweep, &mut shards, since).await?;
        }
        if !shards.is_empty() {
            self.known.forget().await;
        }
        let all: Vec<&Shard> = shards.iter().collect();
        feed::refresh(&self.client, &all).await?;
        // The last is read first.
        shards.reverse();
        Ok(shards)
    }

    /// Takes the shards that nobody works on, and learns how far others came with them.
    async fn claim(
        &self,
        sweep: &str,
        shards: &mut Vec<Shard>,
        since: &mut Checkpoint,
    ) -> Result<(), StoreError> {
        // Each process begins elsewhere, and takes a share: the others may be there in a moment.
        let start = self.chance % shards.len();
        shards.rotate_left(start);
        let share = shards.len().div_ceil(2).max(1);
        let state = state::change(&self.client, sweep, |state| {
            let mut taken = 0;
            for shard in shards.iter() {
                let at = state.at.get(&shard.key).copied().unwrap_or(0);
                if taken < share && at < shard.upto && !state.is_taken(&shard.key, &self.owner) {
                    state.lease(&shard.key, &self.owner, self.lease);
                    taken += 1;
                }
            }
            taken > 0
        })
        .await?;
        shards.retain(|shard| state.is_held(&shard.key, &self.owner));
        for shard in shards.iter() {
            since.advance(&shard.key, state.at.get(&shard.key).copied().unwrap_or(0));
        }
        shards.retain(|shard| shard.upto > since.of(&shard.key));
        Ok(())
    }
}

#[async_trait]
impl Store for Elastic {
    async fn add(&self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        // All are looked at before one is sent.
        let mut writes = Vec::with_capacity(documents.len());
        for document in documents {
            let id = document.id()?;
            let refused = |error: &dyn fmt::Display| {
                bad(format!(
                    "document {:?} for index {:?} is refused: {error}",
                    id.id, id.index
                ))
            };
            serde_json::from_str::<IgnoredAny>(&document.source).map_err(|e| refused(&e))?;
            leaves(&document.source, |_, _| {}).map_err(|e| refused(&e))?;
            // A line break ends a document there; in JSON it stands only where a space may.
            let source = document.source.replace(['\n', '\r'], " ").into_bytes();
            writes.push(match document.replace {
                true => Write::Index(id, source),
                false => Write::Create(id, source),
            });
        }
        let items = bulk::write(&self.client, &writes, false).await?;
        for (write, item) in writes.iter().zip(items) {
            match (write, item.status, item.error) {
                (Write::Create(..), 409, _) | (_, _, None) => {}
                (Write::Create(id, _) | Write::Index(id, _), status, Some((kind, reason))) => {
                    let kind_of = match status {
                        401 | 403 => StoreErrorKind::Unauthorized,
                        429 | 500.. => StoreErrorKind::Unavailable,
                        _ => StoreErrorKind::BadRequest,
                    };
                    let (index, id) = (&id.index, &id.id);
                    return Err(StoreError::new(
                        kind_of,
                        format!("{index} refuses document {id}: {kind}: {reason}"),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn begin(&self, sources: &Sources, from: Begin) -> Result<Checkpoint, StoreError> {
        coverage::begin(&self.client, sources, from).await
    }

    async fn changes(
        &self,
        sweep: Option<&str>,
        sources: &Sources,
        since: &Checkpoint,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut feeds = self.feeds.lock().await;
        let reading = (sweep.map(str::to_owned), sources.0.clone());
        let feed = feeds.entry(reading).or_default();
        let mut next = since.clone();
        let mut page = Page::default();
        let (mut looked, mut bytes) = (false, 0);
        while page.documents.len() < limit {
            let Some(shard) = feed.open.last() else {
                // What came meanwhile is the next page's.
                if looked || !page.documents.is_empty() {
                    break;
                }
                feed.open = self.look(sweep, sources, &mut next).await?;
                looked = true;
                continue;
            };
            let from = next.of(&shard.key);
            if from >= shard.upto {
                feed.open.pop();
                continue;
            }
            let pace = feed.pace.entry(shard.key.clone()).or_default();
            let room = limit - page.documents.len();
            match feed::read(&self.client, shard, from, room, pace).await {
                Ok(part) if part.next > from => {
                    next.advance(&shard.key, part.next);
                    page.documents.extend(part.documents);
                    bytes += part.bytes;
                    if bytes >= feed::ANSWER {
                        break;
                    }
                }
                Ok(_) => drop(feed.open.pop()),
                Err(error) => {
                    // One shard that cannot be read does not keep the others waiting.
                    if feed.open.len() <= 1 && page.documents.is_empty() && next == *since {
                        feed.open.clear();
                        return Err(error);
                    }
                    page.problems
                        .push(Problem::new(&shard.index, error.message));
                    feed.open.pop();
                }
            }
        }
        page.next = next;
        Ok(page)
    }

    async fn release(&self, sweep: &str) -> Result<(), StoreError> {
        let mut feeds = self.feeds.lock().await;
        feeds.retain(|(reader, _), _| reader.as_deref() != Some(sweep));
        drop(feeds);
        state::change(&self.client, sweep, |state| {
            let before = state.leases.len();
            state.leases.retain(|_, lease| lease.owner != self.owner);
            state.leases.len() != before
        })
        .await
        .map(drop)
    }

    async fn window(&self, window: &Window) -> Result<Vec<Document>, StoreError> {
        search::window(&self.client, &self.known, window).await
    }

    async fn apply(&self, verdicts: &[Verdict]) -> Result<Vec<Outcome>, StoreError> {
        if verdicts.is_empty() {
            return Ok(Vec::new());
        }
        verdicts::apply(&self.client, verdicts).await
    }

    async fn edit(
        &self,
        document: &DocumentId,
        version: Version,
        patch: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        if !bulk::gone(&self.client, [document].into_iter())
            .await?
            .is_empty()
        {
            return Ok(false);
        }
        let write = Write::Update(document.clone(), version, Value::Object(patch.clone()));
        let items = bulk::write(&self.client, &[write], false).await?;
        match items.into_iter().next() {
            Some(item) if item.error.is_none() => Ok(true),
            Some(item) if matches!(item.status, 404 | 409) => Ok(false),
            item => {
                let error = item.and_then(|item| item.error).unwrap_or_default();
                Err(bad(format!(
                    "{} refuses the change: {}: {}",
                    document.index, error.0, error.1
                )))
            }
        }
    }

    async fn progress(&self, sweep: &str) -> Result<Progress, StoreError> {
        Ok(state::read(&self.client, sweep).await?.progress())
    }

    async fn commit(&self, sweep: &str, progress: &Progress) -> Result<(), StoreError> {
        let mut lost = Vec::new();
        state::change(&self.client, sweep, |state| {
            lost.clear();
            for (key, at) in &progress.at.0 {
                let known = state.at.get(key).copied().unwrap_or(0);
                if *at <= known {
                    continue;
                }
                // Another process has the shard now: it judges that page again, and says so.
                if state.is_taken(key, &self.owner) {
                    lost.push(key.clone());
                    continue;
                }
                state.at.insert(key.clone(), *at);
                if state.is_held(key, &self.owner) {
                    state.lease(key, &self.owner, self.lease);
                }
            }
            state.begun.extend(progress.begun.iter().cloned());
            state.report.clone_from(&progress.report);
            true
        })
        .await?;
        if !lost.is_empty() {
            let mut feeds = self.feeds.lock().await;
            for ((reader, _), feed) in feeds.iter_mut() {
                if reader.as_deref() == Some(sweep) {
                    feed.open.retain(|shard| !lost.contains(&shard.key));
                }
            }
        }
        Ok(())
    }

    async fn find(&self, search: &Search) -> Result<Found, StoreError> {
        search::find(&self.client, &self.sources, search).await
    }

    async fn waiting(&self, sources: &Sources, since: &Checkpoint) -> Result<Waiting, StoreError> {
        coverage::waiting(&self.client, sources, since).await
    }
}
