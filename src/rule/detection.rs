//! The `detection` of a rule: selections of fields, modifiers and values, compiled into a
//! [`Tree`]. What cannot be compiled is an [`Unusable`] with its line; nothing is ever dropped
//! from a detection in silence, since a rule that asks less finds too much.

use super::coding::Codings;
use super::condition;
use super::expression::Expression;
use super::modifier::{Kind, Modifiers};
use super::pattern;
use super::predicate::{How, Network, Number, Predicate};
use super::tree::{Atoms, Selection, Tree};
use super::yaml::{Entry, Node, Value};
use crate::taxonomy::{FieldId, Fields};

/// A rule that asks more questions than this is refused.
const MAX_ATOMS: usize = 20_000;

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The line, counted from 1.
    pub line: usize,
    /// A lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Unusable {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a detection is compiled with.
pub struct Compiler<'a> {
    /// The fields that readers must fill.
    pub fields: &'a mut Fields,
    /// The atoms of all rules.
    pub atoms: &'a mut Atoms,
    codings: Codings,
    left: usize,
}

impl<'a> Compiler<'a> {
    /// A compiler for one rule.
    pub fn new(fields: &'a mut Fields, atoms: &'a mut Atoms) -> Self {
        Self {
            fields,
            atoms,
            codings: Codings::default(),
            left: MAX_ATOMS,
        }
    }

    /// What became of values in those of the atoms since it was asked last that say something else.
    pub fn codings(&mut self) -> Codings {
        std::mem::take(&mut self.codings)
    }

    /// Compiles a detection: its selections, and its condition over them.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn detection(&mut self, node: &Node) -> Result<(Vec<Selection>, Tree), Unusable> {
        if !matches!(node.value, Value::Map(_)) {
            return Err(Unusable::new(node.line, "`detection` is not a map"));
        }
        let mut selections = Vec::new();
        for entry in node.entries() {
            if matches!(&*entry.key, "condition" | "timeframe") {
                continue;
            }
            selections.push(Selection {
                name: entry.key.as_str().into(),
                line: entry.line,
                tree: self.group(&entry.value)?,
            });
        }
        let Some(condition) = node.get("condition") else {
            return Err(Unusable::new(node.line, "`detection` has no `condition`")
                .help("add `condition: selection`"));
        };
        let mut parts = Vec::new();
        for item in condition.items() {
            let Some(text) = item.scalar() else {
                return Err(
                    Unusable::new(item.line, format!("a condition is {}", item.kind()))
                        .help("write it as text"),
                );
            };
            parts.push(
                condition::parse(text, &selections).map_err(|error| Unusable {
                    line: item.line,
                    message: error.message,
                    help: error.help,
                })?,
            );
        }
        if parts.is_empty() {
            return Err(Unusable::new(condition.line, "the condition is empty"));
        }
        Ok((selections, Tree::any(parts)))
    }

    /// A map is all of its fields, a list one of its members, a value alone a keyword.
    fn group(&mut self, node: &Node) -> Result<Tree, Unusable> {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                let mut parts = Vec::new();
                for entry in entries {
                    parts.push(self.field(entry)?);
                }
                self.order(&mut parts);
                Ok(Tree::all(parts))
            }
            Value::List(items) if !items.is_empty() => {
                let mut parts = Vec::new();
                for item in items {
                    parts.push(self.group(item)?);
                }
                self.order(&mut parts);
                Ok(Tree::any(parts))
            }
            Value::Map(_) | Value::List(_) | Value::Null => {
                Err(Unusable::new(node.line, "an empty selection"))
            }
            _ => self.value(None, &Modifiers::default(), node),
        }
    }

    pub(super) fn field(&mut self, entry: &Entry) -> Result<Tree, Unusable> {
        let mut words = entry.key.split('|');
        let name = words.next().unwrap_or_default();
        let modifiers = Modifiers::parse(words, entry.line)?;
        let field = (!name.is_empty()).then(|| self.fields.intern(name));
        if modifiers.exists {
            return self.exists(field, &entry.value);
        }
        let mut parts = Vec::new();
        for item in entry.value.items() {
            parts.push(self.value(field, &modifiers, item)?);
        }
        if parts.is_empty() {
            return Err(
                Unusable::new(entry.line, format!("`{}` has an empty list", entry.key))
                    .help("leave the field out, or name a value"),
            );
        }
        self.order(&mut parts);
        let tree = if modifiers.all {
            Tree::all(parts)
        } else {
            Tree::any(parts)
        };
        if !modifiers.not_equal {
            return Ok(tree);
        }
        // Another value is a value: an absent field is none.
        let present = self.atom(field, Predicate::Present, entry.line)?;
        Ok(Tree::all(vec![present, Tree::Not(Box::new(tree))]))
    }

    fn exists(&mut self, field: Option<FieldId>, node: &Node) -> Result<Tree, Unusable> {
        let wanted = match node.scalar() {
            Some("true" | "yes") => true,
            Some("false" | "no") => false,
            _ => {
                return Err(Unusable::new(node.line, "`exists` is not true or false"));
            }
        };
        if field.is_none() {
            return Err(Unusable::new(node.line, "`exists` needs a field"));
        }
        let atom = self.atom(field, Predicate::Exists, node.line)?;
        Ok(if wanted {
            atom
        } else {
            Tree::Not(Box::new(atom))
        })
    }

    pub(super) fn value(
        &mut self,
        field: Option<FieldId>,
        modifiers: &Modifiers,
        node: &Node,
    ) -> Result<Tree, Unusable> {
        let line = node.line;
        let Some(text) = node.scalar() else {
            return match node.value {
                Value::Null if field.is_some() && modifiers.take_null() => {
                    self.atom(field, Predicate::Null, line)
                }
                _ => Err(Unusable::new(line, format!("a value is {}", node.kind()))
                    .help("a value is text, a number, true, false, or (without modifiers) null")),
            };
        };
        let predicate = match modifiers.kind {
            Kind::Regex => {
                let source = modifiers.flags() + text;
                Expression::new(&source)
                    .map(Predicate::Regex)
                    .map_err(|why| {
                        Unusable::new(line, format!("bad regex `{text}`: {why}"))
                            .help("look-around and back-references are not supported")
                    })?
            }
            Kind::Network => Predicate::Network(Network::parse(text).ok_or_else(|| {
                Unusable::new(line, format!("`{text}` is no network")).help("such as `10.0.0.0/8`")
            })?),
            Kind::Number(compare) => {
                let number = Number::parse(text)
                    .ok_or_else(|| Unusable::new(line, format!("`{text}` is no number")))?;
                Predicate::Number(compare, number)
            }
            Kind::Reference => Predicate::Reference {
                how: modifiers.how,
                field: self.fields.intern(text),
                cased: modifiers.cased,
            },
            Kind::Time(unit, compare) => Predicate::Time(unit, compare, unit.read(text, line)?),
            Kind::Text => return self.text(field, modifiers, text, line),
        };
        self.atom(field, predicate, line)
    }

    fn text(
        &mut self,
        field: Option<FieldId>,
        modifiers: &Modifiers,
        text: &str,
        line: usize,
    ) -> Result<Tree, Unusable> {
        // A keyword may stand anywhere in a value.
        let how = if field.is_none() && modifiers.how == How::Equals {
            How::Contains
        } else {
            modifiers.how
        };
        let before = matches!(how, How::Contains | How::EndsWith);
        let behind = matches!(how, How::Contains | How::StartsWith);
        let mut parts = Vec::new();
        for (tokens, coding) in modifiers.spellings(text, line)? {
            let tokens = pattern::open(tokens, before, behind);
            let atom = self.atom(field, Predicate::text(tokens, modifiers.cased), line)?;
            if let (Tree::Atom(id), Some(coding)) = (&atom, coding) {
                self.codings.add(*id, coding);
            }
            parts.push(atom);
        }
        Ok(Tree::any(parts))
    }

    fn atom(
        &mut self,
        field: Option<FieldId>,
        predicate: Predicate,
        line: usize,
    ) -> Result<Tree, Unusable> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| Unusable::new(line, format!("more than {MAX_ATOMS} values")))?;
        Ok(Tree::Atom(self.atoms.intern(field, predicate)))
    }

    /// Cheap questions first; equally dear ones stay as the rule has them.
    fn order(&self, parts: &mut [Tree]) {
        parts.sort_by_cached_key(|part| self.cost(part));
    }

    fn cost(&self, tree: &Tree) -> u32 {
        let sum = |parts: &[Tree]| {
            parts
                .iter()
                .map(|part| self.cost(part))
                .fold(0, u32::saturating_add)
        };
        match tree {
            Tree::Atom(id) => self.atoms.as_slice().get(id.index()).map_or(0, |atom| {
                atom.predicate.cost() + u32::from(atom.field.is_none()) * 50
            }),
            Tree::All(parts) | Tree::Any(parts) => sum(parts),
            Tree::Not(inner) => self.cost(inner),
            Tree::Selection(_) => 0,
        }
    }
}
