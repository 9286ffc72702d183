//! The server as writers and analysts use it, past Picket's own code, so that what Picket did is
//! judged by another's eyes.

use std::time::{Duration, Instant};

use elasticsearch::http::Method;
use serde_json::{Value, json};

use crate::store_elastic::server::Http;

/// How long a server may be away that is started again.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server without Picket, which may be away for a while.
#[derive(Clone)]
pub(super) struct Cluster(pub(super) Http);

impl Cluster {
    /// Status and answer, once there is one; whether the server may have got the request twice.
    pub(super) async fn ask(&self, method: Method, path: &str, body: String) -> (u16, Value, bool) {
        let begun = Instant::now();
        let mut repeated = false;
        loop {
            let trouble = match self.try_ask(method, path, &body).await {
                // A secured server that starts knows nobody for a moment.
                Ok((status @ (401 | 429 | 502..=504), _)) => status.to_string(),
                Ok((status, answer)) => return (status, answer, repeated),
                Err(error) => error.to_string(),
            };
            assert!(begun.elapsed() < PATIENCE, "{path}: {trouble}");
            repeated = true;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Status and answer, if the server is there.
    pub(super) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<(u16, Value), elasticsearch::Error> {
        let body = match body.is_empty() {
            true => Value::Null,
            false => body.into(),
        };
        self.0.try_ask(method, path, body).await
    }

    /// The answer of what must succeed.
    pub(super) async fn must(&self, method: Method, path: &str, body: String) -> Value {
        let (status, answer, _) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Writes those lines, again and again until no shard is away. They must be such that writing
    /// them twice is writing them once.
    pub(super) async fn write(&self, lines: String) {
        let begun = Instant::now();
        loop {
            let answer = self.must(Method::Post, "_bulk", lines.clone()).await;
            if answer["errors"] == false {
                return;
            }
            for item in answer["items"].as_array().unwrap() {
                let item = &item["index"];
                let status = item["status"].as_u64().unwrap();
                assert!(matches!(status, 200..300 | 429 | 503), "{item}");
            }
            assert!(begun.elapsed() < PATIENCE, "{answer}");
        }
    }

    /// All documents that a search finds, in the order of those fields, which name each one.
    pub(super) async fn all(&self, index: &str, query: Value, order: &[&str]) -> Vec<Value> {
        let refresh = format!("{index}/_refresh");
        self.must(Method::Post, &refresh, String::new()).await;
        let order: Vec<Value> = order.iter().map(|field| json!({ *field: "asc" })).collect();
        let path = format!("{index}/_search?allow_partial_search_results=false");
        let mut all = Vec::new();
        let mut after = Value::Null;
        loop {
            let mut body = json!({ "size": 5_000, "query": query, "sort": order });
            if !after.is_null() {
                body["search_after"] = after;
            }
            let mut answer = self.must(Method::Post, &path, body.to_string()).await;
            let Value::Array(hits) = answer["hits"]["hits"].take() else {
                panic!("{answer}");
            };
            let Some(last) = hits.last() else {
                return all;
            };
            after = last["sort"].clone();
            all.extend(hits);
        }
    }
}
