//! `_bulk` and `_mget`: many writes or reads in one request, each with its own outcome. A whole
//! request that succeeds says nothing of its items, so every item is looked at. Knows nothing of
//! what the documents mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::cut;
use super::client::{Client, post, unavailable};
use crate::document::{Document, DocumentId, Version};
use crate::store::StoreError;

/// The most bytes and items of one request.
const MAX_BYTES: usize = 8 * 1024 * 1024;
const MAX_ITEMS: usize = 1_000;
/// How often an item is tried that the server was too busy for.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// One write.
#[derive(Debug)]
pub(super) enum Write {
    /// The document must not exist.
    Create(DocumentId, Vec<u8>),
    /// The document is put there, over whatever there is.
    Index(DocumentId, Vec<u8>),
    /// The document must still have that version.
    Replace(DocumentId, Version, Vec<u8>),
    /// The same; only these fields change.
    Update(DocumentId, Version, Value),
    /// The same; the document goes.
    Delete(DocumentId, Version),
}

/// What became of a write.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) status: u16,
    /// The version that the document has now.
    pub(super) version: Version,
    /// The kind of error, such as `version_conflict_engine_exception`, and its reason.
    pub(super) error: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<BTreeMap<String, RawItem>>,
}

#[derive(Deserialize)]
struct RawItem {
    status: u16,
    #[serde(default, rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(default, rename = "_primary_term")]
    primary_term: u64,
    #[serde(default)]
    error: Option<RawError>,
}

#[derive(Debug, Deserialize)]
struct RawError {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
}

impl From<RawItem> for Item {
    fn from(raw: RawItem) -> Self {
        Self {
            status: raw.status,
            version: Version {
                seq_no: raw.seq_no.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                primary_term: raw.primary_term,
            },
            error: raw
                .error
                .map(|e| (e.kind, cut(&e.reason.unwrap_or_default()))),
        }
    }
}

impl Item {
    /// Whether the server had no time for it, or its shard is away as after a restart. A block,
    /// such as that of a full disk, is no such thing: it does not pass by itself.
    fn is_busy(&self) -> bool {
        let blocked = |(kind, _): &(String, String)| kind == "cluster_block_exception";
        match self.status {
            429 => !self.error.as_ref().is_some_and(blocked),
            status => matches!(status, 502..=504),
        }
    }
}

impl Write {
    fn lines(&self, out: &mut Vec<u8>) {
        let (action, id, version) = match self {
            Self::Create(id, _) => ("create", id, None),
            Self::Index(id, _) => ("index", id, None),
            Self::Replace(id, version, _) => ("index", id, Some(version)),
            Self::Update(id, version, _) => ("update", id, Some(version)),
            Self::Delete(id, version) => ("delete", id, Some(version)),
        };
        let mut head = json!({ "_index": &*id.index, "_id": &*id.id });
        if let (Some(version), Some(head)) = (version, head.as_object_mut()) {
            head.insert("if_seq_no".into(), version.seq_no.into());
            head.insert("if_primary_term".into(), version.primary_term.into());
        }
        out.extend_from_slice(json!({ action: head }).to_string().as_bytes());
        out.push(b'\n');
        match self {
            Self::Create(_, source) | Self::Index(_, source) | Self::Replace(_, _, source) => {
                out.extend_from_slice(source);
                out.push(b'\n');
            }
            Self::Update(_, _, fields) => {
                out.extend_from_slice(json!({ "doc": fields }).to_string().as_bytes());
                out.push(b'\n');
            }
            Self::Delete(..) => {}
        }
    }
}

/// Sends the writes and gives an outcome for each, in order. `refresh`: they can be searched for
/// once this returns.
///
/// # Errors
/// `Unavailable`: the server stays too busy for some. Those that were done stay done.
pub(super) async fn write(
    client: &Client,
    writes: &[Write],
    refresh: bool,
) -> Result<Vec<Item>, StoreError> {
    let mut items: Vec<Option<Item>> = vec![None; writes.len()];
    let mut open: Vec<usize> = (0..writes.len()).collect();
    let mut tried = 0;
    while !open.is_empty() {
        if tried > 0 {
            tokio::time::sleep(FIRST_PAUSE * (1 << tried.min(5))).await;
        }
        tried += 1;
        let mut busy = Vec::new();
        let mut rest = open.as_slice();
        while !rest.is_empty() {
            let (body, count) = request(writes, rest);
            let (now, later) = rest.split_at(count);
            rest = later;
            for (number, item) in now.iter().zip(send(client, &body, count, refresh).await?) {
                if item.is_busy() && tried < TRIES {
                    busy.push(*number);
                }
                if let Some(slot) = items.get_mut(*number) {
                    *slot = Some(item);
                }
            }
        }
        open = busy;
    }
    let items: Vec<Item> = items.into_iter().flatten().collect();
    if items.iter().any(Item::is_busy) {
        return Err(unavailable(format!(
            "{} is too busy to write, or a shard is away; the next sweep tries again",
            client.address()
        )));
    }
    Ok(items)
}

/// The lines of as many of those writes as fit in a request, and how many these are.
fn request(writes: &[Write], numbers: &[usize]) -> (Vec<u8>, usize) {
    let mut body = Vec::new();
    let mut count = 0;
    for write in numbers.iter().filter_map(|number| writes.get(*number)) {
        if count == MAX_ITEMS || body.len() >= MAX_BYTES {
            break;
        }
        write.lines(&mut body);
        count += 1;
    }
    (body, count)
}

async fn send(
    client: &Client,
    body: &[u8],
    count: usize,
    refresh: bool,
) -> Result<Vec<Item>, StoreError> {
    let query: &[(&str, &str)] = if refresh { &[("refresh", "true")] } else { &[] };
    let answer: Answer = client.ask(post("_bulk", query, body)).await?;
    let items: Vec<Item> = answer
        .items
        .into_iter()
        .filter_map(|item| item.into_values().next())
        .map(Item::from)
        .collect();
    if items.len() != count {
        return Err(unavailable(format!(
            "{} answered {} of {count} writes",
            client.address(),
            items.len()
        )));
    }
    Ok(items)
}

/// A document as it is now.
#[derive(Debug, Deserialize)]
pub(super) struct Got<T> {
    #[serde(default, rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(default, rename = "_primary_term")]
    primary_term: u64,
    #[serde(default = "none", rename = "_source")]
    pub(super) source: Option<T>,
    #[serde(default)]
    error: Option<RawError>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Got<T> {
    /// Its version.
    pub(super) fn version(&self) -> Version {
        Version {
            seq_no: self.seq_no.unwrap_or(0),
            primary_term: self.primary_term,
        }
    }

    /// Whether not even its index is there.
    pub(super) fn is_index_gone(&self) -> bool {
        let error = self.error.as_ref();
        error.is_some_and(|error| error.kind == "index_not_found_exception")
    }
}

/// The indices of those documents that are not there. An update of a document makes its index anew
/// where it was deleted, so who updates looks first.
pub(super) async fn gone(
    client: &Client,
    documents: impl Iterator<Item = &DocumentId>,
) -> Result<BTreeSet<Arc<str>>, StoreError> {
    // One document of each.
    let one: BTreeMap<&Arc<str>, &DocumentId> = documents.map(|id| (&id.index, id)).collect();
    let ids: Vec<DocumentId> = one.into_values().cloned().collect();
    let found = read::<IgnoredAny>(client, &ids, &["AlertLevel"]).await?;
    let gone = ids.into_iter().zip(found);
    let gone = gone.filter(|(_, got)| got.is_index_gone());
    Ok(gone.map(|(id, _)| id.index).collect())
}

/// What will be answered the next time too. Other errors, such as that of a shard that is away, say
/// nothing about the document.
const SURE: [&str; 3] = [
    "index_not_found_exception",
    "index_closed_exception",
    "security_exception",
];

/// Reads documents as they are now, in order; one that is not there, whose index is closed, or
/// which we may not read, has no source.
///
/// # Errors
/// `Unavailable`: some could not be read now. That they are not there is then not known.
pub(super) async fn read<T: DeserializeOwned>(
    client: &Client,
    ids: &[DocumentId],
    fields: &[&str],
) -> Result<Vec<Got<T>>, StoreError> {
    #[derive(Deserialize)]
    struct Docs<T> {
        docs: Vec<Got<T>>,
    }
    let mut all = Vec::with_capacity(ids.len());
    for some in ids.chunks(MAX_ITEMS) {
        let docs: Vec<Value> = some
            .iter()
            .map(|id| json!({ "_index": &*id.index, "_id": &*id.id }))
            .collect();
        let body = json!({ "docs": docs }).to_string();
        let fields = fields.join(",");
        let query = [("_source_includes", fields.as_str())];
        let query = if fields.is_empty() { &[][..] } else { &query };
        let mut tried = 0;
        let answer = loop {
            tried += 1;
            let answer: Docs<T> = client.ask(post("_mget", query, body.as_bytes())).await?;
            if answer.docs.len() != some.len() {
                return Err(unavailable(format!(
                    "{} answered {} of {} reads",
                    client.address(),
                    answer.docs.len(),
                    some.len()
                )));
            }
            let unsure = some.iter().zip(&answer.docs).find_map(|(id, got)| {
                let error = got.error.as_ref()?;
                (!SURE.contains(&error.kind.as_str())).then_some((id, error))
            });
            let Some((id, error)) = unsure else {
                break answer;
            };
            // The shard of an index that was just made, or is moved, is there in a moment.
            if tried >= TRIES {
                return Err(unavailable(format!(
                    "{} cannot be read now: {}; the next sweep tries again",
                    id.index,
                    cut(error.reason.as_deref().unwrap_or(&error.kind))
                )));
            }
            tokio::time::sleep(FIRST_PAUSE * (1 << tried.min(5))).await;
        };
        all.extend(answer.docs);
    }
    Ok(all)
}

/// Documents as they are now, in order; `None` where there is none.
pub(super) async fn documents(
    client: &Client,
    ids: &[DocumentId],
) -> Result<Vec<Option<Document>>, StoreError> {
    let got = read::<Box<RawValue>>(client, ids, &[]).await?;
    let documents = ids.iter().zip(got).map(|(id, got)| {
        let version = got.version();
        got.source.map(|source| Document {
            id: id.clone(),
            version,
            source: source.get().into(),
        })
    });
    Ok(documents.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_lines() {
        let id = DocumentId {
            index: "logs".into(),
            id: "a\"b".into(),
        };
        let version = Version {
            seq_no: 7,
            primary_term: 2,
        };
        let mut out = Vec::new();
        Write::Update(id.clone(), version, json!({ "AlertLevel": 2 })).lines(&mut out);
        Write::Delete(id, version).lines(&mut out);
        let lines: Vec<Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["update"]["if_seq_no"], 7);
        assert_eq!(lines[0]["update"]["_id"], "a\"b");
        assert_eq!(lines[1], json!({ "doc": { "AlertLevel": 2 } }));
        assert_eq!(lines[2]["delete"]["if_primary_term"], 2);
    }

    #[test]
    fn a_block_does_not_pass_by_waiting() {
        let item = |status: u16, kind: &str| Item {
            status,
            version: Version::default(),
            error: Some((kind.into(), String::new())),
        };
        assert!(item(429, "es_rejected_execution_exception").is_busy());
        assert!(item(503, "unavailable_shards_exception").is_busy());
        assert!(!item(429, "cluster_block_exception").is_busy());
        assert!(!item(403, "cluster_block_exception").is_busy());
    }
}
