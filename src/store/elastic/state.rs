//! What Picket keeps on the cluster about each sweep, in `.picket-state`: one document a sweep with
//! the checkpoint of every shard, who works on which shard and until when, and the last report.
//! Every change is a compare-and-set, so that several Picket processes share it. Leases save work;
//! that nothing is skipped or doubled never depends on them, nor on anybody's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::Utc;
use elasticsearch::http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, Request, encode, get, unavailable};
use super::schema;
use crate::store::{Progress, StoreError};

/// The index that holds the state.
pub const STATE_INDEX: &str = ".picket-state";
/// How long a shard stays with a process that says nothing.
pub(super) const LEASE: Duration = Duration::from_secs(60);
/// How often a change is tried again that others overtook.
const TRIES: u32 = 20;

/// Everything that is kept for one sweep.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct State {
    /// For each shard, below which sequence number everything is judged.
    pub(super) at: BTreeMap<String, u64>,
    /// The patterns whose beginning was chosen.
    pub(super) begun: BTreeSet<String>,
    /// Who works on which shard.
    pub(super) leases: BTreeMap<String, Lease>,
    /// The last report of each process, by who it is.
    pub(super) reports: BTreeMap<String, Report>,
}

/// What a process said last.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Report {
    /// When, in milliseconds since 1970 (UTC).
    at: i64,
    report: Value,
}

/// A shard that a process works on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Lease {
    /// Which process.
    pub(super) owner: String,
    /// When others may take it, in milliseconds since 1970 (UTC).
    pub(super) until: i64,
}

/// What a compare-and-set must still find.
pub(crate) type Seen = Option<(u64, u64)>;

#[derive(Deserialize)]
struct Stored<T> {
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
    #[serde(rename = "_source")]
    source: T,
}

/// What became of a compare-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Written,
    /// Another version is there; as it was sent twice, that may be our own.
    Unsure,
    /// Somebody else changed it.
    Conflict,
}

impl State {
    /// Whether another process works on that shard now.
    pub(super) fn is_taken(&self, shard: &str, owner: &str) -> bool {
        let now = Utc::now().timestamp_millis();
        self.leases
            .get(shard)
            .is_some_and(|lease| lease.owner != owner && lease.until > now)
    }

    /// Whether the shard is still that process's.
    pub(super) fn is_held(&self, shard: &str, owner: &str) -> bool {
        self.leases
            .get(shard)
            .is_some_and(|lease| lease.owner == owner)
    }

    /// Gives the shard to that process from now on.
    pub(super) fn lease(&mut self, shard: &str, owner: &str, span: Duration) {
        let until = Utc::now().timestamp_millis() + span.as_millis() as i64;
        let owner = owner.to_owned();
        self.leases.insert(shard.to_owned(), Lease { owner, until });
    }

    /// What is kept of that shard.
    pub(super) fn shard<'s>(
        &'s self,
        shard: &'s str,
    ) -> impl Iterator<Item = (&'s String, &'s u64)> {
        let at = self.at.range(shard.to_owned()..);
        at.take_while(move |(key, _)| key.starts_with(shard))
    }

    /// Keeps the report of a process that is active since then. What others said before that is
    /// past; what they said since stays beside it, for they work on the same.
    pub(super) fn report(&mut self, owner: &str, since: i64, report: Option<&Value>) {
        self.reports
            .retain(|other, report| other != owner && report.at >= since);
        if let Some(report) = report.cloned() {
            let at = Utc::now().timestamp_millis();
            self.reports.insert(owner.to_owned(), Report { at, report });
        }
    }

    /// What that process said last.
    pub(super) fn said_by(&self, owner: &str) -> Option<&Value> {
        self.reports.get(owner).map(|report| &report.report)
    }

    /// As the seam tells it.
    pub(super) fn progress(self) -> Progress {
        let mut reports: Vec<Report> = self.reports.into_values().collect();
        reports.sort_by_key(|report| report.at);
        let report = reports.pop().map(|report| report.report);
        Progress {
            at: crate::store::Checkpoint(self.at),
            begun: self.begun,
            report,
            others: reports.into_iter().rev().map(|r| r.report).collect(),
        }
    }
}

/// Reads what is kept for a sweep.
pub(super) async fn read(client: &Client, sweep: &str) -> Result<State, StoreError> {
    Ok(load(client, sweep).await?.0)
}

async fn load(client: &Client, sweep: &str) -> Result<(State, Seen), StoreError> {
    read_document(client, &id(sweep)).await
}

/// Reads a document of the state's index, and what a write of it must still find; the default where
/// there is none.
pub(crate) async fn read_document<T: Default + DeserializeOwned>(
    client: &Client,
    id: &str,
) -> Result<(T, Seen), StoreError> {
    let path = format!("{STATE_INDEX}/_doc/{}", encode(id));
    let answer = client.send(get(&path)).await?;
    if answer.status == 404 {
        return Ok((T::default(), None));
    }
    let stored: Stored<T> = answer.read(client.address())?;
    Ok((stored.source, Some((stored.seq_no, stored.primary_term))))
}

/// Writes a document of the state's index if it is still as it was seen; makes the index with the
/// first.
pub(crate) async fn put_document(
    client: &Client,
    id: &str,
    body: &impl Serialize,
    seen: Seen,
) -> Result<Put, StoreError> {
    let (seq_no, primary_term) = seen.unwrap_or_default();
    let (seq_no, primary_term) = (seq_no.to_string(), primary_term.to_string());
    let query: &[(&str, &str)] = match seen {
        Some(_) => &[("if_seq_no", &seq_no), ("if_primary_term", &primary_term)],
        None => {
            create_index(client).await?;
            &[("op_type", "create")]
        }
    };
    let body = serde_json::to_vec(body)
        .map_err(|error| unavailable(format!("the state cannot be written: {error}")))?;
    let path = format!("{STATE_INDEX}/_doc/{}", encode(id));
    let answer = client
        .send(Request {
            method: Method::Put,
            path: &path,
            query,
            body: Some(&body),
        })
        .await?;
    match answer.status {
        200 | 201 => Ok(Put::Written),
        409 if answer.repeated => Ok(Put::Unsure),
        409 => Ok(Put::Conflict),
        _ => Err(answer.error(client.address())),
    }
}

/// Changes what is kept for a sweep: `change` is given what is there and says whether anything
/// has to be written. What is then there is returned.
///
/// # Errors
/// `Unavailable`: too many others change it at once. Otherwise as the server says.
pub(super) async fn change(
    client: &Client,
    sweep: &str,
    mut change: impl FnMut(&mut State) -> bool + Send,
) -> Result<State, StoreError> {
    for _ in 0..TRIES {
        let (mut state, seen) = load(client, sweep).await?;
        if !change(&mut state) {
            return Ok(state);
        }
        if store(client, sweep, &state, seen).await? {
            return Ok(state);
        }
    }
    Err(unavailable(format!(
        "the state of sweep {sweep} is changed by too many at once; the next sweep tries again"
    )))
}

async fn store(
    client: &Client,
    sweep: &str,
    state: &State,
    seen: Seen,
) -> Result<bool, StoreError> {
    Ok(match put_document(client, &id(sweep), state, seen).await? {
        Put::Written => true,
        Put::Unsure => load(client, sweep).await?.0 == *state,
        Put::Conflict => false,
    })
}

/// Makes the index if there is none.
async fn create_index(client: &Client) -> Result<(), StoreError> {
    create(client, STATE_INDEX, &schema::state()).await
}

/// Leaves all shards of a sweep that this process has to others; what is then kept for it.
pub(super) async fn release(
    client: &Client,
    sweep: &str,
    owner: &str,
) -> Result<State, StoreError> {
    change(client, sweep, |state| {
        let before = state.leases.len();
        state.leases.retain(|_, lease| lease.owner != owner);
        state.leases.len() != before
    })
    .await
}

/// Makes an index if there is none of that name.
pub(super) async fn create(client: &Client, index: &str, body: &Value) -> Result<(), StoreError> {
    let body = body.to_string();
    let answer = client
        .send(Request {
            method: Method::Put,
            path: index,
            query: &[],
            body: Some(body.as_bytes()),
        })
        .await?;
    let exists = answer.status == 400
        && memchr::memmem::find(&answer.body, b"resource_already_exists_exception").is_some();
    if exists || (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(answer.error(client.address()))
}

fn id(sweep: &str) -> String {
    format!("sweep:{sweep}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn processes_that_work_together_report_beside_each_other() {
        let mut state = State::default();
        let now = Utc::now().timestamp_millis();
        let says = |state: &State| {
            let progress = state.clone().progress();
            let all = progress.report.into_iter().chain(progress.others);
            all.map(|report| report.to_string()).collect::<Vec<_>>()
        };
        state.report("a", now, Some(&json!(1)));
        for (owner, number) in [("b", 2), ("a", 3)] {
            std::thread::sleep(Duration::from_millis(2));
            state.report(owner, now, Some(&json!(number)));
        }
        assert_eq!(says(&state), ["3", "2"], "the newest first, one of each");
        // The next activation, of whomever, is another matter.
        state.report("c", now + 60_000, Some(&json!(4)));
        assert_eq!(says(&state), ["4"]);
        state.report("c", now + 60_000, None);
        assert!(says(&state).is_empty());
    }
}
