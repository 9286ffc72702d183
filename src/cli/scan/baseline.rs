//! The back-test of `picket scan --baseline`: what rules would have raised, a line a rule, and how
//! much noise that is. Counts only; judges and writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::Serialize;

use crate::alert::{AlertLevel, Level};
use crate::cli::machine::to_json;
use crate::cli::{Failure, Output, text};
use crate::document::{Document, DocumentId};
use crate::finding::Verdict;
use crate::taxonomy::{Event, Fields, Reader, Slots};

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Hosts and users that are told apart, for each rule.
const MAX_NAMES: usize = 10_000;
/// Rules that are said to make most of the noise.
const LOUDEST: usize = 5;

/// What was found so far.
pub(super) struct Baseline {
    reader: Reader,
    slots: Slots,
    /// The days on which anything happened.
    days: BTreeSet<i64>,
    rules: BTreeMap<(String, String), Tally>,
    /// Documents that get a level.
    raised: BTreeSet<DocumentId>,
}

/// What one rule found.
struct Tally {
    title: String,
    level: Level,
    alert_level: AlertLevel,
    hits: u64,
    days: BTreeMap<i64, u64>,
    hosts: BTreeSet<String>,
    users: BTreeSet<String>,
    /// Documents that no other rule raised before.
    alone: u64,
}

/// One rule, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    rule_id: &'a str,
    rule: &'a str,
    detector: &'a str,
    level: &'static str,
    alert_level: AlertLevel,
    hits: u64,
    /// Hits a day, over the days on which anything happened.
    per_day: f64,
    busiest_day: u64,
    days_with_hits: usize,
    hosts: usize,
    users: usize,
    noise: &'static str,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            reader: Reader::new(&Fields::default()),
            slots: Slots::default(),
            days: BTreeSet::new(),
            rules: BTreeMap::new(),
            raised: BTreeSet::new(),
        }
    }
}

impl Baseline {
    /// Notes the days that documents are from.
    pub(super) fn see(&mut self, documents: &[Document]) {
        for document in documents {
            if self.reader.read(&document.source, &mut self.slots).is_ok()
                && let Some(time) = Event::new(document, &self.slots).time()
            {
                self.days.insert(time.div_euclid(DAY));
            }
        }
    }

    /// Takes in what was found on one document.
    pub(super) fn add(&mut self, verdict: &Verdict) {
        for finding in &verdict.findings {
            let key = (finding.detector.to_string(), finding.rule_id.to_string());
            let is_new = finding.alert_level > AlertLevel::None
                && self.raised.insert(verdict.document.clone());
            let tally = self.rules.entry(key).or_insert_with(|| Tally {
                title: finding.rule.to_string(),
                level: finding.level,
                alert_level: finding.alert_level,
                hits: 0,
                days: BTreeMap::new(),
                hosts: BTreeSet::new(),
                users: BTreeSet::new(),
                alone: 0,
            });
            tally.hits += 1;
            tally.alone += u64::from(is_new);
            if let Some(time) = verdict.time {
                *tally.days.entry(time.div_euclid(DAY)).or_default() += 1;
            }
            keep(&mut tally.hosts, verdict.host.as_deref());
            keep(&mut tally.users, verdict.user.as_deref());
        }
    }

    /// On how many days something happened; at least one.
    fn days(&self) -> f64 {
        self.days.len().max(1) as f64
    }

    /// Prints it; `rules` is how many there are, `documents` how many were judged.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub(super) fn print(
        &self,
        output: Output,
        rules: usize,
        documents: u64,
    ) -> Result<(), Failure> {
        let mut rows: Vec<(Row<'_>, &Tally)> = self
            .rules
            .iter()
            .map(|((detector, id), tally)| (self.row(detector, id, tally), tally))
            .collect();
        rows.sort_by_key(|(row, _)| std::cmp::Reverse((row.alert_level, row.hits)));
        let mut out = anstream::stdout().lock();
        match output {
            Output::Json => {
                let rules: Vec<&Row<'_>> = rows.iter().map(|(row, _)| row).collect();
                let all = serde_json::json!({
                    "documents": documents,
                    "days": self.days(),
                    "raised": self.raised.len(),
                    "rules": rules,
                });
                writeln!(out, "{}", to_json(&all)?)?;
            }
            Output::Ndjson => {
                for (row, _) in &rows {
                    writeln!(out, "{}", to_json(row)?)?;
                }
            }
            Output::Table => self.table(&mut out, &rows, rules, documents)?,
        }
        Ok(())
    }

    fn row<'a>(&self, detector: &'a str, rule_id: &'a str, tally: &'a Tally) -> Row<'a> {
        let per_day = tally.hits as f64 / self.days();
        Row {
            rule_id,
            rule: &tally.title,
            detector,
            level: tally.level.as_str(),
            alert_level: tally.alert_level,
            hits: tally.hits,
            per_day,
            busiest_day: tally.days.values().copied().max().unwrap_or(0),
            days_with_hits: tally.days.len(),
            hosts: tally.hosts.len(),
            users: tally.users.len(),
            noise: noise(per_day),
        }
    }

    fn table(
        &self,
        out: &mut impl Write,
        rows: &[(Row<'_>, &Tally)],
        rules: usize,
        documents: u64,
    ) -> Result<(), Failure> {
        let mut table = text::table(&[
            "alertlevel",
            "hits",
            "a day",
            "busiest",
            "hosts",
            "users",
            "noise",
            "rule",
        ]);
        for (row, _) in rows {
            table.add_row([
                text::paint(text::style(row.alert_level), row.alert_level),
                text::number(row.hits),
                format!("{:.1}", row.per_day),
                text::number(row.busiest_day),
                text::number(row.hosts as u64),
                text::number(row.users as u64),
                row.noise.to_owned(),
                text::clean(row.rule).into_owned(),
            ]);
        }
        if !rows.is_empty() {
            writeln!(out, "{table}")?;
        }
        let raised = self.raised.len() as u64;
        writeln!(
            out,
            "{} of {}: AlertLevel 1 or 2 on {}, {:.1} a day; {} of {} found nothing",
            text::count(documents, "document"),
            text::count(self.days() as u64, "day"),
            text::count(raised, "document"),
            raised as f64 / self.days(),
            text::number(
                rules.saturating_sub(self.rules.keys().filter(|(d, _)| d == "sigma").count())
                    as u64
            ),
            text::count(rules as u64, "rule"),
        )?;
        let mut loud: Vec<_> = rows.iter().filter(|(_, tally)| tally.alone > 0).collect();
        loud.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.alone));
        let most: u64 = loud
            .iter()
            .take(LOUDEST)
            .map(|(_, tally)| tally.alone)
            .sum();
        if loud.len() > LOUDEST {
            writeln!(
                out,
                "{} of them are the doing of {LOUDEST} rules; look at those first",
                text::number(most)
            )?;
        }
        Ok(())
    }
}

fn keep(names: &mut BTreeSet<String>, name: Option<&str>) {
    if let Some(name) = name
        && names.len() < MAX_NAMES
    {
        names.insert(name.to_lowercase());
    }
}

/// How much that many hits a day are, for somebody who looks at each.
fn noise(per_day: f64) -> &'static str {
    match per_day {
        ..0.15 => "rare",
        ..1.0 => "some",
        ..10.0 => "much",
        _ => "flood",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_words() {
        let words = [0.0, 1.0 / 7.0, 0.5, 1.0, 9.9, 10.0].map(noise);
        assert_eq!(words, ["rare", "rare", "some", "much", "much", "flood"]);
    }
}
