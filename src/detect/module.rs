//! [`ModuleDetector`] puts events, or the window of a host or user, to a scoring module and makes
//! findings of its hits. It gives a module only the fields that it declared, and never more than
//! AlertLevel 1. What a module fails on is a [`Problem`] that names it, never silence.

use std::sync::Arc;

use smol_str::SmolStr;

use super::{Detector, Inspection, WindowNeed};
use crate::alert::{AlertLevel, Level};
use crate::document;
use crate::finding::{Evidence, Finding};
use crate::module::abi::{self, Row, Scope, Source};
use crate::module::{Failure, Module, Modules};
use crate::problem::Problem;
use crate::taxonomy::log_source::Origin;
use crate::taxonomy::{Event, FieldId, Fields, LogSource};

/// Rows of one call.
const MAX_ROWS: usize = 128;
/// Rows of one window; the newest are kept.
const MAX_WINDOW_ROWS: usize = 2048;
/// Text of one call, in bytes.
const MAX_BYTES: usize = 2 << 20;
/// A field's value as a module sees it, in bytes: a command line of Windows is shorter.
const MAX_VALUE: usize = 128 << 10;

/// The pseudo-field that is the whole event.
const JSON: &str = "@json";

/// One detector for each module, with the fields that they ask for.
pub fn detectors(modules: &Modules, fields: &mut Fields) -> Vec<Box<dyn Detector>> {
    modules
        .iter()
        .map(|module| {
            Box::new(ModuleDetector::new(Arc::clone(module), fields)) as Box<dyn Detector>
        })
        .collect()
}

/// Judges with one module.
#[derive(Clone, Debug)]
pub struct ModuleDetector {
    module: Arc<Module>,
    plan: Arc<Plan>,
}

/// A module's description, made ready for events.
#[derive(Debug)]
struct Plan {
    columns: Vec<Column>,
    selectors: Vec<Selector>,
    detector: Arc<str>,
    rule_id: Arc<str>,
    rule: Arc<str>,
    techniques: Arc<[String]>,
}

#[derive(Clone, Copy, Debug)]
enum Column {
    Field(FieldId),
    Json,
}

#[derive(Debug)]
struct Selector {
    source: Source,
    log_source: Option<LogSource>,
    event_ids: Vec<u32>,
    conditions: Vec<(FieldId, Vec<String>)>,
}

impl Selector {
    fn new(said: &abi::Selector, fields: &mut Fields) -> Self {
        Self {
            source: said.source,
            log_source: said.category.as_deref().map(|category| LogSource {
                product: Some("windows".into()),
                category: Some(category.into()),
                service: None,
            }),
            event_ids: said.event_ids.clone(),
            conditions: said
                .conditions
                .iter()
                .map(|said| (fields.intern(&said.field), said.ends_with.clone()))
                .collect(),
        }
    }

    fn fits(&self, event: &Event<'_>) -> bool {
        let route = event.route();
        let source = match self.source {
            Source::Any => true,
            Source::CommandHistory => route.origin == Origin::CommandHistory,
            Source::Windows => route.origin == Origin::Windows,
        };
        source
            && (self.event_ids.is_empty() || self.event_ids.contains(&route.event_id))
            && self.log_source.as_ref().is_none_or(|kind| route.fits(kind))
            && self.conditions.iter().all(|(field, ends)| {
                event
                    .values(*field)
                    .any(|value| ends.iter().any(|end| ends_with(value.text, end)))
            })
    }
}

fn ends_with(value: &str, end: &str) -> bool {
    value
        .len()
        .checked_sub(end.len())
        .and_then(|start| value.as_bytes().get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
}

impl ModuleDetector {
    /// A detector for that module.
    pub fn new(module: Arc<Module>, fields: &mut Fields) -> Self {
        let said = module.description();
        let plan = Plan {
            columns: said
                .fields
                .iter()
                .map(|name| match name.as_str() {
                    JSON => Column::Json,
                    name => Column::Field(fields.intern(name)),
                })
                .collect(),
            selectors: said
                .selectors
                .iter()
                .map(|selector| Selector::new(selector, fields))
                .collect(),
            detector: "module".into(),
            rule_id: said.name.as_str().into(),
            rule: format!("{} ({} {})", said.title, said.name, said.version).into(),
            techniques: said.techniques.clone().into(),
        };
        Self {
            plan: Arc::new(plan),
            module,
        }
    }

    fn selects(&self, event: &Event<'_>) -> bool {
        let selectors = &self.plan.selectors;
        selectors.is_empty() || selectors.iter().any(|selector| selector.fits(event))
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.module.path(), message)
    }

    /// Puts rows to the module, and where it fails halves of them, until it is known on which of
    /// them it fails: an event that a module cannot bear must not hide its neighbours.
    fn ask(&self, rows: &[Row<'_>], events: &[(usize, &Event<'_>)], out: &mut Inspection) {
        match self.module.score("", rows) {
            Ok(hits) => self.keep(&hits, rows, events, out),
            Err(Failure::Quarantined(_)) => {}
            Err(_) if rows.len() > 1 => {
                let middle = rows.len() / 2;
                let (left, right) = rows.split_at(middle);
                let (left_events, right_events) = events.split_at(middle);
                self.ask(left, left_events, out);
                self.ask(right, right_events, out);
            }
            Err(failure) => {
                if let Some((_, event)) = events.first() {
                    let id = &event.document.id;
                    out.problems
                        .push(self.problem(format!("{failure}, on {}/{}", id.index, id.id)));
                }
            }
        }
    }

    fn keep(
        &self,
        hits: &[abi::Hit],
        rows: &[Row<'_>],
        events: &[(usize, &Event<'_>)],
        out: &mut Inspection,
    ) {
        for hit in hits {
            let index = hit.index as usize;
            if let (Some(row), Some((position, _))) = (rows.get(index), events.get(index)) {
                out.findings.push((*position, self.finding(hit, row)));
            }
        }
    }

    fn finding(&self, hit: &abi::Hit, row: &Row<'_>) -> Finding {
        let fields = &self.module.description().fields;
        let mut evidence = Vec::with_capacity(hit.evidence.len() + 1);
        if !hit.reason.is_empty() {
            evidence.push(Evidence {
                selection: "reason".into(),
                field: SmolStr::default(),
                value: hit.reason.clone(),
                ..Evidence::default()
            });
        }
        for said in &hit.evidence {
            let field = said.field as usize;
            let value = row.values.get(field).copied().flatten().unwrap_or_default();
            let (value, span) = around(value, said.start as usize, said.length as usize);
            evidence.push(Evidence {
                selection: said.selection.as_str().into(),
                field: fields.get(field).map(Into::into).unwrap_or_default(),
                value,
                span,
                ..Evidence::default()
            });
        }
        let level = level(hit.level);
        Finding {
            detector: Arc::clone(&self.plan.detector),
            rule_id: Arc::clone(&self.plan.rule_id),
            rule: Arc::clone(&self.plan.rule),
            level,
            alert_level: if level >= Level::Medium {
                AlertLevel::Suspicious
            } else {
                AlertLevel::None
            },
            techniques: Arc::clone(&self.plan.techniques),
            score: Some(hit.score),
            evidence,
            second_opinion: None,
        }
    }

    /// The values of one row, and how many bytes they are; `None` if they are too many.
    fn push_row<'a>(&self, event: &Event<'a>, values: &mut Vec<Option<&'a str>>) -> Option<usize> {
        let before = values.len();
        let mut bytes = 0;
        for column in &self.plan.columns {
            let value = match column {
                Column::Field(field) => event.text(*field).map(|text| {
                    text.get(..text.floor_char_boundary(MAX_VALUE))
                        .unwrap_or(text)
                }),
                Column::Json => Some(&*event.document.source),
            };
            bytes += value.map_or(0, str::len);
            values.push(value);
        }
        if bytes > MAX_BYTES {
            values.truncate(before);
            return None;
        }
        Some(bytes)
    }

    fn is_quarantined(&self, out: &mut Inspection) -> bool {
        let quarantined = self.module.is_quarantined();
        if quarantined && let Err(failure) = self.module.score("", &[]) {
            // The same words each time, so that who shows problems can show it once.
            out.problems.push(self.problem(failure.to_string()));
        }
        quarantined
    }

    fn too_large(&self, event: &Event<'_>, out: &mut Inspection) {
        let id = &event.document.id;
        let message = format!("was not asked of {}/{}: it is too large", id.index, id.id);
        out.problems.push(self.problem(message));
    }
}

impl Detector for ModuleDetector {
    fn name(&self) -> &str {
        &self.plan.detector
    }

    fn fork(&self) -> Box<dyn Detector> {
        Box::new(self.clone())
    }

    fn inspect(&mut self, events: &[Event<'_>], out: &mut Inspection) {
        if self.module.description().scope != Scope::Events {
            return;
        }
        let mut values = Vec::new();
        let mut chosen: Vec<(usize, &Event<'_>)> = Vec::new();
        let mut sizes = Vec::new();
        for (position, event) in events.iter().enumerate() {
            if self.selects(event) {
                match self.push_row(event, &mut values) {
                    Some(bytes) => {
                        chosen.push((position, event));
                        sizes.push(bytes);
                    }
                    None => self.too_large(event, out),
                }
            }
        }
        if chosen.is_empty() || self.is_quarantined(out) {
            return;
        }
        let rows = rows(&chosen, &values, self.plan.columns.len());
        let mut first = 0;
        while first < rows.len() {
            let mut bytes = 0;
            let taken = sizes[first..]
                .iter()
                .take(MAX_ROWS)
                .take_while(|size| {
                    bytes += **size;
                    bytes <= MAX_BYTES
                })
                .count();
            let next = first + taken.max(1);
            self.ask(&rows[first..next], &chosen[first..next], out);
            first = next;
        }
        self.is_quarantined(out);
    }

    fn window(&self) -> Option<WindowNeed> {
        let said = self.module.description();
        let scope = match said.scope {
            Scope::Events => return None,
            Scope::Host => document::Scope::Host,
            Scope::User => document::Scope::User,
        };
        Some(WindowNeed {
            scope,
            span: i64::from(said.span) * 1000,
            fields: match said.fields.iter().any(|field| field == JSON) {
                true => [].into(),
                false => said.fields.clone().into(),
            },
        })
    }

    /// What a person, or another tool, has settled is no part of any window, nor what would be an
    /// empty row.
    fn wants(&self, event: &Event<'_>) -> bool {
        let columns = &self.plan.columns;
        let says = |column: &Column| match column {
            Column::Field(field) => event.has(*field),
            Column::Json => true,
        };
        event.standing().is_unsettled()
            && self.selects(event)
            && (columns.is_empty() || columns.iter().any(says))
    }

    fn inspect_window(&mut self, entity: &str, events: &[Event<'_>], out: &mut Inspection) {
        if self.is_quarantined(out) {
            return;
        }
        let mut values = Vec::new();
        let mut chosen: Vec<(usize, &Event<'_>)> = Vec::new();
        let mut bytes = 0;
        for (position, event) in events.iter().enumerate().rev() {
            let before = values.len();
            bytes += match self.push_row(event, &mut values) {
                Some(bytes) => bytes,
                None => {
                    self.too_large(event, out);
                    continue;
                }
            };
            if bytes > MAX_BYTES || chosen.len() == MAX_WINDOW_ROWS {
                values.truncate(before);
                let shown: String = entity.escape_debug().take(100).collect();
                let message = format!(
                    "was asked of the newest {} of {} events of `{shown}` only: a window has at most {MAX_WINDOW_ROWS} rows and {} MB",
                    chosen.len(),
                    events.len(),
                    MAX_BYTES >> 20
                );
                out.problems.push(self.problem(message));
                break;
            }
            chosen.push((position, event));
        }
        let mut rows = rows(&chosen, &values, self.plan.columns.len());
        rows.reverse();
        chosen.reverse();
        if rows.is_empty() {
            return;
        }
        match self.module.score(entity, &rows) {
            Ok(hits) => self.keep(&hits, &rows, &chosen, out),
            Err(failure) => {
                let shown: String = entity.escape_debug().take(100).collect();
                out.problems
                    .push(self.problem(format!("{failure}, on the window of `{shown}`")));
            }
        }
    }
}

fn rows<'a>(
    events: &[(usize, &Event<'a>)],
    values: &'a [Option<&'a str>],
    columns: usize,
) -> Vec<Row<'a>> {
    events
        .iter()
        .zip(values.chunks(columns.max(1)))
        .map(|((_, event), values)| Row {
            time: event.time(),
            values,
        })
        .collect()
}

fn level(level: abi::Level) -> Level {
    match level {
        abi::Level::Informational => Level::Informational,
        abi::Level::Low => Level::Low,
        abi::Level::Medium => Level::Medium,
        abi::Level::High => Level::High,
        abi::Level::Critical => Level::Critical,
    }
}

/// The neighbourhood of a part of `value`, and where the part stands in it.
fn around(value: &str, start: usize, length: usize) -> (String, Option<(usize, usize)>) {
    let room = Evidence::MAX_VALUE.saturating_sub(length) / 2;
    let from = value.ceil_char_boundary(start.saturating_sub(room));
    let to = value.floor_char_boundary(from.saturating_add(Evidence::MAX_VALUE));
    let part = value.get(from..to).unwrap_or_default();
    let start = start.saturating_sub(from);
    let length = length.min(part.len().saturating_sub(start));
    (part.to_owned(), Some((start, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_around_its_part() {
        let value = format!("{}whoami{}", "é".repeat(5000), "ü".repeat(5000));
        let start = value.find("whoami").unwrap();
        let (part, span) = around(&value, start, 6);
        let (start, length) = span.unwrap();
        assert!(part.len() <= Evidence::MAX_VALUE);
        assert_eq!(&part[start..start + length], "whoami");
        let (part, span) = around("net user", 0, 3);
        assert_eq!((part.as_str(), span), ("net user", Some((0, 3))));
    }

    #[test]
    fn ends_are_compared_without_case() {
        assert!(ends_with(r"C:\Windows\System32\CMD.exe", r"\cmd.EXE"));
        assert!(!ends_with("cmd.exe", r"\cmd.exe"));
        assert!(!ends_with("é", "\u{a9}"));
    }
}
