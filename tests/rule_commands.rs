//! What `picket rules` says to those who write rules.

use std::fs;

use serde_json::Value;

use crate::cli::{data, folder, picket};

/// A rule of that id for command lines; `detection` is written in YAML's short form.
fn rule(id: &str, detection: &str) -> String {
    format!(
        "title: {id}\nid: {id}\nlevel: high\nlogsource: {{product: windows, category: process_creation}}\ndetection: {detection}\n"
    )
}

#[test]
fn cost_names_the_rules_that_are_asked_most() {
    let folder = folder();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for (id, detection) in [
        (
            "woken",
            "{sel: {CommandLine|contains: psexec}, condition: sel}",
        ),
        (
            "always",
            "{sel: {CommandLine|re: '[0-9]+[a-z][^x]*'}, condition: sel}",
        ),
        (
            "never",
            "{sel: {CommandLine|contains: xyzzy-nothing}, condition: sel}",
        ),
    ] {
        fs::write(rules.join(format!("{id}.yml")), rule(id, detection)).unwrap();
    }
    let recording = data("recording.ndjson");
    let arguments = ["rules", "cost", &recording, "--rules", "rules"];
    let cost = picket(folder.path(), &[&arguments[..], &["-o", "json"]].concat());
    assert_eq!(cost.code, 0, "{}", cost.err);
    let all = cost.json().remove(0);
    let rows = all["rules"].as_array().unwrap();
    let of = |id: &str| rows.iter().find(|row| row["rule_id"] == id).unwrap();
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap();
    // What is found is what a scan finds.
    let scan = picket(
        folder.path(),
        &["scan", &recording, "--rules", "rules", "-o", "ndjson"],
    );
    for id in ["woken", "always", "never"] {
        let found = scan.json().iter().filter(|f| f["rule_id"] == id).count();
        assert_eq!(number(of(id), "hits"), found as u64, "{id}");
    }
    assert!(number(of("woken"), "hits") > 0);
    assert!(number(of("always"), "asked") > number(of("woken"), "asked"));
    assert_eq!(number(of("never"), "asked"), 0);
    assert_eq!(of("always")["asked_of_all"], true);
    assert_eq!(of("woken")["asked_of_all"], false);
    assert!(number(of("always"), "matching_ns") >= number(of("always"), "slowest_ns"));
    // For people: the dear rule with its file, and what makes it so.
    let table = picket(folder.path(), &arguments).out;
    for part in [
        "always.yml:1",
        "asked of every event",
        "1 of 3 were asked of none",
    ] {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
}
