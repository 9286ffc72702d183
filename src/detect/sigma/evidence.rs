//! Why a rule held: its tree is walked again, and each question that was answered with yes gives
//! the field, the value and the place in it. Never decides anything.

use super::scratch::{Asked, Scratch};
use crate::finding::Evidence;
use crate::rule::predicate::{Atom, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::Event;

/// So many pieces say enough.
const MAX_PIECES: usize = 16;

/// The evidence for a rule that holds for the event. `names` has the Sigma name of each field.
pub(super) fn collect(
    asked: Asked<'_>,
    names: &[Box<str>],
    event: &Event<'_>,
    scratch: &mut Scratch,
) -> Vec<Evidence> {
    let mut walk = Walk {
        asked,
        names,
        event,
        scratch,
        selection: "",
        pieces: Vec::new(),
    };
    walk.tree(&asked.rule.condition);
    walk.pieces
}

struct Walk<'a> {
    asked: Asked<'a>,
    names: &'a [Box<str>],
    event: &'a Event<'a>,
    scratch: &'a mut Scratch,
    selection: &'a str,
    pieces: Vec<Evidence>,
}

impl<'a> Walk<'a> {
    fn tree(&mut self, tree: &'a Tree) {
        if self.pieces.len() >= MAX_PIECES || !self.scratch.holds(self.asked, self.event, tree) {
            return;
        }
        match tree {
            Tree::Atom(id) => {
                if let Some(atom) = self.asked.atoms.get(id.index()) {
                    self.atom(atom);
                }
            }
            Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|part| self.tree(part)),
            // What is not there cannot be shown.
            Tree::Not(_) => {}
            Tree::Selection(number) => {
                if let Some(selection) = self.asked.rule.selections.get(*number) {
                    self.selection = &selection.name;
                    self.tree(&selection.tree);
                }
            }
        }
    }

    fn atom(&mut self, atom: &Atom) {
        let (value, span) = match (&atom.predicate, atom.field) {
            (Predicate::Reference { .. }, Some(field)) => {
                (self.event.text(field).unwrap_or_default(), None)
            }
            (predicate, field) => match self.scratch.find(self.event, field, predicate) {
                Some((value, number)) => (value, predicate.span(value, self.scratch.value(number))),
                None => ("", None),
            },
        };
        let name = atom.field.and_then(|field| self.names.get(field.index()));
        let piece = Evidence::new(self.selection, name.map_or("", |n| n), value, span);
        if !self.pieces.contains(&piece) {
            self.pieces.push(piece);
        }
    }
}
