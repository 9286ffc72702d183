//! What was found, as a person would want to see it: hosts, a time line, and each rule once a
//! host with its first evidence. Grows with the number of different findings, not of documents.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::finding::{evidence_line, headline};
use super::text;
use crate::alert::AlertLevel;
use crate::finding::{Finding, Verdict};

/// How many columns a host's time line has.
const COLUMNS: usize = 30;

/// Findings, grouped.
#[derive(Default)]
pub struct Story {
    hosts: BTreeMap<String, Host>,
}

#[derive(Default)]
struct Host {
    rules: BTreeMap<String, Group>,
    moments: Vec<(i64, AlertLevel)>,
    levels: [u64; 3],
}

struct Group {
    first: Finding,
    time: Option<i64>,
    user: Option<String>,
    count: u64,
}

impl Story {
    /// Takes in one more verdict.
    pub fn add(&mut self, verdict: &Verdict) {
        let name = verdict.host.clone().unwrap_or_else(|| "no host".into());
        let host = self.hosts.entry(name.to_lowercase()).or_default();
        if verdict.findings.is_empty() {
            return;
        }
        let level = verdict.level();
        host.levels[level as usize] += 1;
        host.moments.extend(verdict.time.map(|time| (time, level)));
        for finding in &verdict.findings {
            let group = host
                .rules
                .entry(finding.rule_id.to_string())
                .or_insert_with(|| Group {
                    first: finding.clone(),
                    time: verdict.time,
                    user: verdict.user.clone(),
                    count: 0,
                });
            group.count += 1;
            let stronger = finding.score > group.first.score;
            if stronger || finding.score.is_none() && verdict.time < group.time {
                group.first = finding.clone();
                group.time = verdict.time;
                group.user.clone_from(&verdict.user);
            }
        }
    }

    /// The hosts, gravest first.
    fn by_gravity(&self) -> Vec<(&str, &Host)> {
        let mut hosts: Vec<(&str, &Host)> = self
            .hosts
            .iter()
            .map(|(name, host)| (&**name, host))
            .collect();
        hosts.sort_by_key(|(_, host)| std::cmp::Reverse((host.levels[2], host.levels[1])));
        hosts
    }

    /// Prints it. Findings that ask for no `AlertLevel`, and hosts with no others, are only
    /// counted, unless `all`.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub fn print(&self, out: &mut impl Write, all: bool) -> std::io::Result<()> {
        if self.hosts.is_empty() {
            return writeln!(out, "Nothing was found.");
        }
        let mut hosts = self.by_gravity();
        hosts.retain(|(_, host)| all || host.levels[1] + host.levels[2] > 0);
        if !hosts.is_empty() {
            overview(out, &hosts)?;
        }
        for (name, host) in &hosts {
            writeln!(out, "\n{}", text::paint(text::BOLD, text::clean(name)))?;
            for group in host.groups(all) {
                describe(out, group)?;
            }
        }
        let rules = self
            .hosts
            .values()
            .map(|host| host.rules.len())
            .sum::<usize>();
        let shown = hosts
            .iter()
            .map(|(_, host)| host.groups(all).len())
            .sum::<usize>();
        if rules > shown {
            let quiet = text::count((rules - shown) as u64, "finding");
            let hosts = text::count(self.hosts.len() as u64, "host");
            let line = format!(
                "\n{quiet} for context only (low or informational) on {hosts} are not shown."
            );
            writeln!(out, "{}", text::paint(text::DIM, line))?;
        }
        Ok(())
    }
}

impl Host {
    /// What was found, in the order of time.
    fn groups(&self, all: bool) -> Vec<&Group> {
        let grave = |group: &&Group| all || group.first.alert_level > AlertLevel::None;
        let mut groups: Vec<&Group> = self.rules.values().filter(grave).collect();
        groups.sort_by_key(|group| (group.time, group.first.rule_id.clone()));
        groups
    }
}

/// A line a host, and the techniques of all that was found.
fn overview(out: &mut impl Write, hosts: &[(&str, &Host)]) -> std::io::Result<()> {
    let names = hosts
        .iter()
        .map(|(name, _)| text::clean(name).chars().count());
    let wide = names.max().unwrap_or(0).clamp(4, 40);
    let header = format!(
        "{:wide$}  LEVEL 2  LEVEL 1  {:COLUMNS$}  WHEN (UTC)",
        "HOST", "FROM FIRST TO LAST FINDING"
    );
    writeln!(out, "{}", text::paint(text::DIM, header))?;
    for (name, host) in hosts {
        let [_, suspicious, alerts] = host.levels;
        let name = text::cut(&text::clean(name), wide);
        let level = |level, count: u64| {
            let style = if count > 0 {
                text::style(level)
            } else {
                text::DIM
            };
            text::paint(style, format!("{count:>7}"))
        };
        writeln!(
            out,
            "{name:wide$}  {}  {}  {}  {}",
            level(AlertLevel::Alert, alerts),
            level(AlertLevel::Suspicious, suspicious),
            line(&host.moments),
            span(&host.moments)
        )?;
    }
    let groups = hosts.iter().flat_map(|(_, host)| host.rules.values());
    let techniques: BTreeSet<&str> = groups
        .flat_map(|group| group.first.techniques.iter().map(String::as_str))
        .collect();
    let mut line = String::from("ATT&CK:");
    for technique in techniques {
        if line.len() + technique.len() >= text::width() {
            writeln!(out, "{}", text::paint(text::DIM, &line))?;
            line = " ".repeat(7);
        }
        line += &format!(" {}", text::clean(technique));
    }
    writeln!(out, "{}", text::paint(text::DIM, &line))
}

fn describe(out: &mut impl Write, group: &Group) -> std::io::Result<()> {
    let time = group.time.map_or_else(|| " ".repeat(19), text::moment);
    let times = if group.count > 1 {
        text::paint(text::DIM, format!(" ×{}", group.count))
    } else {
        String::new()
    };
    let user = group.user.as_deref().map_or_else(String::new, |user| {
        text::paint(
            text::DIM,
            format!("  {}", text::cut(&text::clean(user), 30)),
        )
    });
    let level = group.first.alert_level;
    writeln!(
        out,
        "  {time}  {}  {}{times}{user}",
        text::paint(text::style(level), level),
        headline(&group.first)
    )?;
    for evidence in group.first.evidence.iter().take(2) {
        writeln!(
            out,
            "{:26}{}",
            "",
            evidence_line(evidence, text::width().saturating_sub(26))
        )?;
    }
    Ok(())
}

/// From the first finding to the last, in [`COLUMNS`] steps: how many there are in each, and in
/// which colour the gravest.
fn line(moments: &[(i64, AlertLevel)]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (first, last) = ends(moments).unwrap_or_default();
    let step = last.saturating_sub(first) / COLUMNS as i64 + 1;
    let mut columns = [(0_usize, AlertLevel::None); COLUMNS];
    for (time, level) in moments {
        let column = usize::try_from((time - first) / step)
            .unwrap_or(0)
            .min(COLUMNS - 1);
        columns[column].0 += 1;
        columns[column].1 = columns[column].1.max(*level);
    }
    let bar = |(count, level): (usize, AlertLevel)| match count {
        0 => text::paint(text::DIM, '·'),
        _ => text::paint(
            text::style(level),
            BARS[(count.ilog2() as usize).min(BARS.len() - 1)],
        ),
    };
    columns.into_iter().map(bar).collect()
}

fn ends(moments: &[(i64, AlertLevel)]) -> Option<(i64, i64)> {
    let times = || moments.iter().map(|(time, _)| *time);
    Some((times().min()?, times().max()?))
}

/// `2020-09-14 12:06:01 to 12:06:02`.
fn span(moments: &[(i64, AlertLevel)]) -> String {
    let Some((first, last)) = ends(moments) else {
        return "no time".into();
    };
    let (first, last) = (text::moment(first), text::moment(last));
    match last.strip_prefix(first.get(..10).unwrap_or_default()) {
        _ if first == last => first,
        Some(time) => format!("{first} to{time}"),
        None => format!("{first} to {last}"),
    }
}
