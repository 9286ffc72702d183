//! Correlations in a sweep: the hits of a page are kept in the store, then the groups that they
//! belong to are read around them and judged. What a page's hits bring about may stand on a document
//! of an earlier page, which is written under its present version. Repeating it changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::Utc;

use super::{Sweep, SweepError};
use crate::detect::Judged;
use crate::detect::correlate::{Correlator, Group, Hit, Judgement};
use crate::detect::judge::Draft;
use crate::detect::sigma::cost::Costs;
use crate::document::{Document, DocumentId};
use crate::finding::Finding;
use crate::problem::Problem;
use crate::store::{GroupSpan, MAX_HITS};

/// How many groups are asked for at once.
const GROUPS: usize = 100;
/// How long hits wait for documents that come late, beside twice the longest timespan.
const LATE: i64 = 7 * 86_400_000;
/// The most hits that are kept in memory.
const MAX_KEPT: usize = 500_000;

/// Hits that are kept in memory: those of a scan, and of a dry run.
#[derive(Debug, Default)]
pub struct Ledger {
    groups: BTreeMap<(usize, String), Vec<Hit>>,
    count: usize,
    /// How many more there were than are kept.
    pub dropped: usize,
}

impl Ledger {
    /// Keeps a hit of the correlation of that position.
    pub fn keep(&mut self, correlation: usize, hit: Hit) {
        if self.count >= MAX_KEPT {
            self.dropped += 1;
            return;
        }
        self.count += 1;
        let group = (correlation, hit.part.group.clone());
        self.groups.entry(group).or_default().push(hit);
    }

    /// Judges all that is kept, which goes: what is found on which document.
    pub fn judge(&mut self, correlator: &Correlator) -> Vec<(DocumentId, Finding)> {
        self.judge_each(|of, hits| whole(correlator, of, hits))
    }

    /// The same, of which only how near each group of that correlation comes is told: those first in
    /// which it holds, then those that come nearest.
    pub fn explain(&mut self, correlator: &Correlator, number: usize) -> Vec<Group> {
        let mut groups = Vec::new();
        self.judge_each(|of, hits| {
            if of == number {
                groups.extend(correlator.nearest(number, hits));
            }
            whole(correlator, of, hits)
        });
        groups.sort_by(Group::nearer);
        groups
    }

    /// The same, of which only what each correlation took is added. `clock` says how long ago some
    /// fixed moment is.
    pub fn measure(
        &mut self,
        correlator: &Correlator,
        clock: &dyn Fn() -> Duration,
        costs: &mut Costs,
    ) {
        self.judge_each(|of, hits| {
            let begun = clock();
            let judgement = whole(correlator, of, hits);
            let took = clock().saturating_sub(begun);
            let cost = costs.correlations.entry(of).or_default();
            cost.judged += hits.len() as u64;
            cost.groups += 1;
            cost.hits += judgement.findings.len() as u64;
            cost.time += took;
            cost.slowest = cost.slowest.max(took);
            judgement
        });
    }

    /// Judges group by group.
    fn judge_each(
        &mut self,
        mut judge: impl FnMut(usize, &mut Vec<Hit>) -> Judgement,
    ) -> Vec<(DocumentId, Finding)> {
        let mut found = Vec::new();
        // Each correlation comes before those that build on it.
        while let Some(((correlation, _), mut hits)) = self.groups.pop_first() {
            self.count -= hits.len();
            let judgement = judge(correlation, &mut hits);
            found.extend(judgement.findings);
            for (outer, hit) in judgement.outer {
                self.keep(outer, hit);
            }
        }
        found
    }

    /// What is kept of that group.
    fn of(&self, correlation: usize, group: &str) -> &[Hit] {
        let group = (correlation, group.to_owned());
        self.groups
            .get(&group)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// What to say if there was more than is kept.
    pub fn problem(&self) -> Option<Problem> {
        (self.dropped > 0).then(|| {
            let message = format!(
                "{} more hits than the {MAX_KEPT} that are kept in memory were left out",
                self.dropped
            );
            Problem::new("correlations", message).help("load the files into a store and sweep it")
        })
    }
}

/// What all hits of a group bring about.
fn whole(correlator: &Correlator, correlation: usize, hits: &mut Vec<Hit>) -> Judgement {
    correlator.judge(correlation, hits, i64::MIN, i64::MAX)
}

/// A group has more hits than are looked at.
fn too_many_hits(correlator: &Correlator, correlation: usize, hit: Option<&Hit>) -> Problem {
    let group = hit.map_or_else(String::new, |hit| hit.part.common.join(", "));
    let (path, line) = match correlator.get(correlation) {
        Some(correlation) => (correlation.path.to_path_buf(), correlation.line),
        None => (std::path::PathBuf::new(), 0),
    };
    let message =
        format!("the group {group:?} has more hits than are looked at: the newest {MAX_HITS}");
    Problem::new(path, message)
        .at(line)
        .help("a shorter `timespan`, a finer `group-by` or a narrower rule has fewer")
}

impl Sweep {
    /// Judges what the hits of a page bring about.
    pub(super) async fn correlate(&self, judged: &mut Judged) -> Result<(), SweepError> {
        let correlator = self.correlator();
        let mut open: BTreeMap<usize, Vec<Hit>> = BTreeMap::new();
        let mut drafts: HashMap<DocumentId, Draft> = HashMap::new();
        for (correlation, hit, draft) in std::mem::take(&mut judged.hits) {
            drafts.entry(hit.document.clone()).or_insert(draft);
            open.entry(correlation).or_default().push(hit);
        }
        let mut found = Vec::new();
        // Each correlation comes before those that build on it.
        while let Some((correlation, hits)) = open.pop_first() {
            self.keep(correlation, &hits).await?;
            let groups = spans(&hits, correlator.reach(correlation));
            for some in groups.chunks(GROUPS) {
                let judgements = self
                    .judge_groups(&correlator, correlation, some, judged)
                    .await?;
                for judgement in judgements {
                    found.extend(judgement.findings);
                    for (outer, hit) in judgement.outer {
                        open.entry(outer).or_default().push(hit);
                    }
                }
            }
        }
        let unread: HashSet<&DocumentId> = found
            .iter()
            .map(|(document, _)| document)
            .filter(|document| !drafts.contains_key(*document))
            .collect();
        let unread: Vec<DocumentId> = unread.into_iter().cloned().collect();
        drafts.extend(self.drafts(&unread).await?);
        for (document, finding) in found {
            // What is gone needs no finding.
            if let Some(draft) = drafts.get(&document) {
                judged.found(&document, draft, finding);
            }
        }
        Ok(())
    }

    /// What verdicts on documents are made of as they are now.
    async fn drafts(
        &self,
        documents: &[DocumentId],
    ) -> Result<Vec<(DocumentId, Draft)>, SweepError> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.store.get(documents).await?;
        let read: Vec<Document> = read.into_iter().flatten().collect();
        self.on_panel(move |panel| panel.drafts(&read)).await
    }

    async fn judge_groups(
        &self,
        correlator: &Arc<Correlator>,
        correlation: usize,
        groups: &[(GroupSpan, i64, i64)],
        judged: &mut Judged,
    ) -> Result<Vec<Judgement>, SweepError> {
        let asks: Vec<GroupSpan> = groups.iter().map(|(span, ..)| span.clone()).collect();
        let mut all = self.store.hits(&asks).await?;
        if self.dry_run {
            let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            for (hits, ask) in all.iter_mut().zip(&asks) {
                hits.extend_from_slice(ledger.of(correlation, &ask.group));
            }
        }
        for hits in all.iter_mut().filter(|hits| hits.len() > MAX_HITS) {
            judged
                .problems
                .push(too_many_hits(correlator, correlation, hits.first()));
            hits.sort_by_key(|hit| std::cmp::Reverse(hit.time));
            hits.truncate(MAX_HITS);
        }
        let spans: Vec<(i64, i64)> = groups.iter().map(|(_, from, to)| (*from, *to)).collect();
        let correlator = Arc::clone(correlator);
        let judge = move || {
            let groups = all.into_iter().zip(spans);
            groups
                .map(|(mut hits, (from, to))| correlator.judge(correlation, &mut hits, from, to))
                .collect()
        };
        let judging = tokio::task::spawn_blocking(judge).await;
        judging.map_err(|error| SweepError::Broken(error.to_string()))
    }

    async fn keep(&self, correlation: usize, hits: &[Hit]) -> Result<(), SweepError> {
        if self.dry_run {
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            for hit in hits {
                ledger.keep(correlation, hit.clone());
            }
            return Ok(());
        }
        Ok(self
            .store
            .keep_hits(hits, Utc::now().timestamp_millis())
            .await?)
    }

    /// Forgets hits that nothing can build on any more.
    pub(super) async fn forget_hits(&self) -> Result<(), SweepError> {
        let correlator = self.correlator();
        if correlator.is_empty() {
            return Ok(());
        }
        let kept = correlator.longest().saturating_add(LATE);
        let before = Utc::now().timestamp_millis().saturating_sub(kept);
        Ok(self.store.forget_hits(before).await?)
    }

    fn correlator(&self) -> Arc<Correlator> {
        let panel = self.panel.lock().unwrap_or_else(PoisonError::into_inner);
        panel.correlator()
    }
}

/// For each group what to read, and from when to when new hits may bring something about.
fn spans(hits: &[Hit], reach: i64) -> Vec<(GroupSpan, i64, i64)> {
    let mut touched: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for hit in hits {
        let (from, to) = touched
            .entry(&hit.part.group)
            .or_insert((hit.time, hit.time));
        (*from, *to) = ((*from).min(hit.time), (*to).max(hit.time));
    }
    let span = |(group, (from, to)): (&str, (i64, i64))| {
        let ask = GroupSpan {
            group: group.to_owned(),
            from: from.saturating_sub(reach),
            to: to.saturating_add(reach),
        };
        let to = ask.to;
        (ask, from, to)
    };
    touched.into_iter().map(span).collect()
}
