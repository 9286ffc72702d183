//! Finds which of the shards that a checkpoint names are gone for good, so that the state does not
//! grow with every index that was ever read. Gone is what is not there any more, and what another
//! index bears the name of; never what is closed or what we are not shown: that may come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use super::client::{Answer, Client, encode, get};
use super::shards::{self, Shard};
use crate::store::Checkpoint;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(3600);
/// How many indices are asked for at once.
const MOST: usize = 20;

/// What is gone, as far as is known.
#[derive(Default)]
pub(super) struct Gone(Mutex<Known>);

#[derive(Default)]
struct Known {
    looked: Option<Instant>,
    shards: BTreeSet<String>,
}

impl Gone {
    /// The keys of the shards that are gone.
    pub(super) async fn shards(&self) -> BTreeSet<String> {
        self.0.lock().await.shards.clone()
    }

    /// Looks, now and then, whether shards of the checkpoint that are not among these are gone.
    pub(super) async fn look(&self, client: &Client, at: &Checkpoint, there: &[Shard]) {
        let mut known = self.0.lock().await;
        if known.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return;
        }
        known.looked = Some(Instant::now());
        let there: BTreeSet<&str> = there.iter().map(|shard| shard.key.as_str()).collect();
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in at.0.keys().map(|key| shards::of_key(key)) {
            if !there.contains(key)
                && !known.shards.contains(key)
                && let Some((index, _)) = key.split_once('/')
            {
                missing.entry(index).or_default().insert(key);
            }
        }
        for (index, keys) in missing.into_iter().take(MOST) {
            let path = format!("{}/_stats/docs", encode(index));
            let mut request = get(&path);
            request.query = &[("filter_path", "indices.*.uuid,error")];
            // What cannot be asked for is not known to be gone.
            let Ok(answer) = client.send(request).await else {
                continue;
            };
            let gone = keys.into_iter().filter(|key| is_gone(&answer, index, key));
            known.shards.extend(gone.map(str::to_owned));
        }
    }
}

/// Whether the index of that shard is gone, by what `GET INDEX/_stats` answers.
fn is_gone(answer: &Answer, index: &str, key: &str) -> bool {
    #[derive(Deserialize)]
    struct Stats {
        #[serde(default)]
        indices: BTreeMap<String, Index>,
    }
    #[derive(Deserialize)]
    struct Index {
        uuid: String,
    }
    let missing = b"index_not_found_exception";
    if answer.status == 404 {
        return memchr::memmem::find(&answer.body, missing).is_some();
    }
    let Ok(stats) = answer.read::<Stats>("") else {
        return false;
    };
    let uuid = key.split('/').nth(2);
    let now = stats.indices.get(index);
    now.zip(uuid).is_some_and(|(now, uuid)| now.uuid != uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_is_gone() {
        let gone = |status: u16, body: &str| {
            let answer = Answer {
                status,
                body: body.as_bytes().to_vec(),
                repeated: false,
            };
            is_gone(&answer, "logs", "logs/0/uuid/history")
        };
        assert!(gone(
            404,
            r#"{"error":{"type":"index_not_found_exception"}}"#
        ));
        assert!(gone(200, r#"{"indices":{"logs":{"uuid":"another"}}}"#));
        for (status, body) in [
            (200, r#"{"indices":{"logs":{"uuid":"uuid"}}}"#),
            (200, r#"{"indices":{"behind-an-alias":{"uuid":"another"}}}"#),
            (200, "{}"),
            (400, r#"{"error":{"type":"index_closed_exception"}}"#),
            (403, r#"{"error":{"type":"security_exception"}}"#),
            (404, "<html>"),
            (503, "index_not_found_exception"),
        ] {
            assert!(!gone(status, body), "{status} {body}");
        }
    }
}
