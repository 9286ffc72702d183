//! `picket status`: what is stored, what was judged, what waits, and how the last sweeps went.

use std::io::Write;

use serde::Serialize;

use super::finding::warning;
use super::machine::to_json;
use super::sweep::summary;
use super::{Exit, Failure, Output, block_on, store, text};
use crate::config::Config;
use crate::store::{Aggregation, Search, ShardWaiting, Sources, Store, Waiting};
use crate::sweep::SweepReport;

/// The most shards and problems that are listed.
const MAX_SHARDS: usize = 20;
const MAX_PROBLEMS: usize = 5;

/// What may be said after `picket status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket status
  picket status --exit-code         end with 1 if anything waits to be judged (for monitoring)
  picket status -o json")]
pub struct Args {
    /// End with 1 if any document waits to be judged, or if that is not known of a shard.
    #[arg(long)]
    exit_code: bool,
}

#[derive(Serialize)]
struct Status {
    store: String,
    documents: u64,
    alert_levels: Vec<(String, u64)>,
    indices: Vec<(String, u64)>,
    findings: u64,
    sweeps: Vec<SweepStatus>,
}

#[derive(Serialize)]
struct SweepStatus {
    name: String,
    judged: u64,
    #[serde(flatten)]
    waiting: Waiting,
    last: Option<SweepReport>,
    /// What other processes say of the same time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<SweepReport>,
}

/// Runs the command.
pub fn run(args: &Args, config: Config, output: Output) -> Result<Exit, Failure> {
    let store = store::open_read_only(&config)?;
    let status = block_on(read(&*store, &config))?;
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => print(&mut out, &status)?,
        Output::Json | Output::Ndjson => writeln!(out, "{}", to_json(&status)?)?,
    }
    let waits = |waiting: &Waiting| waiting.waiting > 0 || waiting.shards.iter().any(|s| s.away);
    let waits = status.sweeps.iter().any(|sweep| waits(&sweep.waiting));
    Ok(if args.exit_code && waits {
        Exit::Findings
    } else {
        Exit::Done
    })
}

async fn read(store: &dyn Store, config: &Config) -> Result<Status, Failure> {
    let terms = |field: &str| Aggregation::Terms {
        field: field.into(),
        size: 100,
    };
    let search = Search {
        sources: Some(store::sources(config)),
        aggregations: vec![terms("AlertLevel"), terms("index")],
        ..Search::default()
    };
    let found = store.find(&search).await?;
    let kept = Search {
        sources: Some(Sources(vec![crate::store::FINDINGS_INDEX.into()])),
        ..Search::default()
    };
    let mut buckets = found.buckets.into_iter();
    let mut sweeps = Vec::new();
    for sweep in &config.sweeps {
        let progress = store.progress(&sweep.name).await?;
        let waiting = store.waiting(&sweep.sources, &progress.at).await?;
        sweeps.push(SweepStatus {
            name: sweep.name.clone(),
            judged: waiting.documents.saturating_sub(waiting.waiting),
            waiting,
            last: progress.report.and_then(read_report),
            others: progress
                .others
                .into_iter()
                .filter_map(read_report)
                .collect(),
        });
    }
    Ok(Status {
        store: store::name(config),
        documents: found.total,
        alert_levels: buckets.next().unwrap_or_default(),
        indices: buckets.next().unwrap_or_default(),
        findings: store.find(&kept).await?.total,
        sweeps,
    })
}

fn read_report(report: serde_json::Value) -> Option<SweepReport> {
    serde_json::from_value(report).ok()
}

/// The shards that wait, the longest first; those that are at rest are only counted.
fn shards(out: &mut impl Write, waiting: &Waiting) -> Result<(), Failure> {
    let mut late: Vec<&ShardWaiting> = waiting.shards.iter().filter(|s| s.waiting > 0).collect();
    late.sort_by_key(|shard| shard.oldest.unwrap_or(i64::MAX));
    let away: Vec<&ShardWaiting> = waiting.shards.iter().filter(|s| s.away).collect();
    let rest = waiting.shards.len() - late.len() - away.len();
    if rest > 0 {
        writeln!(
            out,
            "  {} judged to the end",
            text::count(rest as u64, "shard")
        )?;
    }
    for shard in away.iter().take(MAX_SHARDS) {
        writeln!(
            out,
            "  {} shard {} of {} is away: what waits there is not known",
            warning(),
            shard.shard,
            text::clean(&shard.index)
        )?;
    }
    if away.len() > MAX_SHARDS {
        let more = text::count((away.len() - MAX_SHARDS) as u64, "further shard");
        writeln!(out, "  {more} away; `-o json` has them all")?;
    }
    if late.is_empty() {
        return Ok(());
    }
    let mut table = text::table(&["index", "shard", "judged", "waiting", "oldest (UTC)"]);
    for shard in late.iter().take(MAX_SHARDS) {
        table.add_row([
            text::clean(&shard.index).into_owned(),
            shard.shard.to_string(),
            text::number(shard.documents.saturating_sub(shard.waiting)),
            text::number(shard.waiting),
            shard.oldest.map_or_else(String::new, text::moment),
        ]);
    }
    writeln!(out, "{table}")?;
    if late.len() > MAX_SHARDS {
        let more = text::count((late.len() - MAX_SHARDS) as u64, "further shard");
        writeln!(out, "  {more} wait; `-o json` has them all")?;
    }
    Ok(())
}

fn print(out: &mut impl Write, status: &Status) -> Result<(), Failure> {
    writeln!(
        out,
        "{}: {}",
        text::clean(&status.store),
        text::count(status.documents, "document")
    )?;
    let list = |buckets: &[(String, u64)]| -> String {
        let parts: Vec<String> = buckets
            .iter()
            .map(|(key, count)| format!("{} {}", text::clean(key), text::number(*count)))
            .collect();
        parts.join(", ")
    };
    if !status.indices.is_empty() {
        writeln!(out, "  indices      {}", list(&status.indices))?;
    }
    if !status.alert_levels.is_empty() {
        writeln!(out, "  AlertLevel   {}", list(&status.alert_levels))?;
    }
    writeln!(
        out,
        "  findings     on {}",
        text::count(status.findings, "document")
    )?;
    for sweep in &status.sweeps {
        writeln!(
            out,
            "sweep {}: {} judged, {} not yet judged",
            text::clean(&sweep.name),
            text::number(sweep.judged),
            text::number(sweep.waiting.waiting)
        )?;
        shards(out, &sweep.waiting)?;
        if let Some(oldest) = sweep.waiting.oldest {
            writeln!(
                out,
                "  oldest that waits: {} (event time, UTC)",
                text::moment(oldest)
            )?;
        }
        if sweep.last.is_none() {
            writeln!(out, "  never ran; try `picket sweep`")?;
        }
        for report in sweep.last.iter().chain(&sweep.others) {
            last(out, report)?;
        }
    }
    Ok(())
}

fn last(out: &mut impl Write, report: &SweepReport) -> Result<(), Failure> {
    writeln!(
        out,
        "  last at {} UTC: {}",
        text::moment(report.started),
        summary(report)
    )?;
    for (why, number) in &report.rejections {
        let number = text::count(*number, "verdict");
        writeln!(
            out,
            "  {}: {number} kept as findings only",
            text::clean(why)
        )?;
    }
    for problem in report.problems.iter().take(MAX_PROBLEMS) {
        writeln!(out, "  {} {}", warning(), text::clean(&problem.to_string()))?;
    }
    Ok(())
}
