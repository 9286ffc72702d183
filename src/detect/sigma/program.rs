//! A rule's condition made fast: where one of many texts may stand in a field, all of them are
//! looked for at once. Says of every event what the [`Tree`] says, which stays the authority.

use super::scratch::{Asked, Scratch};
use super::text::Text;
use super::texts::{Texts, text_of};
use crate::rule::Rule;
use crate::rule::predicate::{Atom, AtomId, How, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::{Event, FieldId};

/// From so many texts on they are looked for together.
const MANY: usize = 4;

/// A node of a condition.
#[derive(Debug)]
pub(super) enum Program {
    Atom(AtomId),
    /// The same as an atom.
    Text(Text),
    /// All of the parts, of which so many of the first ask no regular expression.
    All(Box<[Program]>, u32),
    Any(Box<[Program]>),
    Not(Box<Program>),
    /// One of those texts stands in the field.
    Texts(Box<Texts>),
}

impl Program {
    /// The rule's condition.
    pub(super) fn new(rule: &Rule, atoms: &[Atom]) -> Self {
        Self::of(&rule.condition, rule, atoms)
    }

    fn of(tree: &Tree, rule: &Rule, atoms: &[Atom]) -> Self {
        let each = |parts: &[Tree]| {
            let parts = parts.iter().map(|part| Self::of(part, rule, atoms));
            parts.collect::<Vec<Self>>()
        };
        match tree {
            Tree::Atom(id) => {
                let atom = atoms.get(id.index());
                let text = atom.and_then(|atom| Text::of(*id, atom));
                text.map_or(Self::Atom(*id), Self::Text)
            }
            Tree::All(parts) => {
                let mut flat = Vec::with_capacity(parts.len());
                for part in each(parts) {
                    match part {
                        Self::All(inner, _) => flat.extend(inner),
                        other => flat.push(other),
                    }
                }
                let parts = cheapest_first(flat, atoms);
                let plain = parts.iter().take_while(|part| !part.has_regex(atoms));
                let plain = u32::try_from(plain.count()).unwrap_or(u32::MAX);
                Self::All(parts, plain)
            }
            Tree::Any(parts) => Self::any(parts, rule, atoms),
            Tree::Not(inner) => Self::Not(Box::new(Self::of(inner, rule, atoms))),
            Tree::Selection(number) => match rule.selections.get(*number) {
                Some(selection) => Self::of(&selection.tree, rule, atoms),
                // Never holds, as there is none.
                None => Self::Any(Box::default()),
            },
        }
    }

    fn any(parts: &[Tree], rule: &Rule, atoms: &[Atom]) -> Self {
        let text = |part: &Tree| match part {
            Tree::Atom(id) => text_of(atoms.get(id.index())?).map(|(f, h, text)| (f, h, text, *id)),
            _ => None,
        };
        let mut nodes = Vec::new();
        let mut done: Vec<(FieldId, How)> = Vec::new();
        for part in parts {
            let Some((field, how, ..)) = text(part) else {
                nodes.push(Self::of(part, rule, atoms));
                continue;
            };
            if done.contains(&(field, how)) {
                continue;
            }
            let of_kind = |part: &Tree| {
                text(part)
                    .filter(|(f, h, ..)| (*f, *h) == (field, how))
                    .map(|(_, _, text, id)| (text, id))
            };
            let (texts, ids): (Vec<&str>, Vec<AtomId>) = parts.iter().filter_map(of_kind).unzip();
            match (texts.len() >= MANY)
                .then(|| Texts::new(field, how, &texts, ids))
                .flatten()
            {
                Some(texts) => {
                    done.push((field, how));
                    nodes.push(Self::Texts(Box::new(texts)));
                }
                None => nodes.push(Self::of(part, rule, atoms)),
            }
        }
        Self::Any(cheapest_first(nodes, atoms))
    }

    fn has_regex(&self, atoms: &[Atom]) -> bool {
        match self {
            Self::Atom(id) => {
                let atom = atoms.get(id.index());
                atom.is_some_and(|atom| matches!(atom.predicate, Predicate::Regex(_)))
            }
            Self::All(parts, _) | Self::Any(parts) => {
                parts.iter().any(|part| part.has_regex(atoms))
            }
            Self::Not(inner) => inner.has_regex(atoms),
            Self::Text(_) | Self::Texts(_) => false,
        }
    }

    /// Roughly how long it takes to ask.
    fn cost(&self, atoms: &[Atom]) -> u32 {
        let of_text = |how| if how == How::Contains { 8 } else { 1 };
        match self {
            Self::Atom(id) => match atoms.get(id.index()).map(|atom| &atom.predicate) {
                Some(Predicate::Exists | Predicate::Null) => 0,
                Some(Predicate::Regex(_)) => 64,
                Some(Predicate::Text { how, .. }) => of_text(*how),
                _ => 8,
            },
            Self::Text(text) => of_text(text.how),
            Self::All(parts, _) | Self::Any(parts) => {
                parts.iter().map(|part| part.cost(atoms)).sum::<u32>()
            }
            Self::Not(inner) => inner.cost(atoms),
            Self::Texts(texts) => texts.cost(),
        }
    }

    /// Whether it holds for the event.
    pub(super) fn holds(&self, scratch: &mut Scratch, asked: Asked<'_>, event: &Event<'_>) -> bool {
        match self {
            Self::Atom(id) => scratch.answer(asked.atoms, event, *id),
            Self::Text(text) => text.stands(scratch, event),
            Self::All(parts, _) => parts.iter().all(|part| part.holds(scratch, asked, event)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(scratch, asked, event)),
            Self::Not(inner) => !inner.holds(scratch, asked, event),
            Self::Texts(texts) => texts.stand(scratch, asked.atoms, event),
        }
    }
}

impl Program {
    /// The same for the rule of that number as a whole, whose part that failed last time is asked
    /// first: events are much alike. Regular expressions stay the last, so that which of them are
    /// asked, and named if a value is too long, does not depend on other events.
    pub(super) fn holds_again(
        &self,
        number: u32,
        scratch: &mut Scratch,
        asked: Asked<'_>,
        event: &Event<'_>,
    ) -> bool {
        let Self::All(parts, plain) = self else {
            return self.holds(scratch, asked, event);
        };
        let first = usize::from(scratch.failing[number as usize]);
        let mut fails = |part: &Self| !part.holds(scratch, asked, event);
        if parts.get(first).is_some_and(&mut fails) {
            return false;
        }
        let mut rest = parts.iter().enumerate().filter(|(at, _)| *at != first);
        let Some((at, _)) = rest.find(|(_, part)| fails(part)) else {
            return true;
        };
        if at < *plain as usize {
            scratch.failing[number as usize] = u16::try_from(at).unwrap_or(0);
        }
        false
    }

    /// Answers for the event what is sooner answered together than one by one, before each is asked.
    pub(super) fn answer_many(&self, scratch: &mut Scratch, asked: Asked<'_>, event: &Event<'_>) {
        match self {
            Self::All(parts, _) | Self::Any(parts) => {
                parts
                    .iter()
                    .for_each(|part| part.answer_many(scratch, asked, event));
            }
            Self::Not(inner) => inner.answer_many(scratch, asked, event),
            Self::Texts(texts) => texts.answer_each(scratch, asked.atoms, event),
            Self::Text(_) | Self::Atom(_) => {}
        }
    }

    /// Whether it could come out as `wanted` for some event that says what this one says in all but
    /// the `new` fields. Says yes too often, as it takes each question to those for one by itself.
    pub(super) fn could(
        &self,
        wanted: bool,
        new: &[FieldId],
        scratch: &mut Scratch,
        asked: Asked<'_>,
        event: &Event<'_>,
    ) -> bool {
        let part = |part: &Self| part.could(wanted, new, scratch, asked, event);
        match self {
            Self::All(parts, _) if wanted => parts.iter().all(part),
            Self::All(parts, _) => parts.iter().any(part),
            Self::Any(parts) if wanted => parts.iter().any(part),
            Self::Any(parts) => parts.iter().all(part),
            Self::Not(inner) => inner.could(!wanted, new, scratch, asked, event),
            Self::Atom(id) => {
                let asks_new = asked.atoms.get(id.index()).is_none_or(|atom| {
                    let other = match atom.predicate {
                        Predicate::Reference { field, .. } => Some(field),
                        _ => None,
                    };
                    atom.field.is_none_or(|field| new.contains(&field))
                        || other.is_some_and(|field| new.contains(&field))
                });
                asks_new || self.holds(scratch, asked, event) == wanted
            }
            Self::Text(Text { field, .. }) => {
                new.contains(field) || self.holds(scratch, asked, event) == wanted
            }
            Self::Texts(texts) => {
                new.contains(&texts.field) || self.holds(scratch, asked, event) == wanted
            }
        }
    }
}

/// In the order in which they are asked, regular expressions last. A rule is mostly woken by a text
/// that stands somewhere, and then not fulfilled by how another value ends, which is sooner told.
fn cheapest_first(mut parts: Vec<Program>, atoms: &[Atom]) -> Box<[Program]> {
    parts.sort_by_cached_key(|part| (part.has_regex(atoms), part.cost(atoms)));
    parts.into()
}
