//! Asks the cluster what `dsl` and `window` have planned. Decides nothing.

use super::client::{Client, encode, post};
use super::types::FieldTypes;
use super::window::History;
use super::{client, dsl};
use crate::document::Document;
use crate::store::{Found, Search, Sources, StoreError, Window};

/// See [`crate::store::Store::find`].
pub(super) async fn find(client: &Client, search: &Search) -> Result<Found, StoreError> {
    // What makes no sense is refused before anything is asked.
    dsl::plan(search, &FieldTypes::default())?;
    let types = types(client, search.sources.as_ref()).await?;
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
pub(super) async fn window(client: &Client, window: &Window) -> Result<Vec<Document>, StoreError> {
    let mut history = History::new(window, &types(client, None).await?);
    while let Some(lines) = history.lines() {
        let answer = ask(client, &lines).await?;
        history.take(&answer)?;
    }
    Ok(history.documents())
}

/// The mappings of those sources' indices; without sources of all that are not hidden.
async fn types(client: &Client, sources: Option<&Sources>) -> Result<FieldTypes, StoreError> {
    let all = Sources::all();
    let patterns = sources.unwrap_or(&all).0.iter();
    let patterns: Vec<String> = patterns.map(|pattern| encode(pattern)).collect();
    let path = format!("{}/_field_caps", patterns.join(","));
    let query = [
        ("fields", "*"),
        ("ignore_unavailable", "true"),
        ("allow_no_indices", "true"),
    ];
    let mut request = client::get(&path);
    request.query = &query;
    FieldTypes::read(&text(client, request).await?)
}

async fn ask(client: &Client, lines: &str) -> Result<String, StoreError> {
    text(client, post("_msearch", &[], lines.as_bytes())).await
}

/// The answer of a success.
async fn text(client: &Client, request: client::Request<'_>) -> Result<String, StoreError> {
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
