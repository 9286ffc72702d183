//! A rule's regular expression, bounded three ways: in the program that it becomes, in how deep it
//! nests, and in the work that one value may ask of it. Never backtracks.

mod size;
mod trim;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// The largest program that a regular expression may become which is compiled at once, in bytes.
const MAX_SIZE: usize = 4 * 1024 * 1024;
/// What cannot become larger than that, told from its syntax, which says several times too much, is
/// compiled when it is asked first.
const MAX_LATER: u64 = 16 * 1024 * 1024;
/// How deep it may nest.
const MAX_DEPTH: u32 = 64;
/// The most work that one value may ask: its bytes times the places in the expression that may be
/// under way at each of them. So much takes about a second, if it must be done at all.
const MAX_WORK: u64 = 1 << 26;

/// A regular expression, compiled when it is asked first; equal to another of the same text.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    source: Box<str>,
    /// How many places it has, repetitions written out.
    places: u64,
    whole: OnceLock<Option<regex::Regex>>,
    /// The same as far as it takes to say whether it matches.
    trimmed: OnceLock<Option<regex::Regex>>,
}

impl Expression {
    /// Checks it. Compiles it only if it may become too large: most are never asked.
    ///
    /// # Errors
    /// It cannot be parsed, or becomes too large. A lowercase fragment.
    pub fn new(source: &str) -> Result<Self, String> {
        let hir = parse(source);
        let whole = OnceLock::new();
        let is_small = |hir: &Hir| size::at_most(hir) <= MAX_LATER;
        if !hir.as_ref().is_some_and(is_small) {
            let compiled = compile(source, MAX_SIZE).map_err(|error| why(&error))?;
            whole.get_or_init(|| Some(compiled));
        }
        Ok(Self(Arc::new(Forms {
            source: source.into(),
            places: hir.map_or(MAX_WORK, |hir| places(&hir)).max(1),
            whole,
            trimmed: OnceLock::new(),
        })))
    }

    /// As it was written, flags before it.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Where it matches first in a value: first byte and length.
    pub fn find(&self, value: &str) -> Option<(usize, usize)> {
        let found = self.whole()?.find(value)?;
        Some((found.start(), found.len()))
    }

    /// Whether it may be asked of that value: if not, it would take too long.
    pub fn is_bounded(&self, value: &str) -> bool {
        self.0.places.saturating_mul(value.len() as u64) <= MAX_WORK
    }

    /// Whether it matches a part of the value; of a value for which it is not bounded it is not
    /// asked.
    pub fn is_match(&self, value: &str) -> bool {
        self.is_bounded(value) && self.trimmed().is_some_and(|regex| regex.is_match(value))
    }

    fn whole(&self) -> Option<&regex::Regex> {
        // What is larger was compiled at once, so that this cannot fail.
        let compiled = || compile(self.source(), usize::MAX).ok();
        self.0.whole.get_or_init(compiled).as_ref()
    }

    fn trimmed(&self) -> Option<&regex::Regex> {
        let compiled = || {
            let hir = parse(self.source());
            let shorter = hir.and_then(|hir| Some(trim::both_ends(&hir)).filter(|it| *it != hir));
            let shorter = shorter.and_then(|hir| compile(&hir.to_string(), MAX_SIZE).ok());
            shorter.or_else(|| self.whole().cloned())
        };
        self.0.trimmed.get_or_init(compiled).as_ref()
    }
}

fn compile(source: &str, size: usize) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(source)
        .size_limit(size)
        .nest_limit(MAX_DEPTH)
        .build()
}

fn parse(source: &str) -> Option<Hir> {
    let mut parser = ParserBuilder::new().nest_limit(MAX_DEPTH).build();
    parser.parse(source).ok()
}

fn places(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            u64::from(times).saturating_mul(places(&repetition.sub))
        }
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(places).fold(0, u64::saturating_add)
        }
    }
}

/// The last line of a regex error says what is wrong; those before it draw where.
pub fn why(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_lowercase()
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_that_would_grow_too_large_is_refused() {
        assert!(Expression::new(r"(\w{1000}){1000}").is_err());
        assert!(
            Expression::new(r"(?=a)")
                .unwrap_err()
                .contains("look-around")
        );
    }

    #[test]
    fn repetitions_bound_the_value_and_stars_do_not() {
        let bounded = |source: &str, length: usize| {
            let expression = Expression::new(source).unwrap();
            expression.is_bounded(&"a".repeat(length))
        };
        // The longest command line, and a regex that asks for a long one.
        assert!(bounded(".{1000,}", 32 * 1024));
        assert!(bounded(r"-k\s\w{1,64}(?:\s?(?:-p|-s))?", 512 * 1024));
        assert!(bounded("(?i)a.*b+[0-9]*", 4 * 1024 * 1024));
        assert!(bounded(r"[\s\S]{1,3000}xyz$", 16 * 1024));
        assert!(!bounded(r"[\s\S]{1,3000}xyz$", 32 * 1024));
        assert!(!bounded("(a{1,100}b{1,100}){1,20}", 64 * 1024));
    }
}
