//! Leaves out of a regular expression what its matches may begin or end with but need not. Whether
//! a value matches somewhere stays the same; where and how much of it does not.

use regex_syntax::hir::{Hir, HirKind, Repetition};

/// Without what may be left out at both ends.
pub(super) fn both_ends(hir: &Hir) -> Hir {
    trimmed(&trimmed(hir, End::Last), End::First)
}

#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

/// Empty, if the part may match nothing wherever it stands.
fn trimmed(hir: &Hir, end: End) -> Hir {
    match hir.kind() {
        HirKind::Repetition(Repetition { min: 0, .. }) => Hir::empty(),
        HirKind::Repetition(Repetition { min: 1, sub, .. }) => trimmed(sub, end),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            max: Some(repetition.min),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => trimmed(&capture.sub, end),
        HirKind::Concat(parts) => {
            let mut parts = parts.clone();
            while let Some(part) = match end {
                End::First => (!parts.is_empty()).then(|| parts.remove(0)),
                End::Last => parts.pop(),
            } {
                let part = trimmed(&part, end);
                if *part.kind() == HirKind::Empty {
                    continue;
                }
                match end {
                    End::First => parts.insert(0, part),
                    End::Last => parts.push(part),
                }
                break;
            }
            Hir::concat(parts)
        }
        HirKind::Alternation(branches) => {
            let branches: Vec<Hir> = branches.iter().map(|b| trimmed(b, end)).collect();
            match branches.iter().any(|b| *b.kind() == HirKind::Empty) {
                true => Hir::empty(),
                false => Hir::alternation(branches),
            }
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn of(source: &str) -> Hir {
        both_ends(&regex_syntax::parse(source).unwrap())
    }

    #[test]
    fn what_need_not_be_there_is_left_out() {
        for (source, expected) in [
            (r"-k\s\w{1,64}(?:\s?(?:-p|-s))?", r"-k\s\w"),
            ("a*b{2,9}", "b{2}"),
            ("^a*b$", "^a*b$"),
            ("(a|bc?)+", "a|b"),
            ("x?(y*|z)", ""),
        ] {
            let expected = regex_syntax::parse(expected).unwrap();
            assert_eq!(of(source), expected, "{source}");
        }
    }

    /// Expressions of few letters with anchors, so that they often match.
    fn expressions() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec!["a", "b", "ab", "[ab]", ".", "^", "$", r"\b", "c"]);
        leaf.prop_map(String::from)
            .prop_recursive(4, 24, 4, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                    prop::collection::vec(inner.clone(), 2..4)
                        .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                    (
                        inner.clone(),
                        prop::sample::select(vec!["*", "+", "?", "{2,3}", "{1,4}", "*?"])
                    )
                        .prop_map(|(part, times)| format!("(?:{part}){times}")),
                    inner.prop_map(|part| format!("({part})")),
                ]
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn whether_it_matches_stays_the_same(source in expressions(), value in "[abc \n]{0,8}") {
            let whole = Regex::new(&source).unwrap();
            let trimmed = of(&source).to_string();
            let matches = Regex::new(&trimmed).unwrap().is_match(&value);
            prop_assert_eq!(whole.is_match(&value), matches, "{} {}", source, trimmed);
        }
    }
}
