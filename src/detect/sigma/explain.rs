//! Why a rule holds for a document, or why not: its condition with yes and no at each node, what
//! each field says, and where in it the reason stands. Asks the same trees as the detector and
//! decides nothing of its own.

use serde::Serialize;

use super::evidence;
use super::scratch::{Asked, Scratch, finders};
use crate::document::Document;
use crate::finding::Evidence;
use crate::rule::Rule;
use crate::rule::detection::Unusable;
use crate::rule::outline::{Glue, Outline, Part};
use crate::rule::predicate::Predicate;
use crate::rule::tree::Tree;
use crate::taxonomy::log_source::{LogSource, Origin, why_never};
use crate::taxonomy::{Event, FieldId, Fields, Kind, ReadError, Reader, Slots};

/// More values of one field than this are not shown.
const MAX_SAID: usize = 8;

/// Explains one rule on one document after the other.
pub struct Explainer {
    outline: Outline,
    names: Vec<Box<str>>,
    reader: Reader,
    slots: Slots,
    scratch: Scratch,
}

/// What a node of an explanation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// All parts hold.
    All,
    /// One part holds.
    Any,
    /// The part does not hold.
    Not,
    /// A selection; its parts are what it asks.
    Selection,
    /// A field with modifiers: all of its values.
    FieldAll,
    /// A field with modifiers: one of its values.
    FieldAny,
    /// A field with modifiers: another value than these.
    FieldNone,
    /// A value.
    Value,
    /// No value: the field is absent or null.
    Null,
}

/// A node of the condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Whether it holds for the document.
    pub holds: bool,
    /// What it is.
    pub what: What,
    /// The selection's name, the field with its modifiers, or the value, as the rule has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The field's name, where one is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the document says in that field: nothing if it is absent, null, or values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<Vec<Option<String>>>,
    /// Where the value stands, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Node>,
}

/// What decides which log sources a document belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recognised {
    /// As what.
    pub origin: &'static str,
    /// Its channel, if it names one.
    pub channel: Option<String>,
    /// Its event id, if it has one.
    pub event_id: Option<String>,
}

/// Why a rule holds, or why not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Whether it fires: the log source fits and the condition holds.
    pub fires: bool,
    /// Whether the document belongs to the rule's log source.
    pub log_source_fits: bool,
    /// Why no document at all belongs to it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never: Option<&'static str>,
    /// What the document was recognised as.
    pub recognised: Recognised,
    /// The condition.
    pub condition: Node,
}

impl Node {
    /// How much of it holds, from 0 to 1: for finding the document that a rule nearly holds for.
    pub fn nearness(&self) -> f64 {
        let near = || self.parts.iter().map(Self::nearness);
        match self.what {
            _ if self.holds => 1.0,
            What::All | What::Selection | What::FieldAll if !self.parts.is_empty() => {
                near().sum::<f64>() / self.parts.len() as f64
            }
            What::Any => near().fold(0.0, f64::max),
            _ => 0.0,
        }
    }
}

impl Explainer {
    /// For that rule, by itself.
    ///
    /// # Errors
    /// Its detection cannot be compiled again.
    pub fn new(rule: &Rule) -> Result<Self, Unusable> {
        let mut fields = Fields::default();
        let outline = Outline::new(rule, &mut fields)?;
        let numbers = 0..u16::try_from(fields.len()).unwrap_or(u16::MAX);
        Ok(Self {
            names: numbers.map(|n| fields.name(FieldId(n)).into()).collect(),
            reader: Reader::new(&fields),
            slots: Slots::default(),
            scratch: Scratch::new(fields.len(), finders(outline.atoms.len()), 0),
            outline,
        })
    }

    /// The rule's conditions, as it has them.
    pub fn conditions(&self) -> &[String] {
        &self.outline.conditions
    }

    /// Explains the rule on a document. `look` is shown the event, for what else it says.
    ///
    /// # Errors
    /// The document is no JSON object.
    pub fn explain<T>(
        &mut self,
        document: &Document,
        look: impl FnOnce(&Event<'_>) -> T,
    ) -> Result<(Explanation, T), ReadError> {
        self.reader.read(&document.source, &mut self.slots)?;
        let event = Event::new(document, &self.slots);
        self.scratch.begin();
        let rule = &self.outline.rule;
        let mut walk = Walk {
            asked: Asked {
                atoms: &self.outline.atoms,
                rule,
            },
            outline: &self.outline,
            names: &self.names,
            event: &event,
            scratch: &mut self.scratch,
        };
        let condition = walk.tree(&rule.condition);
        let fits = event.route().fits(&rule.log_source);
        let text = |field| event.text(field).map(str::to_owned);
        let explanation = Explanation {
            fires: fits && condition.holds,
            log_source_fits: fits,
            never: never(&rule.log_source),
            recognised: Recognised {
                origin: match event.route().origin {
                    Origin::Unknown => "unknown",
                    Origin::Windows => "windows",
                    Origin::CommandHistory => "command_history",
                },
                channel: text(FieldId::CHANNEL),
                event_id: text(FieldId::EVENT_ID),
            },
            condition,
        };
        let looked = look(&event);
        Ok((explanation, looked))
    }
}

fn never(source: &LogSource) -> Option<&'static str> {
    if crate::taxonomy::log_source::known(source) {
        return None;
    }
    why_never(source).or(Some("is a log source that no document has"))
}

struct Walk<'a> {
    asked: Asked<'a>,
    outline: &'a Outline,
    names: &'a [Box<str>],
    event: &'a Event<'a>,
    scratch: &'a mut Scratch,
}

impl<'a> Walk<'a> {
    fn node(&mut self, what: What, tree: &Tree, parts: Vec<Node>) -> Node {
        Node {
            holds: self.scratch.holds(self.asked, self.event, tree),
            what,
            text: String::new(),
            field: None,
            said: None,
            evidence: None,
            parts,
        }
    }

    /// A node of the condition.
    fn tree(&mut self, tree: &'a Tree) -> Node {
        match tree {
            Tree::All(parts) => {
                let nodes = parts.iter().map(|part| self.tree(part)).collect();
                self.node(What::All, tree, nodes)
            }
            Tree::Any(parts) => {
                let nodes = parts.iter().map(|part| self.tree(part)).collect();
                self.node(What::Any, tree, nodes)
            }
            Tree::Not(inner) => {
                let inner = vec![self.tree(inner)];
                self.node(What::Not, tree, inner)
            }
            Tree::Selection(number) => {
                let parts = match self.outline.selections.get(*number) {
                    Some(part) if part.glue == Glue::All && part.text.is_empty() => {
                        part.parts.iter().map(|part| self.part(part)).collect()
                    }
                    Some(part) => vec![self.part(part)],
                    None => Vec::new(),
                };
                let mut node = self.node(What::Selection, tree, parts);
                let selection = self.asked.rule.selections.get(*number);
                node.text = selection.map_or_else(String::new, |s| s.name.to_string());
                node
            }
            // Conditions name selections only.
            Tree::Atom(_) => self.node(What::Value, tree, Vec::new()),
        }
    }

    fn part(&mut self, part: &'a Part) -> Node {
        if let ([only], true) = (part.parts.as_slice(), part.text.is_empty()) {
            return self.part(only);
        }
        let parts: Vec<Node> = part.parts.iter().map(|part| self.part(part)).collect();
        let is_group = part.text.is_empty() && !parts.is_empty();
        let what = match part.glue {
            Glue::Value if self.is_null(&part.tree) => What::Null,
            Glue::Value => What::Value,
            Glue::All if is_group => What::All,
            Glue::Any if is_group => What::Any,
            Glue::All => What::FieldAll,
            Glue::Any => What::FieldAny,
            Glue::None => What::FieldNone,
        };
        let mut node = self.node(what, &part.tree, parts);
        node.text.clone_from(&part.text);
        if let Some(field) = part.field {
            node.field = self.names.get(field.index()).map(ToString::to_string);
            node.said = self.said(field);
        }
        if node.holds && what == What::Value {
            let pieces =
                evidence::of_tree(self.asked, self.names, self.event, self.scratch, &part.tree);
            node.evidence = pieces.into_iter().next();
        }
        node
    }

    fn is_null(&self, tree: &Tree) -> bool {
        let Tree::Atom(id) = tree else {
            return false;
        };
        let atom = self.asked.atoms.get(id.index());
        atom.is_some_and(|atom| atom.predicate == Predicate::Null)
    }

    fn said(&self, field: FieldId) -> Option<Vec<Option<String>>> {
        self.event.has(field).then(|| {
            let values = self.event.values(field).take(MAX_SAID);
            values
                .map(|value| {
                    (value.kind != Kind::Null)
                        .then(|| Evidence::new("", "", value.text, None).value)
                })
                .collect()
        })
    }
}
