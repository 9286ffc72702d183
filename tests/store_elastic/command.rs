//! `picket` on a server: what a person types, and reads in return.

use std::process::Output;

use elasticsearch::http::Method;
use picket::store::elastic::{Connection, Login};
use serde_json::{Value, json};

use super::home::Home;
use super::server::Server;
use crate::store_contract::event;

/// What it says on standard output and on standard error.
fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn what_an_index_refuses_is_counted_and_said() {
    let Some(server) = Server::get().await else {
        return;
    };
    let strict = json!({ "mappings": { "dynamic": "strict", "properties": {
        "@timestamp": { "type": "date" },
        "Number": { "type": "long" },
        "winlog": { "type": "object", "dynamic": true },
    } } });
    server.put("/logs-strict", strict).await;
    for (path, second) in [
        ("logs-open/_doc/1", 1),
        ("logs-kept/_doc/1", 2),
        ("logs-kept/_doc/2", 3),
        ("logs-strict/_doc/1", 4),
    ] {
        let event = event(second, "ws5", "quux --harvest");
        server.put(&format!("/{path}"), event).await;
    }
    let read_only = json!({ "index.blocks.write": true });
    server.put("/logs-kept/_settings", read_only).await;

    let home = Home::new(&server.connection, "all", "logs-*");
    let (swept, errors) = said(&home.picket(&["sweep"]).output().unwrap());
    for part in [
        "4 findings; set AlertLevel 2 on 1 document and 1 on 0",
        "3 refused by the store",
    ] {
        assert!(swept.contains(part), "{swept} {errors}");
    }
    server.post("/picket-findings/_refresh", Value::Null).await;
    for _ in 0..2 {
        let output = home.picket(&["status", "--exit-code"]).output().unwrap();
        let (status, errors) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{status} {errors}");
        for line in [
            "findings     on 4 documents",
            "sweep all: 4 judged, 0 not yet judged",
            "logs-kept is read-only: 2 verdicts kept as findings only",
            "the mapping of logs-strict refuses `AlertLevel` or `picket`: 1 verdict kept as findings only",
        ] {
            assert!(status.contains(line), "{line}: {status}");
        }
    }
}

/// What a sweep did is kept for people; that it cannot be kept stops nothing.
#[tokio::test]
async fn every_activation_leaves_its_report() {
    let Some(server) = Server::get().await else {
        return;
    };
    let event = event(1, "ws5", "quux --harvest");
    server.put("/logs-here/_doc/1", event).await;
    let home = Home::new(&server.connection, "all", "logs-*");
    let kept = async || {
        server.post("/picket-sweeps/_refresh", Value::Null).await;
        let found = server.post("/picket-sweeps/_search", Value::Null).await;
        let hits = found["hits"]["hits"].as_array().unwrap().clone();
        hits.into_iter()
            .map(|hit| hit["_source"].clone())
            .collect::<Vec<_>>()
    };
    let (swept, errors) = said(&home.picket(&["sweep"]).output().unwrap());
    assert!(swept.contains("1 finding"), "{swept} {errors}");
    let reports = kept().await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = &reports[0];
    assert_eq!(
        (&report["sweep"], &report["alerts"]),
        (&json!("all"), &json!(1))
    );
    assert!(report["took"].as_i64() > Some(0), "{report}");

    let blocked = |blocked: bool| json!({ "index.blocks.write": blocked });
    server.put("/picket-sweeps/_settings", blocked(true)).await;
    let output = home.picket(&["sweep"]).output().unwrap();
    let (swept, errors) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{swept} {errors}");
    assert!(errors.contains("no report in picket-sweeps"), "{errors}");
    server.put("/picket-sweeps/_settings", blocked(false)).await;
    assert!(home.picket(&["sweep"]).output().unwrap().status.success());
    assert_eq!(kept().await.len(), 2);
}

/// Nobody knows what is in a shard that no node holds.
#[tokio::test]
async fn a_shard_that_is_away_is_not_said_to_be_judged() {
    let Some(server) = Server::get().await else {
        return;
    };
    let nowhere = json!({ "settings": {
        "number_of_shards": 2,
        "index.routing.allocation.require._name": "nobody",
    } });
    server
        .put("/logs-away?wait_for_active_shards=0", nowhere)
        .await;
    let event = event(1, "ws5", "quux --harvest");
    server.put("/logs-here/_doc/1", event).await;
    let home = Home::new(&server.connection, "all", "logs-*");
    let (swept, errors) = said(&home.picket(&["sweep"]).output().unwrap());
    assert!(swept.contains("1 finding"), "{swept} {errors}");
    let status = || home.picket(&["status", "--exit-code"]).output().unwrap();
    let output = status();
    let (text, errors) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text} {errors}");
    for number in [0, 1] {
        let line = format!("shard {number} of logs-away is away: what waits there is not known");
        assert!(text.contains(&line), "{text}");
    }
    let anywhere = json!({ "index.routing.allocation.require._name": null });
    server.put("/logs-away/_settings", anywhere).await;
    let health = "/_cluster/health/logs-away?wait_for_status=yellow&timeout=30s";
    server.must(Method::Get, health, Value::Null).await;
    let output = status();
    let (text, errors) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text} {errors}");
    assert!(!text.contains("away:"), "{text}");
}

/// One sentence each, and never the secret.
#[tokio::test]
async fn whom_the_server_does_not_know_is_told_so() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let connection = || server.connection.clone();
    let other = include_bytes!("../data/other-authority.crt").to_vec();
    for (connection, expected) in [
        (
            Connection {
                login: Login::Basic("elastic".into(), "not-the-secret".into()),
                ..connection()
            },
            "does not accept the credentials",
        ),
        (
            Connection {
                ca: Some(other),
                ..connection()
            },
            "name the authority's certificate in `ca`, or its `fingerprint`",
        ),
        (
            Connection {
                ca: None,
                fingerprint: Some("00".repeat(32)),
                ..connection()
            },
            "presents no certificate with that `fingerprint`",
        ),
    ] {
        let home = Home::new(&connection, "all", "logs-*");
        let output = home.picket(&["status"]).output().unwrap();
        let (out, errors) = said(&output);
        assert!(!output.status.success() && out.is_empty(), "{out}");
        assert!(errors.contains(expected), "{errors}");
        assert_eq!(errors.trim().lines().count(), 1, "{errors}");
        let Login::Basic(_, password) = &connection.login else {
            panic!("no password");
        };
        assert!(!errors.contains(password.as_str()), "{errors}");
    }
}
