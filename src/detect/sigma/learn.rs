//! Learns while events go by which texts are frequent, so that rules are woken by what is rare. Picks
//! among texts of which each must be there anyway: what is found never depends on what was learnt.

use super::index::Index;
use super::pivot::{self, Needle};
use super::scratch::Scratch;
use crate::rule::RuleSet;
use crate::taxonomy::{Event, FieldId};

/// Of how many events one is looked at, and how many are looked at before something is concluded.
const EVERY: u32 = 64;
const SAMPLE: usize = 128;
/// A rule is woken too often if it is by more than one event in that many.
const OFTEN: usize = 32;
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

/// What was seen of the events of one route.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    events: u32,
    /// The folded values of some events, and the rules that they woke.
    sample: Vec<Sample>,
    is_over: bool,
}

#[derive(Debug)]
struct Sample {
    values: Vec<(Option<FieldId>, Box<str>)>,
    woken: Box<[u32]>,
}

impl Lesson {
    /// Whether the next event is looked at.
    pub(super) fn wants(&mut self, pace: Pace) -> bool {
        self.events = self.events.wrapping_add(1);
        !self.is_over && self.events.is_multiple_of(pace.every)
    }

    /// Looks at an event, which woke those rules. `true`: something can be concluded now.
    pub(super) fn look(
        &mut self,
        event: &Event<'_>,
        index: &Index,
        woken: &[u32],
        scratch: &mut Scratch,
        pace: Pace,
    ) -> bool {
        let mut values = Vec::new();
        for field in index.fields() {
            let (first, count) = scratch.folded(event, field);
            for number in first..first + count {
                let value = scratch.value(number);
                let end = value.floor_char_boundary(MAX_VALUE);
                values.push((field, value[..end].into()));
            }
        }
        self.sample.push(Sample {
            values,
            woken: woken.into(),
        });
        self.sample.len() >= pace.sample
    }

    /// Ends the lesson: the rules that were woken too often, each with the pivot that was rarest.
    pub(super) fn conclude(&mut self, set: &RuleSet) -> Vec<(u32, Vec<Needle>)> {
        self.is_over = true;
        let sample = std::mem::take(&mut self.sample);
        let mut often: Vec<u32> = sample
            .iter()
            .flat_map(|s| s.woken.iter().copied())
            .collect();
        often.sort_unstable();
        let frequent = often
            .chunk_by(|a, b| a == b)
            .filter(|times| times.len() * OFTEN > sample.len())
            .filter_map(|times| times.first().copied());
        let share = |needle: &Needle| {
            let has = |sample: &&Sample| {
                let mut values = sample
                    .values
                    .iter()
                    .filter(|(field, _)| *field == needle.field);
                values.any(|(_, value)| needle.how.holds(value, &needle.text))
            };
            sample.iter().filter(has).count() as f64 / sample.len() as f64
        };
        frequent
            .filter_map(|number| {
                let rule = set.rules.get(number as usize)?;
                Some((number, pivot::rarest(rule, &set.atoms, &share)?))
            })
            .collect()
    }
}
