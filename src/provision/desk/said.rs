//! What Kibana and OpenSearch Dashboards say: of an object, of an import, of what went wrong. Asks
//! nothing.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::provision::plan::Found;
use crate::provision::record::SAVED;
use crate::store::elastic::answer::{cut, reason};
use crate::store::elastic::client::{Answer, bad, unavailable};
use crate::store::{StoreError, StoreErrorKind};

#[derive(Deserialize)]
pub(super) struct Imported {
    pub(super) success: bool,
    #[serde(default)]
    pub(super) errors: Vec<Refused>,
}

/// An object that was not imported.
#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) error: Value,
}

/// Why an object was not imported, in one sentence.
pub(super) fn why(error: &Value) -> String {
    let kind = error["type"].as_str().unwrap_or("unknown");
    match kind {
        "missing_references" => {
            let list = error["references"].as_array().into_iter().flatten();
            let names: Vec<String> = list
                .map(|reference| {
                    let part = |key: &str| reference[key].as_str().unwrap_or_default();
                    format!("{} {}", part("type"), part("id"))
                })
                .collect();
            cut(&format!(
                "it refers to what is not there: {}",
                names.join(", ")
            ))
        }
        "unsupported_type" => "this server knows no such kind of object; upgrade it".into(),
        "conflict" | "ambiguous_conflict" => {
            "something of that id is there already, perhaps in another space".into()
        }
        _ => cut(error["message"].as_str().unwrap_or("it does not say why")),
    }
}

/// What is there of an object.
pub(super) fn there(object: &Value) -> Found {
    match object.get("error") {
        Some(error) if error["statusCode"] == 404 => Found::Absent,
        Some(error) => Found::Refused(cut(error["message"]
            .as_str()
            .unwrap_or("it cannot be read"))),
        None => {
            let mut kept = json!({
                "attributes": object["attributes"],
                "references": object["references"],
            });
            if let Some(saved) = object.get(SAVED) {
                kept[SAVED] = saved.clone();
            }
            Found::There(kept)
        }
    }
}

pub(super) fn stranger(address: &str) -> StoreError {
    bad(format!(
        "what answers at {address} is neither Kibana nor OpenSearch Dashboards; `kibana.url` is \
         where people open it, such as http://127.0.0.1:5601"
    ))
}

/// The server's own words: Kibana says them elsewhere than Elasticsearch does.
pub(super) fn message(body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    match said.get("message").and_then(Value::as_str) {
        Some(message) => cut(message),
        None => reason(body),
    }
}

pub(super) fn problem(answer: &Answer, address: &str) -> StoreError {
    let said = message(&answer.body);
    match answer.status {
        401 => StoreError::new(
            StoreErrorKind::Unauthorized,
            format!("{address} does not accept the credentials: {said}"),
        ),
        403 => StoreError::new(
            StoreErrorKind::Unauthorized,
            format!(
                "{address} does not allow it: {said}; `picket role --provision` prints what is needed"
            ),
        ),
        404 => stranger(address),
        400..500 => bad(format!("{address} refuses: {said}")),
        status => unavailable(format!("{address} answered with status {status}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sentences() {
        let missing = json!({ "type": "missing_references", "references": [{ "type": "search", "id": "x" }] });
        assert_eq!(why(&missing), "it refers to what is not there: search x");
        assert!(why(&json!({ "type": "unsupported_type" })).contains("upgrade"));
        assert_eq!(why(&json!({ "type": "unknown", "message": "odd" })), "odd");
        assert_eq!(why(&json!({})), "it does not say why");
    }
}
