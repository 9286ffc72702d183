//! `picket rules`: for those who write rules. A subcommand each, in a file each; nothing here
//! judges.

pub mod cost;
pub mod recording;

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
    /// Measure what each rule costs on a recording.
    Cost(cost::Args),
}

/// Runs the command.
pub fn run(args: &Args, config: Config, output: Output) -> Result<Exit, Failure> {
    match &args.command {
        Command::Cost(args) => cost::run(args, config, output),
    }
}
