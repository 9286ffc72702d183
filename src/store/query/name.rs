//! What a field's name in a query string stands for.

use crate::taxonomy::paths;

/// What is asked for by a name. Names are compared without case.
pub(in crate::store) enum Name {
    /// Event time.
    Time,
    /// The host, whichever shape the document has.
    Host,
    /// The user.
    User,
    /// The index.
    Index,
    /// A Sigma field, or a path in the source: what stands at any of these paths, the surest first.
    Field(Vec<String>),
}

impl Name {
    /// What that name stands for.
    pub(in crate::store) fn of(name: &str) -> Self {
        match name.to_lowercase().as_str() {
            "time" | "@timestamp" => Self::Time,
            "host" | "computer" => Self::Host,
            "user" => Self::User,
            "index" | "_index" => Self::Index,
            _ => Self::Field(paths(name)),
        }
    }
}
