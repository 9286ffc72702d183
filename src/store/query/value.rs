//! Reads what stands after a field's name in a query string: words, quoted texts and ranges.

use std::ops::Bound;

use super::Test;
use super::parse::Parser;
use crate::store::StoreError;
use crate::store::glob::Glob;

/// A word as it is written, and whether it holds a wildcard.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) glob: Option<Glob>,
}

impl Parser<'_> {
    pub(super) fn test(&mut self) -> Result<Test, StoreError> {
        let rest = self.rest();
        if rest.starts_with('"') {
            return Ok(Test::Equals(self.quoted()?));
        }
        if rest.starts_with(['[', '{']) {
            return self.range();
        }
        for (sign, inclusive, below) in [
            (">=", true, false),
            ("<=", true, true),
            (">", false, false),
            ("<", false, true),
        ] {
            if self.take(sign) {
                let end = self.end(inclusive)?;
                return Ok(if below {
                    Test::Between(Bound::Unbounded, end)
                } else {
                    Test::Between(end, Bound::Unbounded)
                });
            }
        }
        let word = self.word()?;
        Ok(match word.glob {
            Some(glob) if glob.fits_everything() => Test::Exists,
            Some(glob) => Test::Fits(glob),
            None => Test::Equals(word.text),
        })
    }

    /// `[a TO b]`; `{` and `}` leave the ends out, `*` leaves a side open.
    fn range(&mut self) -> Result<Test, StoreError> {
        let from_in = self.rest().starts_with('[');
        self.at += 1;
        self.space();
        let from = self.end(from_in)?;
        self.space();
        if !self.take_word("TO") {
            return Err(self.wrong("`TO` is missing; a range is `[a TO b]`"));
        }
        let to = self.end(true)?;
        self.space();
        let to_in = self.take("]");
        if !to_in && !self.take("}") {
            return Err(self.wrong("`]` is missing; a range is `[a TO b]`"));
        }
        let to = match to {
            Bound::Included(to) if !to_in => Bound::Excluded(to),
            to => to,
        };
        Ok(Test::Between(from, to))
    }

    fn end(&mut self, inclusive: bool) -> Result<Bound<String>, StoreError> {
        let text = if self.rest().starts_with('"') {
            self.quoted()?
        } else {
            let word = self.word()?;
            match word.glob {
                Some(glob) if glob.fits_everything() => return Ok(Bound::Unbounded),
                Some(_) => return Err(self.wrong("a range has no wildcards but a single `*`")),
                None => word.text,
            }
        };
        Ok(if inclusive {
            Bound::Included(text)
        } else {
            Bound::Excluded(text)
        })
    }

    pub(super) fn quoted(&mut self) -> Result<String, StoreError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match chars.clone().next() {
                    Some((_, next)) if next == '"' || next == '\\' => {
                        text.push(next);
                        chars.next();
                    }
                    _ => text.push('\\'),
                },
                c => text.push(c),
            }
        }
        self.at = start;
        Err(self.wrong("the closing `\"` is missing"))
    }

    /// A word up to a space or bracket. A backslash takes the meaning of the sign after it; before
    /// a letter it is itself, so that paths can be written as they are.
    pub(super) fn word(&mut self) -> Result<Word, StoreError> {
        let mut text = String::new();
        let mut glob = Glob::default();
        let mut wild = false;
        let mut chars = self.rest().char_indices().peekable();
        let mut length = self.rest().len();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => {
                    let sign = chars.next_if(|(_, c)| !c.is_alphanumeric() && *c != '_');
                    let plain = sign.map_or('\\', |(_, c)| c);
                    text.push(plain);
                    glob.push(plain);
                }
                '*' | '?' => {
                    wild = true;
                    text.push(char);
                    if char == '*' {
                        glob.push_any();
                    } else {
                        glob.push_one();
                    }
                }
                c if c.is_whitespace() || "()[]{}\"".contains(c) => {
                    length = at;
                    break;
                }
                c => {
                    text.push(c);
                    glob.push(c);
                }
            }
        }
        self.at += length;
        if text.is_empty() {
            return Err(self.wrong("a word, a value or `(` is missing"));
        }
        let glob = wild.then_some(glob);
        Ok(Word { text, glob })
    }
}
