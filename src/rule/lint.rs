//! Looks at the text of rules for what the Sigma specification (2.1) asks beyond what a rule needs
//! to run, and for the conventions that SigmaHQ's rules keep. Says where and what to do; never
//! changes a rule, and never decides whether one is used.

mod header;
mod values;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::nearest;
use super::yaml::{self, Node, Value};
use crate::problem::Problem;

/// Something that should be otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The name of the check.
    pub check: &'static str,
    /// Whether the specification forbids it; else it is a convention.
    pub is_error: bool,
    /// Where, what, and what to do.
    #[serde(flatten)]
    pub problem: Problem,
}

/// The keys of a rule, of a filter and of a correlation.
const KEYS: [&str; 23] = [
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "filter",
    "correlation",
    "regression_tests_path",
    "simulation",
];
/// Checks one file after the other; some checks compare them.
#[derive(Debug, Default)]
pub struct Linter {
    titles: HashMap<String, PathBuf>,
    remarks: Vec<Remark>,
}

impl Linter {
    /// Checks the rules of one text; `path` is what remarks name.
    pub fn file(&mut self, path: &Path, text: &str) {
        let mut file = File {
            path,
            remarks: &mut self.remarks,
        };
        file.name();
        // What is no YAML is named by loading it.
        for document in yaml::parse(text).into_iter().flatten() {
            if !matches!(document.value, Value::Map(_)) {
                continue;
            }
            file.rule(&document);
            let Some(title) = document.get("title") else {
                continue;
            };
            let key = title.scalar().unwrap_or_default().trim().to_lowercase();
            if let Some(first) = self.titles.get(&key) {
                file.hint(
                    "unique-title",
                    title.line,
                    "another rule has the same title",
                )
                .help(format!("{} has it; say what is different", first.display()));
            } else {
                self.titles.insert(key, path.to_path_buf());
            }
        }
    }

    /// All remarks, in the order of files and lines.
    pub fn finish(mut self) -> Vec<Remark> {
        self.remarks.sort_by(|a, b| {
            (&a.problem.path, a.problem.line, a.check).cmp(&(
                &b.problem.path,
                b.problem.line,
                b.check,
            ))
        });
        self.remarks
    }
}

/// A remark that was just made.
struct Made<'r>(Option<&'r mut Remark>);

impl Made<'_> {
    fn help(self, help: impl Into<String>) {
        if let Some(remark) = self.0 {
            remark.problem.help = Some(help.into());
        }
    }
}

/// One file that is checked.
struct File<'a> {
    path: &'a Path,
    remarks: &'a mut Vec<Remark>,
}

impl File<'_> {
    fn say(
        &mut self,
        check: &'static str,
        is_error: bool,
        line: usize,
        message: impl Into<String>,
    ) -> Made<'_> {
        self.remarks.push(Remark {
            check,
            is_error,
            problem: Problem::new(self.path, message).at(line),
        });
        Made(self.remarks.last_mut())
    }

    fn hint(&mut self, check: &'static str, line: usize, message: impl Into<String>) -> Made<'_> {
        self.say(check, false, line, message)
    }

    fn error(&mut self, check: &'static str, line: usize, message: impl Into<String>) -> Made<'_> {
        self.say(check, true, line, message)
    }

    fn name(&mut self) {
        let Some(name) = self.path.file_stem().and_then(|name| name.to_str()) else {
            return;
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.chars().all(plain) {
            self.hint(
                "file-name",
                1,
                "the file's name has other than a-z, 0-9 and `_`",
            )
            .help("such as `proc_creation_win_whoami.yml`");
        }
    }

    fn rule(&mut self, rule: &Node) {
        for entry in rule.entries() {
            if !KEYS.contains(&&*entry.key)
                && let Some(near) = nearest(&entry.key, KEYS)
            {
                self.hint(
                    "unknown-key",
                    entry.line,
                    format!("the key `{}` is not Sigma's", entry.key),
                )
                .help(format!("did you mean `{near}`?"));
            }
        }
        self.header(rule);
        if let Some(detection) = rule.get("detection").or_else(|| rule.get("filter")) {
            values::check(self, detection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn remarks(text: &str) -> Vec<String> {
        let mut linter = Linter::default();
        linter.file(Path::new("a_rule.yml"), text);
        let tell = |r: Remark| format!("{} {}", r.check, r.problem);
        linter.finish().into_iter().map(tell).collect()
    }

    pub(super) const GOOD: &str = "title: Whoami by a Service Account
id: 3c1e9c53-94a6-4fcd-9d5f-1f4a0a8f0a11
status: experimental
description: A service account asks who it is, as intruders do.
author: Somebody
date: 2026-01-31
references:
    - https://example.org/whoami
tags:
    - attack.discovery
    - attack.t1033
logsource:
    product: windows
    category: process_creation
detection:
    selection:
        Image|endswith: '\\whoami.exe'
    condition: selection
falsepositives:
    - Administrators who look for a fault
level: medium
";

    #[test]
    fn nothing_is_said_of_a_good_rule() {
        assert_eq!(remarks(GOOD), [""; 0]);
    }

    #[test]
    fn what_should_be_otherwise_is_said_with_its_line() {
        for (from, to, expected) in [
            (
                "Whoami by a Service Account",
                "Detects whoami.",
                "title-end a_rule.yml:1: the title ends with a full stop; leave it out",
            ),
            (
                "3c1e9c53-94a6",
                "3c1e9c53",
                "id a_rule.yml:2: the id `3c1e9c53-4fcd-9d5f-1f4a0a8f0a11` is no UUID; such as one that `uuidgen` prints",
            ),
            (
                "status: experimental",
                "status: new",
                "status a_rule.yml:3: unknown status `new`; stable, test, experimental, deprecated, unsupported",
            ),
            (
                "author: Somebody\n",
                "",
                "missing-key a_rule.yml:1: the rule has no `author`; who wrote it, so that others can ask",
            ),
            (
                "2026-01-31",
                "2026/01/31",
                "dates a_rule.yml:6: the date `2026/01/31` is written as in Sigma 1; write 2026-01-31",
            ),
            (
                "2026-01-31",
                "yesterday",
                "dates a_rule.yml:6: `yesterday` is no date; write it as 2026-01-31",
            ),
            (
                "date: 2026-01-31",
                "date: 2026-01-31\nmodified: 2025-01-31",
                "dates a_rule.yml:7: the rule was changed before it was written; `modified` is not before `date`",
            ),
            (
                "attack.t1033",
                "attack.T1033",
                "tags a_rule.yml:11: `attack.T1033` is no tag; a namespace, a dot and a name in small letters, such as `attack.t1021.002`",
            ),
            (
                "attack.t1033",
                "attack.discovery",
                "tags a_rule.yml:11: the tag `attack.discovery` stands twice; once is enough",
            ),
            (
                "falsepositives:",
                "falsepositive:",
                "unknown-key a_rule.yml:19: the key `falsepositive` is not Sigma's; did you mean `falsepositives`?",
            ),
            (
                "- Administrators who look for a fault",
                "- None",
                "falsepositives a_rule.yml:20: `None` says nothing of false positives; name who does this legitimately, or write `Unknown`",
            ),
            (
                "product: windows",
                "product: linux",
                "logsource a_rule.yml:13: the rule can never fire: its log source is for another product than windows; `picket rules doctor` shows what can be collected",
            ),
        ] {
            let said = remarks(&GOOD.replacen(from, to, 1));
            assert!(
                said.iter().any(|remark| remark == expected),
                "{expected}\n{said:#?}"
            );
        }
        let twice = remarks(&format!("{GOOD}---\n{GOOD}"));
        assert_eq!(
            twice,
            [
                "unique-title a_rule.yml:23: another rule has the same title; a_rule.yml has it; say what is different"
            ]
        );
    }
}
