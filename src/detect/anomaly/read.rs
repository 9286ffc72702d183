//! Reads results of anomaly jobs: records of Elastic's machine learning, results of OpenSearch's Anomaly
//! Detection, and scores of outlier jobs. Judges none of them.

use serde_json::Value;

use super::{Anomaly, Part, Source, short};

/// The field that a categorization job counts by; no document has it.
const CATEGORY: &str = "mlcategory";
/// The most values of an influencer that are asked for.
const MAX_VALUES: usize = 20;

/// What a result says. A population's record is about several members; what is no result of a job, or
/// none of these kinds, says nothing.
pub fn read(index: &str, source: &str) -> Vec<Anomaly> {
    let Ok(result) = serde_json::from_str::<Value>(source) else {
        return Vec::new();
    };
    if result["result_type"] == "record" {
        return records(&result);
    }
    let one = if result["anomaly_grade"].is_number() {
        grade(&result)
    } else {
        outlier(index, &result)
    };
    one.into_iter().collect()
}

/// The words of a category's definition, if that is one.
pub fn category_words(source: &str) -> Option<String> {
    let definition: Value = serde_json::from_str(source).ok()?;
    Some(definition["terms"].as_str()?.to_owned())
}

fn records(record: &Value) -> Vec<Anomaly> {
    match record["causes"].as_array().filter(|all| !all.is_empty()) {
        Some(causes) => causes
            .iter()
            .filter_map(|cause| self::record(record, cause))
            .collect(),
        None => self::record(record, record).into_iter().collect(),
    }
}

/// A record, or one of the causes of a population's.
fn record(record: &Value, cause: &Value) -> Option<Anomaly> {
    let start = number(&record["timestamp"])? as i64;
    let span = number(&record["bucket_span"]).unwrap_or(0.0).max(1.0) as i64;
    let text = |key: &str| {
        let said = cause[key].as_str().or_else(|| record[key].as_str());
        said.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut anomaly = Anomaly {
        source: Source::Record,
        job: record["job_id"].as_str()?.to_owned(),
        interim: record["is_interim"] == true,
        score: number(&record["record_score"])?,
        bucket: Some((start, start + span.saturating_mul(1000) - 1)),
        category: None,
        words: Vec::new(),
        parts: Vec::new(),
        influencers: Vec::new(),
        what: text("function").unwrap_or_else(|| "a value".into()),
        actual: number(&cause["actual"]),
        typical: number(&cause["typical"]),
    };
    if let Some(field) = text("field_name") {
        anomaly.what += &format!("({field})");
    }
    for (role, word) in [
        ("by", "by"),
        ("over", "over"),
        ("partition", "partitioned by"),
    ] {
        let Some(field) = text(&format!("{role}_field_name")) else {
            continue;
        };
        anomaly.what += &format!(" {word} {field}");
        let value = text(&format!("{role}_field_value"));
        match value {
            Some(value) if field == CATEGORY => anomaly.category = Some(value),
            Some(value) => anomaly.parts.push(Part {
                role,
                field,
                values: vec![value],
            }),
            None => {}
        }
    }
    for influencer in record["influencers"].as_array().into_iter().flatten() {
        let field = influencer["influencer_field_name"].as_str();
        let values = influencer["influencer_field_values"].as_array();
        if let Some((field, values)) = field.zip(values) {
            anomaly.influenced(field, values);
        }
    }
    Some(anomaly)
}

fn grade(result: &Value) -> Option<Anomaly> {
    let feature = &result["feature_data"][0];
    let expected = &result["expected_values"][0]["value_list"][0]["data"];
    let parts = result["entity"].as_array().into_iter().flatten();
    let parts = parts.filter_map(|entity| {
        Some(Part {
            role: "entity",
            field: entity["name"].as_str()?.to_owned(),
            values: vec![entity["value"].as_str()?.to_owned()],
        })
    });
    let start = number(&result["data_start_time"])? as i64;
    let end = number(&result["data_end_time"])? as i64;
    Some(Anomaly {
        source: Source::Grade,
        job: result["detector_id"].as_str()?.to_owned(),
        interim: false,
        score: number(&result["anomaly_grade"])? * 100.0,
        bucket: Some((start, (end - 1).max(start))),
        category: None,
        words: Vec::new(),
        parts: parts.collect(),
        influencers: Vec::new(),
        what: feature["feature_name"]
            .as_str()
            .unwrap_or("a value")
            .to_owned(),
        actual: number(&feature["data"]),
        typical: number(expected),
    })
}

/// A row of features of a process on a host, as the transforms that feed outlier jobs make them.
fn outlier(index: &str, row: &Value) -> Option<Anomaly> {
    let score = number(&row["ml"]["outlier_score"])?;
    let part = |role, field: &str, value: &Value| {
        Some(Part {
            role,
            field: field.to_owned(),
            values: vec![value.as_str()?.to_owned()],
        })
    };
    let influence = |feature: &Value| {
        let share = number(&feature["influence"])?;
        Some(format!(
            "{} {}",
            feature["feature_name"].as_str()?,
            short(share)
        ))
    };
    let shares = row["ml"]["feature_influence"].as_array();
    let shares: Vec<String> = shares
        .into_iter()
        .flatten()
        .filter_map(influence)
        .take(5)
        .collect();
    let mut what = "unlike the other processes".to_owned();
    if !shares.is_empty() {
        what += &format!(" by {}", shares.join(", "));
    }
    Some(Anomaly {
        source: Source::Outlier,
        job: index.to_owned(),
        interim: false,
        score: score * 100.0,
        bucket: None,
        category: None,
        words: Vec::new(),
        parts: vec![
            part("host", "host", &row["host"])?,
            part("image", "Image", &row["image"])?,
        ],
        influencers: Vec::new(),
        what,
        actual: None,
        typical: None,
    })
}

impl Anomaly {
    fn influenced(&mut self, field: &str, values: &[Value]) {
        if self.parts.iter().any(|part| part.field == field) {
            return;
        }
        let values = values.iter().filter_map(Value::as_str);
        let values: Vec<String> = values
            .filter(|value| !value.is_empty())
            .take(MAX_VALUES)
            .map(str::to_owned)
            .collect();
        if !values.is_empty() && field != CATEGORY {
            self.influencers.push(Part {
                role: "influencer",
                field: field.to_owned(),
                values,
            });
        }
    }
}

/// A number as results have it: by itself, as a list of one, or as a text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Array(list) if list.len() == 1 => number(&list[0]),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}
