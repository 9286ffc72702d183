//! Steps through the text of one JSON object: keys, values, and over what nobody asks for, at the
//! speed of `memchr`. Safe on any text: no recursion here, no allocation, never beyond its end.
//! It is no validator: what is stepped over is only counted by brackets (files are checked by the
//! input, documents of a store by the store).

use super::{Fault, MAX_SOURCE, ReadError};
use crate::taxonomy::Kind;
use crate::taxonomy::bytes::{Block, WIDE};

/// A string as it stands in the source, without its quotes: where it begins, how long it is and
/// whether it may have escapes, in one word. What is handed on for each value stays in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw(u64);

const ESCAPED: u64 = 1 << 63;

/// A string of so many pairs of blocks is short.
const SHORT: usize = 3;

impl Raw {
    fn new(start: usize, end: usize, is_escaped: bool) -> Self {
        let (start, len) = (start as u64, (end - start) as u64);
        Self(start | len << u32::BITS | if is_escaped { ESCAPED } else { 0 })
    }

    pub(super) fn start(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(super) fn len(self) -> usize {
        ((self.0 & !ESCAPED) >> u32::BITS) as usize
    }

    fn end(self) -> usize {
        self.start() + self.len()
    }

    pub(super) fn is_escaped(self) -> bool {
        self.0 & ESCAPED != 0
    }
}

/// What a value begins with, or is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token {
    String(Raw),
    /// A number, `true`, `false` or `null`.
    Bare(Raw),
    Object,
    Array,
}

/// Something is wrong; [`Scanner::error`] says what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

/// A place in a text.
pub(super) struct Scanner<'s> {
    text: &'s str,
    at: usize,
    fault: Option<Fault>,
}

impl<'s> Scanner<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self {
            text,
            at: 0,
            fault: None,
        }
    }

    pub(super) fn slice(&self, raw: Raw) -> &'s str {
        let range = raw.start()..raw.start() + raw.len();
        self.text.get(range).unwrap_or_default()
    }

    /// Notes what is wrong here.
    #[cold]
    pub(super) fn fault(&mut self, what: &'static str) -> Failed {
        self.fault = Some(Fault { what, at: self.at });
        Failed
    }

    /// What was noted last.
    pub(super) fn error(&self) -> ReadError {
        let what = self.fault.map_or("nothing", |fault| fault.what);
        let at = self.fault.map_or(0, |fault| fault.at);
        ReadError(format!("{what} at byte {at}"))
    }

    /// The brace that everything begins with.
    pub(super) fn begin(&mut self) -> Result<(), Failed> {
        if self.text.len() > MAX_SOURCE {
            return Err(self.fault("it is longer than 256 MB"));
        }
        match self.take(b'{') {
            true => Ok(()),
            false => Err(self.fault("a brace is missing")),
        }
    }

    /// The next byte that is no white space, which stays where it is; 0 at the end.
    pub(super) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    /// Steps over that byte, if it is the next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte) || self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    /// What follows.
    #[inline]
    pub(super) fn rest(&self) -> &'s [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek();
        self.at == self.text.len()
    }

    /// A key and its colon.
    pub(super) fn key(&mut self) -> Result<Raw, Failed> {
        if !self.take(b'"') {
            return Err(self.fault("a key is missing"));
        }
        let key = self.string()?;
        if self.take(b':') {
            Ok(key)
        } else {
            Err(self.fault("a colon is missing"))
        }
    }

    /// The rest of a string, behind its opening quote.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Raw, Failed> {
        match short(self.text.as_bytes(), self.at) {
            Ok(raw) => {
                self.at = raw.end() + 1;
                Ok(raw)
            }
            Err(end) => self.string_from(self.at, end),
        }
    }

    /// The rest of a string, of which at least that much belongs to it.
    #[inline(never)]
    fn string_from(&mut self, start: usize, mut end: usize) -> Result<Raw, Failed> {
        let bytes = self.text.as_bytes();
        loop {
            let rest = bytes.get(end..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'"', rest) else {
                return Err(self.fault("a string does not end"));
            };
            end += found;
            self.at = end + 1;
            // Quotes are rare in strings, backslashes are not: look back from the quotes.
            let inside = bytes.get(start..end).unwrap_or_default();
            let backslashes = inside.iter().rev().take_while(|b| **b == b'\\').count();
            if backslashes % 2 == 0 {
                let is_escaped = memchr::memchr(b'\\', inside).is_some();
                return Ok(Raw::new(start, end, is_escaped));
            }
            end += 1;
        }
    }

    /// A value, or the bracket that it begins with.
    pub(super) fn value(&mut self) -> Result<Token, Failed> {
        let first = self.peek();
        match first {
            b'"' => {
                self.at += 1;
                return self.string().map(Token::String);
            }
            b'{' | b'[' => {
                self.at += 1;
                return Ok(if first == b'{' {
                    Token::Object
                } else {
                    Token::Array
                });
            }
            _ => {}
        }
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E') {
                break;
            }
            self.at += 1;
        }
        let word = bytes.get(start..self.at).unwrap_or_default();
        let is_number = matches!(first, b'-' | b'0'..=b'9')
            && !word.iter().any(|b| matches!(b, b'a'..=b'd' | b'f'..=b'z'));
        if is_number || matches!(word, b"true" | b"false" | b"null") {
            Ok(Token::Bare(Raw::new(start, self.at, false)))
        } else {
            self.at = start;
            Err(self.fault("a value is missing"))
        }
    }

    /// Steps over a value, however deep.
    pub(super) fn skip(&mut self) -> Result<(), Failed> {
        if !matches!(self.value()?, Token::Object | Token::Array) {
            return Ok(());
        }
        let bytes = self.text.as_bytes();
        let mut depth = 1_usize;
        while depth > 0 {
            let Some(byte) = bytes.get(self.at) else {
                return Err(self.fault("a bracket is not closed"));
            };
            self.at += 1;
            match byte {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// A string or a whole number right behind so many bytes, if that is what follows there; steps
    /// over all of it. Otherwise only over those bytes.
    #[inline(always)]
    pub(super) fn quick(&mut self, pass: usize) -> Option<(Raw, Kind)> {
        let (bytes, at) = (self.text.as_bytes(), self.at + pass);
        self.at = at;
        let found = match bytes.get(at)? {
            b'"' => {
                let raw = match short(bytes, at + 1) {
                    Ok(raw) => raw,
                    Err(end) => match self.string_from(at + 1, end) {
                        Ok(raw) => raw,
                        // Who takes the value in the plain way says so.
                        Err(Failed) => {
                            self.at = at;
                            return None;
                        }
                    },
                };
                self.at = raw.end() + 1;
                (raw, Kind::Text)
            }
            b'0'..=b'9' => {
                let end = at + Block::at(bytes, at)?.digits();
                if !matches!(bytes.get(end), Some(b',' | b'}' | b']')) {
                    return None;
                }
                self.at = end;
                (Raw::new(at, end, false), Kind::Number)
            }
            _ => return None,
        };
        Some(found)
    }

    /// Whether a comma is next; steps over it.
    #[inline(always)]
    pub(super) fn comma(&mut self) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&b',');
        self.at += usize::from(is_next);
        is_next
    }

    /// Behind a value: whether another one follows.
    #[inline]
    pub(super) fn goes_on(&mut self, end: u8) -> Result<bool, Failed> {
        if self.take(b',') {
            Ok(true)
        } else if self.take(end) {
            Ok(false)
        } else {
            Err(self.fault("a comma or a bracket is missing"))
        }
    }
}

/// A string that begins there, behind its quote, and ends soon: most do, and cost less here than in
/// what is made for long ones. Otherwise how far it goes at least.
#[inline(always)]
fn short(bytes: &[u8], start: usize) -> Result<Raw, usize> {
    let (mut at, mut is_escaped) = (start, false);
    for _ in 0..SHORT {
        // Two at once: how many a string takes cannot be foreseen, and each wrong guess of the
        // processor costs more than a block.
        let (Some(one), Some(two)) = (Block::at(bytes, at), Block::at(bytes, at + WIDE)) else {
            break;
        };
        let quotes = one.marks(b'"') | two.marks(b'"') << WIDE;
        let backslashes = one.marks(b'\\') | two.marks(b'\\') << WIDE;
        if quotes != 0 {
            let end = at + quotes.trailing_zeros() as usize;
            // Those before the first quote.
            is_escaped |= backslashes & (quotes - 1) & !quotes != 0;
            return match is_escaped && bytes.get(end - 1) == Some(&b'\\') {
                true => Err(end),
                false => Ok(Raw::new(start, end, is_escaped)),
            };
        }
        is_escaped |= backslashes != 0;
        at += 2 * WIDE;
    }
    Err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_string_ends_at_its_first_quote_without_a_backslash(
            text in "([a#!\\[\u{80}-\u{7ff}]|\\\\.){0,90}",
            after in "[\"\\\\ab]{0,40}",
        ) {
            let (whole, len) = (format!("{text}\"{after}"), text.len());
            let mut scan = Scanner::new(&whole);
            let raw = scan.string().expect("it ends");
            proptest::prop_assert_eq!((raw.start(), raw.len()), (0, len));
            proptest::prop_assert_eq!(raw.is_escaped(), text.contains('\\'));
            proptest::prop_assert_eq!(scan.at, len + 1);
            proptest::prop_assert!(Scanner::new(&text).string().is_err());
        }
    }
}
