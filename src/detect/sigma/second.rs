//! The second opinion: sigma-rust, an engine that shares no code with ours, is asked about each
//! finding. It knows less of the language than the rules use, so a rule is rewritten, and an event
//! normalised, to what it understands; what it cannot understand is [`SecondOpinion::Unsupported`].
//! Never decides what is found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use rustc_hash::FxHashSet;
use serde_json::{Map, Value as Json, json};

use crate::finding::SecondOpinion;
use crate::rule::Rule;
use crate::rule::pattern::{self, Token};
use crate::rule::predicate::{Atom, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::{Event, FieldId, Kind};

/// The most that is put to it: characters times the patterns they are compared with, of a field or
/// of all values together. It takes some nanoseconds for each, and what attackers write may be long.
const MAX_WORK: usize = 1 << 18;

/// All rules as sigma-rust has them, each compiled when it is asked for first.
#[derive(Debug)]
pub(super) struct Second {
    rules: Vec<OnceLock<Option<Box<Loaded>>>>,
}

#[derive(Debug)]
struct Loaded {
    /// The rule itself and its filters, all of which must hold.
    parts: Vec<sigma_rust::Rule>,
    needs: Vec<Need>,
    /// How many.
    keywords: usize,
}

/// What a rule asks of a field.
#[derive(Debug)]
struct Need {
    field: FieldId,
    name: Box<str>,
    /// With how many patterns it is compared.
    patterns: usize,
    /// It asks for null, or whether the field exists.
    null: bool,
    number: bool,
}

impl Second {
    /// For that many rules.
    pub(super) fn new(rules: usize) -> Self {
        Self {
            rules: (0..rules).map(|_| OnceLock::new()).collect(),
        }
    }

    /// What sigma-rust says of a rule that holds for the event, by our judgement.
    pub(super) fn opinion(
        &self,
        number: usize,
        rule: &Rule,
        atoms: &[Atom],
        names: &[Box<str>],
        event: &Event<'_>,
    ) -> SecondOpinion {
        let Some(loaded) = self.loaded(number, rule, atoms, names) else {
            return SecondOpinion::Unsupported;
        };
        let event = match loaded.event(event) {
            Ok(event) => event,
            Err(silent) => return silent,
        };
        match catch_unwind(AssertUnwindSafe(|| loaded.is_match(&event))) {
            Ok(true) => SecondOpinion::Agrees,
            Ok(false) => SecondOpinion::Differs,
            Err(_) => SecondOpinion::Unsupported,
        }
    }

    /// Whether it can be asked about the rule, of whatever event.
    pub(super) fn knows(
        &self,
        number: usize,
        rule: &Rule,
        atoms: &[Atom],
        names: &[Box<str>],
    ) -> bool {
        self.loaded(number, rule, atoms, names).is_some()
    }

    fn loaded(
        &self,
        number: usize,
        rule: &Rule,
        atoms: &[Atom],
        names: &[Box<str>],
    ) -> Option<&Loaded> {
        let slot = self.rules.get(number)?;
        slot.get_or_init(|| load(rule, atoms, names).map(Box::new))
            .as_deref()
    }
}

impl Loaded {
    fn is_match(&self, event: &sigma_rust::Event) -> bool {
        self.parts.iter().all(|part| part.is_match(event))
    }

    /// The event as it needs it: text throughout, absent fields as null where the rule asks for
    /// that. It is not asked if a field has several values, which it never matches, nor if it would
    /// take too long.
    fn event(&self, event: &Event<'_>) -> Result<sigma_rust::Event, SecondOpinion> {
        let mut out = sigma_rust::Event::new();
        let mut left = MAX_WORK;
        let mut spend = |text: &str, patterns: usize| {
            left = left
                .checked_sub(text.len().saturating_mul(patterns))
                .ok_or(SecondOpinion::TooLong)?;
            Ok(())
        };
        for need in &self.needs {
            let mut values = event.values(need.field).filter(|v| v.kind != Kind::Null);
            match (values.next(), values.next()) {
                (Some(value), None) => {
                    spend(value.text, need.patterns)?;
                    match value.text.trim().parse::<f64>() {
                        Ok(number) if need.number => out.insert(&*need.name, number),
                        _ => out.insert(&*need.name, value.text),
                    }
                }
                (None, _) if need.null => out.insert(&*need.name, None),
                (None, _) => {}
                (Some(_), Some(_)) => return Err(SecondOpinion::Unsupported),
            }
        }
        if self.keywords > 0 {
            for (number, value) in event.all_values().enumerate() {
                spend(value.text, self.keywords)?;
                out.insert(format!("\0{number}"), value.text);
            }
        }
        Ok(out)
    }
}

fn load(rule: &Rule, atoms: &[Atom], names: &[Box<str>]) -> Option<Loaded> {
    let detections = std::iter::once(&*rule.detection).chain(rule.filters.iter().map(|f| &**f));
    let parts = detections.map(compile).collect::<Option<Vec<_>>>()?;
    let mut used = FxHashSet::default();
    used_atoms(rule, &rule.condition, &mut used);
    let used = used.into_iter().filter_map(|id| atoms.get(id));
    let mut needs: Vec<Need> = Vec::new();
    let mut keywords = 0;
    let mut need = |field: FieldId, predicate: Option<&Predicate>| {
        let null = matches!(predicate, Some(Predicate::Null | Predicate::Exists));
        let number = matches!(predicate, Some(Predicate::Number(..)));
        if let Some(known) = needs.iter_mut().find(|need| need.field == field) {
            known.patterns += 1;
            known.null |= null;
            known.number |= number;
        } else if let Some(name) = names.get(field.index()).cloned() {
            needs.push(Need {
                field,
                name,
                patterns: 1,
                null,
                number,
            });
        }
    };
    for atom in used {
        match atom.field {
            Some(field) => need(field, Some(&atom.predicate)),
            None => keywords += 1,
        }
        if let Predicate::Reference { field, .. } = &atom.predicate {
            need(*field, None);
        }
    }
    Some(Loaded {
        parts,
        needs,
        keywords,
    })
}

fn compile(detection: &str) -> Option<sigma_rust::Rule> {
    let detection: Json = serde_json::from_str(detection).ok()?;
    let rewritten = rewrite(detection.as_object()?)?;
    // JSON is YAML.
    let text = json!({ "title": "", "logsource": {}, "detection": rewritten }).to_string();
    catch_unwind(|| sigma_rust::rule_from_yaml(&text))
        .ok()?
        .ok()
}

fn used_atoms(rule: &Rule, tree: &Tree, used: &mut FxHashSet<usize>) {
    match tree {
        Tree::Atom(id) => {
            used.insert(id.index());
        }
        Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|p| used_atoms(rule, p, used)),
        Tree::Not(inner) => used_atoms(rule, inner, used),
        Tree::Selection(number) => {
            if let Some(selection) = rule.selections.get(*number) {
                used_atoms(rule, &selection.tree, used);
            }
        }
    }
}

/// The detection in the part of the language that sigma-rust reads; `None` if it cannot be said
/// so. All scalars of `detection` are text or null.
fn rewrite(detection: &Map<String, Json>) -> Option<Map<String, Json>> {
    let mut out = Map::new();
    for (name, value) in detection {
        match name.as_str() {
            "condition" | "timeframe" => {}
            _ => {
                out.insert(name.clone(), selection(value)?);
            }
        }
    }
    let names: Vec<&str> = out.keys().map(String::as_str).collect();
    let conditions: Vec<String> = match detection.get("condition")? {
        Json::Array(many) => many
            .iter()
            .map(|one| Some(format!("({})", condition(one.as_str()?, &names)?)))
            .collect::<Option<_>>()?,
        one => vec![condition(one.as_str()?, &names)?],
    };
    out.insert("condition".into(), conditions.join(" or ").into());
    Some(out)
}

/// It wants operators in lower case, `1 of` for `any of`, and counts names with `_` among `them`.
fn condition(text: &str, names: &[&str]) -> Option<String> {
    if !text.is_ascii() {
        return None;
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<String> = Vec::new();
    for word in spaced.split_whitespace() {
        let lower = word.to_lowercase();
        let is_operator = matches!(
            &*lower,
            "and" | "or" | "not" | "of" | "all" | "them" | "any" | "1"
        );
        words.push(match lower.as_str() {
            _ if !is_operator || names.contains(&word) => word.to_owned(),
            "any" => "1".into(),
            _ => lower,
        });
    }
    if !names.iter().any(|name| name.starts_with('_')) {
        return Some(words.join(" "));
    }
    while let Some(at) = words.iter().position(|word| word == "them") {
        let quantity = words.get(at.checked_sub(2)?)?.clone();
        let shown: Vec<&str> = names
            .iter()
            .copied()
            .filter(|n| !n.starts_with('_'))
            .collect();
        let glue = if quantity == "all" { " and " } else { " or " };
        words.splice(at - 2..=at, [format!("({})", shown.join(glue))]);
    }
    Some(words.join(" "))
}

fn selection(value: &Json) -> Option<Json> {
    match value {
        Json::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                let (key, value) = field(key, value)?;
                if out.insert(key, value).is_some() {
                    return None;
                }
            }
            Some(out.into())
        }
        Json::Array(items) => items
            .iter()
            .map(|item| match item {
                Json::Object(_) => selection(item),
                other => keyword(other),
            })
            .collect::<Option<Vec<_>>>()
            .map(Into::into),
        other => Some(vec![keyword(other)?].into()),
    }
}

/// It wants a keyword to be the whole value.
fn keyword(value: &Json) -> Option<Json> {
    let text = value.as_str()?;
    let slashes = text.len() - text.trim_end_matches('\\').len();
    let escape = if slashes % 2 == 1 { "\\" } else { "" };
    Some(format!("*{text}{escape}*").into())
}

/// A field's key and values.
fn field(key: &str, value: &Json) -> Option<(String, Json)> {
    let mut words = key.split('|');
    let name = words.next().filter(|name| !name.is_empty())?;
    let mut modifiers: Vec<&str> = words.filter(|word| *word != "expand").collect();
    if modifiers.contains(&"neq") {
        return None;
    }
    if modifiers.contains(&"exists") {
        return Some((key.into(), Json::Bool(value.as_str() == Some("true"))));
    }
    let values = match value {
        Json::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let values = field_values(&mut modifiers, values)?;
    let key = std::iter::once(name)
        .chain(modifiers)
        .collect::<Vec<_>>()
        .join("|");
    let is_list = value.is_array() || values.len() > 1;
    let value = if is_list {
        values.into()
    } else {
        values.into_iter().next()?
    };
    Some((key, value))
}

/// The values as it understands them, with the modifiers that are left.
fn field_values(modifiers: &mut Vec<&str>, mut values: Vec<Json>) -> Option<Vec<Json>> {
    if modifiers.contains(&"re") {
        let mut flags = String::new();
        modifiers.retain(|word| {
            flags.push_str(match *word {
                "i" | "ignorecase" => "i",
                "m" | "multiline" => "m",
                "s" | "dotall" => "s",
                _ => return true,
            });
            false
        });
        if !flags.is_empty() {
            values = each(&values, |text| Some(format!("(?{flags}){text}")))?;
        }
        return Some(values);
    }
    let is_compared = |word: &&str| matches!(*word, "gt" | "gte" | "lt" | "lte");
    if modifiers.iter().any(is_compared) {
        let number = |value: &Json| value.as_str()?.trim().parse::<f64>().ok().map(Json::from);
        return values.iter().map(number).collect();
    }
    if modifiers.contains(&"windash") {
        // Its own reads other words as options, one at a time, and panics on an en dash.
        if modifiers.contains(&"all") {
            return None;
        }
        modifiers.retain(|word| *word != "windash");
        let mut all = Vec::new();
        for value in &values {
            let variants = pattern::windash(value.as_str()?).ok()?;
            all.extend(variants.into_iter().map(Json::from));
        }
        values = all;
    }
    if needs_backtracking(modifiers, &values) {
        values = each(&values, |text| as_regex(modifiers, text))?;
        modifiers.retain(|word| *word == "all");
        modifiers.push("re");
    }
    Some(values)
}

fn each(values: &[Json], change: impl Fn(&str) -> Option<String>) -> Option<Vec<Json>> {
    values
        .iter()
        .map(|value| change(value.as_str()?).map(Json::from))
        .collect()
}

/// The value with the wildcards that its modifiers add; `None` where it is no text with wildcards.
fn opened(modifiers: &[&str], text: &str) -> Option<Vec<Token>> {
    let has = |word| modifiers.contains(&word);
    let is_text = modifiers.iter().all(|word| {
        matches!(
            *word,
            "contains" | "startswith" | "endswith" | "all" | "cased"
        )
    });
    is_text.then(|| {
        pattern::open(
            pattern::tokens(text),
            has("contains") || has("endswith"),
            has("contains") || has("startswith"),
        )
    })
}

/// It takes the first place where the text behind a `*` fits and never another, so that a `?`
/// behind a `*` may fail there.
fn needs_backtracking(modifiers: &[&str], values: &[Json]) -> bool {
    values
        .iter()
        .filter_map(Json::as_str)
        .filter_map(|text| opened(modifiers, text))
        .any(|tokens| {
            tokens
                .iter()
                .skip_while(|token| **token != Token::Many)
                .any(|token| *token == Token::One)
        })
}

fn as_regex(modifiers: &[&str], text: &str) -> Option<String> {
    let flags = if modifiers.contains(&"cased") {
        "s"
    } else {
        "is"
    };
    let mut regex = format!(r"(?{flags})\A");
    for token in opened(modifiers, text)? {
        match token {
            Token::Text(text) => regex.push_str(&regex::escape(&text)),
            Token::One => regex.push('.'),
            Token::Many => regex.push_str(".*"),
        }
    }
    regex.push_str(r"\z");
    Some(regex)
}
