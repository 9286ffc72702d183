//! Reads what is new on one shard: the documents whose last write has a sequence number in a span
//! that ends at the global checkpoint. A document that is written again meanwhile leaves the span
//! and comes in a later one, so no point in time has to be held open. Never reads past the global
//! checkpoint: a lower number could still be in flight there.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::client::{Client, encode, post, unavailable};
use super::shards::Shard;
use crate::document::{Document, DocumentId, Version};
use crate::store::StoreError;

/// How large an answer shall be, in bytes: documents of 100 KB are read a few hundred at a time.
pub(super) const ANSWER: u64 = 16 * 1024 * 1024;
/// The most documents that one request may ask for, whatever is waited for.
const MAX_PAGE: usize = 10_000;
/// How many sequence numbers a request spans at most.
const MAX_SPAN: u64 = 1 << 24;

/// What is known of the documents of a shard from reading them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes of a document, on average.
    bytes: u64,
    /// Sequence numbers for each document: an operation that was overtaken leaves a hole.
    numbers: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bytes: 8 * 1024,
            numbers: 1,
        }
    }
}

/// Some documents, and where the shard is read on.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) documents: Vec<Document>,
    /// How large the answer was.
    pub(super) bytes: u64,
    /// Everything below is read.
    pub(super) next: u64,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Shards {
    failed: u32,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

/// A document as a search gives it.
#[derive(Deserialize)]
pub(super) struct Hit<'a> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_index", default)]
    index: String,
    #[serde(rename = "_seq_no", default)]
    seq_no: Option<i64>,
    #[serde(rename = "_primary_term", default)]
    primary_term: u64,
    #[serde(rename = "_source", borrow, default)]
    source: Option<&'a RawValue>,
}

impl Hit<'_> {
    /// The document. One without `_source` has an empty one, which is reported as unreadable.
    pub(super) fn document(self, index: Option<&Arc<str>>) -> Document {
        Document {
            id: DocumentId {
                index: index.map_or_else(|| self.index.into(), Arc::clone),
                id: self.id.into(),
            },
            version: Version {
                seq_no: self.seq_no.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                primary_term: self.primary_term,
            },
            source: self.source.map_or("", RawValue::get).into(),
        }
    }
}

/// The next at most `limit` documents of a shard with sequence numbers from `from` on. The shard
/// was refreshed after its checkpoint was read.
pub(super) async fn read(
    client: &Client,
    shard: &Shard,
    from: u64,
    limit: usize,
    pace: &mut Pace,
) -> Result<Part, StoreError> {
    let mut from = from;
    let size = usize::try_from(ANSWER / pace.bytes.max(1)).unwrap_or(MAX_PAGE);
    let size = size.clamp(1, limit.clamp(1, MAX_PAGE));
    while from < shard.upto {
        let span = (size as u64).saturating_mul(pace.numbers).min(MAX_SPAN);
        let end = from.saturating_add(span).min(shard.upto);
        let Some((documents, bytes)) = span_of(client, shard, from, end, size).await? else {
            break;
        };
        let full = documents.len() >= size;
        let next = match documents.last() {
            // There may be more in the span than were asked for.
            Some(last) if full => last.version.seq_no + 1,
            _ => end,
        };
        let count = documents.len() as u64;
        if let Some(average) = bytes.checked_div(count) {
            pace.bytes = average.max(1);
        }
        pace.numbers = match (next - from).checked_div(count) {
            None => pace.numbers.saturating_mul(8),
            Some(average) => average.clamp(1, MAX_SPAN),
        };
        if count > 0 {
            return Ok(Part {
                documents,
                bytes,
                next,
            });
        }
        from = next;
    }
    Ok(Part {
        next: from,
        ..Part::default()
    })
}

/// The documents with numbers in `from..end`, lowest first, `size` at most, and how many bytes the
/// answer had. `None`: the index was deleted or closed meanwhile.
async fn span_of(
    client: &Client,
    shard: &Shard,
    from: u64,
    end: u64,
    size: usize,
) -> Result<Option<(Vec<Document>, u64)>, StoreError> {
    let body = json!({
        "size": size,
        "query": { "range": { "_seq_no": { "gte": from, "lt": end } } },
        "sort": [{ "_seq_no": "asc" }],
        "seq_no_primary_term": true,
        "track_total_hits": false,
    });
    let preference = format!("_shards:{}", shard.number);
    let path = format!("{}/_search", encode(&shard.index));
    let query = [
        ("preference", preference.as_str()),
        ("allow_partial_search_results", "false"),
    ];
    let answer = client
        .send(post(&path, &query, body.to_string().as_bytes()))
        .await?;
    if answer.is_gone() {
        return Ok(None);
    }
    if !(200..300).contains(&answer.status) {
        return Err(answer.error(client.address()));
    }
    let bytes = answer.body.len() as u64;
    let unreadable = |error: serde_json::Error| {
        unavailable(format!(
            "{} gave an answer that cannot be read: {error}",
            client.address()
        ))
    };
    let answer: Answer<'_> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
    if answer.timed_out || answer.shards.failed > 0 {
        return Err(unavailable(format!(
            "shard {} of {} did not answer whole; the next sweep tries again",
            shard.number, shard.index
        )));
    }
    let index: Arc<str> = shard.index.as_str().into();
    let documents = answer
        .hits
        .hits
        .into_iter()
        .map(|hit| hit.document(Some(&index)))
        .collect();
    Ok(Some((documents, bytes)))
}

/// Makes everything up to the checkpoints of those shards visible to searches.
pub(super) async fn refresh(client: &Client, shards: &[&Shard]) -> Result<(), StoreError> {
    let mut indices: Vec<&str> = shards.iter().map(|shard| shard.index.as_str()).collect();
    indices.dedup();
    for some in indices.chunks(50) {
        let names: Vec<String> = some.iter().map(|index| encode(index)).collect();
        let path = format!("{}/_refresh", names.join(","));
        let answer: Refreshed = client
            .ask(post(&path, &[("ignore_unavailable", "true")], b""))
            .await?;
        if answer.shards.failed > 0 {
            return Err(unavailable(format!(
                "{} shards of {} could not be refreshed; the next sweep tries again",
                answer.shards.failed,
                some.join(", ")
            )));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Refreshed {
    #[serde(rename = "_shards")]
    shards: Shards,
}
