//! The document that is kept in `picket-findings` for each judged document, the same in every
//! store: its id, its shape, and how a new verdict goes together with what is kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FINDINGS_INDEX;
use crate::alert::AlertLevel;
use crate::document::DocumentId;
use crate::finding::{Finding, Verdict};
use crate::hex::hex;

/// What findings of WASM modules say of their detector.
const MODULE: &str = "module";

/// What no rule can take back.
const ANOMALY: &str = "anomaly";

/// All that was found on one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The document that was judged.
    pub document: DocumentId,
    /// When the event was, in milliseconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<i64>,
    /// The host of the event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// The user of the event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// The number that the event log gave the event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record_id: Option<String>,
    /// The level that the document then had.
    #[serde(rename = "AlertLevel")]
    pub alert_level: AlertLevel,
    /// Digest of the rules, blacklist and modules that judged.
    pub judged: String,
    /// When it was judged, in milliseconds since 1970 (UTC).
    pub at: i64,
    /// The titles of the rules that hit, gravest first.
    pub rules: Vec<String>,
    /// ATT&CK techniques of all findings.
    pub techniques: Vec<String>,
    /// The findings, gravest first.
    pub findings: Vec<Finding>,
}

impl Record {
    /// Where the findings on a document are kept: an id made of the document's, so that judging
    /// again writes the same document.
    pub fn id(document: &DocumentId) -> DocumentId {
        DocumentId {
            index: FINDINGS_INDEX.into(),
            id: digest(&document.index, &document.id).into(),
        }
    }

    /// What is kept after this verdict, given what was kept before; `None`: nothing changes.
    pub fn after(verdict: &Verdict, before: Option<&Self>) -> Option<Self> {
        // Nothing is found, and nothing was.
        if verdict.findings.is_empty() && before.is_none() {
            return None;
        }
        let mut record = Self {
            document: verdict.document.clone(),
            time: verdict.time,
            host: verdict.host.clone(),
            user: verdict.user.clone(),
            record_id: verdict.record_id.clone(),
            alert_level: verdict.alert_level,
            judged: verdict.judged.to_string(),
            at: verdict.at,
            rules: Vec::new(),
            techniques: Vec::new(),
            findings: verdict.findings.clone(),
        };
        match before {
            Some(before) if !verdict.whole => {
                record.alert_level = record.alert_level.max(before.alert_level);
                record.judged.clone_from(&before.judged);
                record.keep(&before.findings, |_| true);
            }
            // What a window said is no part of the document's own judgement.
            Some(before) if !verdict.takes_back => {
                record.keep(&before.findings, |finding| {
                    [MODULE, ANOMALY].contains(&&*finding.detector)
                });
            }
            Some(before) => {
                record.keep(&before.findings, |finding| *finding.detector == *ANOMALY);
            }
            None => {}
        }
        record.summarise();
        match before {
            Some(before)
                if *before
                    == (Self {
                        at: before.at,
                        ..record.clone()
                    }) =>
            {
                None
            }
            _ => Some(record),
        }
    }

    /// Adds findings that nothing new is said about.
    fn keep(&mut self, before: &[Finding], wanted: impl Fn(&Finding) -> bool) {
        for finding in before.iter().filter(|finding| wanted(finding)) {
            let same = |f: &Finding| f.rule_id == finding.rule_id && f.detector == finding.detector;
            if !self.findings.iter().any(same) {
                self.findings.push(finding.clone());
            }
        }
        self.findings
            .sort_by_key(|f| std::cmp::Reverse((f.alert_level, f.level)));
    }

    fn summarise(&mut self) {
        for finding in &self.findings {
            let title = finding.rule.to_string();
            if !self.rules.contains(&title) {
                self.rules.push(title);
            }
            for technique in finding.techniques.iter() {
                if !self.techniques.contains(technique) {
                    self.techniques.push(technique.clone());
                }
            }
        }
    }
}

/// 32 hexadecimal digits made of two texts, for ids that are the same wherever they are made.
pub fn digest(first: &str, second: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((first.len() as u64).to_le_bytes());
    hash.update(first);
    hash.update(second);
    hex(&hash.finalize()[..16])
}
