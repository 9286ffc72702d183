//! What Picket keeps on a cluster stays in order by itself: its state, its findings' index, and
//! the reports of several processes.

use elasticsearch::http::Method;
use picket::alert::AlertLevel;
use picket::store::elastic::Elastic;
use picket::store::{Checkpoint, FINDINGS_INDEX, Outcome, Progress, Sources, Store};
use serde_json::{Value, json};

use super::server::Server;
use crate::store_contract::{event, get, new, verdict};

/// Reads all that is new for a sweep, and keeps how far that is.
async fn read(store: &Elastic, sweep: &str) -> (usize, Checkpoint) {
    let mut progress = store.progress(sweep).await.unwrap();
    let (mut documents, all) = (0, Sources::all());
    loop {
        let page = store.changes(Some(sweep), &all, &progress.at, 100);
        let page = page.await.unwrap();
        documents += page.documents.len();
        let rests = page.next == progress.at;
        progress.at = page.next;
        store.commit(sweep, &progress).await.unwrap();
        if rests {
            store.release(sweep).await.unwrap();
            return (documents, store.progress(sweep).await.unwrap().at);
        }
    }
}

#[tokio::test]
async fn only_what_is_gone_for_good_is_forgotten() {
    let Some(server) = Server::get().await else {
        return;
    };
    let fill = async |index: &str| {
        let document = new(index, "a", &event(1, "ws5", "ver"));
        server.elastic().await.add(vec![document]).await.unwrap();
    };
    for index in ["logs-deleted", "logs-anew", "logs-closed", "logs-open"] {
        fill(index).await;
    }
    let (documents, before) = read(&server.elastic().await, "s").await;
    assert_eq!((documents, before.0.len()), (4, 4));
    server.delete("/logs-deleted").await;
    server.delete("/logs-anew").await;
    server.post("/logs-closed/_close", Value::Null).await;
    fill("logs-anew").await;
    let (documents, after) = read(&server.elastic().await, "s").await;
    assert_eq!(documents, 1);
    let of = |at: &Checkpoint, index: &str| -> Vec<String> {
        let keys = at.0.keys().filter(|key| key.starts_with(index));
        keys.cloned().collect()
    };
    assert_eq!(after.0.len(), 3, "{after:?}");
    assert!(of(&after, "logs-deleted").is_empty());
    assert_eq!(of(&after, "logs-anew").len(), 1);
    assert_ne!(of(&after, "logs-anew"), of(&before, "logs-anew"));
    for index in ["logs-closed", "logs-open"] {
        assert_eq!(of(&after, index), of(&before, index));
    }
    server.post("/logs-closed/_open", Value::Null).await;
    assert_eq!(read(&server.elastic().await, "s").await, (0, after));
}

#[tokio::test]
async fn the_findings_come_back_with_their_mapping() {
    let Some(server) = Server::get().await else {
        return;
    };
    let store = server.store().await;
    let documents = ["a", "b"].map(|id| new("logs", id, &event(1, "ws5", "whoami")));
    store.add(documents.into()).await.unwrap();
    for id in ["a", "b"] {
        let verdict = verdict(&get(&store, id).await, "r", AlertLevel::Alert);
        let outcomes = store.apply(&[verdict]).await.unwrap();
        assert_eq!(outcomes, [Outcome::Written]);
        let path = format!("/{FINDINGS_INDEX}/_mapping");
        let mapping = server.must(Method::Get, &path, Value::Null).await;
        let mapping = &mapping[FINDINGS_INDEX]["mappings"];
        assert_eq!(mapping["dynamic"], "false");
        assert_eq!(mapping["properties"]["AlertLevel"]["type"], "byte");
        server.delete(&format!("/{FINDINGS_INDEX}")).await;
    }
}

#[tokio::test]
async fn processes_that_sweep_together_report_beside_each_other() {
    let Some(server) = Server::get().await else {
        return;
    };
    let (one, two, three) = (
        server.elastic().await,
        server.elastic().await,
        server.elastic().await,
    );
    let says = |text: &str| Progress {
        report: Some(json!(text)),
        ..Progress::default()
    };
    one.progress("s").await.unwrap();
    two.progress("s").await.unwrap();
    for (store, text) in [(&one, "one, a page"), (&two, "two"), (&one, "one")] {
        store.commit("s", &says(text)).await.unwrap();
    }
    let progress = three.progress("s").await.unwrap();
    assert_eq!(progress.report, Some(json!("one")));
    assert_eq!(progress.others, [json!("two")]);
    three.commit("s", &says("three")).await.unwrap();
    let progress = one.progress("s").await.unwrap();
    assert_eq!(progress.report, Some(json!("three")));
    assert!(progress.others.is_empty(), "what was before is past");
}
