//! [`Judge`] puts documents before all detectors and makes one [`Verdict`] of what they find on
//! each. Reads each document once, passes by what is settled, and keeps no state between calls
//! but buffers. Never reads or writes a store: the windows that modules ask for are handed in.

mod counts;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use counts::Counts;

use super::correlate::{Correlator, Hit};
use super::{Detector, Detectors, Inspection};
use crate::document::{Document, DocumentId, Scope, Version};
use crate::finding::{Finding, Standing, Verdict};
use crate::problem::Problem;
use crate::taxonomy::log_source::Origin;
use crate::taxonomy::{Event, FieldId, ReadError};
use reading::Reading;

/// How many documents detectors see at a time: enough for a module's batch, few enough to stay in
/// the processor's cache.
const BATCH: usize = 16;

/// Within a window's span, a module is asked again at most once in that many milliseconds of event
/// time (DetectLM's own interval).
const WINDOW_STEP: i64 = 15 * 60 * 1000;

/// All detectors, for one thread.
pub struct Judge {
    detectors: Vec<Box<dyn Detector>>,
    reading: Reading,
    digest: Arc<str>,
    correlator: Arc<Correlator>,
    takes_back: bool,
}

/// A detector's wish to see the history of an entity around some new events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// Which of the detectors.
    pub detector: usize,
    /// Whose history.
    pub scope: Scope,
    /// The host or user, in lower case.
    pub entity: String,
    /// How long, in milliseconds.
    pub span: i64,
    /// See [`super::WindowNeed::fields`].
    pub fields: Arc<[String]>,
}

/// A new event that belongs into a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When it was, in milliseconds since 1970 (UTC).
    pub time: i64,
    /// Its document.
    pub document: DocumentId,
}

/// What was found on some documents; becomes [`Verdict`]s with [`Judged::verdicts`].
#[derive(Debug, Default)]
pub struct Judged {
    drafts: BTreeMap<DocumentId, Draft>,
    /// What went wrong.
    pub problems: Vec<Problem>,
    /// Documents that are no JSON objects, and why.
    pub unreadable: Vec<(DocumentId, ReadError)>,
    /// What was read.
    pub counts: Counts,
    /// Whose windows are wanted, and because of which new events.
    pub asks: BTreeMap<Ask, Vec<NewEvent>>,
    /// Documents that rules of correlations hold for, with the correlation's position.
    pub hits: Vec<(usize, Hit, Draft)>,
}

/// What a verdict on a document is made of: what the document says, and what was found.
#[derive(Clone, Debug)]
pub struct Draft {
    version: Version,
    whole: bool,
    takes_back: bool,
    time: Option<i64>,
    host: Option<String>,
    user: Option<String>,
    record_id: Option<String>,
    standing: Standing,
    findings: Vec<Finding>,
}

impl Draft {
    fn of(event: &Event<'_>, whole: bool) -> Self {
        Self {
            version: event.document.version,
            whole,
            takes_back: false,
            time: event.time(),
            host: event.host().map(Into::into),
            user: event.user().map(Into::into),
            record_id: event.text(FieldId::RECORD_ID).map(Into::into),
            standing: event.standing().clone(),
            findings: Vec::new(),
        }
    }

    /// A window may speak of a document more than once: the highest score stays.
    fn push(&mut self, finding: Finding) {
        let same =
            |f: &&mut Finding| f.rule_id == finding.rule_id && f.detector == finding.detector;
        match self.findings.iter_mut().find(same) {
            Some(known) if known.score < finding.score => *known = finding,
            Some(_) => {}
            None => self.findings.push(finding),
        }
    }
}

impl Judged {
    /// Adds what another thread, or a window, found. Where both speak of a document, the version
    /// that came first stays.
    pub fn merge(&mut self, other: Self) {
        for (id, draft) in other.drafts {
            match self.drafts.get_mut(&id) {
                Some(mine) => {
                    mine.whole |= draft.whole;
                    mine.takes_back |= draft.takes_back;
                    draft
                        .findings
                        .into_iter()
                        .for_each(|finding| mine.push(finding));
                }
                None => {
                    self.drafts.insert(id, draft);
                }
            }
        }
        self.problems.extend(other.problems);
        self.unreadable.extend(other.unreadable);
        self.counts.add(&other.counts);
        self.hits.extend(other.hits);
        for (ask, new) in other.asks {
            self.asks.entry(ask).or_default().extend(new);
        }
    }

    /// All that went wrong; unreadable documents are named by index and id.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems);
        let unreadable = std::mem::take(&mut self.unreadable).into_iter();
        problems.extend(unreadable.map(|(document, error)| {
            let place = format!("{}/{}", document.index, document.id);
            Problem::new(place, error.to_string())
        }));
        problems
    }

    /// Adds what a correlation or an anomaly job found on a document that was read before, of which that is known.
    /// On one that a person ignores nothing is found.
    pub fn found(&mut self, document: &DocumentId, draft: &Draft, finding: Finding) {
        if !draft.standing.ignored {
            let draft = self
                .drafts
                .entry(document.clone())
                .or_insert_with(|| draft.clone());
            draft.push(finding);
        }
    }

    /// On how many documents something was found.
    pub fn documents(&self) -> usize {
        self.drafts.len()
    }

    /// One verdict for each document on which something was found, in the order of their ids.
    /// `judged` is the digest of what judged, `at` the time in milliseconds since 1970 (UTC).
    pub fn verdicts(&mut self, judged: &Arc<str>, at: i64) -> Vec<Verdict> {
        self.drain(judged, at, Verdict::settle)
    }

    /// The same for who writes none of them: nothing is to be merged into the documents.
    pub fn unwritten(&mut self, judged: &Arc<str>) -> Vec<Verdict> {
        self.drain(judged, 0, |_, _| ())
    }

    fn drain(
        &mut self,
        judged: &Arc<str>,
        at: i64,
        settle: impl Fn(&mut Verdict, &Standing),
    ) -> Vec<Verdict> {
        std::mem::take(&mut self.drafts)
            .into_iter()
            .map(|(document, draft)| {
                let mut findings = draft.findings;
                findings.sort_by_key(|f| std::cmp::Reverse((f.alert_level, f.level)));
                let mut verdict = Verdict {
                    document,
                    version: draft.version,
                    stood: draft.standing.level,
                    alert_level: draft.standing.level,
                    patch: None,
                    judged: Arc::clone(judged),
                    whole: draft.whole,
                    at,
                    time: draft.time,
                    host: draft.host,
                    user: draft.user,
                    record_id: draft.record_id,
                    takes_back: draft.takes_back,
                    findings,
                };
                settle(&mut verdict, &draft.standing);
                verdict
            })
            .collect()
    }
}

impl Judge {
    /// A judge with all that was loaded.
    pub fn new(detectors: Detectors) -> Self {
        Self {
            reading: Reading::new(&detectors.fields),
            detectors: detectors.set,
            digest: detectors.digest,
            correlator: Arc::default(),
            takes_back: false,
        }
    }

    /// The same judge for another thread.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            detectors: self.detectors.iter().map(|d| d.fork()).collect(),
            reading: self.reading.fork(),
            digest: Arc::clone(&self.digest),
            correlator: Arc::clone(&self.correlator),
            takes_back: self.takes_back,
        }
    }

    /// The same judge, whose verdicts also take back what earlier ones raised and these rules,
    /// blacklist and modules do not: a document that bears our mark is judged even to nothing.
    #[must_use]
    pub fn taking_back(mut self) -> Self {
        self.takes_back = true;
        self
    }

    /// The same judge, to which no document counts as judged before: for trying rules out.
    #[must_use]
    pub fn afresh(mut self) -> Self {
        self.digest = "afresh".into();
        self
    }

    /// The same judge, whose hits are those of these correlations.
    #[must_use]
    pub fn correlating(mut self, correlator: Arc<Correlator>) -> Self {
        self.correlator = correlator;
        self
    }

    /// What judges its hits.
    pub fn correlator(&self) -> &Arc<Correlator> {
        &self.correlator
    }

    /// What verdicts on these documents are made of; nothing is judged.
    pub fn drafts(&mut self, documents: &[Document]) -> Vec<(DocumentId, Draft)> {
        let mut judged = Judged::default();
        self.reading.read(documents, &mut judged);
        let read = documents.iter().zip(&self.reading.slots);
        read.filter(|(_, slots)| !slots.is_empty())
            .map(|(document, slots)| {
                let event = Event::new(document, slots);
                (document.id.clone(), Draft::of(&event, false))
            })
            .collect()
    }

    /// Digest of rules, blacklist and modules.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Judges documents, each by itself, and notes which windows are wanted because of them.
    pub fn page(&mut self, documents: &[Document]) -> Judged {
        let mut judged = Judged::default();
        for batch in documents.chunks(BATCH) {
            self.batch(batch, &mut judged);
        }
        judged
    }

    fn batch(&mut self, documents: &[Document], judged: &mut Judged) {
        self.reading.read(documents, judged);
        let mut events = Vec::with_capacity(documents.len());
        for (document, slots) in documents.iter().zip(&self.reading.slots) {
            let event = Event::new(document, slots);
            judged.counts.documents += 1;
            if slots.is_empty() {
                continue;
            }
            let standing = event.standing();
            let earlier = standing.picket.as_ref();
            if standing.ignored {
                judged.counts.ignored += 1;
            } else if earlier.is_some_and(|p| *p.judged == *self.digest) {
                judged.counts.judged_before += 1;
            } else {
                if self.takes_back && earlier.is_some() {
                    let mut draft = Draft::of(&event, true);
                    draft.takes_back = true;
                    judged.drafts.insert(document.id.clone(), draft);
                }
                judged.counts.unrecognised += u64::from(event.route().origin == Origin::Unknown);
                events.push(event);
            }
        }
        let mut found = Inspection::default();
        for (number, detector) in self.detectors.iter_mut().enumerate() {
            detector.inspect(&events, &mut found);
            note_asks(number, &**detector, &events, self.takes_back, judged);
        }
        keep(found, &events, true, judged);
    }

    /// Judges the history of one entity for the detector that asked: at the last event of every
    /// quarter of an hour whose window holds one of the new events.
    pub fn window(&mut self, ask: &Ask, new: &[NewEvent], documents: &[Document]) -> Judged {
        let mut judged = Judged::default();
        let Some(detector) = self.detectors.get_mut(ask.detector) else {
            return judged;
        };
        self.reading.read(documents, &mut judged);
        let mut events: Vec<(i64, Event<'_>)> = documents
            .iter()
            .zip(&self.reading.slots)
            .filter(|(_, slots)| !slots.is_empty())
            .map(|(document, slots)| Event::new(document, slots))
            .filter(|event| detector.wants(event))
            .filter_map(|event| Some((event.time()?, event)))
            .collect();
        events.sort_by(|a, b| (a.0, &a.1.document.id).cmp(&(b.0, &b.1.document.id)));
        let (moments, events): (Vec<i64>, Vec<Event<'_>>) = events.into_iter().unzip();
        for (last, end) in moments.iter().enumerate() {
            let next_slot = moments
                .get(last + 1)
                .map(|next| next.div_euclid(WINDOW_STEP));
            let is_inside = |new: &NewEvent| new.time <= *end && new.time > *end - ask.span;
            if next_slot == Some(end.div_euclid(WINDOW_STEP)) || !new.iter().any(is_inside) {
                continue;
            }
            let first = moments.partition_point(|time| *time <= *end - ask.span);
            let slice = &events[first..=last];
            let mut found = Inspection::default();
            detector.inspect_window(&ask.entity, slice, &mut found);
            keep(found, slice, false, &mut judged);
        }
        judged
    }
}

fn note_asks(
    number: usize,
    detector: &dyn Detector,
    events: &[Event<'_>],
    takes_back: bool,
    judged: &mut Judged,
) {
    let Some(need) = detector.window() else {
        return;
    };
    for event in events {
        // A document that bears our mark came before: what we wrote ourselves asks for nothing.
        // One that an anomaly job spoke of may never have been read.
        let ours = event
            .standing()
            .picket
            .as_ref()
            .is_some_and(|p| p.judged.is_empty() && p.anomalies.is_empty());
        if ours && !takes_back || !detector.wants(event) {
            continue;
        }
        let entity = match need.scope {
            Scope::Host => event.host(),
            Scope::User => event.user(),
        };
        if let (Some(entity), Some(time)) = (entity, event.time()) {
            let ask = Ask {
                detector: number,
                scope: need.scope,
                entity: entity.to_lowercase(),
                span: need.span,
                fields: Arc::clone(&need.fields),
            };
            let document = event.document.id.clone();
            judged
                .asks
                .entry(ask)
                .or_default()
                .push(NewEvent { time, document });
        }
    }
}

fn keep(found: Inspection, events: &[Event<'_>], whole: bool, judged: &mut Judged) {
    judged.problems.extend(found.problems);
    for (position, finding) in found.findings {
        if let Some(event) = events.get(position) {
            judged
                .drafts
                .entry(event.document.id.clone())
                .or_insert_with(|| Draft::of(event, whole))
                .push(finding);
        }
    }
    for (position, correlation, hit) in found.hits {
        if let Some(event) = events.get(position) {
            // The document is judged here as a whole, whatever comes of its hits.
            judged.hits.push((correlation, hit, Draft::of(event, true)));
        }
    }
}
