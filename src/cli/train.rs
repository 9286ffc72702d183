//! `picket train`: trains the model of the module lateral-commands and says how good it is.

use std::io::Write;
use std::path::PathBuf;

use super::machine::to_json;
use super::{Exit, Failure, Output, progress, text};
use crate::train::{self, Options};

/// What may be said after `picket train`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket train                      train, print cross-validated figures, write model.txt
  picket train --dry-run            only print the figures

After it, wasm-modules/build.sh builds the module with the new model.")]
pub struct Args {
    /// Folder of the module: reads command.csv, writes model.txt.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "wasm-modules/lateral-commands"
    )]
    dir: PathBuf,
    /// Of all folds: the same seed gives the same figures and model.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub fn run(args: &Args, output: Output) -> Result<Exit, Failure> {
    let defaults = Options::default();
    let options = Options {
        folder: args.dir.clone(),
        write: !args.dry_run,
        seed: args.seed.unwrap_or(defaults.seed),
        ..defaults
    };
    let bar = progress::steps();
    let report = train::run(&options, &mut |step| {
        bar.set_length(step.total as u64);
        bar.set_position(step.done as u64);
        bar.set_message(step.what);
    })
    .map_err(Failure::input)?;
    bar.finish_and_clear();
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => write!(out, "{}", text::clean_lines(&report.to_string()))?,
        Output::Json | Output::Ndjson => writeln!(out, "{}", to_json(&report)?)?,
    }
    Ok(Exit::Done)
}
