//! Saved objects of Kibana and OpenSearch Dashboards: made here from one source per dashboard
//! (`kibana_objects/sources/`), never edited by hand. Asks no server.
//!
//! [`dashboards`] is what a cluster gets, [`files`] what a person imports; [`check`] says what a
//! server would refuse, or show nothing for, and is asked before either is used.

mod build;
pub mod check;
pub mod kql;
mod links;
pub mod search;
mod source;
mod stamp;
mod vis;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::problem::Problem;
use source::Sources;

/// For which servers saved objects are stamped. A server takes what is stamped as old as itself or
/// older, never newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// OpenSearch Dashboards 1 to 3.
    OpenSearchDashboards,
    /// Kibana 7.17 to 8.7.
    Kibana717,
    /// Kibana 8.8 and later.
    Kibana88,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenSearchDashboards, Self::Kibana717, Self::Kibana88];

    /// What its folder in `kibana_objects/` is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenSearchDashboards => "opensearch-dashboards",
            Self::Kibana717 => "kibana-7.17",
            Self::Kibana88 => "kibana-8.8",
        }
    }
}

/// How the Windows events of a shipper call their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Winlogbeat 7 and later, events as they are: `winlog.event_data.Image`.
    Winlogbeat,
    /// Elastic Agent, and Winlogbeat with its ingest pipelines: `process.executable`.
    Ecs,
    /// Winlogbeat 5 and 6: `event_data.Image`.
    Winlogbeat6,
    /// Logstash and others, and `picket load`: `Image.keyword`.
    Flat,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Winlogbeat, Self::Ecs, Self::Winlogbeat6, Self::Flat];

    /// What it is called in `kibana_objects/sources/shapes.yml` and in names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Winlogbeat => "winlogbeat",
            Self::Ecs => "ecs",
            Self::Winlogbeat6 => "winlogbeat-6",
            Self::Flat => "flat",
        }
    }

    /// A field that only events of this shape have: where an index maps it, the shape is in use.
    pub fn told_by(self) -> &'static str {
        match self {
            Self::Winlogbeat => "winlog.event_data.Image",
            Self::Ecs => "process.executable",
            Self::Winlogbeat6 => "event_data.Image",
            Self::Flat => "Image.keyword",
        }
    }

    /// Whether indices hold events of this shape that dashboards can count: the answer's `fields` of
    /// `_field_caps` for [`Shape::told_by`]. Texts cannot be counted.
    pub fn is_told(self, fields: &Value) -> bool {
        let types = fields.get(self.told_by()).and_then(Value::as_object);
        types.is_some_and(|types| types.contains_key("keyword") || types.contains_key("wildcard"))
    }
}

/// One saved object, as a line of an import file.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `index-pattern`, `search`, `visualization`, `lens`, `dashboard`.
    pub kind: &'static str,
    /// Its id, the same for every target.
    pub id: String,
    /// What a person sees.
    pub title: String,
    /// The whole line.
    pub json: Value,
}

/// All saved objects for a server whose Windows events have these shapes (none: only what needs no
/// such events), what others refer to first. Links from hosts and users lead to the Host dashboard
/// of the first shape.
///
/// To import them: [`ndjson`] as the body of `_import`, or each `json` by itself.
///
/// # Errors
/// What is wrong in the sources that are compiled in, or what a server would refuse of what is made
/// of them; tests keep that from happening.
pub fn dashboards(target: Target, shapes: &[Shape]) -> Result<Vec<Object>, Vec<Problem>> {
    let sources = Sources::load()?;
    let mut objects = build::all(&sources, target, shapes);
    let mut known = BTreeSet::new();
    objects.retain(|object| known.insert((object.kind, object.id.clone())));
    let wrong = check::objects(target, &objects).into_iter();
    let wrong: Vec<_> = wrong
        .map(|wrong| Problem::new("kibana_objects/sources", wrong))
        .collect();
    if wrong.is_empty() {
        Ok(objects)
    } else {
        Err(wrong)
    }
}

/// The files that a person imports, by name: `cmdlogs.ndjson` has what needs no Windows events, each
/// other one all of that and the dashboards for events of its shape.
///
/// # Errors
/// As [`dashboards`].
pub fn files(target: Target) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let mut files = vec![(
        "cmdlogs.ndjson".to_owned(),
        ndjson(&dashboards(target, &[])?),
    )];
    for shape in Shape::ALL {
        let name = format!("{}.ndjson", shape.name());
        files.push((name, ndjson(&dashboards(target, &[shape])?)));
    }
    Ok(files)
}

/// Where events of a shape have the fields that dashboards ask for: path by Sigma's name.
///
/// # Errors
/// As [`dashboards`].
pub fn paths(shape: Shape) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let mut views = Sources::load()?.views(Some(shape));
    let events = views.remove(source::EVENTS);
    Ok(events.map(|view| view.names).unwrap_or_default())
}

/// The objects as an import file: a line each.
pub fn ndjson(objects: &[Object]) -> String {
    let lines = objects.iter().map(|object| format!("{}\n", object.json));
    lines.collect()
}

/// A JSON text inside of JSON, as saved objects have it.
fn text(value: &Value) -> Value {
    json!(value.to_string())
}

/// Where Windows events of a shape stand, and what they call their fields.
pub(super) struct Events {
    pub(super) pattern: String,
    pub(super) time: String,
    /// Path by the name that dashboards have for it.
    pub(super) names: std::collections::BTreeMap<String, String>,
}

/// Those of that shape; none only if the sources are broken, which tests keep from happening.
pub(super) fn events(shape: Shape) -> Option<Events> {
    let mut views = Sources::load().ok()?.views(Some(shape));
    let view = views.remove(source::EVENTS)?;
    Some(Events {
        pattern: view.pattern,
        time: view.time?,
        names: view.names,
    })
}
