//! Hits of correlations as documents of [`HITS_INDEX`]: found by the term of their group and by their
//! time. What a hit means is not known here.

use tantivy::DocAddress;

use super::error;
use super::row::{Row, Rows};
use super::snapshot::Snapshot;
use crate::detect::correlate::Hit;
use crate::document::DocumentId;
use crate::store::{GroupSpan, HITS_INDEX, MAX_HITS, StoreError};

/// The most hits that are forgotten at once.
const MOST: usize = 20_000;
/// How many days back is looked for what is to be forgotten.
const DAYS: i64 = 1_000;
const DAY: i64 = 86_400_000;
/// The field that says on which day a hit was kept, counted from 1970.
const KEPT: &str = "kept";

/// Hits ready to be written, each once.
pub(super) fn rows(hits: &[Hit], now: i64, rows: &mut Rows) -> Result<Vec<Row>, StoreError> {
    hits.iter()
        .map(|hit| {
            let id = DocumentId {
                index: HITS_INDEX.into(),
                id: hit.id().into(),
            };
            let mut source = serde_json::to_value(hit).map_err(error::damaged)?;
            source[KEPT] = day(now).into();
            let mut row = rows.row(id, source.to_string().into())?;
            row.only_new = true;
            Ok(row)
        })
        .collect()
}

/// The newest hits of a group in a span of time.
pub(super) fn of(snapshot: &Snapshot, group: &GroupSpan) -> Result<Vec<Hit>, StoreError> {
    let mut found = Vec::new();
    each(snapshot, "group", &group.group, |time, at, seq| {
        if (group.from..=group.to).contains(&time) {
            found.push((time, at, seq));
        }
    })?;
    found.sort_unstable_by_key(|(time, ..)| std::cmp::Reverse(*time));
    found.truncate(MAX_HITS + 1);
    let read = |(_, at, seq): (i64, DocAddress, u64)| {
        let document = snapshot.document(at, seq)?;
        serde_json::from_str(&document.source).map_err(error::damaged)
    };
    found.into_iter().map(read).collect()
}

/// Some hits that were kept on a day before that of this time.
pub(super) fn kept_before(snapshot: &Snapshot, time: i64) -> Result<Vec<DocumentId>, StoreError> {
    let mut old = Vec::new();
    for back in 1..=DAYS {
        each(snapshot, KEPT, &day(time - back * DAY), |_, at, seq| {
            if old.len() < MOST {
                old.push((at, seq));
            }
        })?;
    }
    old.into_iter()
        .map(|(at, seq)| snapshot.document(at, seq).map(|document| document.id))
        .collect()
}

/// The day of a time, as the field [`KEPT`] has it.
fn day(time: i64) -> String {
    time.div_euclid(DAY).to_string()
}

/// Every hit that has that value at that path: its time, its place and the number of its write.
fn each(
    snapshot: &Snapshot,
    path: &str,
    value: &str,
    mut each: impl FnMut(i64, DocAddress, u64),
) -> Result<(), StoreError> {
    let term = snapshot.columns.value_term(path, value);
    for segment in &snapshot.segments {
        let fits = segment.fitting(|index| index == HITS_INDEX);
        segment.each_of(snapshot.columns.values, &term, &fits, |doc, time, seq| {
            each(time, segment.address(doc), seq);
        })?;
    }
    Ok(())
}
