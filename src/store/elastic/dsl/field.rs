//! A field put to a test: at each path that may bear it, as the type there can be asked.
//!
//! Not exact, because the index does not know better:
//! - A keyword longer than its `ignore_above` has no value: only [`Test::Exists`] finds it.
//! - A text without a whole-value sub-field, or whose sub-field left a long value out, is compared
//!   by its words: a superset. So is what a value or pattern of more than 500 signs finds.
//! - Patterns do not fit numbers, dates, booleans and addresses.
//! - Numbers in keywords compare where they are whole, 0 to 2,147,483,647. Text in keywords
//!   compares with case.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::clock;
use super::{clause, pattern};
use crate::store::elastic::types::{Kind, View};
use crate::store::glob::{Glob, Sign};
use crate::store::query::Test;
use crate::store::query::range::Range;

/// The length that dynamic mappings give a keyword; longer values may be missing there.
const IGNORE_ABOVE: usize = 256;
/// How many words of a pattern are looked for, and how many letters of each: a server bounds both.
const MAX_RUNS: usize = 30;
const MAX_RUN: usize = 250;

/// The documents that have such a value at one of these paths.
pub(super) fn any(view: &View<'_>, paths: &[String], test: &Test) -> Value {
    let mut clauses = Vec::new();
    for (path, kind) in paths.iter().flat_map(|path| view.at(path)) {
        let clause = at(view, &path, kind, test);
        clauses.extend(clause.filter(|clause| !clauses.contains(clause)));
    }
    clause::or(clauses)
}

/// The documents that have such a value at that path; `None`: no value of that type can be so.
fn at(view: &View<'_>, path: &str, kind: Kind, test: &Test) -> Option<Value> {
    let exact = match kind {
        Kind::Text => view.exact(path),
        _ => None,
    };
    match test {
        Test::Exists => Some(match (kind, exact) {
            (Kind::Keyword, _) => clause::or(vec![
                clause::exists(path),
                json!({"term": {"_ignored": {"value": path}}}),
            ]),
            (_, Some(exact)) => clause::or(vec![clause::exists(path), clause::exists(&exact)]),
            _ => clause::exists(path),
        }),
        Test::Equals(value) => equals(path, kind, exact.as_deref(), value),
        Test::Fits(glob) => match (kind, exact) {
            (Kind::Keyword | Kind::Flattened, _) => Some(pattern::fits(path, glob)),
            (Kind::Text, exact) => Some(words_of(path, exact.as_deref(), glob)),
            _ => None,
        },
        Test::Between(from, to) => {
            let exact = exact.as_deref().unwrap_or(path);
            let kind = match kind {
                Kind::Text if exact != path => Kind::Keyword,
                kind => kind,
            };
            between(exact, kind, from, to)
        }
    }
}

fn equals(path: &str, kind: Kind, exact: Option<&str>, value: &str) -> Option<Value> {
    let lenient = |value: &str| json!({"match": {path: {"query": value, "lenient": true}}});
    let phrase = || json!({"match_phrase": {path: {"query": value}}});
    match (kind, exact) {
        (Kind::Keyword | Kind::Flattened, _) => Some(pattern::is(path, value)),
        (Kind::Text, None) => Some(phrase()),
        (Kind::Text, Some(exact)) => {
            let mut clauses = vec![pattern::is(exact, value)];
            if value.len() >= IGNORE_ABOVE {
                clauses.push(clause::but(phrase(), vec![clause::exists(exact)]));
            }
            Some(clause::or(clauses))
        }
        (Kind::Number, _) => value.parse::<f64>().is_ok().then(|| lenient(value)),
        (Kind::Bool, _) => {
            let value = value.to_ascii_lowercase();
            matches!(value.as_str(), "true" | "false").then(|| lenient(&value))
        }
        (Kind::Date | Kind::Ip | Kind::Other, _) => (!value.is_empty()).then(|| lenient(value)),
    }
}

/// A text that a pattern fits: by its whole value, or by its words where that is not kept.
pub(super) fn words_of(path: &str, exact: Option<&str>, glob: &Glob) -> Value {
    let words = clause::and(
        runs(glob)
            .iter()
            .map(|run| {
                json!({"wildcard": {path: {"value": format!("*{run}*"), "case_insensitive": true}}})
            })
            .chain([clause::exists(path)])
            .collect(),
    );
    match exact {
        None => words,
        Some(exact) => clause::or(vec![
            pattern::fits(exact, glob),
            clause::but(words, vec![clause::exists(exact)]),
        ]),
    }
}

/// Runs of ASCII letters and digits in a pattern: each stands within one word of a text that fits.
fn runs(glob: &Glob) -> BTreeSet<String> {
    let plain = |sign| match sign {
        Sign::Char(char) if char.is_ascii_alphanumeric() => char,
        _ => ' ',
    };
    let text: String = glob.signs().map(plain).collect();
    let run = |run: &str| run.get(..MAX_RUN).unwrap_or(run).to_owned();
    let runs: BTreeSet<String> = text.split_whitespace().map(run).collect();
    runs.into_iter().take(MAX_RUNS).collect()
}

fn between(path: &str, kind: Kind, from: &Bound<String>, to: &Bound<String>) -> Option<Value> {
    match (Range::new(from, to), kind) {
        (Range::Number(from, to), Kind::Number) => Some(range(path, &from, &to)),
        (Range::Number(from, to), Kind::Keyword) => {
            let (from, to) = whole(from, to)?;
            Some(pattern::number(path, from, to))
        }
        (Range::Time(from, to), Kind::Date) => Some(dates(path, &from, &to)),
        (Range::Time(from, to), Kind::Keyword) => {
            let from = match from {
                Bound::Included(from) => Some(from),
                Bound::Excluded(from) => Some(from.saturating_add(1)),
                Bound::Unbounded => None,
            };
            let to = match to {
                Bound::Included(to) => Some(to),
                Bound::Excluded(to) => Some(to.saturating_sub(1)),
                Bound::Unbounded => None,
            };
            Some(clock::written(path, from, to))
        }
        (Range::Text(..), Kind::Keyword | Kind::Flattened) => Some(range(path, from, to)),
        (Range::Text(..), Kind::Ip) => {
            let address = |end: &Bound<String>| match end {
                Bound::Included(text) | Bound::Excluded(text) => text.parse::<IpAddr>().is_ok(),
                Bound::Unbounded => true,
            };
            (address(from) && address(to)).then(|| range(path, from, to))
        }
        _ => None,
    }
}

fn dates(path: &str, from: &Bound<i64>, to: &Bound<i64>) -> Value {
    let mut clause = range(path, from, to);
    clause["range"][path]["format"] = "epoch_millis".into();
    clause
}

fn range<T: Clone + Into<Value>>(path: &str, from: &Bound<T>, to: &Bound<T>) -> Value {
    let mut ends = Map::new();
    for (end, included, excluded) in [(from, "gte", "gt"), (to, "lte", "lt")] {
        match end {
            Bound::Included(end) => ends.insert(included.to_owned(), end.clone().into()),
            Bound::Excluded(end) => ends.insert(excluded.to_owned(), end.clone().into()),
            Bound::Unbounded => None,
        };
    }
    json!({"range": {path: ends}})
}

/// The whole numbers from 0 between these ends, as far as a keyword can be asked; `None`: none.
#[expect(clippy::cast_possible_truncation, reason = "bounded before")]
fn whole(from: Bound<f64>, to: Bound<f64>) -> Option<(i32, i32)> {
    let most = f64::from(i32::MAX);
    let from = match from {
        Bound::Included(from) => from.ceil(),
        Bound::Excluded(from) => from.floor() + 1.0,
        Bound::Unbounded => 0.0,
    };
    let to = match to {
        Bound::Included(to) => to.floor(),
        Bound::Excluded(to) => to.ceil() - 1.0,
        Bound::Unbounded => most,
    };
    let (from, to) = (from.max(0.0), to.min(most));
    (from <= to).then_some((from as i32, to as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::elastic::types::tests::sample;
    use crate::store::query::{Query, parse};

    fn clause(text: &str) -> Value {
        let types = sample();
        let Query::Field(name, test) = parse(text).unwrap() else {
            panic!("{text}");
        };
        any(&types.views(None, &[])[0], &[name], &test)
    }

    #[test]
    fn each_type_is_asked_in_its_own_way() {
        let ci = |path: &str, value: &str| json!({"term": {path: {"value": value, "case_insensitive": true}}});
        assert_eq!(clause("host.name:WS5"), ci("host.name", "WS5"));
        assert_eq!(clause("Command:ver"), ci("command.keyword", "ver"));
        assert_eq!(clause("flat.x:y"), ci("flat.x", "y"));
        assert_eq!(
            clause("message:\"a b\""),
            json!({"match_phrase": {"message": {"query": "a b"}}})
        );
        assert_eq!(
            clause("eventid:1"),
            json!({"match": {"EventID": {"query": "1", "lenient": true}}})
        );
        assert_eq!(clause("EventID:x"), clause::none());
        assert_eq!(clause("EventID:1*"), clause::none());
        assert_eq!(
            clause("winlog.event_id:>4"),
            json!({"regexp": {"winlog.event_id": {"value": "<5-2147483647>"}}})
        );
        assert_eq!(
            clause("EventID:{1 TO 5]"),
            json!({"range": {"EventID": {"gt": 1.0, "lte": 5.0}}})
        );
        assert_eq!(
            clause("source.ip:[10.0.0.1 TO *]"),
            json!({"range": {"source.ip": {"gte": "10.0.0.1"}}})
        );
        assert_eq!(clause("nosuchfield:*"), clause::none());
    }

    #[test]
    fn values_that_a_keyword_leaves_out_are_found_by_their_words() {
        let found = clause(r"command:*\\Mimi*.exe").to_string();
        assert!(
            found.contains(r#""wildcard":{"command":{"value":"*mimi*""#),
            "{found}"
        );
        assert!(found.contains(r#""must_not":[{"exists":{"field":"command.keyword"}}]"#));
        assert!(!clause("command:ver").to_string().contains("match_phrase"));
        let long = format!("command:{}", "x".repeat(300));
        assert!(clause(&long).to_string().contains("match_phrase"));
    }
}
