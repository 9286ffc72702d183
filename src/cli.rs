//! The command line: what may be said, and one function for each command. Only here is anything
//! printed; nothing here judges, reads a store's files or decides what a default is.

pub mod arsenal;
pub mod check;
pub mod demo;
pub mod exit;
pub mod explain;
pub mod finding;
pub mod head;
pub mod load;
pub mod machine;
pub mod progress;
pub mod provision;
pub mod role;
pub mod rules;
pub mod run;
pub mod scan;
pub mod search;
pub mod status;
pub mod store;
pub mod story;
pub mod sweep;
pub mod text;
pub mod train;

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tokio::runtime::Runtime;

use crate::config::Config;
pub use exit::{Exit, Failure};

/// Judges Windows events and cmd.exe history with Sigma rules, a blacklist and WASM modules.
///
/// Without a configuration it works on an embedded store in ./picket-data with the rules,
/// blacklist and modules that are built in.
#[derive(Debug, Parser)]
#[command(
    name = "picket",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  picket demo                       see a recorded attack found
  picket scan evidence/ -o ndjson   judge .evtx and JSON files, no store needed
  picket load events.ndjson         put events into the embedded store
  picket sweep --dry-run            what would be judged, without writing
  picket run                        sweep on schedule until ctrl-c

Exit codes: 0 done, 1 findings where --exit-code asked for them, 2 your input, 3 the outside world."
)]
pub struct Cli {
    /// Configuration; without it ./picket.yml, if there is one.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store, instead of the configured one.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to show results.
    #[arg(long, short, global = true, value_enum)]
    output: Option<Output>,
    /// Log more; twice for details.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

/// How results are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a recorded attack into a fresh store, sweep it and show what was found.
    Demo,
    /// Put events from files into the store.
    Load(load::Args),
    /// Judge what is new in the store, once.
    Sweep(sweep::Args),
    /// Sweep on schedule until ctrl-c or SIGTERM.
    Run(run::Args),
    /// Judge files without a store.
    Scan(scan::Args),
    /// Show why a rule fires on a document, or why not.
    Explain(explain::Args),
    /// Search the store.
    Search(search::Args),
    /// Check configuration, rules, blacklist and modules; name every problem.
    Check(check::Args),
    /// For those who write rules.
    Rules(rules::Args),
    /// Show what is stored, what was judged and what waits.
    Status(status::Args),
    /// Set up templates, dashboards, jobs and roles on a cluster.
    Provision(provision::Args),
    /// Print the role that Picket needs on a cluster.
    Role(role::Args),
    /// Train the model of the module lateral-commands.
    Train(train::Args),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  picket completions bash > /etc/bash_completion.d/picket")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Runs one command; what goes wrong is printed, once.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; printing fails only if nobody listens.
            drop(error.print());
            return if error.use_stderr() {
                Exit::Input
            } else {
                Exit::Done
            };
        }
    };
    crate::telemetry::start(
        cli.verbose
            .max(u8::from(matches!(cli.command, Command::Run(_)))),
    );
    match cli.run() {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.message.is_empty() {
                anstream::eprintln!(
                    "{} {}",
                    text::paint(text::style(crate::alert::AlertLevel::Alert), "error:"),
                    text::clean_lines(&failure.message)
                );
            }
            failure.exit
        }
    }
}

impl Cli {
    fn run(self) -> Result<Exit, Failure> {
        if let Command::Completions { shell } = self.command {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Self::command(), "picket", &mut script);
            std::io::stdout().write_all(&script)?;
            return Ok(Exit::Done);
        }
        let (mut config, problems) = Config::find(self.config.as_deref())
            .map_err(|problem| Failure::input(problem.to_string()))?;
        if let Command::Check(args) = &self.command {
            return check::run(args, config, problems, self.output.unwrap_or_default());
        }
        exit::refuse(&problems)?;
        if let Some(data) = self.data {
            config.data = data;
        }
        let output = self.output.unwrap_or_default();
        match self.command {
            Command::Demo => demo::run(config),
            Command::Load(args) => load::run(&args, config),
            Command::Sweep(args) => sweep::run(&args, config, output),
            Command::Run(args) => run::run(&args, config),
            Command::Scan(args) => scan::run(&args, config, output),
            Command::Explain(args) => explain::run(&args, config, output),
            Command::Search(args) => search::run(&args, config, self.output),
            Command::Status(args) => status::run(&args, config, output),
            Command::Rules(args) => rules::run(&args, config, output),
            Command::Provision(args) => provision::run(&args, &config, output),
            Command::Role(args) => role::run(&args, &config, output),
            Command::Train(args) => train::run(&args, output),
            Command::Check(_) | Command::Completions { .. } => Ok(Exit::Done),
        }
    }
}

/// Runs async work to its end.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // One for the process: a store's connections belong to the runtime that they were made on.
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2).enable_all().build()
        })
        .as_ref()
        .map_err(|error| Failure::outside(format!("cannot start worker threads: {error}")))?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
