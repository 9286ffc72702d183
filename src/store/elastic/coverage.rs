//! How far the feed of each shard is read: the proof that nothing is left out. Counts on the
//! cluster, and looks at one document of each shard that waits.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, encode, post};
use super::feed::Pace;
use super::shards::{self, Shard};
use super::{cursor, dsl, feed, search};
use crate::document::Document;
use crate::store::{Begin, Checkpoint, ShardWaiting, Sources, StoreError, Waiting};
use crate::taxonomy::{Event, Fields, Reader, Slots};

/// See [`crate::store::Store::waiting`].
pub(super) async fn waiting(
    client: &Client,
    sources: &Sources,
    since: &Checkpoint,
) -> Result<Waiting, StoreError> {
    let mut all = Waiting::default();
    let shards = shards::shards(client, sources).await?;
    let news: Vec<&Shard> = shards
        .iter()
        .filter(|s| s.upto > since.of(&s.key))
        .collect();
    feed::refresh(client, &news).await?;
    for shard in &shards {
        let from = since.of(&shard.key);
        let mut row = ShardWaiting {
            index: shard.index.clone(),
            shard: shard.number,
            documents: shard.documents,
            ..ShardWaiting::default()
        };
        if !shard.numbered {
            // Each operation since is one document at most.
            row.waiting = shard.upto.saturating_sub(from).min(row.documents);
        } else if shard.upto > from {
            row.waiting = count(client, shard, from).await?;
            // What was counted is there, whatever the statistics said a moment before.
            row.documents = row.documents.max(row.waiting);
        }
        if row.waiting > 0 && shard.numbered {
            let first = feed::read(client, shard, from, 1, &mut Pace::default()).await?;
            row.oldest = first.documents.first().and_then(time);
        }
        all.documents += row.documents;
        all.waiting += row.waiting;
        all.oldest = [all.oldest, row.oldest].into_iter().flatten().min();
        all.shards.push(row);
    }
    for (index, numbers) in shards::away(client, sources, &shards).await? {
        let row = |shard| ShardWaiting {
            index: index.clone(),
            shard,
            away: true,
            ..ShardWaiting::default()
        };
        all.shards.extend(numbers.into_iter().map(row));
    }
    Ok(all)
}

/// When the event was, by the document itself.
fn time(document: &Document) -> Option<i64> {
    let mut slots = Slots::default();
    Reader::new(&Fields::default())
        .read(&document.source, &mut slots)
        .ok()?;
    Event::new(document, &slots).time()
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

async fn count(client: &Client, shard: &Shard, from: u64) -> Result<u64, StoreError> {
    let body = json!({ "query": { "range": { "_seq_no": { "gte": from, "lt": shard.upto } } } });
    let preference = format!("_shards:{}", shard.number);
    let path = format!("{}/_count", encode(&shard.index));
    let query = [
        ("preference", preference.as_str()),
        ("ignore_unavailable", "true"),
    ];
    let count: Option<Count> = client
        .ask_for(post(&path, &query, body.to_string().as_bytes()))
        .await?;
    Ok(count.map_or(0, |c| c.count))
}

/// See [`crate::store::Store::begin`].
pub(super) async fn begin(
    client: &Client,
    sources: &Sources,
    from: Begin,
) -> Result<Checkpoint, StoreError> {
    let mut at = Checkpoint::default();
    if from == Begin::Beginning {
        return Ok(at);
    }
    let shards = shards::shards(client, sources).await?;
    let since = match from.time() {
        Some(time) => {
            let all: Vec<&Shard> = shards.iter().collect();
            feed::refresh(client, &all).await?;
            dsl::since(&search::types(client, sources).await?, time)
        }
        None => Vec::new(),
    };
    for shard in shards {
        if !shard.numbered {
            cursor::begin(client, &shard, from.time(), &mut at).await?;
            continue;
        }
        let query = since
            .iter()
            .find(|(indices, _)| indices.contains(&shard.index));
        let first = match query {
            Some((_, query)) => first(client, &shard, query).await?,
            None => None,
        };
        at.advance(&shard.key, first.unwrap_or(shard.upto));
    }
    Ok(at)
}

/// The lowest sequence number of the shard's documents that this query finds; `None`: there is none.
async fn first(client: &Client, shard: &Shard, query: &Value) -> Result<Option<u64>, StoreError> {
    let body = json!({
        "size": 1,
        "query": { "bool": { "filter": [
            { "range": { "_seq_no": { "lt": shard.upto } } },
            query,
        ] } },
        "sort": [{ "_seq_no": { "order": "asc", "unmapped_type": "long" } }],
        "seq_no_primary_term": true,
        "_source": false,
        "track_total_hits": false,
    });
    let preference = format!("_shards:{}", shard.number);
    let path = format!("{}/_search", encode(&shard.index));
    let query = [
        ("preference", preference.as_str()),
        ("ignore_unavailable", "true"),
        ("allow_partial_search_results", "false"),
    ];
    let answer: Value = client
        .ask(post(&path, &query, body.to_string().as_bytes()))
        .await?;
    Ok(answer
        .pointer("/hits/hits/0/_seq_no")
        .and_then(Value::as_u64))
}
