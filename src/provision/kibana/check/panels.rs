//! What stands in visualizations, saved searches, data views and dashboards: aggregations, columns,
//! panels on their grid, lists to choose from, links.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Check, Parsed};
use crate::provision::kibana::Target;

/// How many columns a dashboard has.
const COLUMNS: u64 = 48;
/// No dashboard is longer than this, in rows.
const ROWS: u64 = 1000;

const NUMBERS: [&str; 8] = [
    "long",
    "integer",
    "short",
    "byte",
    "double",
    "float",
    "half_float",
    "unsigned_long",
];

/// What aggregations of a visualization of that type may be for; `None`: it has none.
pub(super) fn schemas(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "histogram" => &["metric", "segment", "group", "split"],
        "pie" => &["metric", "segment", "split"],
        "metric" => &["metric", "group"],
        "table" => &["metric", "bucket", "split"],
        _ => return None,
    })
}

/// Whether that can be asked of a field of such a type.
pub(super) fn suits(what: &str, kind: &str) -> bool {
    let number = NUMBERS.contains(&kind);
    match what {
        "sum" | "avg" | "histogram" => number,
        "min" | "max" => number || kind == "date",
        "date_histogram" => kind == "date",
        "terms" | "cardinality" | "sort" => {
            number || matches!(kind, "keyword" | "wildcard" | "ip" | "boolean" | "date")
        }
        _ => true,
    }
}

impl Check<'_> {
    pub(super) fn visualization(&mut self, parsed: &Parsed, view: Option<&str>) {
        let Some(state) = parsed.get("visState") else {
            return;
        };
        if state["title"] != self.line["attributes"]["title"] {
            self.say("its state has another title");
        }
        let kind = state["type"].as_str().unwrap_or_default();
        let aggs = state["aggs"].as_array().map_or(&[][..], Vec::as_slice);
        match (kind, schemas(kind)) {
            ("markdown", _) => self.words(&state["params"]["markdown"]),
            ("input_control_vis", _) => self.choices(state),
            (_, None) => self.say(format!("a chart of type {kind:?}")),
            (_, Some(schemas)) => self.aggregations(kind, schemas, aggs, view),
        }
        let id = |agg: &Value| agg["id"].as_str().map(str::to_owned);
        let ids: BTreeSet<_> = aggs.iter().filter_map(id).collect();
        if ids.len() != aggs.len() {
            self.say("two aggregations have the same id, or one has none");
        }
        for series in state["params"]["seriesParams"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if series["data"]["id"]
                .as_str()
                .is_none_or(|id| !ids.contains(id))
            {
                self.say("a series of no aggregation");
            }
        }
        for agg in aggs {
            let order = agg["params"]["orderBy"].as_str();
            if order.is_some_and(|order| order != "_key" && !ids.contains(order)) {
                self.say("is ordered by no aggregation");
            }
        }
    }

    fn words(&mut self, words: &Value) {
        let words = words.as_str().unwrap_or_default();
        if words.is_empty() {
            self.say("says nothing");
        }
        let links = words.split("](").skip(1);
        let mut links = links.filter_map(|rest| rest.split(')').next());
        if links.any(|link| !self.leads(link)) || words.contains('{') {
            self.say("its text links to a dashboard that is not there");
        }
    }

    fn aggregations(&mut self, kind: &str, schemas: &[&str], aggs: &[Value], view: Option<&str>) {
        if !aggs.iter().any(|agg| agg["schema"] == "metric") {
            self.say("measures nothing");
        }
        for agg in aggs {
            let schema = agg["schema"].as_str().unwrap_or_default();
            if !schemas.contains(&schema) {
                self.say(format!("an aggregation for {schema:?} in a {kind}"));
            }
            let what = agg["type"].as_str().unwrap_or_default();
            let params = &agg["params"];
            if params.get("json").is_some() {
                self.say("JSON hides in an aggregation");
            }
            let metric = matches!(
                what,
                "count" | "sum" | "avg" | "min" | "max" | "cardinality"
            );
            if metric != (schema == "metric") {
                self.say(format!("{what} is no {schema}"));
            }
            match (what, params["field"].as_str()) {
                ("count", None) => {}
                ("filters", None) => {
                    let filters = params["filters"].as_array();
                    if filters.is_none_or(Vec::is_empty) {
                        self.say("has no filters");
                    }
                    for filter in filters.into_iter().flatten() {
                        self.query(&filter["input"], view);
                    }
                }
                (
                    "sum" | "avg" | "min" | "max" | "cardinality" | "terms" | "histogram"
                    | "date_histogram",
                    Some(field),
                ) => self.field(view, field, what),
                (_, field) => self.say(format!("an aggregation {what:?} of {field:?}")),
            }
            let interval = &params["interval"];
            let fits = match what {
                "date_histogram" => interval.is_string(),
                "histogram" => interval.as_u64().is_some_and(|interval| interval > 0),
                _ => true,
            };
            let size = params["size"].as_u64();
            if !fits || what == "terms" && size.is_none_or(|size| size == 0 || size > 500) {
                self.say(format!("{what} without a size that can be"));
            }
        }
    }

    /// Lists to choose from, as a panel.
    fn choices(&mut self, state: &Value) {
        if self.target == Target::Kibana88 {
            self.say("such controls are gone from later versions");
        }
        for control in state["params"]["controls"].as_array().into_iter().flatten() {
            let name = control["indexPatternRefName"].as_str().unwrap_or_default();
            let view = self.refer(name, "index-pattern");
            let field = control["fieldName"].as_str().unwrap_or_default();
            self.field(view.as_deref(), field, "terms");
        }
    }

    pub(super) fn search(&mut self, view: Option<&str>) {
        let attributes = &self.line["attributes"];
        for column in attributes["columns"].as_array().into_iter().flatten() {
            match column.as_str() {
                Some("_source" | "_index" | "_id") => {}
                Some(column) => self.field(view, column, "column"),
                None => self.say("a column that is no text"),
            }
        }
        for sort in attributes["sort"].as_array().into_iter().flatten() {
            match sort.as_array().map(Vec::as_slice) {
                Some([Value::String(field), Value::String(order)])
                    if ["asc", "desc"].contains(&order.as_str()) =>
                {
                    self.field(view, field, "sort");
                }
                _ => self.say("sort must be [field, asc or desc]"),
            }
        }
    }

    pub(super) fn data_view(&mut self, parsed: &Parsed) {
        let line = self.line;
        let id = line["id"].as_str().unwrap_or_default();
        if let Some(time) = line["attributes"].get("timeFieldName") {
            let field = time.as_str().unwrap_or_default();
            self.field(Some(id), field, "date_histogram");
        }
        let formats = parsed.get("fieldFormatMap").and_then(Value::as_object);
        for (field, format) in formats.into_iter().flatten() {
            match format["id"].as_str() {
                Some("number") => self.field(Some(id), field, "sum"),
                Some("url") => {
                    self.field(Some(id), field, "column");
                    let url = format["params"]["urlTemplate"].as_str().unwrap_or_default();
                    let path = url.strip_prefix("../app/dashboards");
                    if path.is_none_or(|path| !self.leads(path)) {
                        self.say(format!("{field} links to a dashboard that is not there"));
                    }
                }
                other => self.say(format!("{field} is shown as {other:?}")),
            }
        }
    }

    /// Whether the address within the dashboards' app is that of one that is there.
    fn leads(&self, address: &str) -> bool {
        let id = address.strip_prefix("#/view/").unwrap_or_default();
        let id = id.split('?').next().unwrap_or_default();
        self.ids.contains(&format!("dashboard:{id}"))
    }

    pub(super) fn dashboard(&mut self, parsed: &Parsed) {
        let line = self.line;
        let attributes = &line["attributes"];
        let panels = parsed.get("panelsJSON").and_then(Value::as_array);
        if panels.is_none_or(Vec::is_empty) {
            self.say("has no panels");
        }
        let mut indices = BTreeSet::new();
        let mut taken: Vec<[u64; 4]> = Vec::new();
        for panel in panels.into_iter().flatten() {
            let index = panel["panelIndex"].as_str().unwrap_or_default();
            if index.is_empty() || !indices.insert(index) {
                self.say(format!("panelIndex {index:?} must be a text of its own"));
            }
            self.panel(panel, index);
            self.place(&panel["gridData"], index, &mut taken);
        }
        let restores = attributes["timeRestore"] == true;
        let times = ["timeFrom", "timeTo"].iter();
        if restores
            && times
                .clone()
                .any(|time| attributes[*time].as_str().is_none_or(str::is_empty))
        {
            self.say("keeps a time that it does not name");
        }
        if let Some(group) = attributes.get("controlGroupInput") {
            self.control_group(group);
        }
    }

    fn panel(&mut self, panel: &Value, index: &str) {
        let Some(name) = panel["panelRefName"].as_str() else {
            return self.say(format!("panel {index} refers to nothing"));
        };
        let own = format!("{index}:{name}");
        // OpenSearch Dashboards knows the bare name only.
        let bare = self.target == Target::OpenSearchDashboards || !self.names.contains_key(&*own);
        let name = if bare { name.to_owned() } else { own };
        let listed = self.names.get(&*name).map(|(kind, _)| (*kind).to_owned());
        let kind = panel["type"].as_str().map(str::to_owned).or(listed);
        let kind = kind.unwrap_or_default();
        if !["visualization", "search"].contains(&&*kind) {
            self.say(format!("panel {index} is a {kind:?}"));
        }
        self.refer(&name, &kind);
        if panel["version"].as_str().and_then(super::number).is_none() {
            self.say(format!("panel {index} says no version"));
        }
    }

    fn place(&mut self, grid: &Value, index: &str, taken: &mut Vec<[u64; 4]>) {
        if grid["i"].as_str() != Some(index) {
            self.say(format!("panel {index}: its place belongs to another"));
        }
        let place = ["x", "y", "w", "h"].map(|side| grid[side].as_u64());
        let [Some(x), Some(y), Some(w), Some(h)] = place else {
            return self.say(format!("panel {index} has no place"));
        };
        let known = grid.as_object().is_some_and(|grid| grid.len() == 5);
        if !known || w == 0 || h == 0 || x.saturating_add(w) > COLUMNS || y.saturating_add(h) > ROWS
        {
            self.say(format!("panel {index} is outside of the grid"));
            return;
        }
        let meets =
            |[x2, y2, w2, h2]: &[u64; 4]| x < x2 + w2 && *x2 < x + w && y < y2 + h2 && *y2 < y + h;
        if taken.iter().any(meets) {
            self.say(format!("panel {index} lies on another"));
        }
        taken.push([x, y, w, h]);
    }

    fn control_group(&mut self, group: &Value) {
        let known = [
            "panelsJSON",
            "controlStyle",
            "chainingSystem",
            "ignoreParentSettingsJSON",
        ];
        for (key, value) in group.as_object().into_iter().flatten() {
            let json = key.ends_with("JSON");
            let text = value.as_str();
            let read = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
            if !known.contains(&key.as_str()) || text.is_none() || json && read.is_none() {
                self.say(format!("controlGroupInput: {key} is not known, or no JSON"));
            }
            if key != "panelsJSON" {
                continue;
            }
            for (id, control) in read
                .as_ref()
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let name = format!("controlGroup_{id}:optionsListDataView");
                let view = self.refer(&name, "index-pattern");
                let input = &control["explicitInput"];
                if input["id"] != **id || control["type"] != "optionsListControl" {
                    self.say(format!("control {id} is another's, or no list"));
                }
                let field = input["fieldName"].as_str().unwrap_or_default();
                self.field(view.as_deref(), field, "terms");
            }
        }
    }
}
