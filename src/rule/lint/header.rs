//! What a rule says of itself: title, id, dates, tags, log source. Knows nothing of its detection.

use std::collections::HashSet;

use chrono::NaiveDate;

use super::File;
use crate::rule::yaml::{Node, Value};
use crate::taxonomy::{LogSource, log_source};

const STATUSES: [&str; 5] = [
    "stable",
    "test",
    "experimental",
    "deprecated",
    "unsupported",
];
const RELATIONS: [&str; 6] = [
    "derived",
    "obsolete",
    "obsoletes",
    "merged",
    "renamed",
    "similar",
];
const NAMESPACES: [&str; 8] = [
    "attack",
    "car",
    "cve",
    "d3fend",
    "detection",
    "emerging-threats",
    "stp",
    "tlp",
];
/// The tactics of ATT&CK for enterprises, those of before version 19 too.
const TACTICS: [&str; 16] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];
/// The longest title that the specification allows, and the longest that SigmaHQ takes, in
/// characters.
const MAX_TITLE: usize = 256;
const LONG_TITLE: usize = 120;
/// A description of fewer characters says nothing.
const MIN_DESCRIPTION: usize = 16;

impl File<'_> {
    /// Checks all of a rule but its detection.
    pub(super) fn header(&mut self, rule: &Node) {
        self.title(rule);
        self.id(rule);
        self.words(rule);
        self.dates(rule);
        self.tags(rule);
        self.lists(rule);
        self.related(rule);
        if rule.get("correlation").is_none() {
            self.log_source(rule);
        }
    }

    /// The text of a key that every rule should have.
    fn expected<'n>(
        &mut self,
        rule: &'n Node,
        key: &'static str,
        why: &str,
    ) -> Option<(&'n str, usize)> {
        match rule.get(key) {
            None => {
                self.hint("missing-key", rule.line, format!("the rule has no `{key}`"))
                    .help(why.to_owned());
                None
            }
            Some(value) => match value.scalar().map(str::trim) {
                Some(text) => Some((text, value.line)),
                None => {
                    self.error("text", value.line, format!("`{key}` is {}", value.kind()))
                        .help("write it as text");
                    None
                }
            },
        }
    }

    fn title(&mut self, rule: &Node) {
        let Some((title, line)) = rule
            .get("title")
            .and_then(|t| Some((t.scalar()?.trim(), t.line)))
        else {
            return;
        };
        let long = title.chars().count();
        if long > MAX_TITLE {
            self.error(
                "title-length",
                line,
                format!("the title has {long} characters"),
            )
            .help(format!("the specification allows {MAX_TITLE}"));
        } else if long > LONG_TITLE {
            self.hint(
                "title-length",
                line,
                format!("the title has {long} characters"),
            )
            .help(format!(
                "keep it below {LONG_TITLE}; the rest belongs into `description`"
            ));
        }
        if title.ends_with('.') {
            self.hint("title-end", line, "the title ends with a full stop")
                .help("leave it out");
        }
        let first = title.split(' ').next().unwrap_or_default();
        if ["detect", "detects", "detection"].contains(&&*first.to_lowercase()) {
            self.hint(
                "title-start",
                line,
                format!("the title begins with `{first}`"),
            )
            .help("name what happens; that it is detected goes without saying");
        }
    }

    fn id(&mut self, rule: &Node) {
        let why = "a random UUID; without one, changing the detection makes another rule of it";
        let Some((id, line)) = self.expected(rule, "id", why) else {
            return;
        };
        if !is_uuid(id) {
            self.hint("id", line, format!("the id `{id}` is no UUID"))
                .help("such as one that `uuidgen` prints");
        }
    }

    fn words(&mut self, rule: &Node) {
        if let Some((status, line)) = self.expected(rule, "status", "begin with `experimental`")
            && !STATUSES.contains(&status)
        {
            self.error("status", line, format!("unknown status `{status}`"))
                .help(STATUSES.join(", "));
        }
        if let Some((text, line)) = self.expected(
            rule,
            "description",
            "what the rule finds, and what it may mean",
        ) && text.chars().count() < MIN_DESCRIPTION
        {
            self.hint("description", line, "the description is very short")
                .help("say what the rule finds, and what it may mean");
        }
        self.expected(rule, "author", "who wrote it, so that others can ask");
        if rule.get("correlation").is_none() && rule.get("filter").is_none() {
            self.expected(rule, "level", "without one it counts as medium");
        }
    }

    fn dates(&mut self, rule: &Node) {
        let date = self
            .expected(rule, "date", "when it was written, as 2026-01-31")
            .and_then(|(text, line)| self.date(text, line));
        let Some(modified) = rule.get("modified") else {
            return;
        };
        let changed = self.date(modified.scalar().unwrap_or_default(), modified.line);
        match (date, changed) {
            (Some(date), Some(changed)) if changed < date => self
                .hint(
                    "dates",
                    modified.line,
                    "the rule was changed before it was written",
                )
                .help("`modified` is not before `date`"),
            (None, Some(_)) if rule.get("date").is_none() => self
                .hint("dates", modified.line, "`modified` without `date`")
                .help("say when it was written, too"),
            _ => {}
        }
    }

    fn date(&mut self, text: &str, line: usize) -> Option<NaiveDate> {
        let text = text.trim();
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Some(date);
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y/%m/%d") {
            self.hint(
                "dates",
                line,
                format!("the date `{text}` is written as in Sigma 1"),
            )
            .help(format!("write {}", date.format("%Y-%m-%d")));
            return Some(date);
        }
        self.error("dates", line, format!("`{text}` is no date"))
            .help("write it as 2026-01-31");
        None
    }

    fn tags(&mut self, rule: &Node) {
        let mut seen = HashSet::new();
        for tag in rule.get("tags").map(Node::items).unwrap_or_default() {
            let Some(text) = tag.scalar() else {
                self.error("tags", tag.line, format!("a tag is {}", tag.kind()))
                    .help("such as `attack.t1021.002`");
                continue;
            };
            if !seen.insert(text.to_lowercase()) {
                self.hint("tags", tag.line, format!("the tag `{text}` stands twice"))
                    .help("once is enough");
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
            let Some((space, name)) = text.split_once('.').filter(|_| text.chars().all(plain))
            else {
                self.error("tags", tag.line, format!("`{text}` is no tag"))
                    .help("a namespace, a dot and a name in small letters, such as `attack.t1021.002`");
                continue;
            };
            if !NAMESPACES.contains(&space) {
                self.hint(
                    "tags",
                    tag.line,
                    format!("the namespace `{space}` is not known"),
                )
                .help(NAMESPACES.join(", "));
            } else if space == "attack" && !is_attack(name) {
                self.hint("tags", tag.line, format!("ATT&CK has no `{name}`"))
                    .help("a tactic such as `attack.lateral-movement`, or a technique, group or software such as `attack.t1021.002`, `attack.g0016`, `attack.s0029`");
            }
        }
    }

    fn lists(&mut self, rule: &Node) {
        for key in ["references", "falsepositives", "fields", "scope"] {
            let Some(list) = rule.get(key) else {
                continue;
            };
            if !matches!(list.value, Value::List(_)) {
                self.error("lists", list.line, format!("`{key}` is {}", list.kind()))
                    .help("write it as a list, one line each, beginning with `- `");
                continue;
            }
            let mut seen = HashSet::new();
            for item in list.items() {
                match item.scalar().map(str::trim) {
                    None | Some("") => self
                        .error(
                            "lists",
                            item.line,
                            format!("an entry of `{key}` is no text"),
                        )
                        .help("write it in quotes, or leave it out"),
                    Some(text) if !seen.insert(text) => self
                        .hint(
                            "lists",
                            item.line,
                            format!("`{text}` stands twice in `{key}`"),
                        )
                        .help("once is enough"),
                    Some(text) if key == "falsepositives" && says_none(text) => self
                        .hint(
                            "falsepositives",
                            item.line,
                            format!("`{text}` says nothing of false positives"),
                        )
                        .help("name who does this legitimately, or write `Unknown`"),
                    Some(text)
                        if key == "references" && text.contains("://") && text.contains(' ') =>
                    {
                        self.hint(
                            "references",
                            item.line,
                            format!("the link `{text}` has a space"),
                        )
                        .help("one link an entry")
                    }
                    _ => {}
                }
            }
        }
    }

    fn related(&mut self, rule: &Node) {
        for item in rule.get("related").map(Node::items).unwrap_or_default() {
            let text = |key| item.get(key).and_then(Node::scalar);
            match (text("id"), text("type")) {
                (Some(id), Some(kind)) if is_uuid(id) && RELATIONS.contains(&kind) => {}
                (Some(id), Some(_)) if !is_uuid(id) => self
                    .hint(
                        "related",
                        item.line,
                        format!("the related id `{id}` is no UUID"),
                    )
                    .help("the `id` of the other rule"),
                (Some(_), Some(kind)) => self
                    .error("related", item.line, format!("unknown relation `{kind}`"))
                    .help("derived, obsolete, merged, renamed or similar"),
                _ => self
                    .error("related", item.line, "a relation without `id` or `type`")
                    .help("such as `- id: …` and `type: derived` below it"),
            }
        }
    }

    fn log_source(&mut self, rule: &Node) {
        let Some(source) = rule.get("logsource") else {
            self.error("logsource", rule.line, "the rule has no `logsource`")
                .help("such as `product: windows` and `category: process_creation` below it; without it every document is looked at");
            return;
        };
        let mut said = LogSource::default();
        for entry in source.entries() {
            let text = entry.value.scalar().unwrap_or_default();
            let part = match &*entry.key {
                "product" => &mut said.product,
                "category" => &mut said.category,
                "service" => &mut said.service,
                "definition" => continue,
                key => {
                    self.hint(
                        "logsource",
                        entry.line,
                        format!("`{key}` is no part of a log source"),
                    )
                    .help("product, category, service, and `definition` for what must be set up");
                    continue;
                }
            };
            *part = Some(text.to_lowercase().into());
            if text.chars().any(char::is_uppercase) {
                self.hint(
                    "logsource",
                    entry.line,
                    format!("`{text}` has capital letters"),
                )
                .help("log sources are written small");
            }
        }
        if said == LogSource::default() {
            self.error(
                "logsource",
                source.line,
                "the log source names neither product, category nor service",
            )
            .help("such as `product: windows`");
        } else if !log_source::known(&said) {
            let why =
                log_source::why_never(&said).unwrap_or("is none that documents here can have");
            self.hint(
                "logsource",
                source.line,
                format!("the rule can never fire: its log source {why}"),
            )
            .help("`picket rules doctor` shows what can be collected");
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &&str| part.chars().all(|c| c.is_ascii_hexdigit());
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(hex)
}

/// A tactic, or `t` and four digits, perhaps with three more; groups, software, campaigns,
/// mitigations and data sources likewise.
fn is_attack(name: &str) -> bool {
    if TACTICS.contains(&&*name.replace('_', "-")) {
        return true;
    }
    let digits =
        |text: &str, long: usize| text.len() == long && text.chars().all(|c| c.is_ascii_digit());
    let (main, sub) = name
        .split_once('.')
        .map_or((name, None), |(main, sub)| (main, Some(sub)));
    let known = main
        .strip_prefix(['t', 'g', 's', 'c', 'm'])
        .is_some_and(|number| digits(number, 4))
        || main
            .strip_prefix("ta")
            .is_some_and(|number| digits(number, 4))
        || main
            .strip_prefix("ds")
            .is_some_and(|number| digits(number, 4));
    known && sub.is_none_or(|sub| main.starts_with('t') && digits(sub, 3))
}

fn says_none(text: &str) -> bool {
    let text = text.trim_end_matches('.').to_lowercase();
    [
        "none",
        "nothing",
        "no",
        "n/a",
        "pentest",
        "pentest tools",
        "penetration test",
    ]
    .contains(&&*text)
}
