//! What Picket's indices look like: settings and mappings, the one source for the store, which makes
//! an index that is not there, and for provisioning, which makes templates of them. Asks nothing.

use serde_json::{Value, json};

/// Numbers, dates and whole texts that Picket writes onto a document, by field.
pub(crate) fn levels() -> Value {
    json!({
        "AlertLevel": { "type": "byte" },
        "Ignore": { "type": "byte" },
        "picket": { "properties": {
            "judged": { "type": "keyword" },
            "rules": { "type": "keyword" },
            "modules": { "type": "keyword" },
            "anomalies": { "type": "keyword" },
            "level": { "type": "byte" },
            "score": { "type": "float" },
            "reason": { "type": "text" },
            "at": { "type": "date", "format": "epoch_millis" },
        } },
    })
}

/// What an index for events is made with. Sources of many kinds meet in it, so a value that does not
/// fit its field's type leaves the document be; and commands are long.
pub(crate) fn events() -> Value {
    let mut properties = levels();
    properties["@timestamp"] = json!({ "type": "date" });
    properties["timestamp"] = json!({
        "type": "date",
        "format": "strict_date_optional_time||yyyy-MM-dd HH:mm:ss||epoch_millis",
    });
    json!({
        "settings": {
            "index": {
                "number_of_shards": 1,
                "auto_expand_replicas": "0-1",
                "mapping": { "ignore_malformed": true, "total_fields": { "limit": 10_000 } },
            },
        },
        "mappings": {
            "date_detection": false,
            "dynamic_templates": [{ "strings": {
                "match_mapping_type": "string",
                "mapping": text(),
            } }],
            "properties": properties,
        },
    })
}

/// The same for the histories of cmd.exe, whose fields are known before the first one comes.
pub(crate) fn commands() -> Value {
    let mut body = events();
    for field in ["Hostname", "Username", "command", "CommandName"] {
        body["mappings"]["properties"][field] = text();
    }
    body
}

/// A text by its words and, below `.keyword`, as a whole.
fn text() -> Value {
    let whole = json!({ "type": "keyword", "ignore_above": 8191 });
    json!({ "type": "text", "fields": { "keyword": whole } })
}

/// The findings: what people filter and count by; the evidence is only kept.
pub(crate) fn findings() -> Value {
    let keyword = json!({ "type": "keyword", "ignore_above": 1024 });
    let date = json!({ "type": "date", "format": "epoch_millis" });
    let properties = json!({
        "document": { "properties": { "index": keyword, "id": keyword } },
        "time": date,
        "at": date,
        "host": keyword,
        "user": keyword,
        "record_id": keyword,
        "AlertLevel": { "type": "byte" },
        "judged": keyword,
        "rules": keyword,
        "techniques": keyword,
        "findings": { "properties": {
            "detector": keyword,
            "rule_id": keyword,
            "rule": keyword,
            "level": keyword,
            "alert_level": { "type": "byte" },
            "techniques": keyword,
            "score": { "type": "float" },
            "second_opinion": keyword,
        } },
    });
    own(false, &properties)
}

/// What anomaly jobs say, as Picket keeps it: one document a record.
pub(crate) fn anomalies() -> Value {
    let keyword = json!({ "type": "keyword", "ignore_above": 1024 });
    let number = json!({ "type": "double" });
    let value = json!({ "properties": { "field": keyword, "value": keyword } });
    let properties = json!({
        "job": keyword,
        "time": { "type": "date", "format": "epoch_millis" },
        "at": { "type": "date", "format": "epoch_millis" },
        "bucket_span": { "type": "long" },
        "function": keyword,
        "score": number,
        "initial_score": number,
        "actual": number,
        "typical": number,
        "by": value,
        "over": value,
        "partition": value,
        "influencers": value,
        "reason": { "type": "text" },
        "AlertLevel": { "type": "byte" },
        "documents": { "properties": { "index": keyword, "id": keyword } },
    });
    own(false, &properties)
}

/// What each activation of a sweep did.
pub(crate) fn sweeps() -> Value {
    let keyword = json!({ "type": "keyword", "ignore_above": 1024 });
    let count = json!({ "type": "long" });
    let properties = json!({
        "sweep": keyword,
        "started": { "type": "date", "format": "epoch_millis" },
        "took": count,
        "read": { "properties": {
            "documents": count,
            "ignored": count,
            "judged_before": count,
            "unrecognised": count,
            "unreadable": count,
        } },
        "findings": count,
        "suspicious": count,
        "alerts": count,
        "taken_back": count,
        "written": count,
        "conflicts": count,
        "rejected": count,
        "anomalies": count,
        "unplaced": count,
        "disputed": count,
        "stopped": { "type": "boolean" },
        "problems": { "properties": { "message": keyword } },
        "more_problems": count,
    });
    own(false, &properties)
}

/// Checkpoints, leases and reports of sweeps, and the record of what was provisioned.
pub(crate) fn state() -> Value {
    own(true, &json!({}))
}

/// Hits of correlations.
pub(crate) fn hits() -> Value {
    let properties = json!({
        "group": { "type": "keyword" },
        "id": { "type": "keyword" },
        "time": { "type": "long" },
        "kept": { "type": "long" },
    });
    own(true, &properties)
}

/// An index that only Picket writes to: what is not named here is kept and not searchable.
fn own(hidden: bool, properties: &Value) -> Value {
    let mut settings = json!({ "number_of_shards": 1, "auto_expand_replicas": "0-1" });
    if hidden {
        settings["hidden"] = json!(true);
    }
    json!({
        "settings": { "index": settings },
        "mappings": { "dynamic": false, "properties": properties },
    })
}
