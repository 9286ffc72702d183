//! The [`Store`] on Elasticsearch or OpenSearch. Reads what is new shard by shard up to the global
//! checkpoint, writes back under the version that was read, and shares the work with other Picket
//! processes through `.picket-state`. Judges nothing, and holds nothing that is not also there.

pub(crate) mod answer;
mod bulk;
pub(crate) mod client;
mod correlated;
mod coverage;
mod cursor;
mod dsl;
mod feed;
mod hits;
mod load;
mod prune;
mod reports;
mod role;
pub(crate) mod schema;
mod search;
mod server;
mod shards;
pub(crate) mod state;
mod tls;
mod types;
mod verdicts;
mod window;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use self::bulk::Write;
use self::client::{Client, bad};
use self::cursor::{Pass, Seen};
use self::feed::Pace;
use self::prune::Gone;
use self::search::Known;
use self::shards::Shard;
use super::{
    Begin, Checkpoint, Found, GroupSpan, NewDocument, Outcome, Page, Progress, Search, Sources,
    Store, StoreError, StoreErrorKind, Waiting, Window,
};
use crate::detect::correlate::Hit;
use crate::document::{Document, DocumentId, Version};
use crate::finding::Verdict;
use crate::problem::Problem;

pub use client::{Connection, Login};
pub use load::{Loaded, Loading};
pub use reports::SWEEPS_INDEX;
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
    gone: Gone,
    /// Since when each sweep is active.
    active: Mutex<BTreeMap<String, i64>>,
    /// What sweeps judged of shards without sequence numbers.
    seen: Mutex<BTreeMap<(String, String), Arc<Seen>>>,
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
    /// Of shards without sequence numbers: what is under way, and what is read up to which number.
    passes: BTreeMap<String, Pass>,
    done: BTreeMap<String, (u64, Seen)>,
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
            gone: Gone::default(),
            active: Mutex::default(),
            seen: Mutex::default(),
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

    /// What asks the cluster.
    pub(crate) fn client(&self) -> &Client {
        &self.client
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
        if sweep.is_some() {
            self.gone.look(&self.client, since, &shards).await;
        }
        shards.retain(|shard| shard.upto > since.of(&shard.key));
        if let Some(sweep) = sweep
            && !shards.is_empty()
        {
            self.claim(sweep, &mut shards, since).await?;
        }
        if !shards.is_empty() {
            self.known.forget().await;
        }
        feed::refresh(&self.client, &shards.iter().collect::<Vec<_>>()).await?;
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
        for (key, at) in shards.iter().flat_map(|shard| state.shard(&shard.key)) {
            since.advance(key, *at);
        }
        shards.retain(|shard| shard.upto > since.of(&shard.key));
        Ok(())
    }

    /// Puts the next documents of a shard on the page; how large the answer was. Nothing moves: the
    /// index is gone.
    async fn read(
        &self,
        sweep: Option<&str>,
        shard: &Shard,
        room: usize,
        feed: &mut Feed,
        page: &mut Page,
    ) -> Result<u64, StoreError> {
        let key = &shard.key;
        if shard.numbered {
            let pace = feed.pace.entry(key.clone()).or_default();
            let part = feed::read(&self.client, shard, page.next.of(key), room, pace).await?;
            page.next.advance(key, part.next);
            page.documents.extend(part.documents);
            return Ok(part.bytes);
        }
        // Who only looks, or reads again, is shown everything.
        let seen = match sweep {
            Some(sweep) => self
                .seen
                .lock()
                .await
                .get(&(sweep.into(), key.clone()))
                .cloned(),
            None => None,
        };
        let mut pass = feed.passes.remove(key);
        let (next, seen) = (&mut page.next, seen.as_deref());
        let part = cursor::read(&self.client, shard, next, &mut pass, room, seen).await?;
        feed.passes.extend(pass.map(|pass| (key.clone(), pass)));
        if let Some(seen) = part.done {
            feed.done.insert(key.clone(), (shard.upto, seen));
        }
        page.documents.extend(part.documents);
        page.problems.extend(part.problem);
        Ok(part.bytes)
    }
}

#[async_trait]
impl Store for Elastic {
    async fn add(&self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        // All are looked at before one is sent.
        let writes = documents.into_iter().map(load::write);
        let writes = writes.collect::<Result<Vec<_>, _>>()?;
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
        let mut page = Page {
            next: since.clone(),
            ..Page::default()
        };
        let (mut looked, mut bytes) = (false, 0);
        while page.documents.len() < limit && bytes < feed::ANSWER {
            let Some(shard) = feed.open.last().cloned() else {
                // What came meanwhile is the next page's.
                if looked || !page.documents.is_empty() {
                    break;
                }
                feed.open = self.look(sweep, sources, &mut page.next).await?;
                looked = true;
                continue;
            };
            if page.next.of(&shard.key) >= shard.upto {
                feed.open.pop();
                continue;
            }
            let room = limit - page.documents.len();
            let before = page.next.clone();
            match self.read(sweep, &shard, room, feed, &mut page).await {
                Ok(answer) => {
                    bytes += answer;
                    if page.next == before {
                        feed.open.pop();
                    }
                }
                Err(error) => {
                    // One shard that cannot be read does not keep the others waiting.
                    if feed.open.len() <= 1 && page.documents.is_empty() && page.next == *since {
                        feed.open.clear();
                        return Err(error);
                    }
                    page.problems
                        .push(Problem::new(&shard.index, error.message));
                    feed.open.pop();
                }
            }
        }
        Ok(page)
    }

    async fn release(&self, sweep: &str) -> Result<(), StoreError> {
        let mut feeds = self.feeds.lock().await;
        feeds.retain(|(reader, _), _| reader.as_deref() != Some(sweep));
        drop(feeds);
        let state = state::release(&self.client, sweep, &self.owner).await?;
        if let Some(report) = state.said_by(&self.owner) {
            reports::keep(&self.client, &self.owner, sweep, report).await;
        }
        Ok(())
    }

    async fn get(&self, ids: &[DocumentId]) -> Result<Vec<Option<Document>>, StoreError> {
        bulk::documents(&self.client, ids).await
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
        let now = chrono::Utc::now().timestamp_millis();
        self.active.lock().await.insert(sweep.to_owned(), now);
        Ok(state::read(&self.client, sweep).await?.progress())
    }

    async fn commit(&self, sweep: &str, progress: &Progress) -> Result<(), StoreError> {
        let mut lost = Vec::new();
        let gone = self.gone.shards().await;
        let since = self.active.lock().await.get(sweep).copied().unwrap_or(0);
        state::change(&self.client, sweep, |state| {
            lost.clear();
            for (key, at) in &progress.at.0 {
                let known = state.at.get(key).copied().unwrap_or(0);
                if *at <= known {
                    continue;
                }
                let shard = shards::of_key(key);
                if gone.contains(shard) {
                    continue;
                }
                // Another process has the shard now: it judges that page again, and says so.
                if state.is_taken(shard, &self.owner) {
                    lost.push(shard.to_owned());
                    continue;
                }
                state.at.insert(key.clone(), *at);
                if state.is_held(shard, &self.owner) {
                    state.lease(shard, &self.owner, self.lease);
                }
            }
            state.begun.extend(progress.begun.iter().cloned());
            state
                .at
                .retain(|key, _| !gone.contains(shards::of_key(key)));
            state.report(&self.owner, since, progress.report.as_ref());
            true
        })
        .await?;
        let mut feeds = self.feeds.lock().await;
        let ours = |(reader, _): &&Reading| reader.as_deref() == Some(sweep);
        for (_, feed) in feeds.iter_mut().filter(|(reading, _)| ours(reading)) {
            feed.open.retain(|shard| !lost.contains(&shard.key));
            let mut seen = self.seen.lock().await;
            for (key, (upto, digests)) in std::mem::take(&mut feed.done) {
                if progress.at.of(&key) >= upto {
                    seen.insert((sweep.to_owned(), key), Arc::new(digests));
                } else {
                    feed.done.insert(key, (upto, digests));
                }
            }
        }
        Ok(())
    }

    async fn keep_hits(&self, hits: &[Hit], now: i64) -> Result<(), StoreError> {
        correlated::keep(&self.client, hits, now).await
    }

    async fn hits(&self, groups: &[GroupSpan]) -> Result<Vec<Vec<Hit>>, StoreError> {
        correlated::of(&self.client, groups).await
    }

    async fn forget_hits(&self, before: i64) -> Result<(), StoreError> {
        correlated::forget(&self.client, before).await
    }

    async fn find(&self, search: &Search) -> Result<Found, StoreError> {
        search::find(&self.client, &self.sources, search).await
    }

    async fn waiting(&self, sources: &Sources, since: &Checkpoint) -> Result<Waiting, StoreError> {
        coverage::waiting(&self.client, sources, since).await
    }
}
