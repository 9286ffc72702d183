//! An [`Event`]: a document with the values of its Sigma fields, kept in [`Slots`] and borrowed
//! from the source where it needs no unescaping. Slots are reused from document to document, so
//! that reading allocates nothing once they have grown. What has escapes is unescaped when it is
//! asked for, what no field holds is read when it is. Never reads JSON (the reader does) and never judges.

mod text;

use std::cell::OnceCell;
use std::fmt::{self, Write};
use std::sync::Arc;

use super::escape::Usual;
use super::read::Plan;
use super::time::parse_time;
use super::{FieldId, Route};
use crate::document::Document;
use crate::finding::Standing;
pub(super) use text::Text;
use text::{Late, Place, Spare};

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
    text: Text,
    /// The same value stands here before, under another field's name.
    again: bool,
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
    /// What they are read by.
    plan: Option<Arc<Plan>>,
    /// The same document with every value, once that is asked for.
    whole: OnceCell<Box<Slots>>,
    epoch: u32,
    slots: Vec<Slot>,
    values: Vec<Stored>,
    arena: String,
    late: Vec<Late>,
    spare: Spare,
    composes: bool,
    standing: Standing,
    route: Route,
}

/// A document with its values and its [`Route`]: what detectors see.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The document.
    pub document: &'a Document,
    source: &'a str,
    slots: &'a Slots,
}

impl<'a> Event<'a> {
    /// A document with what was read from it.
    pub fn new(document: &'a Document, slots: &'a Slots) -> Self {
        Self {
            document,
            source: &document.source,
            slots,
        }
    }

    /// The values of a field: none if it is absent, several if it is an array.
    pub fn values(&self, field: FieldId) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let Self { source, slots, .. } = *self;
        slots
            .texts(field)
            .map(move |text| slots.value(source, text))
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

    /// The values of a field as they stand in the source, escaped: where these and their marks are
    /// the same, so are the values. Cheaper than those.
    pub fn raw_values(&self, field: FieldId) -> impl Iterator<Item = (u8, &'a str)> + use<'a> {
        let Self { source, slots, .. } = *self;
        slots.texts(field).map(move |text| {
            let mark = text.kind() as u8 * 2 + u8::from(text.place() == Place::Late);
            (mark, slots.raw(source, text))
        })
    }

    /// The values of a field as they stand in the source, if they are ASCII and stand there as
    /// [`escape_into`](super::escape::escape_into) writes what they mean, if `but_for_lines` but for
    /// line ends and tabs, and otherwise `None`. Cheaper than what they mean.
    pub(crate) fn usual_values(
        &self,
        field: FieldId,
        but_for_lines: bool,
    ) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        let Self { source, slots, .. } = *self;
        let least = match but_for_lines {
            true => Usual::ButForLines,
            false => Usual::Wholly,
        };
        slots.texts(field).map(move |text| {
            let raw = slots.raw(source, text);
            let is_usual = match text.place() {
                Place::Source => raw.is_ascii(),
                Place::Arena => {
                    raw.is_ascii() && memchr::memchr2(b'\\', b'"', raw.as_bytes()).is_none()
                }
                Place::Late => {
                    let late = slots.late.get(text.start());
                    late.is_some_and(|late| late.usual(source) >= least)
                }
            };
            is_usual.then_some(raw)
        })
    }

    /// Every value of the document, named or not.
    pub fn all_values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (slots, source) = (self.slots.whole(self.source), self.source);
        slots
            .values
            .iter()
            .filter(|stored| !stored.again)
            .map(move |stored| slots.value(source, stored.text))
    }

    /// Texts among which are all that were made of words that the source does not have; what
    /// else the document says stands in its source, escaped.
    pub fn composed(&self) -> &'a str {
        match self.slots.composes {
            true => &self.slots.arena,
            false => "",
        }
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

impl Slots {
    /// Whether nothing was read into them.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The route of what was read.
    pub fn route(&self) -> Route {
        self.route
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

    /// Where the values of a field are.
    fn texts(&self, field: FieldId) -> impl Iterator<Item = Text> + use<'_> {
        let mut at = self.first(field);
        std::iter::from_fn(move || {
            let stored = self.values.get(at as usize)?;
            at = stored.next;
            Some(stored.text)
        })
    }

    pub(super) fn value<'a>(&'a self, source: &'a str, stored: Text) -> Value<'a> {
        let (start, len) = (stored.start(), stored.len());
        let text = match stored.place() {
            Place::Source => source.get(start..start + len),
            Place::Arena => self.arena.get(start..start + len),
            Place::Late => (self.late.get(start)).map(|late| late.text(source, &self.spare)),
        };
        Value {
            text: text.unwrap_or_default(),
            kind: stored.kind(),
        }
    }

    fn raw<'a>(&'a self, source: &'a str, stored: Text) -> &'a str {
        match (stored.place(), self.late.get(stored.start())) {
            (Place::Late, Some(late)) => late.raw(source),
            _ => self.value(source, stored).text,
        }
    }

    /// The same document with every value.
    fn whole(&self, source: &str) -> &Self {
        self.whole.get_or_init(|| {
            let mut whole = Box::<Self>::default();
            if let Some(plan) = &self.plan {
                whole.begin(plan);
                // It was read before.
                drop(plan.read(source, &mut whole, true, None));
            }
            whole
        })
    }

    /// The first value of a field, if it is no `null`.
    pub(super) fn first_text<'a>(&'a self, source: &'a str, field: FieldId) -> Option<&'a str> {
        let stored = self.values.get(self.first(field) as usize)?;
        (stored.text.kind() != Kind::Null).then(|| self.value(source, stored.text).text)
    }

    pub(super) fn rank(&self, field: FieldId) -> Option<u8> {
        let slot = self.slots.get(field.index())?;
        (slot.epoch == self.epoch).then_some(slot.rank)
    }

    pub(super) fn settle(&mut self, route: Route) {
        self.route = route;
    }

    pub(super) fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }

    pub(super) fn begin(&mut self, plan: &Arc<Plan>) {
        let fields = plan.fields();
        if self
            .plan
            .as_ref()
            .is_none_or(|known| !Arc::ptr_eq(known, plan))
        {
            self.plan = Some(Arc::clone(plan));
        }
        self.whole.take();
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
        self.spare.refill(self.late.drain(..));
        self.composes = false;
        self.standing = Standing::default();
        self.route = Route::default();
    }

    /// The text as it stands in the source at `start`.
    #[inline]
    pub(super) fn borrowed(&self, start: usize, len: usize, kind: Kind) -> Option<Text> {
        Text::new(Place::Source, start, len, kind)
    }

    /// The text that stands in the source at `start` with escapes, which are looked at later.
    #[inline]
    pub(super) fn late(&mut self, start: usize, len: usize) -> Option<Text> {
        let text = Text::new(Place::Late, self.late.len(), len, Kind::Text);
        self.late.push(Late::new(start, len)?);
        text
    }

    /// Notes that a value is made of words that the source does not have.
    pub(super) fn composes(&mut self) {
        self.composes = true;
    }

    /// The text that `write` puts at the end of the arena; the outer `None` if it gives up.
    pub(super) fn written(
        &mut self,
        write: impl FnOnce(&mut String) -> Option<()>,
    ) -> Option<Option<Text>> {
        let start = self.arena.len();
        write(&mut self.arena)?;
        let len = self.arena.len() - start;
        Some(Text::new(Place::Arena, start, len, Kind::Text))
    }

    /// A text that is put together from pieces that borrow nothing.
    pub(super) fn formatted(&mut self, pieces: fmt::Arguments<'_>) -> Option<Text> {
        self.written(|arena| arena.write_fmt(pieces).ok()).flatten()
    }

    /// The texts before and after, with the words between them.
    pub(super) fn joined(
        &mut self,
        source: &str,
        before: Option<Text>,
        words: &str,
        after: Option<Text>,
    ) -> Option<Text> {
        let (late, spare) = (
            std::mem::take(&mut self.late),
            std::mem::take(&mut self.spare),
        );
        let append = |arena: &mut String, text: Option<Text>| {
            let Some(text) = text else { return };
            let range = text.start()..text.start() + text.len();
            match text.place() {
                Place::Source => arena.push_str(source.get(range).unwrap_or_default()),
                Place::Arena => arena.extend_from_within(range),
                Place::Late => {
                    let late = late.get(text.start());
                    arena.push_str(late.map_or("", |late| late.text(source, &spare)));
                }
            }
        };
        let joined = self.written(|arena| {
            append(arena, before);
            arena.push_str(words);
            append(arena, after);
            Some(())
        });
        (self.late, self.spare) = (late, spare);
        joined.flatten()
    }

    /// Keeps a value that no field asks for.
    pub(super) fn keep(&mut self, text: Text) {
        self.values.push(Stored {
            text,
            again: false,
            next: NONE,
        });
    }

    /// Gives a field a value, unless it has one from a place that names it better. `again`: the
    /// same value was given to another field before. Says whether it was kept.
    pub(super) fn fill(&mut self, field: FieldId, rank: u8, text: Text, again: bool) -> bool {
        let Ok(at) = u32::try_from(self.values.len()) else {
            return false;
        };
        let Some(slot) = self.slots.get_mut(field.index()) else {
            return false;
        };
        if slot.epoch != self.epoch || slot.rank < rank {
            *slot = Slot {
                epoch: self.epoch,
                rank,
                first: at,
                last: at,
            };
        } else if slot.rank == rank {
            let last = std::mem::replace(&mut slot.last, at);
            if let Some(last) = self.values.get_mut(last as usize) {
                last.next = at;
            }
        } else {
            return false;
        }
        self.values.push(Stored {
            text,
            again,
            next: NONE,
        });
        true
    }
}
