//! What anomaly jobs say of documents: in words what is unusual, and which documents are meant. Finds
//! no documents, and never decides which jobs count.

mod read;

use std::sync::Arc;

pub use read::{category_words, read};

use crate::alert::{AlertLevel, Level};
use crate::finding::{Evidence, Finding};

/// What findings of anomalies say of their detector.
pub const ANOMALY: &str = "anomaly";

/// The most words of a category that are asked for.
const MAX_WORDS: usize = 30;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A job of Elastic's machine learning.
    Record,
    /// A detector of OpenSearch's Anomaly Detection.
    Grade,
    /// An outlier job.
    Outlier,
}

/// A field of documents, and what it holds in those that are meant.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    /// `by`, `over`, `partition`, `entity` or `influencer`.
    role: &'static str,
    field: String,
    /// One of these.
    values: Vec<String>,
}

/// Something unusual about some documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Who said it.
    pub source: Source,
    /// The job's or the detector's id.
    pub job: String,
    /// Whether the bucket was not over yet; what comes of it is told again.
    pub interim: bool,
    /// How unusual, 0 to 100.
    pub score: f64,
    /// The first and the last millisecond of the bucket; `None`: no time is said.
    pub bucket: Option<(i64, i64)>,
    /// The category of messages that it is about, of which the job keeps a definition.
    pub category: Option<String>,
    words: Vec<String>,
    parts: Vec<Part>,
    influencers: Vec<Part>,
    what: String,
    actual: Option<f64>,
    typical: Option<f64>,
}

impl Anomaly {
    /// The same; the messages of its category have these words.
    pub fn of_words(&mut self, words: &str) {
        let words = words.split_whitespace().take(MAX_WORDS);
        self.words = words.map(str::to_owned).collect();
    }

    /// Whether influencers name fewer documents than the rest.
    pub fn is_influenced(&self) -> bool {
        !self.influencers.is_empty()
    }

    /// The documents of its bucket that it speaks of, as a query; with those influencers too, or
    /// without. Empty: all of the bucket.
    pub fn query(&self, influenced: bool) -> String {
        let influencers = self.influencers.iter().filter(|_| influenced);
        let words = self.words.iter().map(|word| quoted(word));
        let parts = self.parts.iter().chain(influencers).map(Part::clause);
        words.chain(parts).collect::<Vec<_>>().join(" AND ")
    }

    /// What is unusual, for people.
    fn sentence(&self) -> String {
        // What a cut line shows comes first.
        let mut text = match (self.actual, self.typical) {
            (Some(actual), Some(typical)) => {
                let change = change(&self.what, actual, typical);
                let (actual, typical) = (short(actual), short(typical));
                format!(
                    "{change} (actual {actual}, typical {typical}): {}",
                    self.what
                )
            }
            (Some(actual), None) => format!("{}: {}", short(actual), self.what),
            _ => self.what.clone(),
        };
        if let Some((start, end)) = self.bucket
            && let Some(time) = chrono::DateTime::from_timestamp_millis(start)
        {
            let time = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let span = (end - start + 1) / 1000;
            let span = match span {
                60.. if span % 60 == 0 => format!("{} min", span / 60),
                _ => format!("{span} s"),
            };
            text += &format!(" in the {span} from {time}");
        }
        text
    }

    /// The finding on each of its documents.
    pub fn finding(&self) -> Finding {
        let said = |selection: &str, value: &str| Evidence::new(selection, "", value, None);
        let mut evidence = vec![said("reason", &self.sentence())];
        let numbers = [
            ("score", Some(self.score)),
            ("actual", self.actual),
            ("typical", self.typical),
        ];
        for (name, number) in numbers {
            evidence.extend(number.map(|number| said(name, &short(number))));
        }
        for part in self.parts.iter().chain(&self.influencers) {
            let values = part.values.join(", ");
            evidence.push(Evidence::new(part.role, &part.field, &values, None));
        }
        if !self.words.is_empty() {
            evidence.push(said("category", &self.words.join(" ")));
        }
        let job: Arc<str> = self.job.as_str().into();
        Finding {
            detector: ANOMALY.into(),
            rule_id: Arc::clone(&job),
            rule: job,
            level: Level::Medium,
            alert_level: AlertLevel::Suspicious,
            techniques: [].into(),
            score: Some((self.score * 10.0).round().clamp(0.0, 1000.0) / 1000.0),
            evidence,
            second_opinion: None,
        }
    }
}

impl Part {
    fn clause(&self) -> String {
        let mut name = String::new();
        // The whole values of a text stand beside it in the index, not in the document.
        for sign in self
            .field
            .strip_suffix(".keyword")
            .unwrap_or(&self.field)
            .chars()
        {
            if !sign.is_alphanumeric() && !"._".contains(sign) {
                name.push('\\');
            }
            name.push(sign);
        }
        let values: Vec<String> = self.values.iter().map(|value| quoted(value)).collect();
        match values.as_slice() {
            [value] => format!("{name}:{value}"),
            values => format!("{name}:({})", values.join(" OR ")),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// How far a value is from what is typical.
fn change(function: &str, actual: f64, typical: f64) -> String {
    if function.starts_with("rare") || function.starts_with("freq_rare") {
        return "rare".into();
    }
    if function.starts_with("time_of") {
        return "an unusual time".into();
    }
    let is_higher = actual > typical;
    let direction = if is_higher { "higher" } else { "lower" };
    let (more, less) = if is_higher {
        (actual, typical)
    } else {
        (typical, actual)
    };
    let factor = more / less;
    // With a zero or different signs there is no factor.
    if less <= 0.0 || !factor.is_finite() || factor < 1.05 {
        return format!("unusually {}", if is_higher { "high" } else { "low" });
    }
    match factor {
        100.0.. if factor > 100.0 => format!("more than 100x {direction}"),
        1.95.. => format!("{factor:.0}x {direction}"),
        _ => format!("{factor:.1}x {direction}"),
    }
}

/// Three digits that count, or all before the point.
fn short(number: f64) -> String {
    let size = number.abs();
    let digits = match size {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        _ => 4,
    };
    let text = format!("{number:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn one(result: &Value) -> Anomaly {
        let mut all = read(".ml-anomalies-shared", &result.to_string());
        assert_eq!(all.len(), 1, "{result}");
        all.remove(0)
    }

    fn row(actual: f64, typical: f64) -> Value {
        json!({
            "result_type": "record", "job_id": "picket-flat-image-by-registry-15s",
            "timestamp": 1_588_392_880_000i64, "bucket_span": 15, "function": "count",
            "record_score": 93.1, "actual": [actual], "typical": [typical],
            "by_field_name": "Image.keyword", "by_field_value": "C:\\Windows\\svchost.exe",
            "partition_field_name": "TargetObject.keyword", "partition_field_value": "HKLM\\\"x\"",
        })
    }

    /// The table of results in CISA's write-up, S1:166-176.
    #[test]
    fn changes_are_worded_as_kibana_words_them() {
        for (actual, typical) in [
            (430.0, 0.243),
            (327.0, 0.176),
            (264.0, 0.267),
            (1843.0, 1.06),
            (201.0, 0.27),
            (275.0, 0.32),
            (662.0, 0.404),
            (214.0, 0.341),
        ] {
            assert_eq!(change("count", actual, typical), "more than 100x higher");
        }
        for (actual, typical, expected) in [
            (59.0, 1.1, "54x higher"),
            (1.1, 59.0, "54x lower"),
            (100.0, 1.0, "100x higher"),
            (1.0, 250.0, "more than 100x lower"),
            (1.5, 1.0, "1.5x higher"),
            (1.0, 1.0, "unusually low"),
            (5.0, 0.0, "unusually high"),
            (0.0, 5.0, "unusually low"),
            (-3.0, 2.0, "unusually low"),
        ] {
            assert_eq!(
                change("count", actual, typical),
                expected,
                "{actual} {typical}"
            );
        }
        assert_eq!(change("rare by Image", 1.0, 0.01), "rare");
    }

    #[test]
    fn a_record_says_what_and_where() {
        let anomaly = one(&row(59.0, 1.1));
        assert_eq!(anomaly.bucket, Some((1_588_392_880_000, 1_588_392_894_999)));
        assert_eq!(
            anomaly.query(true),
            r#"Image:"C:\\Windows\\svchost.exe" AND TargetObject:"HKLM\\\"x\"""#
        );
        let finding = anomaly.finding();
        assert_eq!(
            finding.evidence[0].value,
            "54x higher (actual 59, typical 1.1): count by Image.keyword partitioned by \
             TargetObject.keyword in the 15 s from 2020-05-02T04:14:40Z"
        );
        assert_eq!(finding.score, Some(0.931));
        assert_eq!(finding.alert_level, AlertLevel::Suspicious);
        let named = |selection: &str| {
            let found = finding.evidence.iter().find(|e| e.selection == selection);
            found.map(|e| (e.field.clone(), e.value.clone()))
        };
        assert_eq!(named("actual"), Some(("".into(), "59".into())));
        assert_eq!(named("typical"), Some(("".into(), "1.1".into())));
        assert_eq!(named("score"), Some(("".into(), "93.1".into())));
        assert_eq!(named("by").unwrap().0, "Image.keyword");
    }

    #[test]
    fn a_population_is_told_cause_by_cause() {
        let record = json!({
            "result_type": "record", "job_id": "p", "timestamp": 0, "bucket_span": 900,
            "function": "count", "record_score": 80, "over_field_name": "ImageLoaded.keyword",
            "over_field_value": "webclnt.dll", "is_interim": true,
            "causes": [
                { "by_field_name": "Image.keyword", "by_field_value": "a.exe", "function": "count",
                  "over_field_name": "ImageLoaded.keyword", "over_field_value": "webclnt.dll",
                  "actual": [20.0], "typical": [1.0] },
                { "by_field_name": "Image.keyword", "by_field_value": "b.exe",
                  "actual": [3.0], "typical": [1.0] },
            ],
            "influencers": [
                { "influencer_field_name": "User.keyword", "influencer_field_values": ["ann", "bob"] },
                { "influencer_field_name": "Image.keyword", "influencer_field_values": ["a.exe"] },
            ],
        });
        let all = read("i", &record.to_string());
        let queries: Vec<String> = all.iter().map(|a| a.query(true)).collect();
        assert_eq!(
            queries,
            [
                r#"Image:"a.exe" AND ImageLoaded:"webclnt.dll" AND User:("ann" OR "bob")"#,
                r#"Image:"b.exe" AND ImageLoaded:"webclnt.dll" AND User:("ann" OR "bob")"#,
            ]
        );
        assert_eq!(
            all[1].query(false),
            r#"Image:"b.exe" AND ImageLoaded:"webclnt.dll""#
        );
        assert!(all[0].interim && all[0].finding().evidence[0].value.contains("20x higher"));
    }

    #[test]
    fn categories_are_found_by_their_words() {
        let record = json!({
            "result_type": "record", "job_id": "c", "timestamp": 0, "bucket_span": 900,
            "function": "count", "record_score": 80, "by_field_name": "mlcategory",
            "by_field_value": "7", "actual": [9], "typical": [1],
        });
        let mut anomaly = one(&record);
        assert_eq!(anomaly.category.as_deref(), Some("7"));
        anomaly.of_words("net use");
        assert_eq!(anomaly.query(true), r#""net" AND "use""#);
    }

    #[test]
    fn detectors_of_opensearch_and_outlier_jobs_are_read() {
        let result = json!({
            "detector_id": "abc", "anomaly_grade": 0.9, "anomaly_score": 3.1, "confidence": 0.9,
            "data_start_time": 900_000, "data_end_time": 1_800_000,
            "feature_data": [{ "feature_id": "f", "feature_name": "events", "data": 59.0 }],
            "expected_values": [{ "likelihood": 1.0, "value_list": [{ "feature_id": "f", "data": 1.1 }] }],
            "entity": [{ "name": "Hostname.keyword", "value": "PC1" }],
        });
        let anomaly = one(&result);
        assert_eq!(
            (anomaly.score, anomaly.bucket),
            (90.0, Some((900_000, 1_799_999)))
        );
        assert_eq!(anomaly.query(true), r#"Hostname:"PC1""#);
        assert!(
            anomaly.finding().evidence[0]
                .value
                .starts_with("54x higher (actual 59, typical 1.1): events in")
        );

        let row = json!({
            "host": "PC1", "image": "C:\\a.exe", "events": 3,
            "ml": { "outlier_score": 0.97,
                "feature_influence": [{ "feature_name": "modules", "influence": 0.8 }] },
        });
        let all = read("picket-flat-process-outliers", &row.to_string());
        assert_eq!(all[0].job, "picket-flat-process-outliers");
        assert_eq!(all[0].query(true), r#"host:"PC1" AND Image:"C:\\a.exe""#);
        assert_eq!(
            all[0].finding().evidence[0].value,
            "unlike the other processes by modules 0.8"
        );
        for other in [
            json!({ "result_type": "bucket", "anomaly_score": 99 }),
            json!({ "ml": { "outlier_score": 0.97 } }),
            json!([]),
        ] {
            assert_eq!(read("i", &other.to_string()), []);
        }
    }

    proptest! {
        /// Whatever stands in a field, it is asked for as a value.
        #[test]
        fn values_stay_values(value in "\\PC{1,40}", actual in any::<f64>(), typical in any::<f64>()) {
            let mut record = row(1.0, 1.0);
            record["by_field_value"] = json!(value);
            record["actual"] = json!([actual]);
            record["typical"] = json!([typical]);
            let anomaly = one(&record);
            let expected = value.replace('\\', "\\\\").replace('"', "\\\"");
            let query = anomaly.query(true);
            let start = format!("Image:\"{expected}\" AND ");
            prop_assert!(query.starts_with(&start));
            prop_assert!(!anomaly.finding().evidence[0].value.contains("inf"));
        }
    }
}
