//! Turns a document into what the index keeps of it. Untrusted input: what the taxonomy's reader
//! refuses is refused, the terms are bounded, and what is not indexed stays in the source. Never touches the index.

use std::fmt;
use std::sync::Arc;

use serde::de::IgnoredAny;
use tantivy::schema::document::{ReferenceValue, ReferenceValueLeaf};
use tantivy::schema::{Field, Value};

use super::schema::{self, Columns, Fact};
use super::words;
use crate::detect::correlate::Hit;
use crate::document::{Document, DocumentId, Source};
use crate::finding::Standing;
use crate::store::findings;
use crate::store::{FINDINGS_INDEX, HITS_INDEX, StoreError, StoreErrorKind};
use crate::taxonomy::read::leaves;
use crate::taxonomy::{Event, ReadError, Reader, Slots};

/// How many times the length of its source a document's terms may take together; what goes beyond
/// is kept, not searched. A path stands in the source once and in the term of every value.
const MAX_GROWTH: usize = 16;

/// A document ready to be written; only its sequence number is missing.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: DocumentId,
    pub(super) source: Source,
    /// Never replaces a document.
    pub(super) only_new: bool,
    key: String,
    time: Option<i64>,
    terms: Terms,
    /// All values, as [`words::push`] writes them.
    words: String,
}

/// Terms one after the other, in one piece of memory.
#[derive(Clone, Debug, Default)]
struct Terms {
    text: String,
    ends: Vec<usize>,
}

impl Terms {
    fn push(&mut self, term: &str) {
        self.text.push_str(term);
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.text.as_bytes();
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends);
        spans.map(|(start, end)| bytes.get(start..*end).unwrap_or_default())
    }
}

/// A row with its number, as the index takes it: borrowed, not copied once more.
pub(super) struct Entry {
    pub(super) columns: Columns,
    pub(super) seq: u64,
    pub(super) row: Row,
}

/// One value of an [`Entry`].
#[derive(Clone, Debug)]
pub(super) struct Cell<'a>(ReferenceValueLeaf<'a>);

impl<'a> Value<'a> for Cell<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = std::iter::Empty<(&'a str, Self)>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        ReferenceValue::Leaf(self.0.clone())
    }
}

impl tantivy::Document for Entry {
    type Value<'a> = Cell<'a>;
    type FieldsValuesIter<'a> = Box<dyn Iterator<Item = (Field, Cell<'a>)> + 'a>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        let Self { columns, seq, row } = self;
        let text = |field, text| (field, Cell(ReferenceValueLeaf::Str(text)));
        let time = row.time.map(ReferenceValueLeaf::I64);
        let term = move |term| (columns.values, Cell(ReferenceValueLeaf::Bytes(term)));
        let values = [
            text(columns.key, row.key.as_str()),
            text(columns.index, &row.id.index),
            (columns.seq, Cell(ReferenceValueLeaf::U64(*seq))),
            text(columns.words, &row.words),
            text(columns.source, &row.source),
        ];
        let values = values
            .into_iter()
            .chain(time.map(|time| (columns.time, Cell(time))));
        Box::new(values.chain(row.terms.iter().map(term)))
    }
}

/// What a document says of itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) time: Option<i64>,
    pub(super) host: Option<String>,
    pub(super) user: Option<String>,
    pub(super) standing: Standing,
}

/// Makes [`Row`]s; one for each thread.
pub(super) struct Rows {
    reader: Arc<Reader>,
    slots: Slots,
    term: String,
}

impl Rows {
    pub(super) fn new(reader: Arc<Reader>) -> Self {
        Self {
            reader,
            slots: Slots::default(),
            term: String::new(),
        }
    }

    /// What is to be written for that document.
    ///
    /// # Errors
    /// `BadRequest`: the source is no JSON object.
    pub(super) fn row(&mut self, id: DocumentId, source: Source) -> Result<Row, StoreError> {
        let document = loose(id, source);
        let refused = |error: &dyn fmt::Display| {
            let DocumentId { index, id } = &document.id;
            StoreError::new(
                StoreErrorKind::BadRequest,
                format!("document {id:?} for index {index:?} is refused: {error}"),
            )
        };
        serde_json::from_str::<IgnoredAny>(&document.source).map_err(|error| refused(&error))?;
        let term = &mut self.term;
        let (mut terms, mut text) = (Terms::default(), String::new());
        let mut room = document.source.len() * MAX_GROWTH;
        leaves(&document.source, |path, value| {
            if schema::is_fact(path) {
                return;
            }
            schema::term(path, value, term);
            room = room.saturating_sub(term.len());
            if room > 0 {
                terms.push(term);
                words::push(value, &mut text);
            }
        })
        .map_err(|error| refused(&error))?;
        let facts = self.facts(&document).map_err(|error| refused(&error))?;
        let known = [
            (Fact::Index, Some(&*document.id.index)),
            (Fact::Host, facts.host.as_deref()),
            (Fact::User, facts.user.as_deref()),
        ];
        for (fact, value) in known {
            if let Some(value) = value {
                schema::term(&fact.path(), value, &mut self.term);
                terms.push(&self.term);
            }
        }
        Ok(Row {
            key: schema::key(&document.id),
            id: document.id,
            source: document.source,
            only_new: false,
            time: facts.time,
            terms,
            words: text,
        })
    }

    /// What the document says of its time, host, user and earlier judgements.
    ///
    /// # Errors
    /// The source is no JSON object, or nested too deep.
    pub(super) fn facts(&mut self, document: &Document) -> Result<Facts, ReadError> {
        if *document.id.index == *FINDINGS_INDEX
            && let Ok(record) = serde_json::from_str::<findings::Record>(&document.source)
        {
            return Ok(Facts {
                time: record.time,
                host: record.host,
                user: record.user,
                standing: Standing::default(),
            });
        }
        if *document.id.index == *HITS_INDEX
            && let Ok(hit) = serde_json::from_str::<Hit>(&document.source)
        {
            return Ok(Facts {
                time: Some(hit.time),
                host: None,
                user: None,
                standing: Standing::default(),
            });
        }
        self.reader.read(&document.source, &mut self.slots)?;
        let event = Event::new(document, &self.slots);
        Ok(Facts {
            time: event.time(),
            host: event.host().map(Into::into),
            user: event.user().map(Into::into),
            standing: event.standing().clone(),
        })
    }
}

/// A document that has no version yet.
pub(super) fn loose(id: DocumentId, source: Source) -> Document {
    Document {
        id,
        version: Default::default(),
        source,
    }
}
