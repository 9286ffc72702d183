//! What `picket provision` shows: a line for each step, and below it what would change.

use std::io::Write;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::machine::to_json;
use crate::cli::text::{self, clean, paint};
use crate::cli::{Exit, Failure, Output};
use crate::provision::{Action, Change, Outcome, Plan, Step};

/// The most changes of a step that are shown.
const MAX_CHANGES: usize = 12;
/// The most steps of a kind that are shown one by one where they are all alike.
const MAX_ALIKE: usize = 8;
/// The widest value that is shown.
const MAX_VALUE: usize = 60;

/// All steps, and what they come to.
pub(super) fn steps(plan: &Plan) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", paint(text::BOLD, clean(&plan.server)))?;
    let mut at = 0;
    while let Some(step) = plan.steps.get(at) {
        let like = |other: &&Step| {
            other.kind == step.kind
                && other.action == step.action
                && other.why == step.why
                && other.changes == step.changes
        };
        let alike = plan.steps[at..].iter().take_while(like).count();
        let shown = if alike > MAX_ALIKE {
            MAX_ALIKE - 1
        } else {
            alike
        };
        for step in &plan.steps[at..at + shown] {
            line(&mut out, step)?;
        }
        if alike > shown {
            let more = text::number((alike - shown) as u64);
            writeln!(out, "    and {more} more of the same")?;
        }
        // What is the same for all of them is said once.
        details(&mut out, step)?;
        at += alike;
    }
    writeln!(out, "{}", summary(plan))?;
    Ok(())
}

fn line(out: &mut impl Write, step: &Step) -> Result<(), Failure> {
    let (sign, style) = look(step.action);
    let what = format!("{sign} {:<9} {} ", word(step.action), step.kind.name());
    let title = step.title.as_deref().unwrap_or(&step.name);
    writeln!(out, "{}{}", paint(style, what), clean(title))?;
    Ok(())
}

fn details(out: &mut impl Write, step: &Step) -> Result<(), Failure> {
    if let Some(why) = &step.why {
        writeln!(out, "    {}", paint(text::DIM, clean(why)))?;
    }
    for change in step.changes.iter().take(MAX_CHANGES) {
        change_of(out, change)?;
    }
    let rest = step.changes.len().saturating_sub(MAX_CHANGES);
    if rest > 0 {
        let rest = text::count(rest as u64, "change");
        writeln!(out, "    and {rest} more; `-o json` shows all")?;
    }
    Ok(())
}

fn change_of(out: &mut impl Write, change: &Change) -> Result<(), Failure> {
    let path = clean(&change.path);
    for (sign, color, value) in [
        ("-", AnsiColor::Red, &change.before),
        ("+", AnsiColor::Green, &change.after),
    ] {
        if let Some(value) = value {
            let text = format!("{sign} {path}: {}", short(value));
            writeln!(out, "    {}", paint(color.on_default(), text))?;
        }
    }
    Ok(())
}

fn short(value: &Value) -> String {
    text::cut(&clean(&value.to_string()), MAX_VALUE)
}

fn look(action: Action) -> (char, Style) {
    match action {
        Action::Create | Action::Start => ('+', AnsiColor::Green.on_default()),
        Action::Update => ('~', AnsiColor::Yellow.on_default()),
        Action::Conflict => ('!', AnsiColor::Red.on_default().bold()),
        Action::Remove | Action::Stop => ('-', AnsiColor::Red.on_default()),
        Action::Unchanged | Action::Gone | Action::Skipped => (' ', text::DIM),
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Unchanged => "unchanged",
        Action::Conflict => "conflict",
        Action::Skipped => "skipped",
        Action::Remove => "remove",
        Action::Gone => "gone",
        Action::Start => "start",
        Action::Stop => "stop",
    }
}

fn summary(plan: &Plan) -> String {
    let all = [
        Action::Create,
        Action::Update,
        Action::Remove,
        Action::Conflict,
        Action::Unchanged,
        Action::Gone,
        Action::Skipped,
    ];
    let counts = all.into_iter().filter(|action| plan.count(*action) > 0);
    let counts = counts.map(|action| format!("{} {}", plan.count(action), word(action)));
    match counts.collect::<Vec<_>>() {
        counts if counts.is_empty() => "nothing to do".into(),
        counts => counts.join(", "),
    }
}

/// What became of each step that was to be done.
pub(super) fn outcomes(plan: &Plan, output: Output) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    if output != Output::Table {
        writeln!(out, "{}", to_json(plan)?)?;
        return Ok(());
    }
    let mut done = 0;
    for step in &plan.steps {
        let why = match &step.outcome {
            Some(Outcome::Done) => {
                done += 1;
                continue;
            }
            Some(Outcome::Failed(why)) => format!("failed: {why}"),
            Some(Outcome::Left(why)) => format!("left as it is: {why}"),
            None => continue,
        };
        let name = clean(&step.name);
        writeln!(out, "{} {name}: {}", step.kind.name(), clean(&why))?;
    }
    let nothing = !plan.steps.iter().any(Step::acts);
    match nothing {
        true => writeln!(out, "nothing was to be done")?,
        false => writeln!(out, "{} done", text::count(done, "step"))?,
    }
    Ok(())
}

/// Asks whether a conflict shall be overridden.
pub(super) fn asked(step: &Step, removes: bool) -> Result<bool, Failure> {
    let verb = if removes { "remove" } else { "overwrite" };
    let why = step.why.as_deref().unwrap_or_default();
    let (kind, name) = (step.kind.name(), clean(&step.name));
    anstream::eprint!("{kind} {name}: {}; {verb} it? [y/N] ", clean(why));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Which files were written.
pub(super) fn files(files: &[PathBuf], output: Output) -> Result<Exit, Failure> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => {
            for file in files {
                writeln!(out, "{}", clean(&file.display().to_string()))?;
            }
        }
        _ => writeln!(out, "{}", to_json(&files)?)?,
    }
    Ok(Exit::Done)
}
