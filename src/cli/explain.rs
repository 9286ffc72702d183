//! `picket explain`: why a rule fires on a document, or why not, and how near documents come to a
//! correlation. Finds the rule and the documents; `view` draws the answer.

mod correlation;
mod documents;
mod view;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::head::Head;
use super::{Exit, Failure, Output, arsenal, machine, text};
use crate::config::Config;
use crate::detect::sigma::explain::{Explainer, Explanation};
use crate::document::Document;
use crate::rule::correlation::Correlation;
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
  picket explain 'Many failed logons' Security.evtx

Of several documents those are shown that the rule fires on; if there is none, those that come
nearest; of a correlation, the groups of documents. Numbers behind a document's file are lines, in
.evtx EventRecordIDs; `at` counts the bytes of a value.")]
pub struct Args {
    /// A file with one rule or correlation, or the id, name or title of a loaded one.
    rule: String,
    /// FILE, FILE:NUMBER, - for standard input, or INDEX/ID in the store.
    document: String,
    /// Look for the rule among these instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Values for the placeholders of rules (`%name%` with `expand`), a YAML map; repeatable.
    #[arg(long, value_name = "FILE")]
    placeholders: Vec<PathBuf>,
    /// Of several documents, or groups of them, show that many.
    #[arg(long, default_value_t = 1, value_name = "N")]
    limit: usize,
    /// Show every value, also those that do not hold, and every document of a group.
    #[arg(long)]
    all: bool,
}

/// What a machine reads of one document.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    head: Head<'a>,
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
    let rule = match find(&args.rule, &config)? {
        Meant::Rule(rule) => rule,
        Meant::Correlation(meant) => {
            correlation::explain(meant, args, &config, output)?;
            return Ok(Exit::Done);
        }
    };
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
    warn(&problems);
    if nearest.shown.is_empty() {
        return Err(no_document(args));
    }
    let lines: Vec<Line<'_>> = nearest
        .shown
        .iter()
        .map(|(document, explanation)| Line {
            head: Head::from(&rule),
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

/// Names the first documents that cannot be read.
fn warn(problems: &[String]) {
    for problem in problems.iter().take(5) {
        let problem = text::clean(problem).into_owned();
        anstream::eprintln!("{} {problem}", super::finding::warning());
    }
}

fn no_document(args: &Args) -> Failure {
    Failure::input(format!("{} holds no document", args.document))
}

/// What is to be explained.
enum Meant {
    Rule(Rule),
    Correlation(correlation::Meant),
}

/// What is meant by a name: a file's only rule or correlation, or one of those that are loaded.
fn find(name: &str, config: &Config) -> Result<Meant, Failure> {
    let mut fields = Fields::default();
    let mut problems = Vec::new();
    let set = arsenal::rules(config, &mut fields, &mut problems)?;
    if Path::new(name).is_file() {
        return of_file(name, set, fields, config);
    }
    let same = |said: &str| said.eq_ignore_ascii_case(name);
    let called = |rule: &&Rule| same(&rule.id) || rule.name.as_deref().is_some_and(same);
    let exact = set.rules.iter().find(called);
    let exact = exact.or_else(|| set.rules.iter().find(|rule| same(&rule.title)));
    if let Some(rule) = exact {
        return Ok(Meant::Rule(rule.clone()));
    }
    let called = |of: &Correlation| same(&of.id) || of.name.as_deref().is_some_and(same);
    let number = set.correlations.iter().position(called);
    let number = number.or_else(|| set.correlations.iter().position(|of| same(&of.title)));
    if let Some(number) = number {
        let meant = correlation::Meant {
            set,
            fields,
            number,
        };
        return Ok(Meant::Correlation(meant));
    }
    let lower = name.to_lowercase();
    let contains = |rule: &&Rule| rule.title.to_lowercase().contains(&lower);
    let titled: Vec<&Rule> = set.rules.iter().filter(contains).collect();
    match titled.as_slice() {
        [rule] => Ok(Meant::Rule((*rule).clone())),
        [] => {
            let titles = set.rules.iter().map(|rule| &*rule.title);
            let titles = titles.chain(set.correlations.iter().map(|of| &*of.title));
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

/// The file's only correlation, or its only rule: as it is loaded, with the filters that are for it
/// or the rules that it names, or else by itself.
fn of_file(name: &str, set: RuleSet, fields: Fields, config: &Config) -> Result<Meant, Failure> {
    let path = Path::new(name).canonicalize()?;
    let stands = |of: &Path| of.canonicalize().is_ok_and(|known| known == path);
    let (mut set, mut fields, mut problems) = (set, fields, Vec::new());
    let is_loaded = set.rules.iter().any(|rule| stands(&rule.path))
        || set.correlations.iter().any(|of| stands(&of.path));
    if !is_loaded {
        fields = Fields::default();
        let paths = [PathBuf::from(name)];
        (set, problems) = RuleSet::load(&paths, &config.placeholders, &mut fields);
    }
    let numbers = 0..set.correlations.len();
    let of_file = |number: &usize| {
        let correlation = set.correlations.get(*number);
        correlation.is_some_and(|of| stands(&of.path))
    };
    let correlations: Vec<usize> = numbers.filter(of_file).collect();
    let rules: Vec<&Rule> = set.rules.iter().filter(|rule| stands(&rule.path)).collect();
    match (correlations.as_slice(), rules.as_slice()) {
        ([number], _) => Ok(Meant::Correlation(correlation::Meant {
            number: *number,
            set,
            fields,
        })),
        ([], [rule]) => Ok(Meant::Rule((*rule).clone())),
        ([], []) => {
            super::exit::refuse(&problems)?;
            Err(Failure::input(format!("{name} holds no rule")))
        }
        (many, rules) => {
            let many = many
                .iter()
                .filter_map(|number| set.correlations.get(*number));
            let ids = rules.iter().map(|rule| &*rule.id);
            let ids: Vec<&str> = ids.chain(many.map(|of| &*of.id)).collect();
            Err(Failure::input(format!(
                "{name} holds {} rules; name one of them with --rules {name}: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
    }
}
