//! A `Filter`: a condition that is added to rules which it names, or to all of its log source,
//! without touching their files. A rule then holds where its own condition and those of its filters
//! do, so a filter that shall leave something out says `not`. Never removes a rule.

use std::sync::Arc;

use super::coding::Codings;
use super::detection::{Compiler, Unusable};
use super::header::{self, Header};
use super::placeholder::Placeholders;
use super::tree::{Selection, Tree};
use super::yaml::{Entry, Node, Value};
use super::{Rule, nearest};
use crate::taxonomy::LogSource;

/// A filter, compiled.
#[derive(Debug)]
pub(super) struct Filter {
    line: usize,
    log_source: LogSource,
    rules: Rules,
    selections: Vec<Selection>,
    condition: Tree,
    codings: Codings,
    /// As a detection, in the JSON of rules.
    detection: Arc<str>,
    hash: [u8; 32],
}

/// Which rules it is added to.
#[derive(Debug)]
enum Rules {
    /// All of its log source.
    Any,
    /// Ids and names, with their lines.
    Named(Vec<(String, usize)>),
}

impl Filter {
    /// Reads what stands below `filter`.
    ///
    /// # Errors
    /// It is no filter.
    pub(super) fn read(
        header: Header,
        body: &Node,
        placeholders: &Placeholders,
        compiler: &mut Compiler<'_>,
    ) -> Result<Self, Unusable> {
        if header.log_source == LogSource::default() {
            let error = Unusable::new(body.line, "the filter has no `logsource`");
            return Err(error.help("it says which rules may be meant, as that of a rule"));
        }
        let rules = rules(body)?;
        let detection = without_rules(body);
        let detection = placeholders.fill(&detection)?;
        let (mut selections, condition) = compiler.detection(&detection)?;
        for selection in &mut selections {
            selection.name = format!("{} ({})", selection.name, header.title).into();
        }
        let json = header::canonical(&detection);
        let hash = header.hash("filter", &format!("{json}{}", header::canonical(body)));
        Ok(Self {
            line: body.line,
            log_source: header.log_source,
            rules,
            selections,
            condition,
            codings: compiler.codings(),
            detection: header::as_written(&detection).into(),
            hash,
        })
    }

    /// SHA-256 of all that it says.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Adds it to the rules that it is for. What it names in vain is said.
    pub(super) fn apply(&self, rules: &mut [Rule]) -> Vec<Unusable> {
        match &self.rules {
            Rules::Any => {
                let mut found = false;
                for rule in rules.iter_mut().filter(|rule| self.is_for(rule)) {
                    self.add_to(rule);
                    found = true;
                }
                let nothing = || {
                    let message = format!("no rule is for {}", said(&self.log_source));
                    Unusable::new(self.line, message)
                        .help("the filter's `logsource` must say no more than that of the rules")
                };
                (!found).then(nothing).into_iter().collect()
            }
            Rules::Named(names) => names
                .iter()
                .filter_map(|(name, line)| self.apply_to(rules, name, *line).err())
                .collect(),
        }
    }

    fn apply_to(&self, rules: &mut [Rule], name: &str, line: usize) -> Result<(), Unusable> {
        let is_meant = |rule: &&mut Rule| *rule.id == *name || rule.name.as_deref() == Some(name);
        let mut meant = rules.iter_mut().filter(is_meant).peekable();
        if meant.peek().is_none() {
            drop(meant);
            return Err(unknown(rules, name, line));
        }
        for rule in meant {
            if !self.is_for(rule) {
                let message = format!(
                    "the rule `{name}` is for {}, the filter for {}",
                    said(&rule.log_source),
                    said(&self.log_source)
                );
                return Err(Unusable::new(line, message).help("give both the same `logsource`"));
            }
            self.add_to(rule);
        }
        Ok(())
    }

    /// Whether the rule's log source is the filter's, or a part of it.
    fn is_for(&self, rule: &Rule) -> bool {
        let (mine, other) = (&self.log_source, &rule.log_source);
        let fits =
            |mine: &Option<Box<str>>, other: &Option<Box<str>>| mine.is_none() || mine == other;
        fits(&mine.product, &other.product)
            && fits(&mine.category, &other.category)
            && fits(&mine.service, &other.service)
    }

    fn add_to(&self, rule: &mut Rule) {
        let first = rule.selections.len();
        rule.selections.extend(self.selections.iter().cloned());
        let own = std::mem::replace(&mut rule.condition, Tree::All(Vec::new()));
        rule.condition = Tree::all(vec![own, self.condition.clone().behind(first)]);
        rule.codings.extend(&self.codings);
        rule.filters.push(Arc::clone(&self.detection));
    }
}

/// No rule is called so.
fn unknown(rules: &[Rule], name: &str, line: usize) -> Unusable {
    let names = rules.iter().flat_map(|rule| {
        let name = rule.name.as_deref();
        [Some(&*rule.id), name].into_iter().flatten()
    });
    let message = format!("no rule that can be used has the id or name `{name}`");
    let error = Unusable::new(line, message);
    match nearest(name, names) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("load its file too, or leave it out"),
    }
}

fn rules(body: &Node) -> Result<Rules, Unusable> {
    let help = "ids or names of rules, or `any` for all of the log source";
    let Some(rules) = body.get("rules") else {
        return Err(Unusable::new(body.line, "the filter has no `rules`").help(help));
    };
    if rules.scalar() == Some("any") {
        return Ok(Rules::Any);
    }
    let mut named: Vec<(String, usize)> = Vec::new();
    for item in rules.items() {
        match item.scalar() {
            Some(name) if named.iter().any(|(known, _)| known == name) => {
                let message = format!("the rule `{name}` stands twice");
                return Err(Unusable::new(item.line, message).help("name it once"));
            }
            Some(name) => named.push((name.to_owned(), item.line)),
            None => {
                let message = format!("a rule is {}", item.kind());
                return Err(Unusable::new(item.line, message).help(help));
            }
        }
    }
    if named.is_empty() {
        return Err(Unusable::new(rules.line, "`rules` is empty").help(help));
    }
    Ok(Rules::Named(named))
}

/// The filter as the detection of a rule.
fn without_rules(body: &Node) -> Node {
    let is_detection = |entry: &&Entry| entry.key != "rules";
    let entries = body.entries().iter().filter(is_detection).cloned();
    Node {
        line: body.line,
        value: Value::Map(entries.collect()),
    }
}

/// A log source in words.
fn said(source: &LogSource) -> String {
    let parts = [
        ("product", &source.product),
        ("category", &source.category),
        ("service", &source.service),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter_map(|(key, part)| Some(format!("{key} {}", part.as_deref()?)))
        .collect();
    match parts.is_empty() {
        true => "any log source".to_owned(),
        false => parts.join(", "),
    }
}
