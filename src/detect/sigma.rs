//! The detector that runs Sigma rules: an event's route says which rules it is put to, a literal
//! index which of those could hold, the rules' trees which do. Each finding carries its evidence
//! and the opinion of a second engine. An event that nothing is found on costs no allocation.

mod bounded;
pub mod cost;
pub mod cross;
mod evidence;
pub mod explain;
mod index;
mod learn;
mod pivot;
pub mod reach;
mod scratch;
mod second;
mod seen;
mod words;

use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::correlate::Correlator;
use super::{Detector, Inspection};
use crate::alert::AlertLevels;
use crate::finding::{Finding, SecondOpinion};
use crate::rule::{Rule, RuleSet};
use crate::taxonomy::{Event, FieldId, Fields, LogSource, Route};
use index::Index;
use learn::{Lesson, Pace};
use pivot::Needle;
use scratch::{Asked, Finders, Scratch, finders};
use second::Second;
use seen::{Known, Seen};

/// Routes that a thread remembers before it begins anew; anyone may invent event ids.
const MAX_ROUTES: usize = 4096;

/// Runs a [`RuleSet`].
pub struct SigmaDetector {
    shared: Arc<Shared>,
    /// The index of each route that this thread has seen. The flag says whether the event id is
    /// what the event's field says.
    routes: FxHashMap<(Route, bool), Arc<Routed>>,
    scratch: Scratch,
    /// Which rules held for an event that said the same.
    seen: Seen,
    hits: Vec<u32>,
    /// What was seen of the events of each index, by its number.
    lessons: FxHashMap<u64, Lesson>,
    pace: Pace,
}

/// The rules for a route.
struct Routed {
    /// Unlike that of any other.
    number: u64,
    /// All of them.
    rules: Box<[u32]>,
    /// Whether their pivots were chosen by what was seen.
    is_learnt: bool,
    /// Those that ask for fields only.
    plain_rules: Vec<u32>,
    plain: Index,
    /// All the fields that these ask for: what decides which of them hold.
    asked: Vec<FieldId>,
    /// Those that ask for keywords too.
    worded: Arc<Index>,
}

/// What all threads share.
struct Shared {
    rules: Arc<RuleSet>,
    correlator: Arc<Correlator>,
    levels: AlertLevels,
    names: Vec<Box<str>>,
    name: Arc<str>,
    pivots: Vec<Option<Vec<Needle>>>,
    /// All the fields that each rule asks for; `None` if it has keywords, which may be anywhere.
    asked: Vec<Option<Vec<FieldId>>>,
    /// The event ids that each rule can hold for, if it says.
    event_ids: Vec<Option<Vec<u32>>>,
    /// The rules of each log source.
    sources: Vec<(LogSource, Vec<u32>)>,
    /// One index for all routes that are put to the same rules.
    routed: Mutex<FxHashMap<Box<[u32]>, Arc<Routed>>>,
    /// How many numbers were given to indices.
    numbers: AtomicU64,
    second: Second,
    /// What looks for the texts of the atoms.
    finders: Finders,
}

impl SigmaDetector {
    /// A detector for those rules, which were loaded with those fields. `levels` says what a
    /// finding asks for on its document.
    pub fn new(rules: Arc<RuleSet>, fields: &Fields, levels: AlertLevels) -> Self {
        let mut sources: Vec<(LogSource, Vec<u32>)> = Vec::new();
        let mut numbers: FxHashMap<&LogSource, usize> = FxHashMap::default();
        for (rule, number) in rules.rules.iter().zip(0u32..) {
            let at = *numbers.entry(&rule.log_source).or_insert(sources.len());
            if at == sources.len() {
                sources.push((rule.log_source.clone(), Vec::new()));
            }
            if let Some((_, of_source)) = sources.get_mut(at) {
                of_source.push(number);
            }
        }
        let names = (0..u16::try_from(fields.len()).unwrap_or(u16::MAX))
            .map(|number| fields.name(FieldId(number)).into())
            .collect();
        let pivots = rules
            .rules
            .iter()
            .map(|rule| pivot::pivot(rule, &rules.atoms));
        let event_ids = rules
            .rules
            .iter()
            .map(|rule| pivot::event_ids(rule, &rules.atoms));
        let asked = rules
            .rules
            .iter()
            .map(|rule| pivot::asked(rule, &rules.atoms));
        let shared = Shared {
            correlator: Arc::new(Correlator::new(&rules, levels)),
            levels,
            names,
            name: "sigma".into(),
            pivots: pivots.collect(),
            asked: asked.collect(),
            event_ids: event_ids.collect(),
            sources,
            routed: Mutex::default(),
            numbers: AtomicU64::new(0),
            second: Second::new(rules.rules.len()),
            finders: finders(&rules.atoms),
            rules,
        };
        Self::sharing(Arc::new(shared))
    }

    /// Judges the hits of the rules' correlations.
    pub fn correlator(&self) -> Arc<Correlator> {
        Arc::clone(&self.shared.correlator)
    }

    fn sharing(shared: Arc<Shared>) -> Self {
        let scratch = Scratch::new(
            shared.names.len(),
            Arc::clone(&shared.finders),
            shared.rules.rules.len(),
        );
        Self {
            shared,
            routes: FxHashMap::default(),
            scratch,
            seen: Seen::default(),
            hits: Vec::new(),
            lessons: FxHashMap::default(),
            pace: Pace::default(),
        }
    }

    /// The same, which looks at one in `every` events to learn what is frequent, and concludes
    /// from `sample` of them. For tests: what is found does not depend on it.
    #[must_use]
    pub fn learning(mut self, every: u32, sample: usize) -> Self {
        self.pace = Pace { every, sample };
        self
    }

    /// The rules that hold for the event, as positions in [`RuleSet::rules`], ascending.
    pub fn hits(&mut self, event: &Event<'_>) -> &[u32] {
        let routed = self.routed(event);
        self.scratch.begin();
        self.hits.clear();
        let mut seen = std::mem::take(&mut self.seen);
        match seen.event(routed.number, &routed.asked, event) {
            Known::Rules(hits) => self.hits.extend(hits),
            Known::Nothing(slot) => {
                self.find_and_learn(event, &routed);
                self.hits.iter().for_each(|hit| slot.push(*hit));
            }
            Known::TooLong => self.find_and_learn(event, &routed),
        }
        self.seen = seen;
        self.find(event, &routed.worded);
        self.hits.sort_unstable();
        &self.hits
    }

    /// Adds those that ask for fields only and hold.
    fn find_and_learn(&mut self, event: &Event<'_>, routed: &Arc<Routed>) {
        routed.plain.wake(event, &mut self.scratch);
        let candidates = self.scratch.take_candidates();
        if !routed.is_learnt {
            self.learn(event, routed, &candidates);
        }
        self.keep_those_that_hold(event, &candidates);
        self.scratch.give_back(candidates);
    }

    fn learn(&mut self, event: &Event<'_>, routed: &Arc<Routed>, woken: &[u32]) {
        let lesson = self.lessons.entry(routed.number).or_default();
        if lesson.wants(self.pace)
            && lesson.look(event, &routed.plain, woken, &mut self.scratch, self.pace)
        {
            let better = self.shared.better(routed, lesson);
            let same = |of_route: &&mut Arc<Routed>| of_route.number == routed.number;
            for of_route in self.routes.values_mut().filter(same) {
                *of_route = Arc::clone(&better);
            }
        }
    }

    /// Adds those of the index that hold.
    fn find(&mut self, event: &Event<'_>, index: &Index) {
        index.wake(event, &mut self.scratch);
        let candidates = self.scratch.take_candidates();
        self.keep_those_that_hold(event, &candidates);
        self.scratch.give_back(candidates);
    }

    /// The same, found by asking every rule of the event's log sources: the definition that the
    /// index is tested against.
    pub fn hits_by_full_walk(&mut self, event: &Event<'_>) -> &[u32] {
        let rules = self.shared.rules(event.route(), None);
        self.scratch.begin();
        self.hits.clear();
        self.keep_those_that_hold(event, &rules);
        &self.hits
    }

    fn keep_those_that_hold(&mut self, event: &Event<'_>, candidates: &[u32]) {
        let set = &*self.shared.rules;
        for number in candidates {
            let Some(rule) = set.rules.get(*number as usize) else {
                continue;
            };
            let asked = Asked {
                atoms: &set.atoms,
                rule,
            };
            if self.scratch.holds(asked, event, &rule.condition) {
                self.hits.push(*number);
            }
        }
    }

    fn routed(&mut self, event: &Event<'_>) -> Arc<Routed> {
        let route = event.route();
        let sure = says_event_id(event, route.event_id);
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
        }
        match self.routes.entry((route, sure)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let event_id = sure.then_some(route.event_id);
                new.insert(self.shared.routed(route, event_id)).clone()
            }
        }
    }

    fn finding(&mut self, number: u32, event: &Event<'_>) -> Option<Finding> {
        let shared = &*self.shared;
        let set = &*shared.rules;
        let rule: &Rule = set.rules.get(number as usize)?;
        let asked = Asked {
            atoms: &set.atoms,
            rule,
        };
        let opinion: SecondOpinion =
            shared
                .second
                .opinion(number as usize, rule, &set.atoms, &shared.names, event);
        Some(Finding {
            detector: shared.name.clone(),
            rule_id: rule.id.clone(),
            rule: rule.title.clone(),
            level: rule.level,
            alert_level: shared.levels.of(rule.level),
            techniques: rule.techniques.clone(),
            score: None,
            evidence: evidence::collect(asked, &shared.names, event, &mut self.scratch),
            second_opinion: Some(opinion),
        })
    }
}

impl Shared {
    /// The rules for a route, ascending; only those that can hold for the event id, if it is sure.
    fn rules(&self, route: Route, event_id: Option<u32>) -> Vec<u32> {
        let mut rules: Vec<u32> = self
            .sources
            .iter()
            .filter(|(source, _)| route.fits(source))
            .flat_map(|(_, rules)| rules)
            .copied()
            .filter(
                |rule| match (event_id, self.event_ids.get(*rule as usize)) {
                    (Some(id), Some(Some(ids))) => ids.contains(&id),
                    _ => true,
                },
            )
            .collect();
        rules.sort_unstable();
        rules
    }

    fn routed(&self, route: Route, event_id: Option<u32>) -> Arc<Routed> {
        let rules = self.rules(route, event_id);
        let mut all = self.routed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(routed) = all.get(rules.as_slice()) {
            return routed.clone();
        }
        let (mut plain, mut worded, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for rule in &rules {
            match self.asked.get(*rule as usize) {
                Some(Some(fields)) => {
                    plain.push(*rule);
                    asked.extend(fields);
                }
                _ => worded.push(*rule),
            }
        }
        asked.sort_unstable();
        asked.dedup();
        let pivot = |rule: u32| self.pivots.get(rule as usize)?.as_deref();
        let number = self.number();
        let routed = Arc::new(Routed {
            number,
            is_learnt: false,
            plain: Index::new(number, &plain, pivot),
            plain_rules: plain,
            asked,
            worded: Arc::new(Index::new(self.number(), &worded, pivot)),
            rules: rules.into(),
        });
        all.insert(routed.rules.clone(), routed.clone());
        routed
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The same rules with what was learnt, by this thread or by another one before it.
    fn better(&self, routed: &Arc<Routed>, lesson: &mut Lesson) -> Arc<Routed> {
        let mut all = self.routed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = all.get(&routed.rules)
            && now.number != routed.number
        {
            return now.clone();
        }
        let learnt: FxHashMap<u32, Vec<Needle>> =
            lesson.conclude(&self.rules).into_iter().collect();
        let pivot = |rule: u32| match learnt.get(&rule) {
            Some(needles) => Some(needles.as_slice()),
            None => self.pivots.get(rule as usize)?.as_deref(),
        };
        let number = self.number();
        let better = Arc::new(Routed {
            number,
            is_learnt: true,
            plain: Index::new(number, &routed.plain_rules, pivot),
            plain_rules: routed.plain_rules.clone(),
            asked: routed.asked.clone(),
            worded: Arc::clone(&routed.worded),
            rules: routed.rules.clone(),
        });
        all.insert(better.rules.clone(), better.clone());
        better
    }
}

/// Whether the event's one `EventID` is exactly that number, so that rules for others cannot hold.
fn says_event_id(event: &Event<'_>, event_id: u32) -> bool {
    let mut values = event.values(FieldId::EVENT_ID);
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    !value.text.starts_with(['0', '+']) && value.text.parse() == Ok(event_id)
}

impl Detector for SigmaDetector {
    fn name(&self) -> &str {
        "sigma"
    }

    fn fork(&self) -> Box<dyn Detector> {
        Box::new(Self::sharing(self.shared.clone()))
    }

    fn inspect(&mut self, events: &[Event<'_>], out: &mut Inspection) {
        for (position, event) in events.iter().enumerate() {
            let count = self.hits(event).len();
            if !self.scratch.overlong.is_empty() {
                bounded::name(
                    &self.shared.rules,
                    &self.scratch.overlong,
                    &mut out.problems,
                );
            }
            for at in 0..count {
                let Some(number) = self.hits.get(at).copied() else {
                    continue;
                };
                let hits = self.shared.correlator.hits(number, event);
                let hits = hits.into_iter().map(|(of, hit)| (position, of, hit));
                out.hits.extend(hits);
                let rule = self.shared.rules.rules.get(number as usize);
                if rule.is_some_and(|rule| rule.silent) {
                    continue;
                }
                if let Some(finding) = self.finding(number, event) {
                    out.findings.push((position, finding));
                }
            }
        }
    }
}
