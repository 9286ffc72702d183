//! `picket provision`: shows what would be set up on a cluster, sets it up, takes it away again.
//! Asks before it overwrites or removes what somebody changed by hand.

mod view;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::machine::to_json;
use super::{Exit, Failure, Output, block_on, role, store, text};
use crate::config::{self, Config};
use crate::provision::{self, Action, Part, Plan, Provision, Span};
use crate::store::elastic::{Elastic, Kind};

/// What may be said after `picket provision`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket provision plan                  what would be made, changed, asked about; changes nothing
  picket provision apply                 makes it so; twice in a row changes nothing more
  picket provision apply --only indices
  picket provision start --since 30d     sets the anomaly jobs going
  picket provision remove                takes away what Picket made, never a document
  picket provision export desk/          files to be imported by hand

What somebody changed by hand is asked about; where nobody can be asked it stays, unless --yes.
What a licence, a version or a privilege forbids is skipped, and said. `picket role --provision`
prints the role for it. Needs `store.elastic` in picket.yml.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what would be done.
    Plan {
        #[command(flatten)]
        parts: Parts,
        /// End with 1 if anything would be done.
        #[arg(long)]
        exit_code: bool,
    },
    /// Do it.
    Apply {
        #[command(flatten)]
        parts: Parts,
        #[command(flatten)]
        consent: Consent,
    },
    /// Take away what Picket made.
    Remove {
        #[command(flatten)]
        parts: Parts,
        #[command(flatten)]
        consent: Consent,
    },
    /// Start the jobs that Picket made.
    Start {
        /// Read what is there since then, such as 30d; without it all that there is.
        #[arg(long, value_name = "SPAN", value_parser = span)]
        since: Option<Duration>,
    },
    /// Stop the jobs that Picket made.
    Stop,
    /// Write everything as files.
    Export {
        /// The folder.
        dir: PathBuf,
        /// For which server.
        #[arg(long = "for", value_enum, default_value_t, value_name = "SERVER")]
        server: role::Server,
    },
}

#[derive(Debug, clap::Args)]
struct Parts {
    /// Buckets of anomaly jobs: 15m, or 15s as in the write-up, which costs sixty times as much.
    #[arg(long, value_enum, default_value_t, value_name = "SPAN")]
    buckets: Buckets,
    /// Only these parts, with commas between.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Only>,
}

#[derive(Debug, clap::Args)]
struct Consent {
    /// Yes to every question: also what somebody changed by hand.
    #[arg(long)]
    yes: bool,
    /// Show what would be done, do nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    /// Templates, policies, pipeline, fields, roles.
    Indices,
    /// Data views, searches, dashboards.
    Kibana,
    /// Anomaly jobs.
    Ml,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Buckets {
    /// A quarter of an hour.
    #[default]
    #[value(name = "15m")]
    Quarter,
    /// 15 seconds.
    #[value(name = "15s")]
    Seconds,
}

fn span(text: &str) -> Result<Duration, String> {
    config::span(text).ok_or_else(|| "a span such as 12h or 30d".into())
}

/// Runs the command.
pub fn run(args: &Args, config: &Config, output: Output) -> Result<Exit, Failure> {
    let (parts, consent, removes) = match &args.what {
        What::Export { dir, server } => {
            let patterns = role::patterns(&[], config);
            let files = provision::export(dir, Kind::from(*server), &patterns)
                .map_err(|problem| Failure::outside(problem.to_string()))?;
            return view::files(&files, output);
        }
        What::Start { since } => return switch(true, *since, config, output),
        What::Stop => return switch(false, None, config, output),
        What::Plan { parts, .. } => (parts, None, false),
        What::Apply { parts, consent } => (parts, Some(consent), false),
        What::Remove { parts, consent } => (parts, Some(consent), true),
    };
    let elastic = connect(config)?;
    let span = match parts.buckets {
        Buckets::Quarter => Span::Quarter,
        Buckets::Seconds => Span::Seconds,
    };
    let parts = parts.parts();
    let desk = match parts.contains(&Part::Kibana) {
        true => store::desk(config)?,
        false => None,
    };
    let provision = Provision::new(&elastic, store::sources(config), parts)
        .showing(desk.as_ref())
        .spanning(span);
    let mut plan = block_on(async {
        Ok(match removes {
            true => provision.removal().await?,
            false => provision.plan().await?,
        })
    })?;
    let acting = consent.filter(|consent| !consent.dry_run);
    if let Some(consent) = acting {
        if output == Output::Table {
            view::steps(&plan)?;
        }
        ask(&mut plan, consent.yes, removes)?;
        let applied = block_on(async { Ok(provision.apply(&mut plan).await) })?;
        if let Err(error) = applied {
            view::outcomes(&plan, output)?;
            return Err(error.into());
        }
        view::outcomes(&plan, output)?;
        return ended(&plan);
    }
    match output {
        Output::Table => view::steps(&plan)?,
        _ => writeln!(anstream::stdout(), "{}", to_json(&plan)?)?,
    }
    let asked = matches!(
        args.what,
        What::Plan {
            exit_code: true,
            ..
        }
    );
    let open = plan
        .steps
        .iter()
        .any(|s| s.acts() || s.action == Action::Conflict);
    Ok(if asked && open {
        Exit::Findings
    } else {
        Exit::Done
    })
}

fn connect(config: &Config) -> Result<Elastic, Failure> {
    let Some(cluster) = &config.cluster else {
        return Err(Failure::input(
            "nothing to provision: the embedded store needs none of it; name a cluster with \
             `store: { elastic: { url: .. } }` in picket.yml",
        ));
    };
    store::connect(cluster, config)
}

/// Starts or stops jobs.
fn switch(
    on: bool,
    since: Option<Duration>,
    config: &Config,
    output: Output,
) -> Result<Exit, Failure> {
    let elastic = connect(config)?;
    let provision = Provision::new(&elastic, store::sources(config), BTreeSet::new());
    let since = since.map(|ago| chrono::Utc::now().timestamp_millis() - ago.as_millis() as i64);
    let plan = block_on(async {
        let mut plan = provision.switching(on).await?;
        provision.switch(&mut plan, since).await?;
        Ok(plan)
    })?;
    view::outcomes(&plan, output)?;
    ended(&plan)
}

/// Asks about each conflict, where somebody can be asked.
fn ask(plan: &mut Plan, yes: bool, removes: bool) -> Result<(), Failure> {
    let somebody = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    for step in &mut plan.steps {
        if step.action != Action::Conflict {
            continue;
        }
        if yes || somebody && view::asked(step, removes)? {
            step.consent();
        }
    }
    Ok(())
}

fn ended(plan: &Plan) -> Result<Exit, Failure> {
    let failed = plan.steps.iter().filter(|step| step.failed()).count();
    if failed > 0 {
        let failed = text::count(failed as u64, "step");
        return Err(Failure::outside(format!("{failed} failed, see above")));
    }
    match plan.count(Action::Conflict) {
        0 => Ok(Exit::Done),
        left => Err(Failure::input(format!(
            "{} left as somebody changed it; --yes goes on all the same",
            text::count(left as u64, "thing")
        ))),
    }
}

impl Parts {
    fn parts(&self) -> BTreeSet<Part> {
        if self.only.is_empty() {
            return BTreeSet::from([Part::Indices, Part::Kibana, Part::Ml]);
        }
        let part = |only: &Only| match only {
            Only::Indices => Part::Indices,
            Only::Kibana => Part::Kibana,
            Only::Ml => Part::Ml,
        };
        self.only.iter().map(part).collect()
    }
}
