//! What a scan shows of the documents that were judged together, made by the thread that judged
//! them: what machines read is written there too. Never prints.

use std::sync::Arc;

use crate::alert::AlertLevel;
use crate::cli::Failure;
use crate::cli::finding::FindingLine;
use crate::cli::machine::add_line;
use crate::detect::Judged;
use crate::document::DocumentId;
use crate::finding::Verdict;

/// What verdicts become.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Digest of what judges.
    pub(super) digest: Arc<str>,
    /// A line of JSON for each finding; otherwise they stay as they are.
    pub(super) is_lines: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// How many findings there are.
    pub(super) findings: u64,
    /// The documents that they put on AlertLevel 1 or 2.
    pub(super) alerts: Vec<DocumentId>,
    /// A line of JSON for each finding, if that is the form.
    pub(super) lines: Vec<u8>,
    /// Otherwise what they are of.
    pub(super) verdicts: Vec<Verdict>,
}

impl Form {
    /// Takes the findings out of what was judged.
    ///
    /// # Errors
    /// A finding cannot be written as JSON, which is a fault of Picket's.
    pub(super) fn show(&self, judged: &mut Judged) -> Result<Shown, Failure> {
        let mut shown = Shown::default();
        let verdicts = judged.unwritten(&self.digest);
        for verdict in &verdicts {
            shown.findings += verdict.findings.len() as u64;
            if (verdict.findings.iter()).any(|f| f.alert_level > AlertLevel::None) {
                shown.alerts.push(verdict.document.clone());
            }
            if self.is_lines {
                for line in FindingLine::all(verdict) {
                    add_line(&mut shown.lines, &line)?;
                }
            }
        }
        if !self.is_lines {
            shown.verdicts = verdicts;
        }
        Ok(shown)
    }
}
