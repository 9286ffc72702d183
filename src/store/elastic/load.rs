//! Puts documents of files into indices: what is not there yet is created, under ids that make
//! loading again harmless, and a document that the cluster refuses keeps no other waiting. Makes
//! the indices that are not there, with a mapping that events of many shapes fit into.

use std::collections::BTreeSet;
use std::fmt;

use elasticsearch::http::Method;
use serde::de::IgnoredAny;
use tokio::sync::Mutex;

use super::bulk::{self, Item, Write};
use super::client::{Client, Request, bad, encode, unavailable};
use super::{Elastic, schema, state};
use crate::document::DocumentId;
use crate::store::{NewDocument, StoreError, StoreErrorKind};
use crate::taxonomy::read::leaves;

/// Loads documents into a cluster; several writes may be under way.
pub struct Loading<'s> {
    client: &'s Client,
    /// Indices that are known to be there.
    there: Mutex<BTreeSet<String>>,
}

/// What became of a document that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It is there now, durably.
    Written,
    /// It was there before, and stays as it is.
    There,
    /// The cluster takes no such document. Why, in its words.
    Refused(String),
}

impl Elastic {
    /// Begins to load documents.
    pub fn loading(&self) -> Loading<'_> {
        Loading {
            client: &self.client,
            there: Mutex::default(),
        }
    }
}

impl Loading<'_> {
    /// Writes documents that are not there yet; one outcome each, in order.
    ///
    /// # Errors
    /// As the cluster says of all of them: it is away, not allowed, full. Some may be written.
    pub async fn write(&self, documents: Vec<NewDocument>) -> Result<Vec<Loaded>, StoreError> {
        for document in &documents {
            // Held while one is made: the others wait for it.
            let mut there = self.there.lock().await;
            if !there.contains(&document.index) {
                make(self.client, &document.index).await?;
                there.insert(document.index.clone());
            }
        }
        let mut outcomes = Vec::with_capacity(documents.len());
        let mut writes = Vec::with_capacity(documents.len());
        for document in documents {
            match write(document) {
                Ok(write) => {
                    writes.push(write);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Loaded::Refused(error.message))),
            }
        }
        let items = bulk::write(self.client, &writes, false).await?;
        let open = outcomes.iter_mut().filter(|outcome| outcome.is_none());
        for ((slot, write), item) in open.zip(&writes).zip(items) {
            if let Write::Create(id, _) | Write::Index(id, _) = write {
                *slot = Some(outcome(id, item)?);
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }
}

/// A document as a bulk request takes it.
pub(super) fn write(document: NewDocument) -> Result<Write, StoreError> {
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
    Ok(match document.replace {
        true => Write::Index(id, source),
        false => Write::Create(id, source),
    })
}

fn outcome(id: &DocumentId, item: Item) -> Result<Loaded, StoreError> {
    let index = &id.index;
    let Some((kind, reason)) = item.error else {
        return Ok(Loaded::Written);
    };
    let (error, message) = match (item.status, kind.as_str()) {
        (409, _) => return Ok(Loaded::There),
        (_, "cluster_block_exception") => (
            StoreErrorKind::Full,
            format!("{index} is read-only, or the disk is full: {reason}"),
        ),
        (401 | 403, _) => (
            StoreErrorKind::Unauthorized,
            format!("not allowed to write to {index}; `picket role --load` prints what is needed"),
        ),
        (400..500, kind) if kind != "index_not_found_exception" => {
            return Ok(Loaded::Refused(format!("{index} refuses it: {reason}")));
        }
        _ => (
            StoreErrorKind::Unavailable,
            format!("{index} cannot be written: {reason}"),
        ),
    };
    Err(StoreError::new(error, message))
}

/// Makes the index if nothing of that name is there, neither index, alias nor data stream, and no
/// template makes a data stream of it.
async fn make(client: &Client, index: &str) -> Result<(), StoreError> {
    let path = encode(index);
    let head = Request {
        method: Method::Head,
        path: &path,
        query: &[],
        body: None,
    };
    let answer = client.send(head).await?;
    let made = match answer.status {
        200 => return Ok(()),
        404 => state::create(client, &path, &schema::events()).await,
        401 | 403 => Err(StoreError::new(StoreErrorKind::Unauthorized, String::new())),
        status => Err(unavailable(format!("status {status}"))),
    };
    match made {
        Err(error) if error.kind == StoreErrorKind::Unauthorized => Err(StoreError::new(
            error.kind,
            format!("not allowed to make {index}; `picket role --load` prints what is needed"),
        )),
        // The first document makes it.
        Err(error) if error.message.contains("data streams only") => Ok(()),
        Err(error) => Err(StoreError::new(
            error.kind,
            format!(
                "{index} cannot be made: {}; make it yourself, or name another with `--index`",
                error.message
            ),
        )),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Version;

    #[test]
    fn a_document_is_refused_alone_and_a_cluster_refuses_all() {
        let id = DocumentId {
            index: "events".into(),
            id: "1".into(),
        };
        let item = |status: u16, kind: &str| Item {
            status,
            version: Version::default(),
            error: (status > 201).then(|| (kind.into(), "no".into())),
        };
        let of = |status, kind| outcome(&id, item(status, kind)).map_err(|error| error.kind);
        assert_eq!(of(201, ""), Ok(Loaded::Written));
        assert_eq!(
            of(409, "version_conflict_engine_exception"),
            Ok(Loaded::There)
        );
        assert_eq!(
            of(400, "document_parsing_exception"),
            Ok(Loaded::Refused("events refuses it: no".into()))
        );
        assert_eq!(
            of(403, "security_exception"),
            Err(StoreErrorKind::Unauthorized)
        );
        for status in [403, 429] {
            let blocked = of(status, "cluster_block_exception");
            assert_eq!(blocked, Err(StoreErrorKind::Full));
        }
        assert_eq!(
            of(404, "index_not_found_exception"),
            Err(StoreErrorKind::Unavailable)
        );
        assert_eq!(
            of(503, "unavailable_shards_exception"),
            Err(StoreErrorKind::Unavailable)
        );
    }

    #[test]
    fn a_document_is_one_line() {
        let document = NewDocument {
            index: "events".into(),
            id: Some("1".into()),
            replace: false,
            source: "{\n\"a\":\r\n1}".into(),
        };
        let Ok(Write::Create(_, source)) = write(document) else {
            unreachable!("nothing is written over");
        };
        assert_eq!(source, b"{ \"a\":  1}");
    }
}
