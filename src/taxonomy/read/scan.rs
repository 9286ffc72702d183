//! Steps through the text of one JSON object: keys, values, and over what nobody asks for, at the
//! speed of `memchr`. Safe on any text: no recursion here, no allocation, never beyond its end.
//! It is no validator: what is stepped over is only counted by brackets (files are checked by the
//! input, documents of a store by the store).

use super::{Fault, MAX_SOURCE, ReadError};
use crate::taxonomy::bytes::marks;

/// A string as it stands in the source, without its quotes: where it begins, how long it is and
/// whether it may have escapes, in one word. What is handed on for each value stays in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw(u64);

const ESCAPED: u64 = 1 << 63;

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
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte) || self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    /// What follows.
    pub(super) fn rest(&self) -> &'s [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Steps over so many bytes of what follows.
    pub(super) fn pass(&mut self, len: usize) {
        self.at += len;
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
    fn string(&mut self) -> Result<Raw, Failed> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let Some(mut end) = mark(bytes, start) else {
            return Err(self.fault("a string does not end"));
        };
        if bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Raw::new(start, end, false));
        }
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
                return Ok(Raw::new(start, end, true));
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

    /// Behind a value: whether another one follows.
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

/// The first quote or backslash from there on. Most strings are short: these are looked at a word
/// at a time, which costs less than calling what is made for long ones.
fn mark(bytes: &[u8], start: usize) -> Option<usize> {
    const WORDS: usize = 3;
    let mut at = start;
    for _ in 0..WORDS {
        let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            break;
        };
        let word = u64::from_le_bytes(*word);
        let found = marks(word, b'"') | marks(word, b'\\');
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let found = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default())?;
    Some(at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_first_mark_is_found(text in "[!\"#\\[\\\\\u{80}-\u{7ff}a]{0,60}|[a\u{80}-\u{7ff}]{20,50}[\"\\\\]") {
            let expected = text.bytes().position(|byte| byte == b'"' || byte == b'\\');
            proptest::prop_assert_eq!(mark(text.as_bytes(), 0), expected);
        }
    }
}
