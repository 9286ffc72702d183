//! Event time: which path tells it, spans of it, and the order by it.
//!
//! A document's clock is the first of [`CLOCKS`] that it has. Where none of them is a date, a
//! number, or a whole value such as DetectLM's `2026-11-22 10:30:00`, a document counts as having
//! no time. Written times compare as text, to the second.

use chrono::DateTime;
use serde_json::{Value, json};

use super::clause;
use crate::store::Sort;
use crate::store::elastic::types::{Kind, View};
use crate::taxonomy::time::parse_time;

/// Where shippers put the time, DetectLM, and Picket on its findings; best first.
pub(super) const CLOCKS: [&str; 3] = ["@timestamp", "timestamp", "time"];

/// How written times look.
const WRITTEN: &str = "%Y-%m-%d %H:%M:%S";

/// A path that tells the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::elastic) enum Clock {
    /// A date.
    Date(String),
    /// Milliseconds since 1970.
    Millis(String),
    /// As text.
    Written(String),
}

impl Clock {
    /// The clocks of these indices, best first.
    pub(in crate::store::elastic) fn all(view: &View<'_>) -> Vec<Self> {
        let mapped = CLOCKS.iter().flat_map(|path| view.at(path));
        let clock = |(path, kind): (String, Kind)| match kind {
            _ if !CLOCKS.contains(&path.as_str()) => None,
            Kind::Date => Some(Self::Date(path)),
            Kind::Number => Some(Self::Millis(path)),
            Kind::Keyword => Some(Self::Written(path)),
            Kind::Text => view.exact(&path).map(Self::Written),
            _ => None,
        };
        mapped.filter_map(clock).collect()
    }

    /// Its path.
    pub(in crate::store::elastic) fn path(&self) -> &str {
        let (Self::Date(path) | Self::Millis(path) | Self::Written(path)) = self;
        path
    }

    /// It tells a time between these, in milliseconds since 1970, both inclusive.
    pub(in crate::store::elastic) fn between(&self, from: Option<i64>, to: Option<i64>) -> Value {
        let path = self.path();
        match self {
            _ if from.is_none() && to.is_none() => clause::exists(path),
            Self::Date(_) => {
                json!({"range": {path: {"gte": from, "lte": to, "format": "epoch_millis"}}})
            }
            Self::Millis(_) => json!({"range": {path: {"gte": from, "lte": to}}}),
            Self::Written(_) => written(path, from, to),
        }
    }

    /// Orders by it, ties by sequence number.
    pub(super) fn sort(&self, sort: &Sort, numbered: bool) -> Value {
        let order = order(sort);
        let (kind, numeric) = match self {
            Self::Date(_) => ("date", Some("date")),
            Self::Millis(_) => ("long", None),
            Self::Written(_) => ("keyword", None),
        };
        let mut by = json!({"order": order, "unmapped_type": kind});
        if let Some(numeric) = numeric {
            // Milliseconds also of a `date_nanos`.
            by["numeric_type"] = numeric.into();
        }
        json!([{self.path(): by}, tie(order, numbered)])
    }

    /// The time that a hit was ordered by.
    pub(in crate::store::elastic) fn told(&self, value: &Value) -> Option<i64> {
        match self {
            Self::Date(_) | Self::Millis(_) => {
                #[expect(clippy::cast_possible_truncation, reason = "saturates")]
                let rounded = |number: f64| number as i64;
                value.as_i64().or_else(|| value.as_f64().map(rounded))
            }
            Self::Written(_) => parse_time(value.as_str()?),
        }
    }
}

/// Orders what has no time.
pub(super) fn timeless(sort: &Sort, numbered: bool) -> Value {
    json!([tie(order(sort), numbered)])
}

/// What puts documents in order that time does not; as they lie, where there are no numbers. An
/// index that never had a document has not even the field of the numbers.
fn tie(order: &str, numbered: bool) -> Value {
    match numbered {
        true => json!({"_seq_no": {"order": order, "unmapped_type": "long"}}),
        false => json!({"_doc": {"order": order}}),
    }
}

fn order(sort: &Sort) -> &'static str {
    match sort {
        Sort::NewestFirst => "desc",
        Sort::OldestFirst => "asc",
    }
}

/// A time that is written as text lies between these, to the second.
pub(super) fn written(path: &str, from: Option<i64>, to: Option<i64>) -> Value {
    let text = |seconds: i64| {
        let time = DateTime::from_timestamp(seconds, 0)?;
        Some(time.format(WRITTEN).to_string())
    };
    // Digits and no more, so that ends beyond the calendar leave words out.
    let from = from.map(|ms| text(ms.saturating_add(999).div_euclid(1_000)));
    let to = to.map(|ms| text(ms.div_euclid(1_000).saturating_add(1)));
    let from = from.flatten().unwrap_or_else(|| "0".to_owned());
    let to = to.flatten().unwrap_or_else(|| ":".to_owned());
    json!({"range": {path: {"gte": from, "lt": to}}})
}

/// The event time, by each document's own clock, lies between these.
pub(super) fn within(clocks: &[Clock], from: Option<i64>, to: Option<i64>) -> Value {
    let at = |number: usize| {
        let clock = clocks.get(number)?.between(from, to);
        let before = clocks.get(..number)?;
        let before = before.iter().map(|clock| clause::exists(clock.path()));
        Some(clause::but(clock, before.collect()))
    };
    clause::or((0..clocks.len()).filter_map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::elastic::types::tests::sample;

    #[test]
    fn every_index_has_its_own_clock() {
        let types = sample();
        let paths = CLOCKS.map(str::to_owned);
        let clocks: Vec<_> = types.views(None, &paths).iter().map(Clock::all).collect();
        let date = |path: &str| Clock::Date(path.to_owned());
        let last = [date("@timestamp"), Clock::Millis("time".to_owned())];
        assert!(clocks.contains(&last.to_vec()));
        let written = Clock::Written("timestamp.keyword".to_owned());
        assert!(clocks.iter().any(|clocks| clocks.contains(&written)));
        assert!(
            clocks
                .iter()
                .any(|clocks| clocks.contains(&date("timestamp")))
        );
    }

    #[test]
    fn written_times_compare_as_text() {
        assert_eq!(
            written("t", Some(1_600_000_000_500), Some(1_600_000_030_000)),
            json!({"range": {"t": {"gte": "2020-09-13 12:26:41", "lt": "2020-09-13 12:27:11"}}})
        );
        let open = written("t", Some(i64::MIN), None);
        assert_eq!(open, json!({"range": {"t": {"gte": "0", "lt": ":"}}}));
    }
}
