//! A stand-in for what the test servers lack: the machine learning of Elasticsearch and the Anomaly
//! Detection of OpenSearch, as far as jobs are made, changed, started and taken away. It is strict in
//! what these refuse, and gives jobs back with what they add. That bodies are right, Elasticsearch's
//! own parsers say (`tests/provision_parsers.rs`); here it is about what is asked, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use picket::store::elastic::{Connection, Login};
use serde_json::{Value, json};

use crate::support::http::{self, Request};

#[derive(Default)]
pub(crate) struct Inside {
    opensearch: bool,
    pub(crate) license: String,
    /// Jobs and the like, by path.
    pub(crate) things: BTreeMap<String, Value>,
    pub(crate) running: BTreeSet<String>,
    indices: BTreeSet<String>,
    documents: BTreeMap<String, (u64, Value)>,
    /// What changed something: method, path and query.
    pub(crate) asked: Vec<String>,
}

pub(crate) struct Learning {
    pub(crate) inside: Arc<Mutex<Inside>>,
    pub(crate) connection: Connection,
}

const FOLDERS: [(&str, &str); 4] = [
    ("_ml/anomaly_detectors", "jobs"),
    ("_ml/datafeeds", "datafeeds"),
    ("_transform", "transforms"),
    ("_ml/data_frame/analytics", "data_frame_analytics"),
];
const DETECTORS: &str = "_plugins/_anomaly_detection/detectors";

impl Learning {
    pub(crate) fn new(license: &str, opensearch: bool) -> Self {
        let inside = Arc::new(Mutex::new(Inside {
            opensearch,
            license: license.into(),
            ..Inside::default()
        }));
        let shared = Arc::clone(&inside);
        let url = http::serve(move |request| shared.lock().unwrap().answer(request));
        Self {
            inside,
            connection: Connection {
                urls: vec![url],
                login: Login::Anonymous,
                ca: None,
                fingerprint: None,
                gzip: false,
                timeout: std::time::Duration::from_secs(10),
            },
        }
    }
}

fn refusal(status: u16, kind: &str) -> (u16, Value) {
    (
        status,
        json!({ "error": { "type": kind, "reason": kind }, "status": status }),
    )
}

impl Inside {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let path = request.path.trim_start_matches('/').to_owned();
        let method = request.method.as_str();
        if method != "GET" && method != "HEAD" && !path.contains("_search") {
            self.asked.push(
                format!("{method} {path} {}", request.query)
                    .trim()
                    .to_owned(),
            );
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match (method, path.as_str()) {
            ("GET", "") if self.opensearch => (
                200,
                json!({ "version": { "number": "2.19.4", "distribution": "opensearch" } }),
            ),
            ("GET", "") => (200, json!({ "version": { "number": "9.4.3" } })),
            ("GET", "_license") => (
                200,
                json!({ "license": { "type": self.license, "status": "active" } }),
            ),
            ("GET", "_ml/info") => (200, json!({ "upgrade_mode": false })),
            ("GET", "_plugins/_anomaly_detection/stats") => (200, json!({})),
            ("GET", "_ilm/policy" | "_plugins/_ism/policies" | "_nodes/ingest") => (200, json!({})),
            ("GET", path) if path.ends_with("_field_caps") => (
                200,
                json!({ "fields": { "winlog.event_data.Image": { "keyword": {
                    "type": "keyword", "searchable": true, "aggregatable": true } } } }),
            ),
            (_, path) if path.starts_with(".picket-state/_doc") => self.document(request, body),
            (_, path) if path.starts_with(DETECTORS) && self.opensearch => {
                self.detector(method, &path[DETECTORS.len()..], body)
            }
            (_, path) => {
                let folder = FOLDERS.iter().find(|(folder, _)| path.starts_with(folder));
                match folder {
                    Some((folder, list)) if !self.opensearch => {
                        let rest = path[folder.len()..].trim_start_matches('/').to_owned();
                        self.thing(method, folder, list, &rest, body)
                    }
                    Some(_) => refusal(400, "no handler found"),
                    None => self.index(method, path),
                }
            }
        }
    }

    fn index(&mut self, method: &str, path: &str) -> (u16, Value) {
        match method {
            "HEAD" if self.indices.contains(path) => (200, json!({})),
            "PUT" => {
                self.indices.insert(path.to_owned());
                (200, json!({ "acknowledged": true }))
            }
            _ => refusal(404, "index_not_found_exception"),
        }
    }

    fn document(&mut self, request: &Request, body: Value) -> (u16, Value) {
        let path = request.path.trim_start_matches('/').to_owned();
        let there = self.documents.get(&path).cloned();
        if request.method == "GET" {
            return match there {
                Some((seq_no, source)) => (
                    200,
                    json!({ "_seq_no": seq_no, "_primary_term": 1, "_source": source }),
                ),
                None => refusal(404, "not found"),
            };
        }
        let expected = there
            .as_ref()
            .map_or("op_type=create".into(), |(seq_no, _)| {
                format!("if_seq_no={seq_no}&if_primary_term=1")
            });
        if request.query != expected {
            return refusal(409, "version_conflict_engine_exception");
        }
        let seq_no = there.map_or(0, |(seq_no, _)| seq_no + 1);
        self.documents.insert(path, (seq_no, body));
        (200, json!({}))
    }

    fn thing(
        &mut self,
        method: &str,
        folder: &str,
        list: &str,
        rest: &str,
        body: Value,
    ) -> (u16, Value) {
        let (id, word) = rest.split_once('/').unwrap_or((rest, ""));
        let key = format!("{folder}/{id}");
        let there = self.things.contains_key(&key);
        let runs = self.running.contains(&key);
        let done = (200, json!({ "acknowledged": true }));
        match (method, word) {
            ("GET", "") if there => (200, json!({ "count": 1, list: [self.things[&key]] })),
            ("PUT", "") if there => refusal(400, "resource_already_exists_exception"),
            ("PUT", "") => {
                if let Err(refused) = self.allowed(folder, &body) {
                    return refused;
                }
                let mut taken = body;
                taken["create_time"] = json!(self.asked.len());
                taken["results_index_name"] = json!("shared");
                self.things.insert(key, taken.clone());
                (200, taken)
            }
            (_, _) if !there => refusal(404, "resource_not_found_exception"),
            ("POST", "_update") if runs && folder == "_ml/datafeeds" => {
                refusal(409, "Cannot update datafeed while its status is started")
            }
            ("POST", "_update") => {
                for fixed in [
                    "analysis_config",
                    "data_description",
                    "job_id",
                    "pivot",
                    "analysis",
                    "dest",
                ] {
                    // A transform may lead elsewhere.
                    if body.get(fixed).is_some() && (folder, fixed) != ("_transform", "dest") {
                        return refusal(400, "x_content_parse_exception");
                    }
                }
                let thing = self.things.get_mut(&key).unwrap();
                for (name, value) in body.as_object().unwrap() {
                    thing[name] = value.clone();
                }
                (200, thing.clone())
            }
            ("POST", "_open" | "_start") => {
                let job = self.things[&key]["job_id"]
                    .as_str()
                    .map(|job| format!("_ml/anomaly_detectors/{job}"));
                if job.is_some_and(|job| !self.running.contains(&job)) {
                    return refusal(409, "cannot start datafeed because job is not open");
                }
                match self.running.insert(key) {
                    true => done,
                    false => refusal(409, "already"),
                }
            }
            ("POST", "_close" | "_stop") => {
                let fed = self.running.iter().any(|other| {
                    other.starts_with("_ml/datafeeds") && self.things[other]["job_id"] == id
                });
                if word == "_close" && fed {
                    return refusal(409, "cannot close job, datafeed is not stopped");
                }
                match self.running.remove(&key) {
                    true => done,
                    false => refusal(409, "it does not run"),
                }
            }
            ("DELETE", "") => {
                if folder.ends_with("detectors") && self.things.values().any(|t| t["job_id"] == id)
                {
                    return refusal(409, "Cannot delete job because a datafeed refers to it");
                }
                self.things.remove(&key);
                self.running.remove(&key);
                done
            }
            _ => refusal(400, "no handler found"),
        }
    }

    /// Whether it may be made as things stand.
    fn allowed(&self, folder: &str, body: &Value) -> Result<(), (u16, Value)> {
        if !matches!(self.license.as_str(), "trial" | "platinum") && folder != "_transform" {
            return Err(refusal(403, "security_exception"));
        }
        let job = body["job_id"]
            .as_str()
            .map(|job| format!("_ml/anomaly_detectors/{job}"));
        if folder == "_ml/datafeeds" && !job.is_some_and(|job| self.things.contains_key(&job)) {
            return Err(refusal(404, "No known job with id"));
        }
        let source = body["source"]["index"][0].as_str();
        let table = folder == "_ml/data_frame/analytics";
        if table && !source.is_some_and(|index| self.indices.contains(index)) {
            return Err(refusal(400, "no such index"));
        }
        Ok(())
    }

    fn detector(&mut self, method: &str, rest: &str, body: Value) -> (u16, Value) {
        let (id, word) = rest
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((rest.trim_start_matches('/'), ""));
        match (method, id, word) {
            ("POST", "_search", _) => {
                let hit = |(id, source): (&String, &Value)| json!({ "_id": id, "_source": source });
                // By words: names that are alike come, too.
                let hits: Vec<Value> = self.things.iter().map(hit).collect();
                (200, json!({ "hits": { "hits": hits } }))
            }
            ("POST", "", _) => {
                if self
                    .things
                    .values()
                    .any(|thing| thing["name"] == body["name"])
                {
                    return refusal(
                        400,
                        "Cannot create anomaly detector with name as it's already used",
                    );
                }
                let id = format!("id-{}", self.things.len());
                let mut taken = body;
                taken["last_update_time"] = json!(self.asked.len());
                self.things.insert(id.clone(), taken);
                (201, json!({ "_id": id }))
            }
            ("PUT", id, "") if self.running.contains(id) => refusal(400, "Detector job is running"),
            ("PUT", id, "") => {
                self.things.insert(id.to_owned(), body);
                (200, json!({}))
            }
            ("POST", id, "_start") => {
                self.running.insert(id.to_owned());
                (200, json!({}))
            }
            ("POST", id, "_stop") if self.running.remove(id) => (200, json!({})),
            ("POST", _, "_stop") => refusal(400, "can't find the job"),
            ("DELETE", id, "") => {
                self.things.remove(id);
                (200, json!({}))
            }
            _ => refusal(400, "no handler found"),
        }
    }
}
