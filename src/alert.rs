//! The two scales of severity and the table between them: Sigma's [`Level`] of a rule, Picket's
//! [`AlertLevel`] of a document. Depends on nothing and never lowers anything by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a document carries in its field `AlertLevel`: 0, 1 or 2.
///
/// The scale is DetectLM's (JPCERT/CC): 0 nothing, 1 a machine finds it suspicious, 2 blacklisted,
/// critical, or a person said "that was not me".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(into = "u8", try_from = "u8")]
pub enum AlertLevel {
    /// 0: nothing found.
    #[default]
    None,
    /// 1: a machine thinks so.
    Suspicious,
    /// 2: blacklisted, critical, or confirmed by a person.
    Alert,
}

impl From<AlertLevel> for u8 {
    fn from(level: AlertLevel) -> Self {
        level as u8
    }
}

impl TryFrom<u8> for AlertLevel {
    type Error = String;

    /// Fails with a sentence for any number but 0, 1 and 2.
    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Suspicious),
            2 => Ok(Self::Alert),
            other => Err(format!("AlertLevel is 0, 1 or 2, not {other}")),
        }
    }
}

impl fmt::Display for AlertLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

/// A Sigma rule's `level`; also how sure any other detector is of its finding.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For context only.
    Informational,
    /// Notable, rarely an incident.
    Low,
    /// Should be looked at. Also a rule that names no level.
    #[default]
    Medium,
    /// Should be looked at soon.
    High,
    /// Very likely an incident.
    Critical,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The word of the Sigma specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of that name, if it is one of the specification's five.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which [`AlertLevel`] a Sigma rule of each [`Level`] gives its document (`alert_levels` in
/// `picket.yml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertLevels([AlertLevel; 5]);

impl Default for AlertLevels {
    /// informational, low: a finding only; medium, high: 1; critical: 2.
    fn default() -> Self {
        use AlertLevel::{Alert, None, Suspicious};
        Self([None, None, Suspicious, Suspicious, Alert])
    }
}

impl AlertLevels {
    /// The [`AlertLevel`] for a rule of this level.
    pub fn of(&self, level: Level) -> AlertLevel {
        self.0[level as usize]
    }

    /// Changes one row of the table.
    pub fn set(&mut self, level: Level, alert: AlertLevel) {
        self.0[level as usize] = alert;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_alerts_on_critical_only() {
        let table = AlertLevels::default();
        let numbers: Vec<u8> = Level::ALL.iter().map(|l| table.of(*l).into()).collect();
        assert_eq!(numbers, [0, 0, 1, 1, 2]);
    }

    #[test]
    fn an_alert_level_is_a_number_in_json() {
        assert_eq!(serde_json::to_string(&AlertLevel::Alert).unwrap(), "2");
        assert!(serde_json::from_str::<AlertLevel>("3").is_err());
    }
}
