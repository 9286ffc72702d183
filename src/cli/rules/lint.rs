//! `picket rules lint`: what the specification forbids, what cannot be loaded, and what SigmaHQ's
//! conventions would have otherwise.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::alert::AlertLevel;
use crate::cli::{Exit, Failure, Output, arsenal, machine, text};
use crate::config::Config;
use crate::rule;
use crate::rule::lint::{Linter, Remark};
use crate::rule::yaml::MAX_TEXT;
use crate::taxonomy::Fields;

/// What may be said after `picket rules lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules lint my-rules/
  picket rules lint my-rules/ --errors
  picket rules lint sigma/rules/windows -o ndjson | jq -r .check | sort | uniq -c

Errors are what the specification forbids or what cannot be loaded; hints are conventions.
Ends with 2 if there is an error, with 1 if there are hints and --exit-code asked.")]
pub struct Args {
    /// Files and folders of rules; without any, those of the configuration.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show errors only.
    #[arg(long)]
    errors: bool,
    /// End with 1 if there are hints.
    #[arg(long)]
    exit_code: bool,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    if !args.paths.is_empty() {
        config.rules.clone_from(&args.paths);
    }
    if config.rules.is_empty() {
        return Err(Failure::input(
            "the bundled rules are not yours to mend; name files or folders, such as `picket rules lint my-rules/`",
        ));
    }
    let mut problems = Vec::new();
    let rules = arsenal::rules(&config, &mut Fields::default(), &mut problems)?;
    let mut linter = Linter::default();
    let mut files: u64 = 0;
    // What cannot be read is among the problems of loading.
    let found = config.rules.iter().flat_map(|root| rule::files(root));
    for path in found.filter_map(Result::ok) {
        let size = fs::metadata(&path).map_or(u64::MAX, |found| found.len());
        if size <= MAX_TEXT as u64
            && let Ok(text) = fs::read_to_string(&path)
        {
            files += 1;
            linter.file(&path, &text);
        }
    }
    let loading = problems.into_iter().map(|problem| Remark {
        check: "loads",
        is_error: true,
        problem,
    });
    let mut remarks: Vec<Remark> = loading.chain(linter.finish()).collect();
    remarks
        .sort_by(|a, b| (&a.problem.path, a.problem.line).cmp(&(&b.problem.path, b.problem.line)));
    let errors = remarks.iter().filter(|remark| remark.is_error).count();
    let hints = remarks.len() - errors;
    remarks.retain(|remark| remark.is_error || !args.errors);
    print(&remarks, output)?;
    if output == Output::Table {
        let counts = format!(
            "{} in {}: {}, {}",
            text::count(rules.rules.len() as u64, "usable rule"),
            text::count(files, "file"),
            text::count(errors as u64, "error"),
            text::count(hints as u64, "hint")
        );
        anstream::println!("{counts}");
    }
    Ok(match (errors, hints) {
        (1.., _) => Exit::Input,
        (0, 1..) if args.exit_code => Exit::Findings,
        _ => Exit::Done,
    })
}

fn print(remarks: &[Remark], output: Output) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => machine::rows(&mut out, output, remarks)?,
        Output::Table => {
            for remark in remarks {
                let (style, word) = match remark.is_error {
                    true => (text::style(AlertLevel::Alert), "error"),
                    false => (text::style(AlertLevel::Suspicious), "hint"),
                };
                writeln!(
                    out,
                    "{} {} {}",
                    text::paint(style, word),
                    text::clean(&remark.problem.to_string()),
                    text::paint(text::DIM, format!("[{}]", remark.check))
                )?;
            }
        }
    }
    Ok(())
}
