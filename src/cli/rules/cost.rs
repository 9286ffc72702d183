//! `picket rules cost`: what each rule costs on a recording, so that the dear ones are known by
//! name. Measures in a mode of its own: scans and sweeps carry no clocks.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::recording::{self, Rules};
use crate::cli::machine::to_json;
use crate::cli::{Exit, Failure, Output, text};
use crate::config::Config;
use crate::detect::sigma::cost::{Cost, Costs};
use crate::rule::Rule;

/// What may be said after `picket rules cost`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules cost evidence/
  picket rules cost events.ndjson --rules sigma/rules/windows --top 50
  picket rules cost events.ndjson -o json | jq '.rules[] | select(.asked_of_all)'

`asked` is how often a rule could neither be ruled out nor was known from an event that said the
same, `matching` what answering took, `on hits` what evidence and the second opinion of sigma-rust
took. A question that several rules ask is answered once an event; the first of them pays. One thread
measures, in the way of a scan: from some thousand events on it knows what is frequent.")]
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

/// One rule, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    rule_id: &'a str,
    rule: &'a str,
    path: &'a std::path::Path,
    line: usize,
    asked: u64,
    hits: u64,
    matching_ns: u128,
    on_hits_ns: u128,
    slowest_ns: u128,
    asked_of_all: bool,
    regex_not_asked: u64,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let mut rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let mut costs = Costs::default();
    let begun = Instant::now();
    let clock = || begun.elapsed();
    let detector = &mut rules.detector;
    let events = recording::read(&args.files, &rules.fields, |event| {
        detector.measure(event, &clock, &mut costs);
        Ok(())
    })?;
    let mut rows: Vec<(&Rule, &Cost)> = rules.set.rules.iter().zip(&costs.rules).collect();
    rows.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.time()));
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => print(&mut out, &rows, &costs, events, args.top)?,
        Output::Json => {
            let rows: Vec<Row<'_>> = rows.iter().map(|row| machine(row)).collect();
            let all = serde_json::json!({
                "events": events,
                "index_ns": costs.index.as_nanos() as u64,
                "rules": rows,
            });
            writeln!(out, "{}", to_json(&all)?)?;
        }
        Output::Ndjson => {
            for row in &rows {
                writeln!(out, "{}", to_json(&machine(row))?)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn machine<'a>((rule, cost): &(&'a Rule, &'a Cost)) -> Row<'a> {
    Row {
        rule_id: &rule.id,
        rule: &rule.title,
        path: &rule.path,
        line: rule.line,
        asked: cost.asked,
        hits: cost.hits,
        matching_ns: cost.matching.as_nanos(),
        on_hits_ns: cost.on_hits.as_nanos(),
        slowest_ns: cost.slowest.as_nanos(),
        asked_of_all: cost.asked_of_all,
        regex_not_asked: cost.overlong,
    }
}

fn print(
    out: &mut impl Write,
    rows: &[(&Rule, &Cost)],
    costs: &Costs,
    events: u64,
    top: usize,
) -> Result<(), Failure> {
    let all: Duration = rows.iter().map(|(_, cost)| cost.time()).sum();
    let asked: Vec<_> = rows.iter().filter(|(_, cost)| cost.asked > 0).collect();
    let mut table = text::table(&[
        "share", "matching", "on hits", "asked", "hits", "slowest", "rule",
    ]);
    for (rule, cost) in asked.iter().take(top) {
        let mut note = String::new();
        if cost.asked_of_all {
            note += "\nasked of every event of its log source: it names no text that must be there";
        }
        if cost.overlong > 0 {
            let times = text::count(cost.overlong, "value");
            note += &format!("\n{times} too long for its regular expression, which was not asked");
        }
        table.add_row([
            share(cost.time(), all),
            text::short(cost.matching),
            text::short(cost.on_hits),
            text::number(cost.asked),
            text::number(cost.hits),
            text::short(cost.slowest),
            format!(
                "{}\n{}:{}{note}",
                text::clean(&rule.title),
                text::clean(&rule.path.display().to_string()),
                rule.line
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
