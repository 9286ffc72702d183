//! A [`Document`]: one event in a store, with its source JSON as it was written. Depends on
//! nothing; never parses (the taxonomy does) and never changes a source.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a document is: its index and its id in that index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentId {
    /// The index that holds it (on Elasticsearch the *backing* index); for a scanned file its path.
    pub index: Arc<str>,
    /// Unique in that index.
    pub id: Arc<str>,
}

/// What a conditional write must still find in the store (Elasticsearch: `_seq_no` and
/// `_primary_term`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Grows with each write to the document's shard.
    pub seq_no: u64,
    /// Grows when a shard gets another primary; always 1 in the embedded store.
    pub primary_term: u64,
}

/// One event in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it is.
    pub id: DocumentId,
    /// What a conditional write must still find.
    pub version: Version,
    /// The JSON object as it was written, verdict included.
    pub source: Box<str>,
}

impl Document {
    /// A document that no store holds, such as a line of a scanned file.
    pub fn loose(index: Arc<str>, id: impl Into<Arc<str>>, source: impl Into<Box<str>>) -> Self {
        Self {
            id: DocumentId {
                index,
                id: id.into(),
            },
            version: Version::default(),
            source: source.into(),
        }
    }
}

/// Whose documents a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Those of one host.
    Host,
    /// Those of one user.
    User,
}
