//! Names the rules whose regular expressions were not asked of a value, since it is too long for
//! what they would have to do. Never decides which those are.

use crate::problem::Problem;
use crate::rule::predicate::AtomId;
use crate::rule::tree::Tree;
use crate::rule::{Rule, RuleSet};

/// A problem for each rule that asks one of those.
pub(super) fn name(set: &RuleSet, unasked: &[AtomId], problems: &mut Vec<Problem>) {
    for rule in set.rules.iter().filter(|rule| asks(rule, unasked)) {
        let message = "its regular expression was not asked of a value that is too long for it";
        let problem = Problem::new(&rule.path, message)
            .at(rule.line)
            .help("repeat less often in it, such as `{1,100}` or `+` instead of `{1,3000}`");
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

fn asks(rule: &Rule, atoms: &[AtomId]) -> bool {
    let mut trees: Vec<&Tree> = rule.selections.iter().map(|s| &s.tree).collect();
    while let Some(tree) = trees.pop() {
        match tree {
            Tree::Atom(id) if atoms.contains(id) => return true,
            Tree::Atom(_) | Tree::Selection(_) => {}
            Tree::All(parts) | Tree::Any(parts) => trees.extend(parts),
            Tree::Not(inner) => trees.push(inner),
        }
    }
    false
}
