//! One text that a condition asks for in one field, with all that it takes to ask beside it: what is
//! seldom asked is seldom in the processor's cache. Says what [`How`] says.

use super::common::letter;
use super::scratch::Scratch;
use crate::rule::predicate::{Atom, AtomId, How, Predicate};
use crate::taxonomy::{Event, FieldId};

/// A longer text, or one in a longer value, is left to a search whose time does not grow with both.
const SHORT_TEXT: usize = 64;
const SHORT_VALUE: usize = 4096;

/// A text without regard to case.
#[derive(Debug)]
pub(super) struct Text {
    text: Box<str>,
    atom: AtomId,
    pub(super) field: FieldId,
    pub(super) how: How,
    /// Where the byte stands in it that is the rarest elsewhere.
    rare: u8,
}

impl Text {
    /// What the atom of that number asks, if it asks for such a text.
    pub(super) fn of(id: AtomId, atom: &Atom) -> Option<Self> {
        let (Some(field), Predicate::Text { how, text, cased }) = (atom.field, &atom.predicate)
        else {
            return None;
        };
        if *cased || text.is_empty() {
            return None;
        }
        let bytes = text.bytes().take(SHORT_TEXT).zip(0..);
        let (_, rare) = bytes.min_by_key(|(byte, _)| letter(*byte))?;
        Some(Self {
            text: text.clone(),
            atom: id,
            field,
            how: *how,
            rare,
        })
    }

    /// Whether it stands in the field.
    pub(super) fn stands(&self, scratch: &mut Scratch, event: &Event<'_>) -> bool {
        let (first, count) = scratch.folded(event, Some(self.field));
        (first..first + count).any(|number| {
            let value = scratch.value(number);
            match self.how {
                How::Contains if self.is_short(value) => self.is_in(value),
                How::Contains => scratch.place(self.atom, &self.text, number).is_some(),
                how => how.holds(value, &self.text),
            }
        })
    }

    fn is_short(&self, value: &str) -> bool {
        self.text.len() <= SHORT_TEXT && value.len() <= SHORT_VALUE
    }

    /// Whether it is a part of a short value.
    fn is_in(&self, value: &str) -> bool {
        let (text, value) = (self.text.as_bytes(), value.as_bytes());
        let Some(room) = value.len().checked_sub(text.len()) else {
            return false;
        };
        let rare = usize::from(self.rare);
        let places = value.get(rare..=rare + room).unwrap_or_default();
        let byte = text.get(rare).copied().unwrap_or_default();
        memchr::memchr_iter(byte, places)
            .any(|at| value.get(at..).is_some_and(|rest| rest.starts_with(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_of_a_value_is_found(
            text in "[ab\u{e9}:]{1,6}",
            value in "[ab\u{e9}:]{0,12}",
            before in "[ab]{0,3}",
        ) {
            let predicate = Predicate::Text { how: How::Contains, text: (&*text).into(), cased: false };
            let atom = Atom { field: Some(FieldId(0)), predicate };
            let asked = Text::of(AtomId(0), &atom).unwrap();
            prop_assert_eq!(asked.is_in(&value), value.contains(&text));
            let whole = [before, text, value].concat();
            prop_assert!(asked.is_in(&whole));
        }
    }
}
