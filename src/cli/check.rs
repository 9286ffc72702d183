//! `picket check`: configuration, rules, blacklist and modules; all problems at once.

use std::io::Write;

use super::arsenal::Arsenal;
use super::{Exit, Failure, Output, machine, text};
use crate::config::Config;
use crate::problem::Problem;

/// What may be said after `picket check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket check
  picket check --rules my-rules/ --rules ../sigma/rules/windows
  picket check --rules ../sigma/ --placeholders our-network.yml
  picket --config /etc/picket/picket.yml check -o ndjson

Ends with 2 if there is a problem.")]
pub struct Args {
    /// Check these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<std::path::PathBuf>,
    /// Values for the placeholders of rules (`%name%` with `expand`), a YAML map; repeatable.
    #[arg(long, value_name = "FILE")]
    placeholders: Vec<std::path::PathBuf>,
    /// Check this blacklist instead of the configured one.
    #[arg(long, value_name = "FILE")]
    blacklist: Option<std::path::PathBuf>,
    /// Check these modules instead of the configured ones.
    #[arg(long, value_name = "DIR")]
    modules: Option<std::path::PathBuf>,
}

/// Runs the command.
pub fn run(
    args: &Args,
    mut config: Config,
    mut problems: Vec<Problem>,
    output: Output,
) -> Result<Exit, Failure> {
    if !args.rules.is_empty() {
        config.rules.clone_from(&args.rules);
    }
    config.blacklist = args.blacklist.clone().or(config.blacklist);
    config.modules = args.modules.clone().or(config.modules);
    problems.extend(
        config
            .more_placeholders(&args.placeholders)
            .map_err(|problem| Failure::input(problem.to_string()))?,
    );
    let arsenal = Arsenal::load(&config)?;
    problems.extend(arsenal.problems.iter().cloned());
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => machine::rows(&mut out, output, &problems)?,
        Output::Table => {
            for problem in &problems {
                writeln!(out, "{}", text::clean(&problem.to_string()))?;
            }
            writeln!(
                out,
                "{} loaded in {} ms; {}",
                arsenal.describe(),
                arsenal.took,
                if problems.is_empty() {
                    text::paint(text::GREEN, "no problems")
                } else {
                    text::count(problems.len() as u64, "problem")
                }
            )?;
            if arsenal.unroutable > 0 {
                let line = format!(
                    "{} name a log source that no Windows event or cmd.exe history has, and so can never fire",
                    text::count(arsenal.unroutable as u64, "rule")
                );
                writeln!(out, "{}", text::paint(text::DIM, line))?;
            }
        }
    }
    Ok(if problems.is_empty() {
        Exit::Done
    } else {
        Exit::Input
    })
}
