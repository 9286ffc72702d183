//! Answers a [`Search`]: which documents, in what order, and how many of what. Reads one
//! [`Snapshot`] only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use tantivy::DocAddress;

use super::bits::Bits;
use super::eval::{Eval, Place, each_doc, place};
use super::row::Rows;
use super::schema::{self, Fact};
use super::snapshot::{Segment, Snapshot};
use crate::document::Document;
use crate::store::query::{Query, parse};
use crate::store::{Aggregation, Found, HITS_INDEX, Search, Sort, StoreError, StoreErrorKind};
use crate::taxonomy::read::leaves;

/// How far a search may page, as in Elasticsearch.
const MAX_WINDOW: usize = 10_000;
/// How many intervals a histogram may have.
const MAX_BUCKETS: usize = 65_536;

/// Where a hit stands in the order, lowest first: whether it has no time, its time, its number.
type Rank = (bool, i64, i128);

/// See [`crate::store::Store::find`].
pub(super) fn find(
    snapshot: &Snapshot,
    search: &Search,
    rows: &mut Rows,
) -> Result<Found, StoreError> {
    let query = parse(&search.query)?;
    let end = search.offset.saturating_add(search.limit);
    if end > MAX_WINDOW && search.limit > 0 {
        return Err(bad(format!(
            "offset and limit together are {end}, more than {MAX_WINDOW}; ask for a shorter time"
        )));
    }
    let hits = hits(snapshot, search, &query)?;
    let mut found = Found {
        total: hits.iter().map(|(_, bits)| bits.count()).sum(),
        ..Found::default()
    };
    if search.limit > 0 {
        let best = best(&hits, search, end);
        let wanted = best.into_iter().skip(search.offset);
        found.documents = wanted
            .map(|(at, seq)| snapshot.document(at, seq))
            .collect::<Result<_, _>>()?;
    }
    for aggregation in &search.aggregations {
        found.buckets.push(match aggregation {
            Aggregation::DateHistogram(interval) => histogram(&hits, *interval)?,
            Aggregation::Terms { field, size } => {
                let counts = count_terms(snapshot, &hits, field)?;
                top_terms(snapshot, rows, field, counts, *size)?
            }
        });
    }
    Ok(found)
}

type Hits<'s> = Vec<(&'s Segment, Bits)>;

/// All that is meant, in each segment.
fn hits<'s>(
    snapshot: &'s Snapshot,
    search: &Search,
    query: &Query,
) -> Result<Hits<'s>, StoreError> {
    let eval = Eval::new(snapshot);
    let mut hits = Vec::new();
    for segment in &snapshot.segments {
        let mut bits = eval.query(query, segment)?;
        let fits = segment.fitting(|index| match &search.sources {
            Some(sources) => sources.fit(index),
            // What correlations are judged by is nobody's to read.
            None => index != HITS_INDEX,
        });
        bits.retain(|doc| {
            let in_time = match (search.from, search.to) {
                (None, None) => true,
                (from, to) => segment.time.first(doc).is_some_and(|time| {
                    from.is_none_or(|from| from <= time) && to.is_none_or(|to| time <= to)
                }),
            };
            in_time && segment.is_alive(doc) && segment.fits(doc, &fits)
        });
        hits.push((segment, bits));
    }
    Ok(hits)
}

/// The first `end` hits in order.
fn best(hits: &Hits<'_>, search: &Search, end: usize) -> Vec<(DocAddress, u64)> {
    let mut heap: BinaryHeap<(Rank, DocAddress, u64)> = BinaryHeap::with_capacity(end + 1);
    for (segment, bits) in hits {
        for doc in bits.iter() {
            let time = segment.time.first(doc);
            let seq = segment.seq.first(doc).unwrap_or(0);
            let number = i128::from(seq);
            let rank = match search.sort {
                Sort::NewestFirst => (time.is_none(), !time.unwrap_or(0), -number),
                Sort::OldestFirst => (time.is_none(), time.unwrap_or(0), number),
            };
            if heap.len() < end || heap.peek().is_some_and(|(last, ..)| rank < *last) {
                heap.push((rank, segment.address(doc), seq));
                if heap.len() > end {
                    heap.pop();
                }
            }
        }
    }
    heap.into_sorted_vec()
        .into_iter()
        .map(|(_, at, seq)| (at, seq))
        .collect()
}

fn histogram(hits: &Hits<'_>, interval: i64) -> Result<Vec<(String, u64)>, StoreError> {
    if interval < 1 {
        return Err(bad("a histogram's interval is at least 1 ms".to_owned()));
    }
    let mut buckets: BTreeMap<i64, u64> = BTreeMap::new();
    for (segment, bits) in hits {
        for time in bits.iter().filter_map(|doc| segment.time.first(doc)) {
            let start = time.div_euclid(interval).saturating_mul(interval);
            *buckets.entry(start).or_default() += 1;
        }
        if buckets.len() > MAX_BUCKETS {
            return Err(bad(format!(
                "a histogram of more than {MAX_BUCKETS} intervals; ask for longer ones"
            )));
        }
    }
    let named = |(start, count): (i64, u64)| (start.to_string(), count);
    Ok(buckets.into_iter().map(named).collect())
}

/// A value's documents: how many, and one of them.
type Counts = HashMap<String, (u64, DocAddress)>;

/// How often each value of a field occurs among the hits; in each document only the first of the
/// paths that it has counts.
fn count_terms(snapshot: &Snapshot, hits: &Hits<'_>, field: &str) -> Result<Counts, StoreError> {
    let Place::Paths(paths) = place(field) else {
        return Err(bad(format!("{field:?} is a time; ask for a histogram")));
    };
    let eval = Eval::new(snapshot);
    let mut counts = Counts::new();
    for (segment, bits) in hits {
        let mut left = bits.clone();
        for path in &paths {
            let head = format!("{path}\0");
            let mut counted = Vec::new();
            eval.terms(
                segment,
                snapshot.columns.values,
                &head,
                |term, index, info| {
                    let before = counted.len();
                    each_doc(index, info, |doc| {
                        if left.has(doc) {
                            counted.push(doc);
                        }
                    })?;
                    if let Some(doc) = counted.get(before) {
                        let value = term.get(head.len()..).unwrap_or_default();
                        let at = segment.address(*doc);
                        let count = counts.entry(value.to_owned()).or_insert((0, at));
                        count.0 += (counted.len() - before) as u64;
                    }
                    Ok(())
                },
            )?;
            counted.into_iter().for_each(|doc| left.unset(doc));
        }
    }
    Ok(counts)
}

/// The most frequent values, as a document writes them.
fn top_terms(
    snapshot: &Snapshot,
    rows: &mut Rows,
    field: &str,
    counts: Counts,
    size: usize,
) -> Result<Vec<(String, u64)>, StoreError> {
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable_by(|a, b| (Reverse(a.1.0), &a.0).cmp(&(Reverse(b.1.0), &b.0)));
    sorted.truncate(size);
    let as_written = |(value, (count, at)): (String, (u64, DocAddress))| {
        let document = snapshot.document(at, 0)?;
        Ok((
            written(rows, &document, field, &value).unwrap_or(value),
            count,
        ))
    };
    sorted.into_iter().map(as_written).collect()
}

/// The value of a field as the document writes it, given what its term holds.
fn written(rows: &mut Rows, document: &Document, field: &str, value: &str) -> Option<String> {
    let Place::Paths(paths) = place(field) else {
        return None;
    };
    let facts = rows.facts(document).ok()?;
    let known = [
        (Fact::Index, Some(document.id.index.to_string())),
        (Fact::Host, facts.host),
        (Fact::User, facts.user),
    ];
    let known = known
        .into_iter()
        .find(|(fact, _)| paths.contains(&fact.path()));
    if let Some((_, fact)) = known {
        return fact;
    }
    let (mut found, mut term) = (None, String::new());
    let look = |path: &str, text: &str| {
        if found.is_none() && paths.iter().any(|p| p == path) {
            schema::term("", text, &mut term);
            if term.get(1..) == Some(value) {
                found = Some(text.to_owned());
            }
        }
    };
    leaves(&document.source, look).ok()?;
    found
}

fn bad(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::BadRequest, message)
}
