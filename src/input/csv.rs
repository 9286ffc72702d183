//! The CSV that DetectLM's logger (JPCERT/CC) writes on the client, `timestamp,command`, and
//! tables of the same documents. The logger quotes nothing, so that a command with a comma is not
//! CSV: all after the first comma is the command, or a comma would hide what follows it.

use std::io::BufRead;
use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::lines::{Line, Lines};
use super::{Sink, json};

/// The names that columns have in documents.
const NAMES: [&str; 6] = [
    "timestamp",
    "command",
    "Hostname",
    "Username",
    "AlertLevel",
    "Ignore",
];

/// Whether a file begins as the logger's do: with its header, or with a date.
pub(super) fn looks_like(start: &[u8]) -> bool {
    let line = start
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    header(&String::from_utf8_lossy(line)).is_some() || begins_with_date(line)
}

fn begins_with_date(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let shape: Vec<u8> = line
        .iter()
        .take(11)
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte })
        .collect();
    matches!(&shape[..], b"0000-00-00 " | b"0000/00/00 ")
}

/// The columns, if that line names them.
fn header(line: &str) -> Option<Vec<String>> {
    let columns: Vec<String> = fields(line)?
        .into_iter()
        .map(|name| {
            let known = NAMES.iter().find(|n| n.eq_ignore_ascii_case(name.trim()));
            known.map_or(name, |known| (*known).to_owned())
        })
        .collect();
    columns
        .iter()
        .any(|name| name == "command")
        .then_some(columns)
}

/// The fields of one line of proper CSV.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

/// Reads a stream of CSV.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut lines = Lines::new(input);
    let mut columns = vec!["timestamp".to_owned(), "command".to_owned()];
    loop {
        let number = lines.number() + 1;
        match lines.next() {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(Line::TooLong)) => {
                sink.problem(Some(number), "the line is too long", None)?;
            }
            Ok(Some(Line::Text(line))) => {
                // cmd.exe writes in the console's code page: better a command with U+FFFD in it
                // than none.
                let line = String::from_utf8_lossy(json::skip_mark(line));
                if number == 1
                    && let Some(named) = header(&line)
                {
                    columns = named;
                } else if !line.trim().is_empty() {
                    row(&line, &columns, number, sink)?;
                }
            }
            Err(error) => {
                let message = format!("cannot be read any further: {error}");
                return sink.problem(Some(number), message, None);
            }
        }
    }
}

fn row(line: &str, columns: &[String], number: usize, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let values = if columns == ["timestamp", "command"] && !line.starts_with('"') {
        line.split_once(',')
            .map(|(time, command)| vec![time.to_owned(), command.to_owned()])
    } else {
        fields(line).filter(|values| values.len() == columns.len())
    };
    let Some(values) = values else {
        let message = format!("does not have the {} columns of the table", columns.len());
        return sink.problem(Some(number), message, None);
    };
    let mut document: Map<String, Value> = columns
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let value = match (name.as_str(), value.parse::<i64>()) {
                ("AlertLevel" | "Ignore", Ok(number)) => Value::from(number),
                ("timestamp", _) => Value::from(value.trim()),
                _ => Value::from(value),
            };
            (name.clone(), value)
        })
        .collect();
    let named = |at: &str| document.get(at).is_some_and(|host| host != "");
    if let Some(host) = sink.host.filter(|_| !named("Hostname")) {
        document.insert("Hostname".into(), host.into());
    }
    sink.record(number as u64, &Value::Object(document).to_string())
}
