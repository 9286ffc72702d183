//! Tells quickly that none of some texts stands in a long value: looks for a rare piece of each,
//! many bytes at a time. May say yes too often, never no too often.

use aho_corasick::packed::{Config, MatchKind, Searcher};

/// How many pieces are looked for at a time, and how often at most a value is gone through.
const AT_A_TIME: usize = 64;
const ROUNDS: usize = 3;
/// Values shorter than that are not worth it, in bytes.
const SHORT: usize = 64;
/// What is shorter stands in every other value.
const LEAST: usize = 3;
/// A piece is told by so many of its first bytes.
const TOLD_BY: usize = 4;

/// Pieces of texts.
#[derive(Debug)]
pub(super) struct Sieve {
    rounds: Vec<Searcher>,
}

impl Sieve {
    /// For those texts, which are folded; `None` where it would not help.
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut pieces: Vec<&[u8]> = texts.map(|text| piece(text.as_bytes())).collect();
        pieces.sort_unstable();
        pieces.dedup();
        let is_of_use =
            pieces.len() <= AT_A_TIME * ROUNDS && pieces.iter().all(|piece| piece.len() >= LEAST);
        if !is_of_use || pieces.is_empty() {
            return None;
        }
        let rounds = pieces.chunks(AT_A_TIME).map(|some| {
            let mut builder = Config::new()
                .match_kind(MatchKind::LeftmostFirst)
                .only_teddy(true)
                .builder();
            builder.extend(some).build()
        });
        let rounds = rounds.collect::<Option<Vec<_>>>()?;
        Some(Self { rounds })
    }

    /// Whether one of the texts may stand in the value.
    pub(super) fn may_stand(&self, value: &str) -> bool {
        value.len() < SHORT || self.rounds.iter().any(|round| round.find(value).is_some())
    }
}

/// The end of a text from where its bytes are rarest.
fn piece(text: &[u8]) -> &[u8] {
    let cost = |window: &[u8]| -> u32 { window.iter().map(|byte| frequency(*byte)).sum() };
    let start = text
        .windows(TOLD_BY)
        .enumerate()
        .min_by_key(|(_, window)| cost(window))
        .map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default()
}

/// Roughly how frequent a byte is in command lines, paths and scripts; for choosing only.
fn frequency(byte: u8) -> u32 {
    match byte {
        b'e' | b' ' | b's' | b't' | b'i' | b'\\' | b'n' | b'o' | b'r' | b'a' => 8,
        b'.' | b'm' | b'd' | b'l' | b'c' | b'w' | b'p' | b'x' | b'-' | b'u' => 5,
        b'0'..=b'9' | b'f' | b'g' | b'h' | b'b' | b'y' | b'v' | b'k' => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_piece_is_the_rarest_end() {
        assert_eq!(piece(b"sekurlsa::"), b"sa::");
        assert_eq!(piece(b"abc"), b"abc");
    }

    proptest! {
        #[test]
        fn a_text_that_stands_there_is_never_missed(
            texts in prop::collection::vec("[a-e:.]{3,9}", 1..130),
            before in "[a-e:. ]{0,90}",
            after in "[a-e:. ]{0,90}",
            which in any::<prop::sample::Index>(),
        ) {
            let value = format!("{before}{}{after}", which.get(&texts));
            if let Some(sieve) = Sieve::new(texts.iter().map(String::as_str)) {
                prop_assert!(sieve.may_stand(&value));
            }
        }
    }
}
