//! The events of a store, as rules see them: for commands that look at what is collected. Reads
//! beside whoever sweeps, and moves no checkpoint.

use std::time::Duration;

use crate::cli::{Failure, block_on, progress, store};
use crate::config::Config;
use crate::document::Document;
use crate::store::Begin;
use crate::sweep::PAGE;

/// Reads every document that the configuration names and that is not older than `since`, until
/// `each` fails; a page at a time. Returns how many there were.
pub fn read(
    config: &Config,
    since: Option<Duration>,
    mut each: impl FnMut(&[Document]) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let store = store::open_read_only(config)?;
    let sources = store::sources(config);
    let from = since.map_or(Begin::Beginning, Begin::Ago);
    let bar = progress::documents();
    let mut read = 0;
    let mut at = block_on(async { Ok(store.begin(&sources, from).await?) })?;
    loop {
        let page = block_on(async { Ok(store.changes(None, &sources, &at, PAGE).await?) })?;
        for problem in &page.problems {
            crate::cli::load::warn(std::slice::from_ref(problem), 1, "");
        }
        if page.next == at {
            bar.finish_and_clear();
            return Ok(read);
        }
        each(&page.documents)?;
        read += page.documents.len() as u64;
        bar.set_position(read);
        at = page.next;
    }
}
