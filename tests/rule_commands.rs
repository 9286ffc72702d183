//! What `picket rules` says to those who write rules.

use std::fs;

use serde_json::{Value, json};

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

#[test]
fn cost_counts_what_correlations_judge() {
    let folder = folder();
    let rules = "\
title: Failed logon
name: failed
id: failed
logsource: {product: windows, service: security}
detection: {sel: {EventID: 4625}, condition: sel}
---
title: Many failures
id: many
level: high
correlation:
  type: event_count
  rules: [failed]
  group-by: [TargetUserName]
  timespan: 1m
  condition: {gte: 3}
---
title: No such group
id: none
level: high
correlation: {type: event_count, rules: [failed], group-by: [NoSuchField], timespan: 1m, condition: {gte: 1}}
";
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let event = |second: u32, user: &str| {
        json!({"Channel": "Security", "EventID": 4625, "TargetUserName": user,
            "@timestamp": format!("2026-01-01T00:00:{second:02}Z")})
        .to_string()
    };
    let events = [
        (1, "anna"),
        (2, "bert"),
        (3, "anna"),
        (4, "anna"),
        (5, "bert"),
    ];
    let lines = events.map(|(second, user)| event(second, user));
    fs::write(folder.path().join("events.ndjson"), lines.join("\n")).unwrap();
    let arguments = ["rules", "cost", "events.ndjson", "--rules", "rules.yml"];
    let cost = picket(folder.path(), &[&arguments[..], &["-o", "ndjson"]].concat());
    assert_eq!(cost.code, 0, "{}", cost.err);
    let rows = cost.json();
    let of = |id: &str| rows.iter().find(|row| row["rule_id"] == id).unwrap();
    let counts = |id| ["asked", "hits", "groups"].map(|key| of(id)[key].as_u64());
    assert_eq!(counts("many"), [Some(5), Some(1), Some(2)]);
    assert_eq!(counts("none"), [Some(0), Some(0), Some(0)]);
    assert_eq!(counts("failed")[1..], [Some(5), None]);
    let took = |key: &str| of("many")[key].as_u64().unwrap();
    assert!(took("matching_ns") >= took("slowest_ns") && took("slowest_ns") > 0);
    let table = picket(folder.path(), &arguments).out;
    for part in ["a correlation, with 2 groups", "1 of 3 were asked of none"] {
        assert!(table.contains(part), "no {part} in\n{table}");
    }
}

#[test]
fn cross_check_says_what_was_asked_and_where_the_engines_differ() {
    let folder = folder();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for (id, detection) in [
        (
            "alike",
            "{sel: {CommandLine|contains: psexec}, condition: sel}",
        ),
        (
            "unknown",
            "{sel: {CommandLine|neq: psexec}, condition: sel}",
        ),
        // Its text in UTF-16 is longer than what sigma-rust keeps of it.
        (
            "wider",
            "{sel: {CommandLine|wide|base64offset|contains: abcd}, condition: sel}",
        ),
    ] {
        fs::write(rules.join(format!("{id}.yml")), rule(id, detection)).unwrap();
    }
    let event = |command: &str| json!({"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "CommandLine": command});
    // The middle of what `xabcy` becomes in UTF-16 and base64.
    let lines = ["a psexec", "nothing", "-e eABhAGIAYwB5AA=="].map(|c| event(c).to_string());
    fs::write(folder.path().join("events.ndjson"), lines.join("\n")).unwrap();
    let arguments = ["rules", "cross-check", "events.ndjson", "--rules", "rules"];
    let check = |more: &[&str]| picket(folder.path(), &[&arguments[..], more].concat());
    let all = check(&["--sample", "1", "-o", "json"]);
    assert_eq!(all.code, 0, "{}", all.err);
    let all = all.json().remove(0);
    let of = |id: &str| {
        let rows = all["rules"].as_array().unwrap();
        rows.iter()
            .find(|row| row["rule_id"] == id)
            .unwrap()
            .clone()
    };
    assert_eq!(all["events"], 3);
    assert_eq!(all["sampled"], all["others"]);
    assert_eq!(
        (&of("alike")["both"], &of("alike")["neither"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(of("unknown")["reason"], "it does not know `neq`");
    for row in all["rules"].as_array().unwrap() {
        assert_eq!(row["missed_by_the_index"], 0, "{row}");
    }
    let table = check(&["--sample", "1"]);
    assert!(
        table.out.contains("1 rule cannot be put to sigma-rust"),
        "{}",
        table.out
    );
    assert!(
        table.out.contains("3 events: sigma-rust was asked"),
        "{}",
        table.out
    );
    // Of what the index rules out, a part is asked.
    let some = check(&["--sample", "2", "-o", "json"]).json().remove(0);
    assert_eq!(
        some["sampled"].as_u64().unwrap(),
        some["others"].as_u64().unwrap() / 2
    );
}
