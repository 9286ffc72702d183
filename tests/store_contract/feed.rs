//! What the contract says of writing, of the feed, and of how far a sweep is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use picket::alert::AlertLevel;
use picket::document::Document;
use picket::store::{
    Begin, Checkpoint, NewDocument, Outcome, Progress, Sources, Store, StoreErrorKind,
};
use serde_json::{Value, json};

use super::{T0, event, feed, feed_of, get, ids, level, new, verdict};

fn numbered(index: &str, range: std::ops::Range<i64>) -> Vec<NewDocument> {
    range
        .map(|i| new(index, &format!("d{i:03}"), &event(i, "ws5", "whoami")))
        .collect()
}

fn sources(pattern: &str) -> Sources {
    Sources(vec![pattern.into()])
}

/// Whether the documents of each index, of one shard each, come in the order of their writes.
fn in_order(documents: &[Document]) -> bool {
    let mut last = BTreeMap::new();
    documents.iter().all(|document| {
        let seq_no = document.version.seq_no;
        last.insert(&document.id.index, seq_no)
            .is_none_or(|before| before < seq_no)
    })
}

pub(super) async fn the_feed_yields_every_write_once(store: &dyn Store) {
    let (nothing, start) = feed(store, &Checkpoint::default(), 10).await;
    assert!(nothing.is_empty());
    store.add(numbered("logs-a", 0..25)).await.unwrap();
    store
        .add(vec![new("other", "x", &event(0, "ws5", "ver"))])
        .await
        .unwrap();
    let (all, at) = feed(store, &start, 10).await;
    assert_eq!(all.len(), 26);
    assert!(in_order(&all));
    // Some of the sources: all of theirs, nothing else, and it comes to rest.
    let only = sources("logs-*");
    let page = store.changes(None, &only, &start, 1000).await.unwrap();
    assert_eq!(page.documents.len(), 25);
    let rest = store.changes(None, &only, &page.next, 1000).await.unwrap();
    assert!(rest.documents.is_empty());
    assert_eq!(rest.next, page.next);
    store.add(numbered("logs-a", 3..5)).await.unwrap();
    for from in [&at, &page.next] {
        let (again, _) = feed_of(store, &["logs-*"], from, 10).await;
        assert_eq!(ids(&again), ["d003", "d004"]);
    }
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

pub(super) async fn shards_are_one_feed(store: &dyn Store) {
    store.add(numbered("sharded-a", 0..60)).await.unwrap();
    let start = Checkpoint::default();
    let (all, at) = feed(store, &start, 7).await;
    let unique: BTreeSet<&str> = ids(&all).into_iter().collect();
    assert_eq!((all.len(), unique.len()), (60, 60));
    store.add(numbered("sharded-a", 10..20)).await.unwrap();
    let (again, end) = feed(store, &at, 7).await;
    let unique: BTreeSet<&str> = ids(&again).into_iter().collect();
    assert_eq!((again.len(), unique.len()), (10, 10));
    let sources = sources("sharded-*");
    for (since, expected) in [(&start, 60), (&at, 10), (&end, 0)] {
        let waiting = store.waiting(&sources, since).await.unwrap();
        assert_eq!((waiting.documents, waiting.waiting), (60, expected));
        assert_eq!(waiting.oldest.is_some(), expected > 0);
        if !waiting.shards.is_empty() {
            assert_eq!(waiting.shards.len(), 3);
            let sum = |of: fn(&picket::store::ShardWaiting) -> u64| -> u64 {
                waiting.shards.iter().map(of).sum()
            };
            assert_eq!((sum(|s| s.documents), sum(|s| s.waiting)), (60, expected));
            let oldest = waiting.shards.iter().filter_map(|s| s.oldest).min();
            assert_eq!(oldest, waiting.oldest);
            assert!(waiting.shards.iter().all(|s| s.index == "sharded-a"));
        }
    }
    // How far it is in each shard survives.
    let progress = Progress {
        at: at.clone(),
        ..Progress::default()
    };
    store.commit("s", &progress).await.unwrap();
    let kept = store.progress("s").await.unwrap().at;
    let (again, _) = feed(store, &kept, 1000).await;
    assert_eq!(again.len(), 10);
}

pub(super) async fn the_last_of_an_id_wins(store: &dyn Store) {
    let add = |text: &str| new("logs", "same", &json!({ "a": text }));
    store.add(vec![add("one"), add("two")]).await.unwrap();
    assert_eq!(&*get(store, "same").await.source, r#"{"a":"two"}"#);
    store
        .add(vec![add("three"), new("logs-2", "same", &json!({"a": 4}))])
        .await
        .unwrap();
    let (all, _) = feed(store, &Checkpoint::default(), 10).await;
    let sources: BTreeMap<&str, &str> = all.iter().map(|d| (&*d.id.index, &*d.source)).collect();
    let expected = [("logs", r#"{"a":"three"}"#), ("logs-2", r#"{"a":4}"#)];
    assert_eq!((all.len(), sources), (2, expected.into()));
}

pub(super) async fn the_same_file_twice_changes_nothing(store: &dyn Store) {
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
    store.commit("s", &Progress::default()).await.unwrap();
    store.add(file()).await.unwrap();
    let (again, _) = feed(store, &at, 10).await;
    assert_eq!(again.len(), 1, "only the verdict came");
    assert_eq!(level(&again[0]), 2);
}

fn source(source: &str) -> NewDocument {
    NewDocument {
        source: source.into(),
        ..new("odd", "b", &json!({}))
    }
}

pub(super) async fn what_cannot_be_stored_is_refused(store: &dyn Store) {
    let good = || new("logs", "good", &json!({"a": 1}));
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for bad in [
        source("[1]"),
        source("{\"a\":"),
        source("{} {}"),
        source(""),
        source(&deep),
        new("", "x", &json!({})),
        new("logs", "", &json!({})),
        new("logs", &"x".repeat(600), &json!({})),
    ] {
        let error = store.add(vec![good(), bad]).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::BadRequest, "{error}");
    }
    let (all, _) = feed(store, &Checkpoint::default(), 10).await;
    assert!(all.is_empty(), "nothing of a refused write is there");
}

pub(super) async fn what_is_stored_is_given_back(store: &dyn Store) {
    let odd = r#"{"CommandLine":"\ud800 lone","AlertLevel":"1"}"#;
    let long =
        json!({"CommandLine": "é".repeat(100_000), "k\u{0}y": "\u{0}", "": {"": ""}}).to_string();
    let lines = "{\n  \"CommandLine\": \"whoami\",\r\n  \"a\": \"b\\nc\"\n}";
    let with_id = |id: &str, text: &str| NewDocument {
        id: Some(id.into()),
        ..source(text)
    };
    store
        .add(vec![
            with_id("odd", odd),
            with_id("long", &long),
            with_id("lines", lines),
        ])
        .await
        .unwrap();
    assert_eq!(&*get(store, "odd").await.source, odd);
    assert_eq!(&*get(store, "long").await.source, long);
    let kept: Value = serde_json::from_str(&get(store, "lines").await.source).unwrap();
    assert_eq!(kept, json!({"CommandLine": "whoami", "a": "b\nc"}));
    // A verdict leaves the rest as it was.
    for (id, rest) in [("odd", r"\ud800 lone"), ("long", "ééé"), ("lines", "b\\nc")] {
        let document = get(store, id).await;
        let outcome = store
            .apply(&[verdict(&document, "r", AlertLevel::Alert)])
            .await
            .unwrap();
        assert_eq!(outcome, [Outcome::Written], "{id}");
        store.commit("s", &Progress::default()).await.unwrap();
        let now = get(store, id).await;
        assert!(now.source.contains(r#""AlertLevel":2"#), "{}", now.source);
        let text = now.source.replace(r"\uD800", r"\ud800");
        assert!(text.contains(rest), "{text}");
        assert!(text.len() > document.source.len(), "{text}");
    }
}

pub(super) async fn a_feed_begins_where_it_is_told_to(store: &dyn Store) {
    let hours_ago = |hours: i64| {
        let time = chrono::Utc::now() - chrono::TimeDelta::hours(hours);
        json!({ "@timestamp": time.to_rfc3339(), "n": hours })
    };
    let logs = sources("logs");
    let nothing = store.begin(&logs, Begin::Now).await.unwrap();
    store
        .add(vec![
            new("logs", "year", &hours_ago(24 * 365)),
            new("logs", "day", &hours_ago(24)),
            new("logs", "late", &hours_ago(24 * 30)),
            new("logs", "now", &hours_ago(1)),
        ])
        .await
        .unwrap();
    let ago = |hours: u64| Begin::Ago(Duration::from_secs(hours * 3600));
    let from = async |begin| store.begin(&logs, begin).await.unwrap();
    // Chosen on nothing: what comes then comes.
    let begins = [
        (nothing, "year day late now next"),
        (from(Begin::Beginning).await, "year day late now next"),
        // Not later than the first that is asked for; what was written after it comes too.
        (from(ago(48)).await, "day late now next"),
        (from(ago(2)).await, "now next"),
        // Nothing is that young: what is written from now on.
        (from(Begin::Ago(Duration::from_secs(1))).await, "next"),
        (from(Begin::Now).await, "next"),
    ];
    store
        .add(vec![new("logs", "next", &hours_ago(24 * 365))])
        .await
        .unwrap();
    for (begin, expected) in begins {
        let (read, _) = feed_of(store, &["logs"], &begin, 2).await;
        assert_eq!(ids(&read).join(" "), expected);
    }
}

pub(super) async fn sweeps_keep_their_own_progress(store: &dyn Store) {
    assert_eq!(store.progress("a").await.unwrap(), Progress::default());
    let progress = |seq| Progress {
        at: Checkpoint([("shard".to_owned(), seq)].into()),
        begun: ["logs-*".to_owned()].into(),
        report: Some(json!({ "judged": seq })),
        others: Vec::new(),
    };
    store.commit("a", &progress(1)).await.unwrap();
    store.commit("b", &progress(2)).await.unwrap();
    store.commit("a", &progress(3)).await.unwrap();
    assert_eq!(store.progress("a").await.unwrap(), progress(3));
    assert_eq!(store.progress("b").await.unwrap(), progress(2));
}

pub(super) async fn what_is_released_is_read_again(store: &dyn Store) {
    store.add(numbered("logs", 0..10)).await.unwrap();
    let read = async |since: &Checkpoint| {
        store
            .changes(Some("s"), &Sources::all(), since, 4)
            .await
            .unwrap()
    };
    let start = Checkpoint::default();
    let page = read(&start).await;
    assert_eq!(page.documents.len(), 4);
    // Nothing was committed: whoever comes next reads it.
    store.release("s").await.unwrap();
    let again = read(&start).await;
    assert_eq!(ids(&again.documents), ids(&page.documents));
    let progress = Progress {
        at: again.next.clone(),
        ..Progress::default()
    };
    store.commit("s", &progress).await.unwrap();
    store.release("s").await.unwrap();
    store.release("s").await.unwrap();
    assert_eq!(store.progress("s").await.unwrap(), progress);
    let rest = read(&progress.at).await;
    assert_eq!(ids(&rest.documents), ["d004", "d005", "d006", "d007"]);
}
