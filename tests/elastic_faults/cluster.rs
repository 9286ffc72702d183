//! The server as writers and analysts use it, past Picket's own code, so that what Picket did is
//! judged by another's eyes.

use elasticsearch::http::Method;
use serde_json::{Value, json};

use crate::store_elastic::server::Http;

/// A server without Picket.
#[derive(Clone)]
pub(super) struct Cluster(pub(super) Http);

impl Cluster {
    /// Status and answer.
    pub(super) async fn ask(&self, method: Method, path: &str, body: String) -> (u16, Value) {
        let body = match body.is_empty() {
            true => Value::Null,
            false => body.into(),
        };
        self.0.ask(method, path, body).await
    }

    /// All documents of an index: id and source.
    pub(super) async fn all(&self, index: &str) -> Vec<(String, Value)> {
        self.ask(Method::Post, &format!("{index}/_refresh"), String::new())
            .await;
        let mut all = Vec::new();
        let mut after = Value::Null;
        loop {
            let mut body = json!({ "size": 5_000, "sort": [{ "order": "asc" }] });
            if !after.is_null() {
                body["search_after"] = after;
            }
            let path = format!("{index}/_search");
            let (status, answer) = self.ask(Method::Post, &path, body.to_string()).await;
            assert_eq!(status, 200, "{answer}");
            let hits = answer["hits"]["hits"].as_array().unwrap().clone();
            let Some(last) = hits.last() else {
                return all;
            };
            after = last["sort"].clone();
            for hit in &hits {
                let id = hit["_id"].as_str().unwrap().to_owned();
                all.push((id, hit["_source"].clone()));
            }
        }
    }
}
