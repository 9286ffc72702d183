//! `picket explain` as people see it, and the evidence that findings carry. What an explanation
//! says must be what the engine finds.

use std::fs;
use std::path::Path;

use picket::detect::sigma::explain::Explainer;
use picket::document::Document;
use serde_json::{Value, json};

use crate::cli::{data, folder, picket};

const RULE: &str = r"title: Encoded PowerShell
id: 7d0c4a1e-7d2b-4a67-9c7e-0b1f6f3b2a77
level: high
logsource: {product: windows, category: process_creation}
detection:
  selection_img:
    - Image|endswith: ['\powershell.exe', '\pwsh.exe']
    - OriginalFileName: PowerShell.EXE
  selection_cli:
    CommandLine|contains|all: [' -enc', JAB]
  selection_decoded:
    CommandLine|wide|base64offset|contains: ['whoami', 'mimikatz']
  selection_dash:
    CommandLine|windash|contains: ' -nop'
  selection_parent:
    ParentImage: null
  filter_admin:
    User|contains: ADMIN
  filter_empty:
    IntegrityLevel: ''
  condition: selection_img and (all of selection_* or selection_cli) and not 1 of filter_*
";

/// An event of Sysmon: the start of a process.
fn event(fields: Value) -> Value {
    let mut source = json!({
        "@timestamp": "2026-11-22T01:16:00Z",
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 1,
        "Computer": "WS5",
    });
    source
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    source
}

/// `whoami` in UTF-16 within an encoded command.
const COMMAND: &str = "powershell \u{2013}nop -enc JABhAD0AMQA7AHcAaABvAGEAbQBpACAALwBhAGwAbAA=";

fn write(folder: &Path, name: &str, events: &[Value]) {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(folder.join(name), lines).unwrap();
}

#[test]
fn the_tree_says_what_holds_and_what_does_not() {
    let folder = folder();
    fs::write(folder.path().join("rule.yml"), RULE).unwrap();
    let image = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
    let fires = event(json!({"Image": image, "CommandLine": COMMAND, "User": "CORP\\ann"}));
    let filtered = event(json!({
        "Image": image, "CommandLine": COMMAND, "User": "CORP\\domadmin", "IntegrityLevel": "High",
    }));
    let other = event(json!({
        "Image": "C:\\evil\u{1b}[2J\u{202e}.exe", "CommandLine": null, "User": ["a", "b"], "ParentImage": "x",
    }));
    let network = json!({
        "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 3, "Image": image,
    });
    for (name, event) in [
        ("fires", fires),
        ("filtered", filtered),
        ("other", other),
        ("network", network),
    ] {
        let file = format!("{name}.ndjson");
        write(folder.path(), &file, &[event]);
        let run = picket(folder.path(), &["explain", "rule.yml", &file]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(!run.out.contains(['\u{1b}', '\u{202e}']), "{:?}", run.out);
        insta::assert_snapshot!(format!("explain_{name}"), run.out);
    }
    let run = picket(
        folder.path(),
        &["explain", "rule.yml", "fires.ndjson", "-o", "ndjson"],
    );
    insta::assert_snapshot!(
        "explain_json",
        serde_json::to_string_pretty(&run.json()[0]).unwrap()
    );
}

#[test]
fn of_many_documents_the_nearest_is_shown() {
    let folder = folder();
    let rule = RULE.replace("selection_img and", "selection_dash and");
    fs::write(folder.path().join("rule.yml"), rule).unwrap();
    let near = event(json!({"CommandLine": "x /nop -enc"}));
    let events = [
        event(json!({"CommandLine": "dir"})),
        near,
        event(json!({"CommandLine": "x -enc"})),
    ];
    write(folder.path(), "many.ndjson", &events);
    let run = picket(folder.path(), &["explain", "rule.yml", "many.ndjson"]);
    assert!(run.out.contains("many.ndjson 2 WS5"), "{}", run.out);
    assert!(
        run.out
            .contains("3 documents read; it fires on 0; shown is the nearest"),
        "{}",
        run.out
    );
    // One by its number, all by their number.
    let run = picket(folder.path(), &["explain", "rule.yml", "many.ndjson:3"]);
    assert!(run.out.contains("many.ndjson 3 WS5"), "{}", run.out);
    let run = picket(
        folder.path(),
        &[
            "explain",
            "rule.yml",
            "many.ndjson",
            "--limit",
            "9",
            "-o",
            "json",
        ],
    );
    assert_eq!(run.json()[0].as_array().unwrap().len(), 3);
}

#[test]
fn rules_are_named_by_file_id_or_title_and_documents_by_file_or_store() {
    let folder = folder();
    let recording = data("recording.ndjson");
    let explain = |rule: &str, document: &str| picket(folder.path(), &["explain", rule, document]);
    let by_title = explain("PsExec started", &recording);
    assert_eq!(by_title.code, 0, "{}", by_title.err);
    assert!(by_title.out.contains("the rule fires"), "{}", by_title.out);
    // What the store holds is named by index and id.
    assert_eq!(picket(folder.path(), &["load", &recording]).code, 0);
    let hit = picket(
        folder.path(),
        &[
            "search",
            "CommandLine:PsExec*",
            "--limit",
            "1",
            "-o",
            "ndjson",
        ],
    )
    .json()
    .remove(0);
    let place = format!(
        "{}/{}",
        hit["_index"].as_str().unwrap(),
        hit["_id"].as_str().unwrap()
    );
    let stored = explain("psexec started", &place);
    assert_eq!(stored.code, 0, "{}", stored.err);
    assert!(stored.out.contains("the rule fires"), "{}", stored.out);
    for (rule, document, sentence) in [
        (
            "PsExec startet",
            &*recording,
            "did you mean `PsExec started`?",
        ),
        (
            "PsExec",
            &recording,
            "rules have `PsExec` in their title; name one by its id",
        ),
        (
            "PsExec started",
            "nowhere.ndjson",
            "there is no nowhere.ndjson",
        ),
        ("PsExec started", "events/none", "no such document"),
        (
            "PsExec started",
            &format!("{recording}:9999"),
            "has no record 9999",
        ),
    ] {
        let run = explain(rule, document);
        assert_eq!(run.code, 2, "{rule} {document}: {}", run.err);
        assert!(run.err.contains(sentence), "{sentence}: {}", run.err);
    }
}

/// A filter is a part of the rule that it narrows, also where the rule is named by its file.
#[test]
fn a_filter_is_explained_with_its_rule() {
    let folder = folder();
    let rule = "title: Whoami\nid: who\nlogsource: {product: windows, category: process_creation}\ndetection:\n  sel: {CommandLine|contains|expand: '%tool%'}\n  condition: sel\n";
    let filter = "title: Admins\nlogsource: {product: windows, category: process_creation}\nfilter:\n  rules: [who]\n  selection: {User|contains: admin}\n  condition: not selection\n";
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/who.yml"), rule).unwrap();
    fs::write(folder.path().join("rules/filter.yml"), filter).unwrap();
    fs::write(
        folder.path().join("picket.yml"),
        "rules: [rules]\nplaceholders: {tool: [whoami, id.exe]}\n",
    )
    .unwrap();
    write(
        folder.path(),
        "event.ndjson",
        &[event(
            json!({"CommandLine": "whoami /all", "User": "domadmin"}),
        )],
    );
    for name in ["who", "rules/who.yml"] {
        let run = picket(folder.path(), &["explain", name, "event.ndjson"]);
        assert_eq!(run.code, 0, "{}", run.err);
        for part in [
            "does not fire: selection (Admins) holds",
            "CommandLine|contains|expand: one of 2",
            "← 'whoami' (at 0)",
            "condition: sel\ncondition: not selection\n",
        ] {
            assert!(run.out.contains(part), "no {part} in\n{}", run.out);
        }
    }
}

/// Every built-in rule on every event: an explanation fires where the engine does, and only there.
#[test]
fn an_explanation_says_what_a_scan_finds() {
    let folder = folder();
    let recording = data("recording.ndjson");
    let scan = picket(folder.path(), &["scan", &recording, "-o", "ndjson"]);
    let mut found: Vec<(String, u64)> = scan
        .json()
        .iter()
        .filter(|line| line["detector"] == "sigma")
        .map(|line| {
            let number = line["record_id"].as_str().unwrap().parse().unwrap();
            (line["rule_id"].as_str().unwrap().to_owned(), number)
        })
        .collect();
    found.sort();
    let mut fields = picket::taxonomy::Fields::default();
    let (set, _) = picket::rule::RuleSet::bundled(&mut fields);
    let mut explained = Vec::new();
    for rule in &set.rules {
        let mut explainer = Explainer::new(rule).unwrap();
        let text = fs::read_to_string(&recording).unwrap();
        for (line, number) in text.lines().zip(1u64..) {
            let document = Document::loose("f".into(), "1", line);
            let (explanation, ()) = explainer.explain(&document, |_| ()).unwrap();
            if explanation.fires {
                explained.push((rule.id.to_string(), number));
            }
        }
    }
    explained.sort();
    assert!(found.len() > 10, "{}", found.len());
    assert_eq!(explained, found);
}

/// A rule, a correlation of its documents, and one that builds on it.
const LOGONS: &str = r"title: Logon failed
name: failed
logsource: {product: windows, service: security}
detection: {sel: {EventID: 4625}, condition: sel}
---
title: Logged on
name: success
logsource: {product: windows, service: security}
detection: {sel: {EventID: 4624}, condition: sel}
---
title: Many logons failed
name: many
level: high
correlation:
  type: event_count
  rules: [failed]
  group-by: [TargetUserName]
  timespan: 5m
  condition: {gte: 10}
---
title: Guessed
correlation:
  type: temporal_ordered
  rules: [many, success]
  group-by: [TargetUserName]
  timespan: 1h
  generate: true
";

fn logon(second: u32, id: u32, fields: Value) -> Value {
    let mut fields = fields;
    fields["@timestamp"] = format!("2026-11-22T09:{:02}:{:02}Z", second / 60, second % 60).into();
    fields["Channel"] = "Security".into();
    fields["EventID"] = id.into();
    event(fields)
}

#[test]
fn a_correlation_says_how_near_documents_come() {
    let folder = folder();
    fs::write(folder.path().join("logons.yml"), LOGONS).unwrap();
    let user = |name: &str| json!({"TargetUserName": name});
    let mut events: Vec<Value> = (0..9).map(|n| logon(n * 20, 4625, user("bob"))).collect();
    events.extend((0..12).map(|n| logon(n * 20, 4625, user("eve\u{1b}[2J"))));
    events.push(logon(9, 4625, json!({})));
    events.push(logon(400, 4624, user("bob")));
    write(folder.path(), "events.ndjson", &events);
    write(folder.path(), "few.ndjson", &events[..2]);
    let explain = |correlation: &str, file: &str, more: &[&str]| {
        let arguments = ["explain", correlation, file, "--rules", "logons.yml"];
        let run = picket(folder.path(), &[&arguments[..], more].concat());
        assert_eq!(run.code, 0, "{correlation}: {}", run.err);
        run.out
    };
    let both = explain("Many logons failed", "events.ndjson", &["--limit", "2"]);
    insta::assert_snapshot!("explain_correlation", both);
    let few = explain("many", "few.ndjson", &[]);
    insta::assert_snapshot!("explain_correlation_few", few);
    let chained = explain("Guessed", "events.ndjson", &[]);
    insta::assert_snapshot!("explain_correlation_chained", chained);
    let lines = explain("Guessed", "events.ndjson", &["-o", "ndjson"]);
    insta::assert_snapshot!("explain_correlation_json", lines);
    fs::write(folder.path().join("none.ndjson"), "").unwrap();
    let none = picket(
        folder.path(),
        &["explain", "many", "none.ndjson", "--rules", "logons.yml"],
    );
    assert_eq!((none.code, none.out.as_str()), (2, ""));
    assert!(
        none.err.contains("none.ndjson holds no document"),
        "{}",
        none.err
    );
    let all = explain("many", "events.ndjson", &["--all"]);
    assert_eq!(all.matches(" failed  events.ndjson ").count(), 10, "{all}");
    // A scan finds it where an explanation says that it holds, and only there.
    let scan = [
        "scan",
        "events.ndjson",
        "--rules",
        "logons.yml",
        "--all",
        "-o",
        "ndjson",
    ];
    let found = picket(folder.path(), &scan).json();
    let found: Vec<_> = found
        .iter()
        .filter(|f| f["rule"] == "Many logons failed")
        .collect();
    assert_eq!(found.len(), 1);
    let quiet = LOGONS.replace("  generate: true\n", "");
    fs::write(folder.path().join("logons.yml"), quiet).unwrap();
    let said = explain("many", "few.ndjson", &[]);
    assert!(said.contains("raises nothing by itself"), "{said}");
}

#[test]
fn a_file_with_one_correlation_means_it() {
    let folder = folder();
    let (one, _) = LOGONS.rsplit_once("---").unwrap();
    for (name, text) in [("one.yml", one), ("two.yml", LOGONS)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let fields = json!({"TargetUserName": "bob"});
    write(folder.path(), "e.ndjson", &[logon(1, 4625, fields)]);
    let run = picket(folder.path(), &["explain", "one.yml", "e.ndjson"]);
    assert!(
        run.out.contains("1 document (gte 10)"),
        "{} {}",
        run.out,
        run.err
    );
    let run = picket(folder.path(), &["explain", "two.yml", "e.ndjson"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("two.yml holds 4 rules"), "{}", run.err);
}
