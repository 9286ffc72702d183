//! Folds results of anomaly jobs into a sweep: follows the jobs' own indices with a checkpoint of
//! their own, finds the documents that a result speaks of, and gives them a finding. A result that
//! comes late, or whose score changes, is a new write there, so it is read then. Never asks the
//! machine learning itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Step, Sweep, SweepError, SweepReport, afresh};
use crate::detect::Judged;
use crate::detect::anomaly::{self, Anomaly, Source};
use crate::detect::judge::Counts;
use crate::document::Document;
use crate::problem::Problem;
use crate::store::{Found, Search, Sources, StoreError, StoreErrorKind, wildcard};

/// The most documents that a result is folded into: the newest.
const MAX_DOCUMENTS: usize = 1_000;
/// Findings are written once they are on that many documents.
const MAX_PENDING: usize = 5_000;
/// What names of result indices of OpenSearch's detectors begin with.
const GRADES: &str = "opensearch-ad-plugin-result-";

/// Which results are folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomalies {
    /// The lowest score of a record, 0 to 100; of a detector's grade, as that many hundredths.
    pub min_score: f64,
    /// The lowest score of an outlier, 0 to 1.
    pub outlier: f64,
    /// Patterns of ids of jobs; none: nothing is folded in.
    pub jobs: Vec<String>,
}

impl Default for Anomalies {
    fn default() -> Self {
        Self {
            min_score: 75.0,
            outlier: 0.95,
            jobs: vec!["picket-*".into()],
        }
    }
}

impl Anomalies {
    fn wants(&self, anomaly: &Anomaly, index: &str) -> bool {
        let least = match anomaly.source {
            Source::Outlier => self.outlier * 100.0,
            Source::Record | Source::Grade => self.min_score,
        };
        // OpenSearch names detectors by ids that it makes; whose they are, the index tells.
        let group = match anomaly.source {
            Source::Grade => index.strip_prefix(GRADES),
            _ => None,
        };
        // Newer servers add to the name that a detector gives, older ones do not.
        let group = group.map(|group| format!("{group}-"));
        let fits = |pattern: &String| {
            let mut names = group.iter().chain([&anomaly.job]);
            names.any(|name| wildcard(pattern, name))
        };
        !anomaly.interim && anomaly.score >= least && self.jobs.iter().any(fits)
    }
}

impl Sweep {
    /// Folds in what jobs said since the last time.
    pub(super) async fn fold(
        &self,
        report: &mut SweepReport,
        stop: &AtomicBool,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<(), SweepError> {
        let Some(wanted) = self.anomalies.as_ref().filter(|a| !a.jobs.is_empty()) else {
            return Ok(());
        };
        // Reading again is about rules.
        if self.again.is_some() || report.stopped {
            return Ok(());
        }
        let name = format!("{}/anomalies", self.name);
        let reader = (!self.dry_run).then_some(name.as_str());
        let folded = self.follow(wanted, &name, report, stop, tell).await;
        if let Some(reader) = reader {
            self.store.release(reader).await?;
        }
        folded
    }

    async fn follow(
        &self,
        wanted: &Anomalies,
        name: &str,
        report: &mut SweepReport,
        stop: &AtomicBool,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<(), SweepError> {
        let reader = (!self.dry_run).then_some(name);
        let sources = Sources::results();
        let mut progress = self.store.progress(name).await?;
        progress.report = None;
        let mut words = HashMap::new();
        while !stop.load(Ordering::Relaxed) {
            let at = &progress.at;
            let page = self.store.changes(reader, &sources, at, self.page).await?;
            report.problems(page.problems);
            if page.next == progress.at {
                return Ok(());
            }
            let mut judged = Judged::default();
            for result in &page.documents {
                for mut anomaly in anomaly::read(&result.id.index, &result.source) {
                    if !wanted.wants(&anomaly, &result.id.index) {
                        continue;
                    }
                    let found = self.place(&mut anomaly, &mut words, &mut judged).await?;
                    match found {
                        0 => report.unplaced += 1,
                        _ => report.anomalies += 1,
                    }
                    if judged.documents() >= MAX_PENDING {
                        self.settle(&mut judged, report, tell).await?;
                    }
                }
            }
            self.settle(&mut judged, report, tell).await?;
            progress.at = page.next;
            if !self.dry_run {
                self.store.commit(name, &progress).await?;
            }
        }
        report.stopped = true;
        Ok(())
    }

    /// Gives the documents of an anomaly its finding; how many there are.
    async fn place(
        &self,
        anomaly: &mut Anomaly,
        words: &mut HashMap<(String, String), Option<String>>,
        judged: &mut Judged,
    ) -> Result<usize, SweepError> {
        if let Some(category) = anomaly.category.clone() {
            let key = (anomaly.job.clone(), category);
            let known = match words.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let found = self.category(&key.0, &key.1).await?;
                    words.insert(key, found.clone());
                    found
                }
            };
            let Some(known) = known else {
                // Without its words a category is the whole bucket.
                return Ok(0);
            };
            anomaly.of_words(&known);
        }
        let mut found = Found::default();
        if anomaly.is_influenced() {
            found = self.documents(anomaly, true, judged).await?;
        }
        // What influenced it need not stand on one document.
        if found.total == 0 {
            found = self.documents(anomaly, false, judged).await?;
        }
        let kept = found.documents.len();
        if found.total > kept as u64 {
            let message = format!(
                "speaks of {} documents; the newest {kept} bear its finding",
                found.total
            );
            judged.problems.push(Problem::new(&anomaly.job, message));
        }
        let finding = anomaly.finding();
        let read: Vec<Document> = found.documents;
        let drafts = self.on_panel(move |panel| panel.drafts(&read)).await?;
        for (document, draft) in drafts {
            judged.found(&document, &draft, finding.clone());
        }
        Ok(kept)
    }

    async fn documents(
        &self,
        anomaly: &Anomaly,
        influenced: bool,
        judged: &mut Judged,
    ) -> Result<Found, StoreError> {
        let search = Search {
            sources: Some(self.sources.clone()),
            query: anomaly.query(influenced),
            from: anomaly.bucket.map(|(from, _)| from),
            to: anomaly.bucket.map(|(_, to)| to),
            limit: MAX_DOCUMENTS,
            ..Search::default()
        };
        match self.store.find(&search).await {
            // What cannot be asked for, such as values of many kilobytes, is no reason to stop.
            Err(error) if error.kind == StoreErrorKind::BadRequest => {
                let message = format!("its documents cannot be looked for: {error}");
                judged.problems.push(Problem::new(&anomaly.job, message));
                Ok(Found::default())
            }
            found => found,
        }
    }

    /// The words of a job's category.
    async fn category(&self, job: &str, category: &str) -> Result<Option<String>, StoreError> {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let (job, category) = (quoted(job), quoted(category));
        let search = Search {
            sources: Some(Sources::results()),
            query: format!("job_id:\"{job}\" AND category_id:\"{category}\""),
            limit: 1,
            ..Search::default()
        };
        let found = self.store.find(&search).await?;
        let definition = found.documents.first();
        Ok(definition.and_then(|document| anomaly::category_words(&document.source)))
    }

    async fn settle(
        &self,
        judged: &mut Judged,
        report: &mut SweepReport,
        tell: &mut (dyn FnMut(&Step<'_>) + Send),
    ) -> Result<(), SweepError> {
        // A finding on part of a document's story: it was judged by no rules here.
        let mut verdicts = judged.verdicts(&"".into(), chrono::Utc::now().timestamp_millis());
        let problems = std::mem::take(&mut judged.problems);
        let outcomes = if self.dry_run {
            Vec::new()
        } else {
            afresh::apply(&*self.store, &mut verdicts).await?
        };
        report.add(&Counts::default(), problems, &verdicts, &outcomes);
        tell(&Step {
            report,
            verdicts: &verdicts,
            outcomes: &outcomes,
        });
        Ok(())
    }
}
