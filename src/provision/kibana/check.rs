//! What a server would refuse in saved objects, or show nothing for: versions, attributes,
//! references, texts that are JSON in JSON, the grid, and fields that no index has. The rules are
//! those of the registered types of Kibana and OpenSearch Dashboards. Asks no server.

mod attributes;
mod panels;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::source::Sources;
use super::{Object, Target, kql, stamp};

/// Field types by path, for each data view's id.
pub type Fields = BTreeMap<String, BTreeMap<String, String>>;

/// Keys that a line of an import file may have.
const KEYS: [&str; 19] = [
    "attributes",
    "id",
    "type",
    "references",
    "coreMigrationVersion",
    "migrationVersion",
    "typeMigrationVersion",
    "managed",
    "updated_at",
    "created_at",
    "updated_by",
    "created_by",
    "originId",
    "sort",
    "error",
    "version",
    "namespaces",
    "score",
    "accessControl",
];

/// Everything that is wrong with an import file for that target, one sentence each; empty: it can
/// be imported. Fields are held against `fields`.
pub fn file(target: Target, text: &str, fields: &Fields) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match serde_json::from_str::<Value>(line) {
            Ok(line) if line.get("exportedCount").is_some() => {}
            Ok(line) => lines.push(line),
            Err(error) => wrong.push(format!("line {}: not JSON: {error}", number + 1)),
        }
    }
    wrong.extend(all(target, &lines, fields));
    wrong
}

/// The same of objects that were made here, with the fields that the sources say there are.
pub fn objects(target: Target, objects: &[Object]) -> Vec<String> {
    let lines: Vec<Value> = objects.iter().map(|object| object.json.clone()).collect();
    all(target, &lines, &fields())
}

/// The fields that the sources say there are.
pub fn fields() -> Fields {
    let Ok(sources) = Sources::load() else {
        return Fields::new();
    };
    let shapes = super::Shape::ALL.map(Some);
    let views = shapes.into_iter().flat_map(|shape| sources.views(shape));
    views.map(|(_, view)| (view.id, view.fields)).collect()
}

fn all(target: Target, lines: &[Value], fields: &Fields) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    for line in lines {
        if !ids.insert(key(line)) {
            wrong.push(format!("{}: stands there twice", key(line)));
        }
    }
    for line in lines {
        let mut check = Check {
            target,
            line,
            kind: line["type"].as_str().unwrap_or_default(),
            ids: &ids,
            fields,
            names: names(line),
            used: BTreeSet::new(),
            wrong: Vec::new(),
        };
        check.object();
        let key = key(line);
        wrong.extend(check.wrong.iter().map(|wrong| format!("{key}: {wrong}")));
    }
    wrong
}

fn key(line: &Value) -> String {
    let of = |name: &str| line[name].as_str().unwrap_or("?");
    format!("{}:{}", of("type"), of("id"))
}

/// What an object refers to, by the name of the reference: type and id.
fn names(line: &Value) -> BTreeMap<&str, (&str, &str)> {
    let references = line["references"].as_array().into_iter().flatten();
    references
        .filter(|reference| reference.as_object().is_some_and(|r| r.len() == 3))
        .filter_map(|reference| {
            let text = |name: &str| reference[name].as_str();
            Some((text("name")?, (text("type")?, text("id")?)))
        })
        .collect()
}

/// The check of one object.
struct Check<'c> {
    target: Target,
    line: &'c Value,
    kind: &'c str,
    ids: &'c BTreeSet<String>,
    fields: &'c Fields,
    names: BTreeMap<&'c str, (&'c str, &'c str)>,
    used: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn object(&mut self) {
        if !stamp::TYPES.contains(&self.kind) {
            return self.say("a type that is not written here");
        }
        for key in self
            .line
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
        {
            if !KEYS.contains(&key.as_str()) {
                self.say(format!("unknown key `{key}`"));
            }
        }
        if self.line["id"].as_str().is_none_or(str::is_empty) {
            self.say("has no id");
        }
        self.version();
        self.references();
        let parsed = self.attributes();
        let searched = parsed.get("kibanaSavedObjectMeta.searchSourceJSON");
        let view = self.searched(searched.unwrap_or(&Value::Null), &parsed);
        match self.kind {
            "visualization" => self.visualization(&parsed, view.as_deref()),
            "search" => self.search(view.as_deref()),
            "index-pattern" => self.data_view(&parsed),
            _ => self.dashboard(&parsed),
        }
        let unused = self.names.keys().filter(|name| !self.used.contains(**name));
        let unused: Vec<String> = unused
            .filter(|name| !name.starts_with("tag-"))
            .map(|name| format!("reference {name} is listed and not used"))
            .collect();
        self.wrong.extend(unused);
    }

    fn version(&mut self) {
        let old = self.line.get("migrationVersion");
        let new = self.line.get("typeMigrationVersion");
        if new.is_some() && self.target != Target::Kibana88 {
            self.say("typeMigrationVersion is not known before 8.8");
        }
        let stamp = match (old, new) {
            (Some(old), None) => old.get(self.kind),
            (None, new) => new,
            (Some(_), Some(_)) => return self.say("has two versions"),
        };
        let Some(stamp) = stamp.and_then(Value::as_str).and_then(number) else {
            return self.say("has no version of its type");
        };
        let newest = stamp::newest(self.target, self.kind).and_then(number);
        if newest.is_none_or(|newest| stamp > newest) {
            self.say("belongs to a more recent version than the server's");
        }
        let core = self
            .line
            .get("coreMigrationVersion")
            .map(|core| core.as_str().and_then(number));
        let most = match self.target {
            Target::OpenSearchDashboards => None,
            Target::Kibana717 => number("7.17.0"),
            Target::Kibana88 => number("8.8.0"),
        };
        if core.is_some_and(|core| core.is_none() || core > most) {
            self.say("coreMigrationVersion is newer than the server");
        }
    }

    fn references(&mut self) {
        let Some(references) = self.line["references"].as_array() else {
            return self.say("references must be a list");
        };
        if references.len() != self.names.len() {
            self.say("a reference is not {id, name, type}, or its name stands there twice");
        }
        let to: Vec<_> = self.names.values().copied().collect();
        for (kind, id) in to {
            if !self.ids.contains(&format!("{kind}:{id}")) {
                self.say(format!("refers to {kind}:{id}, which is not there"));
            }
        }
    }

    /// Takes note that a reference is used; the id that it leads to.
    fn refer(&mut self, name: &str, kind: &str) -> Option<String> {
        self.used.insert(name.to_owned());
        match self.names.get(name) {
            None => self.say(format!("reference {name} is used and not listed")),
            Some((other, _)) if *other != kind => {
                self.say(format!("reference {name} leads to a {other}, not a {kind}"));
            }
            Some((_, id)) => return Some((*id).to_owned()),
        }
        None
    }

    /// What the search source says; the data view that it is on.
    fn searched(&mut self, searched: &Value, parsed: &Parsed) -> Option<String> {
        if searched.get("index").is_some() {
            self.say("the search source has a bare id of a data view");
        }
        let kind = parsed
            .get("visState")
            .and_then(|state| state["type"].as_str());
        let view = match searched["indexRefName"].as_str() {
            Some(name) => self.refer(name, "index-pattern"),
            None => {
                let charted = kind.is_some_and(|kind| panels::schemas(kind).is_some());
                if self.kind == "search" || charted {
                    self.say("the search source names no data view");
                }
                None
            }
        };
        if let Some(query) = searched.get("query") {
            self.query(query, view.as_deref());
        }
        for filter in searched["filter"].as_array().into_iter().flatten() {
            let meta = &filter["meta"];
            match (meta["indexRefName"].as_str(), meta.get("index")) {
                (Some(name), _) => _ = self.refer(name, "index-pattern"),
                (None, Some(_)) => self.say("a filter has a bare id of a data view"),
                _ => {}
            }
        }
        view
    }

    fn query(&mut self, query: &Value, view: Option<&str>) {
        match query["language"].as_str() {
            Some("kuery") => {}
            Some("lucene") if query["query"] == "" => return,
            other => return self.say(format!("a query in {other:?}")),
        }
        let Some(text) = query["query"].as_str() else {
            return self.say("a query that is no text");
        };
        match kql::parse(text) {
            Err(error) => self.say(format!("query `{text}`: {error}")),
            Ok(kql) if view.is_none() => {
                if kql != kql::Kql::All {
                    self.say("a query without a data view");
                }
            }
            Ok(kql) => {
                for field in kql.fields() {
                    self.field(view, field, "query");
                }
            }
        }
    }

    /// A field must be one of the data view's, of a type that fits what is done with it.
    fn field(&mut self, view: Option<&str>, field: &str, for_what: &str) {
        let Some(fields) = view.and_then(|view| self.fields.get(view)) else {
            return self.say(format!("field {field} is of a data view that nobody knows"));
        };
        match fields.get(field) {
            None => self.say(format!("field {field} is in no index")),
            Some(kind) if !panels::suits(for_what, kind) => {
                self.say(format!(
                    "{for_what} cannot be asked of {field}, which is a {kind}"
                ));
            }
            Some(_) => {}
        }
    }
}

/// Attributes that are JSON in JSON, read, by their names.
type Parsed = BTreeMap<&'static str, Value>;

fn number(version: &str) -> Option<[u32; 3]> {
    let parts = version.split('.').map(|part| part.parse().ok());
    parts.collect::<Option<Vec<u32>>>()?.try_into().ok()
}
