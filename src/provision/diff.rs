//! What differs between two JSON texts that mean the same thing to a server: it gives numbers and
//! flags back as texts, adds what it takes as default, and orders lists of words anew. Asks nothing.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// One value that is or would be another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where, keys with dots between.
    pub path: String,
    /// What is there; none: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What would be; none: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Whether all that we say is said there too, whatever else is.
pub(super) fn holds(theirs: &Value, ours: &Value) -> bool {
    changes(theirs, ours).is_empty()
}

/// What is to change there so that all that we say is said. What only they say is theirs.
pub(super) fn changes(theirs: &Value, ours: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk("", Some(theirs), ours, &mut changes);
    changes
}

fn walk(path: &str, theirs: Option<&Value>, ours: &Value, changes: &mut Vec<Change>) {
    // Which Picket made it is no difference by itself.
    if path == "_meta.version" {
        return;
    }
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (theirs, ours) {
        (Some(Value::Object(theirs)), Value::Object(ours)) => {
            for (key, value) in ours {
                walk(&below(key), theirs.get(key), value, changes);
            }
        }
        (None, Value::Object(ours)) if !ours.is_empty() => {
            for (key, value) in ours {
                walk(&below(key), None, value, changes);
            }
        }
        // What is empty need not be said.
        (None, Value::Object(_)) => {}
        (None, Value::Array(ours)) if ours.is_empty() => {}
        (Some(Value::Array(before)), Value::Array(after)) if same_list(before, after) => {}
        (Some(theirs), ours) if plain(theirs).is_some() && plain(theirs) == plain(ours) => {}
        (theirs, ours) => changes.push(Change {
            path: path.to_owned(),
            before: theirs.cloned(),
            after: Some(ours.clone()),
        }),
    }
}

fn same_list(theirs: &[Value], ours: &[Value]) -> bool {
    let words = |list: &[Value]| list.iter().map(plain).collect::<Option<BTreeSet<_>>>();
    match (words(theirs), words(ours)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(t, o)| holds(t, o)),
    }
}

/// A value as a setting writes it; none: it has parts.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// A digest that does not depend on the order of keys.
pub(super) fn digest(value: &Value) -> String {
    let mut hash = Sha256::new();
    feed(value, &mut hash);
    hex(&hash.finalize()[..16])
}

fn feed(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            hash.update(b"{");
            for key in keys {
                feed(&Value::String(key.clone()), hash);
                feed(&map[key], hash);
            }
            hash.update(b"}");
        }
        Value::Array(list) => {
            hash.update(b"[");
            list.iter().for_each(|value| feed(value, hash));
            hash.update(b"]");
        }
        value => {
            let text = value.to_string();
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_writes_otherwise_is_the_same() {
        let ours = json!({ "settings": { "index": { "number_of_shards": 1, "hidden": true } },
            "index_patterns": ["b", "a"], "dynamic": false, "empty": {}, "none": [],
            "list": [{ "a": 1 }], "_meta": { "version": "2" } });
        let theirs = json!({ "settings": { "index": { "number_of_shards": "1", "hidden": "true" } },
            "index_patterns": ["a", "b"], "dynamic": "false", "more": 1,
            "list": [{ "a": "1", "default": true }], "_meta": { "version": "1" } });
        assert_eq!(changes(&theirs, &ours), []);
    }

    #[test]
    fn each_value_that_differs_is_named() {
        let theirs = json!({ "a": { "b": 1 }, "list": [1, 2], "gone": {} });
        let ours = json!({ "a": { "b": 2, "c": { "d": true } }, "list": [1], "gone": { "x": 1 } });
        let paths: Vec<_> = changes(&theirs, &ours)
            .into_iter()
            .map(|c| c.path)
            .collect();
        assert_eq!(paths, ["a.b", "a.c.d", "list", "gone.x"]);
    }

    #[test]
    fn a_digest_is_of_what_is_said_in_whatever_order() {
        let one = serde_json::from_str(r#"{"a":1,"b":[1,2]}"#).unwrap();
        let other = serde_json::from_str(r#"{"b":[1,2],"a":1}"#).unwrap();
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&json!({ "a": 1, "b": [2, 1] })));
        assert_ne!(digest(&json!(["1"])), digest(&json!([1])));
    }
}
