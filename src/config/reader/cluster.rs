//! Reads `store.elastic` of `picket.yml`. Takes the places where secrets are kept, never a secret.

use std::time::Duration;

use super::Reader;
use crate::config::{Cluster, Secret};
use crate::rule::yaml::{Node, Value};

const KEYS: [&str; 10] = [
    "url",
    "api_key_file",
    "api_key_env",
    "username",
    "password_file",
    "password_env",
    "ca",
    "fingerprint",
    "gzip",
    "timeout",
];

/// The cluster; `None` where it has no address or its login makes no sense.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Cluster> {
    let mut cluster = Cluster::default();
    for entry in reader.map(node, "store.elastic", &KEYS) {
        let (key, node) = (entry.key.as_str(), &entry.value);
        match key {
            "url" => {
                for item in node.items() {
                    cluster.urls.extend(reader.text(item, "url"));
                }
            }
            "api_key_file" => cluster.api_key = reader.path(node, key).map(Secret::File),
            "api_key_env" => cluster.api_key = reader.text(node, key).map(Secret::Env),
            "username" => cluster.username = reader.text(node, key),
            "password_file" => cluster.password = reader.path(node, key).map(Secret::File),
            "password_env" => cluster.password = reader.text(node, key).map(Secret::Env),
            "ca" => cluster.ca = reader.path(node, key),
            "fingerprint" => cluster.fingerprint = reader.text(node, key),
            "gzip" => cluster.gzip = flag(reader, node),
            _ => cluster.timeout = timeout(reader, node).unwrap_or(cluster.timeout),
        }
    }
    let mut complete = true;
    let mut lacks = |message: &str, help: &str| {
        reader.problem(node.line, message.into(), Some(help));
        complete = false;
    };
    if cluster.urls.is_empty() {
        lacks(
            "`store.elastic` needs a `url`",
            "such as `{ url: \"https://127.0.0.1:9200\" }`",
        );
    }
    if cluster.api_key.is_some() && cluster.username.is_some() {
        lacks("both an API key and a user", "keep one of them");
    }
    if cluster.username.is_some() != cluster.password.is_some() {
        lacks(
            "`username` and a password belong together",
            "name `username` and `password_file` (or `password_env`)",
        );
    }
    complete.then_some(cluster)
}

fn flag(reader: &mut Reader<'_>, node: &Node) -> bool {
    match &node.value {
        Value::Bool(flag) => *flag,
        _ => {
            reader.problem(node.line, "`gzip` must be true or false".into(), None);
            false
        }
    }
}

fn timeout(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let text = reader.text(node, "timeout")?;
    let span = crate::config::span(&text).filter(|span| !span.is_zero());
    if span.is_none() {
        let message = format!("`{text}` is no time to wait");
        reader.problem(node.line, message, Some("such as `60s`"));
    }
    span
}
