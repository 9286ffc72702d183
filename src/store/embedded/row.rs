//! Turns a document into what the index keeps of it. Untrusted input: what the taxonomy's reader
//! refuses is refused, the number of values is bounded, and what is not indexed stays in the source. Never touches the index.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tantivy::TantivyDocument;

use super::schema::{self, Columns, Fact};
use crate::document::{Document, DocumentId};
use crate::finding::Standing;
use crate::store::findings;
use crate::store::{FINDINGS_INDEX, StoreError, StoreErrorKind};
use crate::taxonomy::{Event, ReadError, Reader, Slots};

/// Values beyond so many are kept, not searched.
const MAX_VALUES: usize = 10_000;

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
        let facts = self.facts(&document).map_err(|error| {
            let DocumentId { index, id } = &document.id;
            StoreError::new(
                StoreErrorKind::BadRequest,
                format!("document {id:?} for index {index:?} is refused: {error}"),
            )
        })?;
        let mut fields = TantivyDocument::default();
        let term = &mut self.term;
        // The reader has taken it. What stops the walk, such as a number beyond all bounds, ends what
        // is searched for, not what is kept.
        let _ = walk(&document.source, |path, value| {
            schema::term(path, value, term);
            fields.add_text(columns.values, &*term);
            fields.add_text(columns.words, value);
        });
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

/// Calls `each` with the path (keys in lower case, joined by dots; arrays add nothing) and the
/// text of every value that is not `null`.
///
/// # Errors
/// The source is no JSON object.
pub(super) fn walk(source: &str, each: impl FnMut(&str, &str)) -> Result<(), sonic_rs::Error> {
    let mut json = sonic_rs::Deserializer::from_str(source).utf8_lossy();
    let mut walk = Walk {
        path: String::new(),
        each,
        values: 0,
    };
    json.deserialize_map(Place { walk: &mut walk })?;
    json.end()
}

struct Walk<F> {
    path: String,
    each: F,
    values: usize,
}

struct Place<'w, F> {
    walk: &'w mut Walk<F>,
}

impl<F: FnMut(&str, &str)> Place<'_, F> {
    fn leaf(self, text: &str) {
        self.walk.values += 1;
        if self.walk.values <= MAX_VALUES {
            (self.walk.each)(&self.walk.path, text);
        }
    }
}

impl<'de, F: FnMut(&str, &str)> DeserializeSeed<'de> for Place<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Place<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.leaf(text);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.leaf(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.leaf(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.leaf(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.leaf(&value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { walk } = self;
        let before = walk.path.len();
        while let Some(key) = map.next_key_seed(Key)? {
            // XML as JSON writes the text of an element that has attributes so.
            if key != "#text" {
                if before > 0 {
                    walk.path.push('.');
                }
                schema::push_lower(&key, &mut walk.path);
            }
            map.next_value_seed(Place { walk: &mut *walk })?;
            walk.path.truncate(before);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { walk } = self;
        while seq.next_element_seed(Place { walk: &mut *walk })?.is_some() {}
        Ok(())
    }
}

/// A key, borrowed where it needs no unescaping.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
