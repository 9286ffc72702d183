//! What one thread needs to judge one event after the other without allocating: the event's folded
//! values, the answers to the questions that were asked already, and the rules that are woken.
//! Everything is stamped with the event's number, so that nothing has to be cleared.

use std::sync::{Arc, OnceLock};

use memchr::memmem::{self, Finder};

use super::sketch::{Sketch, Sketches};
use crate::rule::Rule;
use crate::rule::pattern;
use crate::rule::predicate::{Atom, AtomId, How, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::{Event, FieldId, Kind, Value};

/// The rules and atoms that are asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// By number.
    pub(super) atoms: &'a [Atom],
    /// The rule.
    pub(super) rule: &'a Rule,
}

/// For each atom that looks for a text anywhere, what looks for it: made when it is asked first, for
/// all threads.
pub(super) type Finders = Arc<[OnceLock<Box<Finder<'static>>>]>;

/// Those of that many atoms.
pub(super) fn finders(atoms: usize) -> Finders {
    (0..atoms).map(|_| OnceLock::new()).collect()
}

/// The number of the last event before everything is cleared after all: twice it fits too.
const MAX_STAMP: u32 = u32::MAX >> 1;

/// One of the parts that must all be found for a rule to be woken, a bit each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    one: u8,
    all: u8,
}

impl Part {
    /// As a number.
    pub(super) fn bits(self) -> u32 {
        u16::from_le_bytes([self.one, self.all]).into()
    }

    /// What such a number stands for.
    pub(super) fn of_bits(bits: u32) -> Self {
        let [one, all, ..] = bits.to_le_bytes();
        Self { one, all }
    }

    /// The only one.
    const WHOLE: Self = Self { one: 1, all: 1 };

    /// So many parts, at most eight.
    pub(super) fn each(count: usize) -> impl Iterator<Item = Self> {
        let all = u8::MAX >> u8::BITS.saturating_sub(count as u32).min(u8::BITS - 1);
        (0..count.min(u8::BITS as usize)).map(move |bit| Self { one: 1 << bit, all })
    }
}

/// Buffers of one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    /// The number of the present event.
    stamp: u32,
    /// Its values in lower case, as far as they were asked for.
    lower: String,
    /// Where each of them is in `lower`.
    values: Vec<(usize, usize)>,
    /// For each field (the last one: all) when it was folded, its first value, and how many.
    fields: Vec<(u32, usize, usize)>,
    /// For each atom twice the stamp, plus one if it holds.
    answers: Vec<u32>,
    /// For each rule the number of an event, and in the lowest byte which parts of what wakes the
    /// rule were found in that.
    woken: Vec<u64>,
    candidates: Vec<u32>,
    /// For each rule which part of its condition failed last.
    pub(super) failing: Vec<u16>,
    /// The parts that were found, each once.
    pub(super) parts: Vec<(u32, Part)>,
    /// Regular expressions that were not asked, as a value is too long for them.
    pub(super) overlong: Vec<AtomId>,
    finders: Finders,
    /// Of its long values.
    sketches: Sketches,
    /// Its source in lower case, if that was asked for.
    pub(super) source: Vec<u8>,
    /// A folded value as JSON writes it.
    pub(super) written: String,
}

impl Scratch {
    /// Buffers for that many fields, atoms and rules.
    pub(super) fn new(fields: usize, finders: Finders, rules: usize) -> Self {
        Self {
            fields: vec![(0, 0, 0); fields + 1],
            answers: vec![0; finders.len()],
            woken: vec![0; rules],
            failing: vec![0; rules],
            finders,
            ..Self::default()
        }
    }

    /// Forgets the last event.
    pub(super) fn begin(&mut self) {
        if self.stamp == MAX_STAMP {
            let finders = Arc::clone(&self.finders);
            *self = Self::new(self.fields.len() - 1, finders, self.woken.len());
        }
        self.stamp += 1;
        self.lower.clear();
        self.values.clear();
        self.candidates.clear();
        self.parts.clear();
        self.sketches.clear();
        self.overlong.clear();
    }

    /// The values of a field (`None`: all values) in lower case, `null`s left out: the number of
    /// the first, and how many.
    pub(super) fn folded(&mut self, event: &Event<'_>, field: Option<FieldId>) -> (usize, usize) {
        let last = self.fields.len().saturating_sub(1);
        let row = field.map_or(last, FieldId::index);
        if field.is_some() && row >= last {
            // A field that no reader fills.
            return (0, 0);
        }
        match self.fields.get(row) {
            Some((stamp, first, count)) if *stamp == self.stamp => return (*first, *count),
            _ => {}
        }
        let first = self.values.len();
        match field {
            Some(field) => event
                .values(field)
                .for_each(|value| self.fold(value.text, value.kind)),
            None => event
                .all_values()
                .for_each(|value| self.fold(value.text, value.kind)),
        }
        let count = self.values.len() - first;
        if let Some(slot) = self.fields.get_mut(row) {
            *slot = (self.stamp, first, count);
        }
        (first, count)
    }

    fn fold(&mut self, text: &str, kind: Kind) {
        if kind != Kind::Null {
            let start = self.lower.len();
            crate::rule::pattern::fold_into(text, &mut self.lower);
            self.values.push((start, self.lower.len()));
        }
    }

    /// The value of that number, in lower case.
    pub(super) fn value(&self, number: usize) -> &str {
        self.values
            .get(number)
            .and_then(|(start, end)| self.lower.get(*start..*end))
            .unwrap_or_default()
    }

    /// Makes a sketch of the value of that number, if it is long: for who has many texts to look for.
    pub(super) fn draw(&mut self, number: usize) {
        let place = self.values.get(number);
        if let Some(value) = place.and_then(|(start, end)| self.lower.get(*start..*end)) {
            self.sketches.draw(number, value);
        }
    }

    /// The sketch of the value of that number, if there is one.
    pub(super) fn sketch(&self, number: usize) -> Option<&Sketch> {
        self.sketches.of(number)
    }

    /// Where in the value of that number the text of that atom stands first.
    pub(super) fn place(&self, id: AtomId, text: &str, number: usize) -> Option<usize> {
        if self.sketches.rule_out(text, number) {
            return None;
        }
        self.search(id, text, number)
    }

    /// The same for who has asked the sketch already.
    pub(super) fn search(&self, id: AtomId, text: &str, number: usize) -> Option<usize> {
        let value = self.value(number);
        let finder = || Box::new(Finder::new(text.as_bytes()).into_owned());
        match self.finders.get(id.index()) {
            Some(known) => known.get_or_init(finder).find(value.as_bytes()),
            None => memmem::find(value.as_bytes(), text.as_bytes()),
        }
    }

    /// A part of what wakes a rule was found.
    pub(super) fn wake(&mut self, rule: u32, part: Part) {
        let Some(seen) = self.woken.get_mut(rule as usize) else {
            return;
        };
        let none = u64::from(self.stamp) << u8::BITS;
        let before = (*seen).max(none);
        *seen = before | u64::from(part.one);
        if *seen == before {
            return;
        }
        self.parts.push((rule, part));
        if *seen == none | u64::from(part.all) {
            self.candidates.push(rule);
        }
    }

    /// Wakes all of those rules.
    pub(super) fn wake_all(&mut self, rules: &[u32]) {
        rules.iter().for_each(|rule| self.wake(*rule, Part::WHOLE));
    }

    /// The rules that were woken, in their order; give them back with [`Scratch::give_back`].
    pub(super) fn take_candidates(&mut self) -> Vec<u32> {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable();
        candidates
    }

    /// Keeps the buffer for the next event.
    pub(super) fn give_back(&mut self, mut candidates: Vec<u32>) {
        candidates.clear();
        self.candidates = candidates;
    }

    /// Whether the tree holds for the event.
    pub(super) fn holds(&mut self, asked: Asked<'_>, event: &Event<'_>, tree: &Tree) -> bool {
        match tree {
            Tree::Atom(id) => self.answer(asked.atoms, event, *id),
            Tree::All(parts) => parts.iter().all(|part| self.holds(asked, event, part)),
            Tree::Any(parts) => parts.iter().any(|part| self.holds(asked, event, part)),
            Tree::Not(inner) => !self.holds(asked, event, inner),
            Tree::Selection(number) => asked
                .rule
                .selections
                .get(*number)
                .is_some_and(|selection| self.holds(asked, event, &selection.tree)),
        }
    }

    /// Whether the atom holds for the event.
    pub(super) fn answer(&mut self, atoms: &[Atom], event: &Event<'_>, id: AtomId) -> bool {
        let asked_before = self.stamp * 2;
        match self.answers.get(id.index()) {
            Some(answer) if *answer >= asked_before => return *answer > asked_before,
            _ => {}
        }
        let holds = atoms
            .get(id.index())
            .is_some_and(|atom| self.ask(event, atom, id));
        self.answered([&id], holds);
        if !holds
            && atoms
                .get(id.index())
                .is_some_and(|atom| is_overlong(event, atom))
        {
            self.overlong.push(id);
        }
        holds
    }

    /// Whether those hold is known.
    pub(super) fn answered<'a>(
        &mut self,
        atoms: impl IntoIterator<Item = &'a AtomId>,
        holds: bool,
    ) {
        for id in atoms {
            if let Some(answer) = self.answers.get_mut(id.index()) {
                *answer = self.stamp * 2 + u32::from(holds);
            }
        }
    }

    fn ask(&mut self, event: &Event<'_>, atom: &Atom, id: AtomId) -> bool {
        let (field, predicate) = (atom.field, &atom.predicate);
        match (field, predicate) {
            (Some(field), Predicate::Exists) => return event.has(field),
            (Some(field), Predicate::Null) => {
                return event.values(field).all(|value| value.kind == Kind::Null);
            }
            (
                _,
                Predicate::Reference {
                    how,
                    field: other,
                    cased,
                },
            ) => {
                return self.refers(event, field, *other, *how, *cased);
            }
            // What does not ask for case needs no more than the folded values.
            (
                _,
                Predicate::Text {
                    how,
                    text,
                    cased: false,
                },
            ) => {
                let (first, count) = self.folded(event, field);
                return (first..first + count).any(|number| match how {
                    How::Contains => self.place(id, text, number).is_some(),
                    how => how.holds(self.value(number), text),
                });
            }
            (
                _,
                Predicate::Wildcard {
                    tokens,
                    cased: false,
                },
            ) => {
                let (first, count) = self.folded(event, field);
                return (first..first + count)
                    .any(|number| pattern::matches(tokens, self.value(number)));
            }
            _ => {}
        }
        let (first, count) = self.folded(event, field);
        texts(event, field)
            .zip(first..first + count)
            .any(|(text, number)| predicate.holds(text, self.value(number)))
    }

    /// The first value for which an atom holds that holds, as it is, and where in it; `None` for one
    /// that is no question to a value. That span is [`Predicate::span`]'s.
    pub(super) fn shown<'e>(
        &mut self,
        event: &Event<'e>,
        id: AtomId,
        Atom { field, predicate }: &Atom,
    ) -> Option<(&'e str, Option<(usize, usize)>)> {
        if matches!(
            predicate,
            Predicate::Exists | Predicate::Null | Predicate::Reference { .. }
        ) {
            return None;
        }
        let (first, count) = self.folded(event, *field);
        let mut values = texts(event, *field).zip(first..first + count);
        if let Predicate::Text {
            how: How::Contains,
            text,
            cased: false,
        } = predicate
        {
            return values.find_map(|(value, number)| {
                let start = self.place(id, text, number)?;
                Some((value, Some(pattern::unfold(value, start, text.len()))))
            });
        }
        // Of one value alone it is known.
        let holds = |(text, number): &(&str, usize)| {
            count == 1 || predicate.holds(text, self.value(*number))
        };
        let (value, number) = values.find(holds)?;
        Some((value, predicate.span(value, self.value(number))))
    }

    fn refers(
        &mut self,
        event: &Event<'_>,
        field: Option<FieldId>,
        other: FieldId,
        how: How,
        cased: bool,
    ) -> bool {
        let Some(field) = field else {
            return false;
        };
        if cased {
            let texts = |field| texts(event, Some(field));
            return texts(field).any(|mine| texts(other).any(|text| how.holds(mine, text)));
        }
        let (mine, mine_count) = self.folded(event, Some(field));
        let (others, other_count) = self.folded(event, Some(other));
        (mine..mine + mine_count).any(|mine| {
            (others..others + other_count).any(|o| how.holds(self.value(mine), self.value(o)))
        })
    }
}

/// The values of a field (`None`: all values) as they are, `null`s left out: those that
/// [`Scratch::folded`] numbers, in their order.
fn texts<'e>(event: &Event<'e>, field: Option<FieldId>) -> impl Iterator<Item = &'e str> {
    let of_field = field.map(|field| event.values(field));
    let all = field.is_none().then(|| event.all_values());
    let values = of_field.into_iter().flatten();
    values
        .chain(all.into_iter().flatten())
        .filter(|value| value.kind != Kind::Null)
        .map(|value| value.text)
}

/// Whether a regular expression is not asked of one of the values.
fn is_overlong(event: &Event<'_>, atom: &Atom) -> bool {
    let Predicate::Regex(expression) = &atom.predicate else {
        return false;
    };
    let too_long = |value: Value<'_>| !expression.is_bounded(value.text);
    match atom.field {
        Some(field) => event.values(field).any(too_long),
        None => event.all_values().any(too_long),
    }
}
