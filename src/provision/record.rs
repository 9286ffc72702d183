//! What Picket made on a cluster, kept in `.picket-state`: of each thing a digest of what was sent
//! and of what was there right after. What is there later and differs from it, somebody changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::diff::digest;
use super::plan::Kind;
use crate::store::StoreError;
use crate::store::elastic::client::{Client, unavailable};
use crate::store::elastic::state::{self, Put, Seen};

/// The id of the record.
const ID: &str = "provision";

/// Everything that Picket made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    made: BTreeMap<(Kind, String), Made>,
    /// What a write of the record must still find.
    seen: Seen,
    changed: bool,
}

/// One thing that Picket made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    /// Digest of what was sent.
    pub(super) ours: String,
    /// Digest of what the server then had.
    pub(super) theirs: String,
    /// When it was last saved there, if the server says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) saved: Option<String>,
}

/// Where a thing says when it was last saved; no part of what it says.
pub(super) const SAVED: &str = "updated_at";

impl Made {
    fn new(ours: &Value, theirs: &Value) -> Self {
        Self {
            ours: digest(ours),
            theirs: digest(&unsaved(theirs)),
            saved: saved(theirs),
        }
    }

    /// Whether nobody changed it since. A server that is upgraded may write it anew, and does not
    /// say then that it was saved.
    pub(super) fn is_as_made(&self, theirs: &Value) -> bool {
        self.theirs == digest(&unsaved(theirs))
            || self.saved.is_some() && self.saved == saved(theirs)
    }
}

fn saved(theirs: &Value) -> Option<String> {
    theirs.get(SAVED)?.as_str().map(str::to_owned)
}

fn unsaved(theirs: &Value) -> Value {
    let mut theirs = theirs.clone();
    if let Value::Object(map) = &mut theirs {
        map.remove(SAVED);
    }
    theirs
}

/// One thing as the document keeps it.
#[derive(Serialize, Deserialize)]
struct Row {
    kind: Kind,
    name: String,
    #[serde(flatten)]
    made: Made,
}

#[derive(Default, Deserialize)]
struct Source {
    /// Rows of kinds that this version does not know stay out of it.
    made: Vec<Value>,
}

impl Record {
    pub(super) fn of(&self, kind: Kind, name: &str) -> Option<&Made> {
        self.made.get(&(kind, name.to_owned()))
    }

    pub(super) fn all(&self) -> Vec<(Kind, String, Made)> {
        let row =
            |((kind, name), made): (&(Kind, String), &Made)| (*kind, name.clone(), made.clone());
        self.made.iter().map(row).collect()
    }

    /// Keeps that it was made.
    pub(super) fn made(&mut self, kind: Kind, name: &str, ours: &Value, theirs: &Value) {
        let made = Made::new(ours, theirs);
        let before = self.made.insert((kind, name.to_owned()), made.clone());
        self.changed |= before != Some(made);
    }

    /// It is not there any more.
    pub(super) fn forget(&mut self, kind: Kind, name: &str) {
        self.changed |= self.made.remove(&(kind, name.to_owned())).is_some();
    }
}

/// Reads the record; an empty one where there is none.
pub(super) async fn read(client: &Client) -> Result<Record, StoreError> {
    let (source, seen): (Source, _) = state::read_document(client, ID).await?;
    let rows = source.made.into_iter();
    let rows = rows.filter_map(|row| serde_json::from_value::<Row>(row).ok());
    Ok(Record {
        made: rows.map(|row| ((row.kind, row.name), row.made)).collect(),
        seen,
        changed: false,
    })
}

/// Keeps the record, if there is something new in it.
///
/// # Errors
/// Somebody else provisioned meanwhile, or it may not be written.
pub(super) async fn write(client: &Client, record: &Record) -> Result<(), StoreError> {
    if !record.changed {
        return Ok(());
    }
    let rows = record.made.iter().map(|((kind, name), made)| Row {
        kind: *kind,
        name: name.clone(),
        made: made.clone(),
    });
    let body = json!({ "made": rows.collect::<Vec<_>>() });
    match state::put_document(client, ID, &body, record.seen).await? {
        // It was sent twice: the first try is in the way of the second.
        Put::Written | Put::Unsure => Ok(()),
        Put::Conflict => Err(unavailable(
            "somebody else provisioned at the same time; `picket provision plan` shows what is \
             there now",
        )),
    }
}
