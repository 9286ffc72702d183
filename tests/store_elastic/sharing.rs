//! Several Picket processes on one sweep: they share the shards, nothing is judged twice or left
//! out, and what one of them leaves behind another takes over.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use elasticsearch::http::Method;
use picket::alert::AlertLevel;
use picket::store::elastic::Elastic;
use picket::store::{
    Checkpoint, FINDINGS_INDEX, NewDocument, Outcome, Page, Progress, Search, Sources, Store,
};
use picket::sweep::{Sweep, SweepReport};
use serde_json::{Value, json};

use super::home::Home;
use super::server::Server;
use crate::store_contract::{event, feed, level, new, verdict};
use crate::sweep::{command, words};

async fn fill(store: &dyn Store, index: &str, count: i64) {
    let documents = (0..count)
        .map(|i| new(index, &format!("{index}-{i}"), &event(i, "ws5", "whoami")))
        .collect();
    store.add(documents).await.unwrap();
}

async fn swept(store: &Arc<Elastic>) -> SweepReport {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    let sweep = Sweep::new("s", store, Sources::all(), &words(), 1).page_of(20);
    let stop = AtomicBool::new(false);
    sweep.activate(&stop, &mut |_| {}).await.unwrap()
}

async fn next(store: &Elastic, since: &Checkpoint) -> Page {
    store
        .changes(Some("s"), &Sources::all(), since, 1000)
        .await
        .unwrap()
}

fn progress(page: &Page) -> Progress {
    Progress {
        at: page.next.clone(),
        ..Progress::default()
    }
}

#[tokio::test]
async fn two_processes_share_the_shards_of_a_sweep() {
    let Some(server) = Server::get().await else {
        return;
    };
    let (one, two) = (
        Arc::new(server.elastic().await),
        Arc::new(server.elastic().await),
    );
    let documents = (0..600).map(|i| NewDocument {
        index: format!("sharded-{}", i % 2),
        ..command(i, "whoami")
    });
    one.add(documents.collect()).await.unwrap();
    let (first, second) = tokio::join!(swept(&one), swept(&two));
    println!("{} and {} written", first.written, second.written);
    assert_eq!(first.written + second.written, 600);
    assert_eq!(first.conflicts + second.conflicts, 0);
    assert!(first.written > 0 && second.written > 0, "both took part");
    // Each of them, or a third, finds nothing left.
    let third = Arc::new(server.elastic().await);
    for store in [&one, &two, &third] {
        assert_eq!(swept(store).await.written, 0);
    }
    let progress = third.progress("s").await.unwrap();
    let waiting = third.waiting(&Sources::all(), &progress.at).await.unwrap();
    assert_eq!((waiting.documents, waiting.waiting), (600, 0));
    assert_eq!(waiting.shards.len(), 6);
    let (documents, _) = feed(&*third, &Checkpoint::default(), 1000).await;
    assert!(documents.iter().all(|document| level(document) == 1));
    let findings = Search {
        sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
        ..Search::default()
    };
    let store = server.store().await;
    assert_eq!(store.find(&findings).await.unwrap().total, 600);
}

#[tokio::test]
async fn a_shard_is_one_process_s_until_it_lets_go() {
    let Some(server) = Server::get().await else {
        return;
    };
    let (one, two) = (server.elastic().await, server.elastic().await);
    fill(&one, "logs", 10).await;
    let start = Checkpoint::default();
    let page = next(&one, &start).await;
    assert_eq!(page.documents.len(), 10);
    let nothing = next(&two, &start).await;
    assert!(nothing.documents.is_empty());
    assert_eq!(nothing.next, start, "at rest, without having read it");
    // Another sweep, or somebody in passing, is not held up.
    let other = two.changes(Some("t"), &Sources::all(), &start, 1000).await;
    assert_eq!(other.unwrap().documents.len(), 10);
    let passing = two.changes(None, &Sources::all(), &start, 1000).await;
    assert_eq!(passing.unwrap().documents.len(), 10);
    one.commit("s", &progress(&page)).await.unwrap();
    one.release("s").await.unwrap();
    fill(&one, "logs", 3).await;
    // The second goes on where the first came to, although it was told another place.
    let page = next(&two, &start).await;
    assert_eq!(page.documents.len(), 3);
    assert!(next(&one, &start).await.documents.is_empty());
}

#[tokio::test]
async fn what_a_silent_process_held_is_taken_over() {
    let Some(server) = Server::get().await else {
        return;
    };
    let lease = Duration::from_secs(2);
    let one = server.elastic().await.leasing(lease);
    let two = server.elastic().await;
    fill(&one, "logs", 10).await;
    let start = Checkpoint::default();
    let silent = next(&one, &start).await;
    assert!(next(&two, &start).await.documents.is_empty());
    tokio::time::sleep(lease + Duration::from_millis(200)).await;
    let page = next(&two, &start).await;
    assert_eq!(page.documents.len(), 10);
    let verdicts: Vec<_> = page
        .documents
        .iter()
        .map(|d| verdict(d, "r", AlertLevel::Alert))
        .collect();
    let outcomes = two.apply(&verdicts[..5]).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Written; 5]);
    // The first was only slow. Its verdicts meet the others' and change nothing twice; it does not
    // say that the shard is done, which the second has not done yet.
    let late = Progress {
        report: Some(json!({ "of": "one" })),
        ..progress(&silent)
    };
    let outcomes = one.apply(&verdicts).await.unwrap();
    assert_eq!(outcomes[5..], vec![Outcome::Written; 5]);
    one.commit("s", &late).await.unwrap();
    let kept = two.progress("s").await.unwrap();
    assert_eq!(kept.at, start);
    assert_eq!(kept.report, late.report);
    // Nor does its release let go what is the second's.
    one.release("s").await.unwrap();
    assert!(next(&one, &start).await.documents.is_empty());
    two.apply(&verdicts).await.unwrap();
    two.commit("s", &progress(&page)).await.unwrap();
    assert_eq!(two.progress("s").await.unwrap().at, page.next);
    // Nothing goes back, whoever says so.
    one.commit("s", &progress(&silent)).await.unwrap();
    assert_eq!(two.progress("s").await.unwrap().at, page.next);
    let (documents, _) = feed(&two, &Checkpoint::default(), 1000).await;
    assert!(documents.iter().all(|document| level(document) == 2));
}

/// A real process, really killed; nobody is told.
#[tokio::test]
async fn what_a_killed_process_held_is_finished_by_the_next() {
    let Some(server) = Server::get().await else {
        return;
    };
    let lease = Duration::from_secs(15);
    let store = server.store().await;
    let documents = (0..3_000).map(|i| {
        let id = i.to_string();
        new("sharded-logs", &id, &event(i, "ws5", "quux --harvest"))
    });
    store.add(documents.collect()).await.unwrap();
    let home = Home::leasing(&server.connection, "s", "sharded-*", lease);
    let leases = async || {
        let state = "/.picket-state/_doc/sweep:s";
        let (_, state) = server.ask(Method::Get, state, Value::Null).await;
        state["_source"]["leases"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    };
    let waits = || {
        let output = home.picket(&["status", "-o", "json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["sweeps"][0]["waiting"].as_u64().unwrap()
    };
    let mut first = home
        .picket(&["sweep"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while leases().await.is_empty() {
        assert!(
            first.try_wait().unwrap().is_none(),
            "it ended before it was killed"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let killed = Instant::now();
    let held: Vec<String> = leases().await.into_iter().map(|(shard, _)| shard).collect();
    assert!(!held.is_empty() && waits() > 0, "it was at work");
    // The second does what nobody holds, and leaves the rest alone as long as the first may live.
    let swept = home.picket(&["sweep"]).output().unwrap();
    assert!(swept.status.success(), "{swept:?}");
    let left = waits();
    if killed.elapsed() < lease - Duration::from_secs(2) {
        assert!(left > 0, "{held:?} were the first's");
        let still: Vec<String> = leases().await.into_iter().map(|(shard, _)| shard).collect();
        assert_eq!(still, held);
    }
    tokio::time::sleep(lease.saturating_sub(killed.elapsed()) + Duration::from_secs(1)).await;
    let swept = home.picket(&["sweep"]).output().unwrap();
    assert!(swept.status.success(), "{swept:?}");
    assert_eq!(waits(), 0, "{swept:?}");
    assert!(leases().await.is_empty());
    let (documents, _) = feed(&store, &Checkpoint::default(), 1000).await;
    let judged = documents.iter().filter(|document| level(document) == 2);
    assert_eq!((documents.len(), judged.count()), (3_000, 3_000));
    let findings = Search {
        sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
        ..Search::default()
    };
    assert_eq!(store.find(&findings).await.unwrap().total, 3_000);
}

#[tokio::test]
async fn many_processes_keep_one_state() {
    let Some(server) = Server::get().await else {
        return;
    };
    let store = server.elastic().await;
    let commit = async |shard: usize| {
        for at in 1..=5 {
            let progress = Progress {
                at: Checkpoint([(format!("shard-{shard}"), at)].into()),
                ..Progress::default()
            };
            store.commit("s", &progress).await.unwrap();
        }
    };
    tokio::join!(commit(0), commit(1), commit(2), commit(3));
    let at = store.progress("s").await.unwrap().at.0;
    assert_eq!(at.len(), 4);
    assert!(at.values().all(|at| *at == 5), "{at:?}");
}
