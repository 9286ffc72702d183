//! A rule's detection, compiled: And/Or/Not over interned [`Atom`]s, with the selections that its
//! condition names kept apart, so that naming one twice copies nothing and evidence can say which
//! one held.

use rustc_hash::FxHashMap;

use super::predicate::{Atom, AtomId, Predicate};
use crate::taxonomy::FieldId;

/// A node of a detection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// A question to the document.
    Atom(AtomId),
    /// All hold; of none, always.
    All(Vec<Tree>),
    /// One holds; of none, never.
    Any(Vec<Tree>),
    /// It does not hold.
    Not(Box<Tree>),
    /// The selection of that number. Selections name no selections.
    Selection(usize),
}

impl Tree {
    /// All of them; one alone stands for itself.
    pub fn all(mut parts: Vec<Self>) -> Self {
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Self::All(parts)
            }
            None => Self::All(parts),
        }
    }

    /// One of them; one alone stands for itself.
    pub fn any(mut parts: Vec<Self>) -> Self {
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Self::Any(parts)
            }
            None => Self::Any(parts),
        }
    }

    /// The same, where so many selections stand before those that it names.
    #[must_use]
    pub fn behind(self, first: usize) -> Self {
        let each = |parts: Vec<Self>| parts.into_iter().map(|part| part.behind(first)).collect();
        match self {
            Self::Atom(id) => Self::Atom(id),
            Self::All(parts) => Self::All(each(parts)),
            Self::Any(parts) => Self::Any(each(parts)),
            Self::Not(inner) => Self::Not(Box::new(inner.behind(first))),
            Self::Selection(number) => Self::Selection(first + number),
        }
    }
}

/// A named part of a detection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// As the rule calls it.
    pub name: Box<str>,
    /// The line of its name, counted from 1.
    pub line: usize,
    /// What it asks.
    pub tree: Tree,
}

/// All atoms of a rule set; the same question is one atom, whichever rule asks it.
#[derive(Clone, Debug, Default)]
pub struct Atoms {
    atoms: Vec<Atom>,
    ids: FxHashMap<Atom, AtomId>,
}

impl Atoms {
    /// The number of that atom.
    pub fn intern(&mut self, field: Option<FieldId>, predicate: Predicate) -> AtomId {
        let atom = Atom { field, predicate };
        if let Some(id) = self.ids.get(&atom) {
            return *id;
        }
        // Rules of u32::MAX atoms do not fit into memory.
        let id = AtomId(u32::try_from(self.atoms.len()).unwrap_or(u32::MAX));
        self.atoms.push(atom.clone());
        self.ids.insert(atom, id);
        id
    }

    /// Gives the atoms up, by number.
    pub fn into_vec(self) -> Vec<Atom> {
        self.atoms
    }

    /// The atoms so far, by number.
    pub fn as_slice(&self) -> &[Atom] {
        &self.atoms
    }
}
