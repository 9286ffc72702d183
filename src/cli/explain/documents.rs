//! The documents that `picket explain` is about: of a file, one record of it, standard input, or
//! one of the store.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::cli::{Failure, block_on, load, store};
use crate::config::Config;
use crate::document::{Document, DocumentId};
use crate::input::{Item, Progress};
use crate::taxonomy::Event;

/// Where a document stands, and what it says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    /// Its file or index.
    pub(super) index: String,
    /// Its number or id.
    pub(super) id: String,
    /// When it was, in milliseconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<i64>,
    /// Its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
}

impl Place {
    pub(super) fn new(document: &Document, event: &Event<'_>) -> Self {
        Self {
            index: document.id.index.to_string(),
            id: document.id.id.to_string(),
            time: event.time(),
            host: event.host().map(str::to_owned),
        }
    }
}

/// Shows all documents that `name` means.
pub(super) fn each(
    name: &str,
    config: &Config,
    show: &mut dyn FnMut(&Document),
) -> Result<(), Failure> {
    if name == "-" || Path::new(name).exists() {
        return of_file(name, None, show);
    }
    if let Some((file, number)) = name.rsplit_once(':')
        && let Ok(number) = number.parse()
        && Path::new(file).exists()
    {
        return of_file(file, Some(number), show);
    }
    let Some((index, id)) = name.split_once('/') else {
        return Err(Failure::input(format!(
            "there is no {name}; name a file, FILE:NUMBER, - or INDEX/ID"
        )));
    };
    let store = store::open_read_only(config).map_err(|failure| Failure {
        exit: failure.exit,
        message: format!(
            "there is no file {name}, and no store to look it up in: {}",
            failure.message
        ),
    })?;
    let id = DocumentId {
        index: index.into(),
        id: id.into(),
    };
    let found = block_on(async { Ok(store.get(&[id]).await?) })?;
    match found.into_iter().next().flatten() {
        Some(document) => {
            show(&document);
            Ok(())
        }
        None => Err(Failure::input(format!(
            "there is no file {name}, and no such document in {}",
            store::name(config)
        ))),
    }
}

fn of_file(file: &str, only: Option<u64>, show: &mut dyn FnMut(&Document)) -> Result<(), Failure> {
    let inputs = load::inputs(&[PathBuf::from(file)])?;
    let progress = Progress::default();
    let mut problems = Vec::new();
    let mut found = only.is_none();
    let _ = inputs.read(&progress, &mut |item| {
        match item {
            Item::Problem(problem) => problems.push(problem),
            Item::Record(record) if only.is_none_or(|only| only == record.number) => {
                found = true;
                show(&Document::loose(
                    Arc::from(record.file),
                    record.number.to_string(),
                    record.source,
                ));
            }
            Item::Record(_) => {}
        }
        ControlFlow::Continue(())
    });
    load::warn(&problems, problems.len() as u64, "could not be read");
    match only {
        Some(number) if !found => Err(Failure::input(format!(
            "{file} has no record {number}; records count by line, in .evtx by EventRecordID"
        ))),
        _ => Ok(()),
    }
}
