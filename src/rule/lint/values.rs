//! What is odd about a detection that works: selections that nothing asks for, values that say more
//! or less than they seem to. Knows nothing of the rest of a rule.

use std::collections::HashSet;

use super::File;
use crate::rule::yaml::{Entry, Node, Value};

/// Checks the `detection` of a rule, or the `filter` of a filter.
pub(super) fn check(file: &mut File<'_>, detection: &Node) {
    let selections = || {
        let own = |entry: &&Entry| !["condition", "timeframe", "rules"].contains(&&*entry.key);
        detection.entries().iter().filter(own)
    };
    let names: Vec<&str> = selections().map(|entry| &*entry.key).collect();
    if let Some(condition) = detection.get("condition") {
        let mut asked = HashSet::new();
        for item in condition.items() {
            self::condition(file, item, &names, &mut asked);
        }
        for entry in selections().filter(|entry| !asked.contains(&*entry.key)) {
            file.hint(
                "unused-selection",
                entry.line,
                format!("nothing in the condition asks for `{}`", entry.key),
            )
            .help("name it in the condition, or remove it");
        }
    }
    if let Some(timeframe) = detection.get("timeframe") {
        file.hint("timeframe", timeframe.line, "`timeframe` is not used")
            .help("Sigma 2 counts over time in correlation rules");
    }
    for entry in selections() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !entry.key.chars().all(plain) {
            file.hint(
                "selection-name",
                entry.line,
                format!("the name `{}` has other than a-z, 0-9 and `_`", entry.key),
            )
            .help("such as `selection_img` or `filter_main_admin`");
        }
        group(file, &entry.value);
    }
}

/// Notes which selections a condition asks for. Filters are named by a pattern by convention, even
/// one alone.
fn condition<'n>(
    file: &mut File<'_>,
    condition: &Node,
    names: &[&'n str],
    asked: &mut HashSet<&'n str>,
) {
    let text = condition.scalar().unwrap_or_default();
    let spaced = text.replace(['(', ')'], " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        let is_of = at >= 1 && words[at - 1].eq_ignore_ascii_case("of");
        let fits = |name: &&&'n str| match word.strip_suffix('*') {
            _ if is_of && *word == "them" => !name.starts_with('_'),
            Some(head) if is_of && !head.contains('*') => name.starts_with(head),
            _ if is_of => glob(word, name),
            _ => *name == word,
        };
        let found: Vec<&'n str> = names.iter().filter(fits).copied().collect();
        if is_of && found.len() == 1 && !word.starts_with("filter") {
            file.hint(
                "of-one",
                condition.line,
                format!(
                    "`{} of {word}` means `{}` alone",
                    words[at.saturating_sub(2)],
                    found[0]
                ),
            )
            .help("name it");
        }
        asked.extend(found);
    }
}

/// Whether a pattern with `*` anywhere fits.
fn glob(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let mut parts = pattern.split('*').peekable();
    let mut is_first = true;
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let at = match (is_first, is_last) {
            (true, true) => return rest == part,
            (true, false) => rest.starts_with(part).then_some(0),
            (false, true) => return rest.ends_with(part),
            (false, false) => rest.find(part),
        };
        let Some(at) = at else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
        is_first = false;
    }
    true
}

fn group(file: &mut File<'_>, node: &Node) {
    match &node.value {
        Value::List(items) => {
            for item in items.iter().filter(|item| !item.entries().is_empty()) {
                group(file, item);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                field(file, entry);
            }
        }
        _ => {}
    }
}

/// The values of one field.
fn field(file: &mut File<'_>, entry: &Entry) {
    let mut parts = entry.key.split('|');
    let name = parts.next().unwrap_or_default();
    let modifiers: Vec<&str> = parts.collect();
    let has = |modifier: &str| modifiers.contains(&modifier);
    if name.trim() != name {
        file.hint(
            "field-name",
            entry.line,
            format!("the field `{name}` has spaces around it"),
        )
        .help("no document has such a field");
    }
    if let Value::List(items) = &entry.value.value
        && items.len() == 1
    {
        let what = if has("all") {
            "`all` of one value"
        } else {
            "a list of one value"
        };
        file.hint(
            "one-value",
            entry.line,
            format!("`{}` is {what}", entry.key),
        )
        .help("write the value alone");
    }
    let mut seen = HashSet::new();
    for item in entry.value.items() {
        let Some(text) = item.scalar() else {
            continue;
        };
        let folded = if has("cased") || has("re") {
            text.to_owned()
        } else {
            text.to_lowercase()
        };
        if !seen.insert(folded) {
            file.hint(
                "same-value",
                item.line,
                format!("the value `{text}` stands twice"),
            )
            .help("case makes no difference; remove one");
        }
        if has("re") {
            regex(file, item.line, text);
        } else {
            literal(file, item.line, text, &modifiers);
        }
    }
}

fn regex(file: &mut File<'_>, line: usize, text: &str) {
    if text.starts_with(".*") || text.ends_with(".*") {
        file.hint(
            "regex-ends",
            line,
            format!("the regex `{text}` begins or ends with `.*`"),
        )
        .help("a regex is looked for anywhere in the value; leave it out");
    }
    if !text.is_empty() && !text.contains(['\\', '.', '*', '+', '?', '(', '[', '{', '|', '^', '$'])
    {
        file.hint(
            "regex-literal",
            line,
            format!("the regex `{text}` is plain text"),
        )
        .help("`contains` is faster, and ignores case");
    }
}

fn literal(file: &mut File<'_>, line: usize, text: &str, modifiers: &[&str]) {
    let has = |modifier: &str| modifiers.contains(&modifier);
    let (head, tail) = (is_open(text, true), is_open(text, false));
    let both = has("contains") && (head || tail);
    if both || has("startswith") && tail || has("endswith") && head {
        file.hint(
            "wildcard",
            line,
            format!("the `*` at the end of `{text}` adds nothing"),
        )
        .help("the modifier says it already");
    }
    if modifiers.is_empty() && text.len() > 2 && head && tail {
        file.hint("wildcard", line, format!("`{text}` means `contains`"))
            .help("write the modifier and leave both `*` out");
    }
    if has("windash") && !text.contains(['-', '/', '–', '—', '―']) {
        file.hint(
            "windash",
            line,
            format!("`{text}` has no dash for `windash`"),
        )
        .help("leave the modifier out");
    }
    let hidden = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'
                    ..='\u{202e}' | '\u{feff}'
            )
    };
    if text.chars().any(hidden) {
        file.hint("hidden", line, "a value has characters that cannot be seen")
            .help("write it again by hand, or in base64 with a comment");
    }
}

/// Whether a value begins or ends with a `*` that is not escaped.
fn is_open(text: &str, at_start: bool) -> bool {
    if at_start {
        return text.starts_with('*');
    }
    let Some(rest) = text.strip_suffix('*') else {
        return false;
    };
    let slashes = rest.chars().rev().take_while(|c| *c == '\\').count();
    slashes.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, remarks};
    use super::*;

    fn of(detection: &str) -> Vec<String> {
        let old =
            "    selection:\n        Image|endswith: '\\whoami.exe'\n    condition: selection\n";
        assert!(GOOD.contains(old));
        remarks(&GOOD.replace(old, detection))
    }

    #[test]
    fn what_is_odd_is_said() {
        for (detection, expected) in [
            (
                "    a: {B: c}\n    b: {B: d}\n    condition: a\n",
                "unused-selection a_rule.yml:17: nothing in the condition asks for `b`; name it in the condition, or remove it",
            ),
            (
                "    a_1: {B: c}\n    condition: 1 of a_*\n",
                "of-one a_rule.yml:17: `1 of a_*` means `a_1` alone; name it",
            ),
            (
                "    a: {B: [c]}\n    condition: a\n",
                "one-value a_rule.yml:16: `B` is a list of one value; write the value alone",
            ),
            (
                "    a: {B: [c, C]}\n    condition: a\n",
                "same-value a_rule.yml:16: the value `C` stands twice; case makes no difference; remove one",
            ),
            (
                "    a: {B|re: 'c.*'}\n    condition: a\n",
                "regex-ends a_rule.yml:16: the regex `c.*` begins or ends with `.*`; a regex is looked for anywhere in the value; leave it out",
            ),
            (
                "    a: {B|re: plain}\n    condition: a\n",
                "regex-literal a_rule.yml:16: the regex `plain` is plain text; `contains` is faster, and ignores case",
            ),
            (
                "    a: {B|contains: '*c'}\n    condition: a\n",
                "wildcard a_rule.yml:16: the `*` at the end of `*c` adds nothing; the modifier says it already",
            ),
            (
                "    a: {B: '*c*'}\n    condition: a\n",
                "wildcard a_rule.yml:16: `*c*` means `contains`; write the modifier and leave both `*` out",
            ),
            (
                "    a: {B|windash|contains: c}\n    condition: a\n",
                "windash a_rule.yml:16: `c` has no dash for `windash`; leave the modifier out",
            ),
            (
                "    Sel-A: {B: c}\n    condition: Sel-A\n",
                "selection-name a_rule.yml:16: the name `Sel-A` has other than a-z, 0-9 and `_`; such as `selection_img` or `filter_main_admin`",
            ),
        ] {
            assert_eq!(of(detection), [expected]);
        }
        let fine = "    a_1: {B|endswith: '\\*'}\n    a_2: {B|contains: 'x\\*'}\n    _b: {B: c}\n    condition: 1 of them and _b\n";
        assert_eq!(of(fine), [""; 0]);
    }

    #[test]
    fn patterns_fit_names() {
        assert!(glob("sel*img", "sel_1_img") && glob("*", "a") && glob("a", "a"));
        assert!(!glob("sel*img", "sel_1") && !glob("a", "b") && !glob("*x*y", "yx"));
    }
}
