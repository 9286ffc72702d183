//! Reads a query string into a [`Query`]: how its parts are joined. Bounded in length, depth and
//! number of parts.

use super::Query;
use crate::store::{StoreError, StoreErrorKind};

/// The longest query in bytes.
const MAX_LENGTH: usize = 16_384;
/// How deep brackets and NOTs may be nested.
const MAX_DEPTH: usize = 32;
/// How many words, values and ranges there may be.
const MAX_PARTS: usize = 256;

/// Reads a query string. Empty: everything.
///
/// # Errors
/// `BadRequest`, with the position and what is missing there.
pub(in crate::store) fn parse(text: &str) -> Result<Query, StoreError> {
    if text.len() > MAX_LENGTH {
        return Err(StoreError::new(
            StoreErrorKind::BadRequest,
            format!("the query is longer than {MAX_LENGTH} bytes; shorten it"),
        ));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        parts: 0,
    };
    parser.space();
    if parser.rest().is_empty() {
        return Ok(Query::All);
    }
    let query = parser.any(None)?;
    if parser.rest().is_empty() {
        Ok(query)
    } else {
        Err(parser.wrong("unexpected `)`; remove it or open a bracket before"))
    }
}

pub(super) struct Parser<'t> {
    text: &'t str,
    pub(super) at: usize,
    depth: usize,
    parts: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn wrong(&self, what: &str) -> StoreError {
        let position = self.text.get(..self.at).map_or(0, |t| t.chars().count()) + 1;
        StoreError::new(
            StoreErrorKind::BadRequest,
            format!("cannot read the query at character {position}: {what}"),
        )
    }

    pub(super) fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Passes over `sign` if it stands here.
    pub(super) fn take(&mut self, sign: &str) -> bool {
        let there = self.rest().starts_with(sign);
        if there {
            self.at += sign.len();
        }
        there
    }

    /// Passes over a word such as `AND`, if it stands here by itself.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let there = self.rest().strip_prefix(word).is_some_and(|after| {
            after
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || "()\"".contains(c))
        });
        if there {
            self.at += word.len();
            self.space();
        }
        there
    }

    /// `a OR b`, where `field` stands before a bracket.
    fn any(&mut self, field: Option<&str>) -> Result<Query, StoreError> {
        let mut parts = vec![self.all(field)?];
        while self.take_word("OR") || self.take("||") {
            self.space();
            parts.push(self.all(field)?);
        }
        Ok(one_or(parts, Query::Or))
    }

    /// `a AND b`, or `a b`, which means the same.
    fn all(&mut self, field: Option<&str>) -> Result<Query, StoreError> {
        let mut parts = vec![self.not(field)?];
        loop {
            let joined = self.take_word("AND") || self.take("&&");
            self.space();
            let rest = self.rest();
            let next = rest.is_empty() || rest.starts_with(')') || rest.starts_with("||");
            let at = self.at;
            let or = self.take_word("OR");
            self.at = at;
            if !joined && (next || or) {
                return Ok(one_or(parts, Query::And));
            }
            parts.push(self.not(field)?);
        }
    }

    fn not(&mut self, field: Option<&str>) -> Result<Query, StoreError> {
        if !(self.take_word("NOT") || self.take("!") || self.take("-")) {
            self.take("+");
            return self.one(field);
        }
        self.space();
        self.deeper(|parser| Ok(Query::Not(Box::new(parser.not(field)?))))
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(&format!("nested deeper than {MAX_DEPTH}; simplify it")));
        }
        let result = inner(self)?;
        self.depth -= 1;
        Ok(result)
    }

    fn one(&mut self, field: Option<&str>) -> Result<Query, StoreError> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(self.wrong(&format!(
                "more than {MAX_PARTS} parts; ask in several queries"
            )));
        }
        if self.take("(") {
            self.space();
            let inner = self.deeper(|parser| parser.any(field))?;
            if !self.take(")") {
                return Err(self.wrong("`)` is missing"));
            }
            self.space();
            return Ok(inner);
        }
        if field.is_none()
            && let Some(name) = self.field_name()
        {
            if self.rest().starts_with('(') {
                return self.one(Some(&name));
            }
            let test = self.test()?;
            self.space();
            return Ok(Query::Field(name, test));
        }
        let query = match field {
            Some(name) => Query::Field(name.to_owned(), self.test()?),
            None => self.bare()?,
        };
        self.space();
        Ok(query)
    }

    /// `name:`, if it stands here. Two colons are no field but a word such as `sekurlsa::minidump`.
    fn field_name(&mut self) -> Option<String> {
        let start = self.at;
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                ':' if name.is_empty() || self.rest()[at..].starts_with("::") => return None,
                ':' => {
                    self.at = start + at + 1;
                    return Some(name);
                }
                '\\' => name.push(chars.next()?.1),
                c if c.is_whitespace() || "()[]{}\"<>=".contains(c) => return None,
                c => name.push(c),
            }
        }
        None
    }

    fn bare(&mut self) -> Result<Query, StoreError> {
        if self.rest().starts_with('"') {
            return Ok(Query::Words(self.quoted()?));
        }
        let word = self.word()?;
        Ok(match word.glob {
            Some(glob) if glob.fits_everything() => Query::All,
            Some(glob) => Query::Anywhere(glob),
            None => Query::Words(word.text),
        })
    }
}

fn one_or(mut parts: Vec<Query>, many: fn(Vec<Query>) -> Query) -> Query {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::super::Test;
    use super::*;

    fn words(text: &str) -> Query {
        Query::Words(text.into())
    }

    fn field(name: &str, value: &str) -> Query {
        Query::Field(name.into(), Test::Equals(value.into()))
    }

    #[test]
    fn binds_not_before_and_before_or() {
        let expected = Query::Or(vec![
            words("a"),
            Query::And(vec![words("b"), Query::Not(Box::new(words("c")))]),
        ]);
        assert_eq!(parse("a OR b AND NOT c").unwrap(), expected);
        assert_eq!(parse(" a || (b -c) ").unwrap(), expected);
        assert_eq!(parse("  ").unwrap(), Query::All);
    }

    #[test]
    fn reads_fields_paths_and_colons() {
        assert_eq!(
            parse(r"Image:C:\Windows\cmd.exe").unwrap(),
            field("Image", r"C:\Windows\cmd.exe")
        );
        assert_eq!(
            parse(r#"a.b:"x \"y\" \z""#).unwrap(),
            field("a.b", r#"x "y" \z"#)
        );
        assert_eq!(
            parse("sekurlsa::minidump").unwrap(),
            words("sekurlsa::minidump")
        );
        assert_eq!(parse(r"my\ field:1\*").unwrap(), field("my field", "1*"));
        assert_eq!(
            parse("EventID:(1 OR 4688)").unwrap(),
            Query::Or(vec![field("EventID", "1"), field("EventID", "4688")])
        );
    }

    #[test]
    fn reads_ranges() {
        let range = |from, to| Query::Field("n".into(), Test::Between(from, to));
        let text = String::from;
        assert_eq!(
            parse("n:[1 TO 5}").unwrap(),
            range(Bound::Included(text("1")), Bound::Excluded(text("5")))
        );
        assert_eq!(
            parse("n:{* TO \"2020-01-01 10:00\"]").unwrap(),
            range(Bound::Unbounded, Bound::Included(text("2020-01-01 10:00")))
        );
        assert_eq!(
            parse("n:>=-5").unwrap(),
            range(Bound::Included(text("-5")), Bound::Unbounded)
        );
        assert_eq!(
            parse("n:*").unwrap(),
            Query::Field("n".into(), Test::Exists)
        );
    }

    #[test]
    fn says_where_a_query_goes_wrong() {
        for (query, message) in [
            ("(a", "at character 3: `)` is missing"),
            (
                "a)",
                "at character 2: unexpected `)`; remove it or open a bracket before",
            ),
            (
                "n:[1 5]",
                "at character 6: `TO` is missing; a range is `[a TO b]`",
            ),
            ("\"abc", "at character 1: the closing `\"` is missing"),
            ("a AND", "at character 6: a word, a value or `(` is missing"),
            ("f:", "at character 3: a word, a value or `(` is missing"),
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::BadRequest);
            assert_eq!(error.message, format!("cannot read the query {message}"));
        }
        assert!(parse(&"(".repeat(10_000)).is_err());
        assert!(parse(&"NOT ".repeat(4_000)).is_err());
        assert!(parse(&"a ".repeat(8_000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in r#"[ a-c:()\[\]{}"*?\\<>=|&!+-]{0,40}|\PC{0,40}"#) {
            let _ = parse(&text);
        }
    }
}
