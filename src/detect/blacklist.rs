//! The detector that runs the blacklist: one regex a line, without regard to case, over the
//! command line. A hit is AlertLevel 2. Never reads files: the text is handed in.

use std::path::Path;
use std::sync::Arc;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use sha2::{Digest, Sha256};

use super::{Detector, Inspection};
use crate::alert::{AlertLevel, Level};
use crate::finding::{Evidence, Finding};
use crate::hex::hex;
use crate::problem::Problem;
use crate::rule::expression::why;
use crate::taxonomy::{Event, FieldId, Kind};

/// The largest program that one line may become, in bytes.
const LINE_SIZE: usize = 1024 * 1024;
/// The same for all lines together; beyond it they are asked one by one.
const SET_SIZE: usize = 16 * 1024 * 1024;
/// What no blacklist is larger than, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// The lines of a blacklist that can be used.
#[derive(Clone, Debug, Default)]
pub struct Blacklist {
    lines: Vec<Line>,
    /// All lines at once; `None` if they are too large together.
    set: Option<RegexSet>,
}

#[derive(Clone, Debug)]
struct Line {
    id: Arc<str>,
    text: Arc<str>,
    regex: Regex,
}

impl Blacklist {
    /// Reads a blacklist: blank lines and those that begin with `#` are passed by. `path` is what
    /// problems name. A line that cannot be used is a problem; the others work.
    pub fn load(text: &str, path: impl AsRef<Path>) -> (Self, Vec<Problem>) {
        let path = path.as_ref();
        let mut problems = Vec::new();
        if text.len() > MAX_TEXT {
            let message = format!("larger than {} MB", MAX_TEXT / 1024 / 1024);
            problems.push(Problem::new(path, message));
            return (Self::default(), problems);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            match Line::new(number + 1, line) {
                Ok(line) => lines.push(line),
                Err((message, help)) => {
                    problems.push(Problem::new(path, message).at(number + 1).help(help));
                }
            }
        }
        let set = RegexSetBuilder::new(lines.iter().map(|line| line.regex.as_str()))
            .case_insensitive(true)
            .size_limit(SET_SIZE)
            .build()
            .ok();
        (Self { lines, set }, problems)
    }

    /// How many lines are used.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether no line is used.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// SHA-256 of the lines that are used and their numbers, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for line in &self.lines {
            hasher.update(format!("{} {}\n", line.id, line.text));
        }
        hex(&hasher.finalize())
    }

    /// The lines that are found in that text.
    fn hits<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Line> {
        let found = self.set.as_ref().map(|set| set.matches(text));
        self.lines
            .iter()
            .enumerate()
            .filter(move |(at, line)| match &found {
                Some(found) => found.matched(*at),
                None => line.regex.is_match(text),
            })
            .map(|(_, line)| line)
    }

    fn is_hit(&self, text: &str) -> bool {
        match &self.set {
            Some(set) => set.is_match(text),
            None => self.lines.iter().any(|line| line.regex.is_match(text)),
        }
    }
}

impl Line {
    /// On failure what is wrong, and what to do.
    fn new(number: usize, text: &str) -> Result<Self, (String, String)> {
        let regex = RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(LINE_SIZE)
            .nest_limit(64)
            .build()
            .map_err(|error| {
                let message = format!("bad regex `{text}`: {}", why(&error));
                (
                    message,
                    "a backslash that is meant is written `\\\\`".to_owned(),
                )
            })?;
        if regex.is_match("") {
            let message = format!("`{text}` also matches no text at all, so every command");
            return Err((message, "name something that must be there".to_owned()));
        }
        Ok(Self {
            id: format!("blacklist:{number}").into(),
            text: text.into(),
            regex,
        })
    }
}

/// Runs a [`Blacklist`].
pub struct BlacklistDetector {
    blacklist: Arc<Blacklist>,
    name: Arc<str>,
    techniques: Arc<[String]>,
}

impl BlacklistDetector {
    /// A detector for that blacklist.
    pub fn new(blacklist: Blacklist) -> Self {
        Self::sharing(Arc::new(blacklist))
    }

    fn sharing(blacklist: Arc<Blacklist>) -> Self {
        Self {
            blacklist,
            name: "blacklist".into(),
            techniques: Arc::new([]),
        }
    }
}

impl Detector for BlacklistDetector {
    fn name(&self) -> &str {
        "blacklist"
    }

    fn fork(&self) -> Box<dyn Detector> {
        Box::new(Self::sharing(self.blacklist.clone()))
    }

    fn inspect(&mut self, events: &[Event<'_>], out: &mut Inspection) {
        if self.blacklist.is_empty() {
            return;
        }
        for (position, event) in events.iter().enumerate() {
            for value in event.values(FieldId::COMMAND_LINE) {
                if value.kind == Kind::Null || !self.blacklist.is_hit(value.text) {
                    continue;
                }
                for line in self.blacklist.hits(value.text) {
                    let span = line.regex.find(value.text).map(|m| (m.start(), m.len()));
                    let finding = Finding {
                        detector: self.name.clone(),
                        rule_id: line.id.clone(),
                        rule: line.text.clone(),
                        level: Level::Critical,
                        alert_level: AlertLevel::Alert,
                        techniques: self.techniques.clone(),
                        score: None,
                        evidence: vec![Evidence::new("blacklist", "CommandLine", value.text, span)],
                        second_opinion: None,
                    };
                    out.findings.push((position, finding));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::taxonomy::{Fields, Reader, Slots};

    fn findings(blacklist: &str, command: &str) -> Vec<Finding> {
        let (blacklist, _) = Blacklist::load(blacklist, "b.txt");
        let source = serde_json::json!({ "Hostname": "h", "Username": "u", "command": command, "timestamp": "2026-01-01 00:00:00" });
        let document = Document::loose("cmdlogs".into(), "1", source.to_string());
        let mut slots = Slots::default();
        Reader::new(&Fields::default())
            .read(&document.source, &mut slots)
            .unwrap();
        let mut found = Inspection::default();
        BlacklistDetector::new(blacklist).inspect(&[Event::new(&document, &slots)], &mut found);
        found
            .findings
            .into_iter()
            .map(|(_, finding)| finding)
            .collect()
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_work() {
        let text = "# tools\n\nsekurlsa::\r\ninetl\\logs\n  # more\npsexec\n.*\n";
        let (blacklist, problems) = Blacklist::load(text, "b.txt");
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "b.txt:4: bad regex `inetl\\logs`: unrecognized escape sequence; a backslash that is meant is written `\\\\`",
                "b.txt:7: `.*` also matches no text at all, so every command; name something that must be there",
            ]
        );
        assert_eq!(blacklist.len(), 2);
    }

    #[test]
    fn a_hit_is_alert_level_2_and_shows_where() {
        let found = findings("a\n\nPsExec\\d*\n", "c:\\tools\\PSEXEC64.exe \\\\host");
        let finding = found.iter().find(|f| &*f.rule_id == "blacklist:3").unwrap();
        assert_eq!(finding.alert_level, AlertLevel::Alert);
        let evidence = &finding.evidence[0];
        let (start, len) = evidence.span.unwrap();
        assert_eq!(&evidence.value[start..start + len], "PSEXEC64");
        assert!(findings("psexec", "whoami").is_empty());
        assert!(findings("psexec", "").is_empty());
    }

    #[test]
    fn the_digest_is_that_of_what_is_used() {
        let digest = |text: &str| Blacklist::load(text, "b").0.digest();
        assert_eq!(digest("a\n# b"), digest("a\n# c"));
        assert_ne!(digest("a\nb"), digest("a\nc"));
    }
}
