//! How large a regular expression can become, told from its syntax: cheaper than to compile it, and
//! never less.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

/// The most bytes of a state with one transition.
const STATE: u64 = 48;
/// Of what every program has: a start that skips, whole captures, the match.
const FRAME: u64 = 16 * STATE;
/// The first and last characters that are written in so many bytes, from one to four; those of three
/// stand in two stretches.
const WRITTEN_IN: [(u64, u32, u32); 5] = [
    (1, 0, 0x7f),
    (2, 0x80, 0x7ff),
    (3, 0x800, 0xd7ff),
    (3, 0xe000, 0xffff),
    (4, 0x1_0000, 0x0010_ffff),
];
/// What the last byte of a character says of it, and each before it but the first.
const BITS: u32 = 6;

/// No program of the expression is larger, in bytes, whether read forwards or backwards.
pub(super) fn at_most(hir: &Hir) -> u64 {
    FRAME + part(hir)
}

fn part(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(part).fold(0, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        // What begins alike with others is made a tree of.
        HirKind::Literal(literal) => STATE * 2 * (1 + literal.0.len() as u64),
        HirKind::Class(Class::Unicode(class)) => STATE * (2 + bytes_of(class)),
        HirKind::Class(Class::Bytes(class)) => STATE * (2 + class.ranges().len() as u64),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            let each = part(&repetition.sub).saturating_add(2 * STATE);
            u64::from(times)
                .saturating_mul(each)
                .saturating_add(4 * STATE)
        }
        HirKind::Capture(capture) => part(&capture.sub).saturating_add(2 * STATE),
        HirKind::Concat(parts) => sum(parts).saturating_add(STATE),
        HirKind::Alternation(parts) => sum(parts).saturating_add(STATE * (2 + parts.len() as u64)),
    }
}

/// How many ranges of bytes say what the characters of a class are written as.
fn bytes_of(class: &ClassUnicode) -> u64 {
    let each = class.ranges().iter().flat_map(|range| {
        let (start, end) = (u32::from(range.start()), u32::from(range.end()));
        WRITTEN_IN.map(|(length, first, last)| {
            let (start, end) = (start.max(first), end.min(last));
            if start > end {
                return 0;
            }
            // One stretch, and one at either side for each byte behind which not all may follow.
            let unlike = (0..length).take_while(|bytes| {
                let below = BITS * *bytes as u32;
                start >> below != end >> below
            });
            length * (1 + 2 * unlike.count().saturating_sub(1) as u64)
        })
    });
    each.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_syntax::Parser;

    use super::*;

    /// Whether the expression can be compiled within that.
    fn fits(source: &str, size: u64) -> bool {
        let size = usize::try_from(size).unwrap();
        let mut builder = regex::RegexBuilder::new(source);
        builder.size_limit(size).build().is_ok()
    }

    #[test]
    fn it_is_of_the_right_order() {
        for source in [r"\w", "a.b", "(a|b){1,20}", r"(?i)net\s+user\s.{0,64}"] {
            let size = at_most(&Parser::new().parse(source).unwrap());
            assert!(fits(source, size), "{source}");
            assert!(!fits(source, size / 500), "{source}");
        }
    }

    /// A piece of an expression, and what is made of pieces.
    fn source() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-d]{1,6}",
            Just(r"\w".to_owned()),
            Just(r"\W".to_owned()),
            Just(r"\d".to_owned()),
            Just(r"\S".to_owned()),
            Just(".".to_owned()),
            Just("(?s:.)".to_owned()),
            Just("[^a-z\u{e9}]".to_owned()),
            Just(r"\p{Greek}".to_owned()),
            Just(r"\pL".to_owned()),
            Just("[\u{1f600}-\u{1f64f}k]".to_owned()),
            Just(r"\b".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just("(?i:k\u{e9}s)".to_owned()),
            Just("(?:)".to_owned()),
        ];
        piece.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..5).prop_map(|parts| parts.concat()),
                prop::collection::vec(inner.clone(), 1..5)
                    .prop_map(|parts| format!("({})", parts.join("|"))),
                (inner.clone(), 0..4_u32, 0..4_u32)
                    .prop_map(|(it, min, more)| format!("(?:{it}){{{min},{}}}", min + more)),
                (inner.clone(), 0..4_u32).prop_map(|(it, min)| format!("(?:{it}){{{min},}}")),
                (
                    inner,
                    prop::sample::select(vec!["*", "+", "?", "*?", "+?", "??"])
                )
                    .prop_map(|(it, how)| format!("(?:{it}){how}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_program_is_larger(source in source()) {
            let size = at_most(&Parser::new().parse(&source).unwrap());
            prop_assert!(fits(&source, size), "{source}: {size}");
        }
    }
}
