//! Writes verdicts: first the findings, under ids made of the documents', then the documents
//! themselves, each only if it still has the version that was judged. In this order, because a
//! document that says it is judged is not judged again: its finding must be there by then.

use serde_json::{Map, Value};

use super::bulk::{self, Item, Write};
use super::client::{Client, unavailable};
use super::{schema, state};
use crate::document::{DocumentId, Version};
use crate::finding::Verdict;
use crate::store::findings::Record;
use crate::store::{FINDINGS_INDEX, Outcome, StoreError};

/// How often a finding is tried again that others write to at the same time.
const TRIES: u32 = 10;

/// What became of the finding of a verdict.
#[derive(Clone, Debug, Default)]
enum Kept {
    /// It is there, and was before.
    #[default]
    There,
    /// It is there by our doing, under that version.
    Created(Version),
    /// It is not. Why.
    Refused(String),
}

/// Writes verdicts and their findings; one outcome each, in order.
pub(super) async fn apply(
    client: &Client,
    verdicts: &[Verdict],
) -> Result<Vec<Outcome>, StoreError> {
    let gone = bulk::gone(client, verdicts.iter().map(|v| &v.document)).await?;
    let is_gone = |number: usize| gone.contains(&verdicts[number].document.index);
    let open = (0..verdicts.len()).filter(|number| !is_gone(*number));
    let kept = keep(client, verdicts, open.collect()).await?;
    let mut outcomes = vec![Outcome::Kept; verdicts.len()];
    let mut writes = Vec::new();
    let mut numbers = Vec::new();
    for (number, (verdict, kept)) in verdicts.iter().zip(&kept).enumerate() {
        match (&verdict.patch, kept) {
            _ if is_gone(number) => outcomes[number] = Outcome::Conflict,
            (_, Kept::Refused(why)) => outcomes[number] = Outcome::Rejected(why.clone()),
            // Nobody could tell whether somebody else wrote in between.
            (Some(_), _) if verdict.version.primary_term == 0 => {
                let index = &verdict.document.index;
                let why = format!("{index} keeps no sequence numbers");
                outcomes[number] = Outcome::Rejected(why);
            }
            (Some(patch), _) => {
                numbers.push(number);
                writes.push(Write::Update(
                    verdict.document.clone(),
                    verdict.version,
                    fields(patch),
                ));
            }
            (None, _) => {}
        }
    }
    let items = bulk::write(client, &writes, false).await?;
    let mut overtaken = Vec::new();
    for (number, item) in numbers.into_iter().zip(items) {
        outcomes[number] = outcome(&verdicts[number].document, &item);
        if outcomes[number] == Outcome::Conflict {
            overtaken.push(number);
        }
    }
    settle(client, verdicts, &kept, &overtaken, &mut outcomes).await?;
    Ok(outcomes)
}

/// The patch as an update takes it. An update merges objects, so what the field `picket` may hold
/// from an earlier verdict and not from this one is emptied.
fn fields(patch: &Map<String, Value>) -> Value {
    let mut fields = patch.clone();
    if let Some(Value::Object(picket)) = fields.get_mut("picket") {
        for key in ["score", "reason"] {
            picket.entry(key).or_insert(Value::Null);
        }
    }
    Value::Object(fields)
}

/// Puts the findings of those verdicts together with what is kept of its document.
async fn keep(
    client: &Client,
    verdicts: &[Verdict],
    mut open: Vec<usize>,
) -> Result<Vec<Kept>, StoreError> {
    let mut kept = vec![Kept::default(); verdicts.len()];
    for _ in 0..TRIES {
        if open.is_empty() {
            return Ok(kept);
        }
        open = keep_some(client, verdicts, &open, &mut kept).await?;
    }
    Err(unavailable(format!(
        "{FINDINGS_INDEX} is changed by too many at once; the next sweep tries again"
    )))
}

/// One try; the verdicts whose findings others wrote in between come back.
async fn keep_some(
    client: &Client,
    verdicts: &[Verdict],
    open: &[usize],
    kept: &mut [Kept],
) -> Result<Vec<usize>, StoreError> {
    let ids: Vec<DocumentId> = open
        .iter()
        .map(|number| Record::id(&verdicts[*number].document))
        .collect();
    let before = bulk::read::<Record>(client, &ids, &[]).await?;
    let is_gone = before.iter().any(bulk::Got::is_index_gone);
    let mut writes = Vec::new();
    let mut numbers = Vec::new();
    for ((number, id), before) in open.iter().zip(ids).zip(before) {
        let Some(record) = Record::after(&verdicts[*number], before.source.as_ref()) else {
            continue;
        };
        let source = serde_json::to_vec(&record)
            .map_err(|error| unavailable(format!("a finding cannot be written: {error}")))?;
        numbers.push(*number);
        writes.push(if before.source.is_some() {
            Write::Replace(id, before.version(), source)
        } else {
            Write::Create(id, source)
        });
    }
    // Before the first write would make it without its mapping.
    if is_gone && !writes.is_empty() {
        create_index(client).await?;
    }
    let items = bulk::write(client, &writes, false).await?;
    let mut again = Vec::new();
    for ((number, write), item) in numbers.into_iter().zip(&writes).zip(items) {
        kept[number] = match (item.status, &item.error) {
            (201, _) if matches!(write, Write::Create(..)) => Kept::Created(item.version),
            (200 | 201, _) => Kept::There,
            (409, _) => {
                again.push(number);
                continue;
            }
            (403, Some((kind, _))) if kind == "security_exception" => {
                return Err(StoreError::new(
                    crate::store::StoreErrorKind::Unauthorized,
                    format!(
                        "not allowed to write to {FINDINGS_INDEX}; `picket role` prints what is needed"
                    ),
                ));
            }
            (_, error) => {
                let why = error.as_ref().map_or("", |(_, reason)| reason);
                Kept::Refused(format!("its finding cannot be kept: {why}"))
            }
        };
    }
    Ok(again)
}

/// Looks at the documents that somebody else's write overtook. Where it was our own, of a try whose
/// answer was lost or of another Picket, the verdict stands. Otherwise the finding that we made for
/// it goes: the document comes again and is judged as it is now.
async fn settle(
    client: &Client,
    verdicts: &[Verdict],
    kept: &[Kept],
    overtaken: &[usize],
    outcomes: &mut [Outcome],
) -> Result<(), StoreError> {
    let ids: Vec<DocumentId> = overtaken
        .iter()
        .map(|number| verdicts[*number].document.clone())
        .collect();
    let now = bulk::read::<Value>(client, &ids, &["picket.judged", "picket.at"]).await?;
    let mut writes = Vec::new();
    for (number, now) in overtaken.iter().zip(now) {
        let says = |key: &str| now.source.as_ref().and_then(|s| s.pointer(key));
        let ours = |key: &str| {
            let patch = verdicts[*number].patch.as_ref();
            patch.and_then(|p| p.get("picket")).and_then(|p| p.get(key))
        };
        if says("/picket/judged").is_some() && says("/picket/judged") == ours("judged") {
            if says("/picket/at") == ours("at") {
                outcomes[*number] = Outcome::Written;
            }
        } else if let Kept::Created(version) = kept[*number] {
            writes.push(Write::Delete(
                Record::id(&verdicts[*number].document),
                version,
            ));
        }
    }
    // If somebody wrote there since, it is theirs and stays.
    bulk::write(client, &writes, false).await?;
    Ok(())
}

/// What became of a document.
fn outcome(document: &DocumentId, item: &Item) -> Outcome {
    let index = &document.index;
    let Some((kind, _)) = &item.error else {
        return Outcome::Written;
    };
    Outcome::Rejected(match (item.status, kind.as_str()) {
        // Written or deleted by somebody else.
        (404 | 409, _) => return Outcome::Conflict,
        (_, "cluster_block_exception") => format!("{index} is read-only"),
        (_, "security_exception") => {
            format!("not allowed to write to {index}; `picket role` prints what is needed")
        }
        (_, "index_closed_exception") => format!("{index} is closed"),
        (
            _,
            "mapper_parsing_exception"
            | "document_parsing_exception"
            | "strict_dynamic_mapping_exception",
        ) => format!("the mapping of {index} refuses `AlertLevel` or `picket`"),
        (_, kind) => format!("{index} refuses with {kind}"),
    })
}

async fn create_index(client: &Client) -> Result<(), StoreError> {
    state::create(client, FINDINGS_INDEX, &schema::findings()).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_leaves_nothing_of_an_earlier_verdict() {
        let patch = json!({ "AlertLevel": 1, "picket": { "judged": "d", "reason": "r" } });
        let fields = fields(patch.as_object().unwrap());
        assert_eq!(
            fields["picket"],
            json!({ "judged": "d", "reason": "r", "score": null })
        );
        assert_eq!(fields["AlertLevel"], 1);
    }

    #[test]
    fn refusals_are_sentences() {
        let document = DocumentId {
            index: "logs".into(),
            id: "1".into(),
        };
        let item = |status: u16, kind: &str| Item {
            status,
            version: Version::default(),
            error: Some((kind.into(), String::new())),
        };
        let of = |status, kind| outcome(&document, &item(status, kind));
        assert_eq!(
            of(409, "version_conflict_engine_exception"),
            Outcome::Conflict
        );
        assert_eq!(of(404, "document_missing_exception"), Outcome::Conflict);
        assert_eq!(
            of(403, "cluster_block_exception"),
            Outcome::Rejected("logs is read-only".into())
        );
        assert_eq!(
            of(400, "strict_dynamic_mapping_exception"),
            Outcome::Rejected("the mapping of logs refuses `AlertLevel` or `picket`".into())
        );
    }
}
