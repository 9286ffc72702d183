//! What a store says when it cannot do its part. Never decides what is done about it.

use std::fmt;

/// What kind of thing went wrong; callers decide by it, never by the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Not there, or not answering: try again later.
    Unavailable,
    /// Somebody else holds it.
    Locked,
    /// Not allowed.
    Unauthorized,
    /// The disk is full.
    Full,
    /// The question makes no sense, such as a query that cannot be parsed.
    BadRequest,
    /// The data is damaged.
    Corrupt,
}

/// Why a store could not do what it was asked. Nothing was written, unless a law says otherwise.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// What kind.
    pub kind: StoreErrorKind,
    /// A lowercase sentence without a full stop: what happened and what to do.
    pub message: String,
}

impl StoreError {
    /// An error of that kind.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
