//! Both engines side by side, over a recording: what [`SigmaDetector`] says of a rule and what
//! sigma-rust does, also of rules that do not hold. Decides nothing; the normal path knows nothing
//! of it.

use rustc_hash::FxHashMap;

use super::SigmaDetector;
use super::scratch::Asked;
use crate::finding::SecondOpinion;
use crate::rule::Rule;
use crate::taxonomy::{Event, Route};

/// What both say of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Both say yes.
    pub both: u64,
    /// Only ours does.
    pub ours: u64,
    /// Only sigma-rust does.
    pub theirs: u64,
    /// Both say no.
    pub neither: u64,
    /// Sigma-rust was not asked, because a field has several values or a text is too long.
    pub unasked: u64,
    /// The tree holds, and the index did not wake the rule: a fault of ours.
    pub missed: u64,
    /// The rule is not in what sigma-rust reads.
    pub is_unknown: bool,
}

impl Compared {
    /// How often they differ.
    pub fn differences(&self) -> u64 {
        self.ours + self.theirs + self.missed
    }
}

/// Which pairs of rule and event are asked.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// Of those that the index did not wake, one in so many is asked; 1: all.
    pub one_in: u64,
    /// How many there were that the index woke; each was asked.
    pub woken: u64,
    /// How many others there were.
    pub others: u64,
    /// How many of these were asked.
    pub sampled: u64,
    /// All rules of a route's log sources.
    routes: FxHashMap<Route, Vec<u32>>,
}

impl Pairs {
    /// Asks all that the index wakes and one in so many of the others.
    pub fn one_in(number: u64) -> Self {
        Self {
            one_in: number.max(1),
            ..Self::default()
        }
    }

    /// Whether one that was not woken is asked: every so many-th, so that each rule meets each kind
    /// of event sooner or later.
    fn takes(&mut self) -> bool {
        self.others += 1;
        let takes = self.others.is_multiple_of(self.one_in);
        self.sampled += u64::from(takes);
        takes
    }
}

impl SigmaDetector {
    /// Asks both engines about the rules of the event's log sources; `compared` has a row a rule,
    /// and `differ` hears which of them see this event otherwise.
    pub fn compare(
        &mut self,
        event: &Event<'_>,
        pairs: &mut Pairs,
        compared: &mut Vec<Compared>,
        mut differ: impl FnMut(u32),
    ) {
        let shared = self.shared.clone();
        let set = &*shared.rules;
        if compared.is_empty() {
            compared.resize(set.rules.len(), Compared::default());
        }
        let route = event.route();
        let rules = pairs.routes.remove(&route);
        let rules = rules.unwrap_or_else(|| shared.routes.rules(route, None));
        let routed = self.routed(event);
        self.scratch.begin();
        let mut woken: Vec<u32> = Vec::new();
        for index in routed.indices() {
            index.wake(event, &mut self.scratch);
            let candidates = self.scratch.take_candidates();
            woken.extend(&candidates);
            self.scratch.give_back(candidates);
        }
        woken.sort_unstable();
        for number in &rules {
            let at = *number as usize;
            let (Some(rule), Some(row)) = (set.rules.get(at), compared.get_mut(at)) else {
                continue;
            };
            let is_woken = woken.binary_search(number).is_ok();
            pairs.woken += u64::from(is_woken);
            if !is_woken && !pairs.takes() {
                continue;
            }
            let asked = Asked {
                atoms: &set.atoms,
                rule,
            };
            let holds = self.scratch.holds(asked, event, &rule.condition);
            let before = row.differences();
            row.missed += u64::from(holds && !is_woken);
            let second = &shared.second;
            let opinion = second.opinion(at, rule, &set.atoms, &shared.names, event);
            match (opinion, holds) {
                (SecondOpinion::Agrees, true) => row.both += 1,
                (SecondOpinion::Differs, true) => row.ours += 1,
                (SecondOpinion::Agrees, false) => row.theirs += 1,
                (SecondOpinion::Differs, false) => row.neither += 1,
                (SecondOpinion::TooLong, _) => row.unasked += 1,
                (SecondOpinion::Unsupported, _) => {
                    row.is_unknown = !second.knows(at, rule, &set.atoms, &shared.names);
                    row.unasked += u64::from(!row.is_unknown);
                }
            }
            if row.differences() > before {
                differ(*number);
            }
        }
        pairs.routes.insert(route, rules);
    }
}

/// What is known of sigma-rust that may make it see this rule otherwise.
pub fn known_fault(rule: &Rule) -> Option<&'static str> {
    let asks = |modifier: &str| rule.detection.contains(modifier);
    if asks("|base64offset") && (asks("|wide") || asks("|utf16")) {
        return Some(
            "sigma-rust leaves out more digits of UTF-16 in base64 than it must, and so finds more",
        );
    }
    if asks("|base64") {
        return Some("sigma-rust leaves out the last digit of a text in base64");
    }
    if asks("|fieldref") {
        return Some("sigma-rust says no as soon as one of several other fields is absent");
    }
    None
}

/// Why sigma-rust cannot be asked about a rule at all.
pub fn why_unknown(rule: &Rule) -> &'static str {
    let units = ["|minute", "|hour", "|day", "|week", "|month", "|year"];
    let asks = |modifier: &str| rule.detection.contains(modifier);
    if asks("|neq") {
        "it does not know `neq`"
    } else if units.iter().any(|unit| asks(unit)) {
        "it does not know parts of a time"
    } else if asks("|windash") {
        "it reads `windash` otherwise, and what the rule asks cannot be said without"
    } else {
        "the rule cannot be said in what it reads"
    }
}
