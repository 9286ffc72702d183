//! `picket rules cost`: what each rule costs on a recording, so that the dear ones are known by
//! name. Measures in a mode of its own: scans and sweeps carry no clocks.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::recording::{self, Rules};
use crate::cli::head::Head;
use crate::cli::machine::to_json;
use crate::cli::{Exit, Failure, Output, load, text};
use crate::config::Config;
use crate::detect::sigma::cost::Costs;
use crate::rule::RuleSet;
use crate::sweep::Ledger;

/// What may be said after `picket rules cost`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules cost evidence/
  picket rules cost events.ndjson --rules sigma/rules/windows --top 50
  picket rules cost events.ndjson -o json | jq '.rules[] | select(.asked_of_all)'

`asked` is how often a rule could neither be ruled out nor was known from an event that said the
same, `matching` what answering took, `on hits` what evidence, the second opinion of sigma-rust and
hits of correlations took. A question that several rules ask is answered once an event; the first of
them pays. Of a correlation, `asked` is how many hits were judged, `slowest` the dearest of its groups;
that a sweep also keeps hits in the store is not measured. One thread measures, in the way of a scan:
from some thousand events on it knows what is frequent.")]
pub struct Args {
    /// .evtx, JSON, NDJSON, CSV; plain, .gz or .zip; folders; - for NDJSON on standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Measure these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Show that many rules (JSON has them all).
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
}

/// A rule or a correlation, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// Of a correlation: hits of its rules that were judged.
    asked: u64,
    hits: u64,
    #[serde(rename = "matching_ns", serialize_with = "nanoseconds")]
    matching: Duration,
    #[serde(rename = "on_hits_ns", serialize_with = "nanoseconds")]
    on_hits: Duration,
    /// Of a correlation: what one group took.
    #[serde(rename = "slowest_ns", serialize_with = "nanoseconds")]
    slowest: Duration,
    asked_of_all: bool,
    regex_not_asked: u64,
    /// Of a correlation.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<u64>,
}

impl Row<'_> {
    fn time(&self) -> Duration {
        self.matching + self.on_hits
    }
}

fn nanoseconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(time.as_nanos())
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let mut rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let (mut costs, mut ledger) = (Costs::default(), Ledger::default());
    let begun = Instant::now();
    let clock = || begun.elapsed();
    let detector = &mut rules.detector;
    let events = recording::read(&args.files, &rules.fields, |event| {
        for (correlation, hit) in detector.measure(event, &clock, &mut costs) {
            ledger.keep(correlation, hit);
        }
        Ok(())
    })?;
    load::warn(ledger.problem().as_slice(), 0, "");
    ledger.measure(&detector.correlator(), &clock, &mut costs);
    let mut rows = rows(&rules.set, &costs);
    rows.sort_by_key(|row| std::cmp::Reverse(row.time()));
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => print(&mut out, &rows, &costs, events, args.top)?,
        Output::Json => {
            let all = serde_json::json!({
                "events": events,
                "index_ns": costs.index.as_nanos() as u64,
                "rules": rows,
            });
            writeln!(out, "{}", to_json(&all)?)?;
        }
        Output::Ndjson => {
            for row in &rows {
                writeln!(out, "{}", to_json(row)?)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn rows<'a>(set: &'a RuleSet, costs: &Costs) -> Vec<Row<'a>> {
    let of_rules = set.rules.iter().enumerate().map(|(number, rule)| {
        let cost = costs.rules.get(number).cloned().unwrap_or_default();
        Row {
            head: rule.into(),
            asked: cost.asked,
            hits: cost.hits,
            matching: cost.matching,
            on_hits: cost.on_hits,
            slowest: cost.slowest,
            asked_of_all: cost.asked_of_all,
            regex_not_asked: cost.overlong,
            groups: None,
        }
    });
    let correlations = set
        .correlations
        .iter()
        .enumerate()
        .map(|(number, correlation)| {
            let cost = costs.correlations.get(&number).cloned().unwrap_or_default();
            Row {
                head: correlation.into(),
                asked: cost.judged,
                hits: cost.hits,
                matching: cost.time,
                on_hits: Duration::ZERO,
                slowest: cost.slowest,
                asked_of_all: false,
                regex_not_asked: 0,
                groups: Some(cost.groups),
            }
        });
    of_rules.chain(correlations).collect()
}

fn print(
    out: &mut impl Write,
    rows: &[Row<'_>],
    costs: &Costs,
    events: u64,
    top: usize,
) -> Result<(), Failure> {
    let all: Duration = rows.iter().map(Row::time).sum();
    let asked: Vec<_> = rows.iter().filter(|row| row.asked > 0).collect();
    let mut table = text::table(&[
        "share", "matching", "on hits", "asked", "hits", "slowest", "rule",
    ]);
    for row in asked.iter().take(top) {
        let mut note = String::new();
        if let Some(groups) = row.groups {
            note += &format!("\na correlation, with {}", text::count(groups, "group"));
        }
        if row.asked_of_all {
            note += "\nasked of every event of its log source: it names no text that must be there";
        }
        if row.regex_not_asked > 0 {
            let times = text::count(row.regex_not_asked, "value");
            note += &format!("\n{times} too long for its regular expression, which was not asked");
        }
        table.add_row([
            share(row.time(), all),
            text::short(row.matching),
            text::short(row.on_hits),
            text::number(row.asked),
            text::number(row.hits),
            text::short(row.slowest),
            format!(
                "{}\n{}:{}{note}",
                text::clean(row.head.rule),
                text::clean(&row.head.path.display().to_string()),
                row.head.line
            ),
        ]);
    }
    if !asked.is_empty() && top > 0 {
        writeln!(out, "{table}")?;
    }
    writeln!(
        out,
        "{}: {} took {}, finding which are asked {}; {} of {} were asked of none",
        text::count(events, "event"),
        text::count(rows.len() as u64, "rule"),
        text::short(all),
        text::short(costs.index),
        text::number((rows.len() - asked.len()) as u64),
        text::number(rows.len() as u64),
    )?;
    Ok(())
}

fn share(part: Duration, all: Duration) -> String {
    let whole = all.as_nanos().max(1);
    format!("{:.1} %", part.as_nanos() as f64 * 100.0 / whole as f64)
}
