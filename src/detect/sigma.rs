//! The detector that runs Sigma rules: an event's route says which rules it is put to, a literal
//! index which of those could hold, the rules' trees which do. Each finding carries its evidence
//! and the opinion of a second engine. An event that nothing is found on costs next to no allocation.

mod bounded;
mod common;
pub mod cost;
pub mod cross;
mod evidence;
pub mod explain;
mod grams;
mod index;
mod learn;
mod pivot;
mod program;
pub mod reach;
mod routes;
mod scratch;
mod second;
mod seen;
mod sketch;
mod text;
mod texts;
mod walk;
mod words;

use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use super::correlate::Correlator;
use super::{Detector, Inspection};
use crate::alert::AlertLevels;
use crate::finding::{Finding, SecondOpinion};
use crate::rule::{Rule, RuleSet};
use crate::taxonomy::{Event, FieldId, Fields, Route};
use learn::{Lesson, Pace};
use program::Program;
use routes::{Routed, Routes, says_event_id};
use scratch::{Asked, Finders, Scratch, finders};
use second::Second;
use seen::{Known, Seen};
use walk::{Memory, Meter, Walk};

/// Routes that a thread remembers before it begins anew; anyone may invent event ids.
const MAX_ROUTES: usize = 4096;

/// Runs a [`RuleSet`].
pub struct SigmaDetector {
    shared: Arc<Shared>,
    /// Of this thread alone: each finding holds it.
    name: Arc<str>,
    /// The index of each route that this thread has seen. The flag says whether the event id is
    /// what the event's field says.
    routes: FxHashMap<(Route, bool), Arc<Routed>>,
    scratch: Scratch,
    memory: Memory,
    /// What the second engine said of a rule and an event that said the same.
    opinions: Seen<Option<SecondOpinion>>,
    hits: Vec<u32>,
    /// What was seen of the events of each index, by its number.
    lessons: FxHashMap<u64, Lesson>,
    pace: Pace,
}

/// What all threads share.
struct Shared {
    rules: Arc<RuleSet>,
    correlator: Arc<Correlator>,
    levels: AlertLevels,
    names: Vec<Box<str>>,
    routes: Routes,
    /// The condition of each rule, made when it is asked first.
    programs: Vec<OnceLock<Program>>,
    second: Second,
    /// What looks for the texts of the atoms.
    finders: Finders,
}

impl SigmaDetector {
    /// A detector for those rules, which were loaded with those fields. `levels` says what a
    /// finding asks for on its document.
    pub fn new(rules: Arc<RuleSet>, fields: &Fields, levels: AlertLevels) -> Self {
        let names = (0..u16::try_from(fields.len()).unwrap_or(u16::MAX))
            .map(|number| fields.name(FieldId(number)).into())
            .collect();
        let shared = Shared {
            correlator: Arc::new(Correlator::new(&rules, levels)),
            levels,
            names,
            routes: Routes::new(Arc::clone(&rules)),
            programs: rules.rules.iter().map(|_| OnceLock::new()).collect(),
            second: Second::new(rules.rules.len()),
            finders: finders(rules.atoms.len()),
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
            name: "sigma".into(),
            routes: FxHashMap::default(),
            scratch,
            memory: Memory::default(),
            opinions: Seen::default(),
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
        self.metered(event, &mut ())
    }

    /// The same, and the meter is told which rules are asked.
    fn metered(&mut self, event: &Event<'_>, meter: &mut impl Meter) -> &[u32] {
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
        }
        let (shared, key) = (&*self.shared, key(event));
        let routed: &Arc<Routed> = self
            .routes
            .entry(key)
            .or_insert_with(|| shared.routed(key, event));
        let mut walk = Walk::begin(meter, shared, event, &mut self.scratch, &mut self.hits);
        let lessons = (!routed.is_learnt).then_some(&mut self.lessons);
        let over = walk.plain(routed, &mut self.memory, lessons, self.pace);
        walk.worded(routed);
        self.hits.sort_unstable();
        if let Some(lesson) = over {
            let (number, better) = (routed.number, shared.routes.better(routed, &lesson));
            let same = |of_route: &&mut Arc<Routed>| of_route.number == number;
            for of_route in self.routes.values_mut().filter(same) {
                *of_route = Arc::clone(&better);
            }
        }
        &self.hits
    }

    /// The same, found by asking every rule of the event's log sources as it is written: the
    /// definition that indices and programs are tested against.
    pub fn hits_by_full_walk(&mut self, event: &Event<'_>) -> &[u32] {
        let set = &*self.shared.rules;
        self.scratch.begin();
        self.hits.clear();
        for number in self.shared.routes.rules(event.route(), None) {
            let Some(rule) = set.rules.get(number as usize) else {
                continue;
            };
            let asked = Asked {
                atoms: &set.atoms,
                rule,
            };
            if self.scratch.holds(asked, event, &rule.condition) {
                self.hits.push(number);
            }
        }
        &self.hits
    }

    /// The rules for the event's route.
    fn routed(&self, event: &Event<'_>) -> Arc<Routed> {
        let key = key(event);
        let known = self.routes.get(&key).map(Arc::clone);
        known.unwrap_or_else(|| self.shared.routed(key, event))
    }

    /// What is said of a rule that holds; nothing of one that only correlations use.
    fn finding(&mut self, number: u32, event: &Event<'_>) -> Option<Finding> {
        let shared = &*self.shared;
        let set = &*shared.rules;
        let rule: &Rule = set.rules.get(number as usize).filter(|rule| !rule.silent)?;
        let asked = Asked {
            atoms: &set.atoms,
            rule,
        };
        let ask = || {
            let (second, at) = (&shared.second, number as usize);
            second.opinion(at, rule, &set.atoms, &shared.names, event)
        };
        // It depends on nothing but the fields that the rule asks for.
        let known = match shared.routes.asked.get(number as usize) {
            Some(Some(fields)) => self.opinions.event(number.into(), 0, fields, event),
            _ => Known::Unkept,
        };
        let opinion = match known {
            Known::Told(opinion) => *opinion.get_or_insert_with(ask),
            Known::Nothing(slot) => *slot.told.insert(ask()),
            Known::Unkept => ask(),
        };
        if let Some((_, program)) = shared.program(number) {
            program.answer_many(&mut self.scratch, asked, event);
        }
        Some(Finding {
            detector: Arc::clone(&self.name),
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

/// By what the rules for an event are found: its route, and whether its one field says the route's
/// event id.
fn key(event: &Event<'_>) -> (Route, bool) {
    let route = event.route();
    (route, says_event_id(event, route.event_id))
}

impl Shared {
    fn routed(&self, (route, is_sure): (Route, bool), event: &Event<'_>) -> Arc<Routed> {
        let event_id = is_sure.then_some(route.event_id);
        self.routes.routed(route, event_id, &event.document.source)
    }

    fn program(&self, number: u32) -> Option<(&Rule, &Program)> {
        let rule = self.rules.rules.get(number as usize)?;
        let program = self.programs.get(number as usize)?;
        Some((
            rule,
            program.get_or_init(|| Program::new(rule, &self.rules.atoms)),
        ))
    }
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
                if let Some(finding) = self.finding(number, event) {
                    out.findings.push((position, finding));
                }
            }
        }
    }
}
