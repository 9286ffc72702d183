//! Puts correlations together with the rules that they name, each behind those that it builds on.
//! A correlation that names what is not there, or itself by way of others, is refused; its rules
//! stay silent all the same, since alone they were not meant to speak.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};

use super::correlation::read::Pending;
use super::correlation::{Correlation, Named};
use super::detection::Unusable;
use super::{Rule, nearest};
use crate::taxonomy::Fields;

/// The correlations of a rule set.
#[derive(Default)]
pub(super) struct Chain {
    /// In an order in which each comes behind those that it builds on.
    pub(super) correlations: Vec<Correlation>,
    /// A hash of each.
    pub(super) hashes: Vec<[u8; 32]>,
    /// Why others are not among them.
    pub(super) errors: Vec<(Arc<Path>, Unusable)>,
}

impl Chain {
    /// Finds the rules of all of them, and makes silent those that speak only through them.
    pub(super) fn new(rules: &mut [Rule], mut open: Vec<Pending>, fields: &mut Fields) -> Self {
        let mut chain = Self::default();
        chain.refuse_second_ids(rules, &mut open);
        let (mut spoken, mut loud) = (FxHashSet::default(), FxHashSet::default());
        let (mut spoken_of, mut loud_ones) = (FxHashSet::default(), FxHashSet::default());
        for pending in &open {
            for (name, _) in &pending.rules {
                if let Ok(Some(rule)) = rule(rules, name, &pending.path) {
                    spoken.insert(rule);
                    loud.extend(pending.generate.then_some(rule));
                }
                spoken_of.insert(name.clone());
                loud_ones.extend(pending.generate.then_some(name.clone()));
            }
        }
        while !open.is_empty() {
            let before = open.len();
            let mut left = Vec::new();
            for pending in open {
                if let Err(pending) = chain.take(pending, rules, fields) {
                    left.push(*pending);
                }
            }
            open = left;
            if open.len() == before {
                chain.refuse(rules, open);
                break;
            }
        }
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.silent = spoken.contains(&number) && !loud.contains(&number);
        }
        for correlation in &mut chain.correlations {
            let is_in = |names: &FxHashSet<String>| {
                let name = correlation.name.as_deref();
                names.contains(&*correlation.id) || name.is_some_and(|name| names.contains(name))
            };
            correlation.silent = is_in(&spoken_of) && !is_in(&loud_ones);
        }
        chain
    }

    /// An id that is a rule's, or an earlier correlation's.
    fn refuse_second_ids(&mut self, rules: &[Rule], open: &mut Vec<Pending>) {
        let mut ids: FxHashSet<Arc<str>> = rules.iter().map(|rule| rule.id.clone()).collect();
        open.retain(|pending| {
            let is_new = ids.insert(pending.id());
            if !is_new {
                let message = format!("the id `{}` is that of another rule", pending.id());
                let error = Unusable::new(pending.line, message);
                let error = error.help("give this one an id of its own");
                self.errors.push((pending.path.clone(), error));
            }
            is_new
        });
    }

    /// Takes the correlation in if all its rules are known by now.
    fn take(
        &mut self,
        pending: Pending,
        rules: &[Rule],
        fields: &mut Fields,
    ) -> Result<(), Box<Pending>> {
        let mut named = Vec::new();
        for (name, line) in &pending.rules {
            match rule(rules, name, &pending.path) {
                Ok(Some(number)) => named.push((Named::Rule(number), said(&rules[number]))),
                Ok(None) => match self.correlation(name, &pending.path) {
                    Some(number) => {
                        let key = self.correlations[number].key.as_bytes().to_vec();
                        named.push((Named::Correlation(number), key));
                    }
                    None => return Err(Box::new(pending)),
                },
                Err(message) => {
                    let error = Unusable::new(*line, message).help("name its id");
                    self.errors.push((pending.path.clone(), error));
                    return Ok(());
                }
            }
        }
        match pending.resolve(&named, fields) {
            Ok(correlation) => {
                let number = self.correlations.len();
                for (member, (named, _)) in named.iter().enumerate() {
                    if let Named::Correlation(inner) = named
                        && let Some(inner) = self.correlations.get_mut(*inner)
                    {
                        inner.outer.push((number, member));
                    }
                }
                self.hashes.push(pending.hash());
                self.correlations.push(correlation);
            }
            Err(error) => self.errors.push((pending.path.clone(), error)),
        }
        Ok(())
    }

    fn correlation(&self, name: &str, path: &Path) -> Option<usize> {
        let is_meant = |c: &&Correlation| *c.id == *name || c.name.as_deref() == Some(name);
        let found = |here: bool| {
            self.correlations
                .iter()
                .position(|c| is_meant(&c) && (!here || *c.path == *path))
        };
        found(true).or_else(|| found(false))
    }

    /// What is left names what is not there, or names each other in a circle.
    fn refuse(&mut self, rules: &[Rule], left: Vec<Pending>) {
        for pending in &left {
            let known = |name: &str| {
                matches!(rule(rules, name, &pending.path), Ok(Some(_)))
                    || self.correlation(name, &pending.path).is_some()
            };
            let waits = |name: &str| {
                let is_meant = |other: &&Pending| {
                    *other.id() == *name || other.header.name.as_deref() == Some(name)
                };
                left.iter().any(|other| is_meant(&other))
            };
            let unknown = pending.rules.iter().filter(|(name, _)| !known(name));
            let mut unknown = unknown.collect::<Vec<_>>();
            // What is nowhere first: it is the cause.
            unknown.sort_by_key(|(name, _)| waits(name));
            let Some((name, line)) = unknown.first() else {
                continue;
            };
            let error = if waits(name) {
                let message =
                    format!("the correlation `{name}` cannot be used, so neither can this");
                Unusable::new(*line, message)
                    .help("correlations must not build on each other in a circle")
            } else {
                let names = rules.iter().flat_map(|rule| {
                    [Some(&*rule.id), rule.name.as_deref()]
                        .into_iter()
                        .flatten()
                });
                let message = format!("no rule that can be used has the id or name `{name}`");
                Unusable::new(*line, message).help(match nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "load its file too".to_owned(),
                })
            };
            self.errors.push((pending.path.clone(), error));
        }
    }
}

/// The rule of that id or name: one of the same file, if there is one.
///
/// # Errors
/// Several elsewhere are called so.
fn rule(rules: &[Rule], name: &str, path: &Path) -> Result<Option<usize>, String> {
    let is_meant = |rule: &Rule| *rule.id == *name || rule.name.as_deref() == Some(name);
    let meant = rules.iter().enumerate().filter(|(_, rule)| is_meant(rule));
    let meant: Vec<(usize, &Rule)> = meant.collect();
    let here = meant.iter().find(|(_, rule)| *rule.path == *path);
    match (here, meant.as_slice()) {
        (Some((number, _)), _) | (None, [(number, _)]) => Ok(Some(*number)),
        (None, []) => Ok(None),
        (None, [(_, one), (_, other), ..]) => Err(format!(
            "two rules are called `{name}`: {}:{} and {}:{}",
            one.path.display(),
            one.line,
            other.path.display(),
            other.line
        )),
    }
}

/// All that decides which documents a rule holds for.
fn said(rule: &Rule) -> Vec<u8> {
    let mut hash = Sha256::new_with_prefix(rule.id.as_bytes());
    for part in std::iter::once(&*rule.detection).chain(rule.filters.iter().map(|filter| &**filter))
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let source = &rule.log_source;
    for part in [&source.product, &source.category, &source.service] {
        hash.update(part.as_deref().unwrap_or_default());
        hash.update([0]);
    }
    hash.finalize().to_vec()
}
