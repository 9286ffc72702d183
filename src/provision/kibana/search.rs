//! What a server is asked for each panel of a dashboard: its saved objects read as Kibana reads
//! them, made into the bodies of searches. Asks no server itself.

use serde_json::{Map, Value, json};

use super::{Object, kql};

/// How many documents a saved search shows.
const SHOWN: u64 = 500;
/// How many bars a chart over time has, about.
const BARS: i64 = 50;

/// A panel as it is drawn.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What a person sees above it.
    pub title: String,
    /// Column, row, width, height, on 48 columns.
    pub at: [u64; 4],
    /// The type of chart, or `search`.
    pub kind: String,
    /// The whole state of a visualization; of a saved search its attributes.
    pub state: Value,
    /// How it looks: colours by label.
    pub colours: Map<String, Value>,
    /// What it asks; text and lists to choose from ask nothing.
    pub asks: Option<Search>,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// Which indices.
    pub pattern: String,
    /// The body of `_search`.
    pub body: Value,
}

/// From and to, in milliseconds since 1970 (UTC).
pub type Times = (i64, i64);

/// The panels of a dashboard that is among the objects, with what they ask for that time.
///
/// # Errors
/// What cannot be read of the objects, as a sentence.
pub fn panels(objects: &[Object], dashboard: &str, times: Times) -> Result<Vec<Panel>, String> {
    let find = |kind: &str, id: &str| {
        let mut objects = objects.iter();
        let found = objects.find(|object| object.kind == kind && object.id == id);
        found.ok_or_else(|| format!("{kind}:{id} is not there"))
    };
    let board = find("dashboard", dashboard)?;
    let attributes = &board.json["attributes"];
    let over_all = searched(attributes)?;
    let mut panels = Vec::new();
    for panel in list(&read(&attributes["panelsJSON"])?) {
        let index = panel["panelIndex"].as_str().unwrap_or_default();
        let name = panel["panelRefName"].as_str().unwrap_or_default();
        let own = format!("{index}:{name}");
        let (kind, id) = reference(board, &own)
            .or_else(|| reference(board, name))
            .ok_or_else(|| format!("panel {index} refers to nothing"))?;
        let object = find(&kind, &id)?;
        let place = ["x", "y", "w", "h"].map(|side| panel["gridData"][side].as_u64().unwrap_or(0));
        let attributes = &object.json["attributes"];
        let (kind, state, colours) = match object.kind {
            "visualization" => {
                let state = read(&attributes["visState"])?;
                let looks = read(&attributes["uiStateJSON"])?;
                let kind = state["type"].as_str().unwrap_or_default().to_owned();
                let colours = looks["vis"]["colors"].as_object().cloned();
                (kind, state, colours.unwrap_or_default())
            }
            _ => ("search".to_owned(), attributes.clone(), Map::new()),
        };
        let source = searched(attributes)?;
        let view = source["indexRefName"].as_str();
        let asks = match view.and_then(|name| reference(object, name)) {
            None => None,
            Some((kind, id)) => {
                let view = find(&kind, &id)?;
                let asking = Asking {
                    view,
                    times,
                    source: &source,
                    over_all: &over_all,
                };
                Some(asking.search(&state)?)
            }
        };
        panels.push(Panel {
            title: object.title.clone(),
            at: place,
            kind,
            state,
            colours,
            asks,
        });
    }
    Ok(panels)
}

struct Asking<'a> {
    view: &'a Object,
    times: Times,
    source: &'a Value,
    over_all: &'a Value,
}

impl Asking<'_> {
    fn search(&self, state: &Value) -> Result<Search, String> {
        let view = &self.view.json["attributes"];
        let time = view["timeFieldName"].as_str();
        let mut filter = vec![
            query(&self.source["query"])?,
            query(&self.over_all["query"])?,
        ];
        filter.extend(time.map(|time| {
            let [from, to] = [self.times.0, self.times.1].map(instant);
            let format = "strict_date_optional_time";
            json!({ "range": { time: { "gte": from, "lte": to, "format": format } } })
        }));
        for more in [self.source, self.over_all] {
            filter.extend(
                list(&more["filter"])
                    .into_iter()
                    .map(|f| f["query"].clone()),
            );
        }
        let mut body =
            json!({ "track_total_hits": true, "query": { "bool": { "filter": filter } } });
        match state.get("aggs") {
            Some(aggs) => {
                body["size"] = json!(0);
                if let Some(aggs) = self.nested(&list(aggs))? {
                    body["aggs"] = aggs;
                }
            }
            None => {
                body["size"] = json!(SHOWN);
                let sort = list(&state["sort"]).into_iter().filter_map(|sort| {
                    let field = sort[0].as_str()?.to_owned();
                    Some(json!({ field: { "order": sort[1], "unmapped_type": "boolean" } }))
                });
                body["sort"] = sort.collect();
            }
        }
        let pattern = view["title"].as_str().unwrap_or_default().to_owned();
        Ok(Search { pattern, body })
    }

    /// Buckets in buckets, in their order, and in the last of them the metrics; metrics by which a
    /// bucket is ordered beside it too.
    fn nested(&self, aggs: &[Value]) -> Result<Option<Value>, String> {
        let is_metric = |agg: &&Value| agg["schema"] == "metric";
        let mut metrics = Map::new();
        for agg in aggs
            .iter()
            .filter(is_metric)
            .filter(|agg| agg["type"] != "count")
        {
            let kind = agg["type"].as_str().unwrap_or_default();
            metrics.insert(
                id(agg),
                json!({ kind: { "field": agg["params"]["field"] } }),
            );
        }
        let mut inner = metrics.clone();
        for agg in aggs.iter().filter(|agg| !is_metric(agg)).rev() {
            let mut bucket = self.bucket(agg, &metrics)?;
            if let Some(order) = agg["params"]["orderBy"].as_str() {
                let metric = metrics
                    .get(order)
                    .map(|metric| (order.to_owned(), metric.clone()));
                inner.extend(metric);
            }
            if !inner.is_empty() {
                bucket["aggs"] = Value::Object(inner);
            }
            inner = Map::from_iter([(id(agg), bucket)]);
        }
        Ok((!inner.is_empty()).then_some(Value::Object(inner)))
    }

    fn bucket(&self, agg: &Value, metrics: &Map<String, Value>) -> Result<Value, String> {
        let params = &agg["params"];
        let field = &params["field"];
        Ok(match agg["type"].as_str().unwrap_or_default() {
            "date_histogram" => {
                let (kind, interval) = interval(self.times);
                json!({ "date_histogram": {
                    "field": field, kind: interval, "time_zone": "UTC", "min_doc_count": params["min_doc_count"],
                } })
            }
            "histogram" => json!({ "histogram": {
                "field": field, "interval": params["interval"], "min_doc_count": 1,
            } }),
            "terms" => {
                let by = params["orderBy"].as_str().unwrap_or_default();
                let by = if metrics.contains_key(by) {
                    by
                } else {
                    "_count"
                };
                json!({ "terms": {
                    "field": field, "size": params["size"], "order": { by: params["order"] },
                } })
            }
            "filters" => {
                let mut filters = Map::new();
                for filter in list(&params["filters"]) {
                    let label = filter["label"].as_str().unwrap_or_default();
                    filters.insert(label.to_owned(), query(&filter["input"])?);
                }
                json!({ "filters": { "filters": filters } })
            }
            other => return Err(format!("an aggregation {other:?}")),
        })
    }
}

/// How wide bars are so that there are about 50: a step of those that people know.
fn interval((from, to): Times) -> (&'static str, &'static str) {
    const SECOND: i64 = 1000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let width = (to - from) / BARS;
    let steps = [
        (500, "100ms"),
        (5 * SECOND, "1s"),
        (7500, "5s"),
        (15 * SECOND, "10s"),
        (45 * SECOND, "30s"),
        (3 * MINUTE, "1m"),
        (9 * MINUTE, "5m"),
        (20 * MINUTE, "10m"),
        (45 * MINUTE, "30m"),
        (2 * HOUR, "1h"),
        (6 * HOUR, "3h"),
        (DAY, "12h"),
        (7 * DAY, "1d"),
        (21 * DAY, "1w"),
        (365 * DAY, "1M"),
    ];
    let step = steps.iter().find(|(below, _)| width < *below);
    let step = step.map_or("1y", |(_, step)| step);
    match step {
        "1m" | "1h" | "1d" | "1w" | "1M" | "1y" => ("calendar_interval", step),
        _ => ("fixed_interval", step),
    }
}

fn instant(at: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn id(agg: &Value) -> String {
    agg["id"].as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn read(json: &Value) -> Result<Value, String> {
    serde_json::from_str(json.as_str().unwrap_or("{}")).map_err(|error| error.to_string())
}

fn searched(attributes: &Value) -> Result<Value, String> {
    read(&attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
}

fn query(query: &Value) -> Result<Value, String> {
    Ok(kql::parse(query["query"].as_str().unwrap_or_default())?.query())
}

/// Type and id of what an object refers to by that name.
fn reference(object: &Object, name: &str) -> Option<(String, String)> {
    let references = object.json["references"].as_array()?;
    let found = references
        .iter()
        .find(|reference| reference["name"] == name)?;
    let text = |key: &str| found[key].as_str().map(str::to_owned);
    Some((text("type")?, text("id")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_wide_as_people_expect() {
        let day = 24 * 3600 * 1000;
        let widths = [
            (900_000, "30s"),
            (day, "30m"),
            (7 * day, "3h"),
            (30 * day, "12h"),
        ];
        for (span, step) in widths {
            assert_eq!(interval((0, span)), ("fixed_interval", step));
        }
        assert_eq!(interval((0, 90 * day)), ("calendar_interval", "1d"));
    }
}
