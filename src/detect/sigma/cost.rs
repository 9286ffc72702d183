//! What each rule costs: the same judgement as [`SigmaDetector::hits`], with a clock that is handed
//! in, and without what was seen before. The normal path knows nothing of it.

use std::time::Duration;

use super::SigmaDetector;
use super::scratch::Asked;
use crate::taxonomy::Event;

/// What one rule has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often its tree was asked.
    pub asked: u64,
    /// How often it held.
    pub hits: u64,
    /// What asking took.
    pub matching: Duration,
    /// What evidence and second opinion took.
    pub on_hits: Duration,
    /// How often a regular expression of it was not asked, as the value is too long for it.
    pub overlong: u64,
    /// The longest that asking once took.
    pub slowest: Duration,
    /// It names no text that must be there, so that no index can rule it out.
    pub asked_of_all: bool,
}

impl Cost {
    /// All that it took.
    pub fn time(&self) -> Duration {
        self.matching + self.on_hits
    }
}

/// What all rules have cost, by their positions in [`crate::rule::RuleSet::rules`].
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// A row a rule, once an event was measured.
    pub rules: Vec<Cost>,
    /// What the literal index took to say which rules are asked.
    pub index: Duration,
}

impl SigmaDetector {
    /// Judges one event and adds what it took. `clock` says how long ago some fixed moment is.
    pub fn measure(&mut self, event: &Event<'_>, clock: &dyn Fn() -> Duration, costs: &mut Costs) {
        let shared = self.shared.clone();
        if costs.rules.is_empty() {
            let cost = |pivot: &Option<_>| Cost {
                asked_of_all: pivot.is_none(),
                ..Cost::default()
            };
            costs.rules = shared.routes.pivots.iter().map(cost).collect();
        }
        let routed = self.routed(event);
        self.scratch.begin();
        for index in routed.indices() {
            let mut last = clock();
            index.wake(event, &mut self.scratch);
            let candidates = self.scratch.take_candidates();
            costs.index += lap(&mut last, clock);
            for number in &candidates {
                let (Some((rule, program)), Some(cost)) = (
                    shared.program(*number),
                    costs.rules.get_mut(*number as usize),
                ) else {
                    continue;
                };
                let asked = Asked {
                    atoms: &shared.rules.atoms,
                    rule,
                };
                let unasked = self.scratch.overlong.len();
                let holds = program.holds(&mut self.scratch, asked, event);
                cost.overlong += u64::from(self.scratch.overlong.len() > unasked);
                let took = lap(&mut last, clock);
                cost.asked += 1;
                cost.matching += took;
                cost.slowest = cost.slowest.max(took);
                if holds {
                    cost.hits += 1;
                    drop(self.finding(*number, event));
                    cost.on_hits += lap(&mut last, clock);
                }
            }
            self.scratch.give_back(candidates);
        }
    }
}

/// The time since `last`, which becomes now.
fn lap(last: &mut Duration, clock: &dyn Fn() -> Duration) -> Duration {
    let now = clock();
    now.saturating_sub(std::mem::replace(last, now))
}
