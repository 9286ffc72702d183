//! Draws how near the groups of a correlation come. Everything from rule and document is cleaned.

use std::io::{self, Write};

use super::{Seen, Spoken, common, name};
use crate::cli::explain::view::{mark, title};
use crate::cli::text::{self, BOLD, DIM, clean, paint};
use crate::detect::correlate::Group;
use crate::rule::correlation::Correlation;

/// So many documents of a group are shown, the first ones and the last.
const MAX_SHOWN: usize = 8;

/// The correlation.
pub(super) fn head(out: &mut impl Write, correlation: &Correlation) -> io::Result<()> {
    title(out, &correlation.into())?;
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
pub(super) fn group(
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

/// What became of all its rules, and how much was looked at.
pub(super) fn foot(
    out: &mut impl Write,
    seen: &Seen,
    groups: &[Group],
    shown: usize,
    document: &str,
) -> io::Result<()> {
    if groups.is_empty() {
        let line = format!("{} it does not hold: no document counts", mark(false));
        writeln!(out, "\n{line}")?;
    }
    writeln!(out)?;
    for rule in &seen.rules {
        writeln!(out, "{}", spoken(rule, document))?;
    }
    let holds = groups.iter().filter(|group| group.holds).count();
    let mut line = format!(
        "{} read, {}; it holds in {}",
        text::count(seen.documents, "document"),
        text::count(groups.len() as u64, "group"),
        text::number(holds as u64),
    );
    if shown < groups.len() {
        line += &match (holds, shown) {
            (0, 1) => "; shown is the nearest".to_owned(),
            (_, 1) => "; shown is one".to_owned(),
            (_, n) => format!("; shown are {n}"),
        };
    }
    if seen.ledger.dropped > 0 {
        let dropped = text::count(seen.ledger.dropped as u64, "hit");
        line += &format!("; {dropped} more were left out");
    }
    writeln!(out, "{}", paint(DIM, line))
}
