//! The sources of dashboards, data views and shapes of events, read from YAML. What a dashboard
//! says in a person's words, nothing of how a server wants it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Shape;
use crate::problem::Problem;
use crate::rule::yaml::{self, Node, Value as Yaml};

/// The dashboards, in the order in which people meet them.
const DASHBOARDS: [(&str, &str); 6] = [
    (
        "detectlm.yml",
        include_str!("../../../kibana_objects/sources/detectlm.yml"),
    ),
    (
        "overview.yml",
        include_str!("../../../kibana_objects/sources/overview.yml"),
    ),
    (
        "host.yml",
        include_str!("../../../kibana_objects/sources/host.yml"),
    ),
    (
        "hunt.yml",
        include_str!("../../../kibana_objects/sources/hunt.yml"),
    ),
    (
        "rules.yml",
        include_str!("../../../kibana_objects/sources/rules.yml"),
    ),
    (
        "sweeps.yml",
        include_str!("../../../kibana_objects/sources/sweeps.yml"),
    ),
];
const VIEWS: &str = include_str!("../../../kibana_objects/sources/views.yml");
const SHAPES: &str = include_str!("../../../kibana_objects/sources/shapes.yml");

/// The name of the data view that each shape of Windows events brings.
pub(super) const EVENTS: &str = "events";

/// Everything that stands in `kibana_objects/sources/`.
pub(super) struct Sources {
    pub(super) dashboards: Vec<Dashboard>,
    views: BTreeMap<String, View>,
    shapes: BTreeMap<String, ShapeSource>,
}

/// A dashboard.
pub(super) struct Dashboard {
    /// The name of its file, of which ids are made.
    pub(super) name: String,
    pub(super) head: Head,
    pub(super) panels: Vec<Panel>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    /// The data view of panels that name no other.
    pub(super) view: String,
    /// How far back it looks at first, such as `now-7d`.
    pub(super) time: String,
    #[serde(default)]
    pub(super) controls: Vec<Control>,
}

/// A list of values to choose from.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub(super) title: String,
    pub(super) field: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    pub(super) title: String,
    /// Where one object must keep the id that it has elsewhere.
    pub(super) id: Option<String>,
    /// Column, row, width, height, on 48 columns.
    pub(super) at: [u32; 4],
    pub(super) view: Option<String>,
    /// KQL.
    #[serde(default)]
    pub(super) query: String,
    pub(super) show: Show,
}

/// What a panel shows.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Show {
    /// Bars over time.
    Bars {
        #[serde(default)]
        of: Metric,
        by: Option<Bucket>,
        #[serde(default)]
        colours: Map<String, Value>,
    },
    /// Shares of a whole.
    Donut {
        by: Bucket,
        #[serde(default)]
        colours: Map<String, Value>,
    },
    /// One number, or several.
    Number {
        #[serde(default)]
        of: Metric,
    },
    /// Rows by what occurs most.
    Table {
        rows: Vec<Bucket>,
        #[serde(default = "counted")]
        columns: Vec<Metric>,
    },
    /// The documents themselves, newest first.
    Events {
        columns: Vec<String>,
        /// If not the view's time, newest first.
        sort: Option<String>,
    },
    /// Markdown.
    Text(String),
}

fn counted() -> Vec<Metric> {
    vec![Metric::default()]
}

/// What is measured.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metric {
    /// `count`, or of a field `sum`, `avg`, `min`, `max`, `cardinality`.
    pub(super) function: String,
    pub(super) field: Option<String>,
    pub(super) label: Option<String>,
}

impl Default for Metric {
    fn default() -> Self {
        Self {
            function: "count".into(),
            field: None,
            label: None,
        }
    }
}

/// Into what documents are parted.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bucket {
    pub(super) field: Option<String>,
    pub(super) label: Option<String>,
    /// How many values, the most frequent ones.
    pub(super) size: Option<u32>,
    /// Of numbers: how wide a step is.
    pub(super) interval: Option<u32>,
    /// Instead of a field: KQL by label.
    pub(super) filters: Option<Map<String, Value>>,
}

/// A data view.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct View {
    pub(super) title: String,
    pub(super) pattern: String,
    pub(super) time: Option<String>,
    /// Which fields name a `host` or a `user`.
    #[serde(default)]
    pub(super) links: BTreeMap<String, String>,
    /// Type by path.
    pub(super) fields: BTreeMap<String, String>,
    /// Numbers that are names: shown as they are, without commas.
    #[serde(default)]
    pub(super) plain: Vec<String>,
    /// Path by what dashboards call it.
    #[serde(skip)]
    pub(super) names: BTreeMap<String, String>,
    #[serde(skip)]
    pub(super) id: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeSource {
    title: String,
    pattern: String,
    time: String,
    host: String,
    user: String,
    names: BTreeMap<String, String>,
    types: BTreeMap<String, String>,
}

impl Sources {
    /// Reads what is compiled in.
    ///
    /// # Errors
    /// Every problem of every file.
    pub(super) fn load() -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut keep = |read: Result<Dashboard, Vec<Problem>>| read.map_err(|p| problems.extend(p));
        let files = DASHBOARDS.iter();
        let dashboards = files
            .filter_map(|(file, text)| keep(dashboard(file, text)).ok())
            .collect();
        let views = named::<View>("views.yml", VIEWS).map_err(|p| problems.extend(p));
        let shapes = named::<ShapeSource>("shapes.yml", SHAPES).map_err(|p| problems.extend(p));
        let (Ok(mut views), Ok(shapes)) = (views, shapes) else {
            return Err(problems);
        };
        for (name, view) in &mut views {
            view.id = format!("picket-{name}");
        }
        let lacking = Shape::ALL.map(Shape::name);
        let lacking = lacking.iter().filter(|name| !shapes.contains_key(**name));
        problems.extend(lacking.map(|name| Problem::new("shapes.yml", format!("no `{name}`"))));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            dashboards,
            views,
            shapes,
        })
    }

    /// The data views for events of that shape, by the names that dashboards have for them.
    pub(super) fn views(&self, shape: Option<Shape>) -> BTreeMap<String, View> {
        let mut views = self.views.clone();
        let events = shape.and_then(|shape| {
            let source = self.shapes.get(shape.name())?;
            Some((EVENTS.to_owned(), source.view(shape)))
        });
        views.extend(events);
        views
    }
}

impl ShapeSource {
    fn view(&self, shape: Shape) -> View {
        let typed = |path: &String| {
            let kind = self.types.get(path).map_or("keyword", String::as_str);
            (path.clone(), kind.to_owned())
        };
        let mut fields: BTreeMap<_, _> = self.names.values().map(typed).collect();
        fields.insert(self.time.clone(), "date".into());
        for field in ["AlertLevel", "Ignore"] {
            fields.insert(field.into(), "long".into());
        }
        let link = |name: &String, to: &str| Some((self.names.get(name)?.clone(), to.to_owned()));
        let links = [link(&self.host, "host"), link(&self.user, "user")];
        let event = self.names.get("EventID");
        let number = |path: &&String| fields.get(*path).is_some_and(|kind| kind == "long");
        View {
            plain: event.filter(number).into_iter().cloned().collect(),
            title: self.title.clone(),
            pattern: self.pattern.clone(),
            time: Some(self.time.clone()),
            links: links.into_iter().flatten().collect(),
            fields,
            names: self.names.clone(),
            id: format!("picket-events-{}", shape.name()),
        }
    }
}

impl View {
    /// A text of a source, in which `{Image}` is what this view has for it.
    pub(super) fn spell(&self, text: &str) -> String {
        let mut spelt = text.to_owned();
        for (name, path) in &self.names {
            spelt = spelt.replace(&format!("{{{name}}}"), path);
        }
        spelt
    }
}

impl Dashboard {
    /// For which of these shapes there is one of it; `None`: it needs no Windows events.
    pub(super) fn shapes(&self, shapes: &[Shape]) -> Vec<Option<Shape>> {
        match self.is_shaped() {
            true => shapes.iter().copied().map(Some).collect(),
            false => vec![None],
        }
    }

    /// Its id, if it is for that shape.
    pub(super) fn id(&self, shape: Option<Shape>) -> String {
        match shape {
            Some(shape) => format!("{}-{}", self.head.id, shape.name()),
            None => self.head.id.clone(),
        }
    }

    /// Its title, likewise.
    pub(super) fn title(&self, shape: Option<Shape>) -> String {
        match shape {
            Some(shape) => format!("{} ({})", self.head.title, shape.name()),
            None => self.head.title.clone(),
        }
    }

    fn is_shaped(&self) -> bool {
        let view = |panel: &Panel| panel.view.as_deref() == Some(EVENTS);
        self.head.view == EVENTS || self.panels.iter().any(view)
    }
}

fn dashboard(file: &str, text: &str) -> Result<Dashboard, Vec<Problem>> {
    let node = document(file, text)?;
    let mut problems = Vec::new();
    let mut panels = Vec::new();
    let mut head = Map::new();
    for entry in node.entries() {
        if entry.key != "panels" {
            head.insert(entry.key.clone(), plain(&entry.value));
            continue;
        }
        for node in entry.value.items() {
            match read(file, node, plain(node)) {
                Ok(panel) => panels.push(panel),
                Err(problem) => problems.push(problem),
            }
        }
    }
    match read(file, &node, Value::Object(head)) {
        Ok(head) if problems.is_empty() => Ok(Dashboard {
            name: file.trim_end_matches(".yml").to_owned(),
            head,
            panels,
        }),
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

fn named<T: DeserializeOwned>(file: &str, text: &str) -> Result<BTreeMap<String, T>, Vec<Problem>> {
    let node = document(file, text)?;
    let mut all = BTreeMap::new();
    let mut problems = Vec::new();
    for entry in node.entries() {
        match read(file, &entry.value, plain(&entry.value)) {
            Ok(one) => _ = all.insert(entry.key.clone(), one),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(all)
    } else {
        Err(problems)
    }
}

fn document(file: &str, text: &str) -> Result<Node, Vec<Problem>> {
    let read = yaml::parse(text).into_iter().next();
    let problem = match read {
        Some(Ok(node)) => return Ok(node),
        Some(Err(error)) => Problem::new(file, error.message).at(error.line),
        None => Problem::new(file, "is empty"),
    };
    Err(vec![problem])
}

fn read<T: DeserializeOwned>(file: &str, node: &Node, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| {
        let path = Path::new("kibana_objects/sources").join(file);
        Problem::new(path, error.to_string()).at(node.line)
    })
}

/// YAML as JSON.
fn plain(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(*value),
        Yaml::Number(digits) => serde_json::from_str(digits).unwrap_or(Value::Null),
        Yaml::Text(text) => Value::String(text.clone()),
        Yaml::List(items) => items.iter().map(plain).collect(),
        Yaml::Map(entries) => {
            let entry = |e: &yaml::Entry| (e.key.clone(), plain(&e.value));
            Value::Object(entries.iter().map(entry).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxonomy::{accounts, paths};

    #[test]
    fn the_sources_can_be_read() {
        let problems = Sources::load().map(|_| ()).map_err(|problems| {
            let said = problems.iter().map(ToString::to_string);
            said.collect::<Vec<_>>()
        });
        assert_eq!(problems, Ok(()));
    }

    /// Type by path, as a mapping has it.
    fn mapped(properties: &Value, above: &str, into: &mut BTreeMap<String, String>) {
        for (name, field) in properties.as_object().into_iter().flatten() {
            let path = format!("{above}{name}");
            if let Some(kind) = field["type"].as_str() {
                into.insert(path.clone(), kind.to_owned());
            }
            for below in ["properties", "fields"] {
                mapped(&field[below], &format!("{path}."), into);
            }
        }
    }

    #[test]
    fn fields_of_data_views_are_those_that_indices_are_made_with() {
        use crate::store::elastic::schema;
        let sources = Sources::load().unwrap_or_else(|_| unreachable!());
        for (view, schema) in [
            ("cmdlogs", schema::commands()),
            ("findings", schema::findings()),
            ("judged", schema::events()),
            ("sweeps", schema::sweeps()),
        ] {
            let mut known = BTreeMap::new();
            mapped(&schema["mappings"]["properties"], "", &mut known);
            for (path, kind) in &sources.views[view].fields {
                assert_eq!(known.get(path), Some(kind), "{view}: {path}");
            }
        }
    }

    #[test]
    fn shapes_call_fields_as_the_taxonomy_knows_them() {
        let sources = Sources::load().unwrap_or_else(|_| unreachable!());
        for (shape, source) in &sources.shapes {
            for (name, path) in &source.names {
                let path = path.trim_end_matches(".keyword");
                let known = paths(name).iter().any(|known| known == path)
                    || name == "User" && accounts().iter().any(|(_, user)| user == path)
                    // Made of several places, which the taxonomy reads one by one.
                    || (name == "Details" && path == "registry.data.strings")
                    || name == "Channel" && ["winlog.channel", "log_name"].contains(&path);
                assert!(known, "{shape}: {name} is not at {path}");
            }
        }
    }

    #[test]
    fn what_is_wrong_in_a_source_is_named_with_its_line() {
        let said = |text: &str| {
            let problems = dashboard("a.yml", text).err().unwrap_or_default();
            problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ")
        };
        let head = "id: a\ntitle: A\ndescription: ''\nview: cmdlogs\ntime: now-1d\n";
        let panel = |panel: &str| said(&format!("{head}panels:\n  - {panel}\n"));
        assert!(said("id: a\n").contains("missing field `title`"));
        assert!(said("[").contains("not YAML"));
        let wrong = panel("{ title: B, at: [0, 0, 1, 1], show: { bar: {} } }");
        assert!(
            wrong.contains("a.yml:7") && wrong.contains("`bar`"),
            "{wrong}"
        );
        assert!(panel("{ title: B, at: [0], show: { bars: {} } }").contains("a.yml:7"));
        assert!(
            panel("{ title: B, at: [0, 0, 1, 1], colour: red, show: { bars: {} } }")
                .contains("colour")
        );
    }
}
