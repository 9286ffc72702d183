//! A rule as its author wrote it: each field and value of its selections with the tree that the
//! compiler makes of it, so that an explanation can ask them one by one. Compiles with the same
//! compiler as the rule itself; only explanations want it.

use super::detection::{Compiler, Unusable};
use super::modifier::{Kind, Modifiers};
use super::predicate::Atom;
use super::tree::{Atoms, Selection, Tree};
use super::yaml::{self, Entry, Node, Value};
use super::{Rule, condition};
use crate::taxonomy::{FieldId, Fields};

/// How the parts of a [`Part`] go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glue {
    /// All of them hold.
    All,
    /// One of them holds.
    Any,
    /// None of them holds (`neq`), and the field has a value.
    None,
    /// There are none: one value.
    Value,
}

/// A part of a selection.
#[derive(Clone, Debug)]
pub struct Part {
    /// A field with its modifiers, or a value, as written; empty for a map or list of others.
    pub text: String,
    /// What the parts have to do with it.
    pub glue: Glue,
    /// The field that is asked; for the value of a `fieldref` the other one. `None` for other values,
    /// groups and keywords.
    pub field: Option<FieldId>,
    /// What is asked.
    pub tree: Tree,
    /// The fields of a map, the members of a list, the values of a field.
    pub parts: Vec<Part>,
}

/// A rule, taken apart.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The rule over the atoms below.
    pub rule: Rule,
    /// What it asks, by number.
    pub atoms: Vec<Atom>,
    /// Its selections, in the order of [`Rule::selections`].
    pub selections: Vec<Part>,
    /// Its conditions as written, those of its filters behind its own.
    pub conditions: Vec<String>,
}

impl Outline {
    /// Takes a rule apart that was compiled before. The fields that it asks for are added to
    /// `fields`.
    ///
    /// # Errors
    /// Its detection is not what it was compiled from.
    pub fn new(rule: &Rule, fields: &mut Fields) -> Result<Self, Unusable> {
        let mut atoms = Atoms::default();
        let mut compiler = Compiler::new(fields, &mut atoms);
        let mut outline = Self {
            rule: rule.clone(),
            atoms: Vec::new(),
            selections: Vec::new(),
            conditions: Vec::new(),
        };
        let known = std::mem::take(&mut outline.rule.selections);
        let mut trees = Vec::new();
        let detections = std::iter::once(&*rule.detection);
        for detection in detections.chain(rule.filters.iter().map(|filter| &**filter)) {
            trees.push(outline.detection(&mut compiler, detection, &known)?);
        }
        outline.rule.condition = Tree::all(trees);
        outline.rule.codings = compiler.codings();
        outline.atoms = atoms.into_vec();
        Ok(outline)
    }

    /// Adds the rule's own detection or that of a filter, whose selections are known by other names.
    fn detection(
        &mut self,
        compiler: &mut Compiler<'_>,
        text: &str,
        known: &[Selection],
    ) -> Result<Tree, Unusable> {
        let line = self.rule.line;
        // JSON is YAML.
        let Some(Ok(node)) = yaml::parse(text).into_iter().next() else {
            return Err(Unusable::new(line, "its detection cannot be read"));
        };
        let first = self.rule.selections.len();
        let mut own = Vec::new();
        for entry in node.entries() {
            if matches!(&*entry.key, "condition" | "timeframe") {
                continue;
            }
            let part = group(compiler, &entry.value)?;
            own.push(Selection {
                name: entry.key.as_str().into(),
                line,
                tree: part.tree.clone(),
            });
            self.selections.push(part);
        }
        let mut trees = Vec::new();
        for item in node.get("condition").map(Node::items).unwrap_or_default() {
            let text = item.scalar().unwrap_or_default();
            let tree = condition::parse(text, &own);
            trees.push(tree.map_err(|error| Unusable::new(line, error.message))?);
            self.conditions.push(text.to_owned());
        }
        for (selection, known) in own.into_iter().zip(known.iter().skip(first)) {
            self.rule.selections.push(Selection {
                name: known.name.clone(),
                line: known.line,
                ..selection
            });
        }
        Ok(Tree::any(trees).behind(first))
    }
}

fn group(compiler: &mut Compiler<'_>, node: &Node) -> Result<Part, Unusable> {
    let (glue, parts) = match &node.value {
        Value::Map(entries) => {
            let fields = entries.iter().map(|entry| field(compiler, entry));
            (Glue::All, fields.collect::<Result<Vec<_>, _>>()?)
        }
        Value::List(items) => {
            let groups = items.iter().map(|item| group(compiler, item));
            (Glue::Any, groups.collect::<Result<Vec<_>, _>>()?)
        }
        _ => return value(compiler, None, &Modifiers::default(), node),
    };
    let trees = parts.iter().map(|part| part.tree.clone()).collect();
    Ok(Part {
        text: String::new(),
        glue,
        field: None,
        tree: match glue {
            Glue::All => Tree::all(trees),
            _ => Tree::any(trees),
        },
        parts,
    })
}

fn field(compiler: &mut Compiler<'_>, entry: &Entry) -> Result<Part, Unusable> {
    let tree = compiler.field(entry)?;
    let mut words = entry.key.split('|');
    let name = words.next().unwrap_or_default();
    let modifiers = Modifiers::parse(words, entry.line)?;
    let field = (!name.is_empty()).then(|| compiler.fields.intern(name));
    let mut parts = Vec::new();
    if modifiers.exists {
        parts.push(Part {
            text: entry.value.scalar().unwrap_or_default().to_owned(),
            glue: Glue::Value,
            field: None,
            tree: tree.clone(),
            parts: Vec::new(),
        });
    } else {
        for item in entry.value.items() {
            parts.push(value(compiler, field, &modifiers, item)?);
        }
    }
    Ok(Part {
        text: entry.key.clone(),
        glue: match (modifiers.not_equal, modifiers.all) {
            (true, _) => Glue::None,
            (_, true) => Glue::All,
            _ => Glue::Any,
        },
        field,
        tree,
        parts,
    })
}

fn value(
    compiler: &mut Compiler<'_>,
    field: Option<FieldId>,
    modifiers: &Modifiers,
    node: &Node,
) -> Result<Part, Unusable> {
    let tree = compiler.value(field, modifiers, node)?;
    let text = node.scalar().unwrap_or("null").to_owned();
    let field = match modifiers.kind {
        Kind::Reference => Some(compiler.fields.intern(&text)),
        _ => None,
    };
    Ok(Part {
        text,
        glue: Glue::Value,
        field,
        tree,
        parts: Vec::new(),
    })
}
