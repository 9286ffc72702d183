//! Aggregations: how they are asked in each part of a plan, and how the parts' answers go together.
//!
//! The values that occur most are as exact as the server's own `terms` aggregation, which asks each
//! shard for some more than are wanted. Values that differ only by case are one, shown as the most
//! frequent writes it. Of several paths that a document has, the surest counts.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::clock::Clock;
use super::{clause, places};
use crate::store::elastic::types::{Kind, View};
use crate::store::query::Name;
use crate::store::{Aggregation, StoreError, StoreErrorKind};
use crate::taxonomy::accounts;

/// How many intervals a histogram may have; servers make no more buckets in one answer.
const MAX_BUCKETS: usize = 65_535;
/// How many different written times are put into intervals.
const MAX_WRITTEN: usize = 65_000;
/// How many domains users of one name may have.
const MAX_DOMAINS: usize = 100;
/// How many values of a field are asked for at most.
const MAX_TERMS: usize = 10_000;

/// Refuses what makes no sense.
pub(super) fn check(aggregations: &[Aggregation]) -> Result<(), StoreError> {
    for aggregation in aggregations {
        match aggregation {
            Aggregation::DateHistogram(..1) => {
                return Err(bad("a histogram's interval is at least 1 ms".to_owned()));
            }
            Aggregation::Terms { field, .. } if matches!(Name::of(field), Name::Time) => {
                return Err(bad(format!("{field:?} is a time; ask for a histogram")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What to ask of the documents that have that clock, or none.
pub(super) fn request(
    view: &View<'_>,
    clock: Option<&Clock>,
    aggregations: &[Aggregation],
) -> Map<String, Value> {
    let mut asked = Map::new();
    for (number, aggregation) in aggregations.iter().enumerate() {
        match aggregation {
            Aggregation::DateHistogram(interval) => {
                if let Some(clock) = clock {
                    asked.insert(number.to_string(), histogram(clock, *interval));
                }
            }
            Aggregation::Terms { size: 0, .. } => {}
            Aggregation::Terms { field, size } => {
                let size = size.saturating_mul(2).saturating_add(10).min(MAX_TERMS);
                let mut before = Vec::new();
                for (place, column) in columns(view, field).into_iter().enumerate() {
                    let mut values = json!({"terms": {"field": column.path, "size": size}});
                    if let Some(domain) = &column.domain {
                        let domains = json!({"terms": {"field": domain, "size": MAX_DOMAINS}});
                        values["aggs"] = json!({"domains": domains});
                    }
                    let terms = json!({
                        "filter": {"bool": {"must_not": before.clone()}},
                        "aggs": {"values": values},
                    });
                    asked.insert(format!("{number}_{place}"), terms);
                    before.push(clause::exists(&column.path));
                }
            }
        }
    }
    asked
}

fn histogram(clock: &Clock, interval: i64) -> Value {
    let path = clock.path();
    match clock {
        Clock::Date(_) => json!({"date_histogram": {
            "field": path, "fixed_interval": format!("{interval}ms"), "min_doc_count": 1,
        }}),
        Clock::Millis(_) => json!({"histogram": {
            "field": path, "interval": interval, "min_doc_count": 1,
        }}),
        Clock::Written(_) => json!({"terms": {"field": path, "size": MAX_WRITTEN}}),
    }
}

/// Where the values of a field can be counted.
#[derive(Debug, PartialEq, Eq)]
struct Column {
    path: String,
    /// Of a user by name: the path of the domain.
    domain: Option<String>,
}

/// The columns of a field, the surest first.
fn columns(view: &View<'_>, field: &str) -> Vec<Column> {
    let whole = |path: &String| -> Vec<String> {
        let column = |(path, kind): (String, Kind)| match kind {
            Kind::Text => view.exact(&path),
            _ => Some(path),
        };
        view.at(path).into_iter().filter_map(column).collect()
    };
    let name = Name::of(field);
    let mut paths: Vec<(String, Option<String>)> = match name {
        Name::Index => vec![("_index".to_owned(), None)],
        _ => places(&name)
            .iter()
            .flat_map(whole)
            .map(|path| (path, None))
            .collect(),
    };
    if matches!(name, Name::User) {
        for (domain, user) in accounts() {
            let domain = whole(&domain).into_iter().next();
            paths.extend(whole(&user).into_iter().map(|user| (user, domain.clone())));
        }
    }
    let mut columns: Vec<Column> = Vec::new();
    for (path, domain) in paths {
        if columns.iter().all(|column| column.path != path) {
            columns.push(Column { path, domain });
        }
    }
    columns
}

/// The buckets of all parts, each with its clock, put together.
pub(super) fn answer(
    aggregations: &[Aggregation],
    parts: &[(Option<&Clock>, &Map<String, Value>)],
) -> Result<Vec<Vec<(String, u64)>>, StoreError> {
    let mut all = Vec::new();
    for (number, aggregation) in aggregations.iter().enumerate() {
        all.push(match aggregation {
            Aggregation::DateHistogram(interval) => intervals(number, *interval, parts)?,
            Aggregation::Terms { size, .. } => values(number, *size, parts),
        });
    }
    Ok(all)
}

fn intervals(
    number: usize,
    interval: i64,
    parts: &[(Option<&Clock>, &Map<String, Value>)],
) -> Result<Vec<(String, u64)>, StoreError> {
    let mut sums: BTreeMap<i64, u64> = BTreeMap::new();
    for (clock, answers) in parts {
        let (Some(clock), Some(answer)) = (clock, answers.get(&number.to_string())) else {
            continue;
        };
        if answer["sum_other_doc_count"].as_u64().unwrap_or(0) > 0 {
            return Err(bad(format!(
                "more than {MAX_WRITTEN} different times that are kept as text; ask for a shorter time"
            )));
        }
        for bucket in answer["buckets"].as_array().into_iter().flatten() {
            if let Some(time) = clock.told(&bucket["key"]) {
                let start = time.div_euclid(interval).saturating_mul(interval);
                *sums.entry(start).or_default() += count(bucket);
            }
        }
    }
    if sums.len() > MAX_BUCKETS {
        return Err(bad(format!(
            "a histogram of more than {MAX_BUCKETS} intervals; ask for longer ones"
        )));
    }
    let named = |(start, count): (i64, u64)| (start.to_string(), count);
    Ok(sums.into_iter().map(named).collect())
}

fn values(
    number: usize,
    size: usize,
    parts: &[(Option<&Clock>, &Map<String, Value>)],
) -> Vec<(String, u64)> {
    /// How often in all, and the most frequent spelling.
    #[derive(Default)]
    struct Sum {
        all: u64,
        most: u64,
        spelling: String,
    }
    let mine = format!("{number}_");
    let answers = parts.iter().flat_map(|(_, answers)| answers.iter());
    let answers = answers.filter(|(name, _)| name.starts_with(&mine));
    let mut spellings: HashMap<String, u64> = HashMap::new();
    for (_, answer) in answers {
        for bucket in answer["values"]["buckets"].as_array().into_iter().flatten() {
            let name = text(bucket);
            let mut alone = count(bucket);
            for domain in bucket["domains"]["buckets"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let user = format!("{}\\{name}", text(domain));
                *spellings.entry(user).or_default() += count(domain);
                alone = alone.saturating_sub(count(domain));
            }
            if alone > 0 {
                *spellings.entry(name).or_default() += alone;
            }
        }
    }
    let mut sums: HashMap<String, Sum> = HashMap::new();
    for (spelling, count) in spellings {
        let sum = sums.entry(spelling.to_lowercase()).or_default();
        sum.all += count;
        if (count, &sum.spelling) > (sum.most, &spelling) {
            sum.most = count;
            sum.spelling = spelling;
        }
    }
    let mut sums: Vec<(String, u64)> = sums
        .into_iter()
        .map(|(lower, sum)| match sum.spelling.is_empty() {
            true => (lower, sum.all),
            false => (sum.spelling, sum.all),
        })
        .collect();
    sums.sort_unstable_by(|a, b| {
        b.1.cmp(&a.1)
            .then_with(|| a.0.to_lowercase().cmp(&b.0.to_lowercase()))
    });
    sums.truncate(size);
    sums
}

fn count(bucket: &Value) -> u64 {
    bucket["doc_count"].as_u64().unwrap_or(0)
}

/// A value as a document writes it: `true`, not 1; 2, not 2.0.
fn text(bucket: &Value) -> String {
    let key = &bucket["key"];
    match (&bucket["key_as_string"], key) {
        (Value::String(text), _) | (_, Value::String(text)) => text.clone(),
        (_, Value::Number(number)) => match number.as_f64() {
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        },
        (_, key) => key.to_string(),
    }
}

fn bad(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::elastic::types::tests::sample;

    fn terms(field: &str, size: usize) -> Aggregation {
        Aggregation::Terms {
            field: field.into(),
            size,
        }
    }

    #[test]
    fn counts_by_the_surest_place() {
        let types = sample();
        let view = &types.views(None, &["host".to_owned()])[0];
        let asked = request(
            view,
            None,
            &[terms("host", 1), terms("index", 0), terms("user", 1)],
        );
        assert_eq!(asked.len(), 2);
        let user = &asked["2_0"]["aggs"]["values"];
        assert_eq!(user["terms"]["field"], "user.name");
        assert_eq!(user["aggs"]["domains"]["terms"]["field"], "user.domain");
        assert_eq!(
            asked["0_0"],
            json!({
                "filter": {"bool": {"must_not": []}},
                "aggs": {"values": {"terms": {"field": "host.name", "size": 12}}},
            })
        );
    }

    #[test]
    fn puts_parts_together() {
        let date = Clock::Date("@timestamp".into());
        let written = Clock::Written("timestamp".into());
        let one = json!({
            "0": {"buckets": [{"key": 120_000, "doc_count": 4}]},
            "1_0": {"values": {"buckets": [{"key": "WS5", "doc_count": 2}, {"key": 2.0, "doc_count": 1}]}},
            "2_0": {"values": {"buckets": [{"key": "sam", "doc_count": 3, "domains": {"buckets": [{"key": "SHIRE", "doc_count": 2}]}}]}},
        });
        let other = json!({
            "0": {"buckets": [{"key": "1970-01-01 00:02:05", "doc_count": 1}], "sum_other_doc_count": 0},
            "1_1": {"values": {"buckets": [{"key": "ws5", "doc_count": 1}, {"key": 1, "key_as_string": "true", "doc_count": 1}]}},
        });
        let parts = [
            (Some(&date), one.as_object().unwrap()),
            (Some(&written), other.as_object().unwrap()),
        ];
        let counts = [
            Aggregation::DateHistogram(60_000),
            terms("host", 2),
            terms("user", 5),
        ];
        let bucket = |key: &str, count| (key.to_owned(), count);
        assert_eq!(
            answer(&counts, &parts).unwrap(),
            [
                vec![bucket("120000", 5)],
                vec![bucket("WS5", 3), bucket("2", 1)],
                vec![bucket("SHIRE\\sam", 2), bucket("sam", 1)],
            ]
        );
        assert!(check(&[Aggregation::DateHistogram(0)]).is_err());
        assert!(check(&[terms("@timestamp", 1)]).is_err());
    }
}
