//! The laws of the store under any order of writes and reads, and under writers side by side.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use picket::alert::AlertLevel;
use picket::document::{Document, DocumentId, Source};
use picket::store::embedded::Embedded;
use picket::store::{Checkpoint, NewDocument, Outcome, Progress, Sources, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::store_contract::{new, verdict};

#[derive(Clone, Debug)]
enum Step {
    /// Somebody writes a document.
    Add(u8),
    /// Verdicts of that level on some of the documents that were read, old versions too.
    Apply(Vec<u8>, u8),
    /// A person decides on a document that was read.
    Edit(u8, bool),
    /// The next page is read.
    Read(usize),
    /// The sweep commits.
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..8).prop_map(Step::Add),
        (prop::collection::vec(0u8..8, 1..4), 0u8..3)
            .prop_map(|(ids, level)| Step::Apply(ids, level)),
        (0u8..8, any::<bool>()).prop_map(|(id, mine)| Step::Edit(id, mine)),
        (1usize..5).prop_map(Step::Read),
        Just(Step::Commit),
    ]
}

/// What a document must say, were there no store.
#[derive(Clone, Debug, Default, PartialEq)]
struct Expected {
    written: usize,
    level: u64,
    ignored: bool,
}

fn says(document: &Document) -> Expected {
    let source: Value = serde_json::from_str(&document.source).unwrap();
    Expected {
        written: source["n"].as_u64().unwrap() as usize,
        level: source["AlertLevel"].as_u64().unwrap_or(0),
        ignored: source["Ignore"] == 1,
    }
}

/// A store, a reader of its feed, and what both must come to.
struct World {
    store: Embedded,
    at: Checkpoint,
    read: HashMap<String, Document>,
    expected: BTreeMap<String, Expected>,
}

impl World {
    async fn read(&mut self, limit: usize) -> bool {
        let page = self
            .store
            .changes(None, &Sources::all(), &self.at, limit)
            .await
            .unwrap();
        let seqs = page.documents.iter().map(|d| d.version.seq_no);
        assert!(seqs.clone().zip(seqs.skip(1)).all(|(a, b)| a < b));
        for document in page.documents {
            self.read.insert(document.id.id.to_string(), document);
        }
        let rests = page.next == self.at;
        self.at = page.next;
        !rests
    }

    async fn step(&mut self, number: usize, step: &Step) {
        match step {
            Step::Add(id) => {
                let id = id.to_string();
                self.store
                    .add(vec![new("logs", &id, &json!({ "n": number }))])
                    .await
                    .unwrap();
                self.expected.insert(
                    id,
                    Expected {
                        written: number,
                        ..Expected::default()
                    },
                );
            }
            Step::Apply(ids, level) => self.apply(ids, *level).await,
            Step::Edit(id, mine) => {
                let Some(document) = self.read.get(&id.to_string()) else {
                    return;
                };
                let change = if *mine {
                    json!({"AlertLevel": 0, "Ignore": 1})
                } else {
                    json!({"AlertLevel": 2, "Ignore": 0})
                };
                let id = document.id.clone();
                let version = document.version;
                if self
                    .store
                    .edit(&id, version, change.as_object().unwrap())
                    .await
                    .unwrap()
                {
                    let expected = self.expected.get_mut(&*id.id).unwrap();
                    expected.level = if *mine { 0 } else { 2 };
                    expected.ignored = *mine;
                }
            }
            Step::Read(limit) => {
                self.read(*limit).await;
            }
            Step::Commit => self.store.commit("s", &Progress::default()).await.unwrap(),
        }
    }

    async fn apply(&mut self, ids: &[u8], level: u8) {
        let documents: Vec<Document> = ids
            .iter()
            .filter_map(|id| self.read.get(&id.to_string()))
            .cloned()
            .collect();
        let level = AlertLevel::try_from(level).unwrap();
        let verdicts: Vec<_> = documents.iter().map(|d| verdict(d, "r", level)).collect();
        let outcomes = self.store.apply(&verdicts).await.unwrap();
        assert_eq!(outcomes.len(), documents.len());
        for (document, outcome) in documents.iter().zip(outcomes) {
            let expected = self.expected.get_mut(&*document.id.id).unwrap();
            if outcome == Outcome::Written {
                assert!(!expected.ignored, "an ignored document is never touched");
                expected.level = expected.level.max(u64::from(u8::from(level)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_steps_keeps_the_laws(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World {
                store: Embedded::in_memory().unwrap(),
                at: Checkpoint::default(),
                read: HashMap::new(),
                expected: BTreeMap::new(),
            };
            for (number, step) in steps.iter().enumerate() {
                world.step(number, step).await;
            }
            world.store.commit("s", &Progress::default()).await.unwrap();
            while world.read(3).await {}
            let read: BTreeMap<String, Expected> = world.read.iter().map(|(id, d)| (id.clone(), says(d))).collect();
            assert_eq!(read, world.expected, "the feed yields the last of every write");
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_skips_nothing_while_others_write() {
    let store = Arc::new(Embedded::in_memory().unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let mut at = Checkpoint::default();
            let mut read: HashMap<DocumentId, Source> = HashMap::new();
            loop {
                let finished = done.load(Ordering::SeqCst);
                let page = store.changes(None, &Sources::all(), &at, 13).await.unwrap();
                if finished && page.next == at {
                    return read;
                }
                at = page.next;
                read.extend(page.documents.into_iter().map(|d| (d.id, d.source)));
            }
        }
    });
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..40 {
                    let own = new("logs", &format!("{writer}-{}", n % 20), &json!({ "n": n }));
                    let shared = new("logs", "shared", &json!({ "writer": writer, "n": n }));
                    store.add(vec![own, shared]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let read = reader.await.unwrap();
    assert_eq!(read.len(), 81);
    for (id, source) in &read {
        let source: Value = serde_json::from_str(source).unwrap();
        assert!(
            source["n"].as_u64().unwrap() >= 20,
            "{id:?}: not the last write"
        );
    }
}

/// What the shards of a cluster do by themselves: other indices' writes are no work that waits.
#[tokio::test]
async fn other_indices_writes_move_the_checkpoint_too() {
    let store = Embedded::in_memory().unwrap();
    let logs = Sources(vec!["logs".into()]);
    store
        .add(vec![
            new("logs", "a", &json!({"n": 1})),
            new("other", "b", &json!({"n": 2})),
        ])
        .await
        .unwrap();
    let start = Checkpoint::default();
    let all = store.changes(None, &Sources::all(), &start, 10).await;
    let some = store.changes(None, &logs, &start, 10).await;
    assert_eq!(some.unwrap().next, all.unwrap().next);
}

/// This store looks at the document itself before it writes, whatever the verdict was settled on.
#[tokio::test]
async fn verdicts_that_nobody_settled_lower_nothing() {
    let store = Embedded::in_memory().unwrap();
    let ignored = r#"{"AlertLevel":0,"Ignore":1}"#;
    store
        .add(vec![
            new("logs", "two", &json!({"AlertLevel": 2, "a": 1})),
            new("logs", "ignored", &serde_json::from_str(ignored).unwrap()),
        ])
        .await
        .unwrap();
    let read = async || {
        let start = Checkpoint::default();
        let page = store.changes(None, &Sources::all(), &start, 10).await;
        let mut documents = page.unwrap().documents;
        documents.sort_by_key(|d| d.id.clone());
        documents
    };
    let verdicts: Vec<_> = read()
        .await
        .iter()
        .map(|document| {
            let mut verdict = verdict(document, "r", AlertLevel::Suspicious);
            verdict.settle(&Default::default());
            assert!(verdict.patch.is_some());
            verdict
        })
        .collect();
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert_eq!(outcomes, [Outcome::Kept, Outcome::Written]);
    store.commit("s", &Progress::default()).await.unwrap();
    let now = read().await;
    assert_eq!(&*now[0].source, ignored);
    assert!(
        now[1].source.contains(r#""AlertLevel":2"#),
        "{}",
        now[1].source
    );
}

/// What a cluster's parser would change: no number is read that need not be.
#[tokio::test]
async fn a_verdict_leaves_numbers_as_they_are_written() {
    let store = Embedded::in_memory().unwrap();
    let huge = NewDocument {
        source: r#"{"a":1e400,"b":1.50}"#.into(),
        ..new("logs", "a", &json!({}))
    };
    store.add(vec![huge]).await.unwrap();
    let start = Checkpoint::default();
    let page = store.changes(None, &Sources::all(), &start, 10).await;
    let verdict = verdict(&page.unwrap().documents[0], "r", AlertLevel::Alert);
    assert_eq!(store.apply(&[verdict]).await.unwrap(), [Outcome::Written]);
    store.commit("s", &Progress::default()).await.unwrap();
    let page = store.changes(None, &Sources::all(), &start, 10).await;
    let now = &page.unwrap().documents[0].source;
    assert!(
        now.starts_with(r#"{"a":1e400,"b":1.50,"AlertLevel":2"#),
        "{now}"
    );
}
