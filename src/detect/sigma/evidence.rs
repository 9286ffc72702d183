//! Why a rule held: its tree is walked again, and each question that was answered with yes gives
//! the field, the value and the place in it. Never decides anything.

use super::scratch::{Asked, Scratch};
use crate::finding::Evidence;
use crate::rule::predicate::{AtomId, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::{Event, FieldId};

/// So many pieces of one selection, and of all of them, say enough; each selection that held has
/// one, up to a last limit.
const MAX_OF_SELECTION: usize = 8;
const MAX_PIECES: usize = 24;
const MAX_SELECTIONS: usize = 64;

/// The evidence for a rule that holds for the event. `names` has the Sigma name of each field.
pub(super) fn collect(
    asked: Asked<'_>,
    names: &[Box<str>],
    event: &Event<'_>,
    scratch: &mut Scratch,
) -> Vec<Evidence> {
    let mut walk = Walk::new(asked, names, event, scratch);
    walk.known(&asked.rule.condition);
    walk.pieces
}

/// The evidence for a part of a rule.
pub(super) fn of_tree(
    asked: Asked<'_>,
    names: &[Box<str>],
    event: &Event<'_>,
    scratch: &mut Scratch,
    tree: &Tree,
) -> Vec<Evidence> {
    let mut walk = Walk::new(asked, names, event, scratch);
    walk.any(tree);
    walk.pieces
}

struct Walk<'a> {
    asked: Asked<'a>,
    names: &'a [Box<str>],
    event: &'a Event<'a>,
    scratch: &'a mut Scratch,
    selection: &'a str,
    /// The first piece of the present selection.
    first: usize,
    pieces: Vec<Evidence>,
}

impl<'a> Walk<'a> {
    fn new(
        asked: Asked<'a>,
        names: &'a [Box<str>],
        event: &'a Event<'a>,
        scratch: &'a mut Scratch,
    ) -> Self {
        Self {
            asked,
            names,
            event,
            scratch,
            selection: "",
            first: 0,
            pieces: Vec::new(),
        }
    }

    fn is_enough(&self) -> bool {
        let of_selection = self.pieces.len() - self.first;
        of_selection >= MAX_OF_SELECTION
            || of_selection > 0 && self.pieces.len() >= MAX_PIECES
            || self.pieces.len() >= MAX_SELECTIONS
    }

    /// A part that need not hold.
    fn any(&mut self, tree: &'a Tree) {
        let is_wanted = matches!(tree, Tree::Selection(_)) || !self.is_enough();
        if is_wanted && self.scratch.holds(self.asked, self.event, tree) {
            self.known(tree);
        }
    }

    /// A part that holds. So do all parts of what all must hold: these are not asked again.
    fn known(&mut self, tree: &'a Tree) {
        if !matches!(tree, Tree::Selection(_)) && self.is_enough() {
            return;
        }
        match tree {
            Tree::Atom(id) => self.atom(*id),
            Tree::All(parts) => parts.iter().for_each(|part| self.known(part)),
            Tree::Any(parts) => parts.iter().for_each(|part| self.any(part)),
            // What is not there cannot be shown, only named.
            Tree::Not(inner) => {
                if let Tree::Atom(id) = &**inner
                    && let Some(atom) = self.asked.atoms.get(id.index())
                    && atom.predicate == Predicate::Exists
                {
                    self.push(Evidence::new(
                        self.selection,
                        self.name(atom.field),
                        "",
                        None,
                    ));
                }
            }
            Tree::Selection(number) => {
                if let Some(selection) = self.asked.rule.selections.get(*number) {
                    self.selection = &selection.name;
                    self.first = self.pieces.len();
                    self.known(&selection.tree);
                    if self.pieces.len() == self.first && !self.is_enough() {
                        self.push(Evidence::new(self.selection, "", "", None));
                    }
                }
            }
        }
    }

    fn name(&self, field: Option<FieldId>) -> &'a str {
        let name = field.and_then(|field| self.names.get(field.index()));
        name.map_or("", |name| name)
    }

    fn atom(&mut self, id: AtomId) {
        let asked = self.asked;
        let Some(atom) = asked.atoms.get(id.index()) else {
            return;
        };
        let (value, span) = match (&atom.predicate, atom.field) {
            (Predicate::Reference { .. }, Some(field)) => {
                (self.event.text(field).unwrap_or_default(), None)
            }
            _ => {
                let shown = self.scratch.shown(self.event, id, atom);
                shown.unwrap_or_default()
            }
        };
        let mut piece = Evidence::new(self.selection, self.name(atom.field), value, span);
        if let Some(coding) = asked.rule.codings.of(id) {
            let whole = (0, value.len());
            piece.decoded = coding.decode(value, span.unwrap_or(whole));
        }
        self.push(piece);
    }

    fn push(&mut self, piece: Evidence) {
        if !self.pieces.contains(&piece) {
            self.pieces.push(piece);
        }
    }
}
