//! A small YAML tree that knows its lines: what rules and the configuration are read from. Bounded
//! in size, depth and alias expansion, since anyone may have written the file; a key that stands
//! twice is an error. Never reads files and knows nothing of Sigma.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

/// The largest text that is read, in bytes.
pub const MAX_TEXT: usize = 1024 * 1024;
/// Lists and maps nested deeper than this are refused.
const MAX_DEPTH: usize = 64;
/// The most that one text may grow to, aliases expanded: one for each value and each byte of text.
const MAX_WEIGHT: usize = 4 * MAX_TEXT;
/// A map with so many entries does not look at each of them for a key that stands twice.
const MANY: usize = 16;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The line that it begins on, counted from 1.
    pub line: usize,
    /// What stands there.
    pub value: Value,
}

/// A YAML value. Scalars without quotes are typed as YAML 1.2 has it, but keep their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false` without quotes.
    Bool(bool),
    /// A decimal number without quotes, as it is written.
    Number(String),
    /// All other text, and everything in quotes.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; no key stands twice.
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// The key's line, counted from 1.
    pub line: usize,
    /// What it stands for.
    pub value: Node,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// The line, counted from 1.
    pub line: usize,
    /// A lowercase fragment without a full stop.
    pub message: String,
}

impl Node {
    /// The value of that key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The entries, if this is a map; otherwise none.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The values of a list; a value that is none is a list of itself.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The text of a scalar, as it is written; `None` for null, lists and maps.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Number(text) | Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Bool(_) => 0,
            Value::Number(text) | Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| entry.key.len() + entry.value.weight())
                .sum(),
        }
    }
}

/// Reads all documents of a text, in order. Each that cannot be read is an error in its place;
/// after a syntax error there is nothing more.
pub fn parse(text: &str) -> Vec<Result<Node, YamlError>> {
    if text.len() > MAX_TEXT {
        let message = format!("larger than {} MB", MAX_TEXT / 1024 / 1024);
        return vec![Err(YamlError { line: 1, message })];
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut documents = Vec::new();
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        match event {
            Ok((Event::DocumentEnd, _)) => documents.extend(builder.finish()),
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let syntax = YamlError {
                    line: error.marker().line(),
                    message: format!("not YAML: {}", error.info()),
                };
                documents.push(Err(builder.failed.take().unwrap_or(syntax)));
                break;
            }
        }
    }
    documents
}

/// A list or map that is still open.
struct Open {
    line: usize,
    anchor: usize,
    value: Partial,
}

enum Partial {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The keys of all entries, once there are [`MANY`].
        keys: HashSet<String>,
        /// The key whose value comes next.
        key: Option<(String, usize)>,
    },
}

/// Builds one document after the other from the parser's events.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    /// Why the present document is bad; the rest of it is passed by.
    failed: Option<YamlError>,
    weight: usize,
}

impl Builder {
    fn finish(&mut self) -> Option<Result<Node, YamlError>> {
        self.open.clear();
        self.anchors.clear();
        let root = self.root.take();
        match self.failed.take() {
            Some(error) => Some(Err(error)),
            None => root.map(Ok),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) {
        if self.failed.is_some() {
            return;
        }
        let line = span.start.line();
        if let Err(message) = self.step(event, line) {
            self.open.clear();
            self.failed = Some(YamlError { line, message });
        }
    }

    fn step(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.expects_key() {
                    return self.key(text, style, line);
                }
                let value = typed(text, style, tag.as_deref());
                self.place(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Partial::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(
                line,
                anchor,
                Partial::Map {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    key: None,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.value {
                    Partial::List(items) => Value::List(items),
                    Partial::Map { entries, .. } => Value::Map(entries),
                };
                let node = Node {
                    line: open.line,
                    value,
                };
                self.place(node, open.anchor)
            }
            Event::Alias(anchor) => {
                let node = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias stands inside of what it names")?;
                let weight = node.weight();
                self.charge(weight)?;
                let mut node = self.anchors.get(&anchor).cloned().ok_or("unknown alias")?;
                node.line = line;
                self.attach(node)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        let open = self.open.last().map(|open| &open.value);
        matches!(open, Some(Partial::Map { key: None, .. }))
    }

    /// Takes a scalar as the key that is expected next.
    fn key(&mut self, text: Cow<'_, str>, style: ScalarStyle, line: usize) -> Result<(), String> {
        let open = self.open.last_mut().map(|open| &mut open.value);
        let Some(Partial::Map { entries, keys, key }) = open else {
            return Ok(());
        };
        if text == "<<" && style == ScalarStyle::Plain {
            return Err("merge keys (`<<`) are not read: write the keys out".into());
        }
        let is_new = if entries.len() < MANY {
            !entries.iter().any(|entry| entry.key == text)
        } else {
            if keys.is_empty() {
                keys.extend(entries.iter().map(|entry| entry.key.clone()));
            }
            keys.insert(text.to_string())
        };
        if !is_new {
            return Err(format!("the key `{text}` stands twice in the same map"));
        }
        *key = Some((text.into_owned(), line));
        Ok(())
    }

    fn begin(&mut self, line: usize, anchor: usize, value: Partial) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        if self.expects_key() {
            return Err("a key of a map must be text".into());
        }
        self.open.push(Open {
            line,
            anchor,
            value,
        });
        Ok(())
    }

    fn place(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        let own = match &node.value {
            Value::Number(text) | Value::Text(text) => 1 + text.len(),
            _ => 1,
        };
        self.charge(own)?;
        if anchor != 0 {
            let copy = node.weight();
            self.charge(copy)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Node) -> Result<(), String> {
        match self.open.last_mut().map(|open| &mut open.value) {
            None => self.root = Some(node),
            Some(Partial::List(items)) => items.push(node),
            Some(Partial::Map { entries, key, .. }) => match key.take() {
                Some((key, line)) => entries.push(Entry {
                    key,
                    line,
                    value: node,
                }),
                None => return Err("a key of a map must be text".into()),
            },
        }
        Ok(())
    }

    fn charge(&mut self, weight: usize) -> Result<(), String> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MAX_WEIGHT {
            return Err("grows too large: use fewer aliases".into());
        }
        Ok(())
    }
}

fn typed(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if style != ScalarStyle::Plain || is_text {
        return Value::Text(text.into_owned());
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_decimal(&text) => Value::Number(text.into_owned()),
        _ => Value::Text(text.into_owned()),
    }
}

/// Whether it is `-12`, `3.5` or `1e9`. Hexadecimal and octal numbers stay text: whoever writes
/// `0x1410` in a rule means those letters.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Node {
        let mut documents = parse(text);
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0).unwrap()
    }

    fn error(text: &str) -> (usize, String) {
        let error = parse(text).into_iter().find_map(Result::err).unwrap();
        (error.line, error.message)
    }

    #[test]
    fn plain_scalars_are_typed_and_quoted_ones_are_text() {
        let node = one(
            "- null\n- ~\n-\n- true\n- 4688\n- '4688'\n- ''\n- 0x1410\n- 1.5\n- 1.2.3\n- yes\n- a\\*b",
        );
        let values: Vec<&Value> = node.items().iter().map(|n| &n.value).collect();
        let text = |t: &str| Value::Text(t.into());
        let number = |t: &str| Value::Number(t.into());
        assert_eq!(
            values,
            [
                &Value::Null,
                &Value::Null,
                &Value::Null,
                &Value::Bool(true),
                &number("4688"),
                &text("4688"),
                &text(""),
                &text("0x1410"),
                &number("1.5"),
                &text("1.2.3"),
                &text("yes"),
                &text("a\\*b"),
            ]
        );
    }

    #[test]
    fn maps_keep_their_order_and_lines() {
        let node = one("# first\nb: 1\na:\n  - x\n  - y: z\n");
        let keys: Vec<_> = node.entries().iter().map(|e| (&*e.key, e.line)).collect();
        assert_eq!(keys, [("b", 2), ("a", 3)]);
        assert_eq!(node.get("a").unwrap().items()[1].line, 5);
    }

    #[test]
    fn a_key_that_stands_twice_is_told_in_long_maps_too() {
        let keys: Vec<String> = (0..2 * MANY)
            .map(|number| format!("k{number}: x"))
            .collect();
        assert_eq!(one(&keys.join("\n")).entries().len(), 2 * MANY);
        for first in [0, MANY - 1, MANY, 2 * MANY - 1] {
            let (line, message) = error(&[&*keys.join("\n"), &keys[first]].join("\n"));
            assert_eq!(
                (line, message.contains("twice")),
                (2 * MANY + 1, true),
                "{first}"
            );
        }
    }

    #[test]
    fn several_documents_stand_alone() {
        let documents = parse("a: 1\n---\na: 1\na: 2\n---\nb: 2\n");
        assert!(documents[0].is_ok() && documents[2].is_ok());
        let twice = documents[1].as_ref().unwrap_err();
        assert_eq!((twice.line, twice.message.contains("`a`")), (4, true));
        assert!(parse("").is_empty() && parse("# nothing\n").is_empty());
    }

    #[test]
    fn hostile_files_are_refused() {
        assert!(error(&"[".repeat(100)).1.contains("nested deeper"));
        assert!(error("a: &a [*a]").1.contains("alias"));
        assert!(error("? [1]\n: 2").1.contains("key"));
        assert!(error("a: &a {x: 1}\nb:\n  <<: *a").1.contains("merge"));
        assert_eq!(error("a: [1\nb: 2").0, 2);
        assert!(error(&"x".repeat(MAX_TEXT + 1)).1.contains("larger"));
        let mut bomb = String::from("a0: &a0 [x]\n");
        for n in 1..40 {
            let all = format!("*a{},", n - 1).repeat(8);
            bomb.push_str(&format!("a{n}: &a{n} [{all}]\n"));
        }
        assert!(error(&bomb).1.contains("too large"));
    }

    #[test]
    fn an_alias_is_what_it_names() {
        let node = one("a: &x [1, 2]\nb: *x\n");
        assert_eq!(
            node.get("a").unwrap().items(),
            node.get("b").unwrap().items()
        );
        assert_eq!(node.get("b").unwrap().line, 2);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-c:\\-\\[\\]{}&*!|>'\"?#%@ \n\t,0-9]{0,60}") {
            let _ = parse(&text);
        }
    }
}
