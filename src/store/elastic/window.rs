//! Asks for the [`Window`] of one host or user: more than is meant, because an index knows neither
//! which of several places names a document's host nor its time to the millisecond. What is meant
//! is decided here, by the taxonomy, on the documents themselves. Pure: asks nothing itself.
//!
//! At most the newest 50,000 documents. Not found: what the mappings leave out (`index: false`,
//! values over `ignore_above`, times that are neither dates nor whole values). Documents without
//! `@timestamp` or `timestamp` are looked for in one page only.

use std::collections::HashSet;

use serde_json::Value;

use super::dsl::{self, Clock, MAX_RESULTS, Part};
use super::hits::{self, Response};
use super::types::FieldTypes;
use crate::document::{Document, DocumentId, Scope};
use crate::store::query::Name;
use crate::store::{MAX_WINDOW, Sort, StoreError, Window};
use crate::taxonomy::{Event, Fields, Reader, Slots, accounts, paths, times};

/// How many documents a window holds: one more than is shown tells that there are more.
const MAX_DOCUMENTS: usize = MAX_WINDOW + 1;
/// How many documents are asked for at once.
const PAGE: usize = 5_000;
/// How many pages of what turns out to be somebody else's are read.
const MAX_PAGES: usize = 200;
/// How far a time as the index knows it may be from the document's own.
const SLACK: i64 = 1_000;

/// A window that is being read, page by page.
pub(super) struct History {
    window: Window,
    parts: Vec<Paged>,
    reader: Reader,
    slots: Slots,
    seen: HashSet<DocumentId>,
    /// With their times.
    found: Vec<(i64, Document)>,
}

struct Paged {
    part: Part,
    /// What the first page was asked.
    query: Value,
    /// Pages left to read.
    left: usize,
    found: usize,
}

impl History {
    /// A window of indices with those mappings, of which nothing is read.
    pub(super) fn new(window: &Window, types: &FieldTypes) -> Self {
        let names = match window.scope {
            Scope::Host => dsl::places(&Name::Host),
            Scope::User => {
                let apart = accounts()
                    .into_iter()
                    .flat_map(|(domain, name)| [domain, name]);
                let whole = dsl::places(&Name::User);
                whole.into_iter().chain(apart).collect()
            }
        };
        let times = times();
        let (from, to) = (
            window.from.saturating_sub(SLACK),
            window.to.saturating_add(SLACK),
        );
        let fields: Vec<String> = window.fields.iter().flat_map(|name| paths(name)).collect();
        let asked = dsl::with_clocks([names, times.clone(), fields.clone()].concat());
        let mut parts = Vec::new();
        for view in types.views(Some(&window.sources), &asked) {
            let entity = match window.scope {
                Scope::Host => dsl::host(&view, &window.entity),
                Scope::User => dsl::namesakes(&view, &window.entity),
            };
            let time = dsl::at_times(&view, &times, from, to);
            let saying = match window.fields.is_empty() {
                true => dsl::every(Vec::new()),
                false => dsl::saying(&view, &fields),
            };
            for (clock, family) in dsl::families(&Clock::all(&view), true) {
                let query = dsl::every(vec![entity.clone(), time.clone(), saying.clone(), family]);
                let (size, left) = match clock {
                    Some(_) => (PAGE, MAX_PAGES),
                    None => (MAX_RESULTS, 1),
                };
                let body = dsl::body(
                    query.clone(),
                    &view,
                    clock.as_ref(),
                    &Sort::NewestFirst,
                    size,
                );
                parts.push(Paged {
                    part: dsl::part(&view, clock, body),
                    query,
                    left,
                    found: 0,
                });
            }
        }
        Self {
            window: window.clone(),
            parts,
            reader: Reader::new(&Fields::default()),
            slots: Slots::default(),
            seen: HashSet::new(),
            found: Vec::new(),
        }
    }

    /// The body of the next `POST _msearch`; `None`: all is read.
    pub(super) fn lines(&self) -> Option<String> {
        let open = self.parts.iter().filter(|paged| paged.left > 0);
        dsl::lines(open.map(|paged| &paged.part))
    }

    /// Takes the answer to [`History::lines`].
    ///
    /// # Errors
    /// A part failed.
    pub(super) fn take(&mut self, answer: &str) -> Result<(), StoreError> {
        let responses = hits::responses(answer)?;
        let mut parts = std::mem::take(&mut self.parts);
        let open = parts.iter_mut().filter(|paged| paged.left > 0);
        for (paged, response) in open.zip(&responses) {
            self.page(paged, response);
        }
        self.parts = parts;
        Ok(())
    }

    fn page(&mut self, paged: &mut Paged, response: &Response<'_>) {
        let hits = &response.hits.hits;
        let before = self.seen.len();
        for hit in hits {
            let document = hit.document();
            if self.seen.insert(document.id.clone())
                && let Some(time) = self.time_if_meant(&document)
            {
                paged.found += 1;
                self.found.push((time, document));
            }
        }
        paged.left = paged.left.saturating_sub(1);
        let clock = paged.part.clock.as_ref();
        let last = hits.last().and_then(|hit| hit.sort.first());
        let last = clock.zip(last).and_then(|(clock, value)| clock.told(value));
        match clock.zip(last) {
            Some((clock, last)) if hits.len() >= PAGE && paged.found < MAX_DOCUMENTS => {
                // From the same moment again, so that nothing of it is lost; a moment that fills a
                // page with nothing new is passed by.
                let until = match self.seen.len() > before {
                    true => last.saturating_add(1),
                    false => last.saturating_sub(1),
                };
                let rest = clock.between(None, Some(until));
                paged.part.body["query"] = dsl::every(vec![paged.query.clone(), rest]);
            }
            _ => paged.left = 0,
        }
    }

    /// The document's time, if it is this entity's and in the window.
    fn time_if_meant(&mut self, document: &Document) -> Option<i64> {
        if self.window.sources.never_feed(&document.id.index) {
            return None;
        }
        self.reader.read(&document.source, &mut self.slots).ok()?;
        let event = Event::new(document, &self.slots);
        let entity = match self.window.scope {
            Scope::Host => event.host(),
            Scope::User => event.user(),
        };
        let time = event.time()?;
        let meant = entity?.to_lowercase() == self.window.entity.to_lowercase()
            && (self.window.from..=self.window.to).contains(&time);
        meant.then_some(time)
    }

    /// The documents, oldest first.
    pub(super) fn documents(mut self) -> Vec<Document> {
        self.found.sort_by(|(time, one), (other_time, other)| {
            let one = (time, one.version.seq_no, &one.id);
            one.cmp(&(other_time, other.version.seq_no, &other.id))
        });
        let cut = self.found.len().saturating_sub(MAX_DOCUMENTS);
        self.found.drain(..cut);
        self.found
            .into_iter()
            .map(|(_, document)| document)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Sources;
    use crate::store::elastic::types::tests::sample;

    fn hit(id: usize, time: i64, host: &str) -> Value {
        let written = chrono::DateTime::from_timestamp_millis(time).unwrap();
        json!({
            "_index": "logs", "_id": id.to_string(), "_seq_no": id, "_primary_term": 1,
            "_source": {"@timestamp": written.to_rfc3339(), "Computer": host, "EventID": 1},
            "sort": [time, id],
        })
    }

    #[test]
    fn pages_until_all_is_read_and_keeps_what_is_meant() {
        let window = Window {
            sources: Sources::all(),
            scope: Scope::Host,
            entity: "ws5".into(),
            from: 1_000_000,
            to: 2_000_000,
            fields: Vec::new(),
        };
        let mut history = History::new(&window, &sample());
        let open = |history: &History| history.lines().map_or(0, |lines| lines.lines().count() / 2);
        let parts = open(&history);
        assert!(parts > 2);
        let first = history
            .parts
            .iter()
            .position(|paged| {
                paged
                    .part
                    .clock
                    .as_ref()
                    .is_some_and(|c| c.path() == "@timestamp")
            })
            .unwrap();
        let answer = |hits: Vec<Value>, parts: usize, at: usize| {
            let mut responses = vec![json!({"hits": {"hits": []}}); parts];
            responses[at] = json!({"hits": {"hits": hits}});
            json!({ "responses": responses }).to_string()
        };
        let mut hits: Vec<Value> = (0..PAGE - 1).map(|id| hit(id, 1_500_000, "WS5")).collect();
        hits.push(hit(90_000, 1_400_000, "ws50"));
        history.take(&answer(hits, parts, first)).unwrap();
        assert_eq!(open(&history), 1, "a part that filled no page is done");
        assert!(history.lines().unwrap().contains("1400001"));
        let hits = vec![
            hit(0, 1_500_000, "WS5"),
            hit(90_001, 1_100_000, "Ws5"),
            hit(90_002, 999_999, "ws5"),
        ];
        history.take(&answer(hits, 1, 0)).unwrap();
        assert_eq!(history.lines(), None);
        let documents = history.documents();
        assert_eq!(documents.len(), PAGE);
        assert_eq!(&*documents[0].id.id, "90001");
    }
}
