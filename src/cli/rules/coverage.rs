//! `picket rules coverage`: which ATT&CK techniques rules look for, as a table and as a layer for
//! the ATT&CK Navigator. Says nothing of how well they look.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::recording::Rules;
use crate::alert::Level;
use crate::cli::machine::{self, to_json};
use crate::cli::{Exit, Failure, Output, text};
use crate::config::Config;
use crate::rule::Rule;
use crate::taxonomy::log_source;

/// What may be said after `picket rules coverage`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules coverage
  picket rules coverage --rules sigma/rules/windows --layer layer.json
  picket rules coverage -o json | jq '.[] | select(.rules == 1)'

Open a layer in the ATT&CK Navigator with `Open Existing Layer`. Rules whose log source no document
can have are not counted.")]
pub struct Args {
    /// Look at these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Write a layer for the ATT&CK Navigator there.
    #[arg(long, value_name = "FILE")]
    layer: Option<PathBuf>,
}

/// What is there for one technique.
#[derive(Default, Serialize)]
struct Covered<'a> {
    technique: &'a str,
    rules: u64,
    highest: Level,
    titles: Vec<&'a str>,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let usable = || {
        let known = |rule: &&Rule| log_source::known(&rule.log_source);
        let of_rules = rules.set.rules.iter().filter(known);
        let correlations = rules.set.correlations.iter();
        of_rules
            .map(|rule| (&*rule.techniques, rule.level, &*rule.title))
            .chain(correlations.map(|rule| (&*rule.techniques, rule.level, &*rule.title)))
    };
    let covered = covered(usable());
    if let Some(path) = &args.layer {
        let layer = to_json(&layer(&covered))?;
        std::fs::write(path, layer + "\n").map_err(|error| {
            Failure::outside(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => machine::rows(&mut out, output, &covered)?,
        Output::Table => {
            let untagged = usable().filter(|rule| rule.0.is_empty()).count();
            print(&mut out, &covered)?;
            writeln!(
                out,
                "{} by {}; {} name none",
                text::count(covered.len() as u64, "technique"),
                text::count(usable().count() as u64, "rule"),
                text::number(untagged as u64)
            )?;
            if let Some(path) = &args.layer {
                writeln!(out, "layer written to {}", path.display())?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Of rules their techniques, level and title.
fn covered<'a>(rules: impl Iterator<Item = (&'a [String], Level, &'a str)>) -> Vec<Covered<'a>> {
    let mut by_technique: BTreeMap<&str, Covered<'_>> = BTreeMap::new();
    for (techniques, level, title) in rules {
        for technique in techniques {
            let row = by_technique.entry(technique).or_default();
            row.technique = technique;
            row.rules += 1;
            row.highest = match row.titles.is_empty() {
                true => level,
                false => row.highest.max(level),
            };
            row.titles.push(title);
        }
    }
    by_technique.into_values().collect()
}

/// A layer in the format 4.5 of the ATT&CK Navigator.
fn layer(covered: &[Covered<'_>]) -> Value {
    let most = covered.iter().map(|row| row.rules).max().unwrap_or(1);
    let techniques: Vec<Value> = covered
        .iter()
        .map(|row| {
            json!({
                "techniqueID": row.technique,
                "score": row.rules,
                "comment": row.titles.join("\n"),
                "enabled": true,
                "showSubtechniques": row.technique.contains('.'),
            })
        })
        .collect();
    json!({
        "name": "Picket: rules by technique",
        "versions": { "layer": "4.5" },
        "domain": "enterprise-attack",
        "description": "The score is the number of Sigma rules.",
        "sorting": 3,
        "techniques": techniques,
        "gradient": {
            "colors": ["#e8f4ff", "#08519c"],
            "minValue": 1,
            "maxValue": most,
        },
    })
}

fn print(out: &mut impl Write, covered: &[Covered<'_>]) -> Result<(), Failure> {
    const BAR: u64 = 20;
    let most = covered
        .iter()
        .map(|row| row.rules)
        .max()
        .unwrap_or(1)
        .max(1);
    let mut table = text::table(&["technique", "rules", "", "highest", "such as"]);
    for row in covered {
        let long = (row.rules * BAR).div_ceil(most);
        table.add_row([
            text::clean(row.technique).into_owned(),
            text::number(row.rules),
            "█".repeat(usize::try_from(long).unwrap_or(0)),
            row.highest.as_str().to_owned(),
            text::clean(row.titles.first().unwrap_or(&"")).into_owned(),
        ]);
    }
    if !covered.is_empty() {
        writeln!(out, "{table}")?;
    }
    Ok(())
}
