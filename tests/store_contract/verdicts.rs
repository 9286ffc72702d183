//! What the contract says of verdicts, findings and a person's decisions.

use picket::alert::AlertLevel;
use picket::document::{Document, DocumentId};
use picket::finding::Verdict;
use picket::store::{Checkpoint, FINDINGS_INDEX, Outcome, Progress, Search, Sources, Store};
use serde_json::{Map, Value, json};

use super::{event, feed, get, ids, new, standing, verdict};

fn patch(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

async fn findings(store: &dyn Store) -> Vec<Value> {
    let search = Search {
        sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
        limit: 100,
        ..Search::default()
    };
    let found = store.find(&search).await.unwrap();
    found
        .documents
        .iter()
        .map(|d| serde_json::from_str(&d.source).unwrap())
        .collect()
}

pub(super) async fn verdicts_are_conditional(store: &dyn Store) {
    store
        .add(
            (0..3)
                .map(|i| new("logs", &format!("d{i}"), &event(i, "ws5", "ver")))
                .collect(),
        )
        .await
        .unwrap();
    let (docs, at) = feed(store, &Checkpoint::default(), 10).await;
    store
        .add(vec![new("logs", "d1", &event(9, "ws5", "ver"))])
        .await
        .unwrap();
    let gone = Document {
        id: DocumentId {
            index: "logs".into(),
            id: "gone".into(),
        },
        ..docs[0].clone()
    };
    let verdicts = [
        verdict(&docs[0], "high", AlertLevel::Suspicious),
        verdict(&docs[1], "stale", AlertLevel::Alert),
        verdict(&docs[2], "low", AlertLevel::None),
        verdict(&gone, "gone", AlertLevel::Alert),
    ];
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert!(
        matches!(
            &outcomes[..],
            [
                Outcome::Written,
                Outcome::Conflict,
                Outcome::Kept,
                Outcome::Conflict
            ]
        ),
        "{outcomes:?}"
    );
    store.commit("s", &Progress::default()).await.unwrap();
    let (new, _) = feed(store, &at, 10).await;
    assert_eq!(
        ids(&new),
        ["d1", "d0"],
        "what was written comes again, what was kept does not"
    );
    let source: Value = serde_json::from_str(&new[1].source).unwrap();
    assert_eq!(
        (&source["AlertLevel"], &source["picket"]["rules"][0]),
        (&json!(1), &json!("high"))
    );
    assert!(
        new[1].source.starts_with("{\"@timestamp\""),
        "the rest stays as it was"
    );
    let mut rules: Vec<String> = findings(store)
        .await
        .iter()
        .map(|f| f["findings"][0]["rule_id"].as_str().unwrap().into())
        .collect();
    rules.sort();
    assert_eq!(rules, ["high", "low"]);
}

pub(super) async fn verdicts_never_lower(store: &dyn Store) {
    store
        .add(vec![
            new("logs", "two", &json!({"AlertLevel": 2, "a": 1})),
            new("logs", "ignored", &json!({"AlertLevel": 0, "Ignore": 1})),
            new("logs", "text", &json!({"AlertLevel": "1", "Ignore": "1"})),
        ])
        .await
        .unwrap();
    let (docs, at) = feed(store, &Checkpoint::default(), 10).await;
    let verdicts: Vec<Verdict> = docs
        .iter()
        .map(|d| verdict(d, "r", AlertLevel::Suspicious))
        .collect();
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Kept; 3]);
    store.commit("s", &Progress::default()).await.unwrap();
    let (again, _) = feed(store, &at, 10).await;
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(findings(store).await.len(), 3);
}

pub(super) async fn repeating_verdicts_changes_nothing(store: &dyn Store) {
    store
        .add(vec![
            new("logs", "a", &json!({"x": 1})),
            new("logs", "b", &json!({"x": 2})),
        ])
        .await
        .unwrap();
    let (docs, _) = feed(store, &Checkpoint::default(), 10).await;
    let mut verdicts = [
        verdict(&docs[0], "r", AlertLevel::Alert),
        verdict(&docs[1], "r", AlertLevel::None),
    ];
    store.apply(&verdicts).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let all = Search {
        limit: 100,
        ..Search::default()
    };
    let before = store.find(&all).await.unwrap().documents;
    assert_eq!(before.len(), 4, "{before:?}");
    for (verdict, document) in verdicts.iter_mut().zip(&docs) {
        verdict.at += 1000;
        verdict.settle(&standing(document));
    }
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert_eq!(outcomes, [Outcome::Conflict, Outcome::Kept]);
    store.commit("s", &Progress::default()).await.unwrap();
    assert_eq!(store.find(&all).await.unwrap().documents, before);
}

pub(super) async fn windows_add_to_what_was_found(store: &dyn Store) {
    store
        .add(vec![new("logs", "a", &json!({"x": 1}))])
        .await
        .unwrap();
    let doc = get(store, "a").await;
    store
        .apply(&[verdict(&doc, "one", AlertLevel::None)])
        .await
        .unwrap();
    let mut more = verdict(&doc, "two", AlertLevel::Suspicious);
    more.patch = None;
    more.whole = false;
    store.apply(std::slice::from_ref(&more)).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let rules = |f: &Value| {
        f["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["rule_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let kept = findings(store).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(rules(&kept[0]), ["two", "one"], "gravest first");
    assert_eq!(kept[0]["AlertLevel"], 1);
    assert_eq!(kept[0]["techniques"], json!(["T1021.002"]));
    assert_eq!(kept[0]["document"], json!({"index": "logs", "id": "a"}));
    more.whole = true;
    store.apply(&[more]).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    assert_eq!(rules(&findings(store).await[0]), ["two"]);
}

pub(super) async fn documents_are_got_as_they_are_now(store: &dyn Store) {
    store
        .add(vec![new("logs", "a", &event(0, "ws5", "ver"))])
        .await
        .unwrap();
    let doc = get(store, "a").await;
    let gone = DocumentId {
        index: "nowhere".into(),
        id: "gone".into(),
    };
    let got = store.get(&[gone.clone(), doc.id.clone()]).await.unwrap();
    assert_eq!(got, [None, Some(doc.clone())]);
    let raised = verdict(&doc, "r", AlertLevel::Alert);
    store.apply(&[raised]).await.unwrap();
    // Neither committed nor refreshed.
    let got = store.get(std::slice::from_ref(&doc.id)).await.unwrap();
    let now = got[0].clone().unwrap();
    assert!(now.version != doc.version);
    assert_eq!(super::level(&now), 2);
    let again = verdict(&now, "another", AlertLevel::Alert);
    assert_eq!(store.apply(&[again]).await.unwrap(), [Outcome::Written]);
}

pub(super) async fn edits_are_conditional(store: &dyn Store) {
    store
        .add(vec![new("logs", "a", &json!({"AlertLevel": 2, "b": "x"}))])
        .await
        .unwrap();
    let doc = get(store, "a").await;
    let mine = patch(json!({"AlertLevel": 0, "Ignore": 1}));
    assert!(
        store.edit(&doc.id, doc.version, &mine).await.unwrap(),
        "a person may lower"
    );
    assert!(
        !store.edit(&doc.id, doc.version, &mine).await.unwrap(),
        "the version has gone by"
    );
    let now = get(store, "a").await;
    assert_eq!(&*now.source, r#"{"AlertLevel":0,"b":"x","Ignore":1}"#);
    let gone = DocumentId {
        index: "logs".into(),
        id: "gone".into(),
    };
    assert!(!store.edit(&gone, now.version, &mine).await.unwrap());
    let early = verdict(&doc, "r", AlertLevel::Alert);
    assert_eq!(store.apply(&[early]).await.unwrap(), [Outcome::Conflict]);
    let late = verdict(&now, "r", AlertLevel::Alert);
    assert_eq!(store.apply(&[late]).await.unwrap(), [Outcome::Kept]);
}
