//! Filters and placeholders: what users add to rules without touching them. Both must change what
//! is found as they say, for both engines, and whatever is named in vain must be told.

use std::path::Path;

use picket::finding::SecondOpinion;
use picket::rule::{Placeholders, RuleSet, yaml};
use picket::taxonomy::Fields;
use serde_json::json;

use crate::sigma::{Bench, rule};

const WHOAMI: &str = "title: Who am I
id: 11111111-aaaa-4000-8000-000000000001
name: whoami
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\\whoami.exe'}
  filter_main: {ParentImage|endswith: '\\setup.exe'}
  condition: selection and not 1 of filter_*
";

const ADMINS: &str = "title: Our administrators
logsource: {product: windows}
filter:
  rules: [whoami]
  selection: {User|startswith: 'adm_'}
  filter_shift: {UtcTime|hour|gte: 20}
  condition: not selection or filter_shift
";

fn problems(text: &str) -> Vec<String> {
    let none = Placeholders::default();
    let (_, problems) = RuleSet::parse(Path::new("f.yml"), text, &none, &mut Fields::default());
    problems.iter().map(ToString::to_string).collect()
}

fn digest(text: &str) -> String {
    let none = Placeholders::default();
    let (rules, _) = RuleSet::parse(Path::new("f.yml"), text, &none, &mut Fields::default());
    rules.digest().to_owned()
}

fn placeholders(text: &str) -> Placeholders {
    Placeholders::read(&yaml::parse(text).remove(0).unwrap()).0
}

#[test]
fn a_filtered_rule_holds_where_both_conditions_do() {
    // Wherever the filter stands: before the rule too.
    for text in [
        format!("{WHOAMI}---\n{ADMINS}"),
        format!("{ADMINS}---\n{WHOAMI}"),
    ] {
        let mut bench = Bench::new(&text);
        let image = "C:\\Windows\\System32\\whoami.exe";
        let event = |user: &str, hour: u8| json!({"Image": image, "User": user, "UtcTime": format!("2026-11-22 {hour}:00:00.000")});
        assert_eq!(bench.ids(event("bob", 12)).len(), 1);
        assert_eq!(bench.ids(event("ADM_bob", 12)).len(), 0);
        assert_eq!(bench.ids(event("adm_bob", 22)).len(), 1);
        // The rule's `filter_*` does not mean the filter's `filter_shift`.
        let setup = json!({"Image": image, "User": "bob", "ParentImage": "C:\\setup.exe"});
        assert_eq!(bench.ids(setup).len(), 0);
    }
}

#[test]
fn the_second_engine_is_asked_about_rule_and_filter() {
    let filter = "title: F\nlogsource: {product: windows}\nfilter:\n  rules: any\n  _hidden: {User: root}\n  selection: {User: adm}\n  condition: not 1 of them\n";
    let mut bench = Bench::new(&format!("{WHOAMI}---\n{filter}"));
    let findings = bench.findings(json!({"Image": "x\\whoami.exe", "User": "root"}));
    assert_eq!(findings[0].second_opinion, Some(SecondOpinion::Agrees));
    let adm = json!({"Image": "x\\whoami.exe", "User": "adm"});
    assert_eq!(bench.ids(adm).len(), 0);
    // A filter that asks for something is evidence, too.
    let positive = ADMINS
        .replace("not selection or filter_shift", "selection")
        .replace("UtcTime|hour|gte: 20", "User: null");
    let mut bench = Bench::new(&format!("{WHOAMI}---\n{positive}"));
    let findings = bench.findings(json!({"Image": "x\\whoami.exe", "User": "adm_x"}));
    let said: Vec<&str> = findings[0].evidence.iter().map(|e| &*e.selection).collect();
    assert_eq!(said, ["selection", "selection (Our administrators)"]);
    assert_eq!(findings[0].second_opinion, Some(SecondOpinion::Agrees));
}

#[test]
fn any_means_all_rules_of_the_log_source() {
    let other = rule("sel: {User: adm_x}\ncondition: sel");
    let filter = "title: F\nlogsource: {category: process_creation}\nfilter:\n  rules: any\n  selection: {User: adm_x}\n  condition: not selection\n";
    let mut bench = Bench::new(&format!("{WHOAMI}---\n{other}---\n{filter}"));
    let hits = bench.ids(json!({"Image": "x\\whoami.exe", "User": "adm_x"}));
    assert_eq!(hits, ["r"], "a rule for all of windows is not narrowed");
}

#[test]
fn a_filter_changes_the_digest() {
    let both = format!("{WHOAMI}---\n{ADMINS}");
    assert_ne!(digest(WHOAMI), digest(&both));
    assert_ne!(digest(&both), digest(&both.replace("adm_", "sys_")));
    assert_eq!(digest(&both), digest(&format!("{ADMINS}---\n{WHOAMI}")));
}

#[test]
fn what_a_filter_names_in_vain_is_said() {
    let filter = |from: &str, to: &str| {
        let changed = ADMINS.replace(from, to);
        assert_ne!(changed, ADMINS);
        problems(&format!("{changed}---\n{WHOAMI}"))
    };
    for (from, to, expected) in [
        (
            "[whoami]",
            "[whoami, whoamy]",
            "f.yml:4: no rule that can be used has the id or name `whoamy`; did you mean `whoami`?",
        ),
        (
            "{product: windows}",
            "{product: linux}",
            "f.yml:4: the rule `whoami` is for product windows, category process_creation, the filter for product linux; give both the same `logsource`",
        ),
        (
            "logsource: {product: windows}\n",
            "",
            "f.yml:3: the filter has no `logsource`; it says which rules may be meant, as that of a rule",
        ),
        (
            "  rules: [whoami]\n",
            "",
            "f.yml:4: the filter has no `rules`; ids or names of rules, or `any` for all of the log source",
        ),
        (
            "[whoami]",
            "[whoami, whoami]",
            "f.yml:4: the rule `whoami` stands twice; name it once",
        ),
        (
            "[whoami]",
            "[]",
            "f.yml:4: `rules` is empty; ids or names of rules, or `any` for all of the log source",
        ),
        (
            "{product: windows}\nfilter:\n  rules: [whoami]",
            "{product: linux}\nfilter:\n  rules: any",
            "f.yml:4: no rule is for product linux; the filter's `logsource` must say no more than that of the rules",
        ),
        (
            "condition: not selection",
            "condition: not selektion",
            "f.yml:7: no selection is called `selektion`; did you mean `selection`?",
        ),
        (
            "  condition: not selection or filter_shift\n",
            "",
            "f.yml:4: `detection` has no `condition`; add `condition: selection`",
        ),
    ] {
        assert_eq!(filter(from, to), [expected]);
    }
    let taxonomy = format!("taxonomy: ecs\n{WHOAMI}");
    assert_eq!(
        problems(&taxonomy),
        [
            "f.yml:1: the taxonomy `ecs` is not known; write the rule with Sigma's own field names and leave `taxonomy` out"
        ]
    );
}

#[test]
fn placeholders_stand_for_their_values() {
    let text = rule(
        "sel: {User|expand: ['%Admins%', 'svc_%Site%'], Ip|cidr|expand: '%nets%'}\ncondition: sel",
    );
    let known = placeholders("{Admins: [alice, 'bo*'], Site: [a, 1], nets: [10.0.0.0/8]}");
    let mut bench = Bench::filled(&text, &known);
    for (user, ip, expected) in [
        ("Alice", "10.1.1.1", 1),
        ("BOB", "10.1.1.1", 1),
        ("svc_1", "10.1.1.1", 1),
        ("svc_b", "10.1.1.1", 0),
        ("alice", "11.1.1.1", 0),
    ] {
        let fields = json!({"User": user, "Ip": ip});
        assert_eq!(bench.ids(fields).len(), expected, "{user} {ip}");
    }
    let findings = bench.findings(json!({"User": "bob", "Ip": "10.0.0.1"}));
    assert_eq!(findings[0].second_opinion, Some(SecondOpinion::Agrees));
}

#[test]
fn placeholders_work_behind_every_modifier() {
    let text = rule(
        "a: {A|re|expand: '^%x%$'}\nb: {B|contains|all|expand: '%x%'}\nc: {C|neq|expand: '%x%'}\n'd': {'|expand': '%word%'}\ncondition: 1 of them",
    );
    let mut bench = Bench::filled(&text, &placeholders("{x: ['a.', b], word: mimi}"));
    for (fields, expected) in [
        (json!({"A": "az"}), 1),
        (json!({"A": "azz"}), 0),
        (json!({"B": "x a. b"}), 1),
        (json!({"B": "x b"}), 0),
        (json!({"C": "z"}), 1),
        (json!({"C": "b"}), 0),
        (json!({"Z": "mimikatz"}), 1),
    ] {
        let said = fields.to_string();
        assert_eq!(bench.ids(fields).len(), expected, "{said}");
    }
}

#[test]
fn other_values_are_another_rule() {
    let text = rule("sel: {User|expand: '%Admins%'}\ncondition: sel");
    let digest = |known: &str| {
        let known = placeholders(known);
        let path = Path::new("f.yml");
        let (rules, _) = RuleSet::parse(path, &text, &known, &mut Fields::default());
        (rules.rules.len(), rules.digest().to_owned())
    };
    assert_ne!(digest("{Admins: a}"), digest("{Admins: b}"));
    assert_eq!(digest("{Admins: []}").0, 0);
}
