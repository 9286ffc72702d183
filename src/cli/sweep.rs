//! `picket sweep`: one activation now.

mod changes;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::arsenal::Arsenal;
use super::finding::{FindingLine, warning};
use super::machine::to_json;
use super::story::Story;
use super::{Exit, Failure, Output, block_on, progress, store, text};
use crate::config::{Config, SweepConfig};
use crate::finding::Verdict;
use crate::store::{Begin, Sources, Store};
use crate::sweep::{Sweep, SweepReport};

/// What may be said after `picket sweep`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket sweep                      judge what is new, write the verdicts
  picket sweep --dry-run            show what would be written
  picket sweep --exit-code          end with 1 if something was found (for scripts)
  picket sweep nightly -o ndjson    the sweep `nightly`, one finding a line
  picket sweep --since 7d           today's rules over what came in the last 7 days
  picket sweep --rejudge --dry-run  what other rules than before would raise, and take back")]
pub struct Args {
    /// Which of the configured sweeps; without it all, one after the other.
    name: Option<String>,
    /// Read again what is not older than that (30m, 12h, 7d), wherever the checkpoint is.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    since: Option<Duration>,
    /// Judge again what other rules judged: new rules raise, and withdrawn ones take back the
    /// levels that they alone raised. Everything, or what `--since` names.
    #[arg(long)]
    rejudge: bool,
    /// Write nothing, neither verdicts nor the checkpoint.
    #[arg(long)]
    dry_run: bool,
    /// End with 1 if anything was found.
    #[arg(long)]
    exit_code: bool,
}

/// The sweeps of that name, or all.
pub fn chosen<'c>(config: &'c Config, name: Option<&str>) -> Result<Vec<&'c SweepConfig>, Failure> {
    let chosen: Vec<_> = config
        .sweeps
        .iter()
        .filter(|s| name.is_none_or(|name| name == s.name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = config.sweeps.iter().map(|s| s.name.as_str()).collect();
        return Err(Failure::input(format!(
            "there is no such sweep; there are: {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

/// A span of time as the command line takes it.
pub fn span(text: &str) -> Result<Duration, String> {
    crate::config::span(text).ok_or_else(|| "write a span as 30m, 12h or 7d".to_owned())
}

/// How many threads judge.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Runs the command.
pub fn run(args: &Args, config: Config, output: Output) -> Result<Exit, Failure> {
    let sweeps = chosen(&config, args.name.as_deref())?;
    let mut arsenal = Arsenal::load(&config)?;
    arsenal.warn(5);
    if args.rejudge {
        arsenal.judge = arsenal.judge.taking_back();
    }
    let again = match (args.since, args.rejudge) {
        (Some(since), _) => Some(Begin::Ago(since)),
        (None, true) => Some(Begin::Beginning),
        (None, false) => None,
    };
    let store = store::open(&config)?;
    let mut found = 0;
    for sweep in sweeps {
        let (begin, sources) = (&sweep.begin, sweep.sources.clone());
        let mut sweep = Sweep::new(
            &sweep.name,
            Arc::clone(&store),
            sources.clone(),
            &arsenal.judge,
            threads(),
        )
        .beginning(begin.clone())
        .folding(config.folded())
        .dry(args.dry_run);
        if let Some(from) = again {
            sweep = sweep.again(from);
        }
        let (report, verdicts) = activate(&sweep)?;
        found += report.findings;
        print(&report, &verdicts, args.rejudge, output)?;
        if let Some(cluster) = &config.cluster
            && report.read.documents == 0
            && output == Output::Table
        {
            say_if_taken(&*store, sweep.name(), &sources, cluster.lease)?;
        }
    }
    Ok(if args.exit_code && found > 0 {
        Exit::Findings
    } else {
        Exit::Done
    })
}

/// Says why nothing was read, if something waits.
fn say_if_taken(
    store: &dyn Store,
    sweep: &str,
    sources: &Sources,
    lease: Duration,
) -> Result<(), Failure> {
    let waiting = block_on(async {
        let progress = store.progress(sweep).await?;
        Ok(store.waiting(sources, &progress.at).await?.waiting)
    })?;
    if waiting > 0 {
        anstream::println!(
            "{} waiting, taken by another Picket process; what it leaves is free {} s after its last word",
            text::count(waiting, "document"),
            lease.as_secs()
        );
    }
    Ok(())
}

/// One activation with a progress display; ctrl-c ends it after the page in hand.
pub fn activate(sweep: &Sweep) -> Result<(SweepReport, Vec<Verdict>), Failure> {
    let bar = progress::documents();
    let stop = Arc::new(AtomicBool::new(false));
    let mut verdicts = Vec::new();
    let report = block_on(async {
        super::run::set_on_signal(Arc::clone(&stop));
        let report = sweep
            .activate(&stop, &mut |step| {
                bar.set_position(step.report.read.documents);
                bar.set_message(format!("{} findings", step.report.findings));
                verdicts.extend_from_slice(step.verdicts);
            })
            .await?;
        Ok(report)
    })?;
    bar.finish_and_clear();
    verdicts.sort_by_key(|v| (v.time, v.document.clone()));
    Ok((report, verdicts))
}

fn print(
    report: &SweepReport,
    verdicts: &[Verdict],
    rejudged: bool,
    output: Output,
) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Ndjson => {
            for line in verdicts.iter().flat_map(FindingLine::all) {
                writeln!(out, "{}", to_json(&line)?)?;
            }
        }
        Output::Json => {
            let findings: Vec<FindingLine<'_>> =
                verdicts.iter().flat_map(FindingLine::all).collect();
            writeln!(
                out,
                "{}",
                to_json(&serde_json::json!({ "report": report, "findings": findings }))?
            )?;
        }
        Output::Table => {
            if rejudged {
                changes::print(&mut out, verdicts)?;
            } else if !verdicts.is_empty() {
                let mut story = Story::default();
                verdicts.iter().for_each(|verdict| story.add(verdict));
                story.print(&mut out, false)?;
            }
            if !verdicts.is_empty() {
                writeln!(out)?;
            }
            writeln!(out, "{}", summary(report))?;
            for (why, number) in &report.rejections {
                let number = text::count(*number, "verdict");
                writeln!(
                    out,
                    "{} {}: {number} kept as findings only",
                    warning(),
                    text::clean(why)
                )?;
            }
            for problem in &report.problems {
                writeln!(out, "{} {}", warning(), text::clean(&problem.to_string()))?;
            }
        }
    }
    Ok(())
}

/// What an activation did, in one or two lines.
pub fn summary(report: &SweepReport) -> String {
    let verb = if report.dry_run { "would set" } else { "set" };
    let mut line = format!(
        "{}: {} judged in {}, {}; {verb} AlertLevel 2 on {} and 1 on {}",
        text::clean(&report.sweep),
        text::count(report.read.judged(), "document"),
        text::duration(report.took),
        text::count(report.findings, "finding"),
        text::count(report.alerts, "document"),
        text::number(report.suspicious),
    );
    let extras = [
        (report.read.ignored, "ignored by a person's word"),
        (report.read.judged_before, "seen again after our own writes"),
        (report.read.unrecognised, "in no known shape"),
        (report.read.unreadable, "unreadable"),
        (report.taken_back, "levels taken back"),
        (report.conflicts, "changed meanwhile (they come again)"),
        (report.rejected, "refused by the store (findings are kept)"),
        (report.anomalies, "folded in from anomaly jobs"),
        (
            report.unplaced,
            "of anomaly jobs that speak of no document here",
        ),
        (report.disputed, "findings that sigma-rust sees otherwise"),
        (report.more_problems, "further problems"),
    ];
    let extras: Vec<String> = extras
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", text::number(number)))
        .collect();
    if !extras.is_empty() {
        line += &format!(" ({})", extras.join(", "));
    }
    if report.stopped {
        line += "; stopped before the end, the next sweep goes on from here";
    }
    line
}
