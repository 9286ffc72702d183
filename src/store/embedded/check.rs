//! What a value is put to, wildcards and ranges, and what the beginning of a long value already
//! tells of it. Knows nothing of what is stored.

use std::ops::{Bound, RangeBounds};

use super::glob::{Glob, Matcher};
use crate::store::{StoreError, StoreErrorKind};
use crate::taxonomy::event::parse_time;

/// What a value, in lower case, is put to.
pub(super) enum Check {
    /// Every value passes.
    Any,
    /// It fits; `open`: whatever follows, too.
    Fits { matcher: Matcher, open: bool },
    /// It is a number in between.
    Number(Bound<f64>, Bound<f64>),
    /// It is a time in between.
    Time(Bound<i64>, Bound<i64>),
    /// It is a text in between.
    Text(Bound<String>, Bound<String>),
}

impl Check {
    pub(super) fn fits(glob: &Glob) -> Self {
        Self::Fits {
            matcher: glob.matcher(),
            open: glob.is_open(),
        }
    }

    /// A range compares as its ends ask for.
    pub(super) fn between(from: &Bound<String>, to: &Bound<String>) -> Self {
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

    /// Whether that value passes.
    pub(super) fn whole(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Fits { matcher, .. } => matcher.fits(value),
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

    /// Whether a value that begins so and goes on passes; `None`: only the whole value tells.
    pub(super) fn start(&self, start: &str) -> Option<bool> {
        match self {
            Self::Any => Some(true),
            Self::Fits { matcher, open } => (*open && matcher.fits(start)).then_some(true),
            // Nothing else stands in a finite number or in a time.
            Self::Number(..) | Self::Time(..) => {
                let may_stand = |byte: u8| byte.is_ascii_digit() || b"+-./: etz".contains(&byte);
                (!start.bytes().all(may_stand)).then_some(false)
            }
            Self::Text(..) => None,
        }
    }
}

/// The time that a person wrote, in milliseconds since 1970.
pub(super) fn moment(text: &str) -> Result<i64, StoreError> {
    parse_time(text)
        .or_else(|| parse_time(&format!("{text} 00:00:00")))
        .or_else(|| parse_time(&format!("{text}:00")))
        .ok_or_else(|| no_time(&format!("{text:?}")))
}

pub(super) fn no_time(what: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::BadRequest,
        format!("{what} is no time; write 2026-11-22 or \"2026-11-22 10:30:00\" (UTC)"),
    )
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
