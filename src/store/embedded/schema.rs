//! What the embedded store keeps of a document and how: the columns, the terms they are searched
//! by, and the state that goes with every commit. Whoever changes it raises [`VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing,
    TextOptions,
};
use tantivy::{Index, Term};

use super::words;
use crate::document::DocumentId;
use crate::hex::hex;
use crate::store::Progress;

/// Version of everything that this file says.
pub(super) const VERSION: u32 = 2;

/// Stands before the names of what is known of each document whatever its shape, so that no path
/// of a source is mistaken for it.
const FACT: char = '\u{1}';
/// Between the path and the value of a term, and between index and id.
const BETWEEN: char = '\0';

/// How many bytes of a path a term takes.
const MAX_PATH: usize = 1_024;
/// How many bytes of a fact a term takes.
const MAX_FACT: usize = 1_024;
/// Of a longer value the term takes so many bytes, and a digest of it all. Every byte of a term
/// that few share costs time whenever a segment is written; where the beginning does not tell, the
/// source does.
const MAX_VALUE: usize = 128;
/// Bytes of that digest, written with two digits each.
const DIGEST: usize = 16;

/// What is known of every document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Host,
    User,
    Index,
}

impl Fact {
    /// The path of its terms.
    pub(super) fn path(self) -> String {
        let name = match self {
            Self::Host => "host",
            Self::User => "user",
            Self::Index => "index",
        };
        format!("{FACT}{name}")
    }
}

/// The columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    /// Index and id, as [`key`] writes them.
    pub(super) key: Field,
    /// The index, as a column.
    pub(super) index: Field,
    /// The sequence number of the last write.
    pub(super) seq: Field,
    /// Event time in milliseconds since 1970; absent where the source has none.
    pub(super) time: Field,
    /// Every leaf of the source as one term, see [`term`].
    pub(super) values: Field,
    /// The words of all values, with positions.
    pub(super) words: Field,
    /// The JSON as it was written.
    pub(super) source: Field,
}

impl Columns {
    pub(super) const INDEX: &str = "index";
    pub(super) const SEQ: &str = "seq";
    pub(super) const TIME: &str = "time";

    /// The schema of an index, with its columns.
    pub(super) fn schema() -> (Schema, Self) {
        let exact = || {
            let indexing = TextFieldIndexing::default()
                .set_tokenizer("raw")
                .set_fieldnorms(false)
                .set_index_option(IndexRecordOption::Basic);
            TextOptions::default().set_indexing_options(indexing)
        };
        let words = TextFieldIndexing::default()
            .set_tokenizer(words::NAME)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let mut schema = Schema::builder();
        let columns = Self {
            key: schema.add_text_field("key", exact().set_stored()),
            index: schema.add_text_field(Self::INDEX, TextOptions::default().set_fast("raw")),
            seq: schema.add_u64_field(Self::SEQ, NumericOptions::default().set_fast()),
            time: schema.add_i64_field(Self::TIME, NumericOptions::default().set_fast()),
            values: schema.add_bytes_field("values", BytesOptions::default().set_indexed()),
            words: schema
                .add_text_field("words", TextOptions::default().set_indexing_options(words)),
            source: schema.add_text_field("source", STORED),
        };
        (schema.build(), columns)
    }

    /// Tells an index how words are made.
    pub(super) fn register(index: &Index) {
        index.tokenizers().register(words::NAME, words::analyzer());
    }

    /// The term of a document's key.
    pub(super) fn key_term(&self, id: &DocumentId) -> Term {
        Term::from_field_text(self.key, &key(id))
    }

    /// The term of a value at a path, see [`term`].
    pub(super) fn value_term(&self, path: &str, value: &str) -> Term {
        let mut out = String::new();
        term(path, value, &mut out);
        Term::from_field_bytes(self.values, out.as_bytes())
    }
}

/// Index and id as one text.
pub(super) fn key(id: &DocumentId) -> String {
    format!("{}{BETWEEN}{}", id.index, id.id)
}

/// What [`key`] was made of.
pub(super) fn unkey(key: &str) -> Option<DocumentId> {
    let (index, id) = key.split_once(BETWEEN)?;
    Some(DocumentId {
        index: index.into(),
        id: id.into(),
    })
}

/// Whether a path of a source would be mistaken for a [`Fact`]'s.
pub(super) fn is_fact(path: &str) -> bool {
    path.starts_with(FACT)
}

/// Writes the term for a value at a path (in lower case) into `out`: the path, a zero, the value in
/// lower case, or of a long value its beginning and the digest of it all.
pub(super) fn term(path: &str, value: &str, out: &mut String) {
    head(path, "", out);
    let from = out.len();
    push_lower(value, out);
    let most = if is_fact(path) { MAX_FACT } else { MAX_VALUE };
    if out.len() - from > most {
        let whole = out.get(from..).unwrap_or_default();
        let digest = Sha256::digest(whole);
        out.truncate(out.floor_char_boundary(from + most));
        if !is_fact(path) {
            out.push_str(&hex(&digest[..DIGEST]));
        }
    }
}

/// Writes what the terms of all values at a path begin with that begin with `value`, in lower case.
pub(super) fn head(path: &str, value: &str, out: &mut String) {
    out.clear();
    out.push_str(cut(path, MAX_PATH));
    out.push(BETWEEN);
    out.push_str(cut(value, if is_fact(path) { MAX_FACT } else { MAX_VALUE }));
}

/// What a term tells of a value.
pub(super) enum Told<'t> {
    /// All of it, in lower case.
    Whole(&'t str),
    /// How it begins.
    Start(&'t str),
}

/// The path that stands in a term, and what it tells of the value.
pub(super) fn told(term: &str) -> Option<(&str, Told<'_>)> {
    let (path, value) = term.split_once(BETWEEN)?;
    let told = match value.len().checked_sub(2 * DIGEST) {
        Some(start) if value.len() > MAX_VALUE && !is_fact(path) => {
            Told::Start(value.get(..start)?)
        }
        _ => Told::Whole(value),
    };
    Some((path, told))
}

/// Whether two paths of sources are one to terms.
pub(super) fn same_path(one: &str, other: &str) -> bool {
    cut(one, MAX_PATH) == cut(other, MAX_PATH)
}

/// Appends the text in lower case.
pub(super) fn push_lower(text: &str, out: &mut String) {
    if text.is_ascii() {
        let from = out.len();
        out.push_str(text);
        if let Some(tail) = out.get_mut(from..) {
            tail.make_ascii_lowercase();
        }
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// What every commit carries along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The [`VERSION`] that wrote it.
    pub(super) version: u32,
    /// The highest sequence number in the index.
    pub(super) seq: u64,
    /// How far each sweep has come.
    #[serde(default)]
    pub(super) sweeps: BTreeMap<String, Progress>,
}
