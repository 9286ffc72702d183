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
    /// The rules of the group that hold.
    hits: Vec<u32>,
    /// What these fields found of what wakes [`Fresh`] rules.
    woken: Vec<(u32, Part)>,
    /// Fresh rules that did not hold when they were asked, and whether they never can.
    asked: Vec<(u32, bool)>,
    /// Unlike that of any other.
    number: u64,
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
            self.hits.extend(&told.hits);
            // Rules are fresh for what is new.
            if !fresh.new.is_empty() {
                self.beside(told, group.number, fresh, &mut memory.fresh);
            }
            return None;
        }
        let over = self.group(group, lessons, pace);
        let of_group = self.scratch.parts.len();
        fresh.steady.wake(self.event, self.scratch);
        let Known::Nothing(slot) = known else {
            self.fresh(fresh, None);
            return over;
        };
        let woken = self.scratch.parts.get(of_group..).unwrap_or_default();
        if self.hits.len() > MAX_TOLD || woken.len() > MAX_TOLD {
            slot.forget();
        }
        memory.numbers += 1;
        let told = &mut slot.told;
        told.number = memory.numbers;
        told.hits.clone_from(self.hits);
        told.woken.clear();
        told.woken.extend_from_slice(woken);
        told.asked.clear();
        self.fresh(fresh, Some(&mut told.asked));
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
        for (rule, part) in &told.woken {
            self.scratch.wake(*rule, *part);
        }
        self.fresh(fresh, Some(&mut told.asked));
        if let Known::Nothing(slot) = known {
            let hits = self.hits.get(told.hits.len()..).unwrap_or_default();
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
    fn fresh(&mut self, fresh: &Fresh, mut before: Option<&mut Vec<(u32, bool)>>) {
        fresh.index.wake(self.event, self.scratch);
        let candidates = self.scratch.take_candidates();
        for number in &candidates {
            let known = before.as_ref().and_then(|before| {
                let known = before.iter().find(|(rule, _)| rule == number);
                known.map(|(_, never)| *never)
            });
            if known == Some(true) {
                continue;
            }
            let Some((program, asked)) = self.program(*number) else {
                continue;
            };
            if self.holds(*number, program, asked) {
                self.hits.push(*number);
            } else if known.is_none()
                && let Some(before) = &mut before
                && before.len() < MAX_TOLD
            {
                let may = program.could(true, &fresh.new, self.scratch, asked, self.event);
                before.push((*number, !may));
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
