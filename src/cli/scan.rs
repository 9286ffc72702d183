//! `picket scan`: judges files without a store, the fast path of somebody who answers an incident;
//! and tells beforehand what rules would raise.

mod baseline;
mod shown;
mod threads;

use std::collections::{BTreeMap, HashMap};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use self::baseline::Baseline;
use self::shown::{Form, Shown};
use super::arsenal::Arsenal;
use super::finding::warning;
use super::story::Story;
use super::{Exit, Failure, Output, progress, text};
use crate::config::Config;
use crate::detect::Judged;
use crate::detect::correlate::Correlator;
use crate::detect::judge::{Ask, Counts, Draft, NewEvent};
use crate::document::{Document, DocumentId};
use crate::input::Progress;
use crate::problem::Problem;
use crate::store::MAX_WINDOW;
use crate::sweep::{Ledger, Panel, too_many};

/// So many unreadable lines are kept to be named.
const UNREADABLE: usize = 20;

/// What may be said after `picket scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket scan Security.evtx Microsoft-Windows-Sysmon%4Operational.evtx
  picket scan evidence/ --rules sigma/rules/windows -o ndjson > findings.ndjson
  zcat events.json.gz | picket scan - --exit-code
  picket scan --baseline --since 30d --rules new-rules/   what would these have raised?")]
pub struct Args {
    /// .evtx, JSON, NDJSON, CSV; plain, .gz or .zip; folders; - for NDJSON on standard input.
    #[arg(required_unless_present = "baseline", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Use these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Values for the placeholders of rules (`%name%` with `expand`), a YAML map; repeatable.
    #[arg(long, value_name = "FILE")]
    placeholders: Vec<PathBuf>,
    /// Use this blacklist instead of the configured one.
    #[arg(long, value_name = "FILE")]
    blacklist: Option<PathBuf>,
    /// Use these modules instead of the configured ones.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Show findings that ask for no AlertLevel too (they are always in JSON).
    #[arg(long)]
    all: bool,
    /// Tell what each rule would have raised, and how much noise that is: on the files, or without
    /// any on what the store holds. Writes nothing.
    #[arg(long)]
    baseline: bool,
    /// Of the store, only what is not older than that (30m, 12h, 30d).
    #[arg(long, value_name = "SPAN", value_parser = super::sweep::span, requires = "baseline", conflicts_with = "files")]
    since: Option<std::time::Duration>,
    /// End with 1 if anything was found.
    #[arg(long)]
    exit_code: bool,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    if !args.rules.is_empty() {
        config.rules.clone_from(&args.rules);
    }
    config.blacklist = args.blacklist.clone().or(config.blacklist);
    config.modules = args.modules.clone().or(config.modules);
    super::arsenal::placeholders(&mut config, &args.placeholders)?;
    let mut arsenal = Arsenal::load(&config)?;
    arsenal.warn(5);
    if args.baseline {
        arsenal.judge = arsenal.judge.afresh();
    }
    let inputs = super::load::inputs(&args.files)?;
    let begun = Instant::now();
    let mut panel = Panel::new(&arsenal.judge, super::sweep::threads());
    let form = Form {
        digest: panel.digest(),
        is_lines: output != Output::Table && !args.baseline,
    };
    let mut scan = Scan::new(form.clone(), output, args.all);
    scan.baseline = args.baseline.then(Baseline::default);
    if args.files.is_empty() {
        super::rules::stored::read(&config, args.since, |page| {
            let mut judged = panel.page(page);
            let shown = form.show(&mut judged)?;
            scan.batch(page, judged, shown)
        })?;
    }
    let progress = Progress::default();
    let bar = progress::bytes(inputs.bytes());
    let mut problems = threads::judge(
        &mut panel,
        &inputs,
        &progress,
        args.baseline,
        &form,
        |documents, judged, shown| {
            scan.batch(documents, judged, shown)?;
            bar.set_position(progress.bytes.load(Ordering::Relaxed));
            bar.set_message(text::count(scan.findings, "finding"));
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    scan.finish(&mut panel)?;
    problems.append(&mut scan.unreadable);
    problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let unreadable = progress.unreadable.load(Ordering::Relaxed) + scan.counts.unreadable;
    super::load::warn(&problems, unreadable, "could not be read");
    if let Some(baseline) = &scan.baseline {
        baseline.print(output, arsenal.rules, scan.judged())?;
    }
    let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    summary(&scan, unreadable, &arsenal, took);
    Ok(if args.exit_code && scan.findings > 0 {
        Exit::Findings
    } else {
        Exit::Done
    })
}

struct Scan {
    form: Form,
    output: Output,
    all: bool,
    story: Story,
    baseline: Option<Baseline>,
    /// The lines of a document that is printed at the end.
    lines: Vec<u8>,
    counts: Counts,
    findings: u64,
    alerts: u64,
    problems: Vec<Problem>,
    /// The first lines that are no JSON objects.
    unreadable: Vec<Problem>,
    histories: BTreeMap<Ask, (Vec<NewEvent>, Vec<Document>)>,
    /// Hits of correlations, and what verdicts on their documents are made of.
    ledger: Ledger,
    drafts: HashMap<DocumentId, Draft>,
    /// The documents that windows and correlations will speak of too, and whether they are among the alerts.
    awaited: HashMap<DocumentId, bool>,
}

impl Scan {
    fn new(form: Form, output: Output, all: bool) -> Self {
        Self {
            form,
            output,
            all,
            story: Story::default(),
            baseline: None,
            lines: Vec::new(),
            counts: Counts::default(),
            findings: 0,
            alerts: 0,
            problems: Vec::new(),
            unreadable: Vec::new(),
            histories: BTreeMap::new(),
            ledger: Ledger::default(),
            drafts: HashMap::new(),
            awaited: HashMap::new(),
        }
    }

    /// Takes in what was found on some documents; of these it needs those that are asked for.
    fn batch(
        &mut self,
        documents: &[Document],
        mut judged: Judged,
        shown: Shown,
    ) -> Result<(), Failure> {
        if let Some(baseline) = &mut self.baseline {
            baseline.see(documents);
        }
        self.counts.add(&judged.counts);
        self.problems.append(&mut judged.problems);
        for (document, error) in judged.unreadable.drain(..) {
            if self.unreadable.len() < UNREADABLE {
                let problem = Problem::new(&*document.index, format!("is {error}"));
                let line = document.id.parse();
                self.unreadable
                    .push(line.map_or(problem.clone(), |line| problem.at(line)));
            }
        }
        if !judged.asks.is_empty() {
            let known: HashMap<&DocumentId, &Document> =
                documents.iter().map(|d| (&d.id, d)).collect();
            for (ask, new) in std::mem::take(&mut judged.asks) {
                let (events, history) = self.histories.entry(ask).or_default();
                history.extend(
                    new.iter()
                        .filter_map(|n| known.get(&n.document).map(|d| (*d).clone())),
                );
                let ids = new.iter().map(|n| (n.document.clone(), false));
                self.awaited.extend(ids);
                events.extend(new);
            }
        }
        for (correlation, hit, draft) in std::mem::take(&mut judged.hits) {
            self.awaited.entry(hit.document.clone()).or_insert(false);
            self.drafts.entry(hit.document.clone()).or_insert(draft);
            self.ledger.keep(correlation, hit);
        }
        self.show(shown)
    }

    /// Judges the hits of correlations, now that all are known.
    fn correlate(&mut self, correlator: &Correlator) -> Result<(), Failure> {
        let mut judged = Judged::default();
        for (document, finding) in self.ledger.judge(correlator) {
            if let Some(draft) = self.drafts.get(&document) {
                judged.found(&document, draft, finding);
            }
        }
        self.problems.extend(self.ledger.problem());
        let shown = self.form.show(&mut judged)?;
        self.show(shown)
    }

    fn show(&mut self, mut shown: Shown) -> Result<(), Failure> {
        self.findings += shown.findings;
        for document in &shown.alerts {
            let counted = self.awaited.get_mut(document);
            let is_counted = counted.is_some_and(|counted| std::mem::replace(counted, true));
            self.alerts += u64::from(!is_counted);
        }
        for verdict in &shown.verdicts {
            match &mut self.baseline {
                Some(baseline) => baseline.add(verdict),
                None => self.story.add(verdict),
            }
        }
        if self.output == Output::Ndjson {
            // JSON has no escape sequences that would have to be taken out.
            stdout().lock().write_all(&shown.lines)?;
        } else {
            self.lines.append(&mut shown.lines);
        }
        Ok(())
    }

    /// How many events could be read.
    fn judged(&self) -> u64 {
        self.counts.documents - self.counts.unreadable
    }

    /// Judges the windows, now that all history is known, and prints what waits.
    fn finish(&mut self, panel: &mut Panel) -> Result<(), Failure> {
        for (ask, (new, mut history)) in std::mem::take(&mut self.histories) {
            let dropped = history.len().saturating_sub(MAX_WINDOW);
            history.drain(..dropped);
            if dropped > 0 {
                self.problems.push(too_many(&ask));
            }
            let mut judged = panel.window(&ask, &new, &history);
            self.problems.append(&mut judged.take_problems());
            let shown = self.form.show(&mut judged)?;
            self.show(shown)?;
        }
        self.correlate(&panel.correlator())?;
        let mut out = anstream::stdout().lock();
        match self.output {
            _ if self.baseline.is_some() => {}
            Output::Table => self.story.print(&mut out, self.all)?,
            Output::Json => {
                let lines = self.lines.trim_ascii_end().split(|byte| *byte == b'\n');
                out.write_all(b"[")?;
                out.write_all(&lines.collect::<Vec<_>>().join(&b",\n"[..]))?;
                out.write_all(b"]\n")?;
            }
            Output::Ndjson => {}
        }
        Ok(())
    }
}

fn summary(scan: &Scan, unreadable: u64, arsenal: &Arsenal, took: i64) {
    for problem in scan.problems.iter().take(10) {
        anstream::eprintln!("{} {}", warning(), text::clean(&problem.to_string()));
    }
    let mut line = format!(
        "\n{} judged in {} by {}: {}, {} on AlertLevel 1 or 2",
        text::count(scan.judged(), "event"),
        text::duration(took),
        arsenal.describe(),
        text::count(scan.findings, "finding"),
        text::count(scan.alerts, "document"),
    );
    for (number, what) in [
        (scan.counts.unrecognised, "in no known shape"),
        (unreadable, "unreadable"),
    ] {
        if number > 0 {
            line += &format!("; {} {what}", text::number(number));
        }
    }
    anstream::eprintln!("{line}");
}
