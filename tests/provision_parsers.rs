//! Every body that provisioning sends, through Elasticsearch's own parsers at three versions, and
//! bodies that these must refuse, so that one knows that they look. Runs where
//! `PICKET_TEST_PARSERS` is set: it needs Java and Maven (`tests/servers/parsers/parse`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use picket::provision::kibana::search::panels;
use picket::provision::kibana::{Shape, Target, dashboards};
use picket::provision::{Body, bodies};
use serde_json::{Value, json};

use crate::support::skip;

const VERSIONS: [&str; 3] = ["7.17.29", "8.19.21", "9.5.3"];

/// What they say of each file, by name: whether it is taken, and otherwise why not.
fn parse(version: &str, folder: &Path, bodies: &[Body]) -> Option<Vec<(String, Option<String>)>> {
    let mut files = Vec::new();
    for Body { kind, name, body } in bodies {
        let file = folder.join(format!("{kind}_{name}.json"));
        std::fs::write(&file, body.to_string()).unwrap();
        files.push(file);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/parsers/parse");
    let output = Command::new(script)
        .arg(version)
        .args(&files)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skip("parsers", error.trim());
        return None;
    }
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().filter_map(|line| match line.split_once(' ')? {
        ("OK", name) => Some((name.to_owned(), None)),
        ("REFUSED", rest) => {
            let (name, why) = rest.split_once(": ")?;
            Some((name.to_owned(), Some(why.to_owned())))
        }
        _ => None,
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), bodies.len(), "{text}");
    Some(said)
}

/// The search of every panel of every dashboard, for each shape of events and each target.
fn searches() -> Vec<Body> {
    let mut bodies = BTreeMap::new();
    for target in Target::ALL {
        for shape in Shape::ALL {
            let objects = dashboards(target, &[shape]).unwrap();
            for board in objects.iter().filter(|object| object.kind == "dashboard") {
                let panels = panels(&objects, &board.id, (0, 86_400_000)).unwrap();
                for (number, panel) in panels.into_iter().enumerate() {
                    if let Some(search) = panel.asks {
                        let name = format!("{}-{number}", board.id);
                        bodies.insert(search.body.to_string(), (name, search.body));
                    }
                }
            }
        }
    }
    let bodies = bodies.into_values().enumerate();
    bodies
        .map(|(number, (name, body))| Body {
            kind: "search",
            name: format!("{name}-{number}"),
            body,
        })
        .collect()
}

/// Bodies of ours with one thing wrong each.
fn wrong() -> Vec<Body> {
    let good = bodies();
    let mut wrong = Vec::new();
    let mut spoil = |kind: &'static str, name: &str, path: &str, value: Value| {
        let model = good
            .iter()
            .find(|b| b.kind == kind && b.name.contains(name))
            .unwrap();
        let mut body = model.body.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = body
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{kind} {path}"));
        match value {
            Value::Null => drop(parent.as_object_mut().unwrap().remove(key)),
            value => parent[key] = value,
        }
        let number = wrong.len();
        wrong.push(Body {
            kind,
            name: format!("wrong-{number}"),
            body,
        });
    };
    let config = "/analysis_config";
    let detector = "/analysis_config/detectors/0";
    spoil("job", "event-rate", "/buckets", json!(1));
    spoil(
        "job",
        "event-rate",
        &format!("{detector}/splitfield"),
        json!("Image"),
    );
    spoil(
        "job",
        "event-rate",
        &format!("{detector}/function"),
        json!("counts"),
    );
    spoil(
        "job",
        "event-rate",
        &format!("{config}/bucket_span"),
        json!("soon"),
    );
    spoil(
        "job",
        "event-rate",
        &format!("{config}/detectors"),
        json!([]),
    );
    spoil("job", "event-rate", "/data_description", Value::Null);
    spoil(
        "job",
        "event-rate",
        "/analysis_limits/model_memory_limit",
        json!("1kb"),
    );
    spoil("job", "event-rate", "/groups", json!(["No Such"]));
    spoil(
        "job",
        "rare-process",
        &format!("{detector}/by_field_name"),
        Value::Null,
    );
    spoil(
        "job",
        "rare-process",
        &format!("{detector}/field_name"),
        json!("Image"),
    );
    spoil(
        "job",
        "image-by-module",
        &format!("{detector}/over_field_name"),
        json!("mlcategory"),
    );
    spoil(
        "job",
        "image-information",
        &format!("{detector}/field_name"),
        Value::Null,
    );
    spoil(
        "job",
        "categories",
        &format!("{config}/categorization_field_name"),
        Value::Null,
    );
    spoil(
        "job",
        "event-rate",
        &format!("{config}/categorization_field_name"),
        json!("Message"),
    );
    spoil("jobupdate", "event-rate", "/analysis_config", json!({}));
    spoil(
        "datafeed",
        "event-rate",
        "/query",
        json!({ "exsits": { "field": "a" } }),
    );
    spoil("datafeed", "event-rate", "/indices", Value::Null);
    spoil("datafeed", "event-rate", "/scroll_size", json!(-1));
    spoil("datafeed", "event-rate", "/qurey_delay", json!("60s"));
    spoil("datafeedupdate", "event-rate", "/interval", json!("60s"));
    spoil("transform", "process-features", "/pivot", Value::Null);
    spoil("transform", "process-features", "/frequncy", json!("60s"));
    spoil("transform", "process-features", "/dest", Value::Null);
    spoil(
        "outliers",
        "process-outliers",
        "/analysis",
        json!({ "outliers": {} }),
    );
    spoil(
        "outliers",
        "process-outliers",
        "/analysis/outlier_detection/outlier_fraction",
        json!(2),
    );
    spoil("outliers", "process-outliers", "/dest", Value::Null);
    spoil(
        "policy",
        "picket",
        "/policy/phases/hot/actions/rolover",
        json!({}),
    );
    spoil(
        "policy",
        "picket",
        "/policy/phases/hot/min_age",
        json!("never"),
    );
    spoil(
        "policy",
        "picket",
        "/policy/phases/lukewarm",
        json!({ "actions": {} }),
    );
    spoil("template", "picket-cmdlogs", "/index_pattern", json!(["a"]));
    spoil("template", "picket-cmdlogs", "/index_patterns", Value::Null);
    spoil("template", "picket-cmdlogs", "/priority", json!("first"));
    spoil(
        "component",
        "picket-levels",
        "/index_patterns",
        json!(["a"]),
    );
    let histogram = |key: &str| json!({ "size": 0, "aggs": { "d": { "date_histogram": { "field": "t", key: "12h" } } } });
    wrong.push(Body {
        kind: "search",
        name: "wrong".into(),
        body: histogram("interval_fixed"),
    });
    wrong
}

#[test]
fn elasticsearch_takes_every_body_and_refuses_what_is_wrong_with_it() {
    if std::env::var_os("PICKET_TEST_PARSERS").is_none() {
        skip(
            "parsers",
            "no PICKET_TEST_PARSERS; it runs bodies through Elasticsearch's parsers",
        );
        return;
    }
    let (mut good, wrong) = (bodies(), wrong());
    let searches = searches();
    assert!(searches.len() > 50, "{}", searches.len());
    good.extend(searches);
    let kinds: BTreeSet<&str> = good.iter().map(|body| body.kind).collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    let all = [&good[..], &wrong].concat();
    for version in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let Some(said) = parse(version, folder.path(), &all) else {
            return;
        };
        let (taken, refused): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|(_, why)| why.is_none());
        let of = |list: &[(String, Option<String>)], wrong: bool| {
            let names = list
                .iter()
                .filter(|(name, _)| name.contains("_wrong") == wrong);
            names
                .map(|(name, why)| format!("{name}: {why:?}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&refused, false),
            [""; 0],
            "{version} refuses what Picket sends"
        );
        assert_eq!(of(&taken, true), [""; 0], "{version} takes what is wrong");
        assert_eq!((taken.len(), refused.len()), (good.len(), wrong.len()));
        println!(
            "{version}: {} taken, {} refused",
            taken.len(),
            refused.len()
        );
    }
}
