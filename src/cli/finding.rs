//! How findings are shown: one JSON object each for machines, a few lines each for people.

use serde::Serialize;

use super::text;
use crate::alert::AlertLevel;
use crate::finding::{Evidence, Finding, SecondOpinion, Verdict};

/// A finding with what it is about, as `scan` and `sweep` print it.
#[derive(Debug, Serialize)]
pub struct FindingLine<'a> {
    rule_id: &'a str,
    rule: &'a str,
    detector: &'a str,
    level: &'static str,
    alert_level: AlertLevel,
    file: &'a str,
    record_id: &'a str,
    time: Option<String>,
    host: Option<&'a str>,
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second_opinion: Option<SecondOpinion>,
    evidence: &'a [Evidence],
    techniques: &'a [String],
}

impl<'a> FindingLine<'a> {
    /// The lines for the findings of a verdict.
    pub fn all(verdict: &'a Verdict) -> impl Iterator<Item = Self> {
        let findings = verdict.findings.iter();
        findings.map(move |finding| Self::new(verdict, finding))
    }

    fn new(verdict: &'a Verdict, finding: &'a Finding) -> Self {
        Self {
            rule_id: &finding.rule_id,
            rule: &finding.rule,
            detector: &finding.detector,
            level: finding.level.as_str(),
            alert_level: finding.alert_level,
            file: &verdict.document.index,
            record_id: verdict.record_id.as_deref().unwrap_or(&verdict.document.id),
            time: verdict.time.and_then(rfc3339),
            host: verdict.host.as_deref(),
            user: verdict.user.as_deref(),
            score: finding.score,
            second_opinion: finding.second_opinion,
            evidence: &finding.evidence,
            techniques: &finding.techniques,
        }
    }
}

fn rfc3339(millis: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(millis)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Title, level and techniques of a finding on one line.
pub fn headline(finding: &Finding) -> String {
    let rule = match &*finding.detector {
        "blacklist" => format!("blacklisted: {}", finding.rule),
        _ => finding.rule.to_string(),
    };
    let mut line = text::paint(text::style(finding.alert_level), text::clean(&rule));
    line += &format!(" {}", text::paint(text::DIM, finding.level));
    if let Some(score) = finding.score {
        line += &text::paint(text::DIM, format!(" score {score:.2}"));
    }
    if !finding.techniques.is_empty() {
        line += &format!(" {}", text::clean(&finding.techniques.join(" ")));
    }
    if finding.second_opinion == Some(SecondOpinion::Differs) {
        line += " (sigma-rust differs)";
    }
    line
}

/// Field and value, with what matched in bold, and what an encoded match says.
pub fn evidence_line(evidence: &Evidence, width: usize) -> String {
    let name = if evidence.field.is_empty() {
        &evidence.selection
    } else {
        &evidence.field
    };
    let name = format!("{}: ", text::clean(name));
    let room = width.saturating_sub(name.chars().count()).max(20);
    let mut line = text::paint(text::DIM, name);
    if evidence.value.is_empty() {
        line += &text::paint(text::DIM, "absent or empty");
    }
    line += &text::marked(&evidence.value, evidence.span, room);
    if let Some(decoded) = &evidence.decoded {
        let decoded = text::marked(&decoded.text, decoded.span, room);
        line += &text::paint(text::DIM, format!(" = '{decoded}'"));
    }
    line
}

/// `warning:` in its colour.
pub fn warning() -> String {
    text::paint(text::style(AlertLevel::Suspicious), "warning:")
}
