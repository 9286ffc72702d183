//! Asks the cluster what `dsl` and `window` have planned. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::client::{Client, encode, post};
use super::types::FieldTypes;
use super::window::History;
use super::{client, dsl, shards};
use crate::document::Document;
use crate::store::{FINDINGS_INDEX, Found, Search, Sources, StoreError, Window};

/// How long windows take the mappings for what they were. A sweep asks for a window for each host
/// of a page, and the mappings of many indices are megabytes.
const FRESH: Duration = Duration::from_secs(60);

/// The mappings that windows are asked by, for each set of patterns.
#[derive(Default)]
pub(super) struct Known(Mutex<BTreeMap<Vec<String>, Answered>>);

struct Answered {
    at: Instant,
    types: Arc<FieldTypes>,
}

impl Known {
    /// Whoever asks next asks the cluster: there are new documents, which may have new fields, or
    /// new indices.
    pub(super) async fn forget(&self) {
        self.0.lock().await.clear();
    }

    async fn types(
        &self,
        client: &Client,
        sources: &Sources,
    ) -> Result<Arc<FieldTypes>, StoreError> {
        // Held while the cluster is asked: windows that are read at the same time ask once.
        let mut known = self.0.lock().await;
        if let Some(answered) = known.get(&sources.0)
            && answered.at.elapsed() < FRESH
        {
            return Ok(Arc::clone(&answered.types));
        }
        let types = Arc::new(types(client, sources).await?);
        let answered = Answered {
            at: Instant::now(),
            types: Arc::clone(&types),
        };
        known.insert(sources.0.clone(), answered);
        Ok(types)
    }
}

/// See [`crate::store::Store::find`]; `all`: what Picket is configured to read.
pub(super) async fn find(
    client: &Client,
    all: &Sources,
    search: &Search,
) -> Result<Found, StoreError> {
    // What makes no sense is refused before anything is asked.
    dsl::plan(search, &FieldTypes::default())?;
    let sources = meant(search.sources.as_ref(), all);
    let types = types(client, &sources).await?;
    let search = &Search {
        sources: Some(sources),
        ..search.clone()
    };
    let plan = dsl::plan(search, &types)?;
    match plan.lines() {
        Some(lines) => plan.found(&ask(client, &lines).await?),
        None => Ok(Found {
            buckets: vec![Vec::new(); search.aggregations.len()],
            ..Found::default()
        }),
    }
}

/// See [`crate::store::Store::window`].
pub(super) async fn window(
    client: &Client,
    known: &Known,
    window: &Window,
) -> Result<Vec<Document>, StoreError> {
    let types = known.types(client, &window.sources).await?;
    let mut history = History::new(window, &types);
    while let Some(lines) = history.lines() {
        let answer = ask(client, &lines).await?;
        history.take(&answer)?;
    }
    Ok(history.documents())
}

/// The sources that a search means. Everything is what Picket is configured to read: a cluster holds
/// much else, and may not let us look at it.
fn meant(asked: Option<&Sources>, all: &Sources) -> Sources {
    match asked {
        None => {
            let own = FINDINGS_INDEX.to_owned();
            Sources(all.0.iter().cloned().chain([own]).collect())
        }
        Some(asked) if *asked == Sources::all() => all.clone(),
        Some(asked) => asked.clone(),
    }
}

/// The mappings of those sources' indices.
pub(super) async fn types(client: &Client, sources: &Sources) -> Result<FieldTypes, StoreError> {
    let patterns: Vec<String> = sources.0.iter().map(|pattern| encode(pattern)).collect();
    let path = format!("{}/_field_caps", patterns.join(","));
    let query = [
        ("fields", "*"),
        ("ignore_unavailable", "true"),
        ("allow_no_indices", "true"),
    ];
    let mut request = client::get(&path);
    request.query = &query;
    let types = FieldTypes::read(&text(client, request).await?)?;
    Ok(types.without_numbers(shards::unnumbered(client, sources).await?))
}

async fn ask(client: &Client, lines: &str) -> Result<String, StoreError> {
    text(client, post("_msearch", &[], lines.as_bytes())).await
}

/// The answer of a success.
pub(super) async fn text(
    client: &Client,
    request: client::Request<'_>,
) -> Result<String, StoreError> {
    let answer = client.send(request).await?;
    if !(200..300).contains(&answer.status) {
        return Err(answer.error(client.address()));
    }
    String::from_utf8(answer.body).map_err(|_| {
        client::unavailable(format!(
            "{} gave an answer that is no text",
            client.address()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_what_is_configured() {
        let sources = |patterns: &[&str]| Sources(patterns.iter().map(|p| (*p).into()).collect());
        let all = sources(&["winlogbeat-*", "cmdlogs"]);
        assert_eq!(meant(Some(&Sources::all()), &all), all);
        assert_eq!(
            meant(None, &all),
            sources(&["winlogbeat-*", "cmdlogs", FINDINGS_INDEX])
        );
        let one = sources(&["logs-*"]);
        assert_eq!(meant(Some(&one), &all), one);
    }
}
