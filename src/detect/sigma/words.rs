//! Whether a document could hold any of some texts in any of its values, told from its source as
//! it stands, without taking it apart. May say yes too often, never no too often.

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;
use rustc_hash::FxHashMap;

use super::common::Common;
use super::grams::{LOWER, Table, place_of};
use crate::taxonomy::Event;

/// Escapes that may stand for a character that folds to ASCII, in lower case.
const ESCAPES: [&str; 8] = [
    r"\u002", r"\u003", r"\u004", r"\u005", r"\u006", r"\u007", r"\u0130", r"\u212a",
];
/// The characters beyond ASCII that fold to something in it. Looked for apart: with the texts they
/// cost more.
const FOLDS_TO_ASCII: [char; 2] = ['\u{130}', '\u{212a}'];

/// A text is told by so many of its first bytes.
const TOLD_BY: usize = 4;
/// For dividing what they cost among those that have it.
const SHARES: u32 = 1 << 10;

/// Texts to look for.
#[derive(Debug)]
pub(super) enum Words {
    /// By two bytes of each, in all ways of writing them.
    Few(Table, Vec<Box<str>>),
    /// By their beginnings, in lower case.
    Many(AhoCorasick),
}

impl Words {
    /// Those texts, which are folded; `None` if the source can tell nothing of one of them. `common`
    /// tells what is frequent.
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>, common: &Common) -> Option<Self> {
        let mut parts: Vec<&str> = texts.map(plain).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        if parts.iter().all(|part| part.len() > 1) {
            let all = || parts.iter().chain(&ESCAPES);
            let numbered = (0..).zip(all().map(|part| part.as_bytes()));
            if let Some(table) = Table::of_two(numbered, common) {
                return Some(Self::Few(table, all().map(|part| (*part).into()).collect()));
            }
        }
        begin_alike(&mut parts, common);
        parts.extend(ESCAPES);
        let parts = parts
            .iter()
            .map(|part| part.bytes().map(|byte| byte | LOWER));
        let parts = parts.map(Iterator::collect::<Vec<u8>>);
        // This kind is searched many bytes at a time.
        let parts = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(parts)
            .ok()?;
        Some(Self::Many(parts))
    }

    /// Whether one of the texts may stand in a folded value of the event. `buffer` is overwritten.
    pub(super) fn may_stand(&self, event: &Event<'_>, buffer: &mut Vec<u8>) -> bool {
        [&*event.document.source, event.composed()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .any(|text| {
                self.stand_in(text.as_bytes(), buffer)
                    || !text.is_ascii() && FOLDS_TO_ASCII.iter().any(|c| text.contains(*c))
            })
    }

    fn stand_in(&self, text: &[u8], buffer: &mut Vec<u8>) -> bool {
        match self {
            Self::Few(table, parts) => {
                let mut stands = false;
                table.find(text, &mut |number, start| {
                    let part = parts.get(number as usize);
                    stands |= part.is_some_and(|part| place_of(part, text, start).is_some());
                });
                stands
            }
            Self::Many(parts) => {
                buffer.clear();
                buffer.extend(text.iter().map(|byte| byte | LOWER));
                parts.is_match(&*buffer)
            }
        }
    }
}

/// The longest piece of a text that stands in JSON as it is, unless it is written as `\uXXXX`.
fn plain(text: &str) -> &str {
    let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '/');
    text.split(|c: char| !is_plain(c))
        .max_by_key(|piece| piece.len())
        .unwrap_or_default()
}

/// Leaves of each text its end, from where the first bytes are rare and begin others too: those are
/// looked for together, and the fewer ways to begin there are, the less looks like one.
fn begin_alike(texts: &mut [&str], common: &Common) {
    let mut rest: Vec<&mut &str> = texts.iter_mut().filter(|t| t.len() >= TOLD_BY).collect();
    while !rest.is_empty() {
        let mut having: FxHashMap<[u8; TOLD_BY], u32> = FxHashMap::default();
        for text in &rest {
            let mut grams: Vec<[u8; TOLD_BY]> = text.as_bytes().array_windows().copied().collect();
            grams.sort_unstable();
            grams.dedup();
            for gram in grams {
                *having.entry(gram).or_default() += 1;
            }
        }
        let having = having.into_iter();
        let cheapest =
            having.min_by_key(|(gram, texts)| (common.cost(gram) * SHARES / texts, *gram));
        let Some((gram, _)) = cheapest else {
            return;
        };
        rest.retain_mut(|text| {
            let at = memmem::find(text.as_bytes(), &gram);
            if let Some(tail) = at.and_then(|at| text.get(at..)) {
                **text = tail;
            }
            at.is_none()
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::Document;
    use crate::rule::pattern::fold;
    use crate::taxonomy::{Fields, Reader, Slots};

    /// Few and many texts are looked for in two ways, which must agree.
    fn may_stand(words: &[&str], source: String) -> bool {
        let mut fields = Fields::default();
        fields.intern("IntegrityLevel");
        let mut slots = Slots::default();
        let document = Document::loose("test".into(), "1", source);
        let reader = Reader::new(&fields);
        reader.read(&document.source, &mut slots).unwrap();
        let event = Event::new(&document, &slots);
        let nowhere: Vec<String> = ('a'..='z').map(|c| format!("{c}~")).collect();
        let nowhere = nowhere.iter().map(String::as_str);
        let ask = |words: Option<Words>| words.unwrap().may_stand(&event, &mut Vec::new());
        let few = Words::new(words.iter().copied(), Common::usual());
        let many = Words::new(words.iter().copied().chain(nowhere), Common::usual());
        assert!(matches!(many, Some(Words::Many(_))));
        let is_few = matches!(few, Some(Words::Few(..)));
        assert_eq!(is_few, words.iter().all(|word| plain(word).len() > 1));
        let (few, many) = (ask(few), ask(many));
        assert_eq!(few, many, "{words:?}");
        few
    }

    #[test]
    fn a_text_that_stands_nowhere_is_told_from_the_source() {
        let source = r#"{"a":"C:\\users\\x","b":"sekurlsa:","c":{"::":1}}"#;
        assert!(!may_stand(&["sekurlsa::", "kiwi"], source.into()));
        assert!(may_stand(&["sekurlsa:"], source.into()));
        assert!(Words::new(["kiwi", "\u{e9}"].into_iter(), Common::usual()).is_none());
    }

    #[test]
    fn what_a_value_is_turned_into_counts() {
        let source = r#"{"EventID":4688,"MandatoryLabel":"S-1-16-12288"}"#;
        assert!(may_stand(&["high"], source.into()));
        assert!(!may_stand(&["medium"], source.into()));
    }

    /// A character in one of the ways in which JSON may write it.
    fn written(c: char, way: u8) -> String {
        match (c, way) {
            ('"' | '\\' | '/', 0) => format!("\\{c}"),
            ('\n', 0) => "\\n".into(),
            (' '..='!' | '#'..='[' | ']'.., 0 | 1) => c.into(),
            _ => {
                let unit = u32::from(c);
                if way == 2 {
                    format!("\\u{unit:04X}")
                } else {
                    format!("\\u{unit:04x}")
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_text_that_stands_there_is_never_missed(
            chars in prop::collection::vec((prop::sample::select("aBkKiI1:\u{212a}\u{130}/\\\"\u{e9} \n".chars().collect::<Vec<_>>()), 0..6_u8), 1..12),
            start in 0..12_usize,
            len in 1..6_usize,
        ) {
            let needle: String = chars.iter().skip(start).take(len).map(|(c, _)| *c).collect();
            let needle = fold(&needle);
            // The last ways are the plain one again.
            let value: String = chars.iter().map(|(c, way)| written(*c, way % 4 * u8::from(*way < 4))).collect();
            if !plain(&needle).is_empty() {
                let source = format!("{{\"x\":\"{value}\"}}");
                prop_assert!(may_stand(&[&needle], source));
            }
        }
    }
}
