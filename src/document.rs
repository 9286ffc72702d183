//! A [`Document`]: one event in a store, with its source JSON as it was written. Depends on
//! nothing; never parses (the taxonomy does) and never changes a source.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Where a document is: its index and its id in that index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentId {
    /// The index that holds it (on Elasticsearch the *backing* index); for a scanned file its path.
    pub index: Arc<str>,
    /// Unique in that index. Those of Elasticsearch are so short that copying one allocates nothing.
    pub id: SmolStr,
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

/// The text of a document: a piece of a block that it shares with those read beside it, so that
/// reading copies nothing. Two are equal if they say the same.
#[derive(Clone)]
pub struct Source {
    block: Arc<String>,
    start: usize,
    end: usize,
}

impl Source {
    /// That piece of a block; nothing, if it tears a character.
    pub fn piece(block: &Arc<String>, range: Range<usize>) -> Self {
        Self {
            block: Arc::clone(block),
            start: range.start,
            end: range.end,
        }
    }

    /// The same text without the rest of its block, for who keeps it.
    #[must_use]
    pub fn detached(self) -> Self {
        if self.len() == self.block.len() {
            self
        } else {
            Self::from(&*self)
        }
    }
}

impl Deref for Source {
    type Target = str;

    fn deref(&self) -> &str {
        self.block.get(self.start..self.end).unwrap_or_default()
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self {
            start: 0,
            end: text.len(),
            block: Arc::new(text),
        }
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Box<str>> for Source {
    fn from(text: Box<str>) -> Self {
        Self::from(text.into_string())
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Source {}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// One event in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it is.
    pub id: DocumentId,
    /// What a conditional write must still find.
    pub version: Version,
    /// The JSON object as it was written, verdict included.
    pub source: Source,
}

impl Document {
    /// A document that no store holds, such as a line of a scanned file.
    pub fn loose(index: Arc<str>, id: impl Into<SmolStr>, source: impl Into<Source>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_kept_holds_no_block() {
        let block = Arc::new("{\"a\":1}\n{\"b\":\"\u{e9}\"}".to_owned());
        let piece = Source::piece(&block, 8..18);
        assert_eq!(&*piece, "{\"b\":\"\u{e9}\"}");
        assert_eq!(piece, Source::from("{\"b\":\"\u{e9}\"}"));
        assert_eq!(&*Source::piece(&block, 8..15), "", "a torn character");
        let kept = piece.clone().detached();
        assert_eq!(kept, piece);
        drop(piece);
        assert!(Arc::into_inner(block).is_some(), "nobody else holds it");
        let whole = Source::from(String::from("{}"));
        assert!(Arc::ptr_eq(&whole.clone().detached().block, &whole.block));
    }
}
