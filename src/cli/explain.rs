//! `picket explain`: why a rule fires on a document, or why not. Finds the rule and the documents;
//! `view` draws the answer.

mod documents;
mod view;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Exit, Failure, Output, arsenal, machine, text};
use crate::config::Config;
use crate::detect::sigma::explain::{Explainer, Explanation};
use crate::document::Document;
use crate::rule::{self, Rule, RuleSet};
use crate::taxonomy::Fields;
use documents::Place;

/// What may be said after `picket explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket explain my-rule.yml event.json
  picket explain 'PsExec started' Security.evtx:4711
  picket explain 5f1c4a1e-7d2b-4a67-9c7e-0b1f6f3b2a11 events.ndjson --limit 5
  picket explain my-rule.yml winlogbeat-8.1/AVx3kIoBm2Qe
  tail -1 events.ndjson | picket explain my-rule.yml -

Of several documents those are shown that the rule fires on; if there is none, those that come
nearest. Numbers behind a document's file are lines, in .evtx EventRecordIDs; `at` counts the bytes
of a value.")]
pub struct Args {
    /// A file with one rule, or the id, name or title of a loaded rule.
    rule: String,
    /// FILE, FILE:NUMBER, - for standard input, or INDEX/ID in the store.
    document: String,
    /// Look for the rule among these instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Values for the placeholders of rules (`%name%` with `expand`), a YAML map; repeatable.
    #[arg(long, value_name = "FILE")]
    placeholders: Vec<PathBuf>,
    /// Of several documents, show that many.
    #[arg(long, default_value_t = 1, value_name = "N")]
    limit: usize,
    /// Show every value, also those that do not hold.
    #[arg(long)]
    all: bool,
}

/// What a machine reads of one document.
#[derive(Serialize)]
struct Line<'a> {
    rule_id: &'a str,
    rule: &'a str,
    path: &'a Path,
    line: usize,
    document: &'a Place,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

/// Documents explained, the nearest first.
#[derive(Default)]
struct Nearest {
    read: u64,
    fires: u64,
    shown: Vec<(Place, Explanation)>,
}

impl Nearest {
    /// Fires, log source fits, nearness: more is nearer.
    fn rank(explanation: &Explanation) -> (bool, bool, f64) {
        (
            explanation.fires,
            explanation.log_source_fits,
            explanation.condition.nearness(),
        )
    }

    fn add(&mut self, place: Place, explanation: Explanation, most: usize) {
        self.read += 1;
        self.fires += u64::from(explanation.fires);
        let rank = Self::rank(&explanation);
        let at = self
            .shown
            .partition_point(|(_, shown)| Self::rank(shown) >= rank);
        if at < most {
            self.shown.insert(at, (place, explanation));
            self.shown.truncate(most);
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    if !args.rules.is_empty() {
        config.rules.clone_from(&args.rules);
    }
    arsenal::placeholders(&mut config, &args.placeholders)?;
    let rule = find(&args.rule, &config)?;
    let mut explainer = Explainer::new(&rule)
        .map_err(|error| Failure::input(format!("{}: {}", rule.path.display(), error.message)))?;
    let mut nearest = Nearest::default();
    let mut problems = Vec::new();
    documents::each(
        &args.document,
        &config,
        &mut |document: &Document| match explainer
            .explain(document, |event| Place::new(document, event))
        {
            Ok((explanation, place)) => nearest.add(place, explanation, args.limit.max(1)),
            Err(error) => problems.push(format!("{}: {error}", document.id.id)),
        },
    )?;
    for problem in problems.iter().take(5) {
        let problem = text::clean(problem).into_owned();
        anstream::eprintln!("{} {problem}", super::finding::warning());
    }
    if nearest.shown.is_empty() {
        return Err(Failure::input(format!(
            "{} holds no document",
            args.document
        )));
    }
    let lines: Vec<Line<'_>> = nearest
        .shown
        .iter()
        .map(|(document, explanation)| Line {
            rule_id: &rule.id,
            rule: &rule.title,
            path: &rule.path,
            line: rule.line,
            document,
            explanation,
        })
        .collect();
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => machine::rows(&mut out, output, &lines)?,
        Output::Table => {
            view::head(&mut out, &rule, explainer.conditions())?;
            for (place, explanation) in &nearest.shown {
                view::document(&mut out, &rule, place, explanation, args.all)?;
            }
            if nearest.read > nearest.shown.len() as u64 {
                let line = format!(
                    "\n{} read; it fires on {}; shown {}",
                    text::count(nearest.read, "document"),
                    text::number(nearest.fires),
                    match (nearest.fires, nearest.shown.len()) {
                        (0, 1) => "is the nearest".to_owned(),
                        (0, n) => format!("are the {n} nearest"),
                        (_, 1) => "is one".to_owned(),
                        (_, n) => format!("are {n}"),
                    }
                );
                writeln!(out, "{}", text::paint(text::DIM, line))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The rule that is meant: a file's only one, or one of those that are loaded.
fn find(name: &str, config: &Config) -> Result<Rule, Failure> {
    let mut fields = Fields::default();
    let mut problems = Vec::new();
    let set = arsenal::rules(config, &mut fields, &mut problems)?;
    if Path::new(name).is_file() {
        return of_file(name, set, config);
    }
    let same = |said: &str| said.eq_ignore_ascii_case(name);
    let called = |rule: &&Rule| same(&rule.id) || rule.name.as_deref().is_some_and(same);
    let exact = set.rules.iter().find(called);
    let exact = exact.or_else(|| set.rules.iter().find(|rule| same(&rule.title)));
    if let Some(rule) = exact {
        return Ok(rule.clone());
    }
    if let Some(correlation) = set
        .correlations
        .iter()
        .find(|c| same(&c.id) || same(&c.title))
    {
        let rules: Vec<&str> = correlation.members.iter().map(|m| &*m.name).collect();
        return Err(Failure::input(format!(
            "`{}` is a correlation, of more than one document; explain one of the rules that it names: {}",
            correlation.title,
            rules.join(", ")
        )));
    }
    let lower = name.to_lowercase();
    let contains = |rule: &&Rule| rule.title.to_lowercase().contains(&lower);
    let titled: Vec<&Rule> = set.rules.iter().filter(contains).collect();
    match titled.as_slice() {
        [rule] => Ok((*rule).clone()),
        [] => {
            let titles = set.rules.iter().map(|rule| &*rule.title);
            let help = match rule::nearest(name, titles) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a file, an id or a title; `--rules` says where to look".to_owned(),
            };
            Err(Failure::input(format!("there is no rule `{name}`; {help}")))
        }
        many => {
            let titles: Vec<String> = many
                .iter()
                .take(5)
                .map(|rule| format!("{} ({})", rule.title, rule.id))
                .collect();
            Err(Failure::input(format!(
                "{} rules have `{name}` in their title; name one by its id: {}",
                many.len(),
                titles.join(", ")
            )))
        }
    }
}

/// The file's only rule: as it is loaded, with the filters that are for it, or else by itself.
fn of_file(name: &str, set: RuleSet, config: &Config) -> Result<Rule, Failure> {
    let path = Path::new(name).canonicalize()?;
    let mut rules = set.rules;
    rules.retain(|rule| rule.path.canonicalize().is_ok_and(|known| known == path));
    let mut problems = Vec::new();
    if rules.is_empty() {
        let mut fields = Fields::default();
        let paths = [PathBuf::from(name)];
        let (set, bad) = RuleSet::load(&paths, &config.placeholders, &mut fields);
        (rules, problems) = (set.rules, bad);
    }
    match (rules.pop(), rules.len()) {
        (Some(rule), 0) => Ok(rule),
        (Some(last), _) => {
            let ids: Vec<&str> = rules.iter().chain([&last]).map(|r| &*r.id).collect();
            Err(Failure::input(format!(
                "{name} holds {} rules; name one of them with --rules {name}: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
        (None, _) => {
            super::exit::refuse(&problems)?;
            Err(Failure::input(format!("{name} holds no rule")))
        }
    }
}
