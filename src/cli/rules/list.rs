//! `picket rules list`: what rules there are.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::recording::Rules;
use crate::alert::{AlertLevel, Level};
use crate::cli::{Exit, Failure, Output, machine, text};
use crate::config::Config;
use crate::rule::Rule;
use crate::rule::correlation::Correlation;
use crate::taxonomy::LogSource;

/// What may be said after `picket rules list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket rules list
  picket rules list --min-level high --technique T1003
  picket rules list lsass --rules sigma/rules/windows
  picket rules list --category process_creation -o ndjson | jq -r .path")]
pub struct Args {
    /// Only rules that have this in title, id, name or path, in any case.
    text: Option<String>,
    /// List these rules instead of the configured ones.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Only rules of that level and above.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    min_level: Option<Level>,
    /// Only rules for that category of log source.
    #[arg(long)]
    category: Option<String>,
    /// Only rules for that service.
    #[arg(long)]
    service: Option<String>,
    /// Only rules for that technique, with those below it.
    #[arg(long, value_name = "T1234")]
    technique: Option<String>,
}

fn level(word: &str) -> Result<Level, String> {
    Level::parse(word).ok_or_else(|| "informational, low, medium, high or critical".to_owned())
}

/// One rule or correlation, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    rule_id: &'a str,
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    level: Level,
    alert_level: AlertLevel,
    status: Option<&'a str>,
    product: Option<&'a str>,
    category: Option<&'a str>,
    service: Option<&'a str>,
    /// Of a correlation: what it asks of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    techniques: &'a [String],
    path: &'a Path,
    line: usize,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let of_rules = rules.set.rules.iter().map(|rule| of_rule(rule, &config));
    let correlations = rules.set.correlations.iter();
    let all: Vec<Row<'_>> = of_rules
        .chain(correlations.map(|correlation| of_correlation(correlation, &config)))
        .collect();
    let wanted: Vec<&Row<'_>> = all.iter().filter(|row| args.wants(row)).collect();
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json | Output::Ndjson => machine::rows(&mut out, output, &wanted)?,
        Output::Table => {
            print(&mut out, &wanted)?;
            let all = text::number(all.len() as u64);
            writeln!(out, "{} of {all}", text::count(wanted.len() as u64, "rule"))?;
        }
    }
    Ok(Exit::Done)
}

impl Args {
    fn wants(&self, row: &Row<'_>) -> bool {
        let is = |asked: &Option<String>, part: Option<&str>| {
            let same = |name: &String| part.is_some_and(|p| p.eq_ignore_ascii_case(name));
            asked.as_ref().is_none_or(same)
        };
        let says = |word: &String| {
            let word = word.to_lowercase();
            let path = row.path.display().to_string();
            [row.rule, row.rule_id, row.name.unwrap_or_default(), &*path]
                .iter()
                .any(|text| text.to_lowercase().contains(&word))
        };
        let below = |wanted: &String| {
            row.techniques.iter().any(|technique| {
                let rest = technique.strip_prefix(&*wanted.to_uppercase());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        self.min_level.is_none_or(|level| row.level >= level)
            && is(&self.category, row.category)
            && is(&self.service, row.service)
            && self.technique.as_ref().is_none_or(below)
            && self.text.as_ref().is_none_or(says)
    }
}

fn of_rule<'a>(rule: &'a Rule, config: &Config) -> Row<'a> {
    Row {
        rule_id: &rule.id,
        rule: &rule.title,
        name: rule.name.as_deref(),
        level: rule.level,
        alert_level: config.alert_levels.of(rule.level),
        status: rule.status.as_deref(),
        product: rule.log_source.product.as_deref(),
        category: rule.log_source.category.as_deref(),
        service: rule.log_source.service.as_deref(),
        correlation: None,
        techniques: &rule.techniques,
        path: &rule.path,
        line: rule.line,
    }
}

fn of_correlation<'a>(correlation: &'a Correlation, config: &Config) -> Row<'a> {
    Row {
        rule_id: &correlation.id,
        rule: &correlation.title,
        name: correlation.name.as_deref(),
        level: correlation.level,
        alert_level: config.alert_levels.of(correlation.level),
        status: None,
        product: None,
        category: None,
        service: None,
        correlation: Some(&correlation.asks),
        techniques: &correlation.techniques,
        path: &correlation.path,
        line: correlation.line,
    }
}

fn print(out: &mut impl Write, rows: &[&Row<'_>]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = text::table(&["level", "log source", "techniques", "rule"]);
    for row in rows {
        let parts = [row.product, row.category, row.service];
        table.add_row([
            text::paint(text::style(row.alert_level), row.level),
            match row.correlation {
                Some(_) => "correlation".to_owned(),
                None => joined(parts),
            },
            text::clean(&row.techniques.join(" ")).into_owned(),
            format!(
                "{}\n{}",
                text::clean(row.rule),
                text::clean(&format!("{}:{}", row.path.display(), row.line))
            ),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// `windows process_creation`; what is not said is left out.
pub fn log_source(source: &LogSource) -> String {
    let parts = [&source.product, &source.category, &source.service];
    joined(parts.map(|part| part.as_deref()))
}

fn joined(parts: [Option<&str>; 3]) -> String {
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "any".to_owned(),
        false => text::clean(&parts.join(" ")).into_owned(),
    }
}
