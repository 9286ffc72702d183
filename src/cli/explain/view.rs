//! Draws an explanation: the condition as a tree with a mark at each node, and beside each field
//! what the document says in it. Everything from rule and document is cleaned.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::documents::Place;
use crate::cli::head::Head;
use crate::cli::text::{self, BOLD, DIM, clean, paint};
use crate::detect::sigma::explain::{Explanation, Node, What};
use crate::finding::Evidence;
use crate::rule::Rule;
use crate::taxonomy::LogSource;

/// Of values that do not hold, so many are shown.
const MAX_SILENT: usize = 5;

/// So many characters of a value.
const MAX_SHOWN: usize = 120;

const RED: Style = AnsiColor::Red.on_default();

/// What is explained, and where it stands.
pub(super) fn title(out: &mut impl Write, head: &Head<'_>) -> io::Result<()> {
    let place = format!("{}:{}", clean(&head.path.display().to_string()), head.line);
    let title = paint(BOLD, clean(head.rule));
    writeln!(
        out,
        "{title} {} {}",
        paint(DIM, head.level),
        paint(DIM, place)
    )
}

/// The rule.
pub(super) fn head(out: &mut impl Write, rule: &Rule, conditions: &[String]) -> io::Result<()> {
    title(out, &rule.into())?;
    for condition in conditions {
        writeln!(out, "condition: {}", clean(condition))?;
    }
    Ok(())
}

/// One document.
pub(super) fn document(
    out: &mut impl Write,
    rule: &Rule,
    place: &Place,
    explanation: &Explanation,
    all: bool,
) -> io::Result<()> {
    let mut said = format!("{} {}", place.index, place.id);
    if let Some(host) = &place.host {
        said += &format!(" {host}");
    }
    if let Some(time) = place.time {
        said += &format!(" {}", text::moment(time));
    }
    writeln!(out, "\n{}", clean(&said))?;
    let verdict = match explanation.fires {
        true => "the rule fires".to_owned(),
        false => format!("the rule does not fire: {}", why(explanation)),
    };
    writeln!(out, "{} {}", mark(explanation.fires), paint(BOLD, verdict))?;
    let source = log_source(&rule.log_source);
    let line = match (explanation.log_source_fits, explanation.never) {
        (_, Some(never)) => format!("log source {source}: {never}"),
        (true, None) => format!("log source {source}"),
        (false, None) => format!(
            "log source {source}; the document is {}",
            recognised(explanation)
        ),
    };
    writeln!(out, "{} {line}", mark(explanation.log_source_fits))?;
    let mut drawn = Vec::new();
    draw(out, &explanation.condition, 0, all, &mut drawn)
}

/// Whether something holds.
pub(super) fn mark(holds: bool) -> String {
    match holds {
        true => paint(text::GREEN, "✓"),
        false => paint(RED, "✗"),
    }
}

fn log_source(source: &LogSource) -> String {
    let parts = [&source.product, &source.category, &source.service];
    let parts: Vec<&str> = parts.into_iter().flatten().map(|part| &**part).collect();
    match parts.as_slice() {
        [] => "any".to_owned(),
        parts => clean(&parts.join(" ")).into_owned(),
    }
}

fn recognised(explanation: &Explanation) -> String {
    let recognised = &explanation.recognised;
    match (recognised.origin, &recognised.channel, &recognised.event_id) {
        ("command_history", ..) => "cmd.exe history (windows process_creation)".to_owned(),
        ("unknown", ..) => "in no known shape".to_owned(),
        (_, Some(channel), Some(id)) => format!("event {} of {}", clean(id), clean(channel)),
        (_, None, Some(id)) => format!("event {} of no named channel", clean(id)),
        _ => "a Windows event without an event id".to_owned(),
    }
}

/// The first reasons why a rule does not fire.
fn why(explanation: &Explanation) -> String {
    if !explanation.log_source_fits {
        return "the document is not of its log source".to_owned();
    }
    let mut reasons = Vec::new();
    reasons_against(&explanation.condition, &mut reasons);
    reasons.truncate(3);
    reasons.join(", and ")
}

/// Why a node that should hold does not.
fn reasons_against(node: &Node, reasons: &mut Vec<String>) {
    match node.what {
        What::All => {
            for part in node.parts.iter().filter(|part| !part.holds) {
                reasons_against(part, reasons);
            }
        }
        What::Not => {
            let mut names = Vec::new();
            names_that_hold(&node.parts, &mut names);
            let verb = if names.len() == 1 { "holds" } else { "hold" };
            reasons.push(format!("{} {verb}", short_list(&names, " and ")));
        }
        What::Any => {
            let names: Vec<String> = node.parts.iter().map(name).collect();
            reasons.push(format!("none of {} holds", short_list(&names, ", ")));
        }
        _ => {
            let silent = node.parts.iter().find(|part| !part.holds);
            let field = silent.filter(|part| part.field.is_some());
            reasons.push(match field {
                Some(field) => format!("{} does not hold ({})", name(node), clean(&field.text)),
                None => format!("{} does not hold", name(node)),
            });
        }
    }
}

fn names_that_hold(nodes: &[Node], names: &mut Vec<String>) {
    for node in nodes.iter().filter(|node| node.holds) {
        match node.what {
            What::All | What::Any => names_that_hold(&node.parts, names),
            _ => names.push(name(node)),
        }
    }
}

fn name(node: &Node) -> String {
    let names = || node.parts.iter().map(name).collect::<Vec<_>>();
    match node.what {
        What::All => format!("({})", short_list(&names(), " and ")),
        What::Any => format!("({})", short_list(&names(), " or ")),
        What::Not => format!("not {}", names().join("")),
        _ => clean(&node.text).into_owned(),
    }
}

fn short_list(names: &[String], between: &str) -> String {
    match names.split_at_checked(3) {
        Some((first, rest)) if rest.len() > 1 => {
            format!("{}{between}{} more", first.join(between), rest.len())
        }
        _ => names.join(between),
    }
}

fn is_field(node: &Node) -> bool {
    matches!(node.what, What::FieldAll | What::FieldAny | What::FieldNone)
}

/// Draws a node and what it consists of. A selection that was drawn before is only named.
fn draw<'n>(
    out: &mut impl Write,
    node: &'n Node,
    depth: usize,
    all: bool,
    drawn: &mut Vec<&'n str>,
) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    let mut parts = node.parts.as_slice();
    let mut label = match node.what {
        What::All => "all of".to_owned(),
        What::Any => "one of".to_owned(),
        What::Not => "not".to_owned(),
        What::Selection => paint(BOLD, clean(&node.text)),
        What::Value | What::Null => value(node),
        What::FieldAll | What::FieldAny | What::FieldNone => clean(&node.text).into_owned(),
    };
    if node.what == What::Selection {
        if drawn.contains(&&*node.text) {
            let line = paint(DIM, "(see above)");
            return writeln!(out, "{indent}{} {label} {line}", mark(node.holds));
        }
        drawn.push(&node.text);
        if let [only] = parts
            && only.what == What::Any
        {
            label += ": one of";
            parts = &only.parts;
        }
    }
    let mut said = String::new();
    if is_field(node) {
        if let [only] = parts {
            let not = if node.what == What::FieldNone {
                "not "
            } else {
                ""
            };
            label += &format!(": {not}{}", value(only));
            said = said_on_one_line(node, only);
            parts = &[];
        } else {
            let many = match node.what {
                What::FieldAll => "all",
                What::FieldNone => "none",
                _ => "one",
            };
            label += &format!(": {many} of {}", parts.len());
            if node.field.is_some() {
                said = said_by(node);
            }
        }
    } else if let Some(evidence) = &node.evidence {
        said = stands(evidence, depth > 0);
    }
    writeln!(out, "{indent}{} {label}{said}", mark(node.holds))?;
    let (mut silent, mut hidden) = (0, 0);
    for part in parts {
        silent += usize::from(is_field(node) && !part.holds);
        if is_field(node) && !part.holds && silent > MAX_SILENT && !all {
            hidden += 1;
            continue;
        }
        draw(out, part, depth + 1, all, drawn)?;
    }
    if hidden > 0 {
        let line = format!("{indent}  … {hidden} more that do not hold; --all shows them");
        writeln!(out, "{}", paint(DIM, line))?;
    }
    Ok(())
}

/// A value as the rule has it.
fn value(node: &Node) -> String {
    match node.what {
        What::Null => "null".to_owned(),
        _ => format!("'{}'", text::cut(&clean(&node.text), MAX_SHOWN)),
    }
}

/// What stands in the field of a single value, with the place that holds in bold.
fn said_on_one_line(node: &Node, only: &Node) -> String {
    let evidence = only.evidence.as_ref();
    let evidence = evidence.filter(|evidence| !evidence.value.is_empty());
    match (evidence, &only.field) {
        (Some(evidence), None) => {
            let mut line = paint(DIM, "  ← ");
            if node.field.is_none() && !evidence.field.is_empty() {
                line += &format!("{}: ", clean(&evidence.field));
            }
            line += &text::marked(&evidence.value, evidence.span, MAX_SHOWN);
            line + &place(evidence) + &decoded(evidence)
        }
        // The other field of a `fieldref`.
        (_, Some(other)) => {
            let other = format!("{}: {}", clean(other), values(only.said.as_deref()));
            said_by(node) + &paint(DIM, format!("; {other}"))
        }
        (None, None) if node.field.is_some() => said_by(node),
        (None, None) => String::new(),
    }
}

fn said_by(node: &Node) -> String {
    paint(DIM, format!("  ← {}", values(node.said.as_deref())))
}

/// Where one of several values stands in what its field says. A keyword stands anywhere.
fn stands(evidence: &Evidence, is_inner: bool) -> String {
    let found = evidence.span.and_then(|(start, length)| {
        let found = evidence.value.get(start..start + length)?;
        Some(text::cut(&clean(found), MAX_SHOWN))
    });
    match found {
        Some(found) if is_inner => {
            let line = paint(DIM, "  ← ") + &format!("'{}'", paint(BOLD, found));
            line + &place(evidence) + &decoded(evidence)
        }
        _ => String::new(),
    }
}

fn place(evidence: &Evidence) -> String {
    let place = evidence.span.map(|(start, _)| {
        let at = evidence.cut_before + start;
        paint(DIM, format!(" (at {at})"))
    });
    place.unwrap_or_default()
}

fn decoded(evidence: &Evidence) -> String {
    let decoded = evidence.decoded.as_ref().map(|decoded| {
        let text = text::marked(&decoded.text, decoded.span, MAX_SHOWN);
        format!("{}'{text}'", paint(DIM, " = "))
    });
    decoded.unwrap_or_default()
}

fn values(said: Option<&[Option<String>]>) -> String {
    match said {
        None => "absent".to_owned(),
        Some(values) => {
            let shown = values.iter().take(3).map(|value| match value {
                None => "null".to_owned(),
                Some(value) => text::cut(&clean(value), MAX_SHOWN),
            });
            let mut line = shown.collect::<Vec<_>>().join(" | ");
            if values.len() > 3 {
                line += " | …";
            }
            match line.is_empty() {
                true => "empty".to_owned(),
                false => line,
            }
        }
    }
}
