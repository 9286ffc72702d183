//! The rules and the blacklist that are bundled: each rule loads, is named and tagged, does what
//! the cases beside it say, and the second engine never differs on it. Changes no rule.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests end by panicking")]
#![expect(clippy::print_stdout, reason = "what is measured is shown")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use picket::alert::{AlertLevels, Level};
use picket::detect::blacklist::{Blacklist, BlacklistDetector};
use picket::detect::correlate::Hit;
use picket::detect::sigma::SigmaDetector;
use picket::detect::{Detector, Inspection};
use picket::document::Document;
use picket::finding::{Finding, SecondOpinion};
use picket::input::{Inputs, Item, Progress};
use picket::rule::{Placeholders, Rule, RuleSet, bundled_blacklist};
use picket::sweep::Ledger;
use picket::taxonomy::{Event, Fields, Reader, Slots};
use serde::Deserialize;

use crate::support;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

/// One entry of a `NAME.cases.json`: of a rule about one document, of a correlation about several,
/// in their order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    note: String,
    fires: bool,
    #[serde(default)]
    document: serde_json::Value,
    #[serde(default)]
    documents: Vec<serde_json::Value>,
}

/// The cases of a rule; of one that speaks to a correlation only there are none.
fn cases(rule: &Rule) -> Vec<Case> {
    match rule.silent {
        true => Vec::new(),
        false => cases_beside(&rule.path),
    }
}

fn cases_beside(rule: &Path) -> Vec<Case> {
    let path = rule.with_extension("cases.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The bundled rules, ready to be asked about one document after the other.
struct Rules {
    set: Arc<RuleSet>,
    detector: SigmaDetector,
    reader: Reader,
    slots: Slots,
}

impl Rules {
    fn new() -> Self {
        let mut fields = Fields::default();
        let (set, problems) = RuleSet::load(&[folder()], &Placeholders::default(), &mut fields);
        assert!(problems.is_empty(), "{problems:#?}");
        let set = Arc::new(set);
        Self {
            detector: SigmaDetector::new(set.clone(), &fields, AlertLevels::default()),
            reader: Reader::new(&fields),
            slots: Slots::default(),
            set,
        }
    }

    fn findings(&mut self, source: &str) -> Vec<Finding> {
        let document = Document::loose("test".into(), "1", source);
        self.reader.read(source, &mut self.slots).unwrap();
        let mut out = Inspection::default();
        let event = Event::new(&document, &self.slots);
        self.detector.inspect(&[event], &mut out);
        assert!(out.problems.is_empty(), "{:#?}", out.problems);
        out.findings.into_iter().map(|(_, f)| f).collect()
    }

    /// The hits of correlations, with the correlations' positions.
    fn hits(&mut self, number: usize, source: &str) -> Vec<(usize, Hit)> {
        let document = Document::loose("test".into(), format!("{number:04}"), source);
        self.reader.read(source, &mut self.slots).unwrap();
        let mut out = Inspection::default();
        let event = Event::new(&document, &self.slots);
        self.detector.inspect(&[event], &mut out);
        out.hits.into_iter().map(|(_, of, hit)| (of, hit)).collect()
    }
}

#[test]
fn every_rule_has_a_name_an_id_and_a_technique_of_its_own() {
    let set = Rules::new().set;
    assert!(set.rules.len() >= 40, "only {} rules", set.rules.len());
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for rule in &set.rules {
        let at = rule.path.display();
        assert!(ids.insert(&rule.id), "{at}: the id is another rule's");
        assert!(titles.insert(&rule.title), "{at}: the title is another's");
        assert!(!rule.techniques.is_empty(), "{at}: no technique");
        assert_eq!(rule.status.as_deref(), Some("experimental"), "{at}");
    }
}

#[test]
fn what_is_compiled_in_is_what_stands_in_the_folder() {
    let (bundled, problems) = RuleSet::bundled(&mut Fields::default());
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(bundled.digest(), Rules::new().set.digest());
}

#[test]
fn every_case_does_what_it_says_and_both_engines_agree() {
    let mut rules = Rules::new();
    let mut wrong = Vec::new();
    for rule in &rules.set.clone().rules {
        if rule.silent {
            continue;
        }
        let cases = cases(rule);
        let at = rule.path.strip_prefix(folder()).unwrap().display();
        for fires in [true, false] {
            if !cases.iter().any(|case| case.fires == fires) {
                wrong.push(format!("{at}: no case with fires: {fires}"));
            }
        }
        for case in cases {
            let findings = rules.findings(&case.document.to_string());
            if findings.iter().any(|f| f.rule_id == rule.id) != case.fires {
                wrong.push(format!("{at}: {}: not fires: {}", case.note, case.fires));
            }
            for finding in findings {
                if finding.second_opinion == Some(SecondOpinion::Differs) {
                    wrong.push(format!("{at}: {}: {} differs", case.note, finding.rule));
                }
                if finding.evidence.is_empty() {
                    wrong.push(format!("{at}: {}: no evidence", case.note));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_case_of_a_correlation_does_what_it_says() {
    let rules = Rules::new();
    let correlator = rules.detector.correlator();
    assert!(rules.set.correlations.len() >= 4);
    for correlation in rules.set.correlations.iter().filter(|c| !c.silent) {
        let at = correlation.path.display();
        assert!(!correlation.techniques.is_empty(), "{at}: no technique");
        let cases = cases_beside(&correlation.path);
        for fires in [true, false] {
            let found = cases.iter().any(|case| case.fires == fires);
            assert!(found, "{at}: no case with fires: {fires}");
        }
        for case in cases {
            let (mut ledger, mut rules) = (Ledger::default(), Rules::new());
            for (number, document) in case.documents.iter().enumerate() {
                for (of, hit) in rules.hits(number, &document.to_string()) {
                    ledger.keep(of, hit);
                }
            }
            let found = ledger.judge(&correlator);
            let found = found.iter().filter(|(_, f)| f.rule_id == correlation.id);
            let count = found.count();
            assert_eq!(count, usize::from(case.fires), "{at}: {}", case.note);
        }
    }
}

#[test]
fn the_second_engine_understands_every_rule() {
    let mut rules = Rules::new();
    let mut silent = BTreeSet::new();
    for rule in &rules.set.clone().rules {
        for case in cases(rule) {
            for finding in rules.findings(&case.document.to_string()) {
                if finding.second_opinion != Some(SecondOpinion::Agrees) {
                    silent.insert(finding.rule.to_string());
                }
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn no_case_is_left_without_its_rule() {
    let known: BTreeSet<PathBuf> = Rules::new()
        .set
        .rules
        .iter()
        .map(|rule| rule.path.with_extension("cases.json"))
        .collect();
    for tactic in fs::read_dir(folder()).unwrap() {
        let tactic = tactic.unwrap().path();
        if tactic.is_dir() {
            for file in fs::read_dir(tactic).unwrap() {
                let file = file.unwrap().path();
                let is_case = file.extension().is_some_and(|end| end == "json");
                assert!(!is_case || known.contains(&file), "{}", file.display());
            }
        }
    }
}

#[test]
fn critical_is_rare() {
    let mut counts = BTreeMap::new();
    for rule in &Rules::new().set.rules {
        *counts.entry(rule.level).or_insert(0) += 1;
    }
    let critical = counts.get(&Level::Critical).copied().unwrap_or(0);
    assert!(
        critical * 10 <= counts.values().sum::<usize>(),
        "{counts:?}"
    );
}

/// What the bundled blacklist says of a line of cmd.exe history.
fn blacklisted(lines: &[&str]) -> Vec<bool> {
    let (path, text) = bundled_blacklist();
    let (blacklist, problems) = Blacklist::load(text, path);
    assert!(problems.is_empty(), "{problems:#?}");
    let mut detector = BlacklistDetector::new(blacklist);
    let reader = Reader::new(&Fields::default());
    let mut slots = Slots::default();
    let mut one = |line: &&str| {
        let source = serde_json::json!({
            "Hostname": "WS-01", "Username": "alice", "command": line,
            "timestamp": "2026-11-22 09:00:00"
        });
        let document = Document::loose("cmdlogs".into(), "1", source.to_string());
        reader.read(&document.source, &mut slots).unwrap();
        let mut out = Inspection::default();
        detector.inspect(&[Event::new(&document, &slots)], &mut out);
        !out.findings.is_empty()
    };
    lines.iter().map(&mut one).collect()
}

#[test]
fn the_blacklist_knows_what_has_no_honest_use() {
    let lines = [
        "m.exe privilege::debug sekurlsa::logonpasswords exit",
        "LSADUMP::SAM",
        "mimikatz # crypto::capi",
        r"C:\Tools\PsExec64.exe \\FS01 cmd",
        "psexec",
        r"dir C:\inetl\logs",
        r"del /q C:\inetpub\logs\LogFiles\W3SVC1\u_ex.log",
        r"procdump -ma lsass.exe l.dmp",
        r"rundll32 C:\Windows\System32\comsvcs.dll, MiniDump 624 l.dmp full",
        r#""reg" save HKLM\security\policy\secrets s"#,
        "wevtutil.exe cl Security",
        "vssadmin  delete shadows /all",
    ];
    let missed: Vec<_> = lines.iter().zip(blacklisted(&lines)).collect();
    assert!(missed.iter().all(|(_, hit)| *hit), "{missed:#?}");
}

#[test]
fn the_blacklist_leaves_daily_work_alone() {
    let lines = [
        "echo see the kerberos: section",
        "type psexec-policy.txt",
        r"type C:\inetpub\logs\LogFiles\W3SVC1\u_ex.log",
        "procdump -ma excel.exe e.dmp",
        "tasklist /fi \"imagename eq lsass.exe\"",
        r"reg save HKLM\SOFTWARE software.hiv",
        r"reg query HKLM\SYSTEM\CurrentControlSet",
        "wevtutil epl Security backup.evtx",
        "vssadmin list shadows",
        "git log --grep=token:",
    ];
    let hit: Vec<_> = lines.iter().zip(blacklisted(&lines)).collect();
    assert!(hit.iter().all(|(_, hit)| !*hit), "{hit:#?}");
}

/// How often each rule fires on each recording of a folder, and how many events there were.
fn hunt(rules: &mut Rules, folder: PathBuf) -> (BTreeMap<String, BTreeMap<String, usize>>, usize) {
    let (inputs, _) = Inputs::find(&[folder]);
    let (mut table, mut events) = (BTreeMap::<_, BTreeMap<_, _>>::new(), 0);
    let mut differing = BTreeSet::new();
    let _ = inputs.read(&Progress::default(), &mut |item| {
        if let Item::Record(record) = item {
            events += 1;
            let file = record.file.split('!').next().unwrap_or_default();
            let name = Path::new(file).file_stem().unwrap().to_string_lossy();
            let of_file = table.entry(name.into_owned()).or_default();
            for finding in rules.findings(record.source) {
                *of_file.entry(finding.rule.to_string()).or_insert(0) += 1;
                if finding.second_opinion != Some(SecondOpinion::Agrees) {
                    differing.insert(finding.rule.to_string());
                }
            }
        }
        ControlFlow::Continue(())
    });
    assert!(differing.is_empty(), "{differing:#?}");
    (table, events)
}

/// Prints how often each rule fires, and fails where one fires on more than 0.5 % of all events.
fn assert_no_flood(table: &BTreeMap<String, BTreeMap<String, usize>>, events: usize) {
    let mut sums = BTreeMap::<&str, (usize, usize)>::new();
    for (rule, count) in table.values().flatten() {
        let sum = sums.entry(rule).or_default();
        *sum = (sum.0 + count, sum.1 + 1);
    }
    println!("{events} events of {} recordings", table.len());
    for (rule, (count, recordings)) in &sums {
        println!("{count:6} {recordings:3} {rule}");
    }
    for (rule, (count, _)) in sums {
        assert!(count * 200 <= events, "{rule} fires on {count} of {events}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised")]
fn corpus_nearly_every_recorded_attack_is_seen_and_nothing_floods() {
    let Some(folder) = support::shared("attacks/otrf") else {
        return;
    };
    let (table, events) = hunt(&mut Rules::new(), folder);
    assert_no_flood(&table, events);
    let unseen = table.iter().filter(|(_, rules)| rules.is_empty());
    let unseen: Vec<&str> = unseen.map(|(name, _)| name.as_str()).collect();
    // What left no event that tells it from daily work: LDAP queries, key handles, a web service.
    assert_eq!(
        unseen,
        [
            "aadinternals_export_adfsdatabaseconfig_remotely",
            "covenant_getdomaingroup_ldap_searchrequest_domain_admins",
            "empire_mimikatz_extract_keys",
            "empire_mimikatz_lsadump_inject_protected_mode",
            "empire_powerview_ldap_ntsecuritydescriptor",
        ]
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised")]
fn corpus_many_recordings_of_others_are_seen() {
    let Some(folder) = support::shared("attacks/evtx-attack-samples") else {
        return;
    };
    let (table, events) = hunt(&mut Rules::new(), folder);
    let seen = table.values().filter(|rules| !rules.is_empty()).count();
    println!("{events} events; {seen} of {} recordings", table.len());
    assert!(seen >= 100, "{seen}");
}

#[test]
fn the_demo_finds_each_step_of_its_stories() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let (table, _) = hunt(&mut Rules::new(), demo);
    let story: Vec<String> = table
        .iter()
        .flat_map(|(file, rules)| {
            rules
                .iter()
                .map(move |(rule, count)| format!("{file}: {count} {rule}"))
        })
        .collect();
    insta::assert_snapshot!(story.join("\n"));
}
