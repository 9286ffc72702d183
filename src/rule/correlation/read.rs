//! Reads what stands below `correlation`, and finds the rules that it names once all are known. What
//! cannot be meant is refused with its line; nothing of a condition is ever passed over.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Compare, Condition, Correlation, Kind, Member, Named};
use crate::hex::hex;
use crate::rule::condition;
use crate::rule::detection::Unusable;
use crate::rule::header::{self, Header};
use crate::rule::nearest;
use crate::rule::tree::{Selection, Tree};
use crate::rule::yaml::{Entry, Node, Value};
use crate::taxonomy::Fields;

/// The longest span, in milliseconds: a year.
const MAX_SPAN: i64 = 366 * 86_400_000;
/// The most rules that one may name.
const MAX_RULES: usize = 100;

/// A correlation that was read, and whose rules are still to be found.
#[derive(Debug)]
pub(in crate::rule) struct Pending {
    pub(in crate::rule) path: Arc<Path>,
    pub(in crate::rule) header: Header,
    pub(in crate::rule) line: usize,
    /// Ids and names, with their lines.
    pub(in crate::rule) rules: Vec<(String, usize)>,
    /// Its rules make findings of their own, too.
    pub(in crate::rule) generate: bool,
    pub(in crate::rule) json: String,
    kind: Kind,
    group_by: Vec<String>,
    values: Vec<String>,
    aliases: Vec<Alias>,
    span: i64,
    condition: Condition,
    asks: String,
}

#[derive(Debug)]
struct Alias {
    name: String,
    line: usize,
    /// For each rule its field, with the line.
    fields: Vec<(String, String, usize)>,
}

const KEYS: [&str; 8] = [
    "type",
    "rules",
    "group-by",
    "timespan",
    "condition",
    "aliases",
    "generate",
    "field",
];

impl Pending {
    /// Reads what stands below `correlation` in that document.
    ///
    /// # Errors
    /// It is no correlation.
    pub(in crate::rule) fn read(
        path: &Arc<Path>,
        header: Header,
        node: &Node,
        body: &Node,
    ) -> Result<Self, Unusable> {
        if !matches!(body.value, Value::Map(_)) {
            return Err(Unusable::new(body.line, "`correlation` is not a map"));
        }
        if let Some(entry) = body.entries().iter().find(|e| !KEYS.contains(&&*e.key)) {
            let error = Unusable::new(entry.line, format!("unknown key `{}`", entry.key));
            return Err(match nearest(&entry.key, KEYS) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!("a correlation has {}", KEYS.join(", "))),
            });
        }
        let rules = names(body, "rules")?;
        if rules.is_empty() || rules.len() > MAX_RULES {
            let message = format!("`rules` names {} rules", rules.len());
            return Err(
                Unusable::new(body.line, message).help(format!("1 to {MAX_RULES} ids or names"))
            );
        }
        let asked = body.get("condition");
        let kind = kind(body, asked)?;
        let condition = match asked {
            None if matches!(kind, Kind::Temporal | Kind::Ordered) => all_of(rules.len()),
            None => {
                let error = Unusable::new(body.line, "the correlation has no `condition`");
                return Err(error.help("such as `gte: 10` below it"));
            }
            Some(asked) => condition(asked, kind, &rules)?,
        };
        let values = values(asked, kind, body.line)?;
        Ok(Self {
            path: path.clone(),
            line: node.line,
            generate: generate(node, body)?,
            json: header::canonical(node),
            kind,
            group_by: names(body, "group-by")?
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
            values,
            aliases: aliases(body)?,
            span: span(body)?,
            asks: match asked {
                Some(asked) => said(asked),
                None => "all rules".to_owned(),
            },
            condition,
            rules,
            header,
        })
    }

    /// SHA-256 of all that it says.
    pub(in crate::rule) fn hash(&self) -> [u8; 32] {
        self.header.hash("correlation", &self.json)
    }

    /// Its id; one made of what it says where it has none.
    pub(in crate::rule) fn id(&self) -> Arc<str> {
        match &self.header.id {
            Some(id) => id.as_str().into(),
            None => format!("no-id-{}", hex(&self.hash()[..8])).into(),
        }
    }

    /// The correlation, now that its rules are known: what each is, and a digest of it.
    ///
    /// # Errors
    /// An alias names no rule of it, or lacks one.
    pub(in crate::rule) fn resolve(
        &self,
        rules: &[(Named, Vec<u8>)],
        fields: &mut Fields,
    ) -> Result<Correlation, Unusable> {
        for alias in &self.aliases {
            let known = |rule: &str| self.rules.iter().any(|(name, _)| name == rule);
            if let Some((rule, _, line)) = alias.fields.iter().find(|(rule, ..)| !known(rule)) {
                let message = format!(
                    "the alias `{}` speaks of `{rule}`, which `rules` does not name",
                    alias.name
                );
                return Err(Unusable::new(*line, message).help("call the rule as `rules` does"));
            }
        }
        let mut key = Sha256::new_with_prefix(self.hash());
        let mut members = Vec::new();
        for ((name, _), (rule, digest)) in self.rules.iter().zip(rules) {
            key.update((digest.len() as u64).to_le_bytes());
            key.update(digest);
            let mut all = |names: &[String]| {
                let ids = names
                    .iter()
                    .map(|field| Ok(fields.intern(self.field_of(field, name)?)));
                ids.collect::<Result<Vec<_>, Unusable>>()
            };
            members.push(Member {
                name: name.as_str().into(),
                rule: *rule,
                group: all(&self.group_by)?,
                values: all(&self.values)?,
            });
        }
        Ok(Correlation {
            id: self.id(),
            name: self.header.name.as_deref().map(Into::into),
            title: self.header.title.as_str().into(),
            level: self.header.level,
            techniques: self.header.techniques.clone().into(),
            path: self.path.clone(),
            line: self.line,
            kind: self.kind,
            members,
            group_by: self
                .group_by
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            field: self.values.join(", ").into(),
            span: self.span,
            condition: self.condition.clone(),
            asks: self.asks.as_str().into(),
            silent: false,
            key: hex(&key.finalize()[..16]).into(),
            outer: Vec::new(),
        })
    }

    /// What a field, or an alias, is called in the documents of that rule.
    fn field_of<'a>(&'a self, field: &'a str, rule: &str) -> Result<&'a str, Unusable> {
        let Some(alias) = self.aliases.iter().find(|alias| alias.name == field) else {
            return Ok(field);
        };
        let found = alias.fields.iter().find(|(name, ..)| name == rule);
        found.map(|(_, field, _)| field.as_str()).ok_or_else(|| {
            let message = format!("the alias `{}` has no field for `{rule}`", alias.name);
            Unusable::new(alias.line, message).help("give one for each of `rules`")
        })
    }
}

/// A list of texts, each once; empty if there is none.
fn names(body: &Node, key: &str) -> Result<Vec<(String, usize)>, Unusable> {
    let mut names: Vec<(String, usize)> = Vec::new();
    for item in body.get(key).map(Node::items).unwrap_or_default() {
        match item.scalar() {
            Some(name) if names.iter().any(|(known, _)| known == name) => {
                let message = format!("`{name}` stands twice in `{key}`");
                return Err(Unusable::new(item.line, message).help("name it once"));
            }
            Some(name) => names.push((name.to_owned(), item.line)),
            None => {
                let message = format!("an entry of `{key}` is {}", item.kind());
                return Err(Unusable::new(item.line, message).help("write it as text"));
            }
        }
    }
    Ok(names)
}

fn kind(body: &Node, condition: Option<&Node>) -> Result<Kind, Unusable> {
    let names = Kind::ALL.map(|(name, _)| name);
    let Some(node) = body.get("type") else {
        let error = Unusable::new(body.line, "the correlation has no `type`");
        return Err(error.help(format!("one of {}", names.join(", "))));
    };
    let said = node.scalar().unwrap_or_default();
    let known = Kind::ALL.into_iter().find(|(name, _)| *name == said);
    Ok(match known.map(|(_, kind)| kind) {
        Some(Kind::Percentile(_)) => {
            let percent = condition.and_then(|condition| condition.get("percentile"));
            let number = percent
                .and_then(Node::scalar)
                .and_then(|text| text.parse().ok());
            match number.filter(|number| (1..=100).contains(number)) {
                Some(number) => Kind::Percentile(number),
                None => {
                    let line = percent.unwrap_or(node).line;
                    let message = "`value_percentile` needs a `percentile` in its condition";
                    return Err(Unusable::new(line, message).help("a whole number from 1 to 100"));
                }
            }
        }
        Some(kind) => kind,
        None => {
            let error = Unusable::new(node.line, format!("unknown type `{said}`"));
            return Err(match nearest(said, names) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!("one of {}", names.join(", "))),
            });
        }
    })
}

fn all_of(rules: usize) -> Condition {
    Condition::Measure(vec![(Compare::GreaterOrEqual, rules as f64)])
}

fn condition(node: &Node, kind: Kind, rules: &[(String, usize)]) -> Result<Condition, Unusable> {
    if let Some(text) = node.scalar() {
        if kind != Kind::Temporal {
            let error = Unusable::new(node.line, "a condition in words goes with `temporal` only");
            return Err(error.help("such as `gte: 10` below `condition`"));
        }
        // Rules are joined as selections are.
        let selection = |(name, line): &(String, usize)| Selection {
            name: name.as_str().into(),
            line: *line,
            tree: Tree::All(Vec::new()),
        };
        let selections: Vec<Selection> = rules.iter().map(selection).collect();
        return condition::parse(text, &selections)
            .map(Condition::Rules)
            .map_err(|error| Unusable {
                line: node.line,
                message: error.message.replace("no selection is", "no rule of it is"),
                help: error.help,
            });
    }
    if !matches!(node.value, Value::Map(_)) {
        return Err(Unusable::new(node.line, "`condition` is not a map").help("such as `gte: 10`"));
    }
    let mut compared = Vec::new();
    for entry in node.entries() {
        if matches!(&*entry.key, "field" | "percentile") {
            continue;
        }
        let Some((_, compare)) = Compare::ALL.iter().find(|(word, _)| *word == entry.key) else {
            let message = format!("unknown condition `{}`", entry.key);
            return Err(Unusable::new(entry.line, message)
                .help("gt, gte, lt, lte, eq or neq with a number, `field`, `percentile`"));
        };
        compared.push((*compare, number(entry)?));
    }
    match compared.is_empty() {
        // That of `temporal` needs none.
        true if matches!(kind, Kind::Temporal | Kind::Ordered) => Ok(all_of(rules.len())),
        true => {
            let error = Unusable::new(node.line, "the condition compares nothing");
            Err(error.help("such as `gte: 10`"))
        }
        false => Ok(Condition::Measure(compared)),
    }
}

fn number(entry: &Entry) -> Result<f64, Unusable> {
    let text = entry.value.scalar().unwrap_or_default();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => {
            let message = format!("`{}` needs a number", entry.key);
            Err(Unusable::new(entry.line, message).help("such as `gte: 10`"))
        }
    }
}

/// The fields that are measured.
fn values(condition: Option<&Node>, kind: Kind, line: usize) -> Result<Vec<String>, Unusable> {
    let named = match condition {
        Some(node) => names(node, "field")?,
        None => Vec::new(),
    };
    let line = condition.map_or(line, |node| node.line);
    match kind {
        Kind::Events | Kind::Temporal | Kind::Ordered if !named.is_empty() => {
            let error = Unusable::new(line, "`field` goes with the `value_` types only");
            Err(error.help("name it in `group-by`, or make it a `value_count`"))
        }
        Kind::Events | Kind::Temporal | Kind::Ordered => Ok(Vec::new()),
        Kind::Values if !named.is_empty() => Ok(named.into_iter().map(|(name, _)| name).collect()),
        _ if named.len() == 1 => Ok(named.into_iter().map(|(name, _)| name).collect()),
        _ => {
            let error = Unusable::new(
                line,
                "the condition names no `field` whose values are meant",
            );
            Err(error.help("such as `field: TargetUserName` beside `gte: 10`"))
        }
    }
}

fn aliases(body: &Node) -> Result<Vec<Alias>, Unusable> {
    let mut aliases = Vec::new();
    let Some(node) = body.get("aliases") else {
        return Ok(aliases);
    };
    let help = "such as `address: { rule_name: SourceIp }`";
    if !matches!(node.value, Value::Map(_)) {
        return Err(Unusable::new(node.line, "`aliases` is not a map").help(help));
    }
    for entry in node.entries() {
        let mut fields = Vec::new();
        for rule in entry.value.entries() {
            let Some(field) = rule.value.scalar() else {
                let message = format!("the field of `{}` is {}", rule.key, rule.value.kind());
                return Err(Unusable::new(rule.line, message).help(help));
            };
            fields.push((rule.key.clone(), field.to_owned(), rule.line));
        }
        if fields.is_empty() {
            let message = format!("the alias `{}` names no field", entry.key);
            return Err(Unusable::new(entry.line, message).help(help));
        }
        aliases.push(Alias {
            name: entry.key.clone(),
            line: entry.line,
            fields,
        });
    }
    Ok(aliases)
}

fn span(body: &Node) -> Result<i64, Unusable> {
    let help = "a number with s, m, h, d or w, such as `90m`; a year at most";
    let Some(node) = body.get("timespan") else {
        return Err(Unusable::new(body.line, "the correlation has no `timespan`").help(help));
    };
    let text = node.scalar().unwrap_or_default();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some("d") => 86_400_000,
        Some("w") => 7 * 86_400_000,
        _ => 0,
    };
    let span = digits
        .parse::<u32>()
        .map_or(0, |number| i64::from(number) * unit);
    match (1..=MAX_SPAN).contains(&span) {
        true => Ok(span),
        false => Err(Unusable::new(node.line, format!("`{text}` is no timespan")).help(help)),
    }
}

fn generate(node: &Node, body: &Node) -> Result<bool, Unusable> {
    match node.get("generate").or_else(|| body.get("generate")) {
        None => Ok(false),
        Some(Node {
            value: Value::Bool(generate),
            ..
        }) => Ok(*generate),
        Some(other) => Err(Unusable::new(other.line, "`generate` is not true or false")),
    }
}

/// A condition as it is written.
fn said(node: &Node) -> String {
    if let Some(text) = node.scalar() {
        return text.to_owned();
    }
    let compared = node.entries().iter().filter(|entry| entry.key != "field");
    let parts = compared.map(|e| format!("{} {}", e.key, e.value.scalar().unwrap_or_default()));
    parts.collect::<Vec<_>>().join(", ")
}
