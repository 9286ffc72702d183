//! `picket rules doctor`: which rules can never fire on what is collected, and what would have to be
//! collected. Looks at files, or at the store; judges nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::list::log_source;
use super::recording::{self, Rules};
use super::stored;
use crate::cli::head::Head;
use crate::cli::{Exit, Failure, Output, machine, text};
use crate::config::Config;
use crate::detect::sigma::reach::{self, Collected, Reach};
use crate::rule::Rule;
use crate::rule::correlation::Correlation;
use crate::taxonomy::log_source::{collected_as, why_never};
use crate::taxonomy::{Event, LogSource, Reader, Slots};

/// What may be said after `picket rules doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules doctor --since 30d              what the configured store holds
  picket rules doctor evidence/ --rules sigma/rules/windows
  picket rules doctor -o ndjson | jq 'select(.reach == \"lacks\")'

A rule may fire if documents of its log source occur and have the fields that it cannot do without;
that says nothing of whether what it looks for ever happens.")]
pub struct Args {
    /// Recordings to look at; without any, the store.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look at these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Of the store, only what is not older than that (30m, 12h, 30d).
    #[arg(long, value_name = "SPAN", value_parser = crate::cli::sweep::span, conflicts_with = "files")]
    since: Option<Duration>,
    /// Show each rule, not only counts.
    #[arg(long)]
    all: bool,
}

/// One rule, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    reach: &'static str,
    /// None of a correlation.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_source: Option<String>,
    /// Documents of its log source.
    documents: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacks: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let mut seen = Collected::default();
    let documents = if args.files.is_empty() {
        let reader = Reader::new(&rules.fields);
        let mut slots = Slots::default();
        stored::read(&config, args.since, |page| {
            for document in page {
                if reader.read(&document.source, &mut slots).is_ok() {
                    seen.add(&Event::new(document, &slots), &rules.fields);
                }
            }
            Ok(())
        })?
    } else {
        recording::read(&args.files, &rules.fields, |event| {
            seen.add(event, &rules.fields);
            Ok(())
        })?
    };
    let set = &rules.set;
    let reach = |rule| seen.reach(rule, set, &rules.fields);
    let of_rules: Vec<Reach> = set.rules.iter().map(reach).collect();
    let of_correlations = reach::correlations(set, &of_rules);
    let of_rules = set.rules.iter().map(Subject::of_rule).zip(of_rules);
    let correlations = set.correlations.iter().map(Subject::of_correlation);
    let told: Vec<(Subject<'_>, Reach)> =
        of_rules.chain(correlations.zip(of_correlations)).collect();
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => {
            let rows: Vec<Row<'_>> = told.iter().map(row).collect();
            machine::rows(&mut out, output, &rows)?;
        }
        Output::Table => print(&mut out, &told, documents, args.all)?,
    }
    Ok(Exit::Done)
}

/// A rule or a correlation.
struct Subject<'a> {
    head: Head<'a>,
    log_source: Option<&'a LogSource>,
}

impl<'a> Subject<'a> {
    fn of_rule(rule: &'a Rule) -> Self {
        Self {
            head: rule.into(),
            log_source: Some(&rule.log_source),
        }
    }

    fn of_correlation(correlation: &'a Correlation) -> Self {
        Self {
            head: correlation.into(),
            log_source: None,
        }
    }
}

fn row<'a>((rule, reach): &(Subject<'a>, Reach)) -> Row<'a> {
    let (word, documents, lacks) = match reach {
        Reach::May(documents) => ("may", *documents, Vec::new()),
        Reach::Nowhere => ("nowhere", 0, Vec::new()),
        Reach::NotCollected => ("not_collected", 0, Vec::new()),
        Reach::Lacks(documents, fields) => ("lacks", *documents, fields.clone()),
        Reach::Without(members) => ("without", 0, members.clone()),
    };
    Row {
        head: rule.head,
        reach: word,
        log_source: rule.log_source.map(log_source),
        documents,
        lacks,
    }
}

/// What stands in the way of some rules, and how many of them.
type Groups<'a> = BTreeMap<(u8, String), Vec<&'a Subject<'a>>>;

fn print(
    out: &mut impl Write,
    told: &[(Subject<'_>, Reach)],
    documents: u64,
    all: bool,
) -> Result<(), Failure> {
    let mut groups = Groups::new();
    let mut may = 0_u64;
    for (rule, reach) in told {
        let name = rule.log_source.map(log_source).unwrap_or_default();
        let key = match reach {
            Reach::May(_) => {
                may += 1;
                continue;
            }
            Reach::Lacks(_, fields) => {
                (1, format!("{name}: no document has {}", fields.join(", ")))
            }
            Reach::NotCollected => {
                let wanted = rule.log_source.map(wanted).unwrap_or_default();
                (2, format!("{name}: collect {wanted}"))
            }
            Reach::Nowhere => (
                3,
                format!(
                    "{name}: {}",
                    (rule.log_source.and_then(why_never))
                        .unwrap_or("no document can have this log source")
                ),
            ),
            Reach::Without(members) => {
                let title = rule.head.rule;
                (
                    4,
                    format!("{title}: cannot fire without {}", members.join(", ")),
                )
            }
        };
        groups.entry(key).or_default().push(rule);
    }
    let mut sorted: Vec<_> = groups.iter().collect();
    sorted.sort_by_key(|((kind, _), rules)| (*kind, std::cmp::Reverse(rules.len())));
    let mut last = 0;
    for ((kind, what), rules) in sorted {
        if *kind != last {
            let heading = [
                "",
                "Collected, but without what rules ask for",
                "Not collected",
                "Never",
                "Correlations of what cannot fire",
            ];
            writeln!(
                out,
                "{}",
                text::paint(text::BOLD, heading[usize::from(*kind)])
            )?;
            last = *kind;
        }
        writeln!(
            out,
            "  {:>5}  {}",
            text::number(rules.len() as u64),
            text::clean(what)
        )?;
        for rule in rules.iter().filter(|_| all) {
            let line = format!(
                "         {} ({}:{})",
                rule.head.rule,
                rule.head.path.display(),
                rule.head.line
            );
            writeln!(out, "{}", text::paint(text::DIM, text::clean(&line)))?;
        }
    }
    writeln!(
        out,
        "{}: {} of {} may fire",
        text::count(documents, "document"),
        text::number(may),
        text::count(told.len() as u64, "rule")
    )?;
    Ok(())
}

/// What would have to be collected for a log source.
fn wanted(source: &LogSource) -> String {
    let rows = collected_as(source);
    if rows.is_empty() {
        return "windows events".to_owned();
    }
    let names = rows.iter().map(|(channel, id)| match id {
        Some(id) => format!("{channel} {id}"),
        None => (*channel).to_owned(),
    });
    names.collect::<Vec<_>>().join(" or ")
}
