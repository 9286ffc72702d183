//! What each activation of a sweep did, one document each in `picket-sweeps`, for people to look at.
//! Nothing depends on it: where it cannot be kept, a sweep goes on.

use elasticsearch::http::Method;
use serde_json::Value;
use tracing::warn;

use super::client::{Client, Request};
use super::{schema, state};
use crate::store::StoreError;
use crate::store::findings::digest;

/// The index that holds the reports of sweeps.
pub const SWEEPS_INDEX: &str = "picket-sweeps";

/// Keeps the report of an activation; once, however often it is said.
pub(super) async fn keep(client: &Client, owner: &str, sweep: &str, report: &Value) {
    if let Err(error) = write(client, owner, sweep, report).await {
        warn!(
            sweep,
            "no report in {SWEEPS_INDEX}: {error}; `picket role` prints what is needed"
        );
    }
}

async fn write(
    client: &Client,
    owner: &str,
    sweep: &str,
    report: &Value,
) -> Result<(), StoreError> {
    state::create(client, SWEEPS_INDEX, &schema::sweeps()).await?;
    let which = format!("{owner} {}", report["started"]);
    let path = format!("{SWEEPS_INDEX}/_doc/{}", digest(sweep, &which));
    let body = report.to_string();
    let request = Request {
        method: Method::Put,
        path: &path,
        query: &[],
        body: Some(body.as_bytes()),
    };
    let answer = client.send(request).await?;
    match answer.status {
        200 | 201 => Ok(()),
        _ => Err(answer.error(client.address())),
    }
}
