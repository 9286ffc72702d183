//! `picket rules list, lint, test, coverage, doctor` and `scan --baseline`, as those who write rules
//! run them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{folder, picket};

const RULE: &str = "title: Whoami by Anybody
id: 3c1e9c53-94a6-4fcd-9d5f-1f4a0a8f0a11
status: experimental
description: Somebody asks who they are, as intruders do.
author: Somebody
date: 2026-01-31
tags:
    - attack.discovery
    - attack.t1033
logsource:
    product: windows
    category: process_creation
detection:
    selection:
        Image|endswith: '\\whoami.exe'
    condition: selection
level: high
";

/// A rule of that title, id, log source and selection.
fn rule(title: &str, id: u8, source: &str, selection: &str) -> String {
    RULE.replace("Whoami by Anybody", title)
        .replace("0a11", &format!("0a{id:02}"))
        .replace("product: windows\n    category: process_creation", source)
        .replace("Image|endswith: '\\whoami.exe'", selection)
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn process(time: &str, host: &str, image: &str) -> String {
    json!({
        "EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": host,
        "UtcTime": time, "@timestamp": time, "Image": image, "CommandLine": image,
    })
    .to_string()
}

#[test]
fn rules_are_listed_by_what_they_are_for() {
    let folder = folder();
    write(folder.path(), "r/whoami.yml", RULE);
    let other = rule(
        "Log Cleared",
        2,
        "product: windows\n    service: security",
        "EventID: 1102",
    );
    write(
        folder.path(),
        "r/cleared.yml",
        &other.replace("t1033", "t1070.001").replace("high", "low"),
    );
    let titles = |arguments: &[&str]| -> Vec<String> {
        let all = [
            &["rules", "list", "--rules", "r", "-o", "ndjson"],
            arguments,
        ]
        .concat();
        let run = picket(folder.path(), &all);
        assert_eq!(run.code, 0, "{}", run.err);
        run.json()
            .iter()
            .map(|row| row["rule"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(titles(&[]), ["Log Cleared", "Whoami by Anybody"]);
    assert_eq!(titles(&["--min-level", "medium"]), ["Whoami by Anybody"]);
    assert_eq!(titles(&["--technique", "t1070"]), ["Log Cleared"]);
    assert_eq!(titles(&["--service", "Security"]), ["Log Cleared"]);
    assert_eq!(titles(&["WHOAMI.yml"]), ["Whoami by Anybody"]);
    assert_eq!(titles(&["--technique", "T107"]), [""; 0]);
    let correlation = "title: Often\nname: often\nlevel: low\ncorrelation:\n  type: event_count\n  rules: [3c1e9c53-94a6-4fcd-9d5f-1f4a0a8f0a11]\n  group-by: [Computer]\n  timespan: 5m\n  condition: {gte: 3}\n";
    write(folder.path(), "r/often.yml", correlation);
    assert_eq!(titles(&["often"]), ["Often"]);
    fs::remove_file(folder.path().join("r/often.yml")).unwrap();
    let table = picket(folder.path(), &["rules", "list", "--rules", "r"]).out;
    assert!(
        table.contains("windows security") && table.contains("2 rules of 2"),
        "{table}"
    );
}

#[test]
fn lint_tells_errors_from_hints() {
    let folder = folder();
    write(folder.path(), "r/good_rule.yml", RULE);
    let lint =
        |arguments: &[&str]| picket(folder.path(), &[&["rules", "lint"], arguments].concat());
    let good = lint(&["r"]);
    assert_eq!(
        (good.code, good.out.trim()),
        (0, "1 usable rule in 1 file: 0 errors, 0 hints")
    );
    write(
        folder.path(),
        "r/odd_rule.yml",
        &rule("Odd.", 2, "product: windows", "A|contains: '*x'"),
    );
    let odd = lint(&["r"]);
    assert_eq!(odd.code, 0, "{}", odd.out);
    assert!(
        odd.out.contains(
            "hint r/odd_rule.yml:1: the title ends with a full stop; leave it out [title-end]"
        ),
        "{}",
        odd.out
    );
    assert_eq!(lint(&["r", "--exit-code"]).code, 1);
    assert_eq!(
        lint(&["r", "--errors", "--exit-code"]).out.lines().count(),
        1
    );
    write(
        folder.path(),
        "r/bad_rule.yml",
        &rule("Bad", 3, "product: windows", "A|contians: x"),
    );
    let bad = lint(&["r", "-o", "ndjson"]);
    assert_eq!(bad.code, 2);
    let errors: Vec<Value> = bad
        .json()
        .into_iter()
        .filter(|row| row["is_error"] == true)
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["check"], "loads");
    assert_eq!(errors[0]["line"], 14);
    assert_eq!(lint(&[]).code, 2, "bundled rules are nobody's to mend");
}

#[test]
fn cases_beside_rules_are_run() {
    let folder = folder();
    write(folder.path(), "r/whoami.yml", RULE);
    let whoami = process(
        "2026-01-01T10:00:00Z",
        "PC1",
        r"C:\Windows\System32\whoami.exe",
    );
    let net = process(
        "2026-01-01T10:01:00Z",
        "PC1",
        r"C:\Windows\System32\net.exe",
    );
    write(
        folder.path(),
        "r/recorded.ndjson",
        &format!("{whoami}\n{net}\n{whoami}\n"),
    );
    let cases = |cases: Value| {
        write(folder.path(), "r/whoami.cases.json", &cases.to_string());
        picket(folder.path(), &["rules", "test", "r"])
    };
    let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let good = cases(json!([
        {"note": "it", "fires": true, "document": of(&whoami)},
        {"note": "not it", "fires": false, "document": of(&net)},
        {"note": "both", "count": 1, "documents": [of(&net), of(&whoami)]},
        {"note": "recorded", "count": 2, "file": "recorded.ndjson"},
    ]));
    assert_eq!(
        (good.code, good.out.trim()),
        (0, "4 cases passed, 0 failed; 0 rules without cases")
    );
    let bad = cases(json!([
        {"note": "not it", "fires": true, "document": of(&net)},
        {"note": "recorded", "count": 3, "file": "recorded.ndjson"},
        {"note": "gone", "count": 3, "file": "gone.ndjson"},
        {"note": "neither", "document": of(&net)},
    ]));
    assert_eq!(bad.code, 2);
    for line in [
        "failed r/whoami.yml `Whoami by Anybody`: not it: does not fire; `picket explain` shows why",
        "failed r/whoami.yml `Whoami by Anybody`: recorded: fires 2 times, not 3",
        "failed r/whoami.yml `Whoami by Anybody`: gone: ",
        "failed r/whoami.yml `Whoami by Anybody`: neither: a case has either `fires` or `count`",
        "0 cases passed, 4 failed",
    ] {
        assert!(bad.out.contains(line), "{line}\n{}", bad.out);
    }
    write(folder.path(), "r/whoami.cases.json", "[{]");
    let broken = picket(folder.path(), &["rules", "test", "r"]);
    assert_eq!(broken.code, 2);
    assert!(broken.out.contains("whoami.cases.json: "), "{}", broken.out);
    fs::remove_file(folder.path().join("r/whoami.cases.json")).unwrap();
    let strict = picket(folder.path(), &["rules", "test", "--strict", "r"]);
    assert_eq!(strict.code, 2);
    assert!(
        strict.out.contains("there is no case that fires"),
        "{}",
        strict.out
    );
}

#[test]
fn coverage_makes_a_layer() {
    let folder = folder();
    write(folder.path(), "r/a.yml", RULE);
    write(
        folder.path(),
        "r/b.yml",
        &rule(
            "B",
            2,
            "product: windows\n    service: security",
            "EventID: 1",
        ),
    );
    let linux = rule("C", 3, "product: linux", "A: b").replace("t1033", "t1034");
    write(folder.path(), "r/c.yml", &linux);
    let run = picket(
        folder.path(),
        &["rules", "coverage", "--rules", "r", "--layer", "layer.json"],
    );
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out.contains("1 technique by 2 rules; 0 name none"),
        "{}",
        run.out
    );
    let layer: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("layer.json")).unwrap())
            .unwrap();
    assert_eq!(layer["domain"], "enterprise-attack");
    assert_eq!(
        layer["techniques"].as_array().unwrap().len(),
        1,
        "no document is of linux"
    );
    assert_eq!(layer["techniques"][0]["techniqueID"], "T1033");
    assert_eq!(layer["techniques"][0]["score"], 2);
}

#[test]
fn the_doctor_says_what_is_missing() {
    let folder = folder();
    write(folder.path(), "r/a_may.yml", RULE);
    write(
        folder.path(),
        "r/b_lacks.yml",
        &rule(
            "B",
            2,
            "product: windows\n    category: process_creation",
            "Hashes|contains: x\n        Image|contains: x",
        ),
    );
    write(
        folder.path(),
        "r/c_not.yml",
        &rule(
            "C",
            3,
            "product: windows\n    category: network_connection",
            "DestinationPort: 445",
        ),
    );
    write(
        folder.path(),
        "r/d_never.yml",
        &rule("D", 4, "product: linux", "A: b"),
    );
    let absent =
        "Image|contains: x\n        Hashes: null\n    filter:\n        OriginalFileName: y";
    let absent = rule(
        "E",
        5,
        "product: windows\n    category: process_creation",
        absent,
    );
    write(
        folder.path(),
        "r/e_may.yml",
        &absent.replace(
            "condition: selection",
            "condition: selection and not filter",
        ),
    );
    let id = |number: u8| format!("3c1e9c53-94a6-4fcd-9d5f-1f4a0a8f0a{number:02}");
    let correlation = |title: &str, number: u8, of: &str| {
        format!(
            "title: {title}\nid: 00000000-0000-4000-8000-0000000000f{number}\nlevel: high\ncorrelation:\n    \
             type: temporal\n    rules: [{of}]\n    group-by: [Computer]\n    timespan: 5m\n"
        )
    };
    write(
        folder.path(),
        "r/f_both.yml",
        &correlation("Both", 1, &[id(11), id(5)].join(", ")),
    );
    write(
        folder.path(),
        "r/g_not.yml",
        &correlation("Not", 2, &[id(11), id(2), id(4)].join(", ")),
    );
    let event = process("2026-01-01T10:00:00Z", "PC1", r"C:\net.exe");
    write(folder.path(), "events.ndjson", &event);
    let expected = [
        ("may", json!(null)),
        ("lacks", json!(["Hashes"])),
        ("not_collected", json!(null)),
        ("nowhere", json!(null)),
        ("may", json!(null)),
        ("may", json!(null)),
        ("without", json!([id(2), id(4)])),
    ];
    let loaded = picket(folder.path(), &["load", "events.ndjson"]);
    assert_eq!(loaded.code, 0, "{}", loaded.err);
    for of in [&["events.ndjson"][..], &[]] {
        let arguments = [&["rules", "doctor", "--rules", "r", "-o", "ndjson"], of].concat();
        let run = picket(folder.path(), &arguments);
        assert_eq!(run.code, 0, "{}", run.err);
        let told: Vec<(String, Value)> = run
            .json()
            .iter()
            .map(|row| {
                (
                    row["reach"].as_str().unwrap().to_owned(),
                    row["lacks"].clone(),
                )
            })
            .collect();
        let expected = expected
            .clone()
            .map(|(reach, lacks)| (reach.to_owned(), lacks));
        assert_eq!(told, expected, "{of:?}");
    }
    let table = picket(
        folder.path(),
        &["rules", "doctor", "--rules", "r", "events.ndjson"],
    )
    .out;
    for line in [
        "windows process_creation: no document has Hashes",
        "windows network_connection: collect Microsoft-Windows-Sysmon/Operational 3",
        "linux: is for another product than windows",
        "Not: cannot fire without 3c1e9c53",
        "1 document: 3 of 7 rules may fire",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
}

#[test]
fn a_baseline_tells_what_rules_would_have_raised() {
    let folder = folder();
    write(folder.path(), "r/whoami.yml", RULE);
    write(
        folder.path(),
        "r/never.yml",
        &rule("Never", 2, "product: windows", "Image: x"),
    );
    let mut events = String::new();
    for (day, host, image) in [
        (1, "PC1", "whoami"),
        (1, "PC2", "whoami"),
        (1, "PC2", "whoami"),
        (2, "PC1", "net"),
        (4, "PC1", "whoami"),
    ] {
        events += &process(
            &format!("2026-01-0{day}T10:00:00Z"),
            host,
            &format!(r"C:\{image}.exe"),
        );
        events.push('\n');
    }
    write(folder.path(), "events.ndjson", &events);
    write(folder.path(), "no-list.txt", "");
    let common = ["--rules", "r", "--blacklist", "no-list.txt"];
    let run = picket(
        folder.path(),
        &[
            &["scan", "--baseline", "events.ndjson", "-o", "json"][..],
            &common,
        ]
        .concat(),
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&told["documents"], &told["days"], &told["raised"]),
        (&json!(5), &json!(3.0), &json!(4))
    );
    let rules = told["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    let row = &rules[0];
    assert_eq!(
        (
            &row["hits"],
            &row["busiest_day"],
            &row["hosts"],
            &row["noise"]
        ),
        (&json!(4), &json!(3), &json!(2), &json!("much"))
    );
    // The store gives the same, though its documents are judged already, and stay as they are.
    write(
        folder.path(),
        "picket.yml",
        "rules: [r]\nblacklist: no-list.txt\n",
    );
    for command in [&["load", "events.ndjson"][..], &["sweep"]] {
        assert_eq!(picket(folder.path(), command).code, 0);
    }
    let stored = picket(folder.path(), &["scan", "--baseline", "-o", "json"]);
    assert_eq!(stored.code, 0, "{}", stored.err);
    assert_eq!(serde_json::from_str::<Value>(&stored.out).unwrap(), told);
    let table = picket(folder.path(), &["scan", "--baseline"]).out;
    assert!(table.contains("5 documents of 3 days: AlertLevel 1 or 2 on 4 documents, 1.3 a day; 1 of 2 rules found nothing"), "{table}");
}
