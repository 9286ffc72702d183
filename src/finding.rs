//! A [`Finding`] is one detector's hit on one document, with its evidence; a [`Verdict`] is what
//! is written for a document. Depends on the other words only.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::alert::{AlertLevel, Level};
use crate::document::{DocumentId, Version};

/// One piece of text that made a detector speak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The selection of the rule that held, or what else the detector calls its reason.
    pub selection: SmolStr,
    /// The Sigma name of the field; empty for a keyword, which is looked for in all fields.
    pub field: SmolStr,
    /// The field's value, cut to [`Evidence::MAX_VALUE`] bytes around the match.
    pub value: String,
    /// Where in `value` the matching text begins and how long it is, in bytes of UTF-8;
    /// `None` where the whole value, or its absence, is meant.
    pub span: Option<(usize, usize)>,
    /// How many bytes of the field's value stand before `value`: `cut_before + span.0` is the place
    /// in the document.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub cut_before: usize,
    /// What the match says in plain text, where the rule looks for an encoded one (`base64`,
    /// `base64offset`, `wide`, `utf16`) or another spelling (`windash`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decoded: Option<Decoded>,
}

/// An encoded text in plain text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// What stands around the match, decoded, cut as values are; of `windash` as the rule has it.
    pub text: String,
    /// Where in `text` what the rule looks for begins and how long it is, in bytes of UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span: Option<(usize, usize)>,
}

impl Decoded {
    /// The text, cut to what is kept.
    pub fn new(text: &str, span: Option<(usize, usize)>) -> Self {
        let (text, span, _) = cut(text, span);
        Self { text, span }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Evidence {
    /// The longest value that is kept, in bytes: a command line of 32 KB says no more than its
    /// neighbourhood of the match.
    pub const MAX_VALUE: usize = 1024;

    /// Evidence with the value cut to what is kept, around the span (whose ends are boundaries of
    /// characters).
    pub fn new(selection: &str, field: &str, value: &str, span: Option<(usize, usize)>) -> Self {
        let (value, span, cut_before) = cut(value, span);
        Self {
            selection: selection.into(),
            field: field.into(),
            value,
            span,
            cut_before,
            decoded: None,
        }
    }
}

/// The value, cut to [`Evidence::MAX_VALUE`] bytes around the span, the span in what is left, and
/// how many bytes stand before it.
fn cut(value: &str, span: Option<(usize, usize)>) -> (String, Option<(usize, usize)>, usize) {
    let max = Evidence::MAX_VALUE;
    if value.len() <= max {
        return (value.to_owned(), span, 0);
    }
    let (start, len) = span.unwrap_or((0, 0));
    let around = max.saturating_sub(len) / 2;
    let first = start.saturating_sub(around).min(value.len() - max);
    let first = value.ceil_char_boundary(first.min(start));
    let end = value.floor_char_boundary((first + max).min(value.len()));
    let kept = value.get(first..end).unwrap_or_default().to_owned();
    let span = span.map(|(start, len)| {
        let start = start.saturating_sub(first).min(kept.len());
        (
            start,
            kept.floor_char_boundary((start + len).min(kept.len())) - start,
        )
    });
    (kept, span, first)
}

/// What the second engine, sigma-rust, says of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondOpinion {
    /// It finds the same.
    Agrees,
    /// It does not: one of the two is wrong.
    Differs,
    /// It cannot load this rule, so it says nothing.
    Unsupported,
    /// The rule asks so much of texts so long that it was not asked: it needs time for each
    /// character and each pattern.
    TooLong,
}

/// One detector's hit on one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `sigma`, `blacklist`, `module` or `anomaly`.
    pub detector: Arc<str>,
    /// The rule's `id`, `blacklist:LINE`, the module's name or the anomaly job's id.
    pub rule_id: Arc<str>,
    /// The rule's title, the blacklist's regex, the module's name with its version or the job's id.
    pub rule: Arc<str>,
    /// How grave the rule is.
    pub level: Level,
    /// What it asks for on the document.
    pub alert_level: AlertLevel,
    /// ATT&CK techniques such as `T1021.002`.
    pub techniques: Arc<[String]>,
    /// A module's score, or that of an anomaly, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score: Option<f64>,
    /// What made it speak.
    pub evidence: Vec<Evidence>,
    /// sigma-rust's opinion, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub second_opinion: Option<SecondOpinion>,
}

/// What a document says of earlier judgements, as read from its own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// `AlertLevel`; 0 where there is none.
    pub level: AlertLevel,
    /// `Ignore` is 1: a person said "that was me".
    pub ignored: bool,
    /// `picket`, if Picket wrote on this document before.
    pub picket: Option<Earlier>,
}

impl Standing {
    /// Whether the level is nobody's but Picket's own (or there is none): a person, or another
    /// tool, has said nothing.
    pub fn is_unsettled(&self) -> bool {
        !self.ignored && self.level <= self.picket.as_ref().map_or(AlertLevel::None, |p| p.level)
    }
}

/// The field `picket` of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Earlier {
    /// Digest of what judged the document as a whole; empty if only a window was judged.
    pub judged: String,
    /// The level that is Picket's own doing.
    pub level: AlertLevel,
    /// The level that stood before Picket wrote for the first time.
    pub before: AlertLevel,
    /// Ids of the rules and blacklist lines that hit.
    pub rules: Vec<String>,
    /// Names of the modules that hit.
    pub modules: Vec<String>,
    /// Ids of the anomaly jobs that spoke of it.
    pub anomalies: Vec<String>,
}

/// The decision on one document: what a store writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The document that it is on.
    pub document: DocumentId,
    /// The version that was judged; a store writes only if it still holds.
    pub version: Version,
    /// The level that the document had when it was judged.
    pub stood: AlertLevel,
    /// The level that it gets: the highest of the findings' levels and of what the document already
    /// had. Lower than that only for a verdict that takes back.
    pub alert_level: AlertLevel,
    /// What is merged into the document: `AlertLevel` and `picket`, see [`Verdict::patch`].
    /// `None` where the document stays as it is and only the findings are kept.
    pub patch: Option<Map<String, Value>>,
    /// Digest of the rules, blacklist and modules that judged.
    pub judged: Arc<str>,
    /// Whether this is the judgement of the whole document. If not, it adds a window module's
    /// findings to what was found before.
    pub whole: bool,
    /// When it was judged, in milliseconds since 1970 (UTC).
    pub at: i64,
    /// When the event was, in milliseconds since 1970 (UTC), if it says so.
    pub time: Option<i64>,
    /// The host of the event, if it names one.
    pub host: Option<String>,
    /// The user of the event, if it names one.
    pub user: Option<String>,
    /// The number that the event log gave the event (`EventRecordID`), if it has one.
    pub record_id: Option<String>,
    /// Whether it may lower a level that is nobody's but Picket's own: rules that were withdrawn
    /// take back what they alone raised.
    pub takes_back: bool,
    /// All findings, gravest first; empty only where an earlier verdict is taken back.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// The gravest of what the findings ask for.
    pub fn level(&self) -> AlertLevel {
        let levels = self.findings.iter().map(|f| f.alert_level);
        levels.max().unwrap_or_default()
    }

    /// Sets what is merged into the document, given what it says now.
    ///
    /// Shape: `{ AlertLevel, picket: { judged, at, level, before, rules: [id], modules: [name],
    /// anomalies: [job], score, reason } }`, `anomalies` where there are any. `picket.level` is Picket's own doing, `picket.before` what stood before
    /// it (left out: 0); `AlertLevel` is never below what stands, unless it is Picket's own and
    /// this verdict takes back. Nothing is written on a document that is ignored, that gets no
    /// level, or that would say nothing new.
    pub fn settle(&mut self, standing: &Standing) {
        let own = self.level();
        let none = Earlier::default();
        let earlier = standing.picket.as_ref().unwrap_or(&none);
        let replaces = self.whole && !earlier.judged.is_empty() && earlier.judged != *self.judged;
        let takes_back =
            self.takes_back && self.whole && standing.picket.is_some() && standing.is_unsettled();
        // No rule can take back what a job found, which says it once.
        let lasting = match earlier.anomalies.is_empty() {
            true => AlertLevel::None,
            false => standing.level.min(AlertLevel::Suspicious),
        };
        self.stood = standing.level;
        self.alert_level = match takes_back {
            true => own.max(earlier.before).max(lasting),
            false => own.max(standing.level),
        };
        let fresh = replaces || takes_back;
        let rules = self.names(
            &["sigma", "blacklist"],
            if fresh { &[] } else { &earlier.rules },
        );
        let modules = self.names(&["module"], if takes_back { &[] } else { &earlier.modules });
        let anomalies = self.names(&["anomaly"], &earlier.anomalies);
        let says_more = rules.iter().any(|r| !earlier.rules.contains(r))
            || modules.iter().any(|m| !earlier.modules.contains(m))
            || anomalies.len() > earlier.anomalies.len();
        let says_less = takes_back
            && (self.alert_level < standing.level
                || earlier.rules.iter().any(|r| !rules.contains(r))
                || earlier.modules.iter().any(|m| !modules.contains(m)));
        let raises = own > standing.level;
        let adds = own != AlertLevel::None && (raises || own == standing.level && says_more);
        if standing.ignored || !(adds || says_less) {
            self.patch = None;
            return;
        }
        let level = if fresh {
            own.max(lasting.min(earlier.level))
        } else {
            own.max(earlier.level)
        };
        let before = match standing.picket {
            Some(_) => earlier.before,
            None => standing.level,
        };
        let mut picket = self.field(earlier, level, before, rules, modules);
        if !anomalies.is_empty() {
            picket.insert("anomalies".into(), anomalies.into());
        }
        let mut patch = Map::new();
        patch.insert("AlertLevel".into(), u8::from(self.alert_level).into());
        patch.insert("picket".into(), picket.into());
        self.patch = Some(patch);
    }

    fn field(
        &self,
        earlier: &Earlier,
        level: AlertLevel,
        before: AlertLevel,
        rules: Vec<String>,
        modules: Vec<String>,
    ) -> Map<String, Value> {
        let judged = if self.whole {
            &*self.judged
        } else {
            earlier.judged.as_str()
        };
        let mut picket = Map::new();
        picket.insert("judged".into(), judged.into());
        picket.insert("at".into(), self.at.into());
        picket.insert("level".into(), u8::from(level).into());
        if before > AlertLevel::None {
            picket.insert("before".into(), u8::from(before).into());
        }
        picket.insert("rules".into(), rules.into());
        picket.insert("modules".into(), modules.into());
        let scores = self.findings.iter().filter_map(|f| f.score);
        if let Some(score) = scores.reduce(f64::max) {
            picket.insert("score".into(), score.into());
        }
        if let Some(first) = self.findings.first() {
            picket.insert("reason".into(), (&*first.rule).into());
        }
        picket
    }

    fn names(&self, detectors: &[&str], earlier: &[String]) -> Vec<String> {
        let mut names: Vec<String> = earlier.to_vec();
        for finding in &self.findings {
            if detectors.contains(&&*finding.detector)
                && !names.iter().any(|n| **n == *finding.rule_id)
            {
                names.push(finding.rule_id.to_string());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_value_still_shows_the_match(
            before in 0usize..3000,
            found in "[a-zé]{1,20}",
            behind in 0usize..3000,
        ) {
            let value = format!("{}{found}{}", "é".repeat(before), "x".repeat(behind));
            let (kept, span, first) = cut(&value, Some((before * 2, found.len())));
            let (start, len) = span.unwrap();
            prop_assert_eq!(first + start, before * 2);
            prop_assert!(kept.len() <= Evidence::MAX_VALUE);
            prop_assert_eq!(&kept[start..start + len], found.as_str());
        }

        #[test]
        fn any_span_is_survived(value in "\\PC{0,2000}", start in 0usize..4000, len in 0usize..4000) {
            let start = value.floor_char_boundary(start.min(value.len()));
            let end = value.floor_char_boundary((start + len).min(value.len()));
            let (kept, span, _) = cut(&value, Some((start, end - start)));
            let (start, len) = span.unwrap();
            prop_assert!(kept.get(start..start + len).is_some());
        }
    }
}
