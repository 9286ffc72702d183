//! Which rules the events of a route are put to, and the indices over them: made when a route is
//! seen first, made better once enough of its events were seen. Shared by all threads.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::common::Common;
use super::index::Index;
use super::learn::Lesson;
use super::pivot::{self, Pivot};
use crate::rule::RuleSet;
use crate::taxonomy::{Event, FieldId, LogSource, Route};

/// The rules for a route.
pub(super) struct Routed {
    /// Unlike that of any other.
    pub(super) number: u64,
    /// All of them.
    rules: Box<[u32]>,
    /// Whether their pivots were chosen by what was seen.
    pub(super) is_learnt: bool,
    /// Those that ask for fields only; of these, once that was learnt, those that ask for nothing
    /// that is new in each event.
    pub(super) plain: Group,
    /// The others of these.
    pub(super) fresh: Fresh,
    /// Those that ask for keywords too.
    pub(super) worded: Arc<Index>,
}

/// Rules of which the same hold for events that say the same in the fields that they ask for.
pub(super) struct Group {
    /// Unlike that of any other.
    pub(super) number: u64,
    pub(super) rules: Vec<u32>,
    pub(super) index: Index,
    /// All the fields that they ask for, and those that [`Fresh`] rules ask for and that are not new
    /// in each event.
    pub(super) asked: Vec<FieldId>,
}

/// Rules that ask for what is new in each event.
#[derive(Default)]
pub(super) struct Fresh {
    /// The fields that are.
    pub(super) new: Vec<FieldId>,
    /// What the other fields wake.
    pub(super) steady: Index,
    /// What these wake.
    pub(super) index: Index,
}

impl Routed {
    /// All that together says which rules could hold for an event.
    pub(super) fn indices(&self) -> [&Index; 4] {
        let fresh = &self.fresh;
        [&self.plain.index, &fresh.steady, &fresh.index, &self.worded]
    }
}

/// All rules by the routes that they are for.
pub(super) struct Routes {
    set: Arc<RuleSet>,
    /// The rarest pivot of each rule that has one, by what is usual.
    pub(super) pivots: Vec<Option<Pivot>>,
    /// All the fields that each rule asks for; `None` if it has keywords, which may be anywhere.
    pub(super) asked: Vec<Option<Vec<FieldId>>>,
    /// The event ids that each rule can hold for, if it says.
    event_ids: Vec<Option<Vec<u32>>>,
    /// The rules of each log source.
    sources: Vec<(LogSource, Vec<u32>)>,
    /// One for all routes that are put to the same rules.
    routed: Mutex<FxHashMap<Box<[u32]>, Arc<Routed>>>,
    /// The indices of rules with keywords: many routes have the same.
    worded: Mutex<FxHashMap<Box<[u32]>, Arc<Index>>>,
    /// How many numbers were given.
    numbers: AtomicU64,
}

impl Routes {
    /// For those rules.
    pub(super) fn new(set: Arc<RuleSet>) -> Self {
        let mut sources: Vec<(LogSource, Vec<u32>)> = Vec::new();
        let mut numbers: FxHashMap<&LogSource, usize> = FxHashMap::default();
        for (rule, number) in set.rules.iter().zip(0u32..) {
            let at = *numbers.entry(&rule.log_source).or_insert(sources.len());
            if at == sources.len() {
                sources.push((rule.log_source.clone(), Vec::new()));
            }
            if let Some((_, of_source)) = sources.get_mut(at) {
                of_source.push(number);
            }
        }
        let (rules, atoms) = (set.rules.iter(), &set.atoms);
        Self {
            pivots: (rules.clone().map(|rule| pivot::rarest(rule, atoms))).collect(),
            asked: (rules.clone().map(|rule| pivot::asked(rule, atoms))).collect(),
            event_ids: rules.map(|rule| pivot::event_ids(rule, atoms)).collect(),
            sources,
            routed: Mutex::default(),
            worded: Mutex::default(),
            numbers: AtomicU64::new(0),
            set,
        }
    }

    /// The rules for a route, ascending; only those that can hold for the event id, if it is sure.
    pub(super) fn rules(&self, route: Route, event_id: Option<u32>) -> Vec<u32> {
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

    /// The same, with indices. `source` is that of such an event.
    pub(super) fn routed(&self, route: Route, event_id: Option<u32>, source: &str) -> Arc<Routed> {
        let rules = self.rules(route, event_id);
        let mut all = self.routed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(routed) = all.get(rules.as_slice()) {
            return routed.clone();
        }
        let is_plain = |rule: &u32| matches!(self.asked.get(*rule as usize), Some(Some(_)));
        let (plain, worded): (Vec<u32>, Vec<u32>) = rules.iter().partition(|rule| is_plain(rule));
        let pivots = |rule| self.pivot(rule);
        let usual = |_| Cow::Borrowed(Common::usual());
        let routed = Arc::new(Routed {
            number: self.number(),
            is_learnt: false,
            plain: Group {
                number: self.number(),
                index: Index::new(&plain, pivots, usual),
                asked: self.fields(&plain),
                rules: plain,
            },
            fresh: Fresh::default(),
            worded: self.worded(worded, source),
            rules: rules.into(),
        });
        all.insert(routed.rules.clone(), routed.clone());
        routed
    }

    /// The index of those rules with keywords, which are looked for in sources like that one.
    fn worded(&self, rules: Vec<u32>, source: &str) -> Arc<Index> {
        let mut all = self.worded.lock().unwrap_or_else(PoisonError::into_inner);
        let index = all.entry(rules.into()).or_insert_with_key(|rules| {
            let common = |_| Cow::Owned(Common::with(source));
            Arc::new(Index::new(rules, |rule| self.pivot(rule), common))
        });
        Arc::clone(index)
    }

    /// All the fields that these ask for.
    fn fields(&self, rules: &[u32]) -> Vec<FieldId> {
        let fields = rules
            .iter()
            .filter_map(|rule| self.asked.get(*rule as usize)?.as_ref());
        let mut fields: Vec<FieldId> = fields.flatten().copied().collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// The pivot by which a rule is woken as long as nothing was learnt; empty if it has none.
    fn pivot(&self, rule: u32) -> &[Pivot] {
        let pivot = self.pivots.get(rule as usize).and_then(Option::as_ref);
        pivot.map(std::slice::from_ref).unwrap_or_default()
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The same rules with what was learnt, by this thread or by another one before it: woken by
    /// texts that are rare, and those apart that ask for nothing that is new in each event.
    pub(super) fn better(&self, routed: &Routed, lesson: &Lesson) -> Arc<Routed> {
        let mut all = self.routed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = all.get(&routed.rules)
            && now.number != routed.number
        {
            return now.clone();
        }
        let learnt: FxHashMap<u32, Vec<Pivot>> = lesson.rarest(&self.set).into_iter().collect();
        let pivots = |rule| match learnt.get(&rule) {
            Some(pivots) => pivots,
            None => self.pivot(rule),
        };
        let new = lesson.new_in_each();
        let is_steady = |rule: &u32| match self.asked.get(*rule as usize) {
            Some(Some(fields)) => !fields.iter().any(|field| new.contains(field)),
            _ => false,
        };
        let common = |field| lesson.common(field);
        let plain = &routed.plain;
        let (steady, fresh): (Vec<u32>, Vec<u32>) = plain.rules.iter().partition(|r| is_steady(r));
        let of_fresh = Index::new(&fresh, pivots, common);
        let (of_steady, of_new) = of_fresh.split(|field| new.contains(&field));
        let is_steady = |field: &FieldId| !new.contains(field);
        let better = Arc::new(Routed {
            number: self.number(),
            is_learnt: true,
            plain: Group {
                number: self.number(),
                index: Index::new(&steady, pivots, common),
                asked: plain.asked.iter().copied().filter(is_steady).collect(),
                rules: steady,
            },
            fresh: Fresh {
                steady: of_steady,
                index: of_new,
                new,
            },
            worded: Arc::clone(&routed.worded),
            rules: routed.rules.clone(),
        });
        all.insert(better.rules.clone(), better.clone());
        better
    }
}

/// Whether the event's one `EventID` is exactly that number, so that rules for others cannot hold.
pub(super) fn says_event_id(event: &Event<'_>, event_id: u32) -> bool {
    let mut values = event.values(FieldId::EVENT_ID);
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    !value.text.starts_with(['0', '+']) && value.text.parse() == Ok(event_id)
}
