//! What stands inside of a panel's picture: bars, rings, numbers, tables, documents, texts. Reads the
//! answer as the panel's own state says that it is to be read.

use std::collections::BTreeSet;

use picket::provision::kibana::search::{Panel, Times};
use serde_json::Value;

use super::picture::{Area, Svg, cut, instant};

const PALETTE: [&str; 8] = [
    "#54b399", "#6092c0", "#9170b8", "#d6bf57", "#ca8eae", "#da8b45", "#aa6556", "#b9a888",
];
const GREY: &str = "fill=\"#69707d\"";
const INK: &str = "fill=\"#343741\"";
const LINE: f64 = 19.0;

fn aggs<'p>(panel: &'p Panel, schemas: &'p [&'p str]) -> impl Iterator<Item = &'p Value> {
    let aggs = panel.state["aggs"].as_array().into_iter().flatten();
    aggs.filter(|agg| schemas.contains(&agg["schema"].as_str().unwrap()))
}

fn label(agg: &Value) -> String {
    agg["params"]["customLabel"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn id(agg: &Value) -> &str {
    agg["id"].as_str().unwrap()
}

/// What was measured in a bucket; of no bucket in all that was found.
fn measured(metric: &Value, bucket: &Value) -> f64 {
    match metric["type"].as_str().unwrap() {
        "count" => bucket["doc_count"].as_f64().unwrap_or(0.0),
        _ => bucket[id(metric)]["value"].as_f64().unwrap_or(0.0),
    }
}

fn shown(metric: &Value, bucket: &Value) -> String {
    let value = measured(metric, bucket);
    let field = metric["params"]["field"].as_str().unwrap_or_default();
    if ["started", "at", "time"].contains(&field) {
        return instant(value as i64, "%Y-%m-%d %H:%M:%S");
    }
    if bucket[id(metric)].get("value") == Some(&Value::Null) {
        return "-".to_owned();
    }
    figure(value)
}

/// A number with its thousands apart.
fn figure(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value:.2}").trim_end_matches('0').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn key(bucket: &Value) -> String {
    match (&bucket["key_as_string"], &bucket["key"]) {
        (Value::String(text), _) | (_, Value::String(text)) => text.clone(),
        (_, key) => key.as_f64().map(|key| key.to_string()).unwrap_or_default(),
    }
}

fn buckets<'a>(answer: &'a Value, agg: &Value) -> Vec<(String, &'a Value)> {
    match &answer[id(agg)]["buckets"] {
        Value::Array(buckets) => buckets.iter().map(|bucket| (key(bucket), bucket)).collect(),
        Value::Object(named) => named
            .iter()
            .map(|(name, bucket)| (name.clone(), bucket))
            .collect(),
        _ => Vec::new(),
    }
}

fn colour(panel: &Panel, labels: &[String], label: &str) -> String {
    let place = labels.iter().position(|known| known == label).unwrap_or(0);
    let own = panel.colours.get(label).and_then(Value::as_str);
    own.unwrap_or(PALETTE[place % PALETTE.len()]).to_owned()
}

fn legend(
    svg: &mut Svg,
    panel: &Panel,
    entries: &[(String, String)],
    labels: &[String],
    area: Area,
) {
    for (place, (label, value)) in entries.iter().enumerate() {
        let y = area.y + place as f64 * LINE;
        if y > area.y + area.h - 6.0 {
            return;
        }
        svg.rect(area.x, y, 10.0, 10.0, &colour(panel, labels, label), 2.0);
        let text = [label.as_str(), value].join("  ");
        svg.text(
            area.x + 16.0,
            y + 9.5,
            &cut(text.trim_end(), area.w - 16.0),
            INK,
        );
    }
}

pub(super) fn bars(svg: &mut Svg, panel: &Panel, answer: &Value, area: Area, times: Times) {
    let metric = aggs(panel, &["metric"]).next().unwrap();
    let time = aggs(panel, &["segment"]).next().unwrap();
    let group = aggs(panel, &["group"]).next();
    let bars = buckets(&answer["aggregations"], time);
    let parts = |bar: &Value| -> Vec<(String, f64)> {
        match group {
            None => vec![(label(metric), measured(metric, bar))],
            Some(group) => {
                let parts = buckets(bar, group).into_iter();
                parts
                    .map(|(key, part)| (key, measured(metric, part)))
                    .collect()
            }
        }
    };
    let drawn: Vec<(i64, Vec<(String, f64)>)> = bars
        .iter()
        .map(|(_, bar)| (bar["key"].as_i64().unwrap(), parts(bar)))
        .collect();
    let labels: BTreeSet<String> = drawn
        .iter()
        .flat_map(|(_, parts)| parts.iter().map(|(l, _)| l.clone()))
        .collect();
    let labels: Vec<String> = labels.into_iter().collect();
    let total = |parts: &[(String, f64)]| parts.iter().map(|(_, value)| value).sum::<f64>();
    let top = drawn
        .iter()
        .map(|(_, parts)| total(parts))
        .fold(1.0, f64::max);
    let beside = if group.is_some() { 110.0 } else { 0.0 };
    let chart = Area {
        x: area.x + 44.0,
        y: area.y + 4.0,
        w: area.w - 50.0 - beside,
        h: area.h - 24.0,
    };
    let ground = chart.y + chart.h;
    for share in [0.0, 0.5, 1.0] {
        let y = ground - share * chart.h;
        svg.line((chart.x, y), (chart.x + chart.w, y), "#e0e5ee");
        svg.text(
            chart.x - 6.0,
            y + 4.0,
            &figure(top * share),
            &format!("text-anchor=\"end\" {GREY}"),
        );
    }
    let span = (times.1 - times.0) as f64;
    let gaps = drawn.windows(2).map(|pair| pair[1].0 - pair[0].0);
    let step = gaps
        .min()
        .map_or(span / 60.0, |gap| gap as f64)
        .min(span / 40.0);
    let width = (step / span * chart.w * 0.82).max(2.0);
    for (at, parts) in &drawn {
        let x = chart.x + ((at - times.0).max(0) as f64 / span) * chart.w;
        let mut y = ground;
        for label in &labels {
            let value = parts
                .iter()
                .find(|(own, _)| own == label)
                .map_or(0.0, |(_, value)| *value);
            let high = value / top * chart.h;
            y -= high;
            if high > 0.0 {
                let width = width.min(chart.x + chart.w - x);
                svg.rect(x, y, width, high, &colour(panel, &labels, label), 0.0);
            }
        }
    }
    let format = match times.1 - times.0 {
        ..3_600_000 => "%H:%M:%S",
        3_600_000..172_800_000 => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = times.0 + ((times.1 - times.0) as f64 * share) as i64;
        let anchor = ["start", "middle", "end"][if share == 0.0 {
            0
        } else if share == 1.0 {
            2
        } else {
            1
        }];
        let style = format!("text-anchor=\"{anchor}\" font-size=\"11\" {GREY}");
        svg.text(
            chart.x + chart.w * share,
            ground + 16.0,
            &instant(at, format),
            &style,
        );
    }
    if group.is_some() {
        let entries: Vec<_> = labels
            .iter()
            .map(|label| (label.clone(), String::new()))
            .collect();
        let place = Area {
            x: area.x + area.w - beside + 12.0,
            w: beside - 12.0,
            ..area
        };
        legend(svg, panel, &entries, &labels, place);
    }
}

pub(super) fn donut(svg: &mut Svg, panel: &Panel, answer: &Value, area: Area) {
    let by = aggs(panel, &["segment"]).next().unwrap();
    let parts = buckets(&answer["aggregations"], by);
    let count = |bucket: &Value| bucket["doc_count"].as_f64().unwrap_or(0.0);
    let total: f64 = parts.iter().map(|(_, bucket)| count(bucket)).sum();
    let labels: Vec<String> = parts.iter().map(|(label, _)| label.clone()).collect();
    let tall = area.h > area.w * 0.8;
    let radius = if tall {
        (area.w / 2.0 - 8.0).min(area.h * 0.32)
    } else {
        (area.h / 2.0 - 2.0).min(area.w * 0.24)
    };
    let at = match tall {
        true => (area.x + area.w / 2.0, area.y + radius + 6.0),
        false => (area.x + radius + 8.0, area.y + area.h / 2.0),
    };
    let mut from = 0.0;
    for (label, bucket) in &parts {
        let to = from + count(bucket) / total.max(1.0);
        svg.ring(at, radius, from, to, &colour(panel, &labels, label));
        from = to;
    }
    let share = |bucket: &Value| {
        format!(
            "{} ({:.0} %)",
            figure(count(bucket)),
            100.0 * count(bucket) / total.max(1.0)
        )
    };
    let entries: Vec<_> = parts
        .iter()
        .map(|(label, bucket)| (label.clone(), share(bucket)))
        .collect();
    let place = match tall {
        true => Area {
            y: at.1 + radius + 14.0,
            h: area.h,
            x: area.x + 4.0,
            w: area.w,
        },
        false => Area {
            x: at.0 + radius + 20.0,
            y: at.1 - entries.len() as f64 * LINE / 2.0 + 4.0,
            w: area.w - 2.0 * radius - 30.0,
            h: area.h,
        },
    };
    legend(svg, panel, &entries, &labels, place);
}

pub(super) fn number(svg: &mut Svg, panel: &Panel, answer: &Value, area: Area) {
    let metric = aggs(panel, &["metric"]).next().unwrap();
    let all = match metric["type"].as_str().unwrap() {
        "count" => answer["hits"]["total"]["value"]
            .as_f64()
            .map(figure)
            .unwrap_or_default(),
        _ => shown(metric, &answer["aggregations"]),
    };
    let size = if all.len() > 10 { 24.0 } else { 38.0 };
    let (x, y) = (area.x + area.w / 2.0, area.y + area.h / 2.0);
    let style =
        format!("text-anchor=\"middle\" font-size=\"{size}\" font-weight=\"700\" fill=\"#1a1c21\"");
    svg.text(x, y + 6.0, &all, &style);
    let under = cut(&label(metric), area.w);
    svg.text(
        x,
        y + 28.0,
        &under,
        &format!("text-anchor=\"middle\" {GREY}"),
    );
}

pub(super) fn table(svg: &mut Svg, panel: &Panel, answer: &Value, area: Area) {
    let rows: Vec<&Value> = aggs(panel, &["bucket"]).collect();
    let metrics: Vec<&Value> = aggs(panel, &["metric"]).collect();
    let mut lines = Vec::new();
    leaves(&rows, &metrics, &answer["aggregations"], &[], &mut lines);
    let heads: Vec<String> = rows.iter().chain(&metrics).map(|agg| label(agg)).collect();
    let right: Vec<bool> = (0..heads.len())
        .map(|column| column >= rows.len())
        .collect();
    grid(svg, &heads, &lines, &right, area);
}

/// A line for each innermost bucket.
fn leaves(
    rows: &[&Value],
    metrics: &[&Value],
    at: &Value,
    above: &[String],
    lines: &mut Vec<Vec<String>>,
) {
    let Some((row, inner)) = rows.split_first() else {
        let values = metrics.iter().map(|metric| shown(metric, at));
        return lines.push(above.iter().cloned().chain(values).collect());
    };
    for (key, bucket) in buckets(at, row) {
        let above: Vec<String> = above.iter().cloned().chain([key]).collect();
        leaves(inner, metrics, bucket, &above, lines);
    }
}

pub(super) fn rows(svg: &mut Svg, panel: &Panel, answer: &Value, area: Area) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let columns: Vec<String> = panel.state["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(text)
        .collect();
    let sort = panel.state["sort"][0][0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut heads = vec![sort.clone()];
    heads.extend(
        columns
            .iter()
            .map(|column| column.trim_end_matches(".keyword").to_owned()),
    );
    let mut lines = Vec::new();
    for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
        let mut line = vec![moment(&inside(&hit["_source"], &sort))];
        line.extend(columns.iter().map(|column| match column.as_str() {
            "_index" => hit["_index"].as_str().unwrap_or_default().to_owned(),
            column => plain(&inside(&hit["_source"], column)),
        }));
        lines.push(line);
    }
    let right = vec![false; heads.len()];
    grid(svg, &heads, &lines, &right, area);
}

/// What a source has at a path, lists walked through.
fn inside(source: &Value, path: &str) -> Value {
    let mut at = vec![source.clone()];
    for key in path.trim_end_matches(".keyword").split('.') {
        let next = at.iter().flat_map(|value| match value {
            Value::Array(list) => list.clone(),
            value => vec![value.clone()],
        });
        at = next.map(|value| value[key].clone()).collect();
    }
    match at.len() {
        1 => at.remove(0),
        _ => Value::Array(at),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn moment(value: &Value) -> String {
    match value.as_i64() {
        Some(at) => instant(at, "%Y-%m-%d %H:%M:%S"),
        None => plain(value)
            .replace('T', " ")
            .trim_end_matches('Z')
            .to_owned(),
    }
}

/// Rows under their heads, as many as there is room for.
fn grid(svg: &mut Svg, heads: &[String], lines: &[Vec<String>], right: &[bool], area: Area) {
    let room = ((area.h - LINE) / LINE).max(1.0) as usize;
    let fits = lines.len() <= room;
    let drawn = &lines[..if fits {
        lines.len()
    } else {
        room.saturating_sub(1)
    }];
    let widths = widths(heads, drawn, area.w);
    let mut x = area.x;
    for (column, width) in widths.into_iter().enumerate() {
        let place = |text: &str, x: f64| {
            (
                cut(text, width - 10.0),
                if right[column] { x + width - 4.0 } else { x },
            )
        };
        let anchor = if right[column] {
            "text-anchor=\"end\""
        } else {
            ""
        };
        let (head, at) = place(&heads[column], x);
        svg.text(
            at,
            area.y + 10.0,
            &head,
            &format!("font-weight=\"600\" {anchor} {GREY}"),
        );
        for (number, line) in drawn.iter().enumerate() {
            let y = area.y + 10.0 + LINE * (number + 1) as f64;
            let (cell, at) = place(&line[column], x);
            svg.text(at, y, &cell, &format!("{anchor} {INK}"));
        }
        x += width;
    }
    for number in 0..drawn.len() {
        let y = area.y + 15.0 + LINE * number as f64;
        svg.line((area.x, y), (area.x + area.w, y), "#edf0f5");
    }
    if !fits {
        let more = format!("… and {} more", lines.len() - drawn.len());
        svg.text(area.x, area.y + 10.0 + LINE * room as f64, &more, GREY);
    }
}

/// What each column needs, and what is left for those that need more than there is.
fn widths(heads: &[String], lines: &[Vec<String>], width: f64) -> Vec<f64> {
    let needs = |(column, head): (usize, &String)| {
        let cells = lines
            .iter()
            .map(|line| line[column].chars().count() as f64 * 7.0);
        cells.fold(head.chars().count() as f64 * 7.6, f64::max) + 14.0
    };
    let needs: Vec<f64> = heads.iter().enumerate().map(needs).collect();
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by(|a, b| needs[*a].total_cmp(&needs[*b]));
    let mut widths = vec![0.0; needs.len()];
    let mut left = width;
    for (done, column) in order.iter().enumerate() {
        let share = left / (needs.len() - done) as f64;
        let last = done + 1 == needs.len();
        widths[*column] = if last {
            left
        } else {
            needs[*column].min(share)
        };
        left -= widths[*column];
    }
    widths
}

pub(super) fn words(svg: &mut Svg, panel: &Panel, area: Area) {
    let text = panel.state["params"]["markdown"]
        .as_str()
        .unwrap_or_default();
    let most = (area.w / 6.2) as usize;
    let mut y = area.y + 8.0;
    // A link as its words.
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    for paragraph in plain.replace('[', "").split("\n\n") {
        let mut line = String::new();
        let words = paragraph
            .split_whitespace()
            .map(|word| word.replace(['*', '`'], ""));
        for word in words {
            if line.chars().count() + word.chars().count() + 1 > most {
                svg.text(area.x, y, &line, INK);
                (line, y) = (String::new(), y + 16.0);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        svg.text(area.x, y, &line, INK);
        y += 22.0;
    }
}
