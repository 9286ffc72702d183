//! Rewrites a detection to the part of the language that sigma-rust reads, without changing what it
//! means. What cannot be said so is `None`. Pure: JSON in, JSON out.

use serde_json::{Map, Value as Json};

use crate::rule::pattern::{self, Token};

/// How texts are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As the rule has them.
    Plain,
    /// Those that may stand anywhere as regular expressions over the field's folded value, which is
    /// expected under [`folded`]: sigma-rust compares a text with each place of a value by itself.
    Folded,
}

/// The name under which all folded values are asked for, joined by [`BORDER`].
pub(super) const ALL: &str = "~~";
/// No text of a rule has it.
pub(super) const BORDER: char = '\0';

/// What ends the name of a field's folded value.
const FOLDED: char = '~';

/// The name under which a field's folded value is asked for.
pub(super) fn folded(name: &str) -> String {
    format!("{name}{FOLDED}")
}

/// The detection in the part of the language that sigma-rust reads; `None` if it cannot be said
/// so. All scalars of `detection` are text or null.
pub(super) fn rewrite(detection: &Map<String, Json>, form: Form) -> Option<Map<String, Json>> {
    let mut out = Map::new();
    for (name, value) in detection {
        match name.as_str() {
            "condition" | "timeframe" => {}
            _ => {
                out.insert(name.clone(), selection(value, form)?);
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

fn selection(value: &Json, form: Form) -> Option<Json> {
    match value {
        Json::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                let (key, value) = field(key, value, form)?;
                if let Some(before) = out.insert(key.clone(), value) {
                    both(&mut out, &key, before)?;
                }
            }
            Some(out.into())
        }
        Json::Array(items) if form == Form::Folded && items.iter().all(Json::is_string) => {
            let expressions = anywhere(&["contains"], items)?;
            Some(Map::from_iter([(format!("{ALL}|re"), expressions.into())]).into())
        }
        Json::Array(items) => items
            .iter()
            .map(|item| match item {
                Json::Object(_) => selection(item, form),
                other => keyword(other),
            })
            .collect::<Option<Vec<_>>>()
            .map(Into::into),
        other => Some(vec![keyword(other)?].into()),
    }
}

/// What stands under the key and what stood there before, as conditions that must both hold. Several
/// questions to one field may become one key once all are regular expressions over its folded value.
fn both(out: &mut Map<String, Json>, key: &str, before: Json) -> Option<()> {
    let name = key.split('|').next()?;
    if !name.ends_with(FOLDED) {
        return None;
    }
    let after = out.remove(key)?;
    let mut all: Vec<Json> = Vec::new();
    for value in [before, after] {
        match value {
            Json::Array(items) => all.extend(items),
            one => all.push(one),
        }
    }
    let key = format!("{name}|all|re");
    match out.get_mut(&key) {
        Some(Json::Array(known)) => known.extend(all),
        Some(_) => return None,
        None => drop(out.insert(key, all.into())),
    }
    Some(())
}

/// It wants a keyword to be the whole value.
fn keyword(value: &Json) -> Option<Json> {
    let text = value.as_str()?;
    let slashes = text.len() - text.trim_end_matches('\\').len();
    let escape = if slashes % 2 == 1 { "\\" } else { "" };
    Some(format!("*{text}{escape}*").into())
}

/// A field's key and values.
fn field(key: &str, value: &Json, form: Form) -> Option<(String, Json)> {
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
    let mut values = field_values(&mut modifiers, values)?;
    let mut name = name.to_owned();
    if form == Form::Folded
        && let Some(expressions) = anywhere(&modifiers, &values)
    {
        values = expressions;
        name = folded(&name);
        modifiers.retain(|word| *word == "all");
        modifiers.push("re");
    }
    let key = std::iter::once(&*name)
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

/// Texts that may stand anywhere, as regular expressions over folded values: one for all of them
/// where one of the texts will do. `None` if they all begin where the value does, or are no texts.
fn anywhere(modifiers: &[&str], values: &[Json]) -> Option<Vec<Json>> {
    if modifiers.contains(&"cased") {
        return None;
    }
    let texts = values
        .iter()
        .map(|value| opened(modifiers, value.as_str()?));
    let texts: Vec<Vec<Token>> = texts.collect::<Option<_>>()?;
    let is_anywhere = |tokens: &Vec<Token>| tokens.first() == Some(&Token::Many);
    if !texts.iter().any(is_anywhere) {
        return None;
    }
    let expressions = texts.iter().map(|tokens| over_folded(tokens));
    if modifiers.contains(&"all") || texts.len() == 1 {
        return Some(expressions.map(Json::from).collect());
    }
    let branches: Vec<String> = expressions.map(|one| format!("(?:{one})")).collect();
    Some(vec![branches.join("|").into()])
}

fn over_folded(tokens: &[Token]) -> String {
    let mut regex = String::from(if tokens.contains(&Token::One) {
        "(?s)"
    } else {
        ""
    });
    let last = tokens.len().saturating_sub(1);
    if tokens.first() != Some(&Token::Many) {
        regex.push_str(r"\A");
    }
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Text(text) => regex.push_str(&regex::escape(&pattern::fold(text))),
            Token::One => regex.push('.'),
            Token::Many if at == 0 || at == last => {}
            Token::Many => regex.push_str("(?s:.*)"),
        }
    }
    if tokens.last() != Some(&Token::Many) {
        regex.push_str(r"\z");
    }
    regex
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folded(selection: &Json) -> Option<Json> {
        super::selection(selection, Form::Folded)
    }

    #[test]
    fn questions_to_one_folded_field_must_all_hold() {
        let asked = json!({"A|startswith": "q", "A|contains": ["X", "y"], "A|endswith": "z",
            "A|contains|all": ["b", "c"], "B|contains": "d"});
        let one = r"(?:x)|(?:y)";
        assert_eq!(
            folded(&asked),
            Some(json!({"A|startswith": "q", "A~|all|re": [one, r"z\z", "b", "c"], "B~|re": "d"}))
        );
        let two = json!({"A|contains": "a", "A|endswith": "z"});
        assert_eq!(folded(&two), Some(json!({"A~|all|re": ["a", r"z\z"]})));
    }
}
