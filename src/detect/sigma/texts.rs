//! Many texts of which one must stand in a field, looked for all at once. Says what the questions for
//! each of them alone say together.

use aho_corasick::packed::{Config, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use rustc_hash::FxHashMap;

use super::scratch::Scratch;
use super::sketch::Marks;
use crate::rule::predicate::{Atom, AtomId, How, Predicate};
use crate::taxonomy::{Event, FieldId};

/// Texts, folded, of which one must stand in the field.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) field: FieldId,
    parts: Parts,
    /// The questions for each of them alone.
    atoms: Box<[AtomId]>,
    /// By what each of them is told from others, if they may stand anywhere.
    marks: Box<[Marks]>,
}

#[derive(Debug)]
enum Parts {
    /// Anywhere, looked for many bytes at a time.
    Few(Searcher),
    /// Anywhere.
    Many(AhoCorasick),
    AtEnd(Ends),
}

/// Texts of which one must stand at the end.
#[derive(Debug, Default)]
struct Ends {
    /// By their last bytes.
    long: FxHashMap<[u8; 8], Vec<Box<str>>>,
    /// Those that have fewer.
    short: Vec<Box<str>>,
}

impl Texts {
    /// Those, which the atoms ask for; `None` if they are not looked for together.
    pub(super) fn new(
        field: FieldId,
        how: How,
        texts: &[&str],
        atoms: Vec<AtomId>,
    ) -> Option<Self> {
        let automaton = || {
            let mut builder = AhoCorasick::builder();
            builder
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .prefilter(false);
            builder.build(texts).ok()
        };
        let few = || {
            let mut builder = Config::new().only_teddy(true).builder();
            builder.extend(texts).build()
        };
        let (parts, marks) = match how {
            How::Contains => (
                few()
                    .map(Parts::Few)
                    .or_else(|| automaton().map(Parts::Many))?,
                texts.iter().map(|text| Marks::of(text)).collect(),
            ),
            How::EndsWith => (Parts::AtEnd(Ends::new(texts)), Box::default()),
            How::Equals | How::StartsWith => return None,
        };
        Some(Self {
            field,
            parts,
            atoms: atoms.into(),
            marks,
        })
    }

    /// Roughly how long it takes to ask.
    pub(super) fn cost(&self) -> u32 {
        match self.parts {
            Parts::AtEnd(_) => 4,
            Parts::Few(_) | Parts::Many(_) => 16,
        }
    }

    /// Answers what each of many asks.
    pub(super) fn answer_each(&self, scratch: &mut Scratch, atoms: &[Atom], event: &Event<'_>) {
        let Parts::Many(automaton) = &self.parts else {
            return;
        };
        let mut holding = Vec::new();
        let (first, count) = scratch.folded(event, Some(self.field));
        for number in first..first + count {
            scratch.draw(number);
            if let Some(standing) = self.among_few(scratch, atoms, number) {
                holding.extend(standing);
                continue;
            }
            let found = automaton.find_overlapping_iter(scratch.value(number));
            holding.extend(found.filter_map(|text| self.atoms.get(text.pattern().as_usize())));
        }
        scratch.answered(&self.atoms, false);
        scratch.answered(holding, true);
    }

    /// Whether one of them stands in the field.
    pub(super) fn stand(&self, scratch: &mut Scratch, atoms: &[Atom], event: &Event<'_>) -> bool {
        let (first, count) = scratch.folded(event, Some(self.field));
        (first..first + count).any(|number| self.stand_in(scratch, atoms, number))
    }

    /// Whether one of them stands in the value of that number.
    fn stand_in(&self, scratch: &mut Scratch, atoms: &[Atom], number: usize) -> bool {
        let among_few = |scratch: &Scratch| {
            let mut standing = self.among_few(scratch, atoms, number)?;
            Some(standing.next().is_some())
        };
        match &self.parts {
            Parts::Few(searcher) => {
                among_few(scratch).unwrap_or_else(|| searcher.find(scratch.value(number)).is_some())
            }
            Parts::Many(automaton) => {
                scratch.draw(number);
                among_few(scratch).unwrap_or_else(|| automaton.is_match(scratch.value(number)))
            }
            Parts::AtEnd(ends) => ends.has_one_of(scratch.value(number)),
        }
    }

    /// Those that stand in the value of that number; `None` if no sketch leaves few to look for.
    fn among_few<'t, 's>(
        &'t self,
        scratch: &'s Scratch,
        atoms: &'s [Atom],
        number: usize,
    ) -> Option<impl Iterator<Item = &'t AtomId> + use<'t, 's>> {
        let sketch = scratch.sketch(number)?;
        let rest = self.atoms.iter().zip(&self.marks);
        let rest = rest.filter(move |(_, marks)| sketch.may_have(marks));
        Some(rest.map(|(id, _)| id).filter(move |id| {
            let text = atoms.get(id.index()).and_then(text_of);
            text.is_some_and(|(.., text)| scratch.search(**id, text, number).is_some())
        }))
    }
}

impl Ends {
    fn new(texts: &[&str]) -> Self {
        let mut ends = Self::default();
        for text in texts {
            let alike = match text.as_bytes().last_chunk() {
                Some(last) => ends.long.entry(*last).or_default(),
                None => &mut ends.short,
            };
            alike.push((*text).into());
        }
        ends
    }

    fn has_one_of(&self, value: &str) -> bool {
        let last = value.as_bytes().last_chunk();
        let long = last.and_then(|last| self.long.get(last));
        let mut texts = long.into_iter().flatten().chain(&self.short);
        texts.any(|text| value.ends_with(&**text))
    }
}

/// A text to look for without regard to case.
pub(super) fn text_of(atom: &Atom) -> Option<(FieldId, How, &str)> {
    match (&atom.field, &atom.predicate) {
        (
            Some(field),
            Predicate::Text {
                how: how @ (How::Contains | How::EndsWith),
                text,
                cased: false,
            },
        ) if !text.is_empty() => Some((*field, *how, text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::sigma::scratch::finders;
    use crate::document::Document;
    use crate::rule::pattern::fold;
    use crate::taxonomy::{Fields, Reader, Slots};

    /// Which of the texts stand in the value by the question for all and by those for each.
    fn standing(texts: &[&str], value: &str) -> (bool, Vec<bool>) {
        let mut fields = Fields::default();
        let field = fields.intern("CommandLine");
        let source = serde_json::json!({ "CommandLine": value }).to_string();
        let document = Document::loose("test".into(), "1", source);
        let mut slots = Slots::default();
        let reader = Reader::new(&fields);
        reader.read(&document.source, &mut slots).unwrap();
        let event = Event::new(&document, &slots);
        let atoms: Vec<Atom> = (texts.iter())
            .map(|text| Atom {
                field: Some(field),
                predicate: Predicate::Text {
                    how: How::Contains,
                    text: fold(text).into(),
                    cased: false,
                },
            })
            .collect();
        let ids: Vec<AtomId> = (0..).map(AtomId).take(texts.len()).collect();
        let folded: Vec<String> = texts.iter().map(|text| fold(text)).collect();
        let folded: Vec<&str> = folded.iter().map(String::as_str).collect();
        let all = Texts::new(field, How::Contains, &folded, ids.clone()).unwrap();
        let mut scratch = Scratch::new(fields.len(), finders(atoms.len()), 1);
        scratch.begin();
        let one = all.stand(&mut scratch, &atoms, &event);
        all.answer_each(&mut scratch, &atoms, &event);
        let each = ids.iter().map(|id| scratch.answer(&atoms, &event, *id));
        (one, each.collect())
    }

    proptest! {
        #[test]
        fn what_stands_in_a_long_value_is_found(
            few in proptest::collection::vec("[a-c\u{e9}\u{2013}:-]{1,4}|[a-c:-]{5,12}", 4..9),
            many in any::<bool>(),
            value in "[a-cA-C\u{e9}:-]{300,900}",
            pick in any::<prop::sample::Index>(),
            holds in any::<bool>(),
        ) {
            let others: Vec<String> = (0..80).map(|n| format!("nowhere {n}")).collect();
            let others = others.iter().map(String::as_str).take(if many { 80 } else { 0 });
            let texts: Vec<&str> = few.iter().map(String::as_str).chain(others).collect();
            let picked = few.get(pick.index(few.len())).filter(|_| holds);
            let value = value + picked.map_or("", |text| text);
            let expected: Vec<bool> =
                texts.iter().map(|text| fold(&value).contains(&*fold(text))).collect();
            let (one, each) = standing(&texts, &value);
            prop_assert_eq!(one, expected.contains(&true));
            prop_assert_eq!(each, expected);
        }

        #[test]
        fn an_ending_is_found_whatever_its_length(
            texts in proptest::collection::vec("[ab\u{e9}]{1,12}", 0..6),
            before in "[ab\u{e9}]{0,4}",
            pick in any::<prop::sample::Index>(),
            other in "[ab\u{e9}]{0,14}",
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let ends = Ends::new(&texts);
            let ending = texts.get(pick.index(texts.len().max(1))).copied().unwrap_or_default();
            for value in [format!("{before}{ending}"), other] {
                let has = texts.iter().any(|text| value.ends_with(text));
                prop_assert_eq!(ends.has_one_of(&value), has, "{}", value);
            }
        }
    }
}
