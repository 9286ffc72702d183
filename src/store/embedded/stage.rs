//! Decides what is written for an add, an edit or a verdict, given what the store holds and what
//! is already staged. Numbers every write. Never touches the index's writer, so that a failed
//! commit can be forgotten by dropping what was staged for it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error;
use super::row::{Row, Rows};
use super::snapshot::Snapshot;
use crate::alert::AlertLevel;
use crate::document::{Document, DocumentId, Version};
use crate::finding::Verdict;
use crate::store::findings::Record;
use crate::store::{FINDINGS_INDEX, Outcome, StoreError, patch};

/// A write that waits for a commit.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) seq: u64,
    pub(super) row: Row,
}

/// Writes that wait for a commit, the last of each document.
pub(super) type Writes = HashMap<DocumentId, Write>;

/// What one group of jobs sees and writes.
pub(super) struct Stage<'a> {
    /// What is committed.
    pub(super) snapshot: &'a Snapshot,
    /// What was applied since, and is not committed.
    pub(super) pending: &'a Writes,
    /// What this group writes.
    pub(super) staged: Writes,
    pub(super) rows: &'a mut Rows,
    /// The highest sequence number that was given out.
    pub(super) seq: u64,
}

impl Stage<'_> {
    /// The document as it will be after the next commit.
    pub(super) fn current(&self, id: &DocumentId) -> Result<Option<Document>, StoreError> {
        match self.staged.get(id).or_else(|| self.pending.get(id)) {
            Some(write) => Ok(Some(Document {
                id: id.clone(),
                version: Version {
                    seq_no: write.seq,
                    primary_term: 1,
                },
                source: write.row.source.clone(),
            })),
            None => self.snapshot.get(id),
        }
    }

    fn write(&mut self, row: Row) {
        self.seq += 1;
        let write = Write { seq: self.seq, row };
        self.staged.insert(write.row.id.clone(), write);
    }

    /// Writes documents; the last of an id wins.
    pub(super) fn add(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        for row in rows {
            let known = row.only_new
                && (self.staged.contains_key(&row.id)
                    || self.pending.contains_key(&row.id)
                    || self.snapshot.place(&row.id)?.is_some());
            if !known {
                self.write(row);
            }
        }
        Ok(())
    }

    /// Changes a document if its version still holds.
    pub(super) fn edit(
        &mut self,
        id: &DocumentId,
        version: Version,
        change: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        match self.current(id)? {
            Some(document) if document.version == version => {
                self.change(&document, change)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Writes the changed document, if the change changes anything.
    fn change(
        &mut self,
        document: &Document,
        change: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        let Some(source) = patch::patch(&document.source, change).map_err(error::damaged)? else {
            return Ok(false);
        };
        let row = self.rows.row(document.id.clone(), source.into())?;
        self.write(row);
        Ok(true)
    }

    /// Writes one verdict and its findings.
    pub(super) fn apply(&mut self, verdict: &Verdict) -> Result<Outcome, StoreError> {
        if *verdict.document.index == *FINDINGS_INDEX {
            return Ok(Outcome::Rejected("findings are not judged".into()));
        }
        let document = match self.current(&verdict.document)? {
            Some(document) if document.version == verdict.version => document,
            _ => return Ok(Outcome::Conflict),
        };
        let outcome = match self.raise(&document, verdict) {
            Ok(true) => Outcome::Written,
            Ok(false) => Outcome::Kept,
            Err(error) => Outcome::Rejected(error.message),
        };
        self.keep(verdict)?;
        Ok(outcome)
    }

    /// Whether the document had to be written.
    fn raise(&mut self, document: &Document, verdict: &Verdict) -> Result<bool, StoreError> {
        let standing = self.rows.facts(document).map_err(error::damaged)?.standing;
        match &verdict.patch {
            Some(_) if standing.ignored => Ok(false),
            Some(change) if verdict.takes_back && standing.is_unsettled() => {
                self.change(document, change)
            }
            Some(change) => self.change(document, &never_lower(change, standing.level)),
            None => Ok(false),
        }
    }

    fn keep(&mut self, verdict: &Verdict) -> Result<(), StoreError> {
        let id = Record::id(&verdict.document);
        // A record that cannot be read is somebody's damage: the new one takes its place.
        let before: Option<Record> = self
            .current(&id)?
            .and_then(|document| serde_json::from_str(&document.source).ok());
        if let Some(record) = Record::after(verdict, before.as_ref()) {
            let source = serde_json::to_string(&record).map_err(error::damaged)?;
            let row = self.rows.row(id, source.into())?;
            self.write(row);
        }
        Ok(())
    }
}

/// The change without an `AlertLevel` below the one that stands.
fn never_lower(change: &Map<String, Value>, standing: AlertLevel) -> Map<String, Value> {
    let mut change = change.clone();
    let level = change.get("AlertLevel").and_then(Value::as_u64);
    if level.is_some_and(|level| level < u64::from(u8::from(standing))) {
        change.shift_remove("AlertLevel");
    }
    change
}
