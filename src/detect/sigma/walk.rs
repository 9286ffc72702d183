//! The way of one event through the rules of its route. What an event says in the fields that say the
//! same again and again is judged once, whatever the others say: which rules that ask for nothing
//! else hold, which others it helps to wake, and which of these it rules out. Finds what the plain
//! walk of the trees finds.

use rustc_hash::FxHashMap;

use super::Shared;
use super::learn::{Lesson, Pace};
use super::program::Program;
use super::routes::{Fresh, Group, Routed};
use super::scratch::{Asked, Part, Scratch};
use super::seen::{Known, Seen};
use crate::rule::Rule;
use crate::taxonomy::Event;

/// So much of each kind is kept of one event; of more nothing is.
const MAX_TOLD: usize = 64;

/// What is known of events that say the same in all the fields of [`Group::asked`].
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Unlike that of any other.
    number: u64,
    /// Three lists in one, so that they stand together: the rules of the group that hold; what these
    /// fields found of what wakes [`Fresh`] rules, each with its part; fresh rules that did not hold
    /// when they were asked, each doubled, plus one if it never can.
    lists: Vec<u32>,
    /// Where the first and the second end.
    hits: u32,
    woken: u32,
}

impl Told {
    /// Forgets what it was. No rule was asked yet.
    fn begin(&mut self, number: u64, hits: &[u32], woken: &[(u32, Part)]) {
        self.number = number;
        self.lists.clear();
        self.lists.extend_from_slice(hits);
        self.hits = self.lists.len() as u32;
        let woken = woken.iter().flat_map(|(rule, part)| [*rule, part.bits()]);
        self.lists.extend(woken);
        self.woken = self.lists.len() as u32;
    }

    fn hits(&self) -> &[u32] {
        self.lists.get(..self.hits as usize).unwrap_or_default()
    }

    fn woken(&self) -> impl Iterator<Item = (u32, Part)> {
        let range = self.hits as usize..self.woken as usize;
        let pairs = self.lists.get(range).unwrap_or_default().as_chunks().0;
        pairs
            .iter()
            .map(|[rule, bits]| (*rule, Part::of_bits(*bits)))
    }

    fn asked(&self) -> &[u32] {
        self.lists.get(self.woken as usize..).unwrap_or_default()
    }

    /// Whether the rule never can hold, if it was asked.
    fn never_holds(&self, rule: u32) -> Option<bool> {
        let known = self.asked().iter().find(|known| **known >> 1 == rule);
        known.map(|known| known & 1 == 1)
    }

    /// Whether more rules that did not hold are kept.
    fn has_room(&self) -> bool {
        self.asked().len() < MAX_TOLD
    }

    fn did_not_hold(&mut self, rule: u32, never: bool) {
        self.lists.push(rule << 1 | u32::from(never));
    }
}

/// Is told which rules are asked. `()` is what judges with: it costs nothing.
pub(super) trait Meter {
    /// A rule is about to be asked; so many regular expressions were not, as values are too long.
    fn begin(&mut self, overlong: usize);
    /// It was.
    fn asked(&mut self, rule: u32, overlong: usize);
}

impl Meter for () {
    fn begin(&mut self, _: usize) {}
    fn asked(&mut self, _: u32, _: usize) {}
}

/// What one thread remembers of the events that it judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    steady: Seen<Told>,
    /// The fresh rules that hold, by the number of what is told and what the new fields say.
    fresh: Seen<Vec<u32>>,
    /// How many numbers were given.
    numbers: u64,
}

/// One event, and a thread's buffers.
pub(super) struct Walk<'a, M> {
    meter: &'a mut M,
    shared: &'a Shared,
    event: &'a Event<'a>,
    scratch: &'a mut Scratch,
    hits: &'a mut Vec<u32>,
}

impl<'a, M: Meter> Walk<'a, M> {
    /// Forgets the last event. `hits` gets the rules that hold.
    pub(super) fn begin(
        meter: &'a mut M,
        shared: &'a Shared,
        event: &'a Event<'a>,
        scratch: &'a mut Scratch,
        hits: &'a mut Vec<u32>,
    ) -> Self {
        scratch.begin();
        hits.clear();
        Self {
            meter,
            shared,
            event,
            scratch,
            hits,
        }
    }

    /// Adds those of the rules without keywords that hold; comes first. Returns the group's lesson
    /// if it is over.
    pub(super) fn plain(
        &mut self,
        routed: &Routed,
        memory: &mut Memory,
        lessons: Option<&mut FxHashMap<u64, Lesson>>,
        pace: Pace,
    ) -> Option<Lesson> {
        let (group, fresh) = (&routed.plain, &routed.fresh);
        let known = memory
            .steady
            .event(group.number, 0, &group.asked, self.event);
        if let Known::Told(told) = known {
            self.hits.extend_from_slice(told.hits());
            // Rules are fresh for what is new.
            if !fresh.new.is_empty() {
                self.beside(told, group.number, fresh, &mut memory.fresh);
            }
            return None;
        }
        let over = self.group(group, lessons, pace);
        let of_group = self.scratch.parts.len();
        fresh.steady.wake(self.event, self.scratch);
        let Known::Nothing(mut slot) = known else {
            self.fresh(fresh, None);
            return over;
        };
        let woken = self.scratch.parts.get(of_group..).unwrap_or_default();
        if self.hits.len() > MAX_TOLD || woken.len() > MAX_TOLD {
            slot.forget();
        }
        memory.numbers += 1;
        slot.told.begin(memory.numbers, self.hits, woken);
        self.fresh(fresh, Some(slot.told));
        over
    }

    /// Adds those of the fresh rules that hold for what is new beside what is told, unless that was
    /// seen too.
    fn beside(&mut self, told: &mut Told, group: u64, fresh: &Fresh, memory: &mut Seen<Vec<u32>>) {
        let known = memory.event(group, told.number, &fresh.new, self.event);
        if let Known::Told(hits) = known {
            self.hits.extend(&*hits);
            return;
        }
        for (rule, part) in told.woken() {
            self.scratch.wake(rule, part);
        }
        self.fresh(fresh, Some(told));
        if let Known::Nothing(mut slot) = known {
            let hits = self.hits.get(told.hits().len()..).unwrap_or_default();
            if hits.len() > MAX_TOLD {
                slot.forget();
            }
            slot.told.clear();
            slot.told.extend_from_slice(hits);
        }
    }

    /// Adds those of the rules with keywords that hold.
    pub(super) fn worded(&mut self, routed: &Routed) {
        routed.worded.wake(self.event, self.scratch);
        let candidates = self.scratch.take_candidates();
        self.keep_those_that_hold(&candidates);
        self.scratch.give_back(candidates);
    }

    /// Adds those of the group that hold.
    fn group(
        &mut self,
        group: &Group,
        lessons: Option<&mut FxHashMap<u64, Lesson>>,
        pace: Pace,
    ) -> Option<Lesson> {
        group.index.wake(self.event, self.scratch);
        let candidates = self.scratch.take_candidates();
        let mut over = None;
        if let Some(lessons) = lessons {
            let lesson = lessons.entry(group.number).or_default();
            if lesson.wants(pace) && lesson.look(self.event, group, &candidates, self.scratch, pace)
            {
                over = lessons.remove(&group.number);
            }
        }
        self.keep_those_that_hold(&candidates);
        self.scratch.give_back(candidates);
        over
    }

    /// Adds those of the fresh rules that hold, once what the steady fields wake is woken. `before`:
    /// which of them were asked before, of events that said the same in these.
    fn fresh(&mut self, fresh: &Fresh, mut before: Option<&mut Told>) {
        fresh.index.wake(self.event, self.scratch);
        let candidates = self.scratch.take_candidates();
        for number in &candidates {
            let known = before.as_ref().and_then(|told| told.never_holds(*number));
            if known == Some(true) {
                continue;
            }
            let Some((program, asked)) = self.program(*number) else {
                continue;
            };
            if self.holds(*number, program, asked) {
                self.hits.push(*number);
            } else if known.is_none()
                && let Some(before) = before.as_mut().filter(|told| told.has_room())
            {
                let may = program.could(true, &fresh.new, self.scratch, asked, self.event);
                before.did_not_hold(*number, !may);
            }
        }
        self.scratch.give_back(candidates);
    }

    fn keep_those_that_hold(&mut self, candidates: &[u32]) {
        for number in candidates {
            if let Some((program, asked)) = self.program(*number)
                && self.holds(*number, program, asked)
            {
                self.hits.push(*number);
            }
        }
    }

    fn holds(&mut self, number: u32, program: &Program, asked: Asked<'a>) -> bool {
        self.meter.begin(self.scratch.overlong.len());
        let holds = program.holds_again(number, self.scratch, asked, self.event);
        self.meter.asked(number, self.scratch.overlong.len());
        holds
    }

    fn program(&self, number: u32) -> Option<(&'a Program, Asked<'a>)> {
        let (rule, program): (&Rule, &Program) = self.shared.program(number)?;
        let atoms = &self.shared.rules.atoms;
        Some((program, Asked { atoms, rule }))
    }
}
