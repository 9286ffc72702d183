//! Reads what is new on a shard whose index keeps no sequence numbers
//! (`index.disable_sequence_numbers`). Whether something was written at all, the statistics tell.
//! What it was is read by event time, from an overlap before the last pass on, in one point in
//! time a pass. Whether something came too late for that, the number of older documents tells:
//! then everything is read again. So nothing is skipped, unless as many were deleted as came late;
//! some is read twice, which changes nothing.
//! Nothing can be written back there: two writers could not be told apart.

use std::collections::HashSet;
use std::hash::Hasher;

use chrono::Utc;
use elasticsearch::http::Method;
use rustc_hash::FxHasher;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

use super::client::{Client, Request, encode, post};
use super::dsl::{self, Clock};
use super::shards::Shard;
use super::{hits, search};
use crate::document::Document;
use crate::problem::Problem;
use crate::store::{Checkpoint, Sources, StoreError};

/// How late a document may come without everything being read again, in milliseconds.
const OVERLAP: i64 = 3_600_000;
/// The most documents of one answer.
const PAGE: usize = 2_000;
/// How long the cluster keeps a point in time after each page: judging a page takes seconds.
const KEEP: &str = "5m";
/// The most documents of a shard that are remembered.
const MAX_SEEN: usize = 500_000;

/// Documents of a shard that were judged, each with what it says, as digests.
pub(super) type Seen = HashSet<u64>;

/// A pass over what may be new in a shard.
pub(super) struct Pass {
    pit: String,
    query: Value,
    /// Where the next page begins.
    after: Option<Value>,
    /// How many pages of the shard were ever read, as the checkpoint says it.
    pages: u64,
    /// What the checkpoint says once all is read.
    end: Mark,
    seen: Seen,
}

/// How far a shard is, in a checkpoint beside its own number: only growing numbers can be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// The event time that the next pass begins with; 0: with the oldest document.
    since: u64,
    /// How many documents are older.
    older: u64,
}

/// The bits of a number of documents in a checkpoint; above it stand the pages.
const OLDER_BITS: u32 = 40;

impl Mark {
    fn keys(shard: &Shard) -> [String; 2] {
        ["since", "pages"].map(|name| format!("{}/{name}", shard.key))
    }

    /// The mark, and how many pages were read.
    fn of(shard: &Shard, at: &Checkpoint) -> (Self, u64) {
        let [since, pages] = Self::keys(shard).map(|key| at.of(&key));
        let older = pages & ((1 << OLDER_BITS) - 1);
        (Self { since, older }, pages >> OLDER_BITS)
    }

    fn put(self, shard: &Shard, pages: u64, at: &mut Checkpoint) {
        let [since, counted] = Self::keys(shard);
        at.advance(&since, self.since);
        at.advance(&counted, (pages << OLDER_BITS) | self.older);
    }
}

/// What a page of a pass holds.
#[derive(Default)]
pub(super) struct Part {
    pub(super) documents: Vec<Document>,
    /// How large the answer was.
    pub(super) bytes: u64,
    /// All of the shard is read.
    pub(super) done: Option<Seen>,
    pub(super) problem: Option<Problem>,
}

/// The next at most `limit` documents; moves the shard in `next`. What was `seen` is left out.
pub(super) async fn read(
    client: &Client,
    shard: &Shard,
    next: &mut Checkpoint,
    pass: &mut Option<Pass>,
    limit: usize,
    seen: Option<&Seen>,
) -> Result<Part, StoreError> {
    let mut part = Part::default();
    let (mark, pages) = Mark::of(shard, next);
    // A page that nobody kept is read again.
    let mut here = match pass.take().filter(|pass| pass.pages == pages) {
        Some(pass) => pass,
        None => {
            let (pass, problem) = begin_pass(client, shard, mark, pages).await?;
            part.problem = problem;
            pass
        }
    };
    let size = limit.clamp(1, PAGE);
    let mut body = json!({
        "size": size,
        "query": here.query,
        "sort": [{ "_shard_doc": "asc" }],
        "track_total_hits": false,
    });
    if let Some(after) = &here.after {
        body["search_after"] = after.clone();
    }
    let text = ask(client, &here.pit, body).await?;
    part.bytes = text.len() as u64;
    let found = hits::response(&text)?.hits.hits;
    for hit in &found {
        let document = hit.document();
        let digest = digest(&document);
        if here.seen.len() >= MAX_SEEN {
            // The last are the newest.
            here.seen.clear();
        }
        here.seen.insert(digest);
        if seen.is_none_or(|seen| !seen.contains(&digest)) {
            part.documents.push(document);
        }
    }
    here.pages += 1;
    match found.last() {
        Some(last) if found.len() >= size => {
            mark.put(shard, here.pages, next);
            here.after = Some(last.sort.clone().into());
            *pass = Some(here);
        }
        _ => {
            here.end.put(shard, here.pages, next);
            next.advance(&shard.key, shard.upto);
            close(client, &here.pit).await;
            part.done = Some(here.seen);
        }
    }
    Ok(part)
}

/// Begins with documents whose event is not before `time` (milliseconds since 1970), or with what is
/// written from now on, and some that was before.
pub(super) async fn begin(
    client: &Client,
    shard: &Shard,
    time: Option<i64>,
    at: &mut Checkpoint,
) -> Result<(), StoreError> {
    if time.is_none() {
        at.advance(&shard.key, shard.upto);
    }
    let time = time.unwrap_or_else(|| Utc::now().timestamp_millis() - OVERLAP);
    let pit = open(client, shard).await?;
    let end = match clock(client, shard).await? {
        Some(clock) => Mark {
            since: u64::try_from(time).unwrap_or(0),
            older: older(client, &pit, &clock, time).await?,
        },
        None => Mark::default(),
    };
    end.put(shard, 1, at);
    close(client, &pit).await;
    Ok(())
}

async fn begin_pass(
    client: &Client,
    shard: &Shard,
    mark: Mark,
    pages: u64,
) -> Result<(Pass, Option<Problem>), StoreError> {
    let index = &shard.index;
    info!(
        index,
        shard = shard.number,
        "keeps no sequence numbers: it is read by event time, and verdicts are kept as findings only"
    );
    let pit = open(client, shard).await?;
    let mut pass = Pass {
        pit,
        query: dsl::every(Vec::new()),
        after: None,
        pages,
        end: Mark::default(),
        seen: Seen::new(),
    };
    let Some(clock) = clock(client, shard).await? else {
        return Ok((pass, None));
    };
    let since = i64::try_from(mark.since).unwrap_or(i64::MAX);
    let mut problem = None;
    if since > 0 {
        if older(client, &pass.pit, &clock, since).await? == mark.older {
            pass.query = dsl::not_before(&clock, since);
        } else {
            let message = "keeps no sequence numbers, and older documents came late or went: all \
                           of it is judged again";
            problem = Some(Problem::new(index, message));
        }
    }
    let from = since.max(Utc::now().timestamp_millis() - OVERLAP);
    pass.end = Mark {
        since: u64::try_from(from).unwrap_or(0),
        older: older(client, &pass.pit, &clock, from).await?,
    };
    Ok((pass, problem))
}

/// Where the documents of that index have their time.
async fn clock(client: &Client, shard: &Shard) -> Result<Option<Clock>, StoreError> {
    let types = search::types(client, &Sources(vec![shard.index.clone()])).await?;
    Ok(dsl::clocks(&types).into_iter().next())
}

/// How many documents there are before that time.
async fn older(client: &Client, pit: &str, clock: &Clock, time: i64) -> Result<u64, StoreError> {
    let body = json!({
        "size": 0,
        "query": clock.between(None, Some(time.saturating_sub(1))),
        "track_total_hits": true,
    });
    Ok(hits::response(&ask(client, pit, body).await?)?.total())
}

async fn ask(client: &Client, pit: &str, mut body: Value) -> Result<String, StoreError> {
    body["pit"] = json!({ "id": pit, "keep_alive": KEEP });
    let query = [("allow_partial_search_results", "false")];
    let body = body.to_string();
    search::text(client, post("_search", &query, body.as_bytes())).await
}

async fn open(client: &Client, shard: &Shard) -> Result<String, StoreError> {
    #[derive(Deserialize)]
    struct Opened {
        id: String,
    }
    let preference = format!("_shards:{}", shard.number);
    let path = format!("{}/_pit", encode(&shard.index));
    let query = [("keep_alive", KEEP), ("preference", &preference)];
    let opened: Opened = client.ask(post(&path, &query, b"")).await?;
    Ok(opened.id)
}

/// Lets the cluster forget the point in time; it would by itself after a while.
async fn close(client: &Client, pit: &str) {
    let body = json!({ "id": pit }).to_string();
    let request = Request {
        method: Method::Delete,
        path: "_pit",
        query: &[],
        body: Some(body.as_bytes()),
    };
    drop(client.send(request).await);
}

fn digest(document: &Document) -> u64 {
    let mut hasher = FxHasher::default();
    for text in [&document.id.id[..], &document.source] {
        hasher.write(text.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_only_grows_and_is_read_as_it_was_put() {
        let shard = Shard {
            index: "logs".into(),
            number: 0,
            key: "logs/0/u/h".into(),
            upto: 7,
            documents: 7,
            numbered: false,
        };
        let mut at = Checkpoint::default();
        assert_eq!(Mark::of(&shard, &at), (Mark::default(), 0));
        let first = Mark {
            since: 1_000,
            older: 500,
        };
        first.put(&shard, 3, &mut at);
        assert_eq!(Mark::of(&shard, &at), (first, 3));
        // Fewer are older once some were deleted: the page before makes the number greater.
        let fewer = Mark {
            since: 1_000,
            older: 2,
        };
        fewer.put(&shard, 4, &mut at);
        assert_eq!(Mark::of(&shard, &at), (fewer, 4));
        first.put(&shard, 3, &mut at);
        assert_eq!(Mark::of(&shard, &at), (fewer, 4), "never back");
        assert_eq!(at.of(&shard.key), 0);
    }
}
