//! SigmaHQ's rules on recorded attacks, where those stand beside the repository: the index finds
//! what the plain walk finds, the cases that SigmaHQ keeps fire, and what most other engines
//! report is reported.

#![expect(
    clippy::unwrap_used,
    reason = "what a test's helper cannot read fails the test"
)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use picket::alert::AlertLevels;
use picket::detect::sigma::SigmaDetector;
use picket::document::Document;
use picket::input::{Inputs, Item, Progress};
use picket::rule::{Placeholders, RuleSet};
use picket::taxonomy::{Event, FieldId, Fields, Reader, Slots};

use crate::support::shared;

type Rules = (Arc<RuleSet>, Fields);

static RULES: LazyLock<Option<Rules>> = LazyLock::new(|| {
    let folder = shared("sigma")?;
    let mut fields = Fields::default();
    let (rules, problems) = RuleSet::load(&[folder], &Placeholders::default(), &mut fields);
    let unexpected: Vec<_> = problems
        .iter()
        .filter(|problem| !problem.message.contains("placeholder"))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    Some((Arc::new(rules), fields))
});

struct Scan {
    reader: Reader,
    slots: Slots,
    detector: SigmaDetector,
    rules: Arc<RuleSet>,
}

impl Scan {
    fn new((rules, fields): &Rules) -> Self {
        Self {
            reader: Reader::new(fields),
            slots: Slots::default(),
            detector: SigmaDetector::new(rules.clone(), fields, AlertLevels::default()),
            rules: rules.clone(),
        }
    }

    /// Shows each `nth` event of those files.
    fn read(
        &mut self,
        files: &[PathBuf],
        nth: u64,
        mut look: impl FnMut(&mut SigmaDetector, &RuleSet, &Event<'_>, &str),
    ) {
        let (inputs, _) = Inputs::find(files);
        let mut seen = 0;
        let _ = inputs.read(&Progress::default(), &mut |item| {
            if let Item::Record(record) = item {
                seen += 1;
                if seen % nth == 0 {
                    let document = Document::loose("corpus".into(), "1", record.source);
                    if self.reader.read(&document.source, &mut self.slots).is_ok() {
                        let event = Event::new(&document, &self.slots);
                        look(&mut self.detector, &self.rules, &event, record.file);
                    }
                }
            }
            ControlFlow::Continue(())
        });
    }
}

/// A quick sample in the development profile, nearly everything in the release profile.
fn sample(all: &[PathBuf]) -> (Vec<PathBuf>, u64) {
    if cfg!(debug_assertions) {
        (all.iter().step_by(6).cloned().collect(), 20)
    } else {
        (all.to_vec(), 5)
    }
}

#[test]
fn the_index_finds_what_the_plain_walk_finds_on_recordings() {
    let (Some(attacks), Some(rules)) = (shared("attacks"), &*RULES) else {
        return;
    };
    let (inputs, _) = Inputs::find(&[attacks]);
    let all: Vec<PathBuf> = inputs.files().iter().map(|f| f.path.clone()).collect();
    let (files, nth) = sample(&all);
    let (mut events, mut hits) = (0, 0);
    Scan::new(rules).read(&files, nth, |detector, set, event, file| {
        let indexed = detector.hits(event).to_vec();
        let walked = detector.hits_by_full_walk(event);
        let titles = |hits: &[u32]| -> Vec<String> {
            hits.iter()
                .map(|n| set.rules[*n as usize].title.to_string())
                .collect()
        };
        assert_eq!(
            titles(&indexed),
            titles(walked),
            "{file} {}",
            event.document.source
        );
        events += 1;
        hits += indexed.len();
    });
    println!("{events} events, {hits} hits, no difference");
    assert!(hits > 0);
}

/// The rule that each case names.
fn cases(folder: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let mut cases = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        if path.file_name().is_none_or(|name| name != "info.yml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let info = picket::rule::yaml::parse(&text).remove(0).unwrap();
        let ids = info.get("rule_metadata").unwrap().items().iter();
        let ids = ids.map(|rule| rule.get("id").unwrap().scalar().unwrap().to_owned());
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
        let evtx = files
            .map(|file| file.unwrap().path())
            .find(|file| file.extension().is_some_and(|end| end == "evtx"));
        cases.push((evtx.unwrap_or(path), ids.collect()));
    }
    cases
}

#[test]
fn the_cases_that_sigmahq_keeps_fire() {
    let (Some(folder), Some(rules)) = (shared("regression_data"), &*RULES) else {
        return;
    };
    let cases = cases(&folder);
    let mut scan = Scan::new(rules);
    let mut silent = Vec::new();
    for (file, expected) in &cases {
        let mut found = BTreeSet::new();
        scan.read(std::slice::from_ref(file), 1, |detector, set, event, _| {
            let ids = detector
                .hits(event)
                .iter()
                .map(|n| set.rules[*n as usize].id.to_string());
            found.extend(ids);
        });
        if !expected.iter().all(|id| found.contains(id)) {
            silent.push(file.display().to_string());
        }
    }
    println!(
        "{} of {} cases fire",
        cases.len() - silent.len(),
        cases.len()
    );
    silent.iter().for_each(|file| println!("silent: {file}"));
    assert!(cases.len() == 125 && silent.len() <= 5, "{silent:#?}");
}

#[test]
fn what_most_engines_report_is_reported() {
    let (Some(samples), Some(expected), Some(rules)) = (
        shared("attacks/evtx-attack-samples"),
        shared("attacks/evtx-attack-samples.expected.tsv"),
        &*RULES,
    ) else {
        return;
    };
    let mut found = BTreeSet::new();
    Scan::new(rules).read(
        std::slice::from_ref(&samples),
        1,
        |detector, set, event, file| {
            let record = event
                .text(FieldId::RECORD_ID)
                .unwrap_or_default()
                .to_owned();
            let file = Path::new(file).strip_prefix(&samples).unwrap();
            for number in detector.hits(event) {
                let id = set.rules[*number as usize].id.to_string();
                found.insert((file.to_string_lossy().into_owned(), record.clone(), id));
            }
        },
    );
    let lists = std::env::var_os("PICKET_TEST_LIST").is_some();
    let known: BTreeSet<&str> = rules.0.rules.iter().map(|rule| &*rule.id).collect();
    let (mut pairs, mut missing, mut ours) = (0, Vec::new(), found.clone());
    for line in std::fs::read_to_string(expected).unwrap().lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let pair = (
            columns[0].to_owned(),
            columns[1].to_owned(),
            columns[2].to_owned(),
        );
        ours.remove(&pair);
        let engines: u32 = columns[3].parse().unwrap();
        if engines >= 4 && known.contains(columns[2]) {
            pairs += 1;
            if !found.contains(&pair) {
                missing.push(line.to_owned());
            }
        } else if lists && known.contains(columns[2]) && !found.contains(&pair) {
            println!("reported by fewer: {line}");
        }
    }
    println!(
        "{} of {pairs} pairs that four or more engines report are missing; {} pairs are ours alone",
        missing.len(),
        ours.len()
    );
    missing.iter().for_each(|line| println!("missing: {line}"));
    if lists {
        ours.iter()
            .for_each(|pair| println!("ours alone: {pair:?}"));
    }
    assert!(pairs > 1_000 && missing.is_empty(), "{missing:#?}");
    // The same recording stands there twice, and once in the list: docs/differences.md.
    assert!(ours.len() <= 1, "{ours:#?}");
}
