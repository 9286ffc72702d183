//! An index that keeps no sequence numbers: nothing of it is skipped, however late it comes, and
//! nothing is written to it.

use elasticsearch::http::Method;
use picket::alert::AlertLevel;
use picket::document::{Document, Scope};
use picket::store::{
    Begin, Checkpoint, FINDINGS_INDEX, Outcome, Progress, Search, Sources, Store, Window,
};
use serde_json::{Value, json};

use super::server::{AtOnce, Server};
use crate::store_contract::{T0, event, ids, new, verdict};

fn sources() -> Sources {
    Sources(vec!["logs-*".into()])
}

/// The server with such an index, if it can have one.
async fn get() -> Option<Server> {
    let server = Server::get().await?;
    let settings = json!({ "settings": {
        "index.disable_sequence_numbers": true, "number_of_shards": 1 } });
    let (status, _) = server.ask(Method::Put, "/logs-n", settings).await;
    if status != 200 {
        println!("skipped: this server keeps sequence numbers always");
        return None;
    }
    Some(server)
}

async fn fill(store: &AtOnce, names: &str, time: Option<i64>) {
    let source = match time {
        Some(time) => json!({ "@timestamp": time, "Computer": "ws5", "EventID": 1 }),
        None => event(1, "ws5", "whoami"),
    };
    let documents = names.split(' ').map(|name| new("logs-n", name, &source));
    store.add(documents.collect()).await.unwrap();
}

/// What a sweep reads until it rests, sorted by id, and what it is told; all of it is kept.
async fn read(store: &AtOnce, sweep: &str) -> (String, Vec<String>) {
    let mut progress = store.progress(sweep).await.unwrap();
    let (mut documents, mut problems) = (Vec::<Document>::new(), Vec::new());
    loop {
        let page = store
            .changes(Some(sweep), &sources(), &progress.at, 2)
            .await;
        let page = page.unwrap();
        assert!(page.documents.len() <= 2);
        problems.extend(page.problems.iter().map(ToString::to_string));
        if page.next == progress.at {
            break;
        }
        documents.extend(page.documents);
        progress.at = page.next;
        store.commit(sweep, &progress).await.unwrap();
    }
    store.release(sweep).await.unwrap();
    let mut ids = ids(&documents);
    ids.sort_unstable();
    (ids.join(" "), problems)
}

async fn waiting(store: &AtOnce, sweep: &str) -> u64 {
    let at = store.progress(sweep).await.unwrap().at;
    store.waiting(&sources(), &at).await.unwrap().waiting
}

#[tokio::test]
async fn nothing_is_skipped_however_late_it_comes() {
    let Some(server) = get().await else {
        return;
    };
    let store = server.store().await;
    let now = chrono::Utc::now().timestamp_millis();
    fill(&store, "a b c", None).await;
    assert_eq!(waiting(&store, "s").await, 3);
    assert_eq!(read(&store, "s").await, ("a b c".into(), vec![]));
    assert_eq!(waiting(&store, "s").await, 0);
    assert_eq!(read(&store, "s").await, (String::new(), vec![]));
    fill(&store, "d e f", Some(now)).await;
    assert_eq!(waiting(&store, "s").await, 3);
    assert_eq!(read(&store, "s").await, ("d e f".into(), vec![]));
    // Within the overlap only what is new, and what was changed, comes.
    fill(&store, "g", Some(now - 60_000)).await;
    fill(&store, "d", Some(now + 1)).await;
    assert_eq!(read(&store, "s").await, ("d g".into(), vec![]));
    // Before it: everything that is not remembered, and a word about it.
    fill(&store, "late", None).await;
    let (all, problems) = read(&store, "s").await;
    assert_eq!(all, "a b c late");
    assert!(!problems.is_empty());
    assert!(problems[0].contains("judged again"), "{problems:?}");
    assert_eq!(read(&store, "s").await, (String::new(), vec![]));
    // Another process remembers nothing, and reads the overlap again.
    let other = server.store().await;
    fill(&other, "h", Some(now)).await;
    assert_eq!(read(&other, "s").await, ("d e f g h".into(), vec![]));
    // Who only looks sees everything, from wherever it begins, and takes nothing from anybody.
    for _ in 0..2 {
        let page = store
            .changes(None, &sources(), &Checkpoint::default(), 100)
            .await;
        assert_eq!(page.unwrap().documents.len(), 9);
    }
}

#[tokio::test]
async fn it_begins_where_it_is_told_to_or_before() {
    let Some(server) = get().await else {
        return;
    };
    let store = server.store().await;
    let now = chrono::Utc::now().timestamp_millis();
    let hour = 3_600_000;
    fill(&store, "old", None).await;
    fill(&store, "day", Some(now - 24 * hour)).await;
    fill(&store, "new", Some(now)).await;
    for (name, begin, expected) in [
        (
            "two",
            Begin::Ago(std::time::Duration::from_secs(48 * 3600)),
            "day new",
        ),
        ("now", Begin::Now, ""),
    ] {
        let at = store.begin(&sources(), begin).await.unwrap();
        let progress = Progress {
            at,
            ..Progress::default()
        };
        store.commit(name, &progress).await.unwrap();
        assert_eq!(read(&store, name).await, (expected.into(), vec![]));
    }
    fill(&store, "next", Some(now)).await;
    assert_eq!(read(&store, "now").await, ("new next".into(), vec![]));
}

#[tokio::test]
async fn verdicts_are_kept_as_findings_and_searches_find_it() {
    let Some(server) = get().await else {
        return;
    };
    let store = server.store().await;
    fill(&store, "a b", None).await;
    store
        .add(vec![new("logs-numbered", "c", &event(2, "ws5", "ver"))])
        .await
        .unwrap();
    let page = store
        .changes(None, &sources(), &Checkpoint::default(), 100)
        .await
        .unwrap();
    let document = page.documents.iter().find(|d| &*d.id.id == "a").unwrap();
    for _ in 0..2 {
        let verdict = verdict(document, "r", AlertLevel::Alert);
        let outcome = store.apply(&[verdict]).await.unwrap().remove(0);
        assert_eq!(
            outcome,
            Outcome::Rejected("logs-n keeps no sequence numbers".into())
        );
    }
    let search = |index: &str| Search {
        sources: Some(Sources(vec![index.into()])),
        limit: 10,
        ..Search::default()
    };
    assert_eq!(store.find(&search(FINDINGS_INDEX)).await.unwrap().total, 1);
    let found = store.find(&search("logs-*")).await.unwrap();
    assert_eq!(ids(&found.documents)[0], "c", "newest first");
    assert_eq!(found.total, 3);
    let level =
        |d: &Document| serde_json::from_str::<Value>(&d.source).unwrap()["AlertLevel"].clone();
    assert!(
        found.documents.iter().all(|d| level(d).is_null()),
        "nothing is written to it"
    );
    let window = Window {
        sources: sources(),
        scope: Scope::Host,
        entity: "WS5".into(),
        from: T0,
        to: T0 + 10_000,
        fields: Vec::new(),
    };
    assert_eq!(store.window(&window).await.unwrap().len(), 3);
}
