//! What is said of a rule or a correlation itself, wherever something is said about it. Draws nothing.

use std::path::Path;

use serde::Serialize;

use crate::alert::Level;
use crate::rule::Rule;
use crate::rule::correlation::Correlation;

/// Which one it is, how grave and where it stands.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Head<'a> {
    /// Its id.
    pub rule_id: &'a str,
    /// Its title.
    pub rule: &'a str,
    /// For people only.
    #[serde(skip)]
    pub level: Level,
    /// Its file.
    pub path: &'a Path,
    /// The line in it where it begins.
    pub line: usize,
}

impl<'a> From<&'a Rule> for Head<'a> {
    fn from(rule: &'a Rule) -> Self {
        Self {
            rule_id: &rule.id,
            rule: &rule.title,
            level: rule.level,
            path: &rule.path,
            line: rule.line,
        }
    }
}

impl<'a> From<&'a Correlation> for Head<'a> {
    fn from(correlation: &'a Correlation) -> Self {
        Self {
            rule_id: &correlation.id,
            rule: &correlation.title,
            level: correlation.level,
            path: &correlation.path,
            line: correlation.line,
        }
    }
}
