//! What Sigma rules mean: each modifier, each trap of the language and of the index. The law of the
//! index stands in `law`.

#![expect(clippy::unwrap_used, reason = "tests end by panicking")]

mod evidence;
mod law;
mod traps;

use std::path::Path;
use std::sync::Arc;

use picket::alert::AlertLevels;
use picket::detect::sigma::SigmaDetector;
use picket::detect::{Detector, Inspection};
use picket::document::Document;
use picket::finding::{Finding, SecondOpinion};
use picket::rule::{Placeholders, RuleSet};
use picket::taxonomy::{Event, Fields, Reader, Slots};
use serde_json::{Value, json};

pub(crate) struct Bench {
    reader: Reader,
    slots: Slots,
    detector: SigmaDetector,
    rules: Arc<RuleSet>,
}

impl Bench {
    pub(crate) fn new(text: &str) -> Self {
        Self::filled(text, &Placeholders::default())
    }

    /// With values for placeholders.
    pub(crate) fn filled(text: &str, placeholders: &Placeholders) -> Self {
        let mut fields = Fields::default();
        let (rules, problems) =
            RuleSet::parse(Path::new("test.yml"), text, placeholders, &mut fields);
        assert!(problems.is_empty(), "{problems:?}\n{text}");
        let rules = Arc::new(rules);
        Self {
            reader: Reader::new(&fields),
            slots: Slots::default(),
            detector: SigmaDetector::new(rules.clone(), &fields, AlertLevels::default())
                .learning(2, 3),
            rules,
        }
    }

    fn with<T>(
        &mut self,
        fields: Value,
        look: impl FnOnce(&mut SigmaDetector, &Event<'_>) -> T,
    ) -> T {
        let mut source = json!({ "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1 });
        if let (Value::Object(source), Value::Object(fields)) = (&mut source, fields) {
            source.extend(fields);
        }
        self.with_source(source.to_string(), look)
    }

    fn with_source<T>(
        &mut self,
        source: String,
        look: impl FnOnce(&mut SigmaDetector, &Event<'_>) -> T,
    ) -> T {
        let document = Document::loose("test".into(), "1", source);
        self.reader.read(&document.source, &mut self.slots).unwrap();
        look(&mut self.detector, &Event::new(&document, &self.slots))
    }

    /// The ids of the rules that hold; both ways of finding them must agree.
    pub(crate) fn ids(&mut self, fields: Value) -> Vec<String> {
        let said = fields.to_string();
        let both = self.with(fields, both_ways);
        self.agreed(both, &said)
    }

    /// The same of fields in JSON as it is written.
    fn ids_of(&mut self, fields: &str) -> Vec<String> {
        let mut source = r#"{"Channel":"Microsoft-Windows-Sysmon/Operational""#.to_owned();
        if !fields.contains("EventID") {
            source += r#","EventID":1"#;
        }
        let rest = fields.strip_prefix('{').unwrap_or_default();
        let comma = if rest == "}" { "" } else { "," };
        source += &format!("{comma}{rest}");
        let both = self.with_source(source, both_ways);
        self.agreed(both, fields)
    }

    fn agreed(&self, (hits, walked): (Vec<u32>, Vec<u32>), said: &str) -> Vec<String> {
        assert_eq!(
            hits, walked,
            "the index and the plain walk differ on {said}"
        );
        let id = |number: &u32| self.rules.rules[*number as usize].id.to_string();
        hits.iter().map(id).collect()
    }

    fn inspect(&mut self, fields: Value) -> Inspection {
        self.with(fields, |detector, event| {
            let mut found = Inspection::default();
            detector.inspect(std::slice::from_ref(event), &mut found);
            found
        })
    }

    pub(crate) fn findings(&mut self, fields: Value) -> Vec<Finding> {
        let found = self.inspect(fields).findings;
        found.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// What is found with the index, and by the plain walk.
fn both_ways(detector: &mut SigmaDetector, event: &Event<'_>) -> (Vec<u32>, Vec<u32>) {
    (
        detector.hits(event).to_vec(),
        detector.hits_by_full_walk(event).to_vec(),
    )
}

/// A rule whose detection has these lines.
pub(crate) fn rule(detection: &str) -> String {
    let lines: String = detection
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect();
    format!("title: T\nid: r\nlevel: high\nlogsource: {{product: windows}}\ndetection:\n{lines}")
}

fn holds(detection: &str, fields: Value) -> bool {
    !Bench::new(&rule(detection)).ids(fields).is_empty()
}

/// Whether a selection of this one line holds for a document with these fields.
fn line(line: &str, fields: Value) -> bool {
    holds(&format!("sel:\n  {line}\ncondition: sel"), fields)
}

#[test]
fn modifiers_and_values() {
    for (selection, fields, expected) in [
        ("Image: 'C:\\a.exe'", json!({"Image": "c:\\A.EXE"}), true),
        ("Image: a", json!({"Image": "ab"}), false),
        ("Image|contains: b", json!({"Image": "aBc"}), true),
        ("Image|startswith: ab", json!({"Image": "ABC"}), true),
        ("Image|startswith: b", json!({"Image": "abc"}), false),
        (
            "Image|endswith: '\\cmd.exe'",
            json!({"Image": "C:\\CMD.EXE"}),
            true,
        ),
        ("Image|endswith: '1?'", json!({"Image": "x12"}), true),
        ("Image|endswith: '1?'", json!({"Image": "x112"}), true),
        ("Image|contains|all: [a, b]", json!({"Image": "xbxa"}), true),
        ("Image|contains|all: [a, b]", json!({"Image": "xa"}), false),
        ("Image|contains: [a, b]", json!({"Image": "xb"}), true),
        ("Image|re: '^a.c$'", json!({"Image": "abc"}), true),
        ("Image|re: '^a.c$'", json!({"Image": "ABC"}), false),
        ("Image|re|i: '^a.c$'", json!({"Image": "ABC"}), true),
        ("Image|re|m: '^b$'", json!({"Image": "a\nb"}), true),
        ("Image|re|s: 'a.b'", json!({"Image": "a\nb"}), true),
        ("Image|re: 'a.b'", json!({"Image": "a\nb"}), false),
        ("Image|cased: Abc", json!({"Image": "Abc"}), true),
        ("Image|cased: Abc", json!({"Image": "abc"}), false),
        ("Image|contains|cased: B", json!({"Image": "aBc"}), true),
        ("Image|contains|cased: B", json!({"Image": "abc"}), false),
        (
            "DestinationIp|cidr: 10.0.0.0/8",
            json!({"DestinationIp": "10.1.2.3"}),
            true,
        ),
        (
            "DestinationIp|cidr: 10.0.0.0/8",
            json!({"DestinationIp": "11.1.2.3"}),
            false,
        ),
        (
            "CommandLine|windash|contains: ' -enc'",
            json!({"CommandLine": "x \u{2015}enc"}),
            true,
        ),
        (
            "CommandLine|windash|contains: ' /enc'",
            json!({"CommandLine": "x -enc"}),
            true,
        ),
        (
            "CommandLine|base64offset|contains: secret",
            json!({"CommandLine": "eHNlY3JldA=="}),
            true,
        ),
        (
            "CommandLine|wide|base64offset|contains: ab",
            json!({"CommandLine": "xYQBiAA"}),
            true,
        ),
        (
            "CommandLine|base64: abc",
            json!({"CommandLine": "YWJj"}),
            true,
        ),
        ("Foo|exists: true", json!({"Foo": null}), true),
        ("Foo|exists: true", json!({}), false),
        ("Foo|exists: false", json!({}), true),
        ("Foo|fieldref: Bar", json!({"Foo": "A", "Bar": "a"}), true),
        ("Foo|fieldref: Bar", json!({"Foo": "A"}), false),
        (
            "Foo|fieldref|endswith: Bar",
            json!({"Foo": "xA", "Bar": "a"}),
            true,
        ),
        ("Foo|gt: 5", json!({"Foo": 6}), true),
        ("Foo|gte: 5", json!({"Foo": "5"}), true),
        ("Foo|lt: 5", json!({"Foo": "x"}), false),
        ("Foo|lte: 5", json!({"Foo": 5.5}), false),
        ("Foo|neq: a", json!({"Foo": "b"}), true),
        ("Foo|neq: a", json!({"Foo": "A"}), false),
        ("Foo|neq: a", json!({}), false),
        (
            "Foo|expand: 'no placeholder'",
            json!({"Foo": "no placeholder"}),
            true,
        ),
        (
            "Foo|fieldref|startswith|cased: Bar",
            json!({"Foo": "aX", "Bar": "a"}),
            true,
        ),
        (
            "Foo|fieldref|contains: Bar",
            json!({"Foo": "xAx", "Bar": ["y", "a"]}),
            true,
        ),
        // What stands in the other field is no pattern.
        (
            "Foo|fieldref: Bar",
            json!({"Foo": "ab", "Bar": "a*"}),
            false,
        ),
        (
            "Foo|fieldref|neq: Bar",
            json!({"Foo": "a", "Bar": "b"}),
            true,
        ),
        (
            "Foo|fieldref|neq: Bar",
            json!({"Foo": "a", "Bar": "A"}),
            false,
        ),
        ("Foo|neq: [1, 2]", json!({"Foo": 3}), true),
        ("Foo|neq: [1, 2]", json!({"Foo": 2}), false),
        (
            "CommandLine|utf16be|base64offset|contains: ab",
            json!({"CommandLine": "AGEAYg=="}),
            true,
        ),
        (
            "CommandLine|utf16|base64: a",
            json!({"CommandLine": "//5hAA=="}),
            true,
        ),
        // Parts of a time, as it is written.
        (
            "Time|hour|gte: 22",
            json!({"Time": "2026-11-22T23:59:00+02:00"}),
            true,
        ),
        (
            "Time|hour|gte: 22",
            json!({"Time": "2026-11-22 21:59:00.000"}),
            false,
        ),
        (
            "Time|minute: 59",
            json!({"Time": "2026-11-22 21:59:00"}),
            true,
        ),
        ("Time|day: [1, 22]", json!({"Time": "2026-11-22"}), true),
        ("Time|week: 47", json!({"Time": "2026-11-22"}), true),
        ("Time|month|neq: 11", json!({"Time": "2026-11-22"}), false),
        ("Time|year|lt: 2026", json!({"Time": "2025-11-22"}), true),
        ("Time|year|lt: 2026", json!({"Time": "before"}), false),
        // Number, bool and text are compared by what they say.
        ("Foo: 1", json!({"Foo": "1"}), true),
        ("Foo: '1'", json!({"Foo": 1}), true),
        ("Foo: true", json!({"Foo": "True"}), true),
        ("Foo: 'true'", json!({"Foo": true}), true),
        // null is absent or null; '' is a value.
        ("Foo: null", json!({}), true),
        ("Foo: null", json!({"Foo": null}), true),
        ("Foo: null", json!({"Foo": ""}), false),
        ("Foo: ''", json!({"Foo": ""}), true),
        ("Foo: ''", json!({"Foo": null}), false),
        ("Foo: ''", json!({}), false),
        ("Foo: '*'", json!({"Foo": ""}), true),
        ("Foo: '*'", json!({}), false),
        ("Foo: '?*'", json!({"Foo": ""}), false),
        ("Foo: [null, a]", json!({"Foo": "a"}), true),
        ("Foo: [null, a]", json!({}), true),
        // Any value of an array.
        ("Foo|contains: b", json!({"Foo": ["a", "xbx"]}), true),
        ("Foo|contains|all: [a, b]", json!({"Foo": ["a", "b"]}), true),
        ("Foo|re: '^b'", json!({"Foo": ["a", "bc"]}), true),
        // Wildcards and escapes.
        ("Foo: 'a*c?e'", json!({"Foo": "abcde"}), true),
        (r"Foo: 'a\*c'", json!({"Foo": "abc"}), false),
        (r"Foo: 'a\*c'", json!({"Foo": "a*c"}), true),
        (r"Foo: 'a\\*'", json!({"Foo": r"a\x"}), true),
        // The two letters that become ASCII in lower case, and their neighbours.
        ("Foo|contains: key", json!({"Foo": "\u{212a}EY"}), true),
        ("Foo|contains: 'i\u{307}'", json!({"Foo": "\u{130}"}), true),
        ("Foo|contains: İ", json!({"Foo": "xİ"}), true),
        ("Foo|re: '(?i)key'", json!({"Foo": "\u{212a}ey"}), true),
        (
            "Foo|re: '(?i)cross'",
            json!({"Foo": "cro\u{17f}\u{17f}"}),
            true,
        ),
        ("Foo|contains: É", json!({"Foo": "é"}), true),
    ] {
        assert_eq!(
            line(selection, fields.clone()),
            expected,
            "{selection} on {fields}"
        );
    }
}

#[test]
fn conditions_and_lists() {
    let keywords = "kw: [mimi*tz, 'two words', 7045]\ncondition: kw";
    assert!(holds(keywords, json!({"Foo": "a MIMIKATZ b"})));
    assert!(holds(
        keywords,
        json!({"Foo": ["x", "has Two Words in it"]})
    ));
    assert!(holds(keywords, json!({"Foo": {"deep": "ID 7045."}})));
    assert!(!holds(keywords, json!({"Foo": "mimik"})));
    let all = "kw:\n  '|all': [one, two]\ncondition: kw";
    assert!(holds(all, json!({"A": "one", "B": "two"})));
    assert!(!holds(all, json!({"A": "one"})));
    let maps = "sel:\n  - A: 1\n    B: 2\n  - C: 3\ncondition: sel";
    assert!(holds(maps, json!({"A": 1, "B": 2})));
    assert!(holds(maps, json!({"C": 3})));
    assert!(!holds(maps, json!({"A": 1})));
    // A field that is absent makes no `not` fail.
    let filter = "sel: {A: 1}\nfilter: {B|contains: x}\ncondition: sel and not filter";
    assert!(holds(filter, json!({"A": 1})));
    assert!(!holds(filter, json!({"A": 1, "B": "axb"})));
    let them = "sel: {A: 1}\n_off: {B: 1}\ncondition: all of them";
    assert!(holds(them, json!({"A": 1})));
    let list = "a: {A: 1}\nb: {B: 1}\ncondition: [a, b]";
    assert!(holds(list, json!({"B": 1})));
    assert!(holds(
        "a: {A: 1}\nb: {B: 1}\ncondition: NOT (a OR b)",
        json!({})
    ));
}

#[test]
fn no_event_sees_the_last_ones_values() {
    let mut bench = Bench::new(&rule("sel: {Foo|contains: evil}\ncondition: sel"));
    assert_eq!(bench.ids(json!({"Foo": "evil"})).len(), 1);
    assert_eq!(bench.ids(json!({"Bar": "evil"})).len(), 0);
    assert_eq!(bench.ids(json!({"Foo": "evil"})).len(), 1);
    assert_eq!(bench.ids(json!({"Foo": ["good", "evil"]})).len(), 1);
    assert_eq!(bench.ids(json!({"Foo": "good\u{1}evi"})).len(), 0);
    let mut bench = Bench::new(&rule(
        "sel: {Foo: a}\nwords: [evil]\ncondition: sel or words",
    ));
    assert_eq!(bench.ids(json!({"Foo": "b", "Bar": "c"})).len(), 0);
    assert_eq!(bench.ids(json!({"Foo": "b", "Bar": "so EVIL"})).len(), 1);
    assert_eq!(bench.ids(json!({"Foo": "b", "Bar": "c"})).len(), 0);
    assert_eq!(bench.ids(json!({"Foo": "a", "Bar": "c"})).len(), 1);
}

#[test]
fn a_rule_sees_only_its_own_log_source() {
    let text = rule("sel: {CommandLine|contains: whoami}\ncondition: sel").replace(
        "{product: windows}",
        "{product: windows, category: process_creation}",
    );
    let mut bench = Bench::new(&text);
    assert_eq!(bench.ids(json!({"CommandLine": "whoami"})).len(), 1);
    assert_eq!(
        bench
            .ids(json!({"CommandLine": "whoami", "EventID": 3}))
            .len(),
        0
    );
    let linux = text.replace("product: windows", "product: linux");
    assert_eq!(
        Bench::new(&linux)
            .ids(json!({"CommandLine": "whoami"}))
            .len(),
        0
    );
}

/// It takes time for each character and each pattern; a script of a megabyte would hold all up.
#[test]
fn the_second_engine_is_not_asked_about_texts_without_end() {
    let mut bench = Bench::new(&rule(
        "sel: {CommandLine|contains: [one, two, three, four]}\ncondition: sel",
    ));
    for (length, opinion) in [
        (1_000, SecondOpinion::Agrees),
        (1_000_000, SecondOpinion::TooLong),
    ] {
        let findings = bench.findings(json!({"CommandLine": "x".repeat(length) + "four"}));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].second_opinion, Some(opinion));
    }
}

/// Where sigma-rust by itself would say no to a rule that holds.
#[test]
fn the_second_engine_agrees_where_it_needs_help() {
    for (detection, fields) in [
        ("sel: {Foo: null}\ncondition: sel", json!({})),
        ("sel: {Foo: 1}\ncondition: sel", json!({"Foo": "1"})),
        ("sel: {Foo: 'true'}\ncondition: sel", json!({"Foo": true})),
        (
            "kw: [evil, 'c:\\']\ncondition: kw",
            json!({"Foo": "an evil one"}),
        ),
        (
            "sel: {Foo|endswith: '1?'}\ncondition: sel",
            json!({"Foo": "x112"}),
        ),
        (
            "sel: {Foo|re|i: ABC}\ncondition: sel",
            json!({"Foo": "abc"}),
        ),
        (
            "sel: {Foo|re|m: '^b'}\ncondition: sel",
            json!({"Foo": "a\nb"}),
        ),
        ("sel: {Foo|expand: x}\ncondition: sel", json!({"Foo": "x"})),
        ("a: {A: 1}\nb: {B: 1}\ncondition: [a, b]", json!({"B": 1})),
        ("sel: evil\ncondition: sel", json!({"Foo": "evil"})),
        (
            "sel: {Foo|windash|contains: ' -a \u{2013}b'}\ncondition: sel",
            json!({"Foo": "x /a \u{2013}b"}),
        ),
        (
            "sel: {A: 1}\n_off: {B: 1}\ncondition: all of them",
            json!({"A": 1}),
        ),
        ("sel: {A|gt: 5}\ncondition: ANY OF them", json!({"A": 6})),
        ("sel: {A|exists: true}\ncondition: sel", json!({"A": null})),
        // Several questions to one long value.
        (
            "sel: {A|startswith: q, A|contains: [x, y], A|contains|all: [b, c], A|endswith: [z, w]}\ncondition: sel",
            json!({"A": format!("Q{}y c b Z", "-".repeat(9_000))}),
        ),
    ] {
        let findings = Bench::new(&rule(detection)).findings(fields);
        assert_eq!(findings.len(), 1, "{detection}");
        assert_eq!(
            findings[0].second_opinion,
            Some(SecondOpinion::Agrees),
            "{detection}"
        );
    }
    for (detection, fields) in [
        ("sel: {Foo: b}\ncondition: sel", json!({"Foo": ["a", "b"]})),
        ("sel: {Foo|neq: a}\ncondition: sel", json!({"Foo": "b"})),
        (
            "sel: {Foo|hour: 3}\ncondition: sel",
            json!({"Foo": "2026-11-22 03:00:00"}),
        ),
    ] {
        let findings = Bench::new(&rule(detection)).findings(fields);
        assert_eq!(
            findings[0].second_opinion,
            Some(SecondOpinion::Unsupported),
            "{detection}"
        );
    }
}
