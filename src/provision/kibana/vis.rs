//! What a panel shows as the `visState` of a visualization: the charts that every target has, built
//! on aggregations. Knows the shapes of 7.10, which every later server reads.

use serde_json::{Map, Value, json};

use super::source::{Bucket, Metric, Show, View};

/// A visualization's state and how it looks; `None` for what is no visualization.
pub(super) fn state(title: &str, show: &Show, view: &View) -> Option<(Value, Value)> {
    let (kind, params, aggs, colours) = match show {
        Show::Bars { of, by, colours } => {
            let label = name(of);
            let mut aggs = vec![metric("1", of, view), over_time(view)];
            aggs.extend(by.iter().map(|by| bucket("3", "group", by, view)));
            let params = histogram(&label, by.is_some());
            ("histogram", params, aggs, colours.clone())
        }
        Show::Donut { by, colours } => {
            let count = Metric::default();
            let aggs = vec![metric("1", &count, view), bucket("2", "segment", by, view)];
            ("pie", donut(), aggs, colours.clone())
        }
        Show::Number { of } => {
            let of = Metric {
                label: Some(of.label.clone().unwrap_or_else(|| title.to_owned())),
                ..of.clone()
            };
            ("metric", number(), vec![metric("1", &of, view)], Map::new())
        }
        Show::Table { rows, columns } => {
            let id = |number: usize| (number + 1).to_string();
            let metrics = columns.iter().enumerate();
            let metrics = metrics.map(|(n, of)| metric(&id(n), of, view));
            let rows = rows.iter().enumerate();
            let rows = rows.map(|(n, by)| bucket(&id(columns.len() + n), "bucket", by, view));
            let aggs = metrics.chain(rows).collect();
            ("table", table(), aggs, Map::new())
        }
        Show::Text(markdown) => {
            let params =
                json!({ "fontSize": 12, "openLinksInNewTab": false, "markdown": markdown });
            ("markdown", params, Vec::new(), Map::new())
        }
        Show::Events { .. } => return None,
    };
    let state = json!({ "title": title, "type": kind, "params": params, "aggs": aggs });
    let looks = match colours.is_empty() {
        true => json!({}),
        false => json!({ "vis": { "colors": colours } }),
    };
    Some((state, looks))
}

/// The state of a panel of lists to choose from; its references are `control_N_index_pattern`.
pub(super) fn controls(title: &str, controls: &[(String, String)]) -> Value {
    let controls = controls.iter().enumerate().map(|(n, (label, field))| {
        json!({
            "id": format!("control-{n}"), "indexPatternRefName": format!("control_{n}_index_pattern"),
            "fieldName": field, "parent": "", "label": label, "type": "list",
            "options": { "type": "terms", "multiselect": true, "dynamicOptions": true, "size": 20, "order": "desc" },
        })
    });
    let params = json!({
        "controls": controls.collect::<Vec<_>>(),
        "updateFiltersOnChange": true, "useTimeFilter": true, "pinFilters": false,
    });
    json!({ "title": title, "type": "input_control_vis", "params": params, "aggs": [] })
}

/// What a metric is called.
fn name(of: &Metric) -> String {
    let field = of.field.as_deref().unwrap_or_default();
    match (&of.label, of.function.as_str()) {
        (Some(label), _) => label.clone(),
        (None, "count") => "Count".into(),
        (None, function) => format!("{function} of {field}"),
    }
}

fn agg(id: &str, kind: &str, schema: &str, params: &Value) -> Value {
    json!({ "id": id, "enabled": true, "type": kind, "schema": schema, "params": params })
}

fn metric(id: &str, of: &Metric, view: &View) -> Value {
    let mut params = json!({ "customLabel": name(of) });
    if let Some(field) = &of.field {
        params["field"] = json!(view.spell(field));
    }
    agg(id, &of.function, "metric", &params)
}

fn over_time(view: &View) -> Value {
    let params = json!({
        "field": view.time, "useNormalizedEsInterval": true, "interval": "auto",
        "drop_partials": false, "min_doc_count": 1, "extended_bounds": {}, "customLabel": "Date",
    });
    agg("2", "date_histogram", "segment", &params)
}

fn bucket(id: &str, schema: &str, by: &Bucket, view: &View) -> Value {
    if let Some(filters) = &by.filters {
        let filter = |(label, query): (&String, &Value)| {
            let query = view.spell(query.as_str().unwrap_or_default());
            json!({ "input": { "query": query, "language": "kuery" }, "label": label })
        };
        let filters: Vec<Value> = filters.iter().map(filter).collect();
        return agg(id, "filters", schema, &json!({ "filters": filters }));
    }
    let field = view.spell(by.field.as_deref().unwrap_or_default());
    let label = by.label.clone().unwrap_or_else(|| {
        let spelt = by.field.as_deref().unwrap_or_default();
        spelt
            .trim_matches(['{', '}'])
            .trim_end_matches(".keyword")
            .to_owned()
    });
    if let Some(interval) = by.interval {
        let params = json!({
            "field": field, "interval": interval, "used_interval": interval, "min_doc_count": false,
            "has_extended_bounds": false, "extended_bounds": { "min": "", "max": "" },
            "customLabel": label,
        });
        return agg(id, "histogram", schema, &params);
    }
    let params = json!({
        "field": field, "orderBy": "1", "order": "desc", "size": by.size.unwrap_or(10),
        "otherBucket": false, "otherBucketLabel": "Other",
        "missingBucket": false, "missingBucketLabel": "Missing", "customLabel": label,
    });
    agg(id, "terms", schema, &params)
}

fn histogram(label: &str, legend: bool) -> Value {
    json!({
        "type": "histogram", "grid": { "categoryLines": false },
        "categoryAxes": [{
            "id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": true, "style": {},
            "scale": { "type": "linear" }, "labels": { "show": true, "filter": true, "truncate": 100 }, "title": {},
        }],
        "valueAxes": [{
            "id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": true, "style": {},
            "scale": { "type": "linear", "mode": "normal" },
            "labels": { "show": true, "rotate": 0, "filter": false, "truncate": 100 }, "title": { "text": label },
        }],
        "seriesParams": [{
            "show": true, "type": "histogram", "mode": "stacked", "data": { "label": label, "id": "1" },
            "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": true, "showCircles": true,
        }],
        "addTooltip": true, "addLegend": legend, "legendPosition": "right", "times": [],
        "addTimeMarker": false, "labels": { "show": false },
        "thresholdLine": { "show": false, "value": 10, "width": 1, "style": "full", "color": "#E7664C" },
    })
}

fn donut() -> Value {
    json!({
        "type": "pie", "addTooltip": true, "addLegend": true, "legendPosition": "right", "isDonut": true,
        "labels": { "show": false, "values": true, "last_level": true, "truncate": 100 },
    })
}

fn number() -> Value {
    json!({
        "addTooltip": true, "addLegend": false, "type": "metric",
        "metric": {
            "percentageMode": false, "useRanges": false, "colorSchema": "Green to Red",
            "metricColorMode": "None", "colorsRange": [{ "from": 0, "to": 10000 }],
            "labels": { "show": true }, "invertColors": false,
            "style": { "bgFill": "#000", "bgColor": false, "labelColor": false, "subText": "", "fontSize": 40 },
        },
    })
}

fn table() -> Value {
    json!({
        "perPage": 10, "showPartialRows": false, "showMetricsAtAllLevels": false,
        "sort": { "columnIndex": null, "direction": null },
        "showTotal": false, "totalFunc": "sum", "percentageCol": "",
    })
}
