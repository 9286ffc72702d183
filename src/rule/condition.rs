//! The `condition` of a rule: `and`, `or`, `not`, parentheses, `1 of` and `all of`, over the names
//! of selections. Knows nothing of what a selection asks.

use super::tree::{Selection, Tree};

/// Parentheses and `not`s nested deeper than this are refused.
const MAX_DEPTH: usize = 50;
/// A condition of more words than this is refused.
const MAX_WORDS: usize = 2000;

/// Why a condition makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// A lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ConditionError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Compiles a condition.
///
/// # Errors
/// It is no condition, or names a selection that is not there.
pub fn parse(text: &str, selections: &[Selection]) -> Result<Tree, ConditionError> {
    if text.contains('|') {
        return Err(ConditionError::new("aggregations (`|`) are not supported")
            .help("Sigma 2 writes them as correlation rules"));
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.is_empty() {
        return Err(ConditionError::new("the condition is empty"));
    }
    if words.len() > MAX_WORDS {
        return Err(ConditionError::new(format!("more than {MAX_WORDS} words")));
    }
    let mut parser = Parser {
        words: &words,
        at: 0,
        selections,
    };
    let tree = parser.any(0)?;
    match parser.peek() {
        None => Ok(tree),
        Some(")") => Err(ConditionError::new("`)` without `(`")),
        Some(word) => Err(ConditionError::new(format!("unexpected `{word}`"))
            .help("join selections with `and` or `or`")),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
    selections: &'a [Selection],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// The operators count in any case, unless a selection is called so.
    fn takes(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|next| next.eq_ignore_ascii_case(word) && self.find(next).is_none());
        self.at += usize::from(found);
        found
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.selections.iter().position(|s| *s.name == *name)
    }

    fn any(&mut self, depth: usize) -> Result<Tree, ConditionError> {
        let mut parts = vec![self.all(depth)?];
        while self.takes("or") {
            parts.push(self.all(depth)?);
        }
        Ok(Tree::any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Tree, ConditionError> {
        let mut parts = vec![self.one(depth)?];
        while self.takes("and") {
            parts.push(self.one(depth)?);
        }
        Ok(Tree::all(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Tree, ConditionError> {
        if depth > MAX_DEPTH {
            return Err(ConditionError::new(format!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        if self.takes("not") {
            return Ok(Tree::Not(Box::new(self.one(depth + 1)?)));
        }
        let Some(word) = self.peek() else {
            return Err(ConditionError::new("ends where a selection is expected"));
        };
        self.at += 1;
        if word == "(" {
            let inner = self.any(depth + 1)?;
            if self.takes(")") {
                return Ok(inner);
            }
            return Err(ConditionError::new("`(` without `)`"));
        }
        if self.takes("of") {
            return self.some_of(word);
        }
        match self.find(word) {
            Some(number) => Ok(Tree::Selection(number)),
            None => Err(self.unknown(word)),
        }
    }

    fn some_of(&mut self, quantity: &str) -> Result<Tree, ConditionError> {
        let Some(pattern) = self.peek() else {
            return Err(
                ConditionError::new("`of` what?").help("write `1 of them` or `all of selection_*`")
            );
        };
        self.at += 1;
        let them = pattern.eq_ignore_ascii_case("them") && self.find(pattern).is_none();
        let tokens = super::pattern::tokens(pattern);
        let parts: Vec<Tree> = self
            .selections
            .iter()
            .enumerate()
            .filter(|(_, selection)| {
                if them {
                    !selection.name.starts_with('_')
                } else {
                    super::pattern::matches(&tokens, &selection.name)
                }
            })
            .map(|(number, _)| Tree::Selection(number))
            .collect();
        if parts.is_empty() {
            return Err(self.unknown(pattern));
        }
        match quantity.to_ascii_lowercase().as_str() {
            "1" | "any" => Ok(Tree::any(parts)),
            "all" => Ok(Tree::all(parts)),
            _ => Err(ConditionError::new(format!("`{quantity} of` is not known"))
                .help("write `1 of`, `any of` or `all of`")),
        }
    }

    fn unknown(&self, word: &str) -> ConditionError {
        let error = ConditionError::new(format!("no selection is called `{word}`"));
        let names = self.selections.iter().map(|s| &*s.name);
        match super::nearest(word, names) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selections() -> Vec<Selection> {
        ["selection_a", "selection_b", "filter", "_hidden"]
            .map(|name| Selection {
                name: name.into(),
                line: 1,
                tree: Tree::All(Vec::new()),
            })
            .into()
    }

    fn shape(text: &str) -> String {
        fn show(tree: &Tree) -> String {
            let join = |parts: &[Tree]| parts.iter().map(show).collect::<Vec<_>>().join(" ");
            match tree {
                Tree::Selection(number) => number.to_string(),
                Tree::Not(inner) => format!("!{}", show(inner)),
                Tree::All(parts) => format!("&({})", join(parts)),
                Tree::Any(parts) => format!("|({})", join(parts)),
                Tree::Atom(_) => "?".into(),
            }
        }
        match parse(text, &selections()) {
            Ok(tree) => show(&tree),
            Err(error) => format!("{}; {}", error.message, error.help.unwrap_or_default()),
        }
    }

    #[test]
    fn operators_bind_as_the_specification_has_it() {
        for (text, expected) in [
            ("filter", "2"),
            ("selection_a or selection_b and not filter", "|(0 &(1 !2))"),
            (
                "(selection_a or selection_b) and not filter",
                "&(|(0 1) !2)",
            ),
            ("NOT filter AND filter", "&(!2 2)"),
            ("1 of selection_*", "|(0 1)"),
            ("all of selection_* and not 1 of filter*", "&(&(0 1) !2)"),
            ("any of them", "|(0 1 2)"),
            ("all of _*", "3"),
            ("not (not(filter))", "!!2"),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_explained() {
        for (text, expected) in [
            ("", "the condition is empty; "),
            (
                "selection_c",
                "no selection is called `selection_c`; did you mean `selection_a`?",
            ),
            ("1 of nothing*", "no selection is called `nothing*`; "),
            (
                "2 of them",
                "`2 of` is not known; write `1 of`, `any of` or `all of`",
            ),
            (
                "filter filter",
                "unexpected `filter`; join selections with `and` or `or`",
            ),
            ("(filter", "`(` without `)`; "),
            ("filter)", "`)` without `(`; "),
            ("filter and", "ends where a selection is expected; "),
            (
                "filter | count() > 5",
                "aggregations (`|`) are not supported; Sigma 2 writes them as correlation rules",
            ),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
        assert!(shape(&"not ".repeat(1000)).contains("nested deeper"));
        assert!(shape(&"(".repeat(1000)).contains("nested deeper"));
    }
}
