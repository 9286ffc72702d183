//! What the embedded store keeps of a document and how: the columns, the terms they are searched
//! by, and the state that goes with every commit. Whoever changes it raises [`VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tantivy::schema::{
    Field, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};
use tantivy::{Index, Term};

use crate::document::DocumentId;
use crate::store::Progress;

/// Version of everything that this file says.
pub(super) const VERSION: u32 = 1;

/// Stands before the names of what is known of each document whatever its shape, so that no path
/// of a source is mistaken for it.
const FACT: char = '\u{1}';
/// Between the path and the value of a term, and between index and id.
const BETWEEN: char = '\0';

/// How many bytes of a path and of a value a term takes. The index takes 65,530 of both; but every
/// byte of a term costs time whenever segments are merged, and long values (messages, scripts) are
/// found by their words. Elasticsearch's templates for these events stop at 1,024 too.
const MAX_PATH: usize = 1_024;
const MAX_VALUE: usize = 1_024;
/// Longer words are not looked for one by one; the value that holds them still is.
const MAX_WORD: usize = 256;

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
    /// Every leaf of the source as one term, see [`Term`](term).
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
            .set_tokenizer("words")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let mut schema = Schema::builder();
        let columns = Self {
            key: schema.add_text_field("key", exact().set_stored()),
            index: schema.add_text_field(Self::INDEX, TextOptions::default().set_fast("raw")),
            seq: schema.add_u64_field(Self::SEQ, NumericOptions::default().set_fast()),
            time: schema.add_i64_field(Self::TIME, NumericOptions::default().set_fast()),
            values: schema.add_text_field("values", exact()),
            words: schema
                .add_text_field("words", TextOptions::default().set_indexing_options(words)),
            source: schema.add_text_field("source", STORED),
        };
        (schema.build(), columns)
    }

    /// Tells an index how words are made.
    pub(super) fn register(index: &Index) {
        index.tokenizers().register("words", Self::analyzer());
    }

    /// Runs of letters and digits, in lower case.
    pub(super) fn analyzer() -> TextAnalyzer {
        TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(RemoveLongFilter::limit(MAX_WORD))
            .filter(LowerCaser)
            .build()
    }

    /// The term of a document's key.
    pub(super) fn key_term(&self, id: &DocumentId) -> Term {
        Term::from_field_text(self.key, &key(id))
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

/// Writes the term for a value at a path (in lower case) into `out`: the path, a zero, the value in
/// lower case, cut to what the index takes.
pub(super) fn term(path: &str, value: &str, out: &mut String) {
    out.clear();
    out.push_str(cut(path, MAX_PATH));
    out.push(BETWEEN);
    push_lower(cut(value, MAX_VALUE), out);
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
