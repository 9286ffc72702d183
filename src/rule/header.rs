//! All of a rule but its detection: title, id, level, log source, tags. Says of documents that are
//! no rules what they are.

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::detection::Unusable;
use super::nearest;
use super::yaml::{Entry, Node, Value};
use crate::alert::Level;
use crate::taxonomy::LogSource;

/// The longest title and id that are kept, in characters (the specification's limit for titles).
const MAX_WORDS: usize = 256;

/// What a rule says of itself.
#[derive(Clone, Debug)]
pub struct Header {
    /// `id`
    pub id: Option<String>,
    /// `name`
    pub name: Option<String>,
    /// `title`
    pub title: String,
    /// `status`
    pub status: Option<String>,
    /// `level`
    pub level: Level,
    /// `logsource`
    pub log_source: LogSource,
    /// The ATT&CK techniques among `tags`.
    pub techniques: Vec<String>,
}

impl Header {
    /// SHA-256 of everything about the rule that a finding depends on.
    pub fn hash(&self, id: &str, detection: &str) -> [u8; 32] {
        let source = &self.log_source;
        let said = [
            id,
            &self.title,
            self.level.as_str(),
            source.product.as_deref().unwrap_or_default(),
            source.category.as_deref().unwrap_or_default(),
            source.service.as_deref().unwrap_or_default(),
            &self.techniques.join(" "),
            detection,
        ];
        // Text can always be written as JSON.
        let said = serde_json::to_string(&said).unwrap_or_default();
        Sha256::digest(said.as_bytes()).into()
    }
}

/// Reads the header of a rule.
///
/// # Errors
/// It is no rule, or one of a kind that is not supported.
pub fn read(node: &Node) -> Result<Header, Unusable> {
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("this is {}, no Sigma rule", node.kind());
        return Err(Unusable::new(node.line, message));
    }
    refuse_other_kinds(node)?;
    refuse_other_taxonomies(node)?;
    let Some(title) = text(node, "title")? else {
        return Err(Unusable::new(node.line, "the rule has no `title`"));
    };
    Ok(Header {
        id: text(node, "id")?,
        name: text(node, "name")?,
        title,
        status: text(node, "status")?,
        level: level(node)?,
        log_source: log_source(node)?,
        techniques: techniques(node),
    })
}

fn refuse_other_kinds(node: &Node) -> Result<(), Unusable> {
    match node.get("action") {
        None => Ok(()),
        Some(value) => {
            let what = "rule collections (`action`) are not supported";
            Err(Unusable::new(value.line, what)
                .help("the other rules of the file are used; write each rule out in full"))
        }
    }
}

/// Names of another taxonomy would be read as fields that no document has.
fn refuse_other_taxonomies(node: &Node) -> Result<(), Unusable> {
    let Some(taxonomy) = node.get("taxonomy") else {
        return Ok(());
    };
    match taxonomy.scalar() {
        Some("sigma") => Ok(()),
        other => {
            let message = format!(
                "the taxonomy `{}` is not known",
                other.unwrap_or(taxonomy.kind())
            );
            Err(Unusable::new(taxonomy.line, message)
                .help("write the rule with Sigma's own field names and leave `taxonomy` out"))
        }
    }
}

fn text(node: &Node, key: &str) -> Result<Option<String>, Unusable> {
    match node.get(key) {
        None => Ok(None),
        Some(value) => match value.scalar().map(str::trim) {
            Some(text) if !text.is_empty() => Ok(Some(text.chars().take(MAX_WORDS).collect())),
            _ => Err(Unusable::new(value.line, format!("`{key}` is not text"))),
        },
    }
}

fn level(node: &Node) -> Result<Level, Unusable> {
    let Some(word) = text(node, "level")? else {
        return Ok(Level::default());
    };
    Level::parse(&word.to_lowercase()).ok_or_else(|| {
        let line = node.get("level").map_or(node.line, |value| value.line);
        let error = Unusable::new(line, format!("unknown level `{word}`"));
        match nearest(&word, Level::ALL.map(Level::as_str)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help("informational, low, medium, high or critical"),
        }
    })
}

fn log_source(node: &Node) -> Result<LogSource, Unusable> {
    let Some(source) = node.get("logsource") else {
        return Ok(LogSource::default());
    };
    if !matches!(source.value, Value::Map(_)) {
        return Err(Unusable::new(source.line, "`logsource` is not a map")
            .help("such as `product: windows` and `category: process_creation` below it"));
    }
    let part = |key| Ok(text(source, key)?.map(|word| word.to_lowercase().into()));
    Ok(LogSource {
        product: part("product")?,
        category: part("category")?,
        service: part("service")?,
    })
}

/// `attack.t1021.002` is `T1021.002`; tags that name no technique are passed by.
fn techniques(node: &Node) -> Vec<String> {
    let mut found: Vec<String> = node
        .get("tags")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(Node::scalar)
        .filter_map(|tag| {
            tag.to_ascii_lowercase()
                .strip_prefix("attack.t")
                .map(str::to_owned)
        })
        .filter(|number| {
            number.len() <= 8
                && number.starts_with(|c: char| c.is_ascii_digit())
                && number.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
        .map(|number| format!("T{number}"))
        .collect();
    found.dedup();
    found
}

/// A part of a rule as JSON, in its own order: every scalar a string or null.
pub fn as_written(node: &Node) -> String {
    json(node, false)
}

/// A part of a rule as JSON: every scalar a string or null, keys sorted. Equal texts ask the same.
pub fn canonical(node: &Node) -> String {
    json(node, true)
}

fn json(node: &Node, is_sorted: bool) -> String {
    // Text, lists and maps can always be written as JSON.
    serde_json::to_string(&Written { node, is_sorted }).unwrap_or_default()
}

/// A node, to be written as JSON.
struct Written<'n> {
    node: &'n Node,
    is_sorted: bool,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_sorted = self.is_sorted;
        let written = |node| Written { node, is_sorted };
        match &self.node.value {
            Value::List(items) => serializer.collect_seq(items.iter().map(written)),
            Value::Map(entries) => {
                let mut entries: Vec<&Entry> = entries.iter().collect();
                if is_sorted {
                    entries.sort_by(|a, b| a.key.cmp(&b.key));
                }
                let pairs = entries.iter().map(|e| (&e.key, written(&e.value)));
                serializer.collect_map(pairs)
            }
            _ => self.node.scalar().serialize(serializer),
        }
    }
}
