//! Finds which of many texts stand in a value, by a *gram* of each: four bytes that are rare
//! elsewhere. A value is gone through once, however many texts there are, and mostly as it stands
//! in the source, neither unescaped nor folded. May find a text that is not there, never miss one
//! that is.

use std::ops::Range;

use aho_corasick::Span;
use aho_corasick::packed::{Config, Searcher};
use rustc_hash::FxHashMap;

use super::common::Common;
use crate::rule::predicate::How;
use crate::taxonomy::escape::escaped;

/// How many bytes a gram has; a text that is shorter has one of the next width.
const WIDTHS: [usize; 3] = [4, 2, 1];
/// Bits for each gram of a table: the more, the fewer other bytes look like one.
const BITS_A_GRAM: usize = 128;
/// A table is no larger, in bits: it is to stay in the processor's nearest cache.
const MAX_BITS: usize = 1 << 16;
/// Grams of so many bytes may be looked for in all ways of writing them.
const MAX_FEW: usize = 2;
/// What sets a letter in lower case. What else it changes makes more bytes look alike.
pub(super) const LOWER: u8 = 0x20;

/// A text to look for.
pub(super) struct Text<'t> {
    /// Folded, and not empty.
    pub(super) text: &'t str,
    /// Where alone it is of interest.
    pub(super) how: How,
}

/// Texts to look for, each called by its number.
#[derive(Debug)]
pub(super) struct Grams {
    /// As JSON writes them.
    texts: Vec<Box<str>>,
    /// Those that are of interest at the end, by the last bytes.
    ends: FxHashMap<u64, Vec<u32>>,
    ascii: Vec<Table>,
    /// Those of texts with other characters.
    beyond: Vec<Table>,
    /// No text has line ends or the like, so that it does not matter how JSON writes those.
    pub(super) is_printed: bool,
}

impl Grams {
    /// For those texts. `common` tells what is frequent.
    pub(super) fn new(texts: &[Text<'_>], common: &Common) -> Self {
        let written = texts.iter().map(|text| escaped(text.text).into());
        let written: Vec<Box<str>> = written.collect();
        let all = || (0..).zip(&written).zip(texts);
        let mut ends: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        for ((number, written), text) in all() {
            if is_end(written, text.how) {
                ends.entry(end(written)).or_default().push(number);
            }
        }
        let tables = |is_ascii: bool| {
            let of_width = WIDTHS.into_iter().map(|width| {
                let some = all().filter(|((_, written), text)| {
                    written.is_ascii() == is_ascii
                        && width_for(written.len()) == width
                        && !is_end(written, text.how)
                });
                let some = some.map(|((number, written), _)| (number, written.as_bytes()));
                Table::new(width, some, common)
            });
            of_width.flatten().collect()
        };
        Self {
            is_printed: !texts
                .iter()
                .any(|text| text.text.contains(char::is_control)),
            ascii: tables(true),
            beyond: tables(false),
            ends,
            texts: written,
        }
    }

    /// Calls `found` with each text that stands in a value, in whatever case, and where. The value
    /// is as JSON writes it; if it is not ASCII it is folded.
    pub(super) fn each(&self, value: &str, mut found: impl FnMut(usize, Range<usize>)) {
        if !self.ends.is_empty()
            && let Some(ends) = self.ends.get(&end(value))
        {
            for number in ends {
                let text = self.texts.get(*number as usize);
                let start = text.and_then(|text| value.len().checked_sub(text.len()));
                if let Some(start) = start {
                    self.check(value, *number, start, &mut found);
                }
            }
        }
        let beyond = match self.beyond.is_empty() || value.is_ascii() {
            true => &[],
            false => &*self.beyond,
        };
        for table in self.ascii.iter().chain(beyond) {
            table.find(value.as_bytes(), &mut |number, start| {
                self.check(value, number, start, &mut found);
            });
        }
    }

    fn check(
        &self,
        value: &str,
        number: u32,
        start: usize,
        found: &mut impl FnMut(usize, Range<usize>),
    ) {
        let number = number as usize;
        if let Some(text) = self.texts.get(number)
            && let Some(there) = place_of(text, value.as_bytes(), start)
        {
            found(number, there);
        }
    }
}

/// Where a text stands that begins there, in whatever case, if it does.
pub(super) fn place_of(text: &str, value: &[u8], start: usize) -> Option<Range<usize>> {
    let place = start..start.checked_add(text.len())?;
    let there = value.get(place.clone())?;
    there.eq_ignore_ascii_case(text.as_bytes()).then_some(place)
}

/// Whether a text is found by the end of a value: if it is no shorter than what is looked at there,
/// or if a value that short must be all of it.
fn is_end(written: &str, how: How) -> bool {
    match how {
        How::Equals => true,
        How::EndsWith => written.len() >= size_of::<u64>(),
        How::Contains | How::StartsWith => false,
    }
}

/// The last bytes, or all if there are fewer, without regard to case.
fn end(text: &str) -> u64 {
    match text.as_bytes().last_chunk() {
        Some(last) => lower_all(*last),
        None => word(text.as_bytes()),
    }
}

fn width_for(len: usize) -> usize {
    WIDTHS
        .into_iter()
        .find(|width| *width <= len)
        .unwrap_or_default()
}

/// A gram of a text.
#[derive(Clone, Copy, Debug)]
struct Place {
    text: u32,
    /// Where in the text it is.
    at: u32,
    /// What stands in the text from there on, without regard to case, and how much of it.
    bytes: u64,
    mask: u64,
}

impl Place {
    fn new(text: u32, written: &[u8], at: usize) -> Self {
        let rest = written.get(at..).unwrap_or_default();
        let len = rest.len().min(8);
        let mask = u64::MAX.checked_shr(64 - 8 * len as u32).unwrap_or(0);
        Self {
            text,
            at: u32::try_from(at).unwrap_or(u32::MAX),
            bytes: word(rest) & mask,
            mask,
        }
    }
}

/// The first eight bytes without regard to case; what is not there is anything.
fn word(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    match bytes.first_chunk::<8>() {
        Some(all) => first = *all,
        None => first[..bytes.len()].copy_from_slice(bytes),
    }
    lower_all(first)
}

/// The grams of one width.
#[derive(Debug)]
pub(super) struct Table {
    width: usize,
    /// A value is looked at at every so manieth byte: each text has so many grams in a row.
    stride: usize,
    /// What finds all ways of writing the grams many bytes at a time, if they are short and few.
    few: Option<Searcher>,
    bits: Box<[u64]>,
    /// The first of each gram's places, and how many there are.
    grams: FxHashMap<u32, (u32, u32)>,
    places: Box<[Place]>,
}

impl Table {
    /// Grams of two bytes, which all texts have; `None` if these are too many to be looked for many
    /// bytes at a time.
    pub(super) fn of_two<'t>(
        texts: impl Iterator<Item = (u32, &'t [u8])>,
        common: &Common,
    ) -> Option<Self> {
        Self::new(2, texts, common).filter(|table| table.few.is_some())
    }

    fn new<'t>(
        width: usize,
        texts: impl Iterator<Item = (u32, &'t [u8])>,
        common: &Common,
    ) -> Option<Self> {
        let texts: Vec<(u32, &[u8])> = texts.collect();
        let shortest = texts.iter().map(|(_, text)| text.len()).min()?;
        let mut bytes = texts.iter().flat_map(|(_, text)| *text);
        let is_printed = !bytes.any(u8::is_ascii_control);
        let stride = match (width, shortest) {
            (4, 7..) => 4,
            (4, 5..) => 2,
            _ => 1,
        };
        let mut places: Vec<(u32, Place)> = Vec::new();
        for (number, text) in texts {
            let rows = text.windows(width + stride - 1).enumerate();
            let rarest = rows.min_by_key(|(_, row)| {
                row.windows(width)
                    .map(|gram| common.cost(gram))
                    .sum::<u32>()
            });
            let Some((at, row)) = rarest else { continue };
            let grams = row.windows(width).zip(at..);
            places.extend(grams.map(|(gram, at)| (lower(gram), Place::new(number, text, at))));
        }
        places.sort_by_key(|(gram, _)| *gram);
        let mut grams: FxHashMap<u32, (u32, u32)> = FxHashMap::default();
        for (number, (gram, _)) in (0..).zip(&places) {
            grams.entry(*gram).or_insert((number, 0)).1 += 1;
        }
        let words = (grams.len() * BITS_A_GRAM).clamp(64, MAX_BITS) / 64;
        let mut bits = vec![0; words.next_power_of_two()];
        for gram in grams.keys() {
            let (word, bit) = place(*gram, bits.len());
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        let few = (width <= MAX_FEW).then(|| few(grams.keys(), width, is_printed));
        Some(Self {
            width,
            stride,
            few: few.flatten(),
            bits: bits.into(),
            grams,
            places: places.into_iter().map(|(_, place)| place).collect(),
        })
    }

    /// Calls `check` with each text that may stand there, and where.
    pub(super) fn find(&self, value: &[u8], check: &mut impl FnMut(u32, usize)) {
        if let Some(few) = self
            .few
            .as_ref()
            .filter(|few| value.len() >= few.minimum_len())
        {
            let mut rest = Span::from(0..value.len());
            // No two grams begin at the same byte.
            while let Some(found) = few.find_in(value, rest) {
                let gram = lower(&value[found.range()]);
                self.compare(gram, value, found.start(), check);
                rest.start = found.start() + 1;
            }
            return;
        }
        match (self.width, self.stride) {
            (4, 4) => self.look(value, value.as_chunks::<4>().0.iter(), check),
            (4, 2) => self.look(value, value.array_windows::<4>().step_by(2), check),
            (4, _) => self.look(value, value.array_windows::<4>(), check),
            (2, _) => self.look(value, value.array_windows::<2>(), check),
            _ => self.look(value, value.array_windows::<1>(), check),
        }
    }

    /// Written so that its loop has nothing in it but what all bytes need.
    #[inline(never)]
    fn look<'v, const WIDTH: usize>(
        &self,
        value: &[u8],
        grams: impl Iterator<Item = &'v [u8; WIDTH]>,
        check: &mut impl FnMut(u32, usize),
    ) {
        let bits = &*self.bits;
        for (number, gram) in grams.enumerate() {
            let gram = lower(gram);
            let (word, bit) = place(gram, bits.len());
            if bits[word] & bit != 0 {
                self.compare(gram, value, number * self.stride, check);
            }
        }
    }

    #[inline(never)]
    fn compare(&self, gram: u32, value: &[u8], at: usize, check: &mut impl FnMut(u32, usize)) {
        let Some((first, count)) = self.grams.get(&gram).copied() else {
            return;
        };
        let there = word(value.get(at..).unwrap_or_default());
        let range = first as usize..first as usize + count as usize;
        for place in self.places.get(range).unwrap_or_default() {
            if (there ^ place.bytes) & place.mask == 0
                && let Some(start) = at.checked_sub(place.at as usize)
            {
                check(place.text, start);
            }
        }
    }
}

/// What finds those grams, which are numbers without regard to case, many bytes at a time; `None` if
/// there are too many ways of writing them. `is_printed`: none is of a text with control characters.
fn few<'g>(
    grams: impl Iterator<Item = &'g u32>,
    width: usize,
    is_printed: bool,
) -> Option<Searcher> {
    let mut builder = Config::new().only_teddy(true).builder();
    for gram in grams {
        let gram = &gram.to_le_bytes()[..width];
        // Each byte as it is and without its bit for lower case, unless that is a control character
        // that no text has.
        for cases in 0..1_usize << width {
            let is_upper = |at: usize| cases >> at & 1 == 1;
            let mut bytes = gram.iter().enumerate();
            let is_control =
                |(at, byte): (usize, &u8)| is_upper(at) && (byte & !LOWER).is_ascii_control();
            if is_printed && bytes.any(is_control) {
                continue;
            }
            let bytes = gram.iter().enumerate();
            let written = bytes.map(|(at, byte)| byte & !(LOWER * u8::from(is_upper(at))));
            builder.add(written.collect::<Vec<u8>>());
        }
    }
    builder.build()
}

/// The word, of so many (a power of two), and the bit in it that stand for a gram.
#[inline(always)]
fn place(gram: u32, words: usize) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9e37_79b1);
    // The upper bits are the best mixed.
    ((hash >> 10) as usize & (words - 1), 1 << (hash >> 26))
}

/// Up to four bytes as a number, without regard to case.
#[inline(always)]
pub(super) fn lower(gram: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    bytes[..gram.len()].copy_from_slice(gram);
    u32::from_le_bytes(bytes) | u32::from_le_bytes([LOWER; 4])
}

/// The same of eight.
fn lower_all(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes) | u64::from_le_bytes([LOWER; 8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rule::pattern::fold;

    /// The numbers of the texts found, in a value as JSON writes it, and whether its end is theirs.
    fn found(texts: &[String], how: How, value: &str) -> Vec<(usize, bool)> {
        let folded: Vec<String> = texts.iter().map(|text| fold(text)).collect();
        let texts = folded.iter().map(|text| Text { text, how });
        let grams = Grams::new(&texts.collect::<Vec<_>>(), Common::usual());
        let mut all = Vec::new();
        grams.each(value, |text, at| {
            assert_eq!(fold(&value[at.clone()]), escaped(&folded[text]));
            all.push((text, at.end == value.len()));
        });
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn texts_are_found_as_they_stand_in_the_source() {
        let texts = [r"\cmd.exe", "\"x\" ", "powershell", "\u{e9}t\u{e9}", "e"].map(String::from);
        let found = |value| found(&texts, How::Contains, value);
        assert_eq!(
            found(r"C:\\Windows\\CMD.EXE"),
            [(0, true), (4, false), (4, true)]
        );
        assert_eq!(
            found(r#"POWERSHELL \"X\" "#),
            [(1, true), (2, false), (4, false)]
        );
        assert_eq!(found("un \u{e9}t\u{e9}"), [(3, true)]);
        assert!(found("").is_empty());
    }

    proptest! {
        #[test]
        fn a_text_that_stands_there_is_never_missed(
            texts in prop::collection::vec("[a-c:.\\\\\"\n\u{e9}]{1,9}|[a-c.]{7,12}", 1..60),
            long in any::<bool>(),
            before in "[a-cA-C:.\\\\\"\n ]{0,40}",
            after in "[a-c:.\\\\\"\n\u{e9} ]{0,40}",
            which in any::<prop::sample::Index>(),
        ) {
            let texts: Vec<String> = texts.into_iter().filter(|text| !long || text.len() > 6).collect();
            prop_assume!(!texts.is_empty());
            let value = fold(&format!("{before}{}{after}", which.get(&texts)));
            let inside = found(&texts, How::Contains, &escaped(&value));
            let at_end = found(&texts, How::EndsWith, &escaped(&value));
            for (number, text) in texts.iter().enumerate() {
                let text = fold(text);
                if value.contains(&*text) {
                    prop_assert!(inside.iter().any(|(n, _)| *n == number), "{text} in {value}");
                }
                if value.ends_with(&*text) {
                    prop_assert!(at_end.contains(&(number, true)), "{text} ends {value}");
                }
                let all = found(&texts, How::Equals, &escaped(&text));
                prop_assert!(all.contains(&(number, true)), "{text}");
            }
        }
    }
}
