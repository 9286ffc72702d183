//! Which shards there are behind some index patterns, and how far each is: the global checkpoint,
//! below which every operation is on all copies and none can be in flight or be taken back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, encode, get};
use crate::store::{Sources, StoreError};

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// The backing index that it belongs to.
    pub(super) index: String,
    /// Its number in that index.
    pub(super) number: u32,
    /// Its name in a checkpoint: another one once the index was made anew, or once the shard lost
    /// operations and counts them anew.
    pub(super) key: String,
    /// Operations with a lower sequence number are on all copies. 0: there are none.
    pub(super) upto: u64,
    /// How many documents it holds.
    pub(super) documents: u64,
    /// Whether its documents can be asked for by sequence number.
    pub(super) numbered: bool,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    indices: BTreeMap<String, IndexStats>,
}

#[derive(Deserialize)]
struct IndexStats {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    shards: BTreeMap<String, Vec<Copy>>,
}

/// One copy of a shard.
#[derive(Deserialize)]
struct Copy {
    #[serde(default)]
    docs: Docs,
    seq_no: Option<SeqNo>,
    commit: Option<Commit>,
}

#[derive(Default, Deserialize)]
struct Docs {
    count: u64,
}

#[derive(Deserialize)]
struct SeqNo {
    global_checkpoint: i64,
}

#[derive(Deserialize)]
struct Commit {
    #[serde(default)]
    user_data: BTreeMap<String, String>,
}

/// All shards of the sources' indices that can be read now, in the order of their names.
pub(super) async fn shards(client: &Client, sources: &Sources) -> Result<Vec<Shard>, StoreError> {
    let patterns: Vec<String> = sources.0.iter().map(|pattern| encode(pattern)).collect();
    let path = format!("{}/_stats/docs", patterns.join(","));
    let mut request = get(&path);
    request.query = &[
        ("level", "shards"),
        ("ignore_unavailable", "true"),
        ("allow_no_indices", "true"),
        ("filter_path", FILTER),
    ];
    let stats: Option<Stats> = client.ask_for(request).await?;
    let unnumbered = unnumbered(client, sources).await?;
    let mut shards = Vec::new();
    for (index, stats) in stats.map(|s| s.indices).unwrap_or_default() {
        if sources.never_feed(&index) {
            continue;
        }
        for (number, copies) in stats.shards {
            if let Some(mut shard) = shard(&index, &stats.uuid, &number, &copies) {
                shard.numbered = !unnumbered.contains(&index);
                shards.push(shard);
            }
        }
    }
    Ok(shards)
}

/// The shard that a key of a checkpoint speaks of; there may be several for one.
pub(super) fn of_key(key: &str) -> &str {
    let end = key.match_indices('/').nth(3).map(|(at, _)| at);
    key.get(..end.unwrap_or(key.len())).unwrap_or(key)
}

/// Those of the sources' indices whose documents cannot be asked for by sequence number. Asked of
/// the settings: `_field_caps` tells it of other indices with the same mapping too.
pub(super) async fn unnumbered(
    client: &Client,
    sources: &Sources,
) -> Result<BTreeSet<String>, StoreError> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        settings: BTreeMap<String, Value>,
        #[serde(default)]
        defaults: BTreeMap<String, Value>,
    }
    if !client.server().may_lack_numbers() {
        return Ok(BTreeSet::new());
    }
    let patterns: Vec<String> = sources.0.iter().map(|pattern| encode(pattern)).collect();
    let path = format!("{}/_settings/{SETTING}", patterns.join(","));
    let mut request = get(&path);
    request.query = &[
        ("include_defaults", "true"),
        ("flat_settings", "true"),
        ("ignore_unavailable", "true"),
        ("allow_no_indices", "true"),
    ];
    let indices: Option<BTreeMap<String, Index>> = client.ask_for(request).await?;
    let lacks = |(name, index): (String, Index)| {
        let set = index.settings.get(SETTING).or(index.defaults.get(SETTING));
        (set?.as_str()? == "true").then_some(name)
    };
    Ok(indices.into_iter().flatten().filter_map(lacks).collect())
}

/// Shards of the sources' indices that no copy answers for now, as while a server starts: what is
/// written there is not known. By index, each with its numbers.
pub(super) async fn away(
    client: &Client,
    sources: &Sources,
    there: &[Shard],
) -> Result<BTreeMap<String, Vec<u32>>, StoreError> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        settings: BTreeMap<String, Value>,
    }
    let patterns: Vec<String> = sources.0.iter().map(|pattern| encode(pattern)).collect();
    let path = format!("{}/_settings/{COUNT},{CLOSED}", patterns.join(","));
    let mut request = get(&path);
    request.query = &[
        ("flat_settings", "true"),
        ("ignore_unavailable", "true"),
        ("allow_no_indices", "true"),
    ];
    let answer = client.send(request).await?;
    if matches!(answer.status, 403 | 404) {
        // A role of an earlier Picket does not allow the question on OpenSearch.
        return Ok(BTreeMap::new());
    }
    let indices: BTreeMap<String, Index> = answer.read(client.address())?;
    let mut away = BTreeMap::new();
    for (name, index) in indices {
        let closed = index.settings.contains_key(CLOSED);
        let count = index.settings.get(COUNT);
        let count = count.and_then(Value::as_str).and_then(|n| n.parse().ok());
        if closed || sources.never_feed(&name) {
            continue;
        }
        let is_there = |number: &u32| {
            let same = |shard: &Shard| shard.index == name && shard.number == *number;
            there.iter().any(same)
        };
        let missing: Vec<u32> = (0..count.unwrap_or(0)).filter(|n| !is_there(n)).collect();
        if !missing.is_empty() {
            away.insert(name, missing);
        }
    }
    Ok(away)
}

/// Settings: how many shards an index has; that it was closed.
const COUNT: &str = "index.number_of_shards";
const CLOSED: &str = "index.verified_before_close";

const SETTING: &str = "index.disable_sequence_numbers";

const FILTER: &str = "indices.*.uuid,indices.*.shards.*.docs.count,\
    indices.*.shards.*.seq_no.global_checkpoint,\
    indices.*.shards.*.commit.user_data.history_uuid";

fn shard(index: &str, uuid: &str, number: &str, copies: &[Copy]) -> Option<Shard> {
    // What any copy knows of the global checkpoint is true; the primary knows it first.
    let checkpoint = copies
        .iter()
        .filter_map(|copy| copy.seq_no.as_ref())
        .map(|seq_no| seq_no.global_checkpoint)
        .max()?;
    let history = copies
        .iter()
        .filter_map(|copy| copy.commit.as_ref())
        .find_map(|commit| commit.user_data.get("history_uuid"))
        .map_or("", String::as_str);
    let history = history.get(..8).unwrap_or(history);
    Some(Shard {
        index: index.to_owned(),
        number: number.parse().ok()?,
        key: format!("{index}/{number}/{uuid}/{history}"),
        upto: u64::try_from(checkpoint.saturating_add(1)).unwrap_or(0),
        documents: copies.iter().map(|copy| copy.docs.count).max().unwrap_or(0),
        numbered: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_as_far_as_its_best_copy() {
        let text = r#"[
            {"docs":{"count":3},"seq_no":{"global_checkpoint":41},
             "commit":{"user_data":{"history_uuid":"abcdefghijkl"}}},
            {"docs":{"count":2},"seq_no":{"global_checkpoint":40}},
            {"docs":{"count":0}}]"#;
        let copies: Vec<Copy> = serde_json::from_str(text).unwrap();
        let found = shard("logs", "u1", "0", &copies).unwrap();
        assert_eq!((found.upto, found.documents), (42, 3));
        assert_eq!(found.key, "logs/0/u1/abcdefgh");
        assert_eq!(of_key(&found.key), found.key);
        assert_eq!(of_key(&format!("{}/since", found.key)), found.key);
        let empty: Vec<Copy> =
            serde_json::from_str(r#"[{"docs":{"count":0},"seq_no":{"global_checkpoint":-1}}]"#)
                .unwrap();
        assert_eq!(shard("logs", "u1", "0", &empty).unwrap().upto, 0);
        assert_eq!(shard("logs", "u1", "0", &[]), None);
    }
}
