//! Turns a document into what the index keeps of it. Untrusted input: what the taxonomy's reader
//! refuses is refused, the terms are bounded, and what is not indexed stays in the source. Never touches the index.

use std::fmt;
use std::sync::Arc;

use serde::de::IgnoredAny;
use tantivy::TantivyDocument;

use super::schema::{self, Columns, Fact};
use crate::document::{Document, DocumentId};
use crate::finding::Standing;
use crate::store::findings;
use crate::store::{FINDINGS_INDEX, StoreError, StoreErrorKind};
use crate::taxonomy::read::leaves;
use crate::taxonomy::{Event, ReadError, Reader, Slots};

/// How many times the length of its source a document's terms may take together; what goes beyond
/// is kept, not searched. A path stands in the source once and in the term of every value.
const MAX_GROWTH: usize = 16;

/// A document ready to be written; only its sequence number is missing.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: DocumentId,
    pub(super) source: Box<str>,
    /// Never replaces a document.
    pub(super) only_new: bool,
    pub(super) fields: TantivyDocument,
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
    columns: Columns,
    reader: Arc<Reader>,
    slots: Slots,
    term: String,
}

impl Rows {
    pub(super) fn new(columns: Columns, reader: Arc<Reader>) -> Self {
        Self {
            columns,
            reader,
            slots: Slots::default(),
            term: String::new(),
        }
    }

    /// What is to be written for that document.
    ///
    /// # Errors
    /// `BadRequest`: the source is no JSON object.
    pub(super) fn row(&mut self, id: DocumentId, source: Box<str>) -> Result<Row, StoreError> {
        let document = loose(id, source);
        let columns = self.columns;
        let refused = |error: &dyn fmt::Display| {
            let DocumentId { index, id } = &document.id;
            StoreError::new(
                StoreErrorKind::BadRequest,
                format!("document {id:?} for index {index:?} is refused: {error}"),
            )
        };
        serde_json::from_str::<IgnoredAny>(&document.source).map_err(|error| refused(&error))?;
        let mut fields = TantivyDocument::default();
        let term = &mut self.term;
        let mut room = document.source.len() * MAX_GROWTH;
        leaves(&document.source, |path, value| {
            schema::term(path, value, term);
            room = room.saturating_sub(term.len());
            if room > 0 {
                fields.add_text(columns.values, &*term);
                fields.add_text(columns.words, value);
            }
        })
        .map_err(|error| refused(&error))?;
        let facts = self.facts(&document).map_err(|error| refused(&error))?;
        let DocumentId { index, .. } = &document.id;
        fields.add_text(columns.key, schema::key(&document.id));
        fields.add_text(columns.index, index);
        fields.add_text(columns.source, &document.source);
        if let Some(time) = facts.time {
            fields.add_i64(columns.time, time);
        }
        let known = [
            (Fact::Index, Some(&**index)),
            (Fact::Host, facts.host.as_deref()),
            (Fact::User, facts.user.as_deref()),
        ];
        for (fact, value) in known {
            if let Some(value) = value {
                schema::term(&fact.path(), value, &mut self.term);
                fields.add_text(columns.values, &self.term);
            }
        }
        Ok(Row {
            id: document.id,
            source: document.source,
            only_new: false,
            fields,
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
pub(super) fn loose(id: DocumentId, source: Box<str>) -> Document {
    Document {
        id,
        version: Default::default(),
        source,
    }
}
