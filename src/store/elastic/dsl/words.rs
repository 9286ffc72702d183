//! Bare words and phrases: what stands anywhere in a document.
//!
//! They are looked for in two ways. `multi_match` of a phrase goes over all fields: it finds words
//! of texts, and whole values of all others. Where commands and paths stand ([`PROSE`]) a pattern
//! also finds them within keywords, and within words of a text: the standard analyzer keeps
//! `mimikatz.exe` as one word, which `mimikatz` alone would not find. Over all keywords of a
//! document that would read every value that the index has.
//!
//! Not found, therefore: words within keywords elsewhere, and within values that a keyword's
//! `ignore_above` leaves out.

use serde_json::{Value, json};

use super::{clause, field, pattern};
use crate::store::elastic::types::{Kind, View};
use crate::store::glob::Glob;
use crate::taxonomy::paths;

/// The Sigma fields within whose values words are looked for.
const PROSE: [&str; 22] = [
    "CommandLine",
    "ParentCommandLine",
    "Image",
    "ParentImage",
    "OriginalFileName",
    "ScriptBlockText",
    "Payload",
    "ContextInfo",
    "Message",
    "Data",
    "User",
    "TargetUserName",
    "TargetFilename",
    "TargetObject",
    "Details",
    "ImageLoaded",
    "ImagePath",
    "ServiceName",
    "TaskName",
    "PipeName",
    "QueryName",
    "DestinationHostname",
];

/// How many fields one `multi_match` names; OpenSearch refuses more than 1,024.
const MAX_FIELDS: usize = 1_000;

/// The paths within whose values words are looked for.
pub(super) fn prose() -> Vec<String> {
    let mut all: Vec<String> = PROSE.iter().flat_map(|name| paths(name)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// These words one after the other, in any value.
pub(super) fn phrase(view: &View<'_>, text: &str) -> Value {
    let words: Vec<&str> = text
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return clause::none();
    }
    let mut clauses = vec![json!({"multi_match": {
        "query": text, "type": "phrase", "fields": fields(view), "lenient": true,
    }})];
    for (path, kind) in prose().iter().flat_map(|path| view.at(path)) {
        match kind {
            Kind::Keyword => clauses.push(pattern::has_words(&path, &words)),
            Kind::Text => {
                let exact = view.exact(&path);
                clauses.extend(exact.map(|exact| pattern::has_words(&exact, &words)));
                if words.len() == 1 {
                    clauses.push(pattern::has_words(&path, &words));
                }
            }
            _ => {}
        }
    }
    clause::or(clauses)
}

/// A value that holds this: a word that it fits, or if it is more than a word, any part.
pub(super) fn like(view: &View<'_>, glob: &Glob) -> Value {
    let anywhere = glob.clone().anywhere();
    let part = |path: &str| match glob.is_one_word() {
        true => pattern::has_word_like(path, glob),
        false => None,
    };
    let part = |path: &str| part(path).unwrap_or_else(|| pattern::fits(path, &anywhere));
    let mut clauses = Vec::new();
    for (path, kind) in prose().iter().flat_map(|path| view.at(path)) {
        match kind {
            Kind::Keyword => clauses.push(part(&path)),
            Kind::Text if glob.is_one_word() => {
                clauses.extend(view.exact(&path).map(|exact| part(&exact)));
                clauses.push(part(&path));
            }
            Kind::Text => {
                clauses.push(field::words_of(
                    &path,
                    view.exact(&path).as_deref(),
                    &anywhere,
                ));
            }
            _ => {}
        }
    }
    clause::or(clauses)
}

/// The fields for `multi_match`: all, or if they are too many, texts first.
fn fields<'t>(view: &View<'t>) -> Vec<&'t str> {
    if view.len() <= MAX_FIELDS {
        return vec!["*"];
    }
    let rank = |kind: &Kind| match kind {
        Kind::Text => 0,
        Kind::Keyword => 1,
        _ => 2,
    };
    let mut all: Vec<(&str, Kind)> = view.all().collect();
    all.sort_by_key(|(_, kind)| rank(kind));
    all.into_iter()
        .map(|(path, _)| path)
        .take(MAX_FIELDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::elastic::types::tests::sample;
    use crate::store::query::{Query, parse};

    #[test]
    fn words_are_looked_for_within_commands() {
        let types = sample();
        let view = &types.views(None, &[])[0];
        let found = phrase(view, "mimikatz").to_string();
        for expected in [
            r#""fields":["*"]"#,
            r#"{"regexp":{"command":"#,
            r#""command.keyword":"#,
        ] {
            assert!(found.contains(expected), "{expected} {found}");
        }
        assert!(
            !phrase(view, "net user")
                .to_string()
                .contains(r#"{"command":"#)
        );
        assert_eq!(phrase(view, "::"), clause::none());
        let Query::Anywhere(part) = parse(r"*\\mimi*").unwrap() else {
            panic!();
        };
        let found = like(view, &part).to_string();
        assert!(found.contains(r#""value":"**\\\\mimi**""#), "{found}");
    }
}
