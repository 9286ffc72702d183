//! Hits of correlations in `.picket-hits`: written under ids of their own before anybody judges
//! them and made visible at once, so that of two processes that write and then read, one at least
//! sees both. Groups are read with `_msearch`, newest hits first. What a hit means is not known here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::bulk::{self, Write};
use super::client::{Client, bad, post, unavailable};
use super::{schema, state};
use crate::detect::correlate::Hit;
use crate::document::DocumentId;
use crate::store::{GroupSpan, HITS_INDEX, MAX_HITS, StoreError, StoreErrorKind};

/// How many hits are asked for at once, of each group.
const PAGE: usize = 1_000;
/// How many hits are forgotten at once.
const MOST: &str = "10000";
/// How many groups are asked for at once.
const GROUPS: usize = 25;

#[derive(Deserialize)]
struct Answers {
    responses: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    hits: Hits,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Hits {
    hits: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "_source")]
    source: Hit,
    #[serde(default)]
    sort: Vec<Value>,
}

/// See [`crate::store::Store::keep_hits`].
pub(super) async fn keep(client: &Client, hits: &[Hit], now: i64) -> Result<(), StoreError> {
    if hits.is_empty() {
        return Ok(());
    }
    // The first write would make it without its mapping.
    create_index(client).await?;
    let writes = hits
        .iter()
        .map(|hit| write(hit, now))
        .collect::<Result<Vec<_>, _>>()?;
    for item in bulk::write(client, &writes, true).await? {
        // 409: it is there already.
        if let Some((kind, reason)) = item.error.filter(|_| item.status != 409) {
            if kind == "security_exception" {
                let message = format!(
                    "not allowed to write to {HITS_INDEX}; `picket role` prints what is needed"
                );
                return Err(StoreError::new(StoreErrorKind::Unauthorized, message));
            }
            return Err(bad(format!("{HITS_INDEX} refuses a hit: {kind}: {reason}")));
        }
    }
    Ok(())
}

fn write(hit: &Hit, now: i64) -> Result<Write, StoreError> {
    let id = hit.id();
    let refused = |error| unavailable(format!("a hit cannot be written: {error}"));
    let mut source = serde_json::to_value(hit).map_err(refused)?;
    // What hits of one time are told apart by when they are read page by page.
    source["id"] = id.as_str().into();
    source["kept"] = now.into();
    let document = DocumentId {
        index: HITS_INDEX.into(),
        id: id.into(),
    };
    Ok(Write::Create(document, source.to_string().into_bytes()))
}

async fn create_index(client: &Client) -> Result<(), StoreError> {
    state::create(client, HITS_INDEX, &schema::hits()).await
}

/// See [`crate::store::Store::hits`].
pub(super) async fn of(client: &Client, groups: &[GroupSpan]) -> Result<Vec<Vec<Hit>>, StoreError> {
    let mut all: Vec<Vec<Hit>> = vec![Vec::new(); groups.len()];
    // Each group that is not read to its end, and where its reading goes on.
    let mut open: Vec<(usize, Vec<Value>)> = (0..groups.len()).map(|n| (n, Vec::new())).collect();
    while !open.is_empty() {
        let rest = open.split_off(open.len().min(GROUPS));
        let mut lines = String::new();
        for (number, after) in &open {
            lines += &json!({ "index": HITS_INDEX, "ignore_unavailable": true }).to_string();
            lines.push('\n');
            lines += &query(&groups[*number], after).to_string();
            lines.push('\n');
        }
        let answers: Answers = client.ask(post("_msearch", &[], lines.as_bytes())).await?;
        if answers.responses.len() != open.len() {
            return Err(unavailable(format!(
                "{HITS_INDEX} was not read as it was asked"
            )));
        }
        let mut left = Vec::new();
        for ((number, _), answer) in open.into_iter().zip(answers.responses) {
            if let Some(error) = answer.error {
                return Err(unavailable(format!("{HITS_INDEX} cannot be read: {error}")));
            }
            let found = answer.hits.hits;
            let (count, last) = (found.len(), found.last().map(|hit| hit.sort.clone()));
            let hits = &mut all[number];
            hits.extend(found.into_iter().map(|hit| hit.source));
            match last {
                Some(last) if count == PAGE && hits.len() <= MAX_HITS => left.push((number, last)),
                _ => hits.truncate(MAX_HITS + 1),
            }
        }
        left.extend(rest);
        open = left;
    }
    Ok(all)
}

fn query(group: &GroupSpan, after: &[Value]) -> Value {
    let mut body = json!({
        "size": PAGE,
        "track_total_hits": false,
        "query": { "bool": { "filter": [
            { "term": { "group": group.group } },
            { "range": { "time": { "gte": group.from, "lte": group.to } } },
        ] } },
        "sort": [{ "time": "desc" }, { "id": "asc" }],
    });
    if !after.is_empty() {
        body["search_after"] = after.into();
    }
    body
}

/// See [`crate::store::Store::forget_hits`].
pub(super) async fn forget(client: &Client, before: i64) -> Result<(), StoreError> {
    let path = format!("{HITS_INDEX}/_delete_by_query");
    let query = [
        ("ignore_unavailable", "true"),
        ("conflicts", "proceed"),
        ("max_docs", MOST),
    ];
    let day = before.div_euclid(86_400_000) * 86_400_000;
    let body = json!({ "query": { "range": { "kept": { "lt": day } } } }).to_string();
    let answer = client.send(post(&path, &query, body.as_bytes())).await?;
    match answer.status {
        200..300 => Ok(()),
        _ => Err(answer.error(client.address())),
    }
}
