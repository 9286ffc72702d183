//! The contract of every [`Store`]: the same suite for each implementation. A new store is one more
//! test that hands its factory to [`contract`].

mod search;
mod verdicts;

use std::sync::Arc;

use picket::alert::{AlertLevel, Level};
use picket::document::Document;
use picket::finding::{Finding, Verdict};
use picket::store::embedded::Embedded;
use picket::store::{
    Checkpoint, NewDocument, Outcome, Page, Progress, Sources, Store, StoreErrorKind,
};
use serde_json::{Value, json};

const T0: i64 = 1_600_000_000_000;

pub(crate) fn new(index: &str, id: &str, source: &Value) -> NewDocument {
    NewDocument {
        index: index.into(),
        id: Some(id.into()),
        replace: true,
        source: source.to_string().into(),
    }
}

/// An event of Sysmon as Winlogbeat writes it, so many seconds after [`T0`].
fn event(second: i64, host: &str, command: &str) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(T0 + second * 1000).unwrap();
    json!({
        "@timestamp": time.to_rfc3339(),
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "event_id": "1",
            "computer_name": host,
            "event_data": {
                "Image": format!("C:\\Windows\\System32\\{}.exe", command.split(' ').next().unwrap()),
                "CommandLine": command,
                "User": "THESHIRE\\pgustavo",
                "ProcessId": second.to_string(),
            },
        },
        "Number": second,
    })
}

fn finding(rule: &str, level: AlertLevel) -> Finding {
    Finding {
        detector: "sigma".into(),
        rule_id: rule.into(),
        rule: format!("Title of {rule}").into(),
        level: Level::High,
        alert_level: level,
        techniques: vec!["T1021.002".to_owned()].into(),
        score: None,
        evidence: Vec::new(),
        second_opinion: None,
    }
}

/// A verdict that raises the document to that level.
pub(crate) fn verdict(document: &Document, rule: &str, level: AlertLevel) -> Verdict {
    let mut verdict = Verdict {
        document: document.id.clone(),
        version: document.version,
        stood: AlertLevel::None,
        takes_back: false,
        alert_level: level,
        patch: None,
        judged: "digest".into(),
        whole: true,
        at: 1,
        time: Some(T0),
        host: Some("WS5".into()),
        user: None,
        record_id: None,
        findings: vec![finding(rule, level)],
    };
    if level > AlertLevel::None {
        let patch =
            json!({"AlertLevel": u8::from(level), "picket": {"judged": "digest", "rules": [rule]}});
        verdict.patch = patch.as_object().cloned();
    }
    verdict
}

/// The whole feed from there on, in pages of that size.
pub(crate) async fn feed(
    store: &dyn Store,
    since: &Checkpoint,
    limit: usize,
) -> (Vec<Document>, Checkpoint) {
    let mut documents = Vec::new();
    let mut at = since.clone();
    loop {
        let Page {
            documents: page,
            next,
            ..
        } = store
            .changes(None, &Sources::all(), &at, limit)
            .await
            .unwrap();
        assert!(page.len() <= limit);
        documents.extend(page);
        if next == at {
            return (documents, at);
        }
        at = next;
    }
}

fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|d| &*d.id.id).collect()
}

pub(crate) async fn get(store: &dyn Store, id: &str) -> Document {
    let (documents, _) = feed(store, &Checkpoint::default(), 1000).await;
    documents.into_iter().find(|d| &*d.id.id == id).unwrap()
}

fn level(document: &Document) -> Value {
    serde_json::from_str::<Value>(&document.source).unwrap()["AlertLevel"].clone()
}

/// Runs the suite; `fresh` makes an empty store each time.
pub(crate) async fn contract(fresh: &dyn Fn() -> Arc<dyn Store>) {
    the_feed_yields_every_write_once(&*fresh()).await;
    the_last_of_an_id_wins(&*fresh()).await;
    the_same_file_twice_changes_nothing(&*fresh()).await;
    what_cannot_be_stored_is_refused(&*fresh()).await;
    verdicts::verdicts_are_conditional(&*fresh()).await;
    verdicts::verdicts_never_lower(&*fresh()).await;
    verdicts::repeating_verdicts_changes_nothing(&*fresh()).await;
    verdicts::windows_add_to_what_was_found(&*fresh()).await;
    verdicts::edits_are_conditional(&*fresh()).await;
    sweeps_keep_their_own_progress(&*fresh()).await;
    search::windows_hold_one_entity(&*fresh()).await;
    search::queries_find(&*fresh()).await;
    search::long_values_are_compared_whole(&*fresh()).await;
    search::documents_cannot_swell(&*fresh()).await;
    search::searches_sort_page_and_count(&*fresh()).await;
}

async fn the_feed_yields_every_write_once(store: &dyn Store) {
    let docs = |range: std::ops::Range<i64>| -> Vec<NewDocument> {
        range
            .map(|i| new("logs-a", &format!("d{i:03}"), &event(i, "ws5", "whoami")))
            .collect()
    };
    let (nothing, start) = feed(store, &Checkpoint::default(), 10).await;
    assert!(nothing.is_empty());
    store.add(docs(0..25)).await.unwrap();
    store
        .add(vec![new("other", "x", &event(0, "ws5", "ver"))])
        .await
        .unwrap();
    let (all, at) = feed(store, &start, 10).await;
    assert_eq!(all.len(), 26);
    assert!(
        all.windows(2)
            .all(|w| w[0].version.seq_no < w[1].version.seq_no)
    );
    let only = Sources(vec!["logs-*".into()]);
    let page = store.changes(None, &only, &start, 1000).await.unwrap();
    assert_eq!(page.documents.len(), 25);
    assert_eq!(
        page.next, at,
        "other indices' writes move the checkpoint too"
    );
    store.add(docs(3..5)).await.unwrap();
    let (again, at) = feed(store, &at, 10).await;
    assert_eq!(ids(&again), ["d003", "d004"]);
    let waiting = store.waiting(&only, &start).await.unwrap();
    assert_eq!(
        (waiting.documents, waiting.waiting, waiting.oldest),
        (25, 25, Some(T0))
    );
    let waiting = store.waiting(&only, &at).await.unwrap();
    assert_eq!(
        (waiting.documents, waiting.waiting, waiting.oldest),
        (25, 0, None)
    );
}

async fn the_last_of_an_id_wins(store: &dyn Store) {
    let add = |text: &str| new("logs", "same", &json!({ "a": text }));
    store.add(vec![add("one"), add("two")]).await.unwrap();
    assert_eq!(&*get(store, "same").await.source, r#"{"a":"two"}"#);
    store
        .add(vec![add("three"), new("logs-2", "same", &json!({"a": 4}))])
        .await
        .unwrap();
    let (all, _) = feed(store, &Checkpoint::default(), 10).await;
    let sources: Vec<&str> = all.iter().map(|d| &*d.source).collect();
    assert_eq!(sources, [r#"{"a":"three"}"#, r#"{"a":4}"#]);
}

async fn the_same_file_twice_changes_nothing(store: &dyn Store) {
    let file = || -> Vec<NewDocument> {
        let line = |i: i64| NewDocument {
            id: (i % 2 == 0).then(|| format!("line-{i}")),
            replace: false,
            ..new("logs", "", &event(i, "ws5", "whoami"))
        };
        (0..5).map(line).collect()
    };
    store.add(file()).await.unwrap();
    let (first, at) = feed(store, &Checkpoint::default(), 10).await;
    let outcome = store
        .apply(&[verdict(&first[0], "r", AlertLevel::Alert)])
        .await
        .unwrap();
    assert_eq!(outcome, [Outcome::Written]);
    store.add(file()).await.unwrap();
    let (again, _) = feed(store, &at, 10).await;
    assert_eq!(again.len(), 1, "only the verdict came");
    assert_eq!(level(&again[0]), 2);
}

async fn what_cannot_be_stored_is_refused(store: &dyn Store) {
    let source = |source: &str| NewDocument {
        source: source.into(),
        ..new("logs", "b", &json!({}))
    };
    let good = || new("logs", "good", &json!({"a": 1}));
    for bad in [
        source("[1]"),
        source("{\"a\":"),
        source("{} {}"),
        source(""),
        new("", "x", &json!({})),
        new("logs", &"x".repeat(600), &json!({})),
    ] {
        let error = store.add(vec![good(), bad]).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::BadRequest, "{error}");
    }
    let (all, _) = feed(store, &Checkpoint::default(), 10).await;
    assert!(all.is_empty(), "nothing of a refused write is there");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        store.add(vec![source(&deep)]).await.unwrap_err().kind,
        StoreErrorKind::BadRequest
    );
    // Long and odd documents are kept as they are.
    let odd = r#"{"CommandLine":"\ud800 lone","AlertLevel":"1","a":1e400}"#;
    let long =
        json!({"CommandLine": "é".repeat(100_000), "k\u{0}y": "\u{0}", "": {"": ""}}).to_string();
    store
        .add(vec![
            source(odd),
            NewDocument {
                id: Some("c".into()),
                ..source(&long)
            },
        ])
        .await
        .unwrap();
    assert_eq!(&*get(store, "b").await.source, odd);
    assert_eq!(&*get(store, "c").await.source, long);
    let outcome = store
        .apply(&[verdict(&get(store, "b").await, "r", AlertLevel::Alert)])
        .await
        .unwrap();
    assert_eq!(outcome, [Outcome::Written]);
}

async fn sweeps_keep_their_own_progress(store: &dyn Store) {
    assert_eq!(store.progress("a").await.unwrap(), Progress::default());
    let progress = |seq| Progress {
        at: Checkpoint([(String::new(), seq)].into()),
        begun: Default::default(),
        report: Some(json!({ "judged": seq })),
    };
    store.commit("a", &progress(1)).await.unwrap();
    store.commit("b", &progress(2)).await.unwrap();
    store.commit("a", &progress(3)).await.unwrap();
    assert_eq!(store.progress("a").await.unwrap(), progress(3));
    assert_eq!(store.progress("b").await.unwrap(), progress(2));
}

#[tokio::test]
async fn the_store_in_ram_keeps_the_contract() {
    contract(&|| Arc::new(Embedded::in_memory().unwrap())).await;
}

#[tokio::test]
async fn the_store_in_a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract(&|| {
        number.set(number.get() + 1);
        Arc::new(Embedded::open(&dir.path().join(number.get().to_string())).unwrap())
    })
    .await;
}
