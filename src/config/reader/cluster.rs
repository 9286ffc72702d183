//! Reads `store.elastic` and `kibana` of `picket.yml`. Takes the places where secrets are kept, never a secret.

use std::time::Duration;

use super::Reader;
use crate::config::{Cluster, Kibana, Secret};
use crate::rule::yaml::{Node, Value};

const KEYS: [&str; 11] = [
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
    "lease",
];

const KIBANA_KEYS: [&str; 10] = [
    "url",
    "space",
    "api_key_file",
    "api_key_env",
    "username",
    "password_file",
    "password_env",
    "ca",
    "fingerprint",
    "timeout",
];

/// The cluster; `None` where it has no address or its login makes no sense.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Cluster> {
    let mut cluster = Cluster::default();
    for entry in reader.map(node, "store.elastic", &KEYS) {
        let (key, node) = (entry.key.as_str(), &entry.value);
        match key {
            "gzip" => cluster.gzip = flag(reader, node),
            "lease" => cluster.lease = span(reader, node, key).unwrap_or(cluster.lease),
            _ => connection(reader, &mut cluster, key, node),
        }
    }
    let example = "such as `{ url: \"https://127.0.0.1:9200\" }`";
    is_complete(reader, node, "store.elastic", example, &cluster).then_some(cluster)
}

/// Kibana or OpenSearch Dashboards, likewise.
pub(super) fn kibana(reader: &mut Reader<'_>, node: &Node) -> Option<Kibana> {
    let mut kibana = Kibana::default();
    for entry in reader.map(node, "kibana", &KIBANA_KEYS) {
        match entry.key.as_str() {
            "space" => kibana.space = space(reader, &entry.value),
            key => connection(reader, &mut kibana.connection, key, &entry.value),
        }
    }
    let example = "such as `{ url: \"http://127.0.0.1:5601\" }`";
    is_complete(reader, node, "kibana", example, &kibana.connection).then_some(kibana)
}

fn connection(reader: &mut Reader<'_>, cluster: &mut Cluster, key: &str, node: &Node) {
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
        _ => cluster.timeout = span(reader, node, key).unwrap_or(cluster.timeout),
    }
}

fn is_complete(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    example: &str,
    cluster: &Cluster,
) -> bool {
    let mut complete = true;
    let mut lacks = |message: &str, help: &str| {
        reader.problem(node.line, message.into(), Some(help));
        complete = false;
    };
    if cluster.urls.is_empty() {
        lacks(&format!("`{what}` needs a `url`"), example);
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
    complete
}

/// The id of a space, as it stands in Kibana's addresses.
fn space(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "space")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if !text.chars().all(fits) {
        let message = format!("`{text}` is no id of a space");
        let help = "small letters, digits, - and _, as in Kibana's address after /s/";
        reader.problem(node.line, message, Some(help));
        return None;
    }
    Some(text)
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

/// A span of time that is not nothing.
fn span(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Duration> {
    let text = reader.text(node, key)?;
    let span = crate::config::span(&text).filter(|span| !span.is_zero());
    if span.is_none() {
        let message = format!("`{text}` is no `{key}`");
        reader.problem(node.line, message, Some("a span such as `60s` or `5m`"));
    }
    span
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{CLUSTER_SOURCES, Config};

    fn of(elastic: &str) -> (Config, Vec<String>) {
        let text = format!("store:\n  elastic: {{ {elastic} }}\n");
        let (config, problems) = Config::read(&text, Path::new("/etc/picket/picket.yml"));
        (config, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_address_is_enough() {
        let (config, problems) = of(r#"url: "https://es:9200""#);
        assert_eq!(problems, [""; 0]);
        let cluster = config.cluster.unwrap();
        assert_eq!(cluster.urls, ["https://es:9200"]);
        assert_eq!(cluster.timeout, Duration::from_secs(60));
        assert_eq!(cluster.lease, Duration::from_secs(60));
        assert!(cluster.api_key.is_none() && cluster.username.is_none() && !cluster.gzip);
        // Not `*`: a cluster holds much else.
        assert_eq!(config.sources[0].index.0, CLUSTER_SOURCES);
        assert_eq!(config.sweeps[0].sources.0, CLUSTER_SOURCES);
    }

    #[test]
    fn every_key_is_understood() {
        let (config, problems) = of(
            r#"url: ["https://a:9200", "https://b:9200"], username: picket, password_file: pw,
               ca: ca.pem, fingerprint: "aa:bb", gzip: true, timeout: 2m, lease: 15s"#,
        );
        assert_eq!(problems, [""; 0]);
        let expected = Cluster {
            urls: vec!["https://a:9200".into(), "https://b:9200".into()],
            api_key: None,
            username: Some("picket".into()),
            password: Some(Secret::File("/etc/picket/pw".into())),
            ca: Some(PathBuf::from("/etc/picket/ca.pem")),
            fingerprint: Some("aa:bb".into()),
            gzip: true,
            timeout: Duration::from_secs(120),
            lease: Duration::from_secs(15),
        };
        assert_eq!(config.cluster, Some(expected));
        for (key, secret) in [
            ("api_key_file: key", Secret::File("/etc/picket/key".into())),
            ("api_key_env: KEY", Secret::Env("KEY".into())),
        ] {
            let (config, problems) = of(&format!(r#"url: "http://a", {key}"#));
            assert_eq!(problems, [""; 0]);
            assert_eq!(config.cluster.unwrap().api_key, Some(secret));
        }
        let (config, _) = of(r#"url: "http://a", username: u, password_env: PW"#);
        let password = config.cluster.unwrap().password;
        assert_eq!(password, Some(Secret::Env("PW".into())));
    }

    #[test]
    fn kibana_is_reached_as_a_cluster_is_and_has_spaces() {
        let read = |kibana: &str| {
            let text = format!("kibana: {{ {kibana} }}\n");
            let (config, problems) = Config::read(&text, Path::new("picket.yml"));
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            (config.kibana, problems)
        };
        let (kibana, problems) = read(r#"url: "http://k:5601/base", space: soc, api_key_env: K"#);
        assert_eq!(problems, [""; 0]);
        let kibana = kibana.unwrap();
        assert_eq!(kibana.connection.urls, ["http://k:5601/base"]);
        assert_eq!(kibana.connection.api_key, Some(Secret::Env("K".into())));
        assert_eq!(kibana.space.as_deref(), Some("soc"));
        for (text, expected) in [
            ("space: soc", "`kibana` needs a `url`"),
            (r#"url: "http://k", space: "SOC/..""#, "no id of a space"),
            (
                r#"url: "http://k", lease: 1s"#,
                "unknown key `lease` in kibana",
            ),
        ] {
            let (_, problems) = read(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_sentence_with_a_line() {
        for (text, expected) in [
            ("gzip: true", "picket.yml:2: `store.elastic` needs a `url`"),
            (
                r#"url: "http://a", api_key_env: K, username: u, password_env: P"#,
                "both an API key and a user",
            ),
            (
                r#"url: "http://a", username: u"#,
                "`username` and a password belong together",
            ),
            (
                r#"url: "http://a", password_file: p"#,
                "`username` and a password belong together",
            ),
            (
                r#"url: "http://a", gzip: yes please"#,
                "`gzip` must be true or false",
            ),
            (r#"url: "http://a", timeout: 0s"#, "`0s` is no `timeout`"),
            (r#"url: "http://a", lease: soon"#, "`soon` is no `lease`"),
            (
                r#"url: "http://a", pasword_file: p"#,
                "unknown key `pasword_file` in store.elastic",
            ),
        ] {
            let (_, problems) = of(text);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains(expected), "{text}: {problems:?}");
            assert!(problems[0].contains("picket.yml:2"), "{problems:?}");
        }
    }
}
