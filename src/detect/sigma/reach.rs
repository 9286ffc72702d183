//! Which rules could ever fire on what is collected: whether documents of their log source occur,
//! and whether those have the fields without which no selection can hold. Says "never" only where
//! that is certain for the documents seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::rule::correlation::{Condition, Correlation, Kind, Member, Named};
use crate::rule::predicate::{Atom, Predicate};
use crate::rule::tree::Tree;
use crate::rule::{Rule, RuleSet};
use crate::taxonomy::{Event, FieldId, Fields, Route, log_source};

/// What was seen of documents: for each route how many, and which fields they have.
#[derive(Debug, Default)]
pub struct Collected {
    routes: BTreeMap<Route, Shape>,
}

#[derive(Debug)]
struct Shape {
    documents: u64,
    /// Fields that no document of the route had yet.
    absent: Vec<FieldId>,
}

/// Why a rule fires on nothing, or that it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It may fire: so many documents have its log source.
    May(u64),
    /// No document can have its log source.
    Nowhere,
    /// No document seen has its log source.
    NotCollected,
    /// Its log source occurs, so many times, but none of its documents has these fields.
    Lacks(u64, Vec<String>),
    /// It is a correlation, and of what it builds on these can fire on nothing.
    Without(Vec<String>),
}

/// Whether each correlation of the set could fire, if that is what is known of its rules.
pub fn correlations(set: &RuleSet, rules: &[Reach]) -> Vec<Reach> {
    let mut told: Vec<Reach> = Vec::with_capacity(set.correlations.len());
    for correlation in &set.correlations {
        let may = |member: &Member| match member.rule {
            Named::Rule(at) => rules.get(at),
            Named::Correlation(at) => told.get(at),
        };
        let documents = |member: &Member| match may(member) {
            Some(Reach::May(documents)) => Some(*documents),
            Some(_) => None,
            None => Some(0),
        };
        let found: Vec<Option<u64>> = correlation.members.iter().map(documents).collect();
        let reach = match could_hold(correlation, &found) {
            true => Reach::May(found.iter().flatten().sum()),
            false => {
                let members = correlation.members.iter().zip(&found);
                let without = members.filter(|(_, found)| found.is_none());
                Reach::Without(without.map(|(member, _)| member.name.to_string()).collect())
            }
        };
        told.push(reach);
    }
    told
}

/// Whether it could, where only the members that are `Some` may fire.
fn could_hold(correlation: &Correlation, found: &[Option<u64>]) -> bool {
    let may = found.iter().flatten().count();
    match (&correlation.condition, correlation.kind) {
        (Condition::Rules(tree), _) => could_be(tree, found),
        (Condition::Measure(all), Kind::Temporal | Kind::Ordered) => (1..=may).any(|rules| {
            let rules = rules as f64;
            all.iter()
                .all(|(compare, than)| compare.holds(rules, *than))
        }),
        (Condition::Measure(_), _) => may > 0,
    }
}

fn could_be(tree: &Tree, found: &[Option<u64>]) -> bool {
    match tree {
        Tree::Selection(member) => found.get(*member).is_none_or(Option::is_some),
        Tree::All(parts) => parts.iter().all(|part| could_be(part, found)),
        Tree::Any(parts) => parts.iter().any(|part| could_be(part, found)),
        Tree::Not(_) | Tree::Atom(_) => true,
    }
}

impl Collected {
    /// Takes in one event.
    pub fn add(&mut self, event: &Event<'_>, fields: &Fields) {
        let all = || {
            let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
            (0..count).map(FieldId).collect()
        };
        let shape = self.routes.entry(event.route()).or_insert_with(|| Shape {
            documents: 0,
            absent: all(),
        });
        shape.documents += 1;
        shape.absent.retain(|field| !event.has(*field));
    }

    /// Whether the rule could fire on documents such as those.
    pub fn reach(&self, rule: &Rule, set: &RuleSet, fields: &Fields) -> Reach {
        if !log_source::known(&rule.log_source) {
            return Reach::Nowhere;
        }
        let fitting = || {
            self.routes
                .iter()
                .filter(|(route, _)| route.fits(&rule.log_source))
        };
        let documents = fitting().map(|(_, shape)| shape.documents).sum();
        if documents == 0 {
            return Reach::NotCollected;
        }
        let mut lacking = BTreeSet::new();
        for (_, shape) in fitting() {
            let absent: BTreeSet<FieldId> = shape.absent.iter().copied().collect();
            let mut walk = Walk {
                rule,
                atoms: &set.atoms,
                absent: &absent,
                lacking: &mut lacking,
            };
            if walk.may_hold(&rule.condition) {
                return Reach::May(documents);
            }
        }
        let names = lacking
            .into_iter()
            .map(|field| fields.name(field).to_owned());
        Reach::Lacks(documents, names.collect())
    }
}

struct Walk<'a> {
    rule: &'a Rule,
    atoms: &'a [Atom],
    absent: &'a BTreeSet<FieldId>,
    /// The fields for want of which something cannot hold.
    lacking: &'a mut BTreeSet<FieldId>,
}

impl Walk<'_> {
    fn may_hold(&mut self, tree: &Tree) -> bool {
        match tree {
            // Everything but the first lack is looked at too, so that all are named.
            Tree::All(parts) => {
                let lacking = parts.iter().filter(|part| !self.may_hold(part)).count();
                lacking == 0
            }
            Tree::Any(parts) => parts.iter().any(|part| self.may_hold(part)),
            Tree::Selection(number) => self
                .rule
                .selections
                .get(*number)
                .is_some_and(|selection| self.may_hold(&selection.tree)),
            // What is absent is not as asked.
            Tree::Not(_) => true,
            Tree::Atom(id) => self
                .atoms
                .get(id.index())
                .is_none_or(|atom| self.may_be(atom)),
        }
    }

    fn may_be(&mut self, atom: &Atom) -> bool {
        let lacks = |field: &FieldId| self.absent.contains(field);
        let missing: Vec<FieldId> = match &atom.predicate {
            Predicate::Null => Vec::new(),
            Predicate::Reference { field, .. } => atom
                .field
                .into_iter()
                .chain([*field])
                .filter(lacks)
                .collect(),
            _ => atom.field.into_iter().filter(lacks).collect(),
        };
        let may = missing.is_empty();
        self.lacking.extend(missing);
        may
    }
}
