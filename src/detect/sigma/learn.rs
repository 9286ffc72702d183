//! Learns while events go by which texts are frequent, so that rules are woken by what is rare, and
//! which fields say something new each time, so that what the others say is judged once. Picks among
//! ways that all lead to the same: what is found never depends on what was learnt.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::Hasher;
use std::rc::Rc;

use memchr::memmem::Finder;
use rustc_hash::{FxHashMap, FxHasher};

use super::common::Common;
use super::pivot::{self, Needle, Pivot};
use super::routes::Group;
use super::scratch::Scratch;
use crate::rule::RuleSet;
use crate::rule::predicate::How;
use crate::taxonomy::escape::escaped;
use crate::taxonomy::{Event, FieldId};

/// Of how many events one is looked at, and how many are looked at before something is concluded.
const EVERY: u32 = 16;
const SAMPLE: usize = 128;
/// A rule is woken too often if it is by more than one event in that many.
const OFTEN: usize = 32;
/// So many pivots of a rule are looked for at most; each has texts of its own.
const MAX_PIVOTS: usize = 3;
/// Values are kept up to that many bytes.
const MAX_VALUE: usize = 2048;

/// How soon something is concluded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) every: u32,
    pub(super) sample: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: EVERY,
            sample: SAMPLE,
        }
    }
}

/// What was seen of the events of one group of rules.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    events: u32,
    /// The fields that the rules ask for.
    asked: Vec<FieldId>,
    /// What some events said, and the rules that they woke.
    sample: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// The folded values of the asked fields.
    values: Vec<(FieldId, Box<str>)>,
    /// For each asked field a digest of its values; 0 if it has none.
    said: Box<[u64]>,
    woken: Box<[u32]>,
}

impl Lesson {
    /// Whether the next event is looked at.
    pub(super) fn wants(&mut self, pace: Pace) -> bool {
        self.events = self.events.wrapping_add(1);
        self.events.is_multiple_of(pace.every)
    }

    /// Looks at an event, which woke those rules. `true`: something can be concluded now.
    pub(super) fn look(
        &mut self,
        event: &Event<'_>,
        group: &Group,
        woken: &[u32],
        scratch: &mut Scratch,
        pace: Pace,
    ) -> bool {
        let mut values = Vec::new();
        for field in &group.asked {
            let (first, count) = scratch.folded(event, Some(*field));
            for number in first..first + count {
                let value = scratch.value(number);
                let end = value.floor_char_boundary(MAX_VALUE);
                values.push((*field, value[..end].into()));
            }
        }
        self.asked.clone_from(&group.asked);
        self.sample.push(Sample {
            values,
            said: group
                .asked
                .iter()
                .map(|field| digest(event, *field))
                .collect(),
            woken: woken.into(),
        });
        self.sample.len() >= pace.sample
    }

    /// The fields that said something new in most events that have them.
    pub(super) fn new_in_each(&self) -> Vec<FieldId> {
        let is_new = |at: usize| {
            let said = self.sample.iter().filter_map(|sample| sample.said.get(at));
            let mut said: Vec<u64> = said.copied().filter(|digest| *digest != 0).collect();
            let all = said.len();
            said.sort_unstable();
            said.dedup();
            said.len() * 2 > all
        };
        let asked = self.asked.iter().enumerate();
        asked
            .filter(|(at, _)| is_new(*at))
            .map(|(_, field)| *field)
            .collect()
    }

    /// What is frequent in a field.
    pub(super) fn common(&self, field: Option<FieldId>) -> Cow<'static, Common> {
        let samples = self.sample.iter().flat_map(|sample| &sample.values);
        let values = samples.filter(|(of, _)| Some(*of) == field);
        let values: Vec<String> = values.map(|(_, value)| escaped(value)).collect();
        if values.is_empty() {
            return Cow::Borrowed(Common::usual());
        }
        Cow::Owned(Common::of(values.iter().map(String::as_str)))
    }

    /// The rules that were woken too often, each with the pivots that are rare together.
    pub(super) fn rarest(&self, set: &RuleSet) -> Vec<(u32, Vec<Pivot>)> {
        let sample = &self.sample;
        let mut often: Vec<u32> = sample
            .iter()
            .flat_map(|s| s.woken.iter().copied())
            .collect();
        often.sort_unstable();
        let frequent = often
            .chunk_by(|a, b| a == b)
            .filter(|times| times.len() * OFTEN > sample.len())
            .filter_map(|times| times.first().copied());
        let having = Having {
            sample,
            known: RefCell::default(),
        };
        let share = |needle: &Needle| count(&having.needle(needle)) as f64 / sample.len() as f64;
        frequent
            .filter_map(|number| {
                let rule = set.rules.get(number as usize)?;
                let pivots = pivot::pivots(rule, &set.atoms, &share);
                (!pivots.is_empty()).then(|| (number, having.rare_together(pivots)))
            })
            .collect()
    }
}

/// Which events of a sample have a needle.
struct Having<'a> {
    sample: &'a [Sample],
    /// Many rules have the same needles.
    known: RefCell<FxHashMap<Needle, Rc<[bool]>>>,
}

impl Having<'_> {
    fn needle(&self, needle: &Needle) -> Rc<[bool]> {
        let mut known = self.known.borrow_mut();
        if let Some(having) = known.get(needle) {
            return Rc::clone(having);
        }
        let finder = Finder::new(needle.text.as_bytes());
        let stands = |value: &str| match needle.how {
            How::Contains => finder.find(value.as_bytes()).is_some(),
            how => how.holds(value, &needle.text),
        };
        let has = |sample: &Sample| {
            let mut values = sample.values.iter();
            values.any(|(field, value)| Some(*field) == needle.field && stands(value))
        };
        let having: Rc<[bool]> = self.sample.iter().map(has).collect();
        known.insert(needle.clone(), Rc::clone(&having));
        having
    }

    /// The events that have one of the needles.
    fn pivot(&self, pivot: &Pivot) -> Vec<bool> {
        let mut having = vec![false; self.sample.len()];
        for needle in pivot {
            let of_needle = self.needle(needle);
            let pairs = having.iter_mut().zip(&*of_needle);
            pairs.for_each(|(having, has)| *having |= has);
        }
        having
    }

    /// Of those pivots, which are in the order of how rare they are, the first, and those that make
    /// the rule be woken much less often.
    fn rare_together(&self, pivots: Vec<Pivot>) -> Vec<Pivot> {
        let mut rest = pivots.into_iter().map(|pivot| {
            let having = self.pivot(&pivot);
            (pivot, having)
        });
        let Some((first, mut woken)) = rest.next() else {
            return Vec::new();
        };
        let mut rest: Vec<(Pivot, Vec<bool>)> = rest.collect();
        let mut chosen = vec![first];
        let mut times = count(&woken);
        while times > 0 && chosen.len() < MAX_PIVOTS {
            let with_each = rest.iter().map(|(_, having)| count(&both(&woken, having)));
            let Some((at, fewest)) = with_each.enumerate().min_by_key(|(_, times)| *times) else {
                break;
            };
            if fewest * 4 > times * 3 {
                break;
            }
            let (pivot, having) = rest.remove(at);
            woken = both(&woken, &having);
            times = fewest;
            chosen.push(pivot);
        }
        chosen
    }
}

fn count(having: &[bool]) -> usize {
    having.iter().filter(|has| **has).count()
}

fn both(some: &[bool], others: &[bool]) -> Vec<bool> {
    let pairs = some.iter().zip(others);
    pairs.map(|(one, other)| *one && *other).collect()
}

/// Of what a field says; 0 if it says nothing.
fn digest(event: &Event<'_>, field: FieldId) -> u64 {
    let mut hasher = FxHasher::default();
    let mut says = 0;
    for (mark, value) in event.raw_values(field) {
        hasher.write_u8(mark);
        hasher.write(value.as_bytes());
        says = 1;
    }
    (hasher.finish() | 1) * says
}
