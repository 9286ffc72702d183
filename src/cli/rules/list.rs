//! `picket rules list`: what rules there are.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::recording::Rules;
use crate::alert::{AlertLevel, Level};
use crate::cli::sweep::to_json;
use crate::cli::{Exit, Failure, Output, text};
use crate::config::Config;
use crate::rule::Rule;
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

/// One rule, as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    rule_id: &'a str,
    rule: &'a str,
    level: &'static str,
    alert_level: AlertLevel,
    status: Option<&'a str>,
    product: Option<&'a str>,
    category: Option<&'a str>,
    service: Option<&'a str>,
    techniques: &'a [String],
    path: &'a Path,
    line: usize,
}

/// Runs the command.
pub fn run(args: &Args, mut config: Config, output: Output) -> Result<Exit, Failure> {
    let rules = Rules::load(&mut config, &args.rules)?;
    rules.warn();
    let wanted: Vec<&Rule> = rules
        .set
        .rules
        .iter()
        .filter(|rule| args.wants(rule))
        .collect();
    let row = |rule: &&'_ Rule| to_json(&machine(rule, &config));
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => {
            let rows = wanted.iter().map(row).collect::<Result<Vec<_>, _>>()?;
            writeln!(out, "[{}]", rows.join(",\n"))?;
        }
        Output::Ndjson => {
            for rule in &wanted {
                writeln!(out, "{}", row(rule)?)?;
            }
        }
        Output::Table => {
            print(&mut out, &wanted, &config)?;
            let all = text::number(rules.set.rules.len() as u64);
            writeln!(out, "{} of {all}", text::count(wanted.len() as u64, "rule"))?;
        }
    }
    Ok(Exit::Done)
}

impl Args {
    fn wants(&self, rule: &Rule) -> bool {
        let is = |asked: &Option<String>, part: &Option<Box<str>>| {
            let same = |name: &String| {
                part.as_deref()
                    .is_some_and(|p| p.eq_ignore_ascii_case(name))
            };
            asked.as_ref().is_none_or(same)
        };
        let says = |word: &String| {
            let word = word.to_lowercase();
            let path = rule.path.display().to_string();
            let name = rule.name.as_deref().unwrap_or_default();
            [&*rule.title, &*rule.id, name, &*path]
                .iter()
                .any(|text| text.to_lowercase().contains(&word))
        };
        let below = |wanted: &String| {
            rule.techniques.iter().any(|technique| {
                let rest = technique.strip_prefix(&*wanted.to_uppercase());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        self.min_level.is_none_or(|level| rule.level >= level)
            && is(&self.category, &rule.log_source.category)
            && is(&self.service, &rule.log_source.service)
            && self.technique.as_ref().is_none_or(below)
            && self.text.as_ref().is_none_or(says)
    }
}

fn machine<'a>(rule: &'a Rule, config: &Config) -> Row<'a> {
    Row {
        rule_id: &rule.id,
        rule: &rule.title,
        level: rule.level.as_str(),
        alert_level: config.alert_levels.of(rule.level),
        status: rule.status.as_deref(),
        product: rule.log_source.product.as_deref(),
        category: rule.log_source.category.as_deref(),
        service: rule.log_source.service.as_deref(),
        techniques: &rule.techniques,
        path: &rule.path,
        line: rule.line,
    }
}

fn print(out: &mut impl Write, rules: &[&Rule], config: &Config) -> Result<(), Failure> {
    if rules.is_empty() {
        return Ok(());
    }
    let mut table = text::table(&["level", "log source", "techniques", "rule"]);
    for rule in rules {
        let style = text::style(config.alert_levels.of(rule.level));
        table.add_row([
            text::paint(style, rule.level),
            log_source(&rule.log_source),
            text::clean(&rule.techniques.join(" ")).into_owned(),
            format!(
                "{}\n{}",
                text::clean(&rule.title),
                text::clean(&format!("{}:{}", rule.path.display(), rule.line))
            ),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// `windows process_creation`; what is not said is left out.
pub fn log_source(source: &LogSource) -> String {
    let parts = [&source.product, &source.category, &source.service];
    let parts: Vec<&str> = parts
        .into_iter()
        .filter_map(|part| part.as_deref())
        .collect();
    match parts.is_empty() {
        true => "any".to_owned(),
        false => text::clean(&parts.join(" ")).into_owned(),
    }
}
