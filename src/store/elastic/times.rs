//! Event times as the cluster holds them: `@timestamp`, and the `timestamp` of cmd.exe history.

use serde_json::{Value, json};

/// The part of a query that holds for documents whose event time lies between, both inclusive, in
/// milliseconds since 1970 (UTC).
pub(super) fn range(from: Option<i64>, to: Option<i64>) -> Value {
    let text = |time: i64| {
        chrono::DateTime::from_timestamp_millis(time)
            .map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string())
    };
    let millis = json!({ "gte": from, "lte": to, "format": "epoch_millis" });
    // What the logger writes is text to a cluster that was not told otherwise; it sorts as a time.
    let words = json!({ "gte": from.and_then(text), "lte": to.and_then(text) });
    json!({ "bool": { "minimum_should_match": 1, "should": [
        { "range": { "@timestamp": millis } },
        { "range": { "timestamp.keyword": words } },
    ] } })
}
