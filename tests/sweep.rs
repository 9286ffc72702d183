//! The laws of a sweep, on the embedded store in RAM: nothing is skipped, nothing doubled, nothing
//! lowered, nothing a person decided is touched; wherever it is cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use picket::alert::{AlertLevel, Level};
use picket::detect::correlate::Hit;
use picket::detect::{Detector, Detectors, Inspection, Judge, WindowNeed};
use picket::document::{Document, DocumentId, Scope, Version};
use picket::finding::{Evidence, Finding, Verdict};
use picket::store::embedded::Embedded;
use picket::store::{
    Begin, Checkpoint, FINDINGS_INDEX, Found, GroupSpan, NewDocument, Outcome, Page, Progress,
    Search, Sources, Store, StoreError, StoreErrorKind, Waiting, Window,
};
use picket::sweep::{Sweep, SweepReport};
use picket::taxonomy::{Event, FieldId, Fields};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Finds a word in the command line.
#[derive(Clone)]
pub(crate) struct Word(pub(crate) &'static str, pub(crate) AlertLevel);

fn finding(detector: &str, rule: &str, alert_level: AlertLevel, value: &str) -> Finding {
    Finding {
        detector: detector.into(),
        rule_id: rule.into(),
        rule: rule.into(),
        level: Level::Medium,
        alert_level,
        techniques: [].into(),
        score: None,
        evidence: vec![Evidence {
            selection: "word".into(),
            field: "CommandLine".into(),
            value: value.into(),
            ..Evidence::default()
        }],
        second_opinion: None,
    }
}

impl Detector for Word {
    fn name(&self) -> &str {
        "sigma"
    }

    fn fork(&self) -> Box<dyn Detector> {
        Box::new(self.clone())
    }

    fn inspect(&mut self, events: &[Event<'_>], out: &mut Inspection) {
        for (position, event) in events.iter().enumerate() {
            if let Some(command) = event
                .text(FieldId::COMMAND_LINE)
                .filter(|command| command.contains(self.0))
            {
                out.findings
                    .push((position, finding("sigma", self.0, self.1, command)));
            }
        }
    }
}

/// Speaks of a host's commands once there are three within an hour.
#[derive(Clone)]
pub(crate) struct Three;

impl Detector for Three {
    fn name(&self) -> &str {
        "module"
    }

    fn fork(&self) -> Box<dyn Detector> {
        Box::new(self.clone())
    }

    fn inspect(&mut self, _events: &[Event<'_>], _out: &mut Inspection) {}

    fn window(&self) -> Option<WindowNeed> {
        Some(WindowNeed {
            scope: Scope::Host,
            span: 3_600_000,
            fields: ["CommandLine".to_owned()].into(),
        })
    }

    fn wants(&self, event: &Event<'_>) -> bool {
        event.standing().is_unsettled() && event.has(FieldId::COMMAND_LINE)
    }

    fn inspect_window(&mut self, entity: &str, events: &[Event<'_>], out: &mut Inspection) {
        if events.len() >= 3 {
            out.findings.extend((0..events.len()).map(|at| {
                (
                    at,
                    finding("module", "three", AlertLevel::Suspicious, entity),
                )
            }));
        }
    }
}

fn judge(set: Vec<Box<dyn Detector>>) -> Judge {
    judge_as("rules-1", set)
}

pub(crate) fn judge_as(digest: &str, set: Vec<Box<dyn Detector>>) -> Judge {
    Judge::new(Detectors {
        set,
        fields: Arc::new(Fields::default()),
        digest: digest.into(),
    })
}

pub(crate) fn words() -> Judge {
    judge(vec![
        Box::new(Word("whoami", AlertLevel::Suspicious)),
        Box::new(Word("mimikatz", AlertLevel::Alert)),
        Box::new(Word("dir", AlertLevel::None)),
    ])
}

pub(crate) fn command(id: usize, command: &str) -> NewDocument {
    let source = json!({
        "Hostname": "PC1", "Username": "ann", "command": command,
        "timestamp": format!("2026-11-22 01:{:02}:{:02}", id / 60 % 60, id % 60), "AlertLevel": 0, "Ignore": 0,
    });
    NewDocument {
        index: "cmdlogs".into(),
        id: Some(id.to_string()),
        replace: true,
        source: source.to_string().into(),
    }
}

pub(crate) async fn store_with(commands: &[&str]) -> Arc<Embedded> {
    let store = Arc::new(Embedded::in_memory().unwrap());
    let documents = commands
        .iter()
        .enumerate()
        .map(|(id, text)| command(id, text))
        .collect();
    store.add(documents).await.unwrap();
    store
}

pub(crate) async fn everything(store: &dyn Store, sources: Sources) -> Vec<Document> {
    let search = Search {
        sources: Some(sources),
        limit: 10_000,
        ..Search::default()
    };
    let mut documents = store.find(&search).await.unwrap().documents;
    documents.sort_by_key(|d| d.id.clone());
    documents
}

async fn findings(store: &dyn Store) -> Vec<Value> {
    let documents = everything(store, Sources(vec![FINDINGS_INDEX.into()])).await;
    documents
        .iter()
        .map(|d| serde_json::from_str(&d.source).unwrap())
        .collect()
}

/// Id and `AlertLevel` of every command.
async fn levels(store: &dyn Store) -> Vec<(usize, u64)> {
    let documents = everything(store, Sources::all()).await;
    let mut levels: Vec<(usize, u64)> = documents
        .iter()
        .map(|d| {
            let source: Value = serde_json::from_str(&d.source).unwrap();
            (
                d.id.id.parse().unwrap(),
                source["AlertLevel"].as_u64().unwrap(),
            )
        })
        .collect();
    levels.sort_unstable();
    levels
}

async fn swept(store: &Arc<Embedded>, judge: &Judge) -> SweepReport {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    let sweep = Sweep::new("test", store, Sources::all(), judge, 2).page_of(2);
    sweep
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap()
}

async fn edit(store: &dyn Store, id: &str, patch: Value) {
    let documents = everything(store, Sources::all()).await;
    let document = documents.iter().find(|d| &*d.id.id == id).unwrap();
    let patch = patch.as_object().unwrap().clone();
    assert!(
        store
            .edit(&document.id, document.version, &patch)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn judges_each_document_once_and_comes_to_rest() {
    let store = store_with(&["ver", "whoami", "mimikatz & whoami", "dir"]).await;
    let report = swept(&store, &words()).await;
    assert_eq!(
        (report.alerts, report.suspicious, report.written),
        (1, 1, 2)
    );
    assert_eq!(levels(&*store).await, [(0, 0), (1, 1), (2, 2), (3, 0)]);
    // A finding without a level is kept beside, the document stays as it is.
    assert_eq!(findings(&*store).await.len(), 3);
    let again = swept(&store, &words()).await;
    assert_eq!(
        (again.read.documents, again.findings, again.written),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let store = store_with(&["whoami"]).await;
    let before = everything(&*store, Sources::all()).await;
    let dry: Arc<dyn Store> = Arc::clone(&store) as _;
    let sweep = Sweep::new("test", dry, Sources::all(), &words(), 1).dry(true);
    let report = sweep
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    assert_eq!((report.suspicious, report.written), (1, 0));
    assert_eq!(everything(&*store, Sources::all()).await, before);
    assert_eq!(store.progress("test").await.unwrap(), Progress::default());
    assert!(findings(&*store).await.is_empty());
}

#[tokio::test]
async fn what_a_person_decided_stays() {
    let store = store_with(&["whoami", "whoami", "whoami"]).await;
    edit(&*store, "0", json!({ "Ignore": 1 })).await;
    edit(&*store, "1", json!({ "AlertLevel": 2 })).await;
    swept(&store, &words()).await;
    assert_eq!(levels(&*store).await, [(0, 0), (1, 2), (2, 1)]);
    // Ignored after it was raised: never touched again, by no other rules either.
    edit(&*store, "2", json!({ "Ignore": 1 })).await;
    let stricter = Judge::new(Detectors {
        set: vec![Box::new(Word("whoami", AlertLevel::Alert))],
        fields: Arc::new(Fields::default()),
        digest: "rules-2".into(),
    });
    swept(&store, &stricter).await;
    assert_eq!(levels(&*store).await, [(0, 0), (1, 2), (2, 1)]);
}

#[tokio::test]
async fn documents_in_other_indices_are_not_swept() {
    let store = store_with(&["whoami"]).await;
    let cut: Arc<dyn Store> = Arc::clone(&store) as _;
    let sweep = Sweep::new(
        "test",
        cut,
        Sources(vec!["winlogbeat-*".into()]),
        &words(),
        1,
    );
    let report = sweep
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(report.read.documents, 0);
    assert_eq!(levels(&*store).await, [(0, 0)]);
}

#[tokio::test]
async fn a_window_raises_the_whole_history_and_does_not_depend_on_pages() {
    let both = || {
        judge(vec![
            Box::new(Word("whoami", AlertLevel::Alert)),
            Box::new(Three),
        ])
    };
    let store = store_with(&["ver", "whoami"]).await;
    swept(&store, &both()).await;
    assert_eq!(levels(&*store).await, [(0, 0), (1, 2)]);
    // The third arrives later: the two that were judged before are raised with it.
    store.add(vec![command(2, "net use")]).await.unwrap();
    let report = swept(&store, &both()).await;
    assert_eq!(levels(&*store).await, [(0, 1), (1, 2), (2, 1)]);
    assert_eq!(report.conflicts, 0);
    let at_rest = swept(&store, &both()).await;
    assert_eq!(at_rest.written, 0, "{at_rest:?}");
    // Both detectors' findings stand on the document that both speak of.
    let kept = findings(&*store).await;
    let of_one = kept
        .iter()
        .find(|f| f["document"]["id"] == "1" || f["document_id"] == "1")
        .unwrap();
    assert_eq!(of_one["findings"].as_array().unwrap().len(), 2, "{of_one}");
}

/// A store that fails at the n-th call, before or after doing what it was asked: what a crash
/// between two steps leaves behind.
pub(crate) struct Cut {
    inner: Arc<Embedded>,
    left: AtomicUsize,
    after: bool,
    /// How many windows are read now, and the most that were at once.
    windows: AtomicUsize,
    most_windows: AtomicUsize,
    /// Documents as windows saw them first, where searches see late what is written.
    stale: Option<Mutex<HashMap<DocumentId, Document>>>,
}

impl Cut {
    pub(crate) fn new(inner: &Arc<Embedded>, step: usize, after: bool) -> Self {
        Self {
            inner: Arc::clone(inner),
            left: AtomicUsize::new(step),
            after,
            windows: AtomicUsize::new(0),
            most_windows: AtomicUsize::new(0),
            stale: None,
        }
    }

    async fn at<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::new(StoreErrorKind::Unavailable, "cut off");
        match self.left.load(Ordering::SeqCst) {
            0 => return Err(gone()),
            calls => self.left.store(calls - 1, Ordering::SeqCst),
        }
        if self.left.load(Ordering::SeqCst) > 0 {
            return work.await;
        }
        if self.after {
            work.await?;
        }
        Err(gone())
    }
}

#[async_trait]
impl Store for Cut {
    async fn add(&self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        self.inner.add(documents).await
    }
    async fn begin(&self, sources: &Sources, from: Begin) -> Result<Checkpoint, StoreError> {
        self.at(self.inner.begin(sources, from)).await
    }
    async fn changes(
        &self,
        sweep: Option<&str>,
        sources: &Sources,
        since: &Checkpoint,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.at(self.inner.changes(sweep, sources, since, limit))
            .await
    }
    async fn get(&self, ids: &[DocumentId]) -> Result<Vec<Option<Document>>, StoreError> {
        self.at(self.inner.get(ids)).await
    }
    async fn window(&self, window: &Window) -> Result<Vec<Document>, StoreError> {
        let now = self.windows.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_windows.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let documents = self.at(self.inner.window(window)).await;
        self.windows.fetch_sub(1, Ordering::SeqCst);
        let mut documents = documents?;
        if let Some(stale) = &self.stale {
            let mut stale = stale.lock().unwrap();
            for document in &mut documents {
                *document = stale
                    .entry(document.id.clone())
                    .or_insert_with(|| document.clone())
                    .clone();
            }
        }
        Ok(documents)
    }
    async fn apply(&self, verdicts: &[Verdict]) -> Result<Vec<Outcome>, StoreError> {
        self.at(self.inner.apply(verdicts)).await
    }
    async fn edit(
        &self,
        document: &DocumentId,
        version: Version,
        patch: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        self.inner.edit(document, version, patch).await
    }
    async fn progress(&self, sweep: &str) -> Result<Progress, StoreError> {
        self.at(self.inner.progress(sweep)).await
    }
    async fn commit(&self, sweep: &str, progress: &Progress) -> Result<(), StoreError> {
        self.at(self.inner.commit(sweep, progress)).await
    }
    async fn release(&self, sweep: &str) -> Result<(), StoreError> {
        self.at(self.inner.release(sweep)).await
    }
    async fn keep_hits(&self, hits: &[Hit], now: i64) -> Result<(), StoreError> {
        self.at(self.inner.keep_hits(hits, now)).await
    }
    async fn hits(&self, groups: &[GroupSpan]) -> Result<Vec<Vec<Hit>>, StoreError> {
        self.at(self.inner.hits(groups)).await
    }
    async fn forget_hits(&self, before: i64) -> Result<(), StoreError> {
        self.at(self.inner.forget_hits(before)).await
    }
    async fn find(&self, search: &Search) -> Result<Found, StoreError> {
        self.inner.find(search).await
    }
    async fn waiting(&self, sources: &Sources, since: &Checkpoint) -> Result<Waiting, StoreError> {
        self.inner.waiting(sources, since).await
    }
}

#[tokio::test]
async fn cut_off_between_any_two_steps_nothing_is_skipped_and_nothing_doubled() {
    let commands = ["whoami", "ver", "mimikatz", "whoami", "dir"];
    let both = || {
        judge(vec![
            Box::new(Word("whoami", AlertLevel::Suspicious)),
            Box::new(Word("mimikatz", AlertLevel::Alert)),
            Box::new(Three),
        ])
    };
    let untouched = store_with(&commands).await;
    swept(&untouched, &both()).await;
    let (expected, kept) = (levels(&*untouched).await, findings(&*untouched).await.len());
    assert_eq!(expected.iter().map(|(_, level)| level).sum::<u64>(), 6);
    let mut cuts = 0;
    for after in [false, true] {
        for step in 1.. {
            let store = store_with(&commands).await;
            let cut: Arc<dyn Store> = Arc::new(Cut::new(&store, step, after));
            let sweep = Sweep::new("test", cut, Sources::all(), &both(), 1).page_of(2);
            if let Ok(report) = sweep.activate(&AtomicBool::new(false), &mut |_| {}).await {
                assert!(report.written > 0);
                break;
            }
            cuts += 1;
            swept(&store, &both()).await;
            assert_eq!(
                levels(&*store).await,
                expected,
                "cut at call {step}, after: {after}"
            );
            assert_eq!(
                findings(&*store).await.len(),
                kept,
                "cut at call {step}, after: {after}"
            );
        }
    }
    assert!(cuts > 20, "only {cuts} cuts");
}

#[tokio::test]
async fn what_a_window_says_of_a_document_that_picket_raised_meanwhile_is_not_lost() {
    let store = store_with(&["whoami", "ver", "dir"]).await;
    let late = Cut {
        stale: Some(Mutex::default()),
        ..Cut::new(&store, 1_000, false)
    };
    let judge = judge(vec![
        Box::new(Word("whoami", AlertLevel::Suspicious)),
        Box::new(Three),
    ]);
    let report = Sweep::new("test", Arc::new(late), Sources::all(), &judge, 1)
        .page_of(1)
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(report.conflicts, 0);
    let found = everything(&*store, Sources::all()).await;
    assert_eq!(found.len(), 3);
    for document in &found {
        let document: Value = serde_json::from_str(&document.source).unwrap();
        assert_eq!(document["AlertLevel"], 1, "{document}");
        assert_eq!(
            document["picket"]["modules"],
            json!(["three"]),
            "{document}"
        );
    }
    let kept = findings(&*store).await;
    let both = kept
        .iter()
        .filter(|f| f["findings"].as_array().unwrap().len() == 2);
    assert_eq!(both.count(), 1, "rule and module on whoami");
}

#[tokio::test]
async fn windows_are_read_a_few_at_a_time() {
    let store = store_with(&[]).await;
    let on_host = |host: usize, id: usize| {
        let command = command(id, "ver");
        NewDocument {
            id: Some(format!("{host}-{id}")),
            source: command.source.replace("PC1", &format!("PC{host}")).into(),
            ..command
        }
    };
    let documents = (0..9).flat_map(|host| (0..3 + host % 2).map(move |id| on_host(host, id)));
    store.add(documents.collect()).await.unwrap();
    let counted = Arc::new(Cut::new(&store, 1_000, false));
    let shared: Arc<dyn Store> = Arc::clone(&counted) as _;
    let judge = judge(vec![Box::new(Three)]);
    let report = Sweep::new("test", shared, Sources::all(), &judge, 2)
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(report.suspicious, 4 * 4 + 5 * 3, "each host by itself");
    assert_eq!(counted.most_windows.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_window_holds_only_what_is_swept() {
    let store = store_with(&["ver", "dir"]).await;
    let elsewhere = NewDocument {
        index: "elsewhere".into(),
        ..command(2, "net use")
    };
    store.add(vec![elsewhere]).await.unwrap();
    let sweep = async |patterns: &str| {
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        let judge = judge(vec![Box::new(Three)]);
        Sweep::new(patterns, shared, Sources(vec![patterns.into()]), &judge, 1)
            .activate(&AtomicBool::new(false), &mut |_| {})
            .await
            .unwrap()
            .suspicious
    };
    assert_eq!(sweep("cmdlogs").await, 0);
    assert_eq!(sweep("*").await, 3);
}

#[tokio::test]
async fn a_stop_finishes_the_page_in_hand() {
    let store = store_with(&["whoami"; 10]).await;
    let stop = AtomicBool::new(false);
    let shared: Arc<dyn Store> = Arc::clone(&store) as _;
    let sweep = Sweep::new("test", shared, Sources::all(), &words(), 1).page_of(3);
    let report = sweep
        .activate(&stop, &mut |_| stop.store(true, Ordering::SeqCst))
        .await
        .unwrap();
    assert!(report.stopped);
    assert_eq!(
        levels(&*store)
            .await
            .iter()
            .map(|(_, level)| level)
            .sum::<u64>(),
        3
    );
    swept(&store, &words()).await;
    assert_eq!(
        levels(&*store)
            .await
            .iter()
            .map(|(_, level)| level)
            .sum::<u64>(),
        10
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever shippers, people and sweeps do in whatever order: after the last sweep every
    /// document stands as a fresh judge and the people would have it, and no level ever fell.
    #[test]
    fn no_interleaving_skips_or_lowers(acts in prop::collection::vec((0..4_u8, 0..8_usize, 0..4_usize), 1..30)) {
        let texts = ["whoami", "mimikatz", "dir", "ver"];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = store_with(&[]).await;
            let mut known: std::collections::BTreeMap<usize, (usize, bool, bool)> = Default::default();
            for (act, id, text) in acts {
                match act {
                    0 if !known.contains_key(&id) => {
                        store.add(vec![command(id, texts[text])]).await.unwrap();
                        known.insert(id, (text, false, false));
                    }
                    1 if known.contains_key(&id) => {
                        edit(&*store, &id.to_string(), json!({ "Ignore": 1 })).await;
                        known.get_mut(&id).unwrap().1 = true;
                    }
                    2 if known.contains_key(&id) => {
                        edit(&*store, &id.to_string(), json!({ "AlertLevel": 2 })).await;
                        known.get_mut(&id).unwrap().2 = true;
                    }
                    _ => {
                        let before = levels(&*store).await;
                        swept(&store, &words()).await;
                        let after = levels(&*store).await;
                        prop_assert!(before.iter().zip(&after).all(|(b, a)| b.0 == a.0 && b.1 <= a.1));
                    }
                }
            }
            swept(&store, &words()).await;
            for (id, level) in levels(&*store).await {
                let (text, ignored, accused) = known[&id];
                let machine = [1, 2, 0, 0][text];
                if accused {
                    prop_assert_eq!(level, 2);
                } else if ignored {
                    prop_assert!(level == 0 || level == machine);
                } else {
                    prop_assert_eq!(level, machine);
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn withdrawn_rules_take_back_their_own_levels_and_no_one_elses() {
    let store = store_with(&["whoami", "mimikatz", "whoami mimikatz", "mimikatz"]).await;
    let says = async |id: &str, fields: Value| {
        let all = everything(&*store, Sources::all()).await;
        let document = all.iter().find(|d| &*d.id.id == id).unwrap();
        let fields = fields.as_object().unwrap();
        assert!(
            store
                .edit(&document.id, document.version, fields)
                .await
                .unwrap()
        );
    };
    // Somebody raised two of them before Picket saw them.
    says("0", json!({ "AlertLevel": 1 })).await;
    says("3", json!({ "AlertLevel": 1 })).await;
    swept(&store, &words()).await;
    assert_eq!(levels(&*store).await, [(0, 1), (1, 2), (2, 2), (3, 2)]);
    says("2", json!({ "Ignore": 1 })).await;

    let fewer = judge_as(
        "rules-2",
        vec![Box::new(Word("whoami", AlertLevel::Suspicious))],
    );
    swept(&store, &fewer).await;
    let unchanged = [(0, 1), (1, 2), (2, 2), (3, 2)];
    assert_eq!(
        levels(&*store).await,
        unchanged,
        "a sweep reads nothing again"
    );
    let again = async |dry| {
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        Sweep::new(
            "test",
            shared,
            Sources::all(),
            &fewer.fork().taking_back(),
            2,
        )
        .page_of(2)
        .again(Begin::Beginning)
        .dry(dry)
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap()
    };
    let report = again(true).await;
    assert_eq!((report.taken_back, report.written), (2, 0));
    assert_eq!(levels(&*store).await, unchanged);
    assert_eq!(again(false).await.taken_back, 2);
    assert_eq!(levels(&*store).await, [(0, 1), (1, 0), (2, 2), (3, 1)]);
    let report = again(false).await;
    assert_eq!(
        (report.taken_back, report.written),
        (0, 0),
        "it comes to rest"
    );
    let at = store.progress("test").await.unwrap().at;
    let waiting = store.waiting(&Sources::all(), &at).await.unwrap();
    // The checkpoint stayed where it was, before our own writes.
    assert_eq!(waiting.waiting, 2);
}
