//! A [`Correlation`]: a rule about the documents that other rules hold for, in a span of time, each
//! group by itself. Says what it is; `read` makes it of YAML. Knows no documents.

pub(super) mod read;

use std::mem::discriminant;
use std::path::Path;
use std::sync::Arc;

use super::tree::Tree;
use crate::alert::Level;
use crate::taxonomy::FieldId;

/// A correlation, ready to be judged.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// Its `id`; one made of what it says where it has none.
    pub id: Arc<str>,
    /// Its `name`, which other correlations may call it by.
    pub name: Option<Arc<str>>,
    /// Its `title`.
    pub title: Arc<str>,
    /// Its `level`; medium where it has none.
    pub level: Level,
    /// The ATT&CK techniques among its `tags`.
    pub techniques: Arc<[String]>,
    /// The file that it stands in.
    pub path: Arc<Path>,
    /// The line that it begins on, counted from 1.
    pub line: usize,
    /// What is measured.
    pub kind: Kind,
    /// The rules whose documents it is about, in their order.
    pub members: Vec<Member>,
    /// The fields that a group has in common, as the rule calls them.
    pub group_by: Vec<Box<str>>,
    /// The field whose values are measured, as the rule calls it; empty if none is.
    pub field: Box<str>,
    /// How far back a window reaches, in milliseconds.
    pub span: i64,
    /// What must hold for a window.
    pub condition: Condition,
    /// The condition, as it is written.
    pub asks: Box<str>,
    /// It speaks only to the correlations that build on it.
    pub silent: bool,
    /// Digest of it and of all rules that it speaks of: what was seen under another is another
    /// matter.
    pub key: Box<str>,
    /// Which correlations build on it, and as which of their members.
    pub outer: Vec<(usize, usize)>,
}

/// A rule that a correlation names.
#[derive(Clone, Debug)]
pub struct Member {
    /// As it is called there.
    pub name: Box<str>,
    /// Which it is.
    pub rule: Named,
    /// For each of [`Correlation::group_by`] the field of this rule's documents.
    pub group: Vec<FieldId>,
    /// The fields that are measured.
    pub values: Vec<FieldId>,
}

/// What a correlation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The rule of that position.
    Rule(usize),
    /// The correlation of that position, which is lower than that of who names it.
    Correlation(usize),
}

/// What is measured in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `event_count`: documents.
    Events,
    /// `value_count`: different values of a field.
    Values,
    /// `value_sum`
    Sum,
    /// `value_avg`
    Average,
    /// `value_percentile`: the value that so many percent of all do not exceed.
    Percentile(u8),
    /// `value_median`
    Median,
    /// `temporal`: rules that hold.
    Temporal,
    /// `temporal_ordered`: rules that hold in their order, from the first on.
    Ordered,
}

/// What must hold for a window.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// What is measured, compared with numbers: all must hold.
    Measure(Vec<(Compare, f64)>),
    /// Which rules hold, as [`Tree::Selection`]s of members.
    Rules(Tree),
}

impl Kind {
    /// Each with its `type`, as rules write it; which percentile is said elsewhere.
    const ALL: [(&'static str, Self); 8] = [
        ("event_count", Self::Events),
        ("value_count", Self::Values),
        ("value_sum", Self::Sum),
        ("value_avg", Self::Average),
        ("value_percentile", Self::Percentile(0)),
        ("value_median", Self::Median),
        ("temporal", Self::Temporal),
        ("temporal_ordered", Self::Ordered),
    ];

    /// Its `type`, as rules write it.
    pub fn name(self) -> &'static str {
        let same = |known: &Self| discriminant(known) == discriminant(&self);
        let known = Self::ALL.iter().find(|(_, known)| same(known));
        known.map_or("", |(name, _)| name)
    }
}

/// How a measure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
    /// `eq`
    Equal,
    /// `neq`
    Unequal,
}

impl Compare {
    const ALL: [(&'static str, Self); 6] = [
        ("gt", Self::Greater),
        ("gte", Self::GreaterOrEqual),
        ("lt", Self::Less),
        ("lte", Self::LessOrEqual),
        ("eq", Self::Equal),
        ("neq", Self::Unequal),
    ];

    /// Whether the measure is as asked.
    #[expect(
        clippy::float_cmp,
        reason = "counts are whole; a sum is compared as it is written"
    )]
    pub fn holds(self, measure: f64, than: f64) -> bool {
        match self {
            Self::Greater => measure > than,
            Self::GreaterOrEqual => measure >= than,
            Self::Less => measure < than,
            Self::LessOrEqual => measure <= than,
            Self::Equal => measure == than,
            Self::Unequal => measure != than,
        }
    }
}
