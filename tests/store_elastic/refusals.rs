//! Indices that refuse a verdict, or take it in their own way, and people who write meanwhile.

use std::collections::BTreeMap;

use elasticsearch::http::Method;
use picket::alert::AlertLevel;
use picket::store::{Checkpoint, FINDINGS_INDEX, Outcome, Search, Sources, Store};
use serde_json::{Value, json};

use super::server::Server;
use crate::store_contract::{event, feed, get, level, new, verdict};

async fn findings(store: &dyn Store) -> u64 {
    let search = Search {
        sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
        ..Search::default()
    };
    store.find(&search).await.unwrap().total
}

/// What becomes of a verdict on a document of that index, which the server has prepared.
async fn judged(server: &Server, index: &str) -> Outcome {
    let store = server.store().await;
    let document = get(&store, "a").await;
    assert_eq!(&*document.id.index, index);
    let outcomes = store
        .apply(&[verdict(&document, "r", AlertLevel::Alert)])
        .await
        .unwrap();
    assert_eq!(findings(&store).await, 1, "the finding is kept");
    outcomes.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_strict_mapping_refuses_with_a_sentence() {
    let Some(server) = Server::get().await else {
        return;
    };
    let strict =
        json!({ "mappings": { "dynamic": "strict", "properties": { "n": { "type": "long" } } } });
    server.put("/strict", strict).await;
    server.put("/strict/_doc/a", json!({ "n": 1 })).await;
    let why = "the mapping of strict refuses `AlertLevel` or `picket`";
    assert_eq!(
        judged(&server, "strict").await,
        Outcome::Rejected(why.into())
    );
}

#[tokio::test]
async fn a_text_mapping_takes_the_number() {
    let Some(server) = Server::get().await else {
        return;
    };
    let text = json!({ "mappings": { "properties": { "AlertLevel": { "type": "text" } } } });
    server.put("/words", text).await;
    server
        .put("/words/_doc/a", json!({ "AlertLevel": "0" }))
        .await;
    assert_eq!(judged(&server, "words").await, Outcome::Written);
    assert_eq!(level(&get(&server.store().await, "a").await), 2);
}

#[tokio::test]
async fn a_mapping_of_picket_by_others_refuses_with_a_sentence() {
    let Some(server) = Server::get().await else {
        return;
    };
    let mapping = json!({ "mappings": { "properties": { "picket": { "type": "keyword" } } } });
    server.put("/theirs", mapping).await;
    server.put("/theirs/_doc/a", json!({ "n": 1 })).await;
    let why = "the mapping of theirs refuses `AlertLevel` or `picket`";
    assert_eq!(
        judged(&server, "theirs").await,
        Outcome::Rejected(why.into())
    );
}

#[tokio::test]
async fn a_read_only_index_keeps_its_findings_beside() {
    let Some(server) = Server::get().await else {
        return;
    };
    // By hand, and as a disk that fills up does it.
    for block in ["write", "read_only_allow_delete"] {
        server.wipe().await;
        server.put("/logs/_doc/a", json!({ "n": 1 })).await;
        let settings = json!({ format!("index.blocks.{block}"): true });
        server.put("/logs/_settings", settings).await;
        let outcome = judged(&server, "logs").await;
        assert_eq!(
            outcome,
            Outcome::Rejected("logs is read-only".into()),
            "{block}"
        );
    }
}

/// What a person says in the instant in which a verdict is written stands, and the document comes
/// again.
#[tokio::test]
async fn nothing_that_a_person_writes_meanwhile_is_lost() {
    let Some(server) = Server::get().await else {
        return;
    };
    let store = server.store().await;
    let documents = (0..60)
        .map(|i| new("logs", &i.to_string(), &event(i, "ws5", "whoami")))
        .collect();
    store.add(documents).await.unwrap();
    let (documents, at) = feed(&store, &Checkpoint::default(), 100).await;
    let verdicts: Vec<_> = documents
        .iter()
        .map(|d| verdict(d, "r", AlertLevel::Suspicious))
        .collect();
    let person = async {
        for i in (0..60).rev() {
            let change = json!({ "doc": { "Ignore": 1, "note": i } });
            let path = format!("/logs/_update/{i}?retry_on_conflict=5");
            server.must(Method::Post, &path, change).await;
        }
    };
    let machine = async {
        let mut outcomes = Vec::new();
        for some in verdicts.chunks(5) {
            outcomes.extend(store.apply(some).await.unwrap());
        }
        outcomes
    };
    let ((), outcomes) = tokio::join!(person, machine);
    let (now, _) = feed(&store, &at, 100).await;
    let now: BTreeMap<&str, Value> = now
        .iter()
        .map(|d| (&*d.id.id, serde_json::from_str(&d.source).unwrap()))
        .collect();
    assert_eq!(now.len(), 60, "whatever was written comes again");
    let count = |what: &Outcome| outcomes.iter().filter(|o| *o == what).count();
    let (written, conflicts) = (count(&Outcome::Written), count(&Outcome::Conflict));
    println!("{written} written, {conflicts} conflicts");
    assert_eq!(written + conflicts, 60);
    for (verdict, outcome) in verdicts.iter().zip(&outcomes) {
        let now = &now[&*verdict.document.id];
        let number: i64 = verdict.document.id.parse().unwrap();
        assert_eq!((&now["Ignore"], &now["note"]), (&json!(1), &json!(number)));
        let expected = match outcome {
            Outcome::Written => json!(1),
            _ => Value::Null,
        };
        assert_eq!(now["AlertLevel"], expected, "{number}: {outcome:?}");
    }
    // A finding speaks of a verdict that stands.
    assert_eq!(findings(&store).await, written as u64);
}
