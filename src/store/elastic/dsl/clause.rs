//! Query clauses that put others together. Nothing here knows a field.

use serde_json::{Value, json};

/// Every document.
pub(super) fn all() -> Value {
    json!({"match_all": {}})
}

/// No document.
pub(super) fn none() -> Value {
    json!({"match_none": {}})
}

/// All of these.
pub(super) fn and(mut clauses: Vec<Value>) -> Value {
    match clauses.len() {
        0 => all(),
        1 => clauses.remove(0),
        _ => json!({"bool": {"filter": clauses}}),
    }
}

/// At least one of these.
pub(super) fn or(mut clauses: Vec<Value>) -> Value {
    match clauses.len() {
        0 => none(),
        1 => clauses.remove(0),
        _ => json!({"bool": {"should": clauses, "minimum_should_match": 1}}),
    }
}

/// Not this.
pub(super) fn not(clause: Value) -> Value {
    json!({"bool": {"must_not": [clause]}})
}

/// This, and none of those.
pub(super) fn but(clause: Value, not: Vec<Value>) -> Value {
    match not.len() {
        0 => clause,
        _ => json!({"bool": {"filter": [clause], "must_not": not}}),
    }
}

/// A path has a value that the index knows.
pub(super) fn exists(path: &str) -> Value {
    json!({"exists": {"field": path}})
}
