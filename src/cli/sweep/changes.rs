//! What judging again changes, as a table: which levels rise, which are taken back, and why.

use std::collections::BTreeMap;
use std::io::Write;

use crate::alert::AlertLevel;
use crate::cli::text;
use crate::finding::Verdict;

/// The most rows that are shown.
const MAX_ROWS: usize = 40;

/// Prints a row for each change, host and reason, with the number of documents.
///
/// # Errors
/// Nobody listens any more.
pub(super) fn print(out: &mut impl Write, verdicts: &[Verdict]) -> std::io::Result<()> {
    let mut rows: BTreeMap<(AlertLevel, AlertLevel, String, String), u64> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.patch.is_some()) {
        let host = verdict.host.clone().unwrap_or_default();
        let why = match verdict.findings.first() {
            _ if verdict.alert_level < verdict.stood => "withdrawn".to_owned(),
            Some(finding) => finding.rule.to_string(),
            None => "withdrawn".to_owned(),
        };
        *rows
            .entry((verdict.stood, verdict.alert_level, host, why))
            .or_default() += 1;
    }
    if rows.is_empty() {
        return writeln!(out, "Nothing changes.");
    }
    let mut table = text::table(&["AlertLevel", "documents", "host", "because of"]);
    for ((from, to, host, why), count) in rows.iter().rev().take(MAX_ROWS) {
        table.add_row([
            format!("{} → {}", u8::from(*from), u8::from(*to)),
            text::number(*count),
            text::clean(host).to_string(),
            text::clean(why).to_string(),
        ]);
    }
    writeln!(out, "{table}")?;
    if rows.len() > MAX_ROWS {
        let more = text::count((rows.len() - MAX_ROWS) as u64, "further kind");
        writeln!(out, "and {more} of change; `-o json` has them all")?;
    }
    Ok(())
}
