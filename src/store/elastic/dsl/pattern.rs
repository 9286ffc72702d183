//! Patterns over whole values, as `wildcard` and `regexp` clauses without case.
//!
//! `case_insensitive` means ASCII letters only, and OpenSearch's `wildcard` fields find nothing by
//! a `regexp` that has it; so a regexp spells out both cases of each letter.

use serde_json::{Value, json};

use crate::store::glob::{Glob, Sign};

/// The longest regexp that an index takes (`index.max_regex_length`).
const MAX_REGEXP: usize = 1_000;
/// The most signs of a value or pattern that are compared: Lucene refuses an automaton of more than
/// 1,000 states. Of a longer one the beginning is: more is found than asked for.
const MAX_SIGNS: usize = 500;

/// What is no part of a word: ASCII but letters and digits, and general punctuation. No range begins
/// with an escaped sign: Lucene 10 reads that otherwise than Lucene 8 and 9.
const GAP: &str = "\u{1}-/:-@\\[\\\\\\]\\^_`{-\u{7f}\u{2000}-\u{206f}";

/// A value that is this, without case.
pub(super) fn is(path: &str, value: &str) -> Value {
    if value.is_empty() {
        // Without case, the empty text is never found.
        return json!({"term": {path: {"value": ""}}});
    }
    match value.is_ascii() && value.len() <= MAX_SIGNS {
        true => json!({"term": {path: {"value": value, "case_insensitive": true}}}),
        false => fits(path, &value.chars().map(Sign::Char).collect()),
    }
}

/// A value that the pattern fits, without case.
pub(super) fn fits(path: &str, glob: &Glob) -> Value {
    let mut signs: Vec<Sign> = glob.signs().collect();
    if signs.len() > MAX_SIGNS {
        signs.truncate(MAX_SIGNS);
        signs.push(Sign::Any);
    }
    let ascii = |sign: &Sign| !matches!(sign, Sign::Char(char) if !char.is_ascii());
    if !signs.iter().all(ascii)
        && let Some(clause) = regexp(path, &signs.iter().map(spelt).collect::<String>())
    {
        return clause;
    }
    let simple: String = signs.iter().map(simple).collect();
    json!({"wildcard": {path: {"value": simple, "case_insensitive": true}}})
}

/// A sign in a regexp.
fn spelt(sign: &Sign) -> String {
    match sign {
        Sign::Any => ".*".into(),
        Sign::One => ".".into(),
        Sign::Char(char) => letter(*char),
    }
}

/// A sign in a `wildcard`, which has no case of letters beyond ASCII.
fn simple(sign: &Sign) -> String {
    match sign {
        Sign::Any => "*".into(),
        Sign::One => "?".into(),
        Sign::Char(char @ ('*' | '?' | '\\')) => format!("\\{char}"),
        Sign::Char(char) if !char.is_ascii() && char.is_alphabetic() => "?".into(),
        Sign::Char(char) => char.to_string(),
    }
}

/// A value in which these words stand one after the other, with no letter or digit between.
pub(super) fn has_words(path: &str, words: &[&str]) -> Value {
    let spelt = |word: &&str| word.chars().map(letter).collect::<String>();
    let spelt: Vec<String> = words.iter().map(spelt).collect();
    let spelt = spelt.join(&format!("[{GAP}]+"));
    // Too long to be spelt out: found wherever they follow each other at any distance.
    let loose = || {
        let sign = |char| match char {
            '*' => Sign::Any,
            char => Sign::Char(char),
        };
        let glob: Glob = words.join("*").chars().map(sign).collect();
        fits(path, &glob.anywhere())
    };
    regexp(path, &within(&spelt)).unwrap_or_else(loose)
}

/// A value that has a word that the pattern fits.
pub(super) fn has_word_like(path: &str, glob: &Glob) -> Option<Value> {
    let spelt = |sign| match sign {
        Sign::Any => format!("[^{GAP}]*"),
        Sign::One => format!("[^{GAP}]"),
        Sign::Char(char) => letter(char),
    };
    regexp(path, &within(&glob.signs().map(spelt).collect::<String>()))
}

/// A value that is a whole number between these. Lucene counts only so far.
pub(super) fn number(path: &str, from: i32, to: i32) -> Value {
    json!({"regexp": {path: {"value": format!("<{from}-{to}>")}}})
}

/// What stands anywhere, as words of its own.
fn within(words: &str) -> String {
    format!("(.*[{GAP}])?{words}([{GAP}].*)?")
}

fn regexp(path: &str, spelt: &str) -> Option<Value> {
    let fits = spelt.chars().count() <= MAX_REGEXP;
    fits.then(|| json!({"regexp": {path: {"value": spelt}}}))
}

/// A character that stands for itself, in either case.
fn letter(char: char) -> String {
    let one =
        |mut cases: Box<dyn Iterator<Item = char>>| cases.next().filter(|_| cases.next().is_none());
    let lower = one(Box::new(char.to_lowercase())).unwrap_or(char);
    let upper = one(Box::new(char.to_uppercase())).unwrap_or(char);
    if lower != upper {
        format!("[{lower}{upper}]")
    } else if char.is_alphanumeric() {
        char.to_string()
    } else {
        format!("\\{char}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        let sign = |char| match char {
            '*' => Sign::Any,
            '?' => Sign::One,
            char => Sign::Char(char),
        };
        pattern.chars().map(sign).collect()
    }

    #[test]
    fn patterns_are_written_without_case() {
        assert_eq!(
            fits("f", &glob(r"*\A?.exe")),
            json!({"wildcard": {"f": {"value": r"*\\a?.exe", "case_insensitive": true}}})
        );
        assert_eq!(
            fits("f", &glob("ä*")),
            json!({"regexp": {"f": {"value": "[äÄ].*"}}})
        );
        assert_eq!(is("f", "ß."), json!({"regexp": {"f": {"value": "ß\\."}}}));
        let words = has_words("f", &["a1", "b"]);
        let spelt = words["regexp"]["f"]["value"].as_str().unwrap();
        assert!(spelt.contains(&format!("[aA]1[{GAP}]+[bB](")), "{spelt}");
        let long = "x".repeat(300);
        assert!(has_words("f", &[&long]).get("wildcard").is_some());
    }
}
