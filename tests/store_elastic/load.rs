//! Loading files into a cluster: what it refuses keeps nothing else waiting, what was there stays,
//! and the indices that are made take what people bring.

use elasticsearch::http::Method;
use picket::store::elastic::{Elastic, Loaded, Role};
use picket::store::{NewDocument, Search, Sources, Store, StoreErrorKind};
use serde_json::{Value, json};

use super::role::user_with;
use super::server::Server;
use crate::store_contract::new;

fn document(index: &str, id: &str, source: Value) -> NewDocument {
    NewDocument {
        replace: false,
        ..new(index, id, &source)
    }
}

#[tokio::test]
async fn what_is_refused_keeps_nothing_else_waiting() {
    let Some(server) = Server::get().await else {
        return;
    };
    let store = server.elastic().await;
    let loading = store.loading();
    let documents = || {
        vec![
            document("events", "a", json!({ "host": { "name": "ws5" } })),
            document("events", "b", json!({ "host": "ws5" })),
            document("events", "c", json!({ "number": 1 })),
            document(
                "events",
                "d",
                json!({ "number": "0x3e4", "@timestamp": "yesterday" }),
            ),
            document("events", &"x".repeat(600), json!({})),
        ]
    };
    let first = loading.write(documents()).await.unwrap();
    let refused = |outcome: &Loaded, word: &str| match outcome {
        Loaded::Refused(why) => assert!(why.contains(word), "{why}"),
        other => panic!("{other:?}"),
    };
    assert_eq!([&first[0], &first[2], &first[3]], [&Loaded::Written; 3]);
    refused(&first[1], "host");
    refused(&first[4], "id");
    // Again, as another process would: what is there stays, and is said to be.
    let again = store.loading().write(documents()).await.unwrap();
    assert_eq!([&again[0], &again[2], &again[3]], [&Loaded::There; 3]);
    refused(&again[1], "host");
}

#[tokio::test]
async fn an_index_is_made_once_for_long_commands_and_many_fields() {
    let Some(server) = Server::get().await else {
        return;
    };
    let store = server.store().await;
    let loading = store.0.loading();
    let long = format!("cmd /c {} tail", "x".repeat(2_000));
    let many: serde_json::Map<String, Value> = (0..2_000)
        .map(|i| (format!("f{i}"), json!(format!("v{i}"))))
        .collect();
    let write = async |id: &str, source: Value| {
        let outcomes = loading.write(vec![document("case-1", id, source)]).await;
        assert_eq!(outcomes.unwrap(), [Loaded::Written]);
    };
    tokio::join!(
        write(
            "a",
            json!({ "CommandLine": long, "timestamp": "2020-09-13 12:26:55" })
        ),
        write("b", many.into()),
        write("c", json!({ "CommandLine": "ver", "AlertLevel": 1 })),
    );
    let found = async |query: &str| {
        let search = Search {
            sources: Some(Sources(vec!["case-1".into()])),
            query: query.into(),
            limit: 10,
            ..Search::default()
        };
        let found = store.find(&search).await.unwrap().documents;
        let ids: Vec<String> = found.iter().map(|d| d.id.id.to_string()).collect();
        ids.join(" ")
    };
    assert_eq!(found("CommandLine:cmd*tail").await, "a");
    assert_eq!(found("time:>2020-09-13T12:26:00Z").await, "a");
    assert_eq!(found("f1999:v1999").await, "b");
    assert_eq!(found("AlertLevel:>0").await, "c");
    let mapping = server
        .must(Method::Get, "/case-1/_mapping", Value::Null)
        .await;
    assert_eq!(
        mapping["case-1"]["mappings"]["properties"]["AlertLevel"]["type"],
        "byte"
    );
}

#[tokio::test]
async fn what_is_there_is_loaded_into_as_it_is() {
    let Some(server) = Server::get().await else {
        return;
    };
    let strict = json!({ "mappings": { "dynamic": "strict", "properties": {
        "command": { "type": "keyword" } } } });
    server.put("/strict-1", strict).await;
    let alias = json!({ "actions": [{ "add": { "index": "strict-1", "alias": "strict" } }] });
    server.post("/_aliases", alias).await;
    let store = server.elastic().await;
    let documents = vec![
        document("strict", "a", json!({ "command": "ver" })),
        document("strict", "b", json!({ "Command": "ver" })),
    ];
    let outcomes = store.loading().write(documents).await.unwrap();
    assert_eq!(outcomes[0], Loaded::Written);
    assert!(matches!(&outcomes[1], Loaded::Refused(why) if why.contains("strict")));
    // What nobody can write to is no document's fault.
    server
        .put("/strict-1/_settings", json!({ "index.blocks.write": true }))
        .await;
    let documents = vec![document("strict", "c", json!({ "command": "ver" }))];
    let error = store.loading().write(documents).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
}

#[tokio::test]
async fn the_role_for_loading_is_enough() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let kind = server.elastic().await.server().kind;
    let load = async |role: Role, index: &str| {
        let connection = user_with(&server, kind, role).await;
        let store = Elastic::open(&connection).await.unwrap();
        let documents = vec![document(index, "a", json!({ "command": "ver" }))];
        store.loading().write(documents).await
    };
    let role = || Role::new(kind, &["case-*".into()]);
    let error = load(role(), "case-1").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unauthorized, "{error}");
    assert!(error.message.contains("picket role --load"), "{error}");
    let made = load(role().loading(), "case-1").await.unwrap();
    assert_eq!(made, [Loaded::Written]);
    let elsewhere = load(role().loading(), "other").await.unwrap_err();
    assert_eq!(elsewhere.kind, StoreErrorKind::Unauthorized);
}
