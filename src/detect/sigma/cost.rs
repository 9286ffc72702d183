//! What each rule costs: the same judgement as [`SigmaDetector::hits`], with a clock that is handed
//! in. The normal path has none.

use std::collections::BTreeMap;
use std::time::Duration;

use super::SigmaDetector;
use super::walk::Meter;
use crate::detect::correlate::Hit;
use crate::taxonomy::Event;

/// What one rule has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often it was asked, and not known from an event that said the same.
    pub asked: u64,
    /// How often it held.
    pub hits: u64,
    /// What asking took.
    pub matching: Duration,
    /// What evidence, second opinion and the correlations that name it took.
    pub on_hits: Duration,
    /// How often a regular expression of it was not asked, as the value is too long for it.
    pub overlong: u64,
    /// The longest that asking once took.
    pub slowest: Duration,
    /// It names no text that must be there, so that no index can rule it out.
    pub asked_of_all: bool,
}

/// What one correlation has cost, beside its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrelationCost {
    /// How many hits were judged.
    pub judged: u64,
    /// In how many groups.
    pub groups: u64,
    /// How many findings came of it.
    pub hits: u64,
    /// What judging took.
    pub time: Duration,
    /// The longest that one group took.
    pub slowest: Duration,
}

/// What all rules have cost.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// By their positions in [`crate::rule::RuleSet::rules`], once an event was measured.
    pub rules: Vec<Cost>,
    /// By their positions in [`crate::rule::RuleSet::correlations`]; those that were asked.
    pub correlations: BTreeMap<usize, CorrelationCost>,
    /// What it took to say which rules are asked.
    pub index: Duration,
}

impl SigmaDetector {
    /// Judges one event and adds what it took. `clock` says how long ago some fixed moment is.
    /// Returns its hits of correlations, with their positions.
    pub fn measure(
        &mut self,
        event: &Event<'_>,
        clock: &dyn Fn() -> Duration,
        costs: &mut Costs,
    ) -> Vec<(usize, Hit)> {
        let shared = self.shared.clone();
        if costs.rules.is_empty() {
            let cost = |pivot: &Option<_>| Cost {
                asked_of_all: pivot.is_none(),
                ..Cost::default()
            };
            costs.rules = shared.routes.pivots.iter().map(cost).collect();
        }
        let mut last = clock();
        let mut meter = Watch {
            clock,
            costs,
            last,
            matching: Duration::ZERO,
            overlong: 0,
        };
        let hits = self.metered(event, &mut meter).to_vec();
        let matching = meter.matching;
        costs.index += lap(&mut last, clock).saturating_sub(matching);
        let mut of_correlations = Vec::new();
        for number in hits {
            of_correlations.append(&mut shared.correlator.hits(number, event));
            drop(self.finding(number, event));
            if let Some(cost) = costs.rules.get_mut(number as usize) {
                cost.hits += 1;
                cost.on_hits += lap(&mut last, clock);
            }
        }
        of_correlations
    }
}

/// Takes the time of each rule that is asked.
struct Watch<'a> {
    clock: &'a dyn Fn() -> Duration,
    costs: &'a mut Costs,
    last: Duration,
    /// Of all rules.
    matching: Duration,
    overlong: usize,
}

impl Meter for Watch<'_> {
    fn begin(&mut self, overlong: usize) {
        self.last = (self.clock)();
        self.overlong = overlong;
    }

    fn asked(&mut self, rule: u32, overlong: usize) {
        let took = lap(&mut self.last, self.clock);
        self.matching += took;
        if let Some(cost) = self.costs.rules.get_mut(rule as usize) {
            cost.asked += 1;
            cost.overlong += u64::from(overlong > self.overlong);
            cost.matching += took;
            cost.slowest = cost.slowest.max(took);
        }
    }
}

/// The time since `last`, which becomes now.
fn lap(last: &mut Duration, clock: &dyn Fn() -> Duration) -> Duration {
    let now = clock();
    now.saturating_sub(std::mem::replace(last, now))
}
