//! Reads the answers of `_search` and `_msearch`. A part that failed makes the whole an error: half
//! an answer looks like an answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::document::{Document, DocumentId, Version};
use crate::store::{StoreError, StoreErrorKind};

/// The answer to one search.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) hits: Hits<'a>,
    #[serde(default)]
    pub(super) aggregations: Option<Map<String, Value>>,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards", default)]
    shards: Shards,
    error: Option<Value>,
    status: Option<u16>,
}

/// The documents.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Hits<'a> {
    #[serde(default)]
    total: Total,
    #[serde(borrow, default)]
    pub(super) hits: Vec<Hit<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Total {
    value: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Shards {
    failed: u64,
    #[serde(default)]
    failures: Vec<Value>,
}

/// One document.
#[derive(Debug, Deserialize)]
pub(super) struct Hit<'a> {
    #[serde(rename = "_index", borrow)]
    index: Cow<'a, str>,
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_seq_no", default)]
    seq_no: Option<i64>,
    #[serde(rename = "_primary_term", default)]
    primary_term: u64,
    #[serde(rename = "_source", borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) sort: Vec<Value>,
}

impl Hit<'_> {
    /// The sequence number of its last write.
    pub(super) fn seq_no(&self) -> u64 {
        self.seq_no.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }

    /// The document. One without `_source` has an empty one, which nothing can read.
    pub(super) fn document(&self) -> Document {
        Document {
            id: DocumentId {
                index: (*self.index).into(),
                id: (*self.id).into(),
            },
            version: Version {
                seq_no: self.seq_no(),
                primary_term: self.primary_term,
            },
            source: self.source.map_or("", RawValue::get).into(),
        }
    }
}

impl Response<'_> {
    /// How many there are, whatever was asked for.
    pub(super) fn total(&self) -> u64 {
        self.hits.total.value
    }

    fn check(&self) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            let kind = match self.status {
                Some(400) => StoreErrorKind::BadRequest,
                Some(401 | 403) => StoreErrorKind::Unauthorized,
                _ => StoreErrorKind::Unavailable,
            };
            return Err(refused(kind, error));
        }
        if self.timed_out {
            return Err(StoreError::new(
                StoreErrorKind::BadRequest,
                "the search takes too long; name a field, or ask for a shorter time",
            ));
        }
        match self.shards.failures.first() {
            Some(failure) => Err(refused(StoreErrorKind::Unavailable, &failure["reason"])),
            None if self.shards.failed > 0 => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                format!("{} shards did not answer; try again", self.shards.failed),
            )),
            None => Ok(()),
        }
    }
}

/// The server's words: those of the first shard that refused say most.
fn refused(kind: StoreErrorKind, error: &Value) -> StoreError {
    let reasons = [&error["root_cause"][0]["reason"], &error["reason"], error];
    let reason = reasons.into_iter().find_map(Value::as_str);
    let reason = reason.unwrap_or("it does not say why");
    StoreError::new(kind, format!("the server refuses the search: {reason}"))
}

/// The answer to one `_search`.
///
/// # Errors
/// It failed, or it is no such answer.
pub(super) fn response(answer: &str) -> Result<Response<'_>, StoreError> {
    let response: Response<'_> = serde_json::from_str(answer).map_err(unreadable)?;
    response.check()?;
    Ok(response)
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        format!("cannot read the server's answer to a search: {error}"),
    )
}

/// The answers to the searches of one `_msearch`, in their order.
///
/// # Errors
/// One of them failed, or it is no such answer.
pub(super) fn responses(answer: &str) -> Result<Vec<Response<'_>>, StoreError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        responses: Vec<Response<'a>>,
    }
    let answer: Answer<'_> = serde_json::from_str(answer).map_err(unreadable)?;
    answer.responses.iter().try_for_each(Response::check)?;
    Ok(answer.responses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_an_error() {
        let kind = |answer: &str| responses(answer).unwrap_err().kind;
        let failed = r#"{"responses":[{"hits":{"hits":[]}},{"error":{"root_cause":[{"reason":"no"}]},"status":400}]}"#;
        assert_eq!(kind(failed), StoreErrorKind::BadRequest);
        let partly = r#"{"responses":[{"_shards":{"failed":1,"failures":[{"reason":{"reason":"x"}}]},"hits":{"hits":[]}}]}"#;
        assert_eq!(kind(partly), StoreErrorKind::Unavailable);
        assert!(responses(r#"{"responses":[{"hits":{"hits":[]},"timed_out":true}]}"#).is_err());
        let whole = r#"{"responses":[{"hits":{"total":{"value":1},"hits":[{"_index":"a","_id":"\u0031","_seq_no":7,"_primary_term":2,"_source":{"a" : 1e400},"sort":[5,7]}]}}]}"#;
        let all = responses(whole).unwrap();
        let document = all[0].hits.hits[0].document();
        assert_eq!(&*document.source, r#"{"a" : 1e400}"#);
        assert_eq!((&*document.id.id, document.version.seq_no), ("1", 7));
    }
}
