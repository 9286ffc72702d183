//! What must be there for a rule to hold: its *pivots*, each of them texts of which one stands in
//! every document that the rule holds for, and the event ids that it can hold for. Both may only ask
//! too little: an index over them finds more documents than the rules do, never fewer. Also the
//! fields that a rule asks for, of which none may be left out.

use std::cmp::Reverse;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::common::letter;
use crate::rule::Rule;
use crate::rule::pattern::{Token, fold};
use crate::rule::predicate::{Atom, How, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::FieldId;

/// A text that stands in a field's folded values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Needle {
    /// The field; `None`: any.
    pub(super) field: Option<FieldId>,
    /// Where in the value.
    pub(super) how: How,
    /// The text, folded; never empty.
    pub(super) text: Box<str>,
}

/// Texts of which one must be there.
pub(super) type Pivot = Vec<Needle>;

/// A pivot, and how often one of its texts is expected: less is better.
#[derive(Clone, Debug)]
struct Clause {
    cost: f64,
    needles: Pivot,
}

impl Clause {
    /// Its needles, each once, in an order that does not depend on the rule's.
    fn pivot(mut self) -> Pivot {
        self.needles
            .sort_by(|a, b| (a.field, a.how, &a.text).cmp(&(b.field, b.how, &b.text)));
        self.needles.dedup();
        self.needles
    }
}

/// The rule's rarest pivot, by what is usual; `None` if it has to be asked of every document.
pub(super) fn rarest(rule: &Rule, atoms: &[Atom]) -> Option<Pivot> {
    let share = None;
    let finder = Finder { rule, atoms, share };
    finder.clause(&rule.condition).map(Clause::pivot)
}

/// All the rule's pivots, each of which must be there, the rarest first, given what share of the
/// events has a needle.
pub(super) fn pivots(rule: &Rule, atoms: &[Atom], share: &dyn Fn(&Needle) -> f64) -> Vec<Pivot> {
    let share = Some(share);
    let mut clauses = Finder { rule, atoms, share }.clauses(&rule.condition);
    clauses.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let mut pivots: Vec<Pivot> = Vec::with_capacity(clauses.len());
    for pivot in clauses.into_iter().map(Clause::pivot) {
        if !pivots.contains(&pivot) {
            pivots.push(pivot);
        }
    }
    pivots
}

/// The event ids, in canonical decimal, one of which the rule needs; `None` if it does not say.
pub(super) fn event_ids(rule: &Rule, atoms: &[Atom]) -> Option<Vec<u32>> {
    let finder = Finder {
        rule,
        atoms,
        share: None,
    };
    finder.event_ids(&rule.condition)
}

/// All the fields that decide whether the rule holds; `None` if any value may.
pub(super) fn asked(rule: &Rule, atoms: &[Atom]) -> Option<Vec<FieldId>> {
    let mut fields = Vec::new();
    let selections = rule.selections.iter().map(|selection| &selection.tree);
    let mut trees: Vec<&Tree> = selections.chain([&rule.condition]).collect();
    while let Some(tree) = trees.pop() {
        match tree {
            Tree::Atom(id) => {
                let atom = atoms.get(id.index())?;
                fields.push(atom.field?);
                if let Predicate::Reference { field, .. } = &atom.predicate {
                    fields.push(*field);
                }
            }
            Tree::All(parts) | Tree::Any(parts) => trees.extend(parts),
            Tree::Not(inner) => trees.push(inner),
            // All of them are among the trees.
            Tree::Selection(_) => {}
        }
    }
    Some(fields)
}

/// What share of the events has a needle, if that is known.
type Share<'a> = Option<&'a dyn Fn(&Needle) -> f64>;

struct Finder<'a> {
    rule: &'a Rule,
    atoms: &'a [Atom],
    share: Share<'a>,
}

impl Finder<'_> {
    fn selection(&self, number: usize) -> Option<&Tree> {
        self.rule.selections.get(number).map(|s| &s.tree)
    }

    fn clause(&self, tree: &Tree) -> Option<Clause> {
        self.clauses(tree)
            .into_iter()
            .min_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// All that must be there.
    fn clauses(&self, tree: &Tree) -> Vec<Clause> {
        match tree {
            Tree::Atom(id) => {
                let Some(mut clause) = self.atoms.get(id.index()).and_then(of_atom) else {
                    return Vec::new();
                };
                if let Some(share) = self.share {
                    // What was never seen is told apart as before.
                    let seen: f64 = clause.needles.iter().map(share).sum();
                    clause.cost = seen + clause.cost / 1_000.0;
                }
                vec![clause]
            }
            Tree::Selection(number) => match self.selection(*number) {
                Some(tree) => self.clauses(tree),
                None => Vec::new(),
            },
            Tree::All(parts) => parts.iter().flat_map(|part| self.clauses(part)).collect(),
            Tree::Any(parts) => {
                let mut whole = Clause {
                    cost: 0.0,
                    needles: Vec::new(),
                };
                for part in parts {
                    let Some(clause) = self.clause(part) else {
                        return Vec::new();
                    };
                    whole.cost += clause.cost;
                    whole.needles.extend(clause.needles);
                }
                vec![whole]
            }
            // What must not be there says nothing of what must.
            Tree::Not(_) => Vec::new(),
        }
    }

    fn event_ids(&self, tree: &Tree) -> Option<Vec<u32>> {
        match tree {
            Tree::Atom(id) => match self.atoms.get(id.index())? {
                Atom {
                    field: Some(FieldId::EVENT_ID),
                    predicate:
                        Predicate::Text {
                            how: How::Equals,
                            text,
                            ..
                        },
                } => Some(text.parse().ok().into_iter().collect()),
                _ => None,
            },
            Tree::Selection(number) => self.event_ids(self.selection(*number)?),
            Tree::All(parts) => parts.iter().find_map(|part| self.event_ids(part)),
            Tree::Any(parts) => {
                let mut ids = Vec::new();
                for part in parts {
                    ids.extend(self.event_ids(part)?);
                }
                Some(ids)
            }
            Tree::Not(_) => None,
        }
    }
}

fn of_atom(atom: &Atom) -> Option<Clause> {
    // Routes have sorted these already: nearly every document of one has the same.
    if matches!(
        atom.field,
        Some(FieldId::EVENT_ID | FieldId::CHANNEL | FieldId::PROVIDER)
    ) {
        return None;
    }
    let needles = match &atom.predicate {
        Predicate::Text { how, text, .. } => vec![(*how, fold(text))],
        Predicate::Wildcard { tokens, .. } => vec![of_wildcard(tokens)?],
        Predicate::Regex(expression) => of_regex(expression.source())?
            .into_iter()
            .map(|text| (How::Contains, text))
            .collect(),
        _ => return None,
    };
    if needles.iter().any(|(_, text)| text.is_empty()) {
        return None;
    }
    let keyword = if atom.field.is_none() { 4.0 } else { 1.0 };
    let cost = needles
        .iter()
        .map(|(how, text)| expected(*how, text))
        .sum::<f64>()
        * keyword;
    let needles = needles
        .into_iter()
        .map(|(how, text)| Needle {
            field: atom.field,
            how,
            text: text.into(),
        })
        .collect();
    Some(Clause { cost, needles })
}

/// How often a text is expected to be there, by its length; an estimate for choosing only.
fn expected(how: How, text: &str) -> f64 {
    let length = text.len() as f64;
    match how {
        How::Contains => 4.0 / (length * length),
        How::StartsWith => 3.0 / (length + 1.0),
        How::EndsWith => 1.5 / (length * length),
        How::Equals => 2.0 / (length * length),
    }
}

/// The longest piece.
fn of_wildcard(tokens: &[Token]) -> Option<(How, String)> {
    tokens
        .iter()
        .enumerate()
        .filter_map(|(at, token)| match token {
            Token::Text(text) if at == 0 => Some((How::StartsWith, fold(text))),
            Token::Text(text) if at + 1 == tokens.len() => Some((How::EndsWith, fold(text))),
            Token::Text(text) => Some((How::Contains, fold(text))),
            _ => None,
        })
        .max_by_key(|(_, text)| text.len())
}

/// Folded texts of which one stands in the folded form of whatever the regex matches.
fn of_regex(source: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::Parser::new().parse(source).ok()?;
    literals(&hir)
}

fn literals(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => exact(hir).map(|text| vec![text]),
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min >= 1 => literals(&repetition.sub),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(literals(branch)?);
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<String>> = None;
            let mut offer = |texts: Vec<String>| {
                if best.as_ref().is_none_or(|best| worth(&texts) > worth(best)) {
                    best = Some(texts);
                }
            };
            let mut run = String::new();
            for part in parts {
                if let Some(text) = exact(part) {
                    run.push_str(&text);
                    continue;
                }
                run += &edge(part, Side::Start);
                if !run.is_empty() {
                    offer(vec![run]);
                }
                if let Some(texts) = literals(part) {
                    offer(texts);
                }
                run = edge(part, Side::End);
            }
            if !run.is_empty() {
                offer(vec![run]);
            }
            best
        }
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

/// The folded text that each match of this part has on that side, at least: it stands right beside
/// what the part's neighbour matches.
fn edge(hir: &Hir, side: Side) -> String {
    match hir.kind() {
        HirKind::Capture(capture) => edge(&capture.sub, side),
        HirKind::Repetition(repetition) if repetition.min >= 1 => edge(&repetition.sub, side),
        HirKind::Concat(parts) => {
            let mut text = String::new();
            let mut add = |part: &Hir| {
                let (whole, of_part) = match exact(part) {
                    Some(whole) => (true, whole),
                    None => (false, edge(part, side)),
                };
                text = match side {
                    Side::Start => format!("{text}{of_part}"),
                    Side::End => format!("{of_part}{text}"),
                };
                whole
            };
            match side {
                Side::Start => parts.iter().all(&mut add),
                Side::End => parts.iter().rev().all(&mut add),
            };
            text
        }
        _ => exact(hir).unwrap_or_default(),
    }
}

/// The one folded text that this part can match; a class only if all its characters fold to the
/// same (`[kK\u{212a}]` does, `[sS\u{17f}]` does not).
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(String::new()),
        HirKind::Literal(literal) => Some(fold(std::str::from_utf8(&literal.0).ok()?)),
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let mut only: Option<String> = None;
            for range in class.iter() {
                if range.len() > 4 {
                    return None;
                }
                for c in range.start()..=range.end() {
                    let folded: String = c.to_lowercase().collect();
                    if only.as_ref().is_some_and(|only| *only != folded) {
                        return None;
                    }
                    only = Some(folded);
                }
            }
            only
        }
        _ => None,
    }
}

/// Long texts before few, and among the same the rarest.
fn worth(texts: &[String]) -> (isize, Reverse<u32>) {
    let shortest = texts.iter().map(String::len).min().unwrap_or(0);
    let of_lengths = (shortest * 4) as isize - texts.len() as isize;
    let letters = texts.iter().map(|text| text.bytes().map(letter).sum());
    (of_lengths, Reverse(letters.max().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_regex_gives_the_texts_that_it_needs() {
        let texts = |source| of_regex(source).map(|t| t.join("|"));
        assert_eq!(texts(r"\\Cmd\.exe$").as_deref(), Some(r"\cmd.exe"));
        assert_eq!(texts("a(foo|barbar)b").as_deref(), Some("foo|barbar"));
        assert_eq!(texts("(?i)KEY").as_deref(), Some("key"));
        // A long s matches too, and folds to itself.
        assert_eq!(texts("(?i)s+").as_deref(), None);
        assert_eq!(texts("(?i)abscd").as_deref(), Some("cd"));
        assert_eq!(texts("(abc)?x*").as_deref(), None);
        assert_eq!(texts("(abc){2,}[0-9]").as_deref(), Some("abc"));
        assert_eq!(texts("a.|bc").as_deref(), Some("a|bc"));
        assert_eq!(texts(r#""(\{\d\})+"\s*-f"#).as_deref(), Some("\"{"));
        assert_eq!(texts(r"(\d-(ab){2})\bcd$").as_deref(), Some("abcd"));
    }

    /// A piece of a regex, and something that it matches.
    fn piece() -> impl Strategy<Value = (&'static str, &'static str)> {
        prop::sample::select(vec![
            ("a", "a"),
            ("\u{df}", "\u{df}"),
            ("(?i:k)", "\u{212a}"),
            (r"\d", "7"),
            (r"b*", ""),
            (r"b*", "bb"),
            (r"(?:cd)+", "cdcd"),
            (r"(c\d|x)", "c1"),
            (r"(c\d|x)", "x"),
            (r"(\dc)+", "1c2c"),
            (r"(a\d?b){2}", "a1bab"),
            (r"(?:)", ""),
            (r"\b", ""),
            (r"(x(y{1,2})+){1,3}", "xyyyxy"),
            (r"(?i:[a-c]X)", "Cx"),
        ])
    }

    proptest! {
        #[test]
        fn what_a_regex_matches_has_one_of_its_texts(pieces in prop::collection::vec(piece(), 1..7)) {
            let source: String = pieces.iter().map(|(source, _)| *source).collect();
            let value: String = pieces.iter().map(|(_, value)| *value).collect();
            // Whether it matches depends on what stands beside a `\b`.
            prop_assume!(regex::Regex::new(&source).unwrap().is_match(&value));
            if let Some(texts) = of_regex(&source) {
                let folded = fold(&value);
                prop_assert!(texts.iter().any(|t| folded.contains(&**t)), "{source}: {texts:?}");
            }
        }
    }

    #[test]
    fn a_wildcard_gives_its_longest_piece() {
        let needle = |text| of_wildcard(&crate::rule::pattern::tokens(text));
        assert_eq!(needle("ab*cde*f"), Some((How::Contains, "cde".into())));
        assert_eq!(needle("*1?"), Some((How::Contains, "1".into())));
        assert_eq!(needle("?abc"), Some((How::EndsWith, "abc".into())));
        assert_eq!(needle("?"), None);
    }
}
