//! `picket run`: sweeps on schedule until ctrl-c or SIGTERM, which finish the page in hand. Rules
//! that change meanwhile judge from the next page on.

mod reload;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Local;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::arsenal::Arsenal;
use super::{Exit, Failure, block_on, store, sweep, text};
use crate::config::Config;
use crate::schedule::{self, Schedule};
use crate::sweep::Sweep;

/// What may be said after `picket run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket run                        all sweeps of picket.yml, or one every quarter of an hour
  picket --config /etc/picket/picket.yml run

Rules, blacklist and modules that the configuration names are loaded again when their files change;
new documents are judged by them from the next page on. An edit that breaks a file keeps what was,
and is said in the log. What was judged stays as it is: `picket sweep --rejudge` judges it again.")]
pub struct Args {
    /// Sweep once at the start too, before the first scheduled time.
    #[arg(long)]
    now: bool,
}

/// Runs the command.
pub fn run(args: &Args, config: Config) -> Result<Exit, Failure> {
    // First of all: who ends it while it starts is heard, too.
    let (stop, flag) = block_on(async { Ok(on_signal()) })?;
    let arsenal = Arsenal::load(&config)?;
    arsenal.warn(5);
    let store = store::open(&config)?;
    info!(
        rules = arsenal.rules,
        blacklist = arsenal.blacklist,
        modules = arsenal.modules,
        problems = arsenal.problems.len(),
        took_ms = arsenal.took as u64,
        store = store::name(&config),
        "ready"
    );
    block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        let watched = reload::Watched::new(&config, &arsenal);
        let mut sweeps = Vec::new();
        let folded = config.folded();
        for entry in config.sweeps {
            let sweep = Sweep::new(
                &entry.name,
                Arc::clone(&store),
                entry.sources,
                &arsenal.judge,
                sweep::threads(),
            )
            .beginning(entry.begin)
            .folding(folded.clone());
            let sweep = Arc::new(sweep);
            sweeps.push(Arc::clone(&sweep));
            tasks.spawn(scheduled(
                sweep,
                entry.schedule,
                args.now,
                stop.clone(),
                Arc::clone(&flag),
            ));
        }
        if let Some(watched) = watched {
            tasks.spawn(reload::run(watched, sweeps, stop));
        }
        while let Some(ended) = tasks.join_next().await {
            ended
                .map_err(|error| Failure::outside(format!("a sweep's task broke down: {error}")))?;
        }
        info!("stopped");
        Ok(Exit::Done)
    })
}

async fn scheduled(
    sweep: Arc<Sweep>,
    schedule: Schedule,
    now: bool,
    stop: watch::Receiver<bool>,
    flag: Arc<AtomicBool>,
) {
    if let Some(next) = schedule.after(Local::now()) {
        info!(sweep = sweep.name(), next = %next.to_rfc3339(), "scheduled");
    }
    if now {
        activate(&sweep, &flag).await;
    }
    schedule::run(&schedule, Local::now, stop, || activate(&sweep, &flag)).await;
}

/// One activation; what goes wrong is logged, and the next scheduled one is the retry.
async fn activate(sweep: &Sweep, stop: &AtomicBool) {
    match sweep.activate(stop, &mut |_| {}).await {
        Ok(report) => {
            info!(
                sweep = sweep.name(),
                documents = report.read.documents,
                findings = report.findings,
                alerts = report.alerts,
                suspicious = report.suspicious,
                written = report.written,
                conflicts = report.conflicts,
                rejected = report.rejected,
                anomalies = report.anomalies,
                took_ms = report.took,
                "swept"
            );
            for problem in &report.problems {
                warn!(
                    sweep = sweep.name(),
                    "{}",
                    text::clean(&problem.to_string())
                );
            }
        }
        Err(failure) => error!(
            sweep = sweep.name(),
            "{}",
            text::clean(&failure.to_string())
        ),
    }
}

/// Sets the flag at the first ctrl-c or SIGTERM; a second one ends the process at once.
pub fn set_on_signal(flag: Arc<AtomicBool>) {
    let mut signals = Signals::listen();
    tokio::spawn(async move {
        signals.next().await;
        flag.store(true, Ordering::SeqCst);
        signals.next().await;
        // Nothing acknowledged is lost by this: what counts is on disk.
        #[expect(clippy::exit, reason = "the user asked twice")]
        std::process::exit(130);
    });
}

fn on_signal() -> (watch::Receiver<bool>, Arc<AtomicBool>) {
    let (stop, stopped) = watch::channel(false);
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let mut signals = Signals::listen();
    tokio::spawn(async move {
        signals.next().await;
        info!("stopping after the page in hand");
        raised.store(true, Ordering::SeqCst);
        stop.send_replace(true);
        signals.next().await;
        #[expect(clippy::exit, reason = "the user asked twice")]
        std::process::exit(130);
    });
    (stopped, flag)
}

/// Ctrl-c and SIGTERM; heard from the moment that it is made, where that is possible.
struct Signals {
    #[cfg(unix)]
    both: std::io::Result<[tokio::signal::unix::Signal; 2]>,
}

impl Signals {
    fn listen() -> Self {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            #[cfg(unix)]
            both: signal(SignalKind::interrupt())
                .and_then(|interrupt| Ok([interrupt, signal(SignalKind::terminate())?])),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Ok([interrupt, terminate]) = &mut self.both {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
        drop(tokio::signal::ctrl_c().await);
    }
}
