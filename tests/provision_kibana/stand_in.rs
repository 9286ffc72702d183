//! A strict stand-in for Kibana and OpenSearch Dashboards: saved objects by space, and of their
//! interface what provisioning uses. It refuses what they refuse: requests without their header,
//! objects of a newer version, unknown types and attributes, references that lead nowhere, files
//! that are no `.ndjson`. It takes objects as they do: brought to its own ways, and stamped anew.
//!
//! Written from their documentation and sources, not by trying: neither runs in the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::support::http::{self, Request};

/// A space, a type and an id.
type Key = (String, String, String);

#[derive(Default)]
pub(crate) struct Inside {
    version: String,
    login: Option<String>,
    pub(crate) spaces: BTreeSet<String>,
    pub(crate) objects: BTreeMap<Key, Value>,
    /// Ids that are refused although nothing is wrong with them.
    pub(crate) refuses: BTreeSet<String>,
    /// Ids that are said to be imported, and are not.
    pub(crate) loses: BTreeSet<String>,
    clock: u64,
    /// All that was asked: method and path.
    pub(crate) asked: Vec<String>,
}

pub(crate) struct StandIn {
    pub(crate) url: String,
    pub(crate) inside: Arc<Mutex<Inside>>,
}

impl StandIn {
    /// One of that version, with the spaces `default` and `soc`, below `/base`.
    pub(crate) fn new(version: &str) -> Self {
        let spaces = ["default", "soc"].map(str::to_owned);
        let inside = Inside {
            version: version.into(),
            spaces: BTreeSet::from(spaces),
            ..Inside::default()
        };
        let inside = Arc::new(Mutex::new(inside));
        let shared = Arc::clone(&inside);
        let url = http::serve(move |request| shared.lock().unwrap().answer(request));
        let url = format!("{url}/base");
        Self { url, inside }
    }

    /// The same, with a login (`user:password` in base64).
    pub(crate) fn asking_for(self, login: &str) -> Self {
        self.inside.lock().unwrap().login = Some(login.into());
        self
    }

    /// Somebody changes an object in their browser.
    pub(crate) fn save(&self, kind: &str, id: &str, change: impl Fn(&mut Value)) {
        let mut inside = self.inside.lock().unwrap();
        let now = inside.now();
        let key = ("default".to_owned(), kind.to_owned(), id.to_owned());
        let object = inside.objects.get_mut(&key).unwrap();
        change(&mut object["attributes"]);
        object["updated_at"] = json!(now);
    }

    /// It is upgraded: every object is written anew, and nobody saved it.
    pub(crate) fn upgrade(&self, version: &str) {
        let mut inside = self.inside.lock().unwrap();
        inside.version = version.into();
        for object in inside.objects.values_mut() {
            object["attributes"]["migrated"] = json!(version);
        }
    }
}

fn refusal(status: u16, message: &str) -> (u16, Value) {
    (
        status,
        json!({ "statusCode": status, "error": "no", "message": message }),
    )
}

impl Inside {
    fn is_opensearch(&self) -> bool {
        number(&self.version)[0] < 5
    }

    fn now(&mut self) -> String {
        self.clock += 1;
        format!(
            "2026-01-01T00:00:{:02}.{:03}Z",
            self.clock / 1000 % 60,
            self.clock % 1000
        )
    }

    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let path = request.path.strip_prefix("/base/").unwrap_or("elsewhere");
        self.asked.push(format!("{} {path}", request.method));
        if let Some(login) = &self.login
            && request.headers.get("authorization") != Some(&format!("Basic {login}"))
        {
            // Who it does not know learns that it is there, and no more.
            return match path {
                "api/status" if !request.headers.contains_key("authorization") => (
                    200,
                    json!({ "status": { "overall": { "level": "available" } } }),
                ),
                _ => refusal(401, "Unauthorized"),
            };
        }
        let header = if self.is_opensearch() {
            "osd-xsrf"
        } else {
            "kbn-xsrf"
        };
        if request.method != "GET" && !request.headers.contains_key(header) {
            return refusal(400, &format!("Request must contain a {header} header."));
        }
        let (space, path) = match path
            .strip_prefix("s/")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((space, path)) if !self.is_opensearch() => (space.to_owned(), path),
            Some(_) => return refusal(404, "Not Found"),
            None => ("default".to_owned(), path),
        };
        let words: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), words.as_slice()) {
            ("GET", ["api", "status"]) => {
                let version = json!({ "number": self.version, "build_number": 1 });
                (200, json!({ "name": "stand-in", "version": version }))
            }
            ("GET", ["api", "spaces", "space", id]) if !self.is_opensearch() => {
                match self.spaces.contains(*id) {
                    true => (200, json!({ "id": id, "name": id })),
                    false => refusal(404, "Not Found"),
                }
            }
            ("POST", ["api", "saved_objects", "_bulk_get"]) => self.bulk_get(&space, request),
            ("POST", ["api", "saved_objects", "_import"]) => self.import(&space, request),
            ("GET", ["api", "ml", "saved_objects", "sync"]) => (200, json!({})),
            ("DELETE", ["api", "saved_objects", kind, id]) => {
                match self.objects.remove(&(space, (*kind).into(), (*id).into())) {
                    Some(_) => (200, json!({})),
                    None => refusal(404, "Not Found"),
                }
            }
            _ => refusal(404, "Not Found"),
        }
    }

    fn bulk_get(&self, space: &str, request: &Request) -> (u16, Value) {
        let Ok(Value::Array(asked)) = serde_json::from_slice(&request.body) else {
            return refusal(400, "[request body]: expected value of type [array]");
        };
        let mut found = Vec::new();
        for one in asked {
            let part = |key: &str| one[key].as_str().unwrap().to_owned();
            let (kind, id) = (part("type"), part("id"));
            let object = self.objects.get(&(space.into(), kind.clone(), id.clone()));
            found.push(match object {
                Some(object) => object.clone(),
                None if self.newest(&kind).is_none() => {
                    json!({ "id": id, "type": kind, "error": { "statusCode": 400,
                        "message": format!("Unsupported saved object type: '{kind}': Bad Request") } })
                }
                None => json!({ "id": id, "type": kind, "error": { "statusCode": 404,
                    "message": format!("Saved object [{kind}/{id}] not found") } }),
            });
        }
        (200, json!({ "saved_objects": found }))
    }

    fn import(&mut self, space: &str, request: &Request) -> (u16, Value) {
        let file = match file(request) {
            Ok(file) => file,
            Err(message) => return refusal(400, message),
        };
        let mut objects = Vec::new();
        for line in file.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Value>(line) {
                Ok(object) if object.get("exportedCount").is_some() => {}
                Ok(object) => objects.push(object),
                Err(error) => return refusal(400, &error.to_string()),
            }
        }
        let known = |object: &Value| (text(object, "type"), text(object, "id"));
        let brought: BTreeSet<_> = objects.iter().map(known).collect();
        if brought.len() != objects.len() {
            return refusal(400, "Non-unique import objects detected");
        }
        // One that is too new spoils the whole file.
        for object in &objects {
            if let Err(message) = self.stamped(object) {
                return refusal(422, &message);
            }
        }
        let overwrite = request
            .query
            .split('&')
            .any(|pair| pair == "overwrite=true");
        let (mut errors, mut done) = (Vec::new(), 0);
        for object in objects {
            let (kind, id) = known(&object);
            let key = (space.to_owned(), kind.clone(), id.clone());
            let error = self.refused(&object, &key, &brought, overwrite);
            if let Some(error) = error {
                errors.push(json!({ "id": id, "type": kind, "error": error }));
                continue;
            }
            done += 1;
            if self.loses.contains(&id) {
                continue;
            }
            let taken = self.taken(object);
            self.objects.insert(key, taken);
        }
        let mut answer = json!({ "success": errors.is_empty(), "successCount": done });
        if !errors.is_empty() {
            answer["errors"] = Value::Array(errors);
        }
        // Whatever went wrong.
        (200, answer)
    }

    /// Why one object is not taken.
    fn refused(
        &self,
        object: &Value,
        key: &Key,
        brought: &BTreeSet<(String, String)>,
        overwrite: bool,
    ) -> Option<Value> {
        let (space, kind, id) = key;
        let unknown = |message: String| {
            Some(json!({ "type": "unknown", "message": message, "statusCode": 400 }))
        };
        if self.newest(kind).is_none() {
            return Some(json!({ "type": "unsupported_type" }));
        }
        if self.refuses.contains(id) {
            return unknown("nobody knows why".into());
        }
        let strange = object
            .as_object()
            .unwrap()
            .keys()
            .find(|key| !self.knows(key));
        if let Some(strange) = strange {
            return unknown(format!("[{strange}]: definition for this key is missing"));
        }
        let Some(attributes) = object["attributes"].as_object() else {
            return unknown("[attributes]: expected value of type [object]".into());
        };
        if let Some(message) = self.attributes(kind, attributes) {
            return unknown(message);
        }
        if !overwrite && self.objects.contains_key(key) {
            return Some(json!({ "type": "conflict" }));
        }
        // Only these two kinds are looked for.
        let missing: Vec<Value> = object["references"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|reference| (text(reference, "type"), text(reference, "id")))
            .filter(|(kind, _)| kind == "index-pattern" || kind == "search")
            .filter(|target| !brought.contains(target))
            .filter(|(kind, id)| {
                !self
                    .objects
                    .contains_key(&(space.clone(), kind.clone(), id.clone()))
            })
            .map(|(kind, id)| json!({ "type": kind, "id": id }))
            .collect();
        (!missing.is_empty())
            .then(|| json!({ "type": "missing_references", "references": missing }))
    }

    /// Whether the object is stamped, and not with a version of the future.
    fn stamped(&self, object: &Value) -> Result<(), String> {
        let kind = text(object, "type");
        let Some(newest) = self.newest(&kind) else {
            return Ok(());
        };
        let stamp = match object.get("typeMigrationVersion") {
            Some(stamp) => stamp.as_str(),
            None => object["migrationVersion"][&kind].as_str(),
        };
        let id = text(object, "id");
        // Kibana takes it, and runs every migration since 6 on it.
        let stamp = stamp.ok_or_else(|| format!("{id} has no stamp"))?;
        if number(stamp) > number(newest) {
            return Err(format!(
                "Document \"{id}\" belongs to a more recent version of Kibana [{stamp}] when the \
                 last known version is [{newest}]."
            ));
        }
        let core = object.get("coreMigrationVersion").and_then(Value::as_str);
        match core.filter(|core| number(core) > number(&self.version)) {
            Some(core) => Err(format!(
                "Document \"{id}\" has property \"coreMigrationVersion\" which belongs to a more recent version of Kibana [{core}]."
            )),
            None => Ok(()),
        }
    }

    /// The newest stamp of a type.
    fn newest(&self, kind: &str) -> Option<&'static str> {
        let at = match number(&self.version) {
            [0..5, ..] => 0,
            [..8, ..] | [8, ..8, _] => 1,
            [8, ..] => 2,
            _ => 3,
        };
        let row = match kind {
            "index-pattern" => ["7.6.0", "7.11.0", "8.0.0", "8.0.0"],
            "search" => ["7.9.3", "7.9.3", "8.0.0", "10.10.0"],
            "visualization" => ["7.10.0", "7.17.0", "8.5.0", "8.5.0"],
            "lens" if at > 0 => ["", "7.16.0", "8.6.0", "10.1.0"],
            "dashboard" => ["7.9.3", "7.16.0", "8.7.0", "10.3.0"],
            _ => return None,
        };
        Some(row[at])
    }

    fn knows(&self, key: &str) -> bool {
        let always = [
            "id",
            "type",
            "attributes",
            "references",
            "migrationVersion",
            "updated_at",
            "version",
        ];
        let new = ["typeMigrationVersion", "managed", "created_at"];
        let at = number(&self.version);
        always.contains(&key)
            || key == "coreMigrationVersion" && at >= [7, 12, 0]
            || new.contains(&key) && at >= [8, 8, 0]
    }

    fn attributes(&self, kind: &str, attributes: &Map<String, Value>) -> Option<String> {
        let at = number(&self.version);
        let known: &[&str] = match kind {
            "index-pattern" => &[
                "title",
                "timeFieldName",
                "fields",
                "fieldFormatMap",
                "sourceFilters",
                "typeMeta",
                "type",
                "fieldAttrs",
                "runtimeFieldMap",
                "allowNoIndex",
                "name",
            ],
            "search" => &[
                "title",
                "description",
                "hits",
                "version",
                "columns",
                "sort",
                "grid",
                "hideChart",
                "kibanaSavedObjectMeta",
            ],
            "visualization" => &[
                "title",
                "description",
                "version",
                "visState",
                "uiStateJSON",
                "savedSearchRefName",
                "kibanaSavedObjectMeta",
            ],
            "dashboard" => &[
                "title",
                "description",
                "hits",
                "version",
                "panelsJSON",
                "optionsJSON",
                "timeRestore",
                "timeFrom",
                "timeTo",
                "refreshInterval",
                "controlGroupInput",
                "kibanaSavedObjectMeta",
            ],
            _ => return None,
        };
        for (key, value) in attributes {
            let early = ["name", "controlGroupInput"].contains(&key.as_str()) && at < [8, 0, 0];
            if !known.contains(&key.as_str()) || early {
                return Some(format!(
                    "[attributes.{key}]: definition for this key is missing"
                ));
            }
            let inner = key.ends_with("JSON") || key == "visState" || key == "fields";
            let readable = |text: &str| serde_json::from_str::<Value>(text).is_ok();
            if inner && !value.as_str().is_some_and(readable) {
                return Some(format!("[attributes.{key}]: no JSON"));
            }
        }
        let title = attributes.get("title").and_then(Value::as_str);
        title
            .is_none()
            .then(|| "[attributes.title]: expected value of type [string]".into())
    }

    /// The object as it is kept: texts of JSON written anew, defaults, a stamp of its own.
    fn taken(&mut self, mut object: Value) -> Value {
        let now = self.now();
        if let Some(Value::Object(attributes)) = object.get_mut("attributes") {
            for (key, value) in attributes.iter_mut() {
                if key.ends_with("JSON")
                    && let Some(Ok(mut inner)) = value.as_str().map(serde_json::from_str::<Value>)
                {
                    if let Value::Array(panels) = &mut inner {
                        panels
                            .iter_mut()
                            .for_each(|panel| panel["version"] = json!(self.version));
                    }
                    *value = json!(format!("{inner:#}"));
                }
            }
            attributes.entry("version").or_insert(json!(1));
        }
        for key in ["migrationVersion", "typeMigrationVersion"] {
            object.as_object_mut().unwrap().remove(key);
        }
        object["updated_at"] = json!(now);
        object["version"] = json!("WzEsMV0=");
        object["namespaces"] = json!(["default"]);
        object
    }
}

/// The file in an upload.
fn file(request: &Request) -> Result<String, &'static str> {
    let kind = request
        .headers
        .get("content-type")
        .map_or("", String::as_str);
    let boundary = kind.strip_prefix("multipart/form-data; boundary=");
    let boundary = boundary.ok_or("Unsupported Media Type")?;
    let body = String::from_utf8(request.body.clone()).map_err(|_| "no UTF-8")?;
    let rest = body
        .strip_prefix(&format!("--{boundary}\r\n"))
        .ok_or("Invalid multipart")?;
    let (head, rest) = rest.split_once("\r\n\r\n").ok_or("Invalid multipart")?;
    let end = format!("\r\n--{boundary}--\r\n");
    let file = rest
        .strip_suffix(&end)
        .ok_or("Unexpected end of multipart data")?;
    if !head.contains("name=\"file\"") {
        return Err("[request body.file]: expected value of type [Stream]");
    }
    if !head
        .lines()
        .any(|line| line.contains("filename=") && line.ends_with(".ndjson\""))
    {
        return Err("Invalid file extension");
    }
    Ok(file.to_owned())
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

fn number(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}
