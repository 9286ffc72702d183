//! `picket rules`: for those who write rules. A subcommand each, in a file each; nothing here
//! judges.

pub mod cost;
pub mod coverage;
pub mod cross_check;
pub mod doctor;
pub mod lint;
pub mod list;
pub mod recording;
pub mod stored;
pub mod test;

use clap::Subcommand;

use super::{Exit, Failure, Output};
use crate::config::Config;

/// What may be said after `picket rules`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List rules: what they are for, how grave, where they stand.
    List(list::Args),
    /// Check rules against the specification and SigmaHQ's conventions.
    Lint(lint::Args),
    /// Run the cases beside rules: what must fire, what must not.
    Test(test::Args),
    /// Show which ATT&CK techniques rules look for; write a layer for the Navigator.
    Coverage(coverage::Args),
    /// Say which rules can never fire on what is collected, and what is missing.
    Doctor(doctor::Args),
    /// Measure what each rule costs on a recording.
    Cost(cost::Args),
    /// Hold our engine against sigma-rust, over a recording.
    CrossCheck(cross_check::Args),
}

/// Runs the command.
pub fn run(args: &Args, config: Config, output: Output) -> Result<Exit, Failure> {
    match &args.command {
        Command::List(args) => list::run(args, config, output),
        Command::Lint(args) => lint::run(args, config, output),
        Command::Test(args) => test::run(args, config, output),
        Command::Coverage(args) => coverage::run(args, config, output),
        Command::Doctor(args) => doctor::run(args, config, output),
        Command::Cost(args) => cost::run(args, config, output),
        Command::CrossCheck(args) => cross_check::run(args, config, output),
    }
}
