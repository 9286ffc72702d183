//! How text is taken apart into words. A document's values stand in one text, a NUL between them,
//! so that a document costs one pass; a phrase never reaches from one value into the next.

use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

/// The tokenizer's name in the schema.
pub(super) const NAME: &str = "words";

/// Between two values.
const BETWEEN: char = '\0';

/// Longer words are not looked for one by one; the value that holds them still is.
const MAX_WORD: usize = 256;

/// Adds a value to the text of a document.
pub(super) fn push(value: &str, text: &mut String) {
    if memchr::memchr(0, value.as_bytes()).is_none() {
        text.push_str(value);
    } else {
        // No part of a word either way.
        text.extend(value.chars().map(|c| if c == BETWEEN { ' ' } else { c }));
    }
    text.push(BETWEEN);
}

/// Runs of letters and digits, in lower case.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::from(Words::default())
}

/// See [`analyzer`].
#[derive(Clone, Debug, Default)]
struct Words {
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        self.token.reset();
        Stream {
            text,
            at: 0,
            token: &mut self.token,
        }
    }
}

struct Stream<'a> {
    text: &'a str,
    /// How far it is read, in bytes.
    at: usize,
    token: &'a mut Token,
}

impl Stream<'_> {
    /// The character that stands next, and its length. Most are ASCII, which needs no decoding.
    fn peek(&self) -> Option<(char, usize)> {
        match self.text.as_bytes().get(self.at) {
            Some(byte) if byte.is_ascii() => Some((char::from(*byte), 1)),
            _ => {
                let char = self.text.get(self.at..)?.chars().next()?;
                Some((char, char.len_utf8()))
            }
        }
    }
}

impl TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        self.token.position = self.token.position.wrapping_add(1);
        while let Some((char, length)) = self.peek() {
            if !char.is_alphanumeric() {
                // One position is left out between two values.
                self.token.position = self
                    .token
                    .position
                    .wrapping_add(usize::from(char == BETWEEN));
                self.at += length;
                continue;
            }
            let start = self.at;
            while let Some((_, length)) = self.peek().filter(|(c, _)| c.is_alphanumeric()) {
                self.at += length;
            }
            let word = self.text.get(start..self.at).unwrap_or_default();
            if word.len() >= MAX_WORD {
                self.token.position = self.token.position.wrapping_add(1);
                continue;
            }
            self.token.offset_from = start;
            self.token.offset_to = self.at;
            self.token.text.clear();
            super::schema::push_lower(word, &mut self.token.text);
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use tantivy::tokenizer::{LowerCaser, RemoveLongFilter, SimpleTokenizer};

    use super::*;

    fn words(mut analyzer: TextAnalyzer, text: &str) -> Vec<(usize, String)> {
        let mut words = Vec::new();
        let mut stream = analyzer.token_stream(text);
        stream.process(&mut |token| words.push((token.position, token.text.clone())));
        words
    }

    #[test]
    fn values_stand_apart() {
        let mut text = String::new();
        push("Net user", &mut text);
        push("a\0B", &mut text);
        let found = words(analyzer(), &text);
        let expected = [(0, "net"), (1, "user"), (3, "a"), (4, "b")];
        assert_eq!(found, expected.map(|(at, word)| (at, word.to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_tantivys_own(text in r"[ -~]{0,30}[a-zÄßİ]{0,2}\PC{0,10}a{250,260}?.{0,5}") {
            let text = text.replace('\0', " ");
            let own = TextAnalyzer::builder(SimpleTokenizer::default())
                .filter(RemoveLongFilter::limit(MAX_WORD))
                .filter(LowerCaser)
                .build();
            proptest::prop_assert_eq!(words(analyzer(), &text), words(own, &text));
        }
    }
}
