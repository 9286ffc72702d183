//! Results of anomaly jobs, written as the jobs write them, folded into sweeps on a cluster; also by
//! who has no more than the role that `picket role` prints.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use picket::store::elastic::{Elastic, Role};
use picket::store::{Sources, Store};
use picket::sweep::{Anomalies, Sweep};
use serde_json::json;

use super::home::Home;
use super::role::user_with;
use super::server::Server;
use crate::anomalies::{each_kind_finds_its_documents, scores_are_followed};
use crate::store_contract::event;
use crate::sweep::words;

#[tokio::test]
async fn results_of_anomaly_jobs_are_folded_in_on_a_cluster() {
    let Some(server) = Server::get().await else {
        return;
    };
    scores_are_followed(Arc::new(server.store().await)).await;
    server.wipe().await;
    each_kind_finds_its_documents(Arc::new(server.store().await)).await;
    server.wipe().await;
}

/// A record of an hour on the day of `store_contract::event`.
async fn write(server: &Server) {
    let event = event(1, "ws5", "quux");
    let time = chrono::DateTime::parse_from_rfc3339(event["@timestamp"].as_str().unwrap()).unwrap();
    server.put("/logs-here/_doc/1", event).await;
    let record = json!({
        "job_id": "picket-ecs-event-rate", "result_type": "record", "record_score": 81.5,
        "timestamp": time.timestamp_millis() / 3_600_000 * 3_600_000, "bucket_span": 3600,
        "function": "count", "actual": [900.0], "typical": [2.0], "is_interim": false,
    });
    server
        .put("/.ml-anomalies-shared/_doc/1?refresh", record)
        .await;
    server.post("/logs-here/_refresh", json!(null)).await;
}

#[tokio::test]
async fn the_role_is_enough_for_anomalies() {
    let Some(server) = Server::secured().await else {
        return;
    };
    write(&server).await;
    let sources = Sources(vec!["logs-*".into()]);
    let kind = server.elastic().await.server().kind;
    let connection = user_with(&server, kind, Role::new(kind, &sources.0)).await;
    let store = Elastic::open(&connection).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store.reading(sources.clone()));
    let sweep = Sweep::new("s", store, sources, &words(), 1).folding(Some(Anomalies::default()));
    let report = sweep.activate(&AtomicBool::new(false), &mut |_| {}).await;
    let report = report.unwrap();
    assert_eq!((report.anomalies, report.written), (1, 1), "{report:?}");
    assert_eq!(report.problems, []);
    server.wipe().await;
}

#[tokio::test]
async fn a_sweep_says_what_was_folded() {
    let Some(server) = Server::get().await else {
        return;
    };
    write(&server).await;
    let home = Home::new(&server.connection, "all", "logs-*");
    let output = home.picket(&["sweep"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "1 finding; set AlertLevel 2 on 0 documents and 1 on 1",
        "1 folded in from anomaly jobs",
        "more than 100x higher (actual 900, typical 2): count",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    server.wipe().await;
}
