//! `picket rules test`: runs the cases that stand beside rules, in `NAME.cases.json`. Judges as a
//! scan does, and changes nothing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::recording::{self, Rules};
use crate::alert::AlertLevel;
use crate::cli::{Exit, Failure, Output, machine, text};
use crate::config::Config;
use crate::document::Document;
use crate::rule::RuleSet;
use crate::sweep::Ledger;
use crate::taxonomy::{Event, Reader, Slots};

/// The largest file of cases, in bytes.
const MAX_CASES: u64 = 16 * 1024 * 1024;

/// What may be said after `picket rules test`.
#[derive(Debug, clap::Args)]
#[command(after_help = r#"Examples:
  picket rules test my-rules/
  picket rules test my-rules/whoami.yml -o json

Beside my-rules/whoami.yml stands my-rules/whoami.cases.json:
  [
    { "note": "a service asks who it is", "fires": true,
      "document": { "EventID": 1, "Image": "C:\\Windows\\System32\\whoami.exe" } },
    { "note": "another program", "fires": false,
      "document": { "EventID": 1, "Image": "C:\\Windows\\System32\\net.exe" } },
    { "note": "the recorded attack", "file": "whoami.evtx", "count": 3 }
  ]
`documents` takes several documents, `file` a recording beside the cases (.evtx, JSON, NDJSON, .gz,
.zip); `count` is how many of them fire, or `fires` whether any does. Where a file has several rules,
`rule` names one by its id; without it the case is of the file's correlation, or of its first rule.

Ends with 2 if a case is not as it says."#)]
pub struct Args {
    /// Files and folders of rules; without any, those of the configuration, or the bundled ones.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Fail rules without a case that fires and one that does not.
    #[arg(long)]
    strict: bool,
}

/// One case, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    note: String,
    rule: Option<String>,
    document: Option<Value>,
    #[serde(default)]
    documents: Vec<Value>,
    file: Option<PathBuf>,
    fires: Option<bool>,
    count: Option<u64>,
}

/// What became of one case.
#[derive(Serialize)]
struct Row<'a> {
    rule_id: &'a str,
    rule: &'a str,
    path: &'a Path,
    note: String,
    passed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let mut rules = Rules::load(&mut config, &args.paths)?;
    rules.warn();
    let set = Arc::clone(&rules.set);
    let (mut rows, mut without) = (Vec::new(), 0_u64);
    let subjects = subjects(&set);
    for (at, rule) in subjects.iter().enumerate() {
        let first = first_of(&subjects, rule.path) == Some(at);
        let row = |note: &str, why: Option<String>| Row {
            rule_id: rule.id,
            rule: rule.title,
            path: rule.path,
            note: note.to_owned(),
            passed: why.is_none(),
            why,
        };
        let cases = match cases(rule.path) {
            Ok(cases) => cases,
            Err(why) if first => {
                rows.push(row("", Some(why)));
                continue;
            }
            Err(_) => continue,
        };
        let own = |case: &Case| match &case.rule {
            Some(id) => **id == *rule.id,
            None => first,
        };
        let mut seen = (false, false);
        for case in cases.iter().flatten().filter(|case| own(case)) {
            let why = case.run(rule, &mut rules).err();
            match case.fires.unwrap_or(case.count > Some(0)) {
                true => seen.0 = true,
                false => seen.1 = true,
            }
            rows.push(row(&case.note, why));
        }
        if seen == (false, false) && rule.speaks {
            without += 1;
        }
        if args.strict && rule.speaks && seen != (true, true) {
            let lacks = if seen.0 { "does not fire" } else { "fires" };
            rows.push(row("", Some(format!("there is no case that {lacks}"))));
        }
    }
    let failed = rows.iter().filter(|row| !row.passed).count() as u64;
    print(&rows, output)?;
    if output == Output::Table {
        let passed = rows.len() as u64 - failed;
        anstream::println!(
            "{} passed, {} failed; {} without cases",
            text::count(passed, "case"),
            text::number(failed),
            text::count(without, "rule")
        );
    }
    Ok(if failed > 0 { Exit::Input } else { Exit::Done })
}

/// A rule or a correlation.
struct Subject<'a> {
    id: &'a str,
    title: &'a str,
    path: &'a Path,
    /// It makes findings of its own.
    speaks: bool,
    is_correlation: bool,
}

fn subjects(set: &RuleSet) -> Vec<Subject<'_>> {
    let rules = set.rules.iter().map(|rule| Subject {
        id: &rule.id,
        title: &rule.title,
        path: &rule.path,
        speaks: !rule.silent,
        is_correlation: false,
    });
    let correlations = set.correlations.iter().map(|correlation| Subject {
        id: &correlation.id,
        title: &correlation.title,
        path: &correlation.path,
        speaks: !correlation.silent,
        is_correlation: true,
    });
    rules.chain(correlations).collect()
}

/// Whose the cases of a file are that name no rule: those of its correlation that speaks, if it has
/// one, else those of its first rule.
fn first_of(subjects: &[Subject<'_>], path: &Path) -> Option<usize> {
    let of = |wanted: &dyn Fn(&Subject<'_>) -> bool| {
        subjects.iter().position(|s| s.path == path && wanted(s))
    };
    of(&|s| s.is_correlation && s.speaks).or_else(|| of(&|_| true))
}

/// The cases beside a rule, if there are any.
fn cases(rule: &Path) -> Result<Option<Vec<Case>>, String> {
    let path = rule.with_extension("cases.json");
    match fs::metadata(&path) {
        Err(_) => return Ok(None),
        Ok(found) if found.len() > MAX_CASES => {
            return Err(format!("{} is larger than 16 MB", path.display()));
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map(Some).map_err(|error| {
        format!(
            "{}: {error}; see `picket rules test --help`",
            path.display()
        )
    })
}

impl Case {
    /// Whether it is as it says; else what is otherwise.
    fn run(&self, rule: &Subject<'_>, rules: &mut Rules) -> Result<(), String> {
        let said = [
            self.document.is_some(),
            !self.documents.is_empty(),
            self.file.is_some(),
        ];
        if said.iter().filter(|is_said| **is_said).count() != 1 {
            return Err("a case has one of `document`, `documents` and `file`".to_owned());
        }
        let mut tally = Tally::default();
        match &self.file {
            Some(file) => {
                let beside = rule.path.parent().unwrap_or(Path::new("")).join(file);
                tally.file(&beside, rule, rules)?;
            }
            None => {
                let documents = self.document.iter().chain(&self.documents);
                for (number, document) in documents.enumerate() {
                    tally.document(number, &document.to_string(), rule, rules)?;
                }
            }
        }
        let fired = tally.fired(rule, rules);
        match (self.count, self.fires) {
            (Some(count), None) if fired == count => Ok(()),
            (Some(count), None) => Err(format!("fires {fired} times, not {count}")),
            (None, Some(fires)) if fires == (fired > 0) => Ok(()),
            (None, Some(true)) => Err("does not fire; `picket explain` shows why".to_owned()),
            (None, Some(false)) => Err("fires; `picket explain` shows why".to_owned()),
            _ => Err("a case has either `fires` or `count`".to_owned()),
        }
    }
}

/// How often a rule fires on the documents of a case.
#[derive(Default)]
struct Tally {
    fired: u64,
    /// What correlations are judged by once all documents are seen.
    ledger: Ledger,
}

impl Tally {
    fn document(
        &mut self,
        number: usize,
        source: &str,
        rule: &Subject<'_>,
        rules: &mut Rules,
    ) -> Result<(), String> {
        let document = Document::loose("case".into(), format!("{number:06}"), source);
        let mut slots = Slots::default();
        Reader::new(&rules.fields)
            .read(&document.source, &mut slots)
            .map_err(|error| format!("the document cannot be read: {error}"))?;
        self.event(&Event::new(&document, &slots), rule, rules);
        Ok(())
    }

    fn file(&mut self, file: &Path, rule: &Subject<'_>, rules: &mut Rules) -> Result<(), String> {
        let fields = rules.fields.clone();
        let read = recording::read(&[file.to_path_buf()], &fields, |event| {
            self.event(event, rule, rules);
            Ok(())
        });
        match read {
            Ok(0) => Err(format!("{} holds no events", file.display())),
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.message),
        }
    }

    fn event(&mut self, event: &Event<'_>, rule: &Subject<'_>, rules: &mut Rules) {
        let correlator = rules.detector.correlator();
        for number in rules.detector.hits(event) {
            for (correlation, hit) in correlator.hits(*number, event) {
                self.ledger.keep(correlation, hit);
            }
            let hit = rules.set.rules.get(*number as usize);
            self.fired += u64::from(hit.is_some_and(|hit| *hit.id == *rule.id));
        }
    }

    fn fired(mut self, rule: &Subject<'_>, rules: &Rules) -> u64 {
        let found = self.ledger.judge(&rules.detector.correlator());
        let found = found.iter().filter(|(_, f)| *f.rule_id == *rule.id);
        self.fired + found.count() as u64
    }
}

fn print(rows: &[Row<'_>], output: Output) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => machine::rows(&mut out, output, rows)?,
        Output::Table => {
            for row in rows.iter().filter(|row| !row.passed) {
                let place = format!("{} `{}`", row.path.display(), row.rule);
                let note = if row.note.is_empty() { "" } else { ": " };
                writeln!(
                    out,
                    "{} {}{note}{}: {}",
                    text::paint(text::style(AlertLevel::Alert), "failed"),
                    text::clean(&place),
                    text::clean(&row.note),
                    text::clean(row.why.as_deref().unwrap_or_default())
                )?;
            }
        }
    }
    Ok(())
}
