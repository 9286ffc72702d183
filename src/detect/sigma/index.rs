//! The literal index of one set of rules: which of them a document could possibly fulfil. Built
//! from pivots, so it wakes too many rules, never too few; the trees decide.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use rustc_hash::FxHashMap;

use super::pivot::Needle;
use super::scratch::Scratch;
use super::seen::{Known, Seen};
use super::sieve::Sieve;
use super::words::Words;
use crate::rule::predicate::How;
use crate::taxonomy::{Event, FieldId};

/// More text than this is never searched with the fast automaton, which is large, in bytes.
const FAST_LIMIT: usize = 64 * 1024;

/// What an index is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// To be there soon: few events may come.
    Soon,
    /// To be fast: many have come.
    ToLast,
}

/// The rules of one or more routes.
#[derive(Debug)]
pub(super) struct Index {
    /// Those without a pivot.
    always: Vec<u32>,
    fields: Vec<FieldIndex>,
}

/// The needles of one field.
#[derive(Debug)]
struct FieldIndex {
    /// Unlike that of any other field index of the detector; never 0.
    number: u64,
    field: Option<FieldId>,
    equal: FxHashMap<Box<str>, Vec<u32>>,
    parts: Option<AhoCorasick>,
    /// Tells quickly that none of `parts` stands in a long value.
    sieve: Option<Sieve>,
    /// For each pattern of `parts`, the rules that it wakes and where it must stand.
    woken: Vec<Vec<(How, u32)>>,
    /// The needles of keywords, to be looked for in the source before any value is.
    words: Option<Words>,
}

/// A field's needles while they are collected.
#[derive(Default)]
struct Collected {
    equal: FxHashMap<Box<str>, Vec<u32>>,
    texts: Vec<Box<str>>,
    numbers: FxHashMap<Box<str>, usize>,
    woken: Vec<Vec<(How, u32)>>,
}

impl Index {
    /// An index over those rules with their pivots. `number` tells it from the detector's other
    /// indices.
    pub(super) fn new<'p>(
        number: u64,
        rules: &[u32],
        pivot: impl Fn(u32) -> Option<&'p [Needle]>,
        build: Build,
    ) -> Self {
        let mut always = Vec::new();
        let mut collected: FxHashMap<Option<FieldId>, Collected> = FxHashMap::default();
        for rule in rules {
            match pivot(*rule) {
                Some(needles) => {
                    for needle in needles {
                        collected
                            .entry(needle.field)
                            .or_default()
                            .add(needle, *rule);
                    }
                }
                None => always.push(*rule),
            }
        }
        let mut fields = Vec::new();
        for (field, needles) in collected {
            let size: usize = needles.texts.iter().map(|text| text.len()).sum();
            let kind = match build {
                Build::ToLast if size < FAST_LIMIT => AhoCorasickKind::DFA,
                _ => AhoCorasickKind::ContiguousNFA,
            };
            // So many texts have no rare bytes that would be worth looking for.
            let parts = AhoCorasick::builder()
                .kind(Some(kind))
                .prefilter(false)
                .build(needles.texts.iter().map(|t| t.as_bytes()));
            match parts {
                Ok(parts) => fields.push(FieldIndex {
                    words: match field {
                        Some(_) => None,
                        None => Words::new(needles.all()),
                    },
                    sieve: Sieve::new(needles.texts.iter().map(|text| &**text)),
                    number: (number << 32) | (fields.len() as u64 + 1),
                    field,
                    equal: needles.equal,
                    parts: (!needles.texts.is_empty()).then_some(parts),
                    woken: needles.woken,
                }),
                // Too many for an automaton: these rules are asked always.
                Err(_) => {
                    always.extend(needles.woken.iter().flatten().map(|(_, rule)| *rule));
                    always.extend(needles.equal.values().flatten());
                }
            }
        }
        fields.sort_by_key(|index| index.field);
        always.sort_unstable();
        always.dedup();
        Self { always, fields }
    }

    /// The fields that it looks at; `None`: all.
    pub(super) fn fields(&self) -> impl Iterator<Item = Option<FieldId>> {
        self.fields.iter().map(|index| index.field)
    }

    /// Puts every rule that the event could fulfil among the scratch's candidates.
    pub(super) fn wake(&self, event: &Event<'_>, scratch: &mut Scratch) {
        let mut seen = std::mem::take(&mut scratch.seen);
        for index in &self.fields {
            index.wake_event(event, scratch, &mut seen);
        }
        scratch.seen = seen;
        scratch.wake_all(&self.always);
    }
}

impl Collected {
    fn all(&self) -> impl Iterator<Item = &str> {
        let texts = self.texts.iter().chain(self.equal.keys());
        texts.map(|text| &**text)
    }

    fn add(&mut self, needle: &Needle, rule: u32) {
        if needle.how == How::Equals {
            self.equal
                .entry(needle.text.clone())
                .or_default()
                .push(rule);
            return;
        }
        let next = self.texts.len();
        let number = *self.numbers.entry(needle.text.clone()).or_insert(next);
        if number == next {
            self.texts.push(needle.text.clone());
            self.woken.push(Vec::new());
        }
        if let Some(woken) = self.woken.get_mut(number) {
            woken.push((needle.how, rule));
        }
    }
}

impl FieldIndex {
    fn wake_event(&self, event: &Event<'_>, scratch: &mut Scratch, seen: &mut Seen) {
        if let Some(words) = &self.words
            && !words.may_stand(event, &mut scratch.source)
        {
            return;
        }
        let only = self.field.and_then(|field| only_value(event, field));
        let known = match only {
            Some(value) => seen.value(self.number, value),
            None => Known::Unkept,
        };
        let mut slot = match known {
            Known::Rules(woken) => return scratch.wake_all(woken),
            Known::Nothing(slot) => Some(slot),
            Known::Unkept => None,
        };
        let (first, count) = scratch.folded(event, self.field);
        for number in first..first + count {
            scratch.with_value(number, |value, waker| {
                self.wake(value, |rule| {
                    waker(rule);
                    if let Some(slot) = &mut slot {
                        slot.push(rule);
                    }
                });
            });
        }
    }

    fn wake(&self, value: &str, mut waker: impl FnMut(u32)) {
        if !self.equal.is_empty()
            && let Some(rules) = self.equal.get(value)
        {
            rules.iter().for_each(|rule| waker(*rule));
        }
        let Some(parts) = &self.parts else {
            return;
        };
        if self
            .sieve
            .as_ref()
            .is_some_and(|sieve| !sieve.may_stand(value))
        {
            return;
        }
        for found in parts.find_overlapping_iter(value.as_bytes()) {
            let Some(woken) = self.woken.get(found.pattern().as_usize()) else {
                continue;
            };
            for (how, rule) in woken {
                let stands = match how {
                    How::StartsWith => found.start() == 0,
                    How::EndsWith => found.end() == value.len(),
                    How::Contains | How::Equals => true,
                };
                if stands {
                    waker(*rule);
                }
            }
        }
    }
}

/// The field's value as it stands in the source, if there is exactly one.
fn only_value<'e>(event: &Event<'e>, field: FieldId) -> Option<(u8, &'e str)> {
    let mut values = event.raw_values(field);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}
