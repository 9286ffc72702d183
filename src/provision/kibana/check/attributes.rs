//! Which attributes each type of saved object may have. Servers refuse those that they do not know.

use serde_json::Value;

use super::{Check, Parsed};
use crate::provision::kibana::Target;

/// What an attribute must be.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Text,
    /// A text that is JSON.
    Json,
    Number,
    Bool,
    Object,
    List,
}

/// Name, what it is, whether it must be there.
type Attribute = (&'static str, Is, bool);

const META: Attribute = ("kibanaSavedObjectMeta", Is::Object, true);

const DASHBOARD: &[Attribute] = &[
    ("title", Is::Text, true),
    ("description", Is::Text, false),
    META,
    ("timeRestore", Is::Bool, false),
    ("timeFrom", Is::Text, false),
    ("timeTo", Is::Text, false),
    ("refreshInterval", Is::Object, false),
    ("controlGroupInput", Is::Object, false),
    ("panelsJSON", Is::Json, true),
    ("optionsJSON", Is::Json, true),
    ("hits", Is::Number, false),
    ("version", Is::Number, false),
];

const VISUALIZATION: &[Attribute] = &[
    ("title", Is::Text, true),
    ("description", Is::Text, false),
    ("version", Is::Number, false),
    META,
    ("uiStateJSON", Is::Json, true),
    ("visState", Is::Json, true),
    ("savedSearchRefName", Is::Text, false),
];

const SEARCH: &[Attribute] = &[
    ("title", Is::Text, true),
    ("description", Is::Text, false),
    ("columns", Is::List, true),
    ("sort", Is::List, true),
    META,
    ("hits", Is::Number, false),
    ("version", Is::Number, false),
];

/// Since 7.13.
const NEWER_SEARCH: &[Attribute] = &[("grid", Is::Object, false), ("hideChart", Is::Bool, false)];

const DATA_VIEW: &[Attribute] = &[
    ("title", Is::Text, true),
    ("timeFieldName", Is::Text, false),
    ("fields", Is::Json, true),
    ("fieldFormatMap", Is::Json, false),
    ("sourceFilters", Is::Json, false),
    ("typeMeta", Is::Json, false),
];

/// Since 7.11, and `name` since 8.0.
const NEWER_DATA_VIEW: &[Attribute] = &[
    ("runtimeFieldMap", Is::Json, false),
    ("fieldAttrs", Is::Json, false),
    ("allowNoIndex", Is::Bool, false),
];
const NEWEST_DATA_VIEW: &[Attribute] = &[("name", Is::Text, false)];

fn allowed(target: Target, kind: &str) -> Vec<Attribute> {
    let own = match kind {
        "dashboard" => DASHBOARD,
        "visualization" => VISUALIZATION,
        "search" => SEARCH,
        _ => DATA_VIEW,
    };
    let newer = match (target, kind) {
        (Target::OpenSearchDashboards, _) => &[][..],
        (_, "search") => NEWER_SEARCH,
        (_, "index-pattern") => NEWER_DATA_VIEW,
        _ => &[],
    };
    let newest = match (target, kind) {
        (Target::Kibana88, "index-pattern") => NEWEST_DATA_VIEW,
        _ => &[],
    };
    let mut all = [own, newer, newest].concat();
    all.retain(|(name, ..)| target == Target::Kibana88 || *name != "controlGroupInput");
    all
}

impl Check<'_> {
    /// Holds the attributes against what is allowed; reads those that are JSON.
    pub(super) fn attributes(&mut self) -> Parsed {
        let allowed = allowed(self.target, self.kind);
        let mut parsed = Parsed::new();
        let line = self.line;
        let Some(attributes) = line["attributes"].as_object() else {
            self.say("attributes must be an object");
            return parsed;
        };
        for (name, value) in attributes {
            let Some((name, is, _)) = allowed.iter().find(|(known, ..)| known == name) else {
                self.say(format!("attribute {name} is not known to the server"));
                continue;
            };
            if !fits(*is, value) {
                self.say(format!("attribute {name} is of another type"));
            } else if *is == Is::Json {
                self.json(name, value, &mut parsed);
            }
        }
        for (name, _, must) in &allowed {
            if *must && !attributes.contains_key(*name) {
                self.say(format!("attribute {name} is missing"));
            }
        }
        if attributes.get("title").and_then(Value::as_str) == Some("") {
            self.say("the title is empty");
        }
        if let Some(meta) = attributes.get(META.0) {
            let name = "kibanaSavedObjectMeta.searchSourceJSON";
            let only = meta.as_object().is_some_and(|meta| meta.len() == 1);
            if !only {
                self.say("kibanaSavedObjectMeta has more or less than searchSourceJSON");
            }
            self.json(name, &meta["searchSourceJSON"], &mut parsed);
        }
        parsed
    }

    fn json(&mut self, name: &'static str, value: &Value, parsed: &mut Parsed) {
        match serde_json::from_str(value.as_str().unwrap_or_default()) {
            Ok(value) => _ = parsed.insert(name, value),
            Err(error) => self.say(format!("{name} is not JSON: {error}")),
        }
    }
}

fn fits(is: Is, value: &Value) -> bool {
    match is {
        Is::Text | Is::Json => value.is_string(),
        Is::Number => value.is_number(),
        Is::Bool => value.is_boolean(),
        Is::Object => value.is_object(),
        Is::List => value.is_array(),
    }
}
