//! Writes verdicts, those of windows also where the document was written meanwhile: they speak of
//! its place in a history, so they are settled anew against what it says now. A document that
//! somebody else changed is judged anew as a whole, since it comes again in the feed; one that only
//! Picket changed does not.

use crate::document::{Document, DocumentId};
use crate::finding::{Standing, Verdict};
use crate::store::{Outcome, Store, StoreError};
use crate::taxonomy::{Event, Fields, Reader, Slots};

/// How often a verdict is settled anew.
const TRIES: usize = 5;

/// Writes verdicts; one outcome each, in order.
pub(super) async fn apply(
    store: &dyn Store,
    verdicts: &mut [Verdict],
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = store.apply(verdicts).await?;
    let reader = Reader::new(&Fields::default());
    for _ in 0..TRIES {
        let overtaken: Vec<usize> = (0..verdicts.len())
            .filter(|at| !verdicts[*at].whole && outcomes[*at] == Outcome::Conflict)
            .collect();
        if overtaken.is_empty() {
            break;
        }
        let ids: Vec<DocumentId> = overtaken
            .iter()
            .map(|at| verdicts[*at].document.clone())
            .collect();
        let now = store.get(&ids).await?;
        let mut again = Vec::new();
        let mut places = Vec::new();
        for (at, document) in overtaken.into_iter().zip(now) {
            // It was deleted, or cannot be read any more.
            let Some((standing, document)) =
                document.and_then(|d| Some((standing(&reader, &d)?, d)))
            else {
                continue;
            };
            let verdict = &mut verdicts[at];
            verdict.version = document.version;
            verdict.settle(&standing);
            again.push(verdict.clone());
            places.push(at);
        }
        for (at, outcome) in places.into_iter().zip(store.apply(&again).await?) {
            outcomes[at] = outcome;
        }
    }
    Ok(outcomes)
}

fn standing(reader: &Reader, document: &Document) -> Option<Standing> {
    let mut slots = Slots::default();
    reader.read(&document.source, &mut slots).ok()?;
    Some(Event::new(document, &slots).standing().clone())
}
