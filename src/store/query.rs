//! What a query string means: a [`Query`], the same for every store. Knows nothing of what is
//! stored.

mod name;
mod parse;
pub(super) mod range;
mod value;

use std::ops::Bound;

use super::glob::Glob;

pub(super) use name::Name;
pub(super) use parse::parse;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    /// Everything.
    All,
    /// All of them.
    And(Vec<Self>),
    /// One of them.
    Or(Vec<Self>),
    /// Not that.
    Not(Box<Self>),
    /// A field, by its name as it was written, has such a value.
    Field(String, Test),
    /// These words one after the other, in any value.
    Words(String),
    /// A value that holds this.
    Anywhere(Glob),
}

/// What a value is put to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// There is one.
    Exists,
    /// It is this, without case.
    Equals(String),
    /// It fits, without case.
    Fits(Glob),
    /// It lies between.
    Between(Bound<String>, Bound<String>),
}
