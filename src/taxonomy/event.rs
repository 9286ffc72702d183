//! Reads a document's JSON once into [`Slots`]: for each Sigma field that anything asks for, its
//! values, borrowed from the source where it needs no unescaping. Slots are reused from document
//! to document, so that reading allocates nothing once they have grown. Never judges.

use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::shape::{Node, Shapes};
use super::{FieldId, Fields, Route};
use crate::document::Document;
use crate::finding::Standing;

/// Objects and arrays nested deeper than this are not looked into.
const MAX_DEPTH: usize = 32;

/// Of which JSON type a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A number, as it is written.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
}

/// One value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// Its text, unescaped; empty for `null`.
    pub text: &'a str,
    /// Its JSON type.
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    start: u32,
    len: u32,
    in_arena: bool,
    kind: Kind,
    /// The next value of the same field, or `NONE`.
    next: u32,
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Equal to [`Slots::epoch`]: filled by the present document.
    epoch: u32,
    /// How well the place in the document names the field; the best wins.
    rank: u8,
    first: u32,
    last: u32,
}

/// The values of one document, ready to be filled again with the next.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    epoch: u32,
    slots: Vec<Slot>,
    values: Vec<Stored>,
    arena: String,
    standing: Standing,
    route: Route,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct ReadError(pub String);

/// A document with its values and its [`Route`]: what detectors see.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The document.
    pub document: &'a Document,
    slots: &'a Slots,
}

impl<'a> Event<'a> {
    /// A document with what was read from it.
    pub fn new(document: &'a Document, slots: &'a Slots) -> Self {
        Self { document, slots }
    }

    /// The values of a field: none if it is absent, several if it is an array.
    pub fn values(&self, field: FieldId) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let slots = self.slots;
        let source = &*self.document.source;
        let mut at = slots.first(field);
        std::iter::from_fn(move || {
            let stored = slots.values.get(at as usize)?;
            at = stored.next;
            Some(slots.value(source, stored))
        })
    }

    /// Whether the field is there at all, `null` included.
    pub fn has(&self, field: FieldId) -> bool {
        self.slots.first(field) != NONE
    }

    /// The first value of a field that is not `null`.
    pub fn text(&self, field: FieldId) -> Option<&'a str> {
        self.values(field)
            .find(|v| v.kind != Kind::Null)
            .map(|v| v.text)
    }

    /// Every value of the document, named or not, if [`Fields::keeps_all_values`]; otherwise only
    /// those of the fields that are asked for.
    pub fn all_values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let slots = self.slots;
        let source = &*self.document.source;
        slots
            .values
            .iter()
            .map(move |stored| slots.value(source, stored))
    }

    /// Where rules for it are found.
    pub fn route(&self) -> Route {
        self.slots.route
    }

    /// What the document says of earlier judgements.
    pub fn standing(&self) -> &'a Standing {
        &self.slots.standing
    }

    /// When the event was, in milliseconds since 1970 (UTC); a time without a zone is taken as
    /// UTC.
    pub fn time(&self) -> Option<i64> {
        self.values(FieldId::TIME)
            .find_map(|value| parse_time(value.text))
    }

    /// The host.
    pub fn host(&self) -> Option<&'a str> {
        self.text(FieldId::COMPUTER)
    }

    /// The user, with its domain if the source has it.
    pub fn user(&self) -> Option<&'a str> {
        self.text(FieldId::USER)
    }
}

/// Reads a time as event sources write it: RFC 3339, `YYYY-MM-dd HH:mm:ss[.fff]` (UTC), or
/// milliseconds since 1970. The answer is in milliseconds since 1970 (UTC).
pub fn parse_time(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    for format in [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y/%m/%d %H:%M:%S%.f",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc().timestamp_millis());
        }
    }
    if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %z") {
        return Some(time.timestamp_millis());
    }
    let number: i64 = text.parse().ok()?;
    (100_000_000_000..100_000_000_000_000)
        .contains(&number)
        .then_some(number)
}

impl Slots {
    /// Whether nothing was read into them.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets what was read.
    pub fn clear(&mut self) {
        self.values.clear();
        self.epoch = self.epoch.wrapping_add(1);
    }

    fn first(&self, field: FieldId) -> u32 {
        match self.slots.get(field.index()) {
            Some(slot) if slot.epoch == self.epoch => slot.first,
            _ => NONE,
        }
    }

    fn value<'a>(&'a self, source: &'a str, stored: &Stored) -> Value<'a> {
        let text = if stored.in_arena {
            self.arena.as_str()
        } else {
            source
        };
        let (start, len) = (stored.start as usize, stored.len as usize);
        Value {
            text: text.get(start..start + len).unwrap_or_default(),
            kind: stored.kind,
        }
    }

    fn begin(&mut self, fields: usize) {
        if self.epoch == u32::MAX || self.slots.len() < fields {
            self.epoch = 0;
            self.slots.clear();
            self.slots.resize(
                fields,
                Slot {
                    epoch: 0,
                    rank: 0,
                    first: NONE,
                    last: NONE,
                },
            );
        }
        self.epoch += 1;
        self.values.clear();
        self.arena.clear();
        self.standing = Standing::default();
        self.route = Route::default();
    }

    fn push(
        &mut self,
        field: Option<(FieldId, u8)>,
        start: usize,
        len: usize,
        in_arena: bool,
        kind: Kind,
    ) {
        let (Ok(start), Ok(len), Ok(at)) = (
            u32::try_from(start),
            u32::try_from(len),
            u32::try_from(self.values.len()),
        ) else {
            return;
        };
        if let Some((field, rank)) = field {
            let epoch = self.epoch;
            let Some(slot) = self.slots.get_mut(field.index()) else {
                return;
            };
            if slot.epoch != epoch || slot.rank < rank {
                *slot = Slot {
                    epoch,
                    rank,
                    first: at,
                    last: at,
                };
            } else if slot.rank == rank {
                let last = slot.last;
                slot.last = at;
                if let Some(last) = self.values.get_mut(last as usize) {
                    last.next = at;
                }
            } else {
                return;
            }
        }
        self.values.push(Stored {
            start,
            len,
            in_arena,
            kind,
            next: NONE,
        });
    }

    fn push_text(&mut self, field: Option<(FieldId, u8)>, text: &str, kind: Kind) {
        let start = self.arena.len();
        self.arena.push_str(text);
        self.push(field, start, text.len(), true, kind);
    }
}

/// Reads documents into [`Slots`]. Made once from all [`Fields`], shared by all threads.
#[derive(Debug)]
pub struct Reader {
    shapes: Shapes,
    fields: usize,
}

impl Reader {
    /// A reader that fills those fields.
    pub fn new(fields: &Fields) -> Self {
        Self {
            shapes: Shapes::new(fields),
            fields: fields.len(),
        }
    }

    /// Reads one document's source. What was in `slots` before is gone.
    ///
    /// # Errors
    /// The source is no JSON object.
    pub fn read(&self, source: &str, slots: &mut Slots) -> Result<(), ReadError> {
        slots.begin(self.fields);
        let mut deserializer = sonic_rs::Deserializer::from_str(source);
        let mut walk = Walk {
            reader: self,
            source,
            slots,
        };
        let seed = Place {
            walk: &mut walk,
            node: Some(self.shapes.root()),
            field: None,
            depth: 0,
        };
        seed.deserialize(&mut deserializer)
            .map_err(|error| ReadError(error.to_string()))?;
        Ok(())
    }
}

struct Walk<'r, 's> {
    reader: &'r Reader,
    source: &'s str,
    slots: &'r mut Slots,
}

struct Place<'w, 'r, 's> {
    walk: &'w mut Walk<'r, 's>,
    node: Option<&'r Node>,
    field: Option<(FieldId, u8)>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        let start = (text.as_ptr() as usize).wrapping_sub(self.walk.source.as_ptr() as usize);
        match self
            .walk
            .source
            .get(start..start.saturating_add(text.len()))
        {
            Some(same) if std::ptr::eq(same, text) => {
                self.walk
                    .slots
                    .push(self.field, start, text.len(), false, Kind::Text);
            }
            _ => self.walk.slots.push_text(self.field, text, Kind::Text),
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.walk.slots.push_text(self.field, text, Kind::Text);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.walk
            .slots
            .push_text(self.field, if value { "true" } else { "false" }, Kind::Bool);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.walk.slots.push_text(self.field, "", Kind::Null);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let _ = (&self.walk.reader, self.node, self.depth, MAX_DEPTH);
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq
            .next_element_seed(Place {
                walk: self.walk,
                node: self.node,
                field: self.field,
                depth: self.depth + 1,
            })?
            .is_some()
        {}
        Ok(())
    }
}
