//! What a value is put to, wildcards and ranges, and what the beginning of a long value already
//! tells of it. Knows nothing of what is stored.

use crate::store::glob::{Glob, Matcher};
use crate::store::query::range::Range;

/// What a value, in lower case, is put to.
pub(super) enum Check {
    /// Every value passes.
    Any,
    /// It fits; `open`: whatever follows, too.
    Fits { matcher: Matcher, open: bool },
    /// It lies in between.
    Between(Range),
}

impl Check {
    pub(super) fn fits(glob: &Glob) -> Self {
        Self::Fits {
            matcher: glob.matcher(),
            open: glob.is_open(),
        }
    }

    /// Whether that value passes.
    pub(super) fn whole(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Fits { matcher, .. } => matcher.fits(value),
            Self::Between(range) => range.holds(value),
        }
    }

    /// Whether a value that begins so and goes on passes; `None`: only the whole value tells.
    pub(super) fn start(&self, start: &str) -> Option<bool> {
        match self {
            Self::Any => Some(true),
            Self::Fits { matcher, open } => (*open && matcher.fits(start)).then_some(true),
            // Nothing else stands in a finite number or in a time.
            Self::Between(Range::Number(..) | Range::Time(..)) => {
                let may_stand = |byte: u8| byte.is_ascii_digit() || b"+-./: etz".contains(&byte);
                (!start.bytes().all(may_stand)).then_some(false)
            }
            Self::Between(Range::Text(..)) => None,
        }
    }
}
