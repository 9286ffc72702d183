//! Afterwards: every document bears the verdict that a fresh judge would give it, with one finding,
//! and what a person said stands.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::people::{Casebook, Desk, level};

/// How many documents there are, and how many findings.
pub(super) async fn check(desk: &Desk, mut books: Vec<Casebook>) -> (usize, usize) {
    let (mut documents, mut expected) = (0, BTreeMap::new());
    for index in &desk.indices {
        let everything = json!({ "match_all": {} });
        for hit in desk.cluster.all(index, everything, &["order"]).await {
            documents += 1;
            let source = &hit["_source"];
            let order = source["order"].as_u64().unwrap() as usize;
            let command = &source["winlog"]["event_data"]["CommandLine"];
            let own = level(command.as_str().unwrap());
            let stands = source["AlertLevel"].as_u64().unwrap_or(0);
            for book in &mut books {
                book.saw(order, source);
            }
            let decision = books.iter().find_map(|book| book.decisions.get(&order));
            match decision {
                Some(decision) if decision.innocent => {
                    assert_eq!(source["Ignore"], 1, "{index}/{order}");
                    let stood = decision.stood;
                    assert_eq!(stands, stood, "{index}/{order} was ignored: {source}");
                    continue;
                }
                Some(_) => assert_eq!(stands, 2, "{index}/{order}: a person said so: {source}"),
                None => assert_eq!(stands, own, "{index}/{order}: {source}"),
            }
            if own > 0 {
                expected.insert((index.clone(), order), own);
            }
        }
    }
    let mut findings: BTreeMap<(String, usize), Vec<Value>> = BTreeMap::new();
    let ours = json!({ "terms": { "document.index": desk.indices } });
    let order = ["document.index", "document.id"];
    for mut hit in desk.cluster.all("picket-findings", ours, &order).await {
        let record = hit["_source"].take();
        let text = |key: &str| record["document"][key].as_str().unwrap().to_owned();
        let document = (text("index"), text("id").parse().unwrap());
        findings.entry(document).or_default().push(record);
    }
    let count = findings.len();
    for (document, own) in expected {
        let records = findings.remove(&document).unwrap_or_default();
        assert_eq!(records.len(), 1, "findings of {document:?}");
        let found = records[0]["findings"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["alert_level"], own, "{document:?}");
    }
    for document in findings.keys() {
        // It was found before the analyst said that it was nothing.
        let order = &document.1;
        let decision = books.iter().find_map(|book| book.decisions.get(order));
        assert!(
            decision.is_some_and(|decision| decision.innocent),
            "a finding on {document:?}, which has nothing"
        );
    }
    (documents, count)
}
