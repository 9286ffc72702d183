//! `picket explain` of a correlation: how near the documents of each group come to what it asks, and
//! which of its rules' documents are in no group. Finds and draws; cleans what documents say.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::view::mark;
use super::{Args, documents};
use crate::cli::text::{self, BOLD, DIM, clean, paint};
use crate::cli::{Failure, Output, machine};
use crate::config::Config;
use crate::detect::correlate::{Correlator, Group, Hit};
use crate::detect::sigma::SigmaDetector;
use crate::document::Document;
use crate::rule::RuleSet;
use crate::rule::correlation::{Correlation, Named};
use crate::taxonomy::{Event, Fields, Reader, Slots};

/// The most hits that are kept; of more the first are spoken of.
const MAX_HITS: usize = 500_000;
/// So many documents of a group are shown, the first ones and the last.
const MAX_SHOWN: usize = 8;

/// A correlation among the rules that it is about.
pub(super) struct Meant {
    pub(super) set: RuleSet,
    pub(super) fields: Fields,
    pub(super) number: usize,
}

/// What a machine reads.
#[derive(Serialize)]
struct Line<'a> {
    rule_id: &'a str,
    rule: &'a str,
    path: &'a Path,
    line: usize,
    holds: bool,
    asks: &'a str,
    documents: u64,
    groups: usize,
    rules: Vec<Spoken>,
    nearest: Vec<Near<'a>>,
}

/// One of its rules.
#[derive(Default, Serialize)]
struct Spoken {
    rule: String,
    /// For how many documents it holds; `None` of a correlation.
    held: Option<u64>,
    /// How many of them lack what.
    without: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Near<'a> {
    holds: bool,
    measured: &'a str,
    common: BTreeMap<&'a str, &'a str>,
    documents: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    time: i64,
    rule: &'a str,
    index: &'a str,
    id: &'a str,
}

/// Explains it on all documents that are named.
pub(super) fn explain(
    meant: Meant,
    args: &Args,
    config: &Config,
    output: Output,
) -> Result<(), Failure> {
    let Meant {
        set,
        fields,
        number,
    } = meant;
    let set = Arc::new(set);
    let mut detector = SigmaDetector::new(Arc::clone(&set), &fields, config.alert_levels);
    let correlator = detector.correlator();
    let Some(correlation) = correlator.get(number) else {
        return Ok(());
    };
    let mut seen = Seen::new(correlation);
    let (reader, mut slots) = (Reader::new(&fields), Slots::default());
    let mut problems = Vec::new();
    documents::each(
        &args.document,
        config,
        &mut |document: &Document| match reader.read(&document.source, &mut slots) {
            Ok(()) => {
                let event = Event::new(document, &slots);
                seen.event(&event, &mut detector, &correlator, number);
            }
            Err(error) => problems.push(format!("{}: {error}", document.id.id)),
        },
    )?;
    super::warn(&problems);
    let groups = correlator.explain(number, seen.hits);
    let shown = groups.get(..args.limit.max(1)).unwrap_or(&groups);
    let mut out = anstream::stdout().lock();
    if output != Output::Table {
        let line = Line {
            rule_id: &correlation.id,
            rule: &correlation.title,
            path: &correlation.path,
            line: correlation.line,
            holds: groups.iter().any(|group| group.holds),
            asks: &correlation.asks,
            documents: seen.documents,
            groups: groups.len(),
            rules: seen.rules,
            nearest: shown.iter().map(|group| near(correlation, group)).collect(),
        };
        machine::rows(&mut out, output, &[line])?;
        return Ok(());
    }
    head(&mut out, correlation)?;
    for group in shown {
        draw(&mut out, correlation, group, args.all)?;
    }
    if groups.is_empty() {
        let line = format!("{} it does not hold: no document counts", mark(false));
        writeln!(out, "\n{line}")?;
    }
    writeln!(out)?;
    for rule in &seen.rules {
        writeln!(out, "{}", spoken(rule, &args.document))?;
    }
    let holds = groups.iter().filter(|group| group.holds).count();
    let mut line = format!(
        "{} read, {}; it holds in {}",
        text::count(seen.documents, "document"),
        text::count(groups.len() as u64, "group"),
        text::number(holds as u64),
    );
    if shown.len() < groups.len() {
        line += &match (holds, shown.len()) {
            (0, 1) => "; shown is the nearest".to_owned(),
            (_, 1) => "; shown is one".to_owned(),
            (_, n) => format!("; shown are {n}"),
        };
    }
    if seen.dropped > 0 {
        line += &format!("; {} more were left out", text::count(seen.dropped, "hit"));
    }
    writeln!(out, "{}", paint(DIM, line))?;
    Ok(())
}

/// What was seen of the documents.
struct Seen {
    documents: u64,
    hits: Vec<(usize, Hit)>,
    dropped: u64,
    rules: Vec<Spoken>,
}

impl Seen {
    fn new(correlation: &Correlation) -> Self {
        let rules = correlation.members.iter().map(|member| Spoken {
            rule: member.name.to_string(),
            held: matches!(member.rule, Named::Rule(_)).then_some(0),
            ..Spoken::default()
        });
        Self {
            documents: 0,
            hits: Vec::new(),
            dropped: 0,
            rules: rules.collect(),
        }
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        detector: &mut SigmaDetector,
        correlator: &Correlator,
        number: usize,
    ) {
        self.documents += 1;
        for rule in detector.hits(event) {
            let members = correlator
                .get(number)
                .into_iter()
                .flat_map(|of| &of.members);
            for (member, named) in members.enumerate() {
                if named.rule == Named::Rule(*rule as usize)
                    && let Some(spoken) = self.rules.get_mut(member)
                {
                    *spoken.held.get_or_insert_default() += 1;
                    for name in correlator.lacks(number, member, event) {
                        *spoken.without.entry(name.to_owned()).or_default() += 1;
                    }
                }
            }
            for hit in correlator.hits(*rule, event) {
                if self.hits.len() < MAX_HITS {
                    self.hits.push(hit);
                } else {
                    self.dropped += 1;
                }
            }
        }
    }
}

fn near<'a>(correlation: &'a Correlation, group: &'a Group) -> Near<'a> {
    let documents = group.hits.iter().map(|hit| Said {
        time: hit.time,
        rule: name(correlation, hit.part.member),
        index: &hit.document.index,
        id: &hit.document.id,
    });
    Near {
        holds: group.holds,
        measured: &group.measured,
        common: common(correlation, group).collect(),
        documents: documents.collect(),
    }
}

fn name(correlation: &Correlation, member: usize) -> &str {
    let member = correlation.members.get(member);
    member.map_or("", |member| &*member.name)
}

fn common<'a>(
    correlation: &'a Correlation,
    group: &'a Group,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let names = correlation.group_by.iter().map(|name| &**name);
    names.zip(group.common.iter().map(String::as_str))
}

/// The correlation.
fn head(out: &mut impl Write, correlation: &Correlation) -> io::Result<()> {
    let place = format!("{}:{}", correlation.path.display(), correlation.line);
    let title = paint(BOLD, clean(&correlation.title));
    let level = paint(DIM, correlation.level);
    writeln!(out, "{title} {level} {}", paint(DIM, clean(&place)))?;
    let names: Vec<&str> = correlation
        .members
        .iter()
        .map(|member| &*member.name)
        .collect();
    let mut line = format!("{} of {}", correlation.kind.name(), names.join(", "));
    if !correlation.field.is_empty() {
        line += &format!(", field {}", correlation.field);
    }
    line += &format!(": {} within {}", correlation.asks, span(correlation.span));
    if !correlation.group_by.is_empty() {
        line += &format!(", by {}", correlation.group_by.join(", "));
    }
    writeln!(out, "{}", clean(&line))?;
    if correlation.silent {
        let line = "raises nothing by itself: what names it does not say `generate: true`";
        writeln!(out, "{}", paint(DIM, line))?;
    }
    Ok(())
}

/// A span of time as rules write it.
fn span(millis: i64) -> String {
    let units = [
        (86_400_000, 'd'),
        (3_600_000, 'h'),
        (60_000, 'm'),
        (1_000, 's'),
    ];
    let whole = units.into_iter().find(|(unit, _)| millis % unit == 0);
    whole.map_or_else(
        || text::duration(millis),
        |(unit, name)| format!("{}{name}", millis / unit),
    )
}

/// One group: what it comes to, what it has in common, and its documents.
fn draw(
    out: &mut impl Write,
    correlation: &Correlation,
    group: &Group,
    all: bool,
) -> io::Result<()> {
    let times = (group.hits.first(), group.hits.last());
    let (from, to) = (
        times.0.map_or(0, |hit| hit.time),
        times.1.map_or(0, |hit| hit.time),
    );
    let verdict = match group.holds {
        true => "it holds",
        false => "it does not hold; nearest",
    };
    let line = format!(
        "{verdict}: {} ({}) between {} and {}",
        group.measured,
        clean(&correlation.asks),
        text::moment(from),
        text::moment(to)
    );
    writeln!(out, "\n{} {}", mark(group.holds), paint(BOLD, line))?;
    for (name, value) in common(correlation, group) {
        writeln!(out, "  {}: {}", clean(name), clean(value))?;
    }
    // One takes no more room than that there is one.
    let hidden = match group.hits.len().saturating_sub(MAX_SHOWN) {
        hidden if hidden > 1 && !all => hidden,
        _ => 0,
    };
    for (at, hit) in group.hits.iter().enumerate() {
        let hidden_from = MAX_SHOWN - 1;
        if hidden > 0 && (hidden_from..hidden_from + hidden).contains(&at) {
            if at == hidden_from {
                let line = format!("  … {hidden} more; --all shows them");
                writeln!(out, "{}", paint(DIM, line))?;
            }
            continue;
        }
        let mut line = format!("  {}", text::moment(hit.time));
        line += &format!(" {}", name(correlation, hit.part.member));
        line += &format!("  {} {}", hit.document.index, hit.document.id);
        if let Some(value) = &hit.part.value {
            line += &format!("  {}: {value}", correlation.field);
        }
        writeln!(out, "{}", clean(&line))?;
    }
    Ok(())
}

/// What became of one of its rules.
fn spoken(rule: &Spoken, document: &str) -> String {
    let name = clean(&rule.rule);
    let asked = format!("`picket explain '{name}' {}`", clean(document));
    match rule.held {
        None => format!("  {name} is a correlation: {asked} tells of it"),
        Some(0) => format!(
            "{} {name} holds for no document: {asked} says why",
            mark(false)
        ),
        Some(held) => {
            let mut line = format!(
                "{} {name} holds for {}",
                mark(true),
                text::count(held, "document")
            );
            for (lacked, number) in &rule.without {
                let number = text::number(*number);
                line += &format!("; {number} without {}: in no group", clean(lacked));
            }
            line
        }
    }
}
