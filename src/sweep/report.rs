//! [`SweepReport`]: what one activation did, in numbers, for logs, terminals and machines.

use std::collections::BTreeMap;

use chrono::Utc;
use serde::{Deserialize, Serialize};

use crate::detect::judge::Counts;
use crate::finding::{SecondOpinion, Verdict};
use crate::problem::Problem;
use crate::store::Outcome;

/// The most different problems that a report lists; the others are only counted.
const MAX_PROBLEMS: usize = 100;

/// What one activation of a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepReport {
    /// The sweep's name.
    pub sweep: String,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started: i64,
    /// How long it took, in milliseconds.
    pub took: i64,
    /// What was read.
    pub read: Counts,
    /// Findings, all levels.
    pub findings: u64,
    /// Documents that would have, or have, `AlertLevel` 1 by this sweep.
    pub suspicious: u64,
    /// Documents that would have, or have, `AlertLevel` 2 by this sweep.
    pub alerts: u64,
    /// Documents whose level is lower than before: rules that raised it are withdrawn.
    pub taken_back: u64,
    /// Documents written.
    pub written: u64,
    /// Verdicts that somebody's write overtook; their documents come again.
    pub conflicts: u64,
    /// Verdicts that the store refused; their findings are kept.
    pub rejected: u64,
    /// Results of anomaly jobs whose documents bear their finding.
    pub anomalies: u64,
    /// Results of anomaly jobs that speak of no document of the sweep.
    pub unplaced: u64,
    /// Findings that sigma-rust sees otherwise.
    pub disputed: u64,
    /// Whether it was asked to end before the feed was at rest.
    pub stopped: bool,
    /// What went wrong, each once.
    pub problems: Vec<Problem>,
    /// How many more problems there were than are listed.
    pub more_problems: u64,
    /// Why verdicts were rejected, and how many for each reason.
    pub rejections: BTreeMap<String, u64>,
}

impl SweepReport {
    pub(super) fn begin(sweep: &str, dry_run: bool) -> Self {
        Self {
            sweep: sweep.into(),
            dry_run,
            started: Utc::now().timestamp_millis(),
            ..Self::default()
        }
    }

    pub(super) fn end(&mut self) {
        self.took = Utc::now().timestamp_millis() - self.started;
    }

    /// Takes note of problems, each once.
    pub(super) fn problems(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if self.problems.contains(&problem) || self.problems.len() >= MAX_PROBLEMS {
                self.more_problems += 1;
            } else {
                self.problems.push(problem);
            }
        }
    }

    pub(super) fn add(
        &mut self,
        read: &Counts,
        problems: Vec<Problem>,
        verdicts: &[Verdict],
        outcomes: &[Outcome],
    ) {
        self.read.add(read);
        self.problems(problems);
        for (number, verdict) in verdicts.iter().enumerate() {
            let outcome = outcomes.get(number);
            if outcome == Some(&Outcome::Conflict) {
                // Nothing of it stands, and its document comes again.
                continue;
            }
            self.findings += verdict.findings.len() as u64;
            // On a dry run there are no outcomes.
            let set = outcome.is_none_or(|outcome| *outcome == Outcome::Written);
            if verdict.alert_level < verdict.stood {
                self.taken_back += u64::from(set);
                continue;
            }
            self.disputed += verdict
                .findings
                .iter()
                .filter(|f| f.second_opinion == Some(SecondOpinion::Differs))
                .count() as u64;
            match u8::from(verdict.alert_level) {
                _ if !set || verdict.patch.is_none() => {}
                1 => self.suspicious += 1,
                2 => self.alerts += 1,
                _ => {}
            }
        }
        for outcome in outcomes {
            match outcome {
                Outcome::Written => self.written += 1,
                Outcome::Kept => {}
                Outcome::Conflict => self.conflicts += 1,
                Outcome::Rejected(why) => {
                    self.rejected += 1;
                    *self.rejections.entry(why.clone()).or_default() += 1;
                }
            }
        }
    }
}
