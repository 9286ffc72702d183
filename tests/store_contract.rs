//! The contract of every [`Store`]: the same suite for each implementation. A new store is one more
//! test that hands its factory to [`contract`]. Says nothing that is true of one of them only.

mod feed;
pub(crate) mod hits;
mod search;
mod verdicts;

use std::sync::Arc;

use picket::alert::{AlertLevel, Level};
use picket::document::Document;
use picket::finding::{Finding, Standing, Verdict};
use picket::store::embedded::Embedded;
use picket::store::{Checkpoint, NewDocument, Page, Sources, Store};
use picket::taxonomy::{Event, Fields, Reader, Slots};
use serde_json::{Value, json};

pub(crate) const T0: i64 = 1_600_000_000_000;

pub(crate) fn new(index: &str, id: &str, source: &Value) -> NewDocument {
    NewDocument {
        index: index.into(),
        id: Some(id.into()),
        replace: true,
        source: source.to_string().into(),
    }
}

/// An event of Sysmon as Winlogbeat writes it, so many seconds after [`T0`].
pub(crate) fn event(second: i64, host: &str, command: &str) -> Value {
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

/// A verdict that raises the document to that level, settled against what the document says: as
/// the judge gives it.
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
    verdict.settle(&standing(document));
    verdict
}

/// What the document says of earlier judgements.
pub(crate) fn standing(document: &Document) -> Standing {
    let mut slots = Slots::default();
    Reader::new(&Fields::default())
        .read(&document.source, &mut slots)
        .unwrap();
    Event::new(document, &slots).standing().clone()
}

/// The whole feed from there on, in pages of that size.
pub(crate) async fn feed(
    store: &dyn Store,
    since: &Checkpoint,
    limit: usize,
) -> (Vec<Document>, Checkpoint) {
    feed_of(store, &["*"], since, limit).await
}

/// The same of some sources.
pub(crate) async fn feed_of(
    store: &dyn Store,
    patterns: &[&str],
    since: &Checkpoint,
    limit: usize,
) -> (Vec<Document>, Checkpoint) {
    let sources = Sources(patterns.iter().map(|p| (*p).to_owned()).collect());
    let mut documents = Vec::new();
    let mut at = since.clone();
    loop {
        let Page {
            documents: page,
            next,
            problems,
        } = store.changes(None, &sources, &at, limit).await.unwrap();
        assert!(page.len() <= limit);
        assert!(problems.is_empty(), "{problems:?}");
        documents.extend(page);
        if next == at {
            return (documents, at);
        }
        at = next;
    }
}

pub(crate) fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|d| &*d.id.id).collect()
}

pub(crate) async fn get(store: &dyn Store, id: &str) -> Document {
    let (documents, _) = feed(store, &Checkpoint::default(), 1000).await;
    documents.into_iter().find(|d| &*d.id.id == id).unwrap()
}

pub(crate) fn level(document: &Document) -> Value {
    serde_json::from_str::<Value>(&document.source).unwrap()["AlertLevel"].clone()
}

/// Runs the suite; `fresh` makes an empty store each time, in which indices called `sharded-*` have
/// three shards, if it has shards at all, and what is in `odd` is kept as it is.
pub(crate) async fn contract(fresh: impl AsyncFn() -> Arc<dyn Store>) {
    feed::the_feed_yields_every_write_once(&*fresh().await).await;
    feed::shards_are_one_feed(&*fresh().await).await;
    feed::the_last_of_an_id_wins(&*fresh().await).await;
    feed::the_same_file_twice_changes_nothing(&*fresh().await).await;
    feed::what_cannot_be_stored_is_refused(&*fresh().await).await;
    feed::what_is_stored_is_given_back(&*fresh().await).await;
    feed::a_feed_begins_where_it_is_told_to(&*fresh().await).await;
    feed::sweeps_keep_their_own_progress(&*fresh().await).await;
    feed::what_is_released_is_read_again(&*fresh().await).await;
    verdicts::verdicts_are_conditional(&*fresh().await).await;
    verdicts::verdicts_never_lower(&*fresh().await).await;
    verdicts::repeating_verdicts_changes_nothing(&*fresh().await).await;
    verdicts::windows_add_to_what_was_found(&*fresh().await).await;
    verdicts::documents_are_got_as_they_are_now(&*fresh().await).await;
    verdicts::edits_are_conditional(&*fresh().await).await;
    hits::hits_are_kept_once_and_found_by_group_and_time(&*fresh().await).await;
    hits::hits_are_nobody_elses(&*fresh().await).await;
    search::windows_hold_one_entity(&*fresh().await).await;
    search::queries_find(&*fresh().await).await;
    search::long_values_are_found(&*fresh().await).await;
    search::searches_sort_page_and_count(&*fresh().await).await;
}

#[tokio::test]
async fn the_store_in_ram_keeps_the_contract() {
    contract(async || Arc::new(Embedded::in_memory().unwrap()) as Arc<dyn Store>).await;
}

/// Of this store alone: a cluster bounds its documents in its own way, takes no list of text and
/// objects, and keeps only the words of a long value.
#[tokio::test]
async fn the_store_in_ram_takes_every_document() {
    search::long_values_are_compared_whole(&Embedded::in_memory().unwrap()).await;
    search::documents_cannot_swell(&Embedded::in_memory().unwrap()).await;
    search::lists_hold_anything(&Embedded::in_memory().unwrap()).await;
}

#[tokio::test]
async fn the_store_in_a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract(async || {
        number.set(number.get() + 1);
        Arc::new(Embedded::open(&dir.path().join(number.get().to_string())).unwrap())
            as Arc<dyn Store>
    })
    .await;
}
