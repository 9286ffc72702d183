//! What the ends of a range mean: numbers, times, or text. Every store compares by this.

use std::ops::{Bound, RangeBounds};

use super::Test;
use crate::store::{StoreError, StoreErrorKind};
use crate::taxonomy::time::parse_time;

/// The earliest and the latest time that a test of `time` asks for, in milliseconds since 1970.
///
/// # Errors
/// `BadRequest`: it asks for no time.
pub(in crate::store) fn span(test: &Test) -> Result<(i64, i64), StoreError> {
    Ok(match test {
        Test::Exists => (i64::MIN, i64::MAX),
        Test::Equals(text) => (moment(text)?, moment(text)?),
        Test::Between(from, to) => (
            match from {
                Bound::Included(from) => moment(from)?,
                Bound::Excluded(from) => moment(from)?.saturating_add(1),
                Bound::Unbounded => i64::MIN,
            },
            match to {
                Bound::Included(to) => moment(to)?,
                Bound::Excluded(to) => moment(to)?.saturating_sub(1),
                Bound::Unbounded => i64::MAX,
            },
        ),
        Test::Fits(_) => return Err(no_time("a pattern")),
    })
}

fn moment(text: &str) -> Result<i64, StoreError> {
    parse_time(text)
        .or_else(|| parse_time(&format!("{text} 00:00:00")))
        .or_else(|| parse_time(&format!("{text}:00")))
        .ok_or_else(|| no_time(&format!("{text:?}")))
}

fn no_time(what: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::BadRequest,
        format!("{what} is no time; write 2026-11-22 or \"2026-11-22 10:30:00\" (UTC)"),
    )
}

/// A range that compares as its ends ask for: numbers, times, or text.
pub(in crate::store) enum Range {
    Number(Bound<f64>, Bound<f64>),
    Time(Bound<i64>, Bound<i64>),
    Text(Bound<String>, Bound<String>),
}

impl Range {
    /// The range between those ends.
    pub(in crate::store) fn new(from: &Bound<String>, to: &Bound<String>) -> Self {
        if let (Some(from), Some(to)) = (both(from, number), both(to, number)) {
            return Self::Number(from, to);
        }
        if let (Some(from), Some(to)) =
            (both(from, |t| moment(t).ok()), both(to, |t| moment(t).ok()))
        {
            return Self::Time(from, to);
        }
        let lower = |text: &String| text.to_lowercase();
        Self::Text(from.as_ref().map(lower), to.as_ref().map(lower))
    }

    /// Whether a value, in lower case, lies in it.
    pub(in crate::store) fn holds(&self, value: &str) -> bool {
        match self {
            Self::Number(from, to) => number(value).is_some_and(|v| (*from, *to).contains(&v)),
            Self::Time(from, to) => {
                // Values are kept in lower case; times are written with `T` and `Z`.
                parse_time(&value.to_ascii_uppercase()).is_some_and(|v| (*from, *to).contains(&v))
            }
            Self::Text(from, to) => {
                let ends = (
                    from.as_ref().map(String::as_str),
                    to.as_ref().map(String::as_str),
                );
                RangeBounds::<str>::contains(&ends, value)
            }
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The bound, read; `None` if it cannot be.
fn both<T>(bound: &Bound<String>, read: impl Fn(&str) -> Option<T>) -> Option<Bound<T>> {
    Some(match bound {
        Bound::Included(text) => Bound::Included(read(text)?),
        Bound::Excluded(text) => Bound::Excluded(read(text)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}
