//! `picket rules cross-check`: our engine and sigma-rust, which share no code, over a recording.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::recording::{self, Rules};
use crate::cli::head::Head;
use crate::cli::machine::to_json;
use crate::cli::{Exit, Failure, Output, text};
use crate::config::Config;
use crate::detect::sigma::cross::{Compared, Pairs, known_fault, why_unknown};
use crate::rule::Rule;

/// What may be said after `picket rules cross-check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules cross-check evidence/
  picket rules cross-check events.ndjson --rules sigma/rules/windows --sample 1
  picket rules cross-check events.ndjson -o json | jq '.rules[] | select(.theirs > 0)'

Of each event all rules of its log sources are meant. sigma-rust is asked about those that our index
could not rule out, hits included, and about one in --sample of all others; for these the index is
also held against the plain walk of the rule. It takes some 15 µs for each.")]
pub struct Args {
    /// .evtx, JSON, NDJSON, CSV; plain, .gz or .zip; folders; - for NDJSON on standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Of the pairs that the index rules out, ask about one in so many; 1 asks about all.
    #[arg(long, default_value_t = 100, value_name = "N")]
    sample: u64,
    /// End with 1 if the engines differ.
    #[arg(long)]
    exit_code: bool,
}

/// One rule, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    both: u64,
    ours: u64,
    theirs: u64,
    neither: u64,
    unasked: u64,
    missed_by_the_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> Row<'a> {
    fn new(rule: &'a Rule, compared: &Compared, example: Option<&'a String>) -> Self {
        Self {
            head: rule.into(),
            both: compared.both,
            ours: compared.ours,
            theirs: compared.theirs,
            neither: compared.neither,
            unasked: compared.unasked,
            missed_by_the_index: compared.missed,
            example: example.map(String::as_str),
            reason: if compared.is_unknown {
                Some(why_unknown(rule))
            } else if compared.differences() > 0 {
                known_fault(rule)
            } else {
                None
            },
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let mut rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let mut pairs = Pairs::one_in(args.sample);
    let mut compared = Vec::new();
    // The first event on which a rule is seen otherwise.
    let mut examples: BTreeMap<u32, String> = BTreeMap::new();
    let detector = &mut rules.detector;
    let events = recording::read(&args.files, &rules.fields, |event| {
        let id = &event.document.id;
        detector.compare(event, &mut pairs, &mut compared, |rule| {
            examples
                .entry(rule)
                .or_insert_with(|| format!("{}:{}", id.index, id.id));
        });
        Ok(())
    })?;
    compared.resize(rules.set.rules.len(), Compared::default());
    let numbered = rules.set.rules.iter().zip(&compared).zip(0u32..);
    let mut rows: Vec<(Row<'_>, bool)> = numbered
        .map(|((rule, compared), number)| {
            let row = Row::new(rule, compared, examples.get(&number));
            (row, compared.is_unknown)
        })
        .collect();
    let differences = |row: &Row<'_>| row.ours + row.theirs + row.missed_by_the_index;
    rows.sort_by_key(|(row, _)| std::cmp::Reverse(differences(row)));
    let differ = rows.iter().any(|(row, _)| differences(row) > 0);
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => {
            let rows: Vec<&Row<'_>> = rows.iter().map(|(row, _)| row).collect();
            let all = serde_json::json!({
                "events": events,
                "woken": pairs.woken,
                "others": pairs.others,
                "sampled": pairs.sampled,
                "rules": rows,
            });
            writeln!(out, "{}", to_json(&all)?)?;
        }
        Output::Ndjson => {
            for (row, _) in &rows {
                writeln!(out, "{}", to_json(row)?)?;
            }
        }
        Output::Table => print(&mut out, &rows, &pairs, events)?,
    }
    Ok(if args.exit_code && differ {
        Exit::Findings
    } else {
        Exit::Done
    })
}

fn print(
    out: &mut impl Write,
    rows: &[(Row<'_>, bool)],
    pairs: &Pairs,
    events: u64,
) -> Result<(), Failure> {
    let mut table = text::table(&["both", "ours", "theirs", "rule"]);
    let mut different = 0;
    for (row, _) in rows {
        if row.ours + row.theirs + row.missed_by_the_index == 0 {
            continue;
        }
        different += 1;
        let mut said = format!(
            "{}\n{}:{}",
            text::clean(row.head.rule),
            text::clean(&row.head.path.display().to_string()),
            row.head.line
        );
        if let Some(example) = row.example {
            said += &format!("\nfirst: {}", text::clean(example));
        }
        if row.missed_by_the_index > 0 {
            let number = text::number(row.missed_by_the_index);
            said += &format!("\nour index missed {number}: this is a bug, please report it");
        }
        said += match row.reason {
            Some(reason) => format!("\n{reason}"),
            None => "\nno reason is known: `picket explain` shows what ours sees".to_owned(),
        }
        .as_str();
        let counts = [row.both, row.ours, row.theirs].map(text::number);
        table.add_row(counts.into_iter().chain([said]));
    }
    if different > 0 {
        writeln!(out, "{table}")?;
    }
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for (row, _) in rows.iter().filter(|(_, is_unknown)| *is_unknown) {
        *unknown.entry(row.reason.unwrap_or_default()).or_default() += 1;
    }
    for (reason, count) in unknown {
        let rules = text::count(count, "rule");
        writeln!(out, "{rules} cannot be put to sigma-rust: {reason}")?;
    }
    let sum = |of: fn(&Row<'_>) -> u64| text::number(rows.iter().map(|(row, _)| of(row)).sum());
    writeln!(
        out,
        "{}: sigma-rust was asked about {} pairs of rule and event that the index woke and {} of {} \
         others; {} hits of both, {} of ours alone, {} of theirs alone; {} not asked (several values, \
         or too long); {} differ",
        text::count(events, "event"),
        text::number(pairs.woken),
        text::number(pairs.sampled),
        text::number(pairs.others),
        sum(|row| row.both),
        sum(|row| row.ours),
        sum(|row| row.theirs),
        sum(|row| row.unasked),
        text::count(different, "rule"),
    )?;
    Ok(())
}
