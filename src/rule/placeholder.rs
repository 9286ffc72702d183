//! [`Placeholders`]: the values that stand for `%name%` in fields with the modifier `expand`.
//! Fills them in before a detection is compiled, so that both engines and the digest see what is
//! meant. A placeholder without values makes a rule unusable; none is ever dropped.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::detection::Unusable;
use super::nearest;
use super::yaml::{Entry, Node, Value};

/// The most values that the placeholders of one value may come to.
const MAX_VALUES: usize = 10_000;
/// The longest value that placeholders may come to, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// Names and their values. A value is read as if it stood in the rule: `*` and `?` are wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders(BTreeMap<String, Vec<String>>);

impl Placeholders {
    /// Reads a map of names with a value or a list of values each. What cannot be used is said
    /// with its line; the rest holds.
    pub fn read(node: &Node) -> (Self, Vec<Unusable>) {
        let (mut all, mut wrong) = (Self::default(), Vec::new());
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            let error = Unusable::new(node.line, "placeholders must be a map");
            wrong.push(error.help("such as `Admins: [alice, bob]`"));
        }
        for entry in node.entries() {
            if !is_name(&entry.key) {
                let message = format!("`{}` is no name of a placeholder", entry.key);
                wrong.push(
                    Unusable::new(entry.line, message).help("letters, digits, `_`, `-` and `.`"),
                );
                continue;
            }
            let mut values = Vec::new();
            for item in entry.value.items() {
                match item.scalar() {
                    Some(text) => values.push(text.to_owned()),
                    None => {
                        let message = format!(
                            "a value of the placeholder `{}` is {}",
                            entry.key,
                            item.kind()
                        );
                        wrong.push(Unusable::new(item.line, message).help("text or a number"));
                    }
                }
            }
            all.0.insert(entry.key.clone(), values);
        }
        (all, wrong)
    }

    /// Takes in others; theirs count where both have a name.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The detection with all placeholders filled in.
    ///
    /// # Errors
    /// Nothing is known for one of them.
    pub fn fill<'n>(&self, node: &'n Node) -> Result<Cow<'n, Node>, Unusable> {
        if has_expand(node) {
            self.filled(node).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(node))
        }
    }

    fn filled(&self, node: &Node) -> Result<Node, Unusable> {
        let value = match &node.value {
            Value::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.filled(item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|e| self.entry(e))
                    .collect::<Result<_, _>>()?,
            ),
            other => other.clone(),
        };
        let line = node.line;
        Ok(Node { line, value })
    }

    fn entry(&self, entry: &Entry) -> Result<Entry, Unusable> {
        let value = if asks_to_expand(&entry.key) {
            self.values(&entry.value)?
        } else {
            self.filled(&entry.value)?
        };
        Ok(Entry {
            key: entry.key.clone(),
            line: entry.line,
            value,
        })
    }

    /// The values of a field with `expand`. Several stand side by side, as if the rule listed them.
    fn values(&self, node: &Node) -> Result<Node, Unusable> {
        let mut values = Vec::new();
        for item in node.items() {
            let Some(text) = item.scalar().filter(|text| has_placeholder(text)) else {
                values.push(item.clone());
                continue;
            };
            for text in self.texts(text, item.line)? {
                values.push(Node {
                    line: item.line,
                    value: Value::Text(text),
                });
            }
        }
        let only = (values.len() == 1 && !matches!(node.value, Value::List(_)))
            .then(|| values.pop())
            .flatten();
        Ok(only.unwrap_or(Node {
            line: node.line,
            value: Value::List(values),
        }))
    }

    /// Every text that one with placeholders stands for.
    fn texts(&self, text: &str, line: usize) -> Result<Vec<String>, Unusable> {
        let mut texts = vec![String::new()];
        for piece in pieces(text) {
            let values = match piece {
                Piece::Text(text) => &[text.to_owned()][..],
                Piece::Name(name) => self.of(name, line)?,
            };
            if texts.len().saturating_mul(values.len()) > MAX_VALUES {
                let message =
                    format!("the placeholders in `{text}` come to more than {MAX_VALUES} values");
                return Err(Unusable::new(line, message));
            }
            texts = texts
                .iter()
                .flat_map(|head| values.iter().map(move |value| format!("{head}{value}")))
                .collect();
            if texts.iter().any(|text| text.len() > MAX_LENGTH) {
                let message =
                    format!("the placeholders in `{text}` make it longer than {MAX_LENGTH} bytes");
                return Err(Unusable::new(line, message));
            }
        }
        Ok(texts)
    }

    fn of(&self, name: &str, line: usize) -> Result<&[String], Unusable> {
        let help = format!(
            "give its values in picket.yml, such as `placeholders: {{ {name}: [a, b] }}`, or in \
             the file of --placeholders"
        );
        match self.0.get(name) {
            Some(values) if !values.is_empty() => Ok(values),
            Some(_) => {
                let message = format!("the placeholder `%{name}%` has no values");
                Err(Unusable::new(line, message).help(help))
            }
            None => {
                let message = format!("nothing is known for the placeholder `%{name}%`");
                let known = self.0.keys().map(String::as_str);
                Err(
                    Unusable::new(line, message).help(match nearest(name, known) {
                        Some(near) => format!("did you mean `%{near}%`?"),
                        None => help,
                    }),
                )
            }
        }
    }
}

/// Whether there is a key with `expand` in it.
fn has_expand(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.iter().any(has_expand),
        Value::Map(entries) => {
            (entries.iter()).any(|entry| asks_to_expand(&entry.key) || has_expand(&entry.value))
        }
        _ => false,
    }
}

fn asks_to_expand(key: &str) -> bool {
    key.split('|').skip(1).any(|word| word == "expand")
}

enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Cuts a text at its placeholders.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(start) = rest.get(from..).and_then(|tail| tail.find('%')) {
        let start = from + start;
        let behind = rest.get(start + 1..).unwrap_or_default();
        match behind.split_once('%') {
            Some((name, tail)) if is_name(name) => {
                pieces.push(Piece::Text(rest.get(..start).unwrap_or_default()));
                pieces.push(Piece::Name(name));
                (rest, from) = (tail, 0);
            }
            Some(_) => from = start + 1,
            None => break,
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn has_placeholder(text: &str) -> bool {
    pieces(text)
        .iter()
        .any(|piece| matches!(piece, Piece::Name(_)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::yaml;

    fn node(text: &str) -> Node {
        yaml::parse(text).remove(0).unwrap()
    }

    fn placeholders(text: &str) -> Placeholders {
        let (placeholders, wrong) = Placeholders::read(&node(text));
        assert_eq!(wrong, []);
        placeholders
    }

    /// The values of a detection's only field.
    fn filled(known: &str, detection: &str) -> Vec<String> {
        let detection = node(detection);
        let filled = placeholders(known).fill(&detection).unwrap();
        let values = filled.entries()[0].value.items();
        values
            .iter()
            .map(|v| v.scalar().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_way_to_fill_in_is_a_value() {
        let known = "{a: [1, two], b-c.d: 'x*'}";
        assert_eq!(filled(known, "F|expand: '%a%'"), ["1", "two"]);
        assert_eq!(
            filled(known, "F|expand: ['<%a%%b-c.d%>', z]"),
            ["<1x*>", "<twox*>", "z"]
        );
        assert_eq!(
            filled(known, "F|expand: '50% of %a% %'"),
            ["50% of 1 %", "50% of two %"]
        );
        assert_eq!(
            filled(known, "F|contains|expand|all: '%%a%'"),
            ["%1", "%two"]
        );
        assert_eq!(filled(known, "F: '%a%'"), ["%a%"]);
        assert_eq!(filled(known, "F|expand: '100%'"), ["100%"]);
    }

    #[test]
    fn what_is_lacking_is_named() {
        let known = placeholders("{Admins: [a], none: []}");
        let error = |detection: &str| {
            let error = known.fill(&node(detection)).unwrap_err();
            (
                error.line,
                format!("{}; {}", error.message, error.help.unwrap_or_default()),
            )
        };
        assert_eq!(
            error("a: b\nsel:\n  F|expand: '%Amins%'"),
            (
                3,
                "nothing is known for the placeholder `%Amins%`; did you mean `%Admins%`?".into()
            )
        );
        assert!(
            error("F|expand: '%none%'")
                .1
                .starts_with("the placeholder `%none%` has no values; ")
        );
        let many = format!("{{x: [{}]}}", "a,".repeat(200));
        let error = placeholders(&many)
            .fill(&node("F|expand: '%x%%x%%x%'"))
            .unwrap_err();
        assert!(
            error.message.contains("more than 10000 values"),
            "{error:?}"
        );
    }

    #[test]
    fn what_is_no_map_of_values_is_named() {
        let (_, wrong) = Placeholders::read(&node("a: {b: c}\n'x y': z\nn: [1, [2]]"));
        let lines: Vec<usize> = wrong.iter().map(|w| w.line).collect();
        assert_eq!(lines, [1, 2, 3], "{wrong:?}");
        assert_eq!(Placeholders::read(&node("[a]")).1.len(), 1);
    }
}
