//! How a [`Search`] becomes requests to Elasticsearch and OpenSearch, and their answers a
//! [`Found`]. Pure: asks nothing itself.
//!
//! One search is one `_msearch`. It has a part for each group of indices that agree on the types
//! of what is asked ([`View`]) and for each clock that documents may have: no server orders a date
//! and a time that is kept as text in one list, or accepts a clause for a type that it is not made
//! for. The parts' hits are put in order here.
//!
//! A name means what it means to the embedded store, but every place that may bear it counts, not
//! only the surest that a document has. What an index cannot answer exactly is said in `field` and
//! `words`. Host and user stand in several places, and a user's domain and name may stand apart.

mod clause;
mod clock;
mod count;
mod field;
mod pattern;
mod words;

use std::ops::Bound;

pub(super) use clock::Clock;
use serde_json::{Map, Value, json};

use super::hits::{self, Hit, Response};
use super::types::{FieldTypes, View};
use crate::store::glob::Glob;
use crate::store::query::range::span;
use crate::store::query::{Name, Query, Test, parse};
use crate::store::{Found, Search, Sort, StoreError, StoreErrorKind};
use crate::taxonomy::{accounts, paths, times};

/// How far a search may page (`index.max_result_window`).
pub(super) const MAX_RESULTS: usize = 10_000;
/// How long a shard may take.
const TIMEOUT: &str = "20s";

/// The requests of one search.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    search: Search,
    parts: Vec<Part>,
}

/// A request to some indices: the documents that have that clock.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) indices: Vec<String>,
    pub(super) clock: Option<Clock>,
    pub(super) body: Value,
}

/// Plans a search.
///
/// # Errors
/// `BadRequest`: the query cannot be read, or too much is asked.
pub(super) fn plan(search: &Search, types: &FieldTypes) -> Result<Plan, StoreError> {
    let query = parse(&search.query)?;
    let end = search.offset.saturating_add(search.limit);
    if end > MAX_RESULTS && search.limit > 0 {
        return Err(StoreError::new(
            StoreErrorKind::BadRequest,
            format!(
                "offset and limit together are {end}, more than {MAX_RESULTS}; ask for a shorter time"
            ),
        ));
    }
    count::check(&search.aggregations)?;
    check(&query)?;
    let mut asked = named(&query);
    for aggregation in &search.aggregations {
        if let crate::store::Aggregation::Terms { field, .. } = aggregation {
            asked.extend(places(&Name::of(field)));
        }
    }
    let mut parts = Vec::new();
    for view in types.views(search.sources.as_ref(), &with_clocks(asked)) {
        let clocks = Clock::all(&view);
        let mut clauses = vec![clause(&query, &view, &clocks)?];
        let in_time = search.from.is_some() || search.to.is_some();
        if in_time {
            clauses.push(clock::within(&clocks, search.from, search.to));
        }
        for (clock, family) in families(&clocks, !in_time) {
            let counts = count::request(&view, clock.as_ref(), &search.aggregations);
            let all = [clauses.clone(), vec![family]].concat();
            let mut body = body(clause::and(all), &view, clock.as_ref(), &search.sort, end);
            if !counts.is_empty() {
                body["aggs"] = counts.into();
            }
            if search.limit == 0 {
                body["size"] = 0.into();
            }
            parts.push(part(&view, clock, body));
        }
    }
    Ok(Plan {
        search: search.clone(),
        parts,
    })
}

/// A part for the indices of a view.
pub(super) fn part(view: &View<'_>, clock: Option<Clock>, body: Value) -> Part {
    Part {
        indices: view.indices().map(str::to_owned).collect(),
        clock,
        body,
    }
}

/// The paths, and those of the clocks.
pub(super) fn with_clocks(mut paths: Vec<String>) -> Vec<String> {
    paths.extend(clock::CLOCKS.map(str::to_owned));
    paths
}

/// Documents by the clock that they have, and those that have none.
pub(super) fn families(clocks: &[Clock], timeless: bool) -> Vec<(Option<Clock>, Value)> {
    let mut before = Vec::new();
    let mut families = Vec::new();
    for clock in clocks {
        let exists = clause::exists(clock.path());
        let family = clause::but(exists.clone(), before.clone());
        families.push((Some(clock.clone()), family));
        before.push(exists);
    }
    if timeless {
        families.push((None, clause::but(clause::all(), before)));
    }
    families
}

/// The body of a request for the first documents in that order.
pub(super) fn body(
    query: Value,
    view: &View<'_>,
    clock: Option<&Clock>,
    sort: &Sort,
    size: usize,
) -> Value {
    let order = match clock {
        Some(clock) => clock.sort(sort, view.numbered),
        None => clock::timeless(sort, view.numbered),
    };
    json!({
        "query": query,
        "sort": order,
        "size": size,
        "track_total_hits": true,
        "seq_no_primary_term": true,
        "timeout": TIMEOUT,
    })
}

impl Plan {
    /// The body of `POST _msearch`, if there is anything to ask. `application/x-ndjson`.
    pub(super) fn lines(&self) -> Option<String> {
        lines(&self.parts)
    }

    /// What the answer to [`Plan::lines`] says.
    ///
    /// # Errors
    /// A part failed, or too much was asked.
    pub(super) fn found(&self, answer: &str) -> Result<Found, StoreError> {
        let responses = hits::responses(answer)?;
        let none = Map::new();
        let parts: Vec<_> = self.parts.iter().zip(&responses).collect();
        let counts: Vec<_> = parts
            .iter()
            .map(|(part, answer)| {
                let counts = answer.aggregations.as_ref().unwrap_or(&none);
                (part.clock.as_ref(), counts)
            })
            .collect();
        let buckets = count::answer(&self.search.aggregations, &counts)?;
        let total = responses.iter().map(Response::total).sum();
        let mut ranked: Vec<((bool, i64, i128), &Hit<'_>)> = Vec::new();
        for (part, answer) in parts {
            for hit in &answer.hits.hits {
                let time = part.clock.as_ref().zip(hit.sort.first());
                let time = time.and_then(|(clock, value)| clock.told(value));
                let at = time.unwrap_or(0);
                let number = i128::from(hit.seq_no());
                let rank = match self.search.sort {
                    Sort::NewestFirst => (time.is_none(), !at, -number),
                    Sort::OldestFirst => (time.is_none(), at, number),
                };
                ranked.push((rank, hit));
            }
        }
        // Stable: what a server put in order stays so.
        ranked.sort_by_key(|(rank, _)| *rank);
        let wanted = ranked.into_iter().skip(self.search.offset);
        Ok(Found {
            total,
            documents: wanted
                .take(self.search.limit)
                .map(|(_, hit)| hit.document())
                .collect(),
            buckets,
        })
    }
}

/// The body of `_msearch` for some parts.
pub(super) fn lines<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Option<String> {
    let mut lines = String::new();
    for Part { indices, body, .. } in parts {
        let head = json!({"index": indices, "ignore_unavailable": true});
        lines += &format!("{head}\n{body}\n");
    }
    (!lines.is_empty()).then_some(lines)
}

/// The paths that a name stands for, but those of users whose domain and name stand apart.
pub(super) fn places(name: &Name) -> Vec<String> {
    let with = |field: &str, own: &str| [paths(field), vec![own.to_owned()]].concat();
    match name {
        Name::Time | Name::Index => Vec::new(),
        // Findings have `host` and `user` by these names.
        Name::Host => with("Computer", "host"),
        Name::User => with("User", "user"),
        Name::Field(paths) => paths.clone(),
    }
}

/// Every path that a query may look at.
fn named(query: &Query) -> Vec<String> {
    match query {
        Query::All => Vec::new(),
        Query::And(parts) | Query::Or(parts) => parts.iter().flat_map(named).collect(),
        Query::Not(part) => named(part),
        Query::Field(name, _) => match Name::of(name) {
            name @ Name::User => {
                let apart = accounts()
                    .into_iter()
                    .flat_map(|(domain, user)| [domain, user]);
                places(&name).into_iter().chain(apart).collect()
            }
            name => places(&name),
        },
        Query::Words(_) | Query::Anywhere(_) => words::prose(),
    }
}

/// Refuses times that are none, also where there is no index to ask.
fn check(query: &Query) -> Result<(), StoreError> {
    match query {
        Query::And(parts) | Query::Or(parts) => parts.iter().try_for_each(check),
        Query::Not(part) => check(part),
        Query::Field(name, test) if matches!(Name::of(name), Name::Time) => span(test).map(drop),
        _ => Ok(()),
    }
}

fn clause(query: &Query, view: &View<'_>, clocks: &[Clock]) -> Result<Value, StoreError> {
    let all = |parts: &[Query]| -> Result<Vec<Value>, StoreError> {
        parts
            .iter()
            .map(|part| clause(part, view, clocks))
            .collect()
    };
    Ok(match query {
        Query::All => clause::all(),
        Query::And(parts) => clause::and(all(parts)?),
        Query::Or(parts) => clause::or(all(parts)?),
        Query::Not(part) => clause::not(clause(part, view, clocks)?),
        Query::Words(text) => words::phrase(view, text),
        Query::Anywhere(glob) => words::like(view, glob),
        Query::Field(name, test) => match Name::of(name) {
            Name::Time => {
                let end = |end: i64, open: i64| (end != open).then_some(end);
                let (from, to) = span(test)?;
                clock::within(clocks, end(from, i64::MIN), end(to, i64::MAX))
            }
            Name::Index => index(view, test),
            name @ Name::User => {
                let whole = field::any(view, &places(&name), test);
                clause::or([vec![whole], apart(view, test)].concat())
            }
            name => field::any(view, &places(&name), test),
        },
    })
}

/// Indices by name: which they are is known here.
fn index(view: &View<'_>, test: &Test) -> Value {
    let fits: Box<dyn Fn(&str) -> bool> = match test {
        Test::Exists => Box::new(|_| true),
        Test::Equals(name) => {
            let name = name.to_lowercase();
            Box::new(move |index| index == name)
        }
        Test::Fits(glob) => {
            let matcher = glob.matcher();
            Box::new(move |index| matcher.fits(index))
        }
        Test::Between(from, to) => {
            let range = crate::store::query::range::Range::new(from, to);
            Box::new(move |index| range.holds(index))
        }
    };
    let indices: Vec<&str> = view.indices().filter(|index| fits(index)).collect();
    json!({"terms": {"_index": indices}})
}

/// A user whose domain and name stand apart.
fn apart(view: &View<'_>, test: &Test) -> Vec<Value> {
    let halves = match test {
        Test::Equals(user) => user
            .split_once('\\')
            .map(|(domain, name)| (Test::Equals(domain.into()), Test::Equals(name.into()))),
        Test::Fits(glob) => glob
            .split()
            .map(|(domain, name): (Glob, Glob)| (Test::Fits(domain), Test::Fits(name))),
        Test::Exists => None,
        Test::Between(..) => return Vec::new(),
    };
    let clause = |(domain, name): (String, String)| {
        let (domain, name) = ([domain], [name]);
        let clause = match &halves {
            Some((of_domain, of_name)) => clause::and(vec![
                field::any(view, &domain, of_domain),
                field::any(view, &name, of_name),
            ]),
            // A pattern that begins with `*` may have the domain in that.
            None if matches!(test, Test::Equals(_)) => clause::but(
                field::any(view, &name, test),
                vec![field::any(view, &domain, &Test::Exists)],
            ),
            None => field::any(view, &name, test),
        };
        let mapped = name.iter().any(|path| !view.at(path).is_empty());
        mapped.then_some(clause)
    };
    accounts().into_iter().filter_map(clause).collect()
}

/// The documents of a user by that name, whatever the domain: more than asked for.
pub(super) fn namesakes(view: &View<'_>, user: &str) -> Value {
    let name = user.rsplit_once('\\').map_or(user, |(_, name)| name);
    let name = Test::Equals(name.to_owned());
    let whole = Test::Equals(user.to_owned());
    let mut clauses = vec![field::any(view, &places(&Name::User), &whole)];
    for (_, path) in accounts() {
        if !view.at(&path).is_empty() {
            clauses.push(field::any(view, &[path], &name));
        }
    }
    clause::or(clauses)
}

/// The documents of a host.
pub(super) fn host(view: &View<'_>, host: &str) -> Value {
    let host = Test::Equals(host.to_owned());
    field::any(view, &places(&Name::Host), &host)
}

/// The documents that have a value at one of these paths.
pub(super) fn saying(view: &View<'_>, paths: &[String]) -> Value {
    field::any(view, paths, &Test::Exists)
}

/// The documents that have a time between these at one of these paths, both inclusive.
pub(super) fn at_times(view: &View<'_>, paths: &[String], from: i64, to: i64) -> Value {
    let end = |time: i64| {
        let time = chrono::DateTime::from_timestamp_millis(time);
        time.map_or(Bound::Unbounded, |time| Bound::Included(time.to_rfc3339()))
    };
    let span = Test::Between(end(from), end(to));
    field::any(view, paths, &span)
}

/// What finds the documents with a time from then on, for each group of indices; at any place,
/// because where a feed begins it may only be too early.
pub(super) fn since(types: &FieldTypes, time: i64) -> Vec<(Vec<String>, Value)> {
    let times = times();
    let views = types.views(None, &with_clocks(times.clone()));
    let query = |view: &View<'_>| {
        let indices = view.indices().map(str::to_owned).collect();
        let clock = clock::within(&Clock::all(view), Some(time), None);
        let places = at_times(view, &times, time, i64::MAX);
        (indices, clause::or(vec![clock, places]))
    };
    views.iter().map(query).collect()
}

/// The clocks of some indices, best first; none where these differ.
pub(super) fn clocks(types: &FieldTypes) -> Vec<Clock> {
    let views = types.views(None, &with_clocks(Vec::new()));
    match views.as_slice() {
        [view] => Clock::all(view),
        _ => Vec::new(),
    }
}

/// What that clock puts at that time or later, and what it says nothing of.
pub(super) fn not_before(clock: &Clock, time: i64) -> Value {
    let unknown = clause::not(clause::exists(clock.path()));
    clause::or(vec![clock.between(Some(time), None), unknown])
}

/// All of these clauses.
pub(super) fn every(clauses: Vec<Value>) -> Value {
    clause::and(clauses)
}
