//! The literal index of one set of rules: which of them a document could possibly fulfil. Built
//! from pivots, so it wakes too many rules, never too few; the trees decide.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::common::Common;
use super::grams::{Grams, Text};
use super::pivot::{Needle, Pivot};
use super::scratch::{Part, Scratch};
use super::words::Words;
use crate::rule::predicate::How;
use crate::taxonomy::escape::escape_into;
use crate::taxonomy::{Event, FieldId};

/// The rules of one or more routes.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Those without a pivot.
    always: Vec<u32>,
    fields: Vec<FieldIndex>,
}

/// The needles of one field.
#[derive(Debug)]
struct FieldIndex {
    field: Option<FieldId>,
    grams: Grams,
    /// What each text of `grams` stands for.
    woken: Vec<Vec<Woken>>,
    /// The needles of keywords, to be looked for in the source before any value is.
    words: Option<Words>,
}

/// A rule that a text helps to wake.
#[derive(Clone, Copy, Debug)]
struct Woken {
    /// Where the text must stand.
    how: How,
    part: Part,
    rule: u32,
}

/// A field's needles while they are collected.
#[derive(Default)]
struct Collected {
    texts: Vec<Box<str>>,
    numbers: FxHashMap<Box<str>, usize>,
    woken: Vec<Vec<Woken>>,
}

impl Index {
    /// An index over those rules with their pivots: a rule is woken once each of them was found, one
    /// without any always. `common` tells what is frequent in a field.
    pub(super) fn new<'p>(
        rules: &[u32],
        pivots: impl Fn(u32) -> &'p [Pivot],
        common: impl Fn(Option<FieldId>) -> Cow<'static, Common>,
    ) -> Self {
        let mut always = Vec::new();
        let mut collected: FxHashMap<Option<FieldId>, Collected> = FxHashMap::default();
        for rule in rules {
            let pivots = pivots(*rule);
            if pivots.is_empty() {
                always.push(*rule);
            }
            for (part, pivot) in Part::each(pivots.len()).zip(pivots) {
                for needle in pivot {
                    let of_field = collected.entry(needle.field).or_default();
                    of_field.add(needle, part, *rule);
                }
            }
        }
        let fields = collected.into_iter().map(|(field, needles)| {
            let common = common(field);
            FieldIndex {
                words: match field {
                    Some(_) => None,
                    None => Words::new(needles.texts.iter().map(|text| &**text), &common),
                },
                field,
                grams: needles.grams(&common),
                woken: needles.woken,
            }
        });
        let mut fields: Vec<FieldIndex> = fields.collect();
        fields.sort_by_key(|index| index.field);
        Self { always, fields }
    }

    /// The same in two, which together wake what it wakes: the second looks at the fields that
    /// `is_second` names, and has the rules that are woken always.
    pub(super) fn split(self, is_second: impl Fn(FieldId) -> bool) -> (Self, Self) {
        let fields = self.fields.into_iter();
        let (second, first) = fields.partition(|index| index.field.is_none_or(&is_second));
        let first = Self {
            always: Vec::new(),
            fields: first,
        };
        let second = Self {
            always: self.always,
            fields: second,
        };
        (first, second)
    }

    /// Puts every rule that the event could fulfil among the scratch's candidates.
    pub(super) fn wake(&self, event: &Event<'_>, scratch: &mut Scratch) {
        for index in &self.fields {
            index.wake(event, scratch);
        }
        scratch.wake_all(&self.always);
    }
}

impl Collected {
    fn grams(&self, common: &Common) -> Grams {
        let texts = self.texts.iter().zip(&self.woken);
        let texts = texts.map(|(text, woken)| Text {
            text,
            how: where_alone(woken),
        });
        Grams::new(&texts.collect::<Vec<_>>(), common)
    }

    fn add(&mut self, needle: &Needle, part: Part, rule: u32) {
        let next = self.texts.len();
        let number = *self.numbers.entry(needle.text.clone()).or_insert(next);
        if number == next {
            self.texts.push(needle.text.clone());
            self.woken.push(Vec::new());
        }
        if let Some(woken) = self.woken.get_mut(number) {
            let how = needle.how;
            woken.push(Woken { how, part, rule });
        }
    }
}

/// Where alone a text is of interest to the rules that it wakes.
fn where_alone(woken: &[Woken]) -> How {
    let all = |may: fn(How) -> bool| woken.iter().all(|woken| may(woken.how));
    if all(|how| how == How::Equals) {
        How::Equals
    } else if all(|how| matches!(how, How::Equals | How::EndsWith)) {
        How::EndsWith
    } else {
        How::Contains
    }
}

impl FieldIndex {
    fn wake(&self, event: &Event<'_>, scratch: &mut Scratch) {
        match (self.field, &self.words) {
            (Some(field), _) => {
                for value in event.usual_values(field, self.grams.is_printed) {
                    let Some(value) = value else {
                        return self.wake_by_folded(event, scratch);
                    };
                    self.wake_by(value, scratch);
                }
            }
            (None, Some(words)) if !words.may_stand(event, &mut scratch.source) => {}
            _ => self.wake_by_folded(event, scratch),
        }
    }

    /// The same, for values that are not all written as is usual.
    fn wake_by_folded(&self, event: &Event<'_>, scratch: &mut Scratch) {
        let mut written = std::mem::take(&mut scratch.written);
        let (first, count) = scratch.folded(event, self.field);
        for number in first..first + count {
            written.clear();
            escape_into(scratch.value(number), &mut written);
            self.wake_by(&written, scratch);
        }
        scratch.written = written;
    }

    fn wake_by(&self, value: &str, scratch: &mut Scratch) {
        self.grams.each(value, |text, at| {
            let (is_start, is_end) = (at.start == 0, at.end == value.len());
            for woken in self.woken.get(text).into_iter().flatten() {
                let stands = match woken.how {
                    How::Equals => is_start && is_end,
                    How::StartsWith => is_start,
                    How::EndsWith => is_end,
                    How::Contains => true,
                };
                if stands {
                    scratch.wake(woken.rule, woken.part);
                }
            }
        });
    }
}
