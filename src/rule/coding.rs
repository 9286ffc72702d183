//! What became of a rule's value before it was looked for, so that evidence can say in plain text
//! what stands in a document in base64 or with other dashes. Never decides whether a rule holds.

use std::sync::Arc;

use super::pattern::{Encoding, SKIPPED, unbase64};
use super::predicate::AtomId;
use crate::finding::Decoded;

/// How many digits of base64 are decoded on either side of what matched.
const MAX_AROUND: usize = 600;

/// How a value was written anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// In base64.
    Base64 {
        /// As which bytes.
        encoding: Encoding,
        /// How many bytes stand before it in its group of three.
        shift: usize,
        /// How many bytes it has.
        length: usize,
    },
    /// With other dashes than the rule has it, which is this.
    Dashes(Arc<str>),
}

/// What became of a rule's values, by the number of the atom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(Vec<(AtomId, Coding)>);

impl Codings {
    /// Notes what became of an atom's value; the first one counts.
    pub fn add(&mut self, atom: AtomId, coding: Coding) {
        if let Err(at) = self.place(atom) {
            self.0.insert(at, (atom, coding));
        }
    }

    /// Notes all of those too.
    pub fn extend(&mut self, others: &Self) {
        for (atom, coding) in &others.0 {
            self.add(*atom, coding.clone());
        }
    }

    /// What became of that atom's value, if it says something else.
    pub fn of(&self, atom: AtomId) -> Option<&Coding> {
        let at = self.place(atom).ok()?;
        self.0.get(at).map(|(_, coding)| coding)
    }

    fn place(&self, atom: AtomId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&atom, |(atom, _)| *atom)
    }
}

impl Coding {
    /// What the text around the match says in plain text; the match's place is given in bytes.
    pub fn decode(&self, value: &str, span: (usize, usize)) -> Option<Decoded> {
        let (encoding, shift, length) = match self {
            Self::Dashes(text) => return Some(Decoded::new(text, None)),
            Self::Base64 {
                encoding,
                shift,
                length,
            } => (*encoding, *shift, *length),
        };
        let is_digit = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let bytes = value.as_bytes();
        let end = span.0.checked_add(span.1)?;
        let before = bytes.get(..span.0)?.iter().rev().take(MAX_AROUND);
        let before = before.take_while(is_digit).count();
        let behind = bytes.get(end..)?.iter().take(MAX_AROUND);
        let behind = behind.take_while(is_digit).count();
        // Groups of four digits begin where those of the match do.
        let skipped = SKIPPED.get(shift).copied()?;
        let (lead, at) = match before.checked_sub(skipped) {
            Some(whole) => (whole / 4 * 4 + skipped, whole / 4 * 3 + shift),
            None => (0, 0),
        };
        let mut digits = String::new();
        if lead == 0 {
            digits.extend(std::iter::repeat_n('A', skipped));
        }
        digits.push_str(value.get(span.0 - lead..end + behind)?);
        let decoded = unbase64(&digits);
        // What stands for digits that are not there is nobody's text.
        let decoded = decoded.get(if lead == 0 { shift } else { 0 }..)?;
        let found = at..(at + length).min(decoded.len());
        // Two bytes make a character from the match on, forwards and backwards.
        let first = match encoding {
            Encoding::Utf8 => 0,
            _ => at % 2,
        };
        let mut text = encoding.text(decoded.get(first..found.start)?);
        let start = text.len();
        text.push_str(&encoding.text(decoded.get(found.clone())?));
        let span = (start, text.len() - start);
        text.push_str(&encoding.text(decoded.get(found.end..)?));
        Some(Decoded::new(&text, Some(span)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rule::pattern::{base64, base64_offsets};

    proptest! {
        #[test]
        fn what_was_encoded_is_read_again(
            before in "[a-z\u{e9}]{0,40}",
            plain in "[A-Z]{4,10}",
            behind in "[a-z ]{0,40}",
            encoding in prop::sample::select(vec![Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be]),
            outside in "[ ,:]{0,3}",
        ) {
            let whole = format!("{before}{plain}{behind}");
            let value = format!("{outside}{}", base64(&encoding.bytes(&whole)));
            let bytes = encoding.bytes(&plain);
            // Short texts may stand in more than one alignment.
            let texts = base64_offsets(&bytes);
            let decoded = texts.iter().filter_map(|(shift, text)| {
                let coding = Coding::Base64 { encoding, shift: *shift, length: bytes.len() };
                coding.decode(&value, (value.find(text)?, text.len()))
            });
            prop_assert!(
                decoded.into_iter().any(|d| {
                    let (start, len) = d.span.unwrap();
                    d.text[start..start + len] == plain && d.text == whole
                }),
                "{value}"
            );
        }

        #[test]
        fn any_place_is_survived(value in "\\PC{0,40}", start in 0usize..50, len in 0usize..50, shift in 0usize..3) {
            let start = value.floor_char_boundary(start);
            let end = value.floor_char_boundary(start + len);
            let coding = Coding::Base64 { encoding: Encoding::Utf16Le, shift, length: len };
            if let Some(Decoded { text, span: Some((start, len)) }) = coding.decode(&value, (start, end - start)) {
                prop_assert!(text.get(start..start + len).is_some());
            }
        }
    }
}
