//! The law that a sweep finds what one look at everything finds, wherever pages are cut, whoever
//! stops, and in whatever order documents come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use picket::detect::Judge;
use picket::document::Document;
use picket::store::embedded::Embedded;
use picket::store::findings::Record;
use picket::store::{FINDINGS_INDEX, NewDocument, Search, Sources, Store};
use picket::sweep::Sweep;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{BASE, Found, at, bob, brute_force, judge, one, rules, scanned};
use crate::sweep::Cut;

async fn add(store: &dyn Store, events: &[(usize, Value)]) {
    let documents = events.iter().map(|(number, event)| NewDocument {
        index: "logs".into(),
        id: Some(format!("{number:06}")),
        replace: true,
        source: event.to_string().into(),
    });
    store.add(documents.collect()).await.unwrap();
}

async fn sweep(store: &Arc<Embedded>, judge: &Judge, page: usize) {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    let sweep = Sweep::new("test", store, Sources::all(), judge, 1).page_of(page);
    let report = sweep
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

async fn records(store: &dyn Store) -> Vec<Record> {
    let search = Search {
        sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
        limit: 10_000,
        ..Search::default()
    };
    let found = store.find(&search).await.unwrap();
    let read = |d: &Document| serde_json::from_str(&d.source).unwrap();
    found.documents.iter().map(read).collect()
}

async fn kept(store: &dyn Store) -> Found {
    let mut found = Found::new();
    for record in records(store).await {
        let number: usize = record.document.id.parse().unwrap();
        found.extend(
            record
                .findings
                .iter()
                .map(|f| (number, f.rule_id.to_string())),
        );
    }
    found
}

#[tokio::test]
async fn a_late_document_is_found_on_an_earlier_one_and_nothing_is_lowered() {
    let correlation = "type: event_count\nrules: [failed]\ngroup-by: [TargetUserName]\ntimespan: 1m\ncondition: {gte: 3}";
    let judge = judge(&rules(correlation));
    let store = Arc::new(Embedded::in_memory().unwrap());
    add(&*store, &[(0, bob(0, 4625)), (2, bob(20, 4625))]).await;
    sweep(&store, &judge, 10).await;
    assert!(kept(&*store).await.is_empty());
    // Somebody looks at the document in between, then the one that was lacking comes.
    let mut seen = bob(20, 4625);
    seen["AlertLevel"] = 2.into();
    add(&*store, &[(2, seen)]).await;
    sweep(&store, &judge, 10).await;
    add(&*store, &[(1, bob(10, 4625))]).await;
    sweep(&store, &judge, 10).await;
    assert_eq!(kept(&*store).await, BTreeSet::from([(2, "c".into())]));
    let record = &records(&*store).await[0];
    assert_eq!(u8::from(record.alert_level), 2);
    // The document comes back with our mark on it, and rests.
    let before = records(&*store).await;
    sweep(&store, &judge, 10).await;
    assert_eq!(records(&*store).await, before);
}

#[tokio::test]
async fn what_was_found_is_counted_once() {
    let judge = judge(&brute_force());
    let store = Arc::new(Embedded::in_memory().unwrap());
    let mut events: Vec<(usize, Value)> = (0..12).map(|n| (n as usize, bob(n, 4625))).collect();
    events.push((12, bob(20, 4624)));
    add(&*store, &events).await;
    let all: Arc<dyn Store> = Arc::clone(&store) as _;
    let all = Sweep::new("test", all, Sources::all(), &judge, 1).page_of(5);
    let report = all
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    // The document comes back with our mark on it, and passes by.
    assert_eq!((report.findings, report.written), (1, 1));
    assert_eq!((report.read.documents, report.read.judged_before), (14, 1));
}

#[tokio::test]
async fn a_dry_run_finds_the_same_and_keeps_nothing() {
    let judge = judge(&brute_force());
    let store = Arc::new(Embedded::in_memory().unwrap());
    let mut events: Vec<(usize, Value)> = (0..12).map(|n| (n as usize, bob(n, 4625))).collect();
    events.push((12, bob(20, 4624)));
    add(&*store, &events).await;
    let dry: Arc<dyn Store> = Arc::clone(&store) as _;
    let dry = Sweep::new("test", dry, Sources::all(), &judge, 1)
        .page_of(3)
        .dry(true);
    let report = dry
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(report.findings, 1);
    assert!(kept(&*store).await.is_empty());
    sweep(&store, &judge, 3).await;
    assert_eq!(kept(&*store).await, BTreeSet::from([(12, "outer".into())]));
}

#[tokio::test]
async fn cut_off_between_any_two_steps_a_correlation_is_found_once() {
    let judge = judge(&brute_force());
    let mut events: Vec<(usize, Value)> = (0..10).map(|n| (n as usize, bob(n, 4625))).collect();
    events.push((10, bob(20, 4624)));
    let mut cuts = 0;
    for after in [false, true] {
        for step in 1.. {
            let store = Arc::new(Embedded::in_memory().unwrap());
            add(&*store, &events).await;
            let cut: Arc<dyn Store> = Arc::new(Cut::new(&store, step, after));
            let cut = Sweep::new("test", cut, Sources::all(), &judge, 1).page_of(6);
            let done = cut
                .activate(&AtomicBool::new(false), &mut |_| {})
                .await
                .is_ok();
            if !done {
                cuts += 1;
                sweep(&store, &judge, 6).await;
            }
            let found = kept(&*store).await;
            assert_eq!(
                found,
                BTreeSet::from([(10, "outer".into())]),
                "{step} {after}"
            );
            if done {
                break;
            }
        }
    }
    assert!(cuts > 20, "{cuts}");
}

/// Correlations of every type over the three rules, one of them built on another.
fn zoo() -> String {
    let group = "group-by: [TargetUserName]\ntimespan: 30s\n";
    let parts = [
        one(
            "events",
            &format!("type: event_count\nrules: [failed, other]\n{group}condition: {{gte: 3}}"),
        ),
        one(
            "range",
            &format!("type: event_count\nrules: [failed]\n{group}condition: {{gt: 1, lt: 4}}"),
        ),
        one(
            "values",
            &format!(
                "type: value_count\nrules: [failed]\n{group}condition: {{field: Size, gte: 2}}"
            ),
        ),
        one(
            "sum",
            &format!(
                "type: value_sum\nrules: [failed, success]\n{group}condition: {{field: Size, gte: 5}}"
            ),
        ),
        one(
            "median",
            &format!(
                "type: value_median\nrules: [failed]\n{group}condition: {{field: Size, gte: 2}}"
            ),
        ),
        one(
            "near",
            &format!("type: temporal\nrules: [failed, success, other]\n{group}"),
        ),
        one(
            "words",
            &format!(
                "type: temporal\nrules: [failed, success]\n{group}condition: success and not failed"
            ),
        ),
        one(
            "order",
            &format!("type: temporal_ordered\nrules: [failed, success]\n{group}"),
        ),
        one(
            "chain",
            &format!("type: temporal_ordered\nrules: [events, success]\n{group}generate: true"),
        ),
    ];
    format!("{BASE}---\n{}", parts.join("---\n"))
}

/// And one that counts the episodes of another.
fn larger_zoo() -> String {
    let episodes =
        "type: event_count\nrules: [near]\ntimespan: 2m\ncondition: {gte: 2}\ngenerate: true";
    format!("{}---\n{}", zoo(), one("episodes", episodes))
}

fn event() -> impl Strategy<Value = (i64, u32, u8, u8)> {
    (
        1..25_i64,
        prop::sample::select(vec![4625, 4624, 4634]),
        0..2_u8,
        0..4_u8,
    )
}

fn events(steps: &[(i64, u32, u8, u8)]) -> Vec<Value> {
    let mut second = 0;
    steps
        .iter()
        .map(|(step, event_id, user, size)| {
            second += step;
            let user = ["bob", "ann"][usize::from(*user)];
            at(
                second,
                *event_id,
                json!({"TargetUserName": user, "Size": size}),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sweep_finds_what_a_scan_finds_wherever_pages_are_cut(
        steps in prop::collection::vec(event(), 1..40),
        page in 2..20_usize,
        cut in 0..40_usize,
    ) {
        let judge = judge(&larger_zoo());
        let events = events(&steps);
        let (expected, _) = scanned(&judge, &events);
        let numbered: Vec<(usize, Value)> = events.into_iter().enumerate().collect();
        let swept = block_on(async {
            let store = Arc::new(Embedded::in_memory().unwrap());
            // Two activations, and a restart of everything but the store in between.
            let (first, second) = numbered.split_at(cut.min(numbered.len()));
            add(&*store, first).await;
            sweep(&store, &judge, page).await;
            add(&*store, second).await;
            sweep(&store, &judge.fork(), page).await;
            kept(&*store).await
        });
        prop_assert_eq!(swept, expected);
    }

    /// Documents that come late may let a correlation begin earlier; what was found then stays.
    #[test]
    fn in_whatever_order_documents_come_nothing_is_missed(
        steps in prop::collection::vec(event(), 1..40),
        order in prop::collection::vec(any::<u32>(), 40),
        page in 3..12_usize,
    ) {
        let judge = judge(&zoo());
        let events = events(&steps);
        let (expected, _) = scanned(&judge, &events);
        let mut numbered: Vec<(usize, Value)> = events.into_iter().enumerate().collect();
        numbered.sort_by_key(|(number, _)| order[*number]);
        let swept = block_on(async {
            let store = Arc::new(Embedded::in_memory().unwrap());
            add(&*store, &numbered).await;
            sweep(&store, &judge, page).await;
            kept(&*store).await
        });
        let missed: Vec<_> = expected.difference(&swept).collect();
        prop_assert!(missed.is_empty(), "{:?} of {:?}", missed, expected);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}
