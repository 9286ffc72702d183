//! Results of anomaly jobs are folded into sweeps: of each kind, late, with scores that change, beside
//! what people decided. On the embedded store in RAM; `store_elastic` runs the same on servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use picket::alert::AlertLevel;
use picket::detect::Judge;
use picket::store::embedded::Embedded;
use picket::store::{Begin, FINDINGS_INDEX, NewDocument, Sources, Store};
use picket::sweep::{Anomalies, Sweep, SweepReport};
use serde_json::{Value, json};

use crate::sweep::{Three, Word, everything, judge_as, words};

/// 2020-05-02T04:19:40Z, the last bucket in the table of CISA's write-up.
const BUCKET: i64 = 1_588_393_180_000;
const SVCHOST: &str = r"C:\Windows\System32\svchost.exe";
const PYTHON: &str = r"C:\Python\python.exe";

fn document(index: &str, id: &str, source: &Value) -> NewDocument {
    NewDocument {
        index: index.into(),
        id: Some(id.into()),
        replace: true,
        source: source.to_string().into(),
    }
}

/// An event so many seconds after the bucket began.
fn event(id: &str, second: i64, image: &str, more: &Value) -> NewDocument {
    let time = chrono::DateTime::from_timestamp_millis(BUCKET + second * 1000).unwrap();
    let mut source = json!({
        "@timestamp": time.to_rfc3339(), "EventID": 7, "Hostname": "PC1", "Image": image,
        "ImageLoaded": r"C:\Windows\System32\webclnt.dll", "User": r"DMEVAL\pbeesly",
        "Message": "Image loaded", "AlertLevel": 0, "Ignore": 0,
    });
    for (key, value) in more.as_object().unwrap() {
        source[key] = value.clone();
    }
    document("logstash-1", id, &source)
}

fn events() -> Vec<NewDocument> {
    vec![
        event("in", 1, SVCHOST, &json!({})),
        event("ignored", 2, SVCHOST, &json!({ "Ignore": 1 })),
        event("alert", 3, SVCHOST, &json!({ "AlertLevel": 2 })),
        event("python", 14, PYTHON, &json!({ "User": r"DMEVAL\other" })),
        event(
            "elsewhere",
            4,
            PYTHON,
            &json!({ "Hostname": "PC2", "Message": "Pipe created by 42" }),
        ),
        event("before", -1, SVCHOST, &json!({})),
        event("after", 15, SVCHOST, &json!({})),
    ]
}

/// A record of a job without a split.
fn record(score: f64, more: &Value) -> Value {
    let mut record = json!({
        "job_id": "picket-flat-image-15s", "result_type": "record", "probability": 1e-9,
        "record_score": score, "initial_record_score": 93.0, "bucket_span": 15,
        "detector_index": 0, "is_interim": false, "timestamp": BUCKET, "function": "count",
        "function_description": "count", "typical": [1.1], "actual": [59.0],
    });
    for (key, value) in more.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn by_image(score: f64, image: &str) -> Value {
    record(
        score,
        &json!({ "by_field_name": "Image.keyword", "by_field_value": image }),
    )
}

fn of_jobs(id: &str, result: &Value) -> NewDocument {
    document(".ml-anomalies-shared", id, result)
}

fn sweep(store: &Arc<dyn Store>, judge: &Judge) -> Sweep {
    let sources = Sources(vec!["logstash-*".into()]);
    Sweep::new("test", Arc::clone(store), sources, judge, 2).folding(Some(Anomalies::default()))
}

async fn swept(store: &Arc<dyn Store>) -> SweepReport {
    activate(sweep(store, &words())).await
}

async fn activate(sweep: Sweep) -> SweepReport {
    let report = sweep.activate(&AtomicBool::new(false), &mut |_| {}).await;
    let report = report.unwrap();
    assert_eq!(report.problems, [], "{report:?}");
    report
}

/// The documents with a level, by id.
async fn levels(store: &dyn Store) -> BTreeMap<String, u64> {
    let documents = everything(store, Sources(vec!["logstash-*".into()])).await;
    let level = |source: &str| {
        let source: Value = serde_json::from_str(source).unwrap();
        source["AlertLevel"].as_u64().unwrap()
    };
    documents
        .iter()
        .map(|d| (d.id.id.to_string(), level(&d.source)))
        .filter(|(_, level)| *level > 0)
        .collect()
}

fn expected(levels: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let levels = levels.iter().map(|(id, level)| ((*id).to_owned(), *level));
    levels.collect()
}

async fn finding(store: &dyn Store, id: &str) -> Value {
    let documents = everything(store, Sources(vec![FINDINGS_INDEX.into()])).await;
    let mut kept = documents
        .iter()
        .map(|d| serde_json::from_str::<Value>(&d.source).unwrap());
    kept.find(|record| record["document"]["id"] == id)
        .unwrap_or_default()
}

/// From the first sweep to other rules; on an empty store.
pub(crate) async fn scores_are_followed(store: Arc<dyn Store>) {
    store.add(events()).await.unwrap();
    let interim = record(99.0, &json!({ "is_interim": true }));
    let other = record(99.0, &json!({ "job_id": "somebody-elses" }));
    let first = vec![
        of_jobs("svchost", &by_image(93.0, SVCHOST)),
        of_jobs("python", &by_image(70.0, PYTHON)),
        of_jobs("interim", &interim),
        of_jobs("other", &other),
        of_jobs(
            "bucket",
            &json!({ "result_type": "bucket", "job_id": "picket-x", "anomaly_score": 99 }),
        ),
    ];
    store.add(first).await.unwrap();

    let dry = activate(sweep(&store, &words()).dry(true)).await;
    assert_eq!((dry.anomalies, dry.suspicious, dry.written), (1, 1, 0));
    assert_eq!(levels(&*store).await, expected(&[("alert", 2)]));

    let report = swept(&store).await;
    assert_eq!((report.anomalies, report.unplaced), (1, 0));
    assert_eq!((report.suspicious, report.written), (1, 1), "{report:?}");
    let raised = [("alert", 2), ("in", 1)];
    assert_eq!(levels(&*store).await, expected(&raised));
    let kept = finding(&*store, "in").await;
    assert_eq!(kept["rules"], json!(["picket-flat-image-15s"]));
    let found = &kept["findings"][0];
    assert_eq!(
        (&found["detector"], &found["score"]),
        (&json!("anomaly"), &json!(0.93))
    );
    let reason = found["evidence"][0]["value"].as_str().unwrap();
    assert_eq!(
        reason,
        "54x higher (actual 59, typical 1.1): count by Image.keyword in the 15 s from \
         2020-05-02T04:19:40Z"
    );
    // The level of a person's alert stays, and the finding is kept beside it.
    assert_eq!(
        finding(&*store, "alert").await["findings"][0]["detector"],
        "anomaly"
    );
    assert_eq!(finding(&*store, "ignored").await, Value::Null);

    let again = swept(&store).await;
    assert_eq!((again.anomalies, again.written, again.conflicts), (0, 0, 0));

    // Renormalised, over the threshold and with what was over it before; and a record that is late.
    let hour = BUCKET - 3_600_000;
    let earlier = event("earlier", -3_600, SVCHOST, &json!({}));
    let mut late = by_image(88.0, SVCHOST);
    late["timestamp"] = json!(hour);
    let rewritten = vec![
        of_jobs("python", &by_image(80.0, PYTHON)),
        of_jobs("svchost", &by_image(91.0, SVCHOST)),
        of_jobs("late", &late),
        earlier,
    ];
    store.add(rewritten).await.unwrap();
    let report = swept(&store).await;
    assert_eq!((report.anomalies, report.written), (3, 3), "{report:?}");
    let raised = [
        ("alert", 2),
        ("earlier", 1),
        ("elsewhere", 1),
        ("in", 1),
        ("python", 1),
    ];
    assert_eq!(levels(&*store).await, expected(&raised));
    assert_eq!(
        finding(&*store, "in").await["findings"][0]["score"],
        json!(0.91)
    );

    // Read again from the beginning, as after a checkpoint that was lost, nothing is new.
    let sources = Sources(vec!["logstash-*".into()]);
    let lost = Sweep::new("lost", Arc::clone(&store), sources, &words(), 1);
    let report = activate(lost.folding(Some(Anomalies::default()))).await;
    assert_eq!((report.anomalies, report.written), (3, 0), "{report:?}");

    // No rule takes back what a job found, however often it is judged again.
    let other_rules = || {
        judge_as(
            "rules-2",
            vec![Box::new(Word("nothing", AlertLevel::Alert))],
        )
    };
    let rejudged = sweep(&store, &other_rules().taking_back()).again(Begin::Beginning);
    let report = activate(rejudged).await;
    assert_eq!((report.taken_back, report.anomalies), (0, 0), "{report:?}");
    assert_eq!(levels(&*store).await, expected(&raised));
    let kept = finding(&*store, "in").await;
    assert_eq!(kept["findings"].as_array().unwrap().len(), 1, "{kept}");
    let report = swept(&store).await;
    assert_eq!(report.written, 0, "{report:?}");
}

/// Each kind of result with the documents that it speaks of; on an empty store.
pub(crate) async fn each_kind_finds_its_documents(store: Arc<dyn Store>) {
    let split = |role: &str, field: &str, value: &str| {
        record(
            90.0,
            &json!({
                (format!("{role}_field_name")): field, (format!("{role}_field_value")): value,
            }),
        )
    };
    let influenced = |values: &Value| {
        json!([{
            "influencer_field_name": "User.keyword", "influencer_field_values": values,
        }])
    };
    let mut narrowed = split("by", "Image.keyword", PYTHON);
    narrowed["influencers"] = influenced(&json!([r"DMEVAL\other"]));
    let mut unseen = split("by", "Image.keyword", PYTHON);
    unseen["influencers"] = influenced(&json!([r"DMEVAL\nobody"]));
    let mut population = split("over", "Hostname.keyword", "PC1");
    population["causes"] = json!([{
        "by_field_name": "Image.keyword", "by_field_value": PYTHON, "function": "count",
        "over_field_name": "Hostname.keyword", "over_field_value": "PC1",
        "actual": [7.0], "typical": [1.0],
    }]);
    let category = split("by", "mlcategory", "3");
    let grade = json!({
        "detector_id": "aBc", "anomaly_grade": 0.9, "confidence": 0.9,
        "data_start_time": BUCKET, "data_end_time": BUCKET + 15_000,
        "feature_data": [{ "feature_name": "events", "data": 59.0 }],
        "entity": [{ "name": "Hostname.keyword", "value": "PC2" }],
    });
    let row = json!({
        "host": "PC2", "image": PYTHON, "events": 1, "ml": { "outlier_score": 0.97 },
    });
    let all_of = &["in", "python", "elsewhere"][..];
    let definition = json!({
        "job_id": "picket-flat-image-15s", "category_id": 3, "terms": "Pipe created by",
    });
    store
        .add(vec![of_jobs("definition", &definition)])
        .await
        .unwrap();
    for (name, index, result, documents) in [
        (
            "single metric",
            ".ml-anomalies-shared",
            record(90.0, &json!({})),
            all_of,
        ),
        (
            "by",
            ".ml-anomalies-shared",
            split("by", "Image.keyword", PYTHON),
            &["python", "elsewhere"],
        ),
        (
            "over",
            ".ml-anomalies-custom-x",
            split("over", "Image.keyword", PYTHON),
            &["python", "elsewhere"],
        ),
        (
            "partition",
            ".ml-anomalies-shared",
            split("partition", "Hostname.keyword", "PC2"),
            &["elsewhere"],
        ),
        ("influencer", ".ml-anomalies-shared", narrowed, &["python"]),
        (
            "influencer apart",
            ".ml-anomalies-shared",
            unseen,
            &["python", "elsewhere"],
        ),
        (
            "population",
            ".ml-anomalies-shared",
            population,
            &["python"],
        ),
        ("category", ".ml-anomalies-shared", category, &["elsewhere"]),
        (
            "grade of an older server",
            "opensearch-ad-plugin-result-picket",
            grade.clone(),
            &["elsewhere"],
        ),
        (
            "grade",
            "opensearch-ad-plugin-result-picket-history-1",
            grade,
            &["elsewhere"],
        ),
        (
            "outlier",
            "picket-flat-process-outliers",
            row,
            &["elsewhere"],
        ),
    ] {
        // What the result before raised is as it was.
        store.add(events()).await.unwrap();
        store
            .add(vec![document(index, name, &result)])
            .await
            .unwrap();
        let report = swept(&store).await;
        assert_eq!(
            (report.anomalies, report.unplaced),
            (1, 0),
            "{name}: {report:?}"
        );
        let mut raised: Vec<(&str, u64)> = documents.iter().map(|id| (*id, 1)).collect();
        raised.push(("alert", 2));
        assert_eq!(levels(&*store).await, expected(&raised), "{name}");
    }
    // A record about what is in no source of the sweep is counted.
    let nowhere = of_jobs("nowhere", &by_image(90.0, "C:\\other.exe"));
    store.add(vec![nowhere]).await.unwrap();
    let report = swept(&store).await;
    assert_eq!((report.anomalies, report.unplaced), (0, 1));
}

#[tokio::test]
async fn results_of_anomaly_jobs_are_folded_in() {
    scores_are_followed(Arc::new(Embedded::in_memory().unwrap())).await;
    each_kind_finds_its_documents(Arc::new(Embedded::in_memory().unwrap())).await;
}

/// A job may speak of documents that the sweep reads only then: that asks for their windows too.
#[tokio::test]
async fn windows_are_judged_whatever_a_job_said_before() {
    let store: Arc<dyn Store> = Arc::new(Embedded::in_memory().unwrap());
    let command = json!({ "CommandLine": "whoami", "EventID": 1 });
    let three = (0..3).map(|id| event(&id.to_string(), id, SVCHOST, &command));
    store.add(three.collect()).await.unwrap();
    let results = vec![of_jobs("1", &record(90.0, &json!({})))];
    store.add(results).await.unwrap();
    let nobody = judge_as("nobody", Vec::new());
    let report = activate(sweep(&store, &nobody)).await;
    assert_eq!((report.anomalies, report.written), (1, 3));
    let windows = judge_as("windows", vec![Box::new(Three)]);
    let sources = Sources(vec!["logstash-*".into()]);
    activate(Sweep::new(
        "windows",
        Arc::clone(&store),
        sources,
        &windows,
        1,
    ))
    .await;
    let detectors = async || {
        let kept = finding(&*store, "0").await;
        let findings = kept["findings"].as_array().unwrap().iter();
        let mut names: Vec<String> = findings
            .map(|finding| finding["detector"].as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(detectors().await, ["anomaly", "module"]);
    // Judged as a whole by rules that find something, it keeps what the others said.
    let rules = judge_as(
        "rules",
        vec![Box::new(Word("whoami", AlertLevel::Suspicious))],
    );
    activate(sweep(&store, &rules).again(Begin::Beginning)).await;
    assert_eq!(detectors().await, ["anomaly", "module", "sigma"]);
}

/// More documents than a result is folded into, and jobs that nobody asked for.
#[tokio::test]
async fn a_result_speaks_of_a_bounded_number_of_documents() {
    let store: Arc<dyn Store> = Arc::new(Embedded::in_memory().unwrap());
    let many = (0..1_010).map(|id| event(&id.to_string(), id % 15, SVCHOST, &json!({})));
    store.add(many.collect()).await.unwrap();
    let results = vec![of_jobs("1", &record(90.0, &json!({})))];
    store.add(results).await.unwrap();
    let none = Anomalies {
        jobs: Vec::new(),
        ..Anomalies::default()
    };
    let report = activate(sweep(&store, &words()).folding(Some(none))).await;
    assert_eq!((report.anomalies, report.findings), (0, 0));
    let sweep = sweep(&store, &words());
    let report = sweep.activate(&AtomicBool::new(false), &mut |_| {}).await;
    let report = report.unwrap();
    assert_eq!((report.anomalies, report.suspicious), (1, 1_000));
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["picket-flat-image-15s: speaks of 1010 documents; the newest 1000 bear its finding"]
    );
}
