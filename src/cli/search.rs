//! `picket search`: a query string against the store.

use std::io::Write;

use super::machine::to_json;
use super::{Exit, Failure, Output, block_on, store, text};
use crate::config::Config;
use crate::document::Document;
use crate::store::{Aggregation, Found, Search, Sort, Sources};
use crate::taxonomy::time::parse_time;
use crate::taxonomy::{Event, FieldId, Fields, Reader, Slots};

/// What may be said after `picket search`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket search 'AlertLevel:2'
  picket search 'Image:*\\\\psexec64.exe AND NOT User:SYSTEM' --limit 50
  picket search whoami --index 'cmdlogs*' --from 2020-09-01 --to 2020-10-01
  picket search '*' --limit 0 --terms host --per 1h")]
pub struct Args {
    /// field:value, AND, OR, NOT, ( ), \"phrases\", wild*cards?, field:[a TO b], field:>5, field:*.
    #[arg(default_value = "*")]
    query: String,
    /// Only these indices, such as cmdlogs* or picket-findings (comma-separated); without it all
    /// but Picket's own, on a cluster all that is swept.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    index: Vec<String>,
    /// Not before this time (UTC), such as 2026-11-22 or 2026-11-22T01:16:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<i64>,
    /// Not after this time (UTC).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<i64>,
    /// Oldest first; without it newest first.
    #[arg(long)]
    oldest_first: bool,
    /// Pass over that many.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// Show at most that many; 0 only counts.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Count the values of a field (AlertLevel, index, host, user or any other).
    #[arg(long, value_name = "FIELD")]
    terms: Vec<String>,
    /// Count per interval, such as 15m, 1h or 1d.
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    per: Option<i64>,
}

fn moment(text: &str) -> Result<i64, String> {
    parse_time(text)
        .or_else(|| parse_time(&format!("{text} 00:00:00")))
        .ok_or_else(|| {
            "write a time as 2026-11-22, 2026-11-22 01:16:00 or 2026-11-22T01:16:00Z".into()
        })
}

fn interval(text: &str) -> Result<i64, String> {
    let bad = || "write an interval as 30s, 15m, 1h or 1d".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let number: i64 = text
        .strip_suffix(unit)
        .unwrap_or_default()
        .parse()
        .map_err(|_| bad())?;
    let millis = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(bad()),
    };
    number
        .checked_mul(millis)
        .filter(|m| *m > 0)
        .ok_or_else(bad)
}

/// Runs the command.
pub fn run(args: &Args, config: Config, output: Option<Output>) -> Result<Exit, Failure> {
    let store = store::open_read_only(&config)?;
    let mut aggregations: Vec<Aggregation> = args
        .terms
        .iter()
        .map(|field| Aggregation::Terms {
            field: field.clone(),
            size: 20,
        })
        .collect();
    aggregations.extend(args.per.map(Aggregation::DateHistogram));
    let search = Search {
        sources: Some(if args.index.is_empty() {
            Sources::all()
        } else {
            Sources(args.index.clone())
        }),
        query: args.query.clone(),
        from: args.from,
        to: args.to,
        sort: if args.oldest_first {
            Sort::OldestFirst
        } else {
            Sort::NewestFirst
        },
        offset: args.offset,
        limit: args.limit,
        aggregations,
    };
    let found = block_on(async { Ok(store.find(&search).await?) })?;
    let mut out = anstream::stdout().lock();
    match output.unwrap_or_default() {
        Output::Table => table(&mut out, &search, &found)?,
        Output::Ndjson => {
            for document in &found.documents {
                writeln!(out, "{}", line(document))?;
            }
        }
        Output::Json => {
            let documents: Vec<String> = found.documents.iter().map(line).collect();
            let buckets = to_json(&found.buckets)?;
            writeln!(
                out,
                "{{\"total\":{},\"documents\":[{}],\"buckets\":{buckets}}}",
                found.total,
                documents.join(",")
            )?;
        }
    }
    Ok(Exit::Done)
}

/// The document as Elasticsearch shows a hit; its source stays as it was written.
fn line(document: &Document) -> String {
    let text = |s: &str| serde_json::Value::from(s).to_string();
    format!(
        "{{\"_index\":{},\"_id\":{},\"_seq_no\":{},\"_source\":{}}}",
        text(&document.id.index),
        text(&document.id.id),
        document.version.seq_no,
        document.source
    )
}

fn table(out: &mut impl Write, search: &Search, found: &Found) -> Result<(), Failure> {
    let reader = Reader::new(&Fields::default());
    let mut slots = Slots::default();
    if !found.documents.is_empty() {
        let mut table = text::table(&["level", "time", "index", "host", "user", "what"]);
        for document in &found.documents {
            // What cannot be read is shown with its place only.
            let readable = reader.read(&document.source, &mut slots).is_ok();
            let event = Event::new(document, &slots);
            let field = |id| event.text(id).filter(|_| readable).unwrap_or_default();
            let what = [FieldId::COMMAND_LINE, FieldId::IMAGE, FieldId::PROVIDER].map(field);
            let what = what
                .iter()
                .find(|text| !text.is_empty())
                .copied()
                .unwrap_or_default();
            let number = field(FieldId::EVENT_ID);
            let what = if number.is_empty() {
                what.to_owned()
            } else {
                format!("{number} {what}")
            };
            table.add_row([
                event.standing().level.to_string(),
                event.time().map_or_else(String::new, text::moment),
                text::clean(&document.id.index).into_owned(),
                text::clean(field(FieldId::COMPUTER)).into_owned(),
                text::clean(field(FieldId::USER)).into_owned(),
                text::cut(&text::clean(&what), 120),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    for (aggregation, buckets) in search.aggregations.iter().zip(&found.buckets) {
        histogram(out, aggregation, buckets)?;
    }
    let shown = found.documents.len() as u64;
    let rest = if shown < found.total {
        format!(", {} shown", text::number(shown))
    } else {
        String::new()
    };
    writeln!(out, "{}{rest}", text::count(found.total, "document"))?;
    Ok(())
}

/// Buckets as bars.
fn histogram(
    out: &mut impl Write,
    aggregation: &Aggregation,
    buckets: &[(String, u64)],
) -> Result<(), Failure> {
    let most = buckets
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(1)
        .max(1);
    let name = |key: &str| match aggregation {
        Aggregation::DateHistogram(_) => key.parse().map_or_else(|_| key.to_owned(), text::moment),
        Aggregation::Terms { .. } => text::cut(&text::clean(key), 40),
    };
    let wide = buckets
        .iter()
        .map(|(key, _)| name(key).chars().count())
        .max()
        .unwrap_or(0);
    for (key, count) in buckets {
        let bar = "█".repeat(
            usize::try_from(count * 40 / most)
                .unwrap_or(40)
                .max(usize::from(*count > 0)),
        );
        writeln!(out, "{:wide$}  {bar} {}", name(key), text::number(*count))?;
    }
    Ok(())
}
