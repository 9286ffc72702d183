//! Correlations: what each type means, how they build on each other, and what is refused.

mod sweeps;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use picket::alert::AlertLevels;
use picket::detect::sigma::SigmaDetector;
use picket::detect::{Detectors, Judge};
use picket::document::{Document, DocumentId};
use picket::finding::Finding;
use picket::rule::{Placeholders, RuleSet};
use picket::sweep::{Ledger, Panel};
use picket::taxonomy::Fields;
use proptest::prelude::*;
use serde_json::{Value, json};

const BASE: &str = "title: Failed
name: failed
id: 00000000-0000-4000-8000-00000000000a
logsource: {product: windows, service: security}
detection: {sel: {EventID: 4625}, condition: sel}
---
title: Logged on
name: success
logsource: {product: windows, service: security}
detection: {sel: {EventID: 4624}, condition: sel}
---
title: Other
name: other
logsource: {product: windows, service: security}
detection: {sel: {EventID: 4634}, condition: sel}
level: high
";

/// The three rules and a correlation `c` with these lines.
fn rules(correlation: &str) -> String {
    format!("{BASE}---\n{}", one("c", correlation))
}

fn one(id: &str, correlation: &str) -> String {
    let lines: String = correlation.lines().map(|l| format!("  {l}\n")).collect();
    format!(
        "title: Correlation {id}\nid: {id}\nname: name_{id}\nlevel: high\ntags: [attack.t1110]\ncorrelation:\n{lines}"
    )
}

fn loaded(text: &str) -> (RuleSet, Vec<String>, Fields) {
    let mut fields = Fields::default();
    let none = Placeholders::default();
    let (rules, problems) = RuleSet::parse(Path::new("c.yml"), text, &none, &mut fields);
    let problems = problems.iter().map(ToString::to_string).collect();
    (rules, problems, fields)
}

fn judge(text: &str) -> Judge {
    let (rules, problems, fields) = loaded(text);
    assert_eq!(problems, [""; 0], "{text}");
    let digest = rules.digest().into();
    let sigma = SigmaDetector::new(Arc::new(rules), &fields, AlertLevels::default());
    let correlator = sigma.correlator();
    let detectors = Detectors {
        set: vec![Box::new(sigma)],
        fields: Arc::new(fields),
        digest,
    };
    Judge::new(detectors).correlating(correlator)
}

const T0: i64 = 1_600_000_000_000;

/// An event of the security log that many seconds in.
fn at(second: i64, event_id: u32, fields: Value) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(T0 + second * 1000).unwrap();
    let mut event = json!({
        "@timestamp": time.to_rfc3339(), "Channel": "Security", "EventID": event_id,
        "Provider_Name": "Microsoft-Windows-Security-Auditing",
    });
    if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
        event.extend(fields);
    }
    event
}

fn bob(second: i64, event_id: u32) -> Value {
    at(second, event_id, json!({"TargetUserName": "bob"}))
}

/// Findings as the number of their event, and the rule.
type Found = BTreeSet<(usize, String)>;

/// All events at once, in one look.
fn scanned(judge: &Judge, events: &[Value]) -> (Found, Vec<(DocumentId, Finding)>) {
    let documents: Vec<Document> = events
        .iter()
        .enumerate()
        .map(|(number, event)| {
            Document::loose("logs".into(), format!("{number:06}"), event.to_string())
        })
        .collect();
    let mut panel = Panel::new(judge, 2);
    let mut judged = panel.page(&documents);
    let mut ledger = Ledger::default();
    for (of, hit, _) in std::mem::take(&mut judged.hits) {
        ledger.keep(of, hit);
    }
    let mut all = ledger.judge(&panel.correlator());
    for verdict in judged.verdicts(&panel.digest(), 0) {
        let of_one = verdict.findings.into_iter();
        all.extend(of_one.map(|finding| (verdict.document.clone(), finding)));
    }
    let found = all.iter();
    let found = found.map(|(id, f)| (id.id.parse().unwrap(), f.rule_id.to_string()));
    (found.collect(), all)
}

/// What a scan finds with the correlation `c`, by the number of the event.
fn fires(correlation: &str, events: &[Value]) -> Vec<usize> {
    let (found, _) = scanned(&judge(&rules(correlation)), events);
    found
        .into_iter()
        .filter(|(_, rule)| rule == "c")
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn events_are_counted_in_each_group_and_an_episode_is_found_once() {
    let correlation = "type: event_count\nrules: [failed]\ngroup-by: [TargetUserName]\ntimespan: 1m\ncondition: {gte: 3}";
    let mut events: Vec<Value> = [0, 10, 20, 30, 40].map(|s| bob(s, 4625)).into();
    // Another user, in other letters, another event, and one without a user.
    events.push(at(21, 4625, json!({"TargetUserName": "ann"})));
    events.push(at(22, 4624, json!({"TargetUserName": "ann"})));
    events.push(at(23, 4625, json!({})));
    events.push(at(24, 4625, json!({"TargetUserName": "ANN"})));
    assert_eq!(fires(correlation, &events), [2]);
    events.push(at(80, 4625, json!({"TargetUserName": "Ann"})));
    // 21 is within a minute of 80; the window is open at its far end.
    assert_eq!(fires(correlation, &events), [2, 9]);
    events.push(at(81, 4625, json!({"TargetUserName": "ann"})));
    assert_eq!(fires(correlation, &events), [2, 9]);
    // After a pause of more than a minute it is another episode.
    events.extend([300, 310, 320].map(|s| bob(s, 4625)));
    assert_eq!(fires(correlation, &events), [2, 9, 13]);
    // Within the episode the count falls below and rises again.
    let events: Vec<Value> = [0, 1, 2, 61, 62, 63].map(|s| bob(s, 4625)).into();
    assert_eq!(fires(correlation, &events), [2, 5]);
}

#[test]
fn the_window_is_open_where_it_begins() {
    let correlation = "type: event_count\nrules: [failed]\ngroup-by: [TargetUserName]\ntimespan: 60s\ncondition: {gte: 2}";
    assert_eq!(fires(correlation, &[bob(0, 4625), bob(60, 4625)]), [0; 0]);
    assert_eq!(fires(correlation, &[bob(0, 4625), bob(59, 4625)]), [1]);
}

#[test]
fn conditions_are_numbers_and_ranges() {
    let events: Vec<Value> = (0..6).map(|s| bob(s, 4625)).collect();
    for (condition, expected) in [
        ("gt: 3", vec![3]),
        ("gte: 3", vec![2]),
        ("eq: 4", vec![3]),
        ("gt: 1, lte: 3", vec![1]),
        ("lt: 3", vec![0]),
        ("lte: 2, neq: 1", vec![1]),
        ("gt: 6", vec![]),
    ] {
        let correlation =
            format!("type: event_count\nrules: [failed]\ntimespan: 1h\ncondition: {{{condition}}}");
        assert_eq!(fires(&correlation, &events), expected, "{condition}");
    }
}

#[test]
fn values_are_told_apart_without_case() {
    let correlation = "type: value_count\nrules: [failed]\ngroup-by: [IpAddress]\ntimespan: 5m\ncondition: {field: TargetUserName, gte: 3}";
    let event = |second, user: &str| {
        at(
            second,
            4625,
            json!({"IpAddress": "10.0.0.1", "TargetUserName": user}),
        )
    };
    let mut events = vec![event(0, "a"), event(1, "A"), event(2, "b"), event(3, "b")];
    assert_eq!(fires(correlation, &events), [0; 0]);
    events.push(event(4, "c"));
    assert_eq!(fires(correlation, &events), [4]);
    let pairs = correlation.replace(
        "field: TargetUserName",
        "field: [TargetUserName, IpAddress]",
    );
    assert_eq!(fires(&pairs, &events), [4]);
}

#[test]
fn numbers_are_added_and_ranked() {
    let event = |second, size: Value| at(second, 4625, json!({"Size": size}));
    let events = [
        event(0, json!(10)),
        event(1, json!("0.1")),
        event(2, json!("many")),
        event(3, json!(0.2)),
        event(4, json!(100)),
        event(90, json!(1)),
    ];
    for (kind, condition, expected) in [
        ("value_sum", "gte: 10.3", vec![3]),
        ("value_sum", "gt: 110", vec![4]),
        ("value_avg", "lt: 5.1", vec![1, 5]),
        ("value_avg", "gte: 10", vec![0]),
        ("value_median", "eq: 0.2", vec![3]),
        ("value_median", "eq: 5.05", vec![1]),
        ("value_percentile", "percentile: 100, gte: 100", vec![4]),
        ("value_percentile", "percentile: 50, lte: 0.2", vec![1]),
    ] {
        let correlation = format!(
            "type: {kind}\nrules: [failed]\ntimespan: 1m\ncondition: {{field: Size, {condition}}}"
        );
        assert_eq!(fires(&correlation, &events), expected, "{kind} {condition}");
    }
}

#[test]
fn rules_hold_near_each_other() {
    let correlation =
        "type: temporal\nrules: [failed, success, other]\ngroup-by: [TargetUserName]\ntimespan: 1m";
    let events = [
        bob(0, 4634),
        bob(10, 4624),
        bob(20, 4624),
        bob(30, 4625),
        bob(40, 4625),
    ];
    assert_eq!(fires(correlation, &events), [3]);
    let two = format!("{correlation}\ncondition: {{gte: 2}}");
    assert_eq!(fires(&two, &events), [1]);
    let not = format!("{correlation}\ncondition: success and not failed");
    assert_eq!(fires(&not, &events), [1]);
    let far = [bob(0, 4634), bob(61, 4624), bob(62, 4625)];
    assert_eq!(fires(correlation, &far), [0; 0]);
}

#[test]
fn rules_hold_in_their_order() {
    let correlation = "type: temporal_ordered\nrules: [failed, success]\ngroup-by: [TargetUserName]\ntimespan: 1m";
    assert_eq!(fires(correlation, &[bob(0, 4624), bob(1, 4625)]), [0; 0]);
    assert_eq!(fires(correlation, &[bob(0, 4625), bob(1, 4624)]), [1]);
    // The latest beginning counts, not the first.
    assert_eq!(
        fires(correlation, &[bob(0, 4625), bob(50, 4625), bob(70, 4624)]),
        [2]
    );
    assert_eq!(fires(correlation, &[bob(0, 4625), bob(70, 4624)]), [0; 0]);
    // What happened at the same moment may have happened in that order.
    assert_eq!(fires(correlation, &[bob(0, 4624), bob(0, 4625)]), [0]);
}

#[test]
fn aliases_name_the_field_of_each_rule() {
    let correlation = "type: temporal\nrules: [failed, success]\naliases: {address: {failed: Source, success: Target}}\ngroup-by: [address]\ntimespan: 1m";
    let meet = [
        at(0, 4625, json!({"Source": "10.0.0.1", "Target": "x"})),
        at(1, 4624, json!({"Source": "y", "Target": "10.0.0.1"})),
    ];
    assert_eq!(fires(correlation, &meet), [1]);
    let miss = [
        at(0, 4625, json!({"Source": "10.0.0.1"})),
        at(1, 4624, json!({"Source": "10.0.0.1"})),
    ];
    assert_eq!(fires(correlation, &miss), [0; 0]);
}

/// The specification's own example, in our words: the correlations stand before what they name.
fn brute_force() -> String {
    let inner = one(
        "inner",
        "type: event_count\nrules: [failed]\ngroup-by: [TargetUserName]\ntimespan: 10m\ncondition: {gte: 10}",
    );
    let outer = one(
        "outer",
        "type: temporal_ordered\nrules: [name_inner, success]\ngroup-by: [TargetUserName]\ntimespan: 10m",
    );
    format!("{outer}---\n{inner}---\n{BASE}")
}

#[test]
fn correlations_build_on_each_other() {
    let judge = judge(&brute_force());
    // The tenth failure is long past when the logon comes, but failures go on.
    let mut events: Vec<Value> = (0..60).map(|n| bob(n * 30, 4625)).collect();
    events.push(bob(60 * 30, 4624));
    let (found, findings) = scanned(&judge, &events);
    assert_eq!(
        found,
        BTreeSet::from([(60, "outer".into())]),
        "the inner one is silent"
    );
    let evidence: Vec<String> = findings[0]
        .1
        .evidence
        .iter()
        .map(|e| format!("{}|{}|{}", e.selection, e.field, e.value))
        .collect();
    assert_eq!(
        evidence[0],
        "correlation||2 rules in order (all rules) between 2020-09-13T12:47:10.000Z and 2020-09-13T12:56:40.000Z"
    );
    assert_eq!(evidence[1], "group-by|TargetUserName|bob");
    assert_eq!(
        evidence.last().unwrap(),
        "success||2020-09-13T12:56:40.000Z logs/000060"
    );
    // Too few failures.
    let mut few: Vec<Value> = (0..9).map(|n| bob(n, 4625)).collect();
    few.push(bob(10, 4624));
    assert!(scanned(&judge, &few).0.is_empty());
}

#[test]
fn counts_of_correlations_are_counts_of_episodes() {
    let inner = one(
        "inner",
        "type: event_count\nrules: [failed]\ngroup-by: [TargetUserName]\ntimespan: 10s\ncondition: {gte: 2}",
    );
    let outer = "type: event_count\nrules: [inner]\ntimespan: 10m\ncondition: {gte: 2}";
    let text = format!("{}---\n{inner}", rules(outer));
    let burst = |start: i64| (0..5).map(move |n| bob(start + n, 4625));
    let one: Vec<Value> = burst(0).collect();
    assert!(scanned(&judge(&text), &one).0.is_empty());
    let two: Vec<Value> = burst(0).chain(burst(60)).collect();
    assert_eq!(
        scanned(&judge(&text), &two).0,
        BTreeSet::from([(6, "c".into())])
    );
}

#[test]
fn rules_of_a_correlation_speak_only_if_they_are_told_to() {
    let correlation = "type: event_count\nrules: [other]\ntimespan: 1m\ncondition: {gte: 2}";
    let events = [bob(0, 4634), bob(1, 4634)];
    assert_eq!(scanned(&judge(&rules(correlation)), &events).0.len(), 1);
    let loud = rules(correlation).replace("correlation:", "generate: true\ncorrelation:");
    assert_eq!(scanned(&judge(&loud), &events).0.len(), 3);
    // A correlation that cannot be used does not let its rules loose.
    let broken = rules(&correlation.replace("[other]", "[other, nothing]"));
    let (set, problems, _) = loaded(&broken);
    assert_eq!(problems.len(), 1);
    assert_eq!(set.rules.iter().filter(|rule| rule.silent).count(), 1);
}

#[test]
fn other_rules_make_other_groups() {
    let correlation = "type: event_count\nrules: [failed]\ntimespan: 1m\ncondition: {gte: 2}";
    let key = |text: &str| loaded(text).0.correlations[0].key.to_string();
    let first = key(&rules(correlation));
    assert_eq!(
        first,
        key(&rules(correlation).replace("title: Failed", "title: Failing"))
    );
    assert_ne!(first, key(&rules(correlation).replace("4625", "4771")));
    assert_ne!(first, key(&rules(correlation).replace("gte: 2", "gte: 3")));
    let digest = |text: &str| loaded(text).0.digest().to_owned();
    assert_ne!(digest(BASE), digest(&rules(correlation)));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_line() {
    let good = "type: event_count\nrules: [failed]\ngroup-by: [TargetUserName]\ntimespan: 1m\ncondition: {gte: 2}";
    for (from, to, expected) in [
        (
            "type: event_count",
            "type: event_counts",
            "c.yml:24: unknown type `event_counts`; did you mean `event_count`?",
        ),
        (
            "type: event_count\n",
            "",
            "c.yml:24: the correlation has no `type`; one of event_count, value_count, value_sum, value_avg, value_percentile, value_median, temporal, temporal_ordered",
        ),
        (
            "[failed]",
            "[fialed]",
            "c.yml:25: no rule that can be used has the id or name `fialed`; did you mean `failed`?",
        ),
        (
            "[failed]",
            "[failed, failed]",
            "c.yml:25: `failed` stands twice in `rules`; name it once",
        ),
        (
            "[failed]",
            "[c]",
            "c.yml:25: the correlation `c` cannot be used, so neither can this; correlations must not build on each other in a circle",
        ),
        (
            "rules: [failed]\n",
            "",
            "c.yml:24: `rules` names 0 rules; 1 to 100 ids or names",
        ),
        (
            "1m",
            "1x",
            "c.yml:27: `1x` is no timespan; a number with s, m, h, d or w, such as `90m`; a year at most",
        ),
        (
            "timespan: 1m\n",
            "",
            "c.yml:24: the correlation has no `timespan`; a number with s, m, h, d or w, such as `90m`; a year at most",
        ),
        (
            "timespan: 1m",
            "timespan: 99999999999999999999d",
            "c.yml:27: `99999999999999999999d` is no timespan; a number with s, m, h, d or w, such as `90m`; a year at most",
        ),
        (
            "condition: {gte: 2}",
            "",
            "c.yml:24: the correlation has no `condition`; such as `gte: 10` below it",
        ),
        (
            "{gte: 2}",
            "{gte: two}",
            "c.yml:28: `gte` needs a number; such as `gte: 10`",
        ),
        (
            "{gte: 2}",
            "{atleast: 2}",
            "c.yml:28: unknown condition `atleast`; gt, gte, lt, lte, eq or neq with a number, `field`, `percentile`",
        ),
        (
            "{gte: 2}",
            "{}",
            "c.yml:28: the condition compares nothing; such as `gte: 10`",
        ),
        (
            "{gte: 2}",
            "{gte: 2, field: X}",
            "c.yml:28: `field` goes with the `value_` types only; name it in `group-by`, or make it a `value_count`",
        ),
        (
            "{gte: 2}",
            "failed",
            "c.yml:28: a condition in words goes with `temporal` only; such as `gte: 10` below `condition`",
        ),
        (
            "event_count",
            "value_count",
            "c.yml:28: the condition names no `field` whose values are meant; such as `field: TargetUserName` beside `gte: 10`",
        ),
        (
            "event_count",
            "value_percentile",
            "c.yml:24: `value_percentile` needs a `percentile` in its condition; a whole number from 1 to 100",
        ),
        (
            "type: event_count",
            "type: temporal\naliases: {a: {success: X}}",
            "c.yml:25: the alias `a` speaks of `success`, which `rules` does not name; call the rule as `rules` does",
        ),
        (
            "rules: [failed]\ngroup-by: [TargetUserName]",
            "rules: [failed, success]\naliases: {a: {success: X}}\ngroup-by: [a]",
            "c.yml:26: the alias `a` has no field for `failed`; give one for each of `rules`",
        ),
        (
            "rules:",
            "order: 1\nrules:",
            "c.yml:25: unknown key `order`; a correlation has type, rules, group-by, timespan, condition, aliases, generate, field",
        ),
        (
            "type: event_count",
            "type: event_count\ngenerate: maybe",
            "c.yml:25: `generate` is not true or false",
        ),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good);
        let (set, problems, _) = loaded(&rules(&changed));
        assert_eq!(problems, [expected], "{changed}");
        assert_eq!((set.rules.len(), set.correlations.len()), (3, 0));
    }
    let words = good
        .replace("event_count", "temporal")
        .replace("{gte: 2}", "failed and nothing");
    assert_eq!(
        loaded(&rules(&words)).1,
        ["c.yml:28: no rule of it is called `nothing`"]
    );
    let twice = format!("{}---\n{}", rules(good), one("c", good));
    assert_eq!(
        loaded(&twice).1,
        ["c.yml:30: the id `c` is that of another rule; give this one an id of its own"]
    );
    let (_, problems, _) = loaded(&format!("{BASE}---\ntitle: T\ncorrelation: [a]\n"));
    assert_eq!(problems, ["c.yml:19: `correlation` is not a map"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn loading_never_panics(text in "(title: T\n|correlation:\n|  type: (temporal|event_count)\n|  rules: (\\[a\\]|a|\\{\\})\n|  timespan: [0-9]{1,4}[smhdx]\n|  condition: (gte: 1|a and a|\\{gte: 1\\})\n|name: a\n|filter:\n|  selection: \\{A: 1\\}\n|---\n|[a-z]{1,3}: [\\[\\]{}:a]{0,4}\n){0,12}") {
        drop(loaded(&text));
    }
}
