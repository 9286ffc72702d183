//! Detectors of OpenSearch's Anomaly Detection: the nearest to Elastic's jobs that it has. It finds
//! them by an id of its own, so they are looked up by name. What it has nothing for is named, too.

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::kibana::Shape;
use super::ml::{self, Data};
use super::plan::{Action, Found, Kind, MADE, Outcome, Piece, Step};
use crate::store::StoreError;
use crate::store::elastic::client::{Answer, Client, Request, encode, get, post};

const PATH: &str = "_plugins/_anomaly_detection/detectors";
/// Where all of them keep what they find.
const RESULTS: &str = "opensearch-ad-plugin-result-picket";

/// What Elastic's jobs look for and Anomaly Detection cannot.
const NOTHING: [(&str, &str); 5] = [
    (
        "rare-process-by-host, rare-command-by-user",
        "it does not know what is rare",
    ),
    ("population", "it compares nobody with others"),
    ("image-information", "it does not measure information"),
    ("categories", "it does not sort texts into kinds"),
    (
        "process-outliers",
        "it looks at times, not at what lies apart",
    ),
];

/// The detectors, and a step for what there is nothing for.
pub(super) fn pieces(shapes: &[Shape]) -> (Vec<Piece>, Vec<Step>) {
    let commands = ml::commands();
    let mut pieces = vec![detector(
        &commands,
        "command-rate-by-host",
        &["Computer"],
        "Computer",
    )];
    for data in shapes.iter().filter_map(|shape| ml::events(*shape)) {
        for (name, by, counted) in [
            ("event-rate", &[][..], "Computer"),
            ("image-by-module", &["Image", "ImageLoaded"], "Image"),
            ("image-by-registry", &["Image", "TargetObject"], "Image"),
        ] {
            pieces.push(detector(&data, name, by, counted));
        }
    }
    let none = NOTHING.into_iter().map(|(name, why)| {
        let why = format!("OpenSearch's Anomaly Detection has none: {why}");
        Step::new(Kind::Detector, name, Action::Skipped).because(why)
    });
    (pieces, none.collect())
}

fn detector(data: &Data, name: &str, by: &[&str], counted: &str) -> Piece {
    let path = |name: &&str| data.names.get(*name).cloned().unwrap_or_default();
    let counted = path(&counted);
    let has = |path: &String| json!({ "exists": { "field": path } });
    let by: Vec<String> = by.iter().map(path).collect();
    let mut body = json!({
        "name": format!("{}-{name}", data.prefix),
        "description": format!("As many as usual? {MADE}"),
        "time_field": data.time,
        "indices": data.indices,
        "feature_attributes": [{
            "feature_name": "events",
            "feature_enabled": true,
            "aggregation_query": { "events": { "value_count": { "field": counted } } },
        }],
        "filter_query": { "bool": {
            "filter": by.iter().chain([&counted]).map(has).collect::<Vec<_>>(),
            "must_not": [{ "term": { "Ignore": 1 } }],
        } },
        "detection_interval": { "period": { "interval": 15, "unit": "Minutes" } },
        "window_delay": { "period": { "interval": 1, "unit": "Minutes" } },
        "shingle_size": 8,
        "result_index": RESULTS,
    });
    if !by.is_empty() {
        body["category_field"] = json!(by);
    }
    Piece {
        kind: Kind::Detector,
        name: format!("{}-{name}", data.prefix),
        title: None,
        body,
        forbidden: None,
    }
}

/// What is there of a detector.
pub(super) async fn read(client: &Client, name: &str) -> Result<Found, StoreError> {
    Ok(match find(client, name).await? {
        Some((_, mut theirs)) => {
            let own = [
                "last_update_time",
                "schema_version",
                "ui_metadata",
                "user",
                "detector_type",
            ];
            if let Value::Object(map) = &mut theirs {
                map.retain(|key, _| !own.contains(&key.as_str()));
            }
            Found::There(theirs)
        }
        None => Found::Absent,
    })
}

/// The id and the body of a detector.
async fn find(client: &Client, name: &str) -> Result<Option<(String, Value)>, StoreError> {
    let query = json!({ "size": 100, "query": { "match_phrase": { "name": name } } }).to_string();
    let path = format!("{PATH}/_search");
    let Some(said) = client
        .ask_for::<Value>(post(&path, &[], query.as_bytes()))
        .await?
    else {
        // Before the first detector there is no index of them.
        return Ok(None);
    };
    let hits = said.pointer("/hits/hits").and_then(Value::as_array);
    let found = hits
        .into_iter()
        .flatten()
        .find(|hit| hit["_source"]["name"] == name);
    Ok(found.and_then(|hit| Some((hit["_id"].as_str()?.to_owned(), hit["_source"].clone()))))
}

/// The request that makes it, or writes it over.
pub(super) async fn write(client: &Client, name: &str, body: &Value) -> Result<Answer, StoreError> {
    let body = body.to_string();
    let Some((id, _)) = find(client, name).await? else {
        return client.send(post(PATH, &[], body.as_bytes())).await;
    };
    let running = switch(client, name, false).await? == Outcome::Done;
    let path = format!("{PATH}/{}", encode(&id));
    let request = Request {
        method: Method::Put,
        ..post(&path, &[], body.as_bytes())
    };
    let answer = client.send(request).await?;
    if running {
        switch(client, name, true).await?;
    }
    Ok(answer)
}

/// The request that takes it away; none: it is not there.
pub(super) async fn delete(client: &Client, name: &str) -> Result<Option<Answer>, StoreError> {
    let Some((id, _)) = find(client, name).await? else {
        return Ok(None);
    };
    switch(client, name, false).await?;
    let path = format!("{PATH}/{}", encode(&id));
    let request = Request {
        method: Method::Delete,
        ..get(&path)
    };
    client.send(request).await.map(Some)
}

/// Starts or stops it.
pub(super) async fn switch(client: &Client, name: &str, on: bool) -> Result<Outcome, StoreError> {
    let Some((id, _)) = find(client, name).await? else {
        return Ok(Outcome::Failed("it is not there".into()));
    };
    let word = if on { "_start" } else { "_stop" };
    let path = format!("{PATH}/{}/{word}", encode(&id));
    let answer = client.send(post(&path, &[], b"")).await?;
    Ok(match answer.status {
        200 | 201 => Outcome::Done,
        _ => Outcome::Failed(answer.error(client.address()).message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of Anomaly Detection, from its documentation.
    #[test]
    fn detectors_stay_within_what_the_plugin_takes() {
        let (pieces, none) = pieces(&Shape::ALL);
        assert_eq!((pieces.len(), none.len()), (1 + 4 * 3, 5));
        for piece in pieces {
            let body = &piece.body;
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(piece.name.chars().all(fits) && piece.name.len() <= 64);
            assert!(body["description"].as_str().unwrap().len() <= 1000);
            assert!(body["feature_attributes"].as_array().unwrap().len() <= 5);
            let by = body
                .get("category_field")
                .map_or(0, |by| by.as_array().unwrap().len());
            assert!(by <= 2, "{by}");
            assert!(
                body["result_index"]
                    .as_str()
                    .unwrap()
                    .starts_with("opensearch-ad-plugin-result-")
            );
            assert!(!body.to_string().contains("\"field\":\"\""), "{body}");
        }
    }
}
