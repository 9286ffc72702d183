//! The part of Kibana's query language that dashboards are written in: read, asked which fields it
//! names, and turned into the query that a server is sent. Bounded in depth.
//!
//! `a: b`, `a: "b c"`, `a: (b or c)`, `a: *`, `a: *b*`, `a >= 1`, `and`, `or`, `not`, parentheses.

use serde_json::{Value, json};

/// Parentheses and `not`s nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub enum Kql {
    /// No condition.
    All,
    /// All of these.
    And(Vec<Self>),
    /// Any of these.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A field has a value: any that fits the text, in which `*` stands for anything.
    Is(String, Text),
    /// A field's value compares: `gt`, `gte`, `lt`, `lte`.
    Range(String, &'static str, String),
}

/// A value, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// What stands between wildcards; one part: no wildcard.
    parts: Vec<String>,
    quoted: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Text),
    Colon,
    Compare(&'static str),
    Open,
    Close,
    And,
    Or,
    Not,
}

/// Reads a query.
///
/// # Errors
/// What is wrong with it, as a fragment.
pub fn parse(query: &str) -> Result<Kql, String> {
    let tokens = tokens(query)?;
    if tokens.is_empty() {
        return Ok(Kql::All);
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let read = parser.either()?;
    match parser.peek() {
        None => Ok(read),
        Some(token) => Err(format!("{token:?} is not expected there")),
    }
}

impl Kql {
    /// The fields that it names.
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Self::All => Vec::new(),
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::fields).collect(),
            Self::Not(one) => one.fields(),
            Self::Is(field, _) | Self::Range(field, ..) => vec![field],
        }
    }

    /// What a server is asked.
    pub fn query(&self) -> Value {
        match self {
            Self::All => json!({ "match_all": {} }),
            Self::And(all) => {
                json!({ "bool": { "filter": all.iter().map(Self::query).collect::<Vec<_>>() } })
            }
            Self::Or(any) => {
                let any: Vec<_> = any.iter().map(Self::query).collect();
                json!({ "bool": { "should": any, "minimum_should_match": 1 } })
            }
            Self::Not(one) => json!({ "bool": { "must_not": one.query() } }),
            Self::Is(field, text) => text.query(field),
            Self::Range(field, compare, value) => {
                json!({ "range": { field.as_str(): { *compare: value } } })
            }
        }
    }
}

impl Text {
    fn query(&self, field: &str) -> Value {
        match self.parts.as_slice() {
            [text] if self.quoted => json!({ "match_phrase": { field: text } }),
            [text] => json!({ "match": { field: text } }),
            [before, after] if before.is_empty() && after.is_empty() => {
                json!({ "exists": { "field": field } })
            }
            parts => {
                let escaped: Vec<_> = parts.iter().map(|part| escape(part)).collect();
                json!({ "query_string": { "fields": [field], "query": escaped.join("*") } })
            }
        }
    }
}

/// A text for a query string, in which it stands for itself.
fn escape(text: &str) -> String {
    let special = |c: char| "+-=&|><!(){}[]^\"~*?:\\/ ".contains(c);
    let each = text.chars();
    each.flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

fn tokens(query: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, len) = match first {
            ':' => (Token::Colon, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '>' | '<' => {
                let equal = rest.get(1..2) == Some("=");
                let compare = match (first, equal) {
                    ('>', true) => "gte",
                    ('>', false) => "gt",
                    ('<', true) => "lte",
                    _ => "lt",
                };
                (Token::Compare(compare), 1 + usize::from(equal))
            }
            '"' => quoted(rest)?,
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = rest.get(len..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => {
                match c {
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'n' => value.push('\n'),
                    '"' | '\\' => value.push(c),
                    other => value.extend(['\\', other]),
                }
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                let text = Text {
                    parts: vec![value],
                    quoted: true,
                };
                return Ok((Token::Word(text), at + 1));
            }
            other => value.push(other),
        }
    }
    Err("a quotation mark is open at the end".into())
}

fn word(text: &str) -> Result<(Token, usize), String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
            continue;
        } else if c == '*' {
            parts.push(String::new());
            continue;
        } else if c.is_whitespace() || ":()<>\"".contains(c) {
            end = at;
            break;
        } else if "{}".contains(c) {
            return Err(format!("{c} is not expected there"));
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    if escaped {
        return Err("it ends with a backslash".into());
    }
    let token = match text.get(..end).unwrap_or_default().to_lowercase().as_str() {
        "and" => Token::And,
        "or" => Token::Or,
        "not" => Token::Not,
        _ => Token::Word(Text {
            parts,
            quoted: false,
        }),
    };
    Ok((token, end))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let is = self.peek() == Some(token);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self) -> Result<Text, String> {
        let Some(Token::Word(text)) = self.peek().cloned() else {
            let end = "it ends too early".to_owned();
            return Err(self
                .peek()
                .map_or(end, |t| format!("{t:?} is not expected there")));
        };
        self.at += 1;
        Ok(text)
    }

    fn either(&mut self) -> Result<Kql, String> {
        let mut any = vec![self.both()?];
        while self.take(&Token::Or) {
            any.push(self.both()?);
        }
        Ok(one_or(any, Kql::Or))
    }

    fn both(&mut self) -> Result<Kql, String> {
        let mut all = vec![self.one()?];
        while self.take(&Token::And) {
            all.push(self.one()?);
        }
        Ok(one_or(all, Kql::And))
    }

    fn one(&mut self) -> Result<Kql, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let read = if self.take(&Token::Not) {
            Kql::Not(Box::new(self.one()?))
        } else if self.take(&Token::Open) {
            let inner = self.either()?;
            if !self.take(&Token::Close) {
                return Err("a parenthesis is open at the end".into());
            }
            inner
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(read)
    }

    fn condition(&mut self) -> Result<Kql, String> {
        let [field] = <[String; 1]>::try_from(self.word()?.parts)
            .map_err(|_| "a wildcard in a field's name is not read".to_owned())?;
        if self.take(&Token::Colon) {
            if !self.take(&Token::Open) {
                return Ok(Kql::Is(field, self.word()?));
            }
            let mut any = vec![Kql::Is(field.clone(), self.word()?)];
            while self.take(&Token::Or) {
                any.push(Kql::Is(field.clone(), self.word()?));
            }
            if !self.take(&Token::Close) {
                return Err("a parenthesis is open at the end".into());
            }
            return Ok(one_or(any, Kql::Or));
        }
        let Some(Token::Compare(compare)) = self.peek().cloned() else {
            return Err(format!("`{field}` is followed by no value"));
        };
        self.at += 1;
        let value = self.word()?;
        match value.parts.as_slice() {
            [value] => Ok(Kql::Range(field, compare, value.clone())),
            _ => Err("a wildcard cannot be compared with".into()),
        }
    }
}

fn one_or(mut list: Vec<Kql>, many: fn(Vec<Kql>) -> Kql) -> Kql {
    match list.len() {
        1 => list.remove(0),
        _ => many(list),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asks(query: &str) -> Value {
        parse(query).unwrap().query()
    }

    #[test]
    fn conditions_are_asked_as_a_server_understands_them() {
        assert_eq!(asks(" "), json!({ "match_all": {} }));
        assert_eq!(
            asks("AlertLevel: 2"),
            json!({ "match": { "AlertLevel": "2" } })
        );
        assert_eq!(asks("a >= 1"), json!({ "range": { "a": { "gte": "1" } } }));
        assert_eq!(asks("a.b: *"), json!({ "exists": { "field": "a.b" } }));
        assert_eq!(
            asks(r#"a: "b \"c\" \d""#),
            json!({ "match_phrase": { "a": "b \"c\" \\d" } })
        );
        assert_eq!(
            asks(r"a: *\\cmd.exe"),
            json!({ "query_string": { "fields": ["a"], "query": "*\\\\cmd.exe" } })
        );
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        let field = |name: &str| {
            Kql::Is(
                name.into(),
                Text {
                    parts: vec!["1".into()],
                    quoted: false,
                },
            )
        };
        let expected = Kql::Or(vec![
            Kql::And(vec![Kql::Not(Box::new(field("a"))), field("b")]),
            Kql::And(vec![field("c"), Kql::Or(vec![field("d"), field("d")])]),
        ]);
        assert_eq!(
            parse("not a: 1 and b: 1 or c: 1 AND (d: (1 or 1))").unwrap(),
            expected
        );
        assert_eq!(expected.fields(), ["a", "b", "c", "d", "d"]);
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for query in [
            "a",
            "a:",
            "a: (b",
            "(a: b",
            "a: b c: d",
            "a: b or",
            "\"a",
            "a: b\\",
            "{Image}: b",
            "a*: b",
            "a > *",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
        assert!(parse(&"(".repeat(100)).unwrap_err().contains("nested"));
        assert!(parse(&"not ".repeat(100)).unwrap_err().contains("nested"));
    }

    proptest! {
        #[test]
        fn nothing_panics(query in "[a-c:()<>=\"\\\\* {}é]{0,40}") {
            let _ = parse(&query).map(|kql| kql.query());
        }
    }
}
