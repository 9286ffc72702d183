//! Finds which of many texts stand in a value, by a *gram* of each: four bytes that are rare
//! elsewhere. A value is gone through once, however many texts there are, and mostly as it stands
//! in the source, neither unescaped nor folded. May find a text that is not there, never miss one
//! that is.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::common::Common;
use crate::taxonomy::escape::escape_into;

/// How many bytes a gram has; a text that is shorter has one of the next width.
const WIDTHS: [usize; 3] = [4, 2, 1];
/// Bits for each gram of a table: the more, the fewer other bytes look like one.
const BITS_A_GRAM: usize = 64;
/// A table is no larger, in bits: it is to stay in the processor's nearest cache.
const MAX_BITS: usize = 1 << 16;
/// What sets a letter in lower case. What else it changes makes more bytes look like a gram.
pub(super) const LOWER: u8 = 0x20;

/// Texts to look for, each called by its number.
#[derive(Debug, Default)]
pub(super) struct Grams {
    /// As JSON writes them.
    texts: Vec<Box<str>>,
    ascii: Vec<Table>,
    /// Those of texts with other characters.
    beyond: Vec<Table>,
    /// No text has line ends or the like, so that it does not matter how JSON writes those.
    pub(super) is_printed: bool,
}

impl Grams {
    /// For those texts, which are folded and not empty. `common` tells what is frequent.
    pub(super) fn new(texts: &[Box<str>], common: &Common) -> Self {
        let written = texts.iter().map(|text| {
            let mut written = String::new();
            escape_into(text, &mut written);
            written.into()
        });
        let texts: Vec<Box<str>> = written.collect();
        let tables = |is_ascii: bool| {
            let of_width = WIDTHS.into_iter().map(|width| {
                let numbered = (0..).zip(&texts);
                let some = numbered.filter(|(_, text)| {
                    text.is_ascii() == is_ascii && width_for(text.len()) == width
                });
                Table::new(width, some.map(|(n, text)| (n, text.as_bytes())), common)
            });
            of_width.flatten().collect()
        };
        Self {
            is_printed: !texts.iter().any(|text| text.contains(char::is_control)),
            ascii: tables(true),
            beyond: tables(false),
            texts,
        }
    }

    /// Calls `found` with each text that stands in a value, in whatever case, and where. The value
    /// is as JSON writes it; if it is not ASCII it is folded.
    pub(super) fn each(&self, value: &str, mut found: impl FnMut(usize, Range<usize>)) {
        let mut check = |at: usize, of_gram: &[Place]| {
            for place in of_gram {
                let stands = |start: usize| {
                    let text = self.texts.get(place.text as usize)?;
                    let there = start..start.checked_add(text.len())?;
                    let is_same = value.as_bytes().get(there.clone())?;
                    is_same
                        .eq_ignore_ascii_case(text.as_bytes())
                        .then_some(there)
                };
                if let Some(there) = at.checked_sub(place.at as usize).and_then(stands) {
                    found(place.text as usize, there);
                }
            }
        };
        for table in &self.ascii {
            table.find(value.as_bytes(), &mut check);
        }
        if !self.beyond.is_empty() && !value.is_ascii() {
            for table in &self.beyond {
                table.find(value.as_bytes(), &mut check);
            }
        }
    }
}

fn width_for(len: usize) -> usize {
    WIDTHS
        .into_iter()
        .find(|width| *width <= len)
        .unwrap_or_default()
}

/// Where a gram is in a text.
#[derive(Clone, Copy, Debug)]
struct Place {
    text: u32,
    at: u32,
}

/// The grams of one width.
#[derive(Debug)]
struct Table {
    width: usize,
    /// A value is looked at at every so manieth byte: each text has so many grams in a row.
    stride: usize,
    bits: Box<[u64]>,
    grams: FxHashMap<u32, Vec<Place>>,
}

impl Table {
    fn new<'t>(
        width: usize,
        texts: impl Iterator<Item = (u32, &'t [u8])>,
        common: &Common,
    ) -> Option<Self> {
        let texts: Vec<(u32, &[u8])> = texts.collect();
        let shortest = texts.iter().map(|(_, text)| text.len()).min()?;
        let stride = match (width, shortest) {
            (4, 7..) => 4,
            (4, 5..) => 2,
            _ => 1,
        };
        let mut grams: FxHashMap<u32, Vec<Place>> = FxHashMap::default();
        for (number, text) in texts {
            let rarest = text
                .windows(width + stride - 1)
                .enumerate()
                .min_by_key(|(_, row)| row.windows(width).map(|gram| common.cost(gram)).sum::<u32>());
            let Some((at, row)) = rarest else { continue };
            for (gram, at) in row.windows(width).zip(at..) {
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                let places = grams.entry(lower(gram)).or_default();
                places.push(Place { text: number, at });
            }
        }
        let words = (grams.len() * BITS_A_GRAM).clamp(64, MAX_BITS) / 64;
        let mut bits = vec![0; words.next_power_of_two()];
        for gram in grams.keys() {
            let (word, bit) = place(*gram, bits.len());
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Some(Self {
            width,
            stride,
            bits: bits.into(),
            grams,
        })
    }

    /// Calls `check` with each gram's place and the texts that it may be of.
    fn find(&self, value: &[u8], check: &mut impl FnMut(usize, &[Place])) {
        match (self.width, self.stride) {
            (4, 4) => self.look(value.as_chunks::<4>().0.iter(), check),
            (4, 2) => self.look(value.array_windows::<4>().step_by(2), check),
            (4, _) => self.look(value.array_windows::<4>(), check),
            (2, _) => self.look(value.array_windows::<2>(), check),
            _ => self.look(value.array_windows::<1>(), check),
        }
    }

    /// Written so that its loop has nothing in it but what all bytes need.
    fn look<'v, const WIDTH: usize>(
        &self,
        grams: impl Iterator<Item = &'v [u8; WIDTH]>,
        check: &mut impl FnMut(usize, &[Place]),
    ) {
        let bits = &*self.bits;
        for (number, gram) in grams.enumerate() {
            let gram = lower(gram);
            let (word, bit) = place(gram, bits.len());
            if bits[word] & bit != 0
                && let Some(places) = self.grams.get(&gram)
            {
                check(number * self.stride, places);
            }
        }
    }
}

/// The word, of so many (a power of two), and the bit in it that stand for a gram.
#[inline(always)]
fn place(gram: u32, words: usize) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9e37_79b1);
    // The upper bits are the best mixed.
    ((hash >> 10) as usize & (words - 1), 1 << (hash >> 26))
}

/// A gram as a number, without regard to case.
#[inline(always)]
fn lower(gram: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    for (to, from) in bytes.iter_mut().zip(gram) {
        *to = from | LOWER;
    }
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rule::pattern::fold;

    fn found(texts: &[String], value: &str) -> Vec<usize> {
        let folded: Vec<Box<str>> = texts.iter().map(|text| fold(text).into()).collect();
        let mut all = Vec::new();
        Grams::new(&folded, &Common::default()).each(value, |text, at| {
            assert_eq!(at.len(), folded[text].escape(), "{text}");
            all.push(text);
        });
        all.sort_unstable();
        all.dedup();
        all
    }

    trait Escape {
        fn escape(&self) -> usize;
    }

    impl Escape for Box<str> {
        fn escape(&self) -> usize {
            let mut written = String::new();
            escape_into(self, &mut written);
            written.len()
        }
    }

    #[test]
    fn texts_are_found_as_they_stand_in_the_source() {
        let texts = [r"\cmd.exe", "e", "\"x\" ", "powershell", "\u{e9}t\u{e9}"].map(String::from);
        assert_eq!(found(&texts, r"C:\\Windows\\CMD.EXE"), [0, 1]);
        assert_eq!(found(&texts, r#"POWERSHELL \"X\" "#), [1, 2, 3]);
        assert_eq!(found(&texts, "un \u{e9}t\u{e9}"), [4]);
        assert!(found(&texts, "").is_empty());
    }

    proptest! {
        #[test]
        fn a_text_that_stands_there_is_never_missed(
            texts in prop::collection::vec("[a-c:.\\\\\"\u{e9}]{1,9}|[a-c.]{7,12}", 1..60),
            long in any::<bool>(),
            before in "[a-cA-C:.\\\\\" ]{0,40}",
            after in "[a-c:.\\\\\"\u{e9} ]{0,40}",
            which in any::<prop::sample::Index>(),
        ) {
            let texts: Vec<String> = texts.into_iter().filter(|text| !long || text.len() > 6).collect();
            prop_assume!(!texts.is_empty());
            let value = fold(&format!("{before}{}{after}", which.get(&texts)));
            let mut written = String::new();
            escape_into(&value, &mut written);
            let all = found(&texts, &written);
            for (number, text) in texts.iter().enumerate() {
                if value.contains(&*fold(text)) {
                    prop_assert!(all.contains(&number), "{text} in {value}");
                }
            }
        }
    }
}
