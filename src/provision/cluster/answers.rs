//! Where things stand on a cluster, how they are sent, and what its answers mean: that something is
//! there, is not, or cannot be. Asks nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::provision::plan::{Found, Kind};
use crate::store::elastic::Kind as ServerKind;
use crate::store::elastic::client::{Answer, encode};

/// Where it is written and read.
pub(in crate::provision) fn path(kind: Kind, name: &str, server: ServerKind) -> String {
    let name = encode(name);
    let folder = match (kind, server) {
        (Kind::ComponentTemplate, _) => "_component_template/",
        (Kind::IndexTemplate, _) => "_index_template/",
        (Kind::LifecyclePolicy, _) => "_ilm/policy/",
        (Kind::StatePolicy, _) => "_plugins/_ism/policies/",
        (Kind::Pipeline, _) => "_ingest/pipeline/",
        (Kind::Role, ServerKind::Elasticsearch) => "_security/role/",
        (Kind::Role, ServerKind::OpenSearch) => "_plugins/_security/api/roles/",
        (Kind::Job, _) => "_ml/anomaly_detectors/",
        (Kind::Datafeed, _) => "_ml/datafeeds/",
        (Kind::Transform, _) => "_transform/",
        (Kind::Outliers, _) => "_ml/data_frame/analytics/",
        (Kind::Fields, _) => return format!("{name}/_mapping"),
        // Indices; what is not the cluster's has no path there.
        _ => "",
    };
    format!("{folder}{name}")
}

/// The body as a write takes it.
pub(in crate::provision) fn wrapped(kind: Kind, body: &Value) -> Value {
    match kind {
        Kind::LifecyclePolicy | Kind::StatePolicy => json!({ "policy": body }),
        _ => body.clone(),
    }
}

pub(in crate::provision) fn processors(nodes: &Value) -> BTreeSet<String> {
    let nodes = nodes.get("nodes").and_then(Value::as_object);
    let lists = nodes.into_iter().flatten().filter_map(|(_, node)| {
        let list = node.pointer("/ingest/processors")?.as_array()?;
        let types = list.iter().filter_map(|p| p.get("type")?.as_str());
        Some(types.map(str::to_owned).collect::<BTreeSet<_>>())
    });
    // Any of the nodes may be the one that does it.
    lists.reduce(|all, more| &all & &more).unwrap_or_default()
}

/// Whether a server that answers so has what was asked for. A path that it does not know is no
/// method, no index or no handler to it, each version in its own way.
pub(in crate::provision) fn is_offered(answer: &Answer) -> bool {
    let no_index = memchr::memmem::find(&answer.body, b"index_not_found_exception").is_some();
    match answer.status {
        200 | 401 | 403 => true,
        404 => !no_index,
        _ => false,
    }
}

/// What it means that something cannot be read.
pub(in crate::provision) fn refused(kind: Kind, answer: &Answer) -> Option<Found> {
    let what = kind.name();
    match answer.status {
        200 => None,
        404 if is_offered(answer) || matches!(kind, Kind::Index | Kind::Fields) => {
            Some(Found::Absent)
        }
        401 | 403 => Some(Found::Refused(
            "not allowed to look at it; `picket role --provision` prints what is needed".into(),
        )),
        400 | 404 | 405 | 500 if kind == Kind::Role => Some(Found::Refused(
            "this cluster has no security, so everybody may do everything; turn it on".into(),
        )),
        400 | 404 | 405 => Some(Found::Refused(format!("this cluster has no {what}"))),
        _ => None,
    }
}

/// The thing inside the answer that is about it.
pub(in crate::provision) fn inside<'v>(
    kind: Kind,
    name: &str,
    body: &'v Value,
) -> Option<&'v Value> {
    match kind {
        Kind::ComponentTemplate => body.pointer("/component_templates/0/component_template"),
        Kind::IndexTemplate => body.pointer("/index_templates/0/index_template"),
        Kind::LifecyclePolicy => body.get(name)?.get("policy"),
        Kind::StatePolicy => body.get("policy"),
        Kind::Pipeline | Kind::Role => body.get(name),
        Kind::Fields => body.get(name)?.get("mappings"),
        Kind::Job => body.pointer("/jobs/0"),
        Kind::Datafeed => body.pointer("/datafeeds/0"),
        Kind::Transform => body.pointer("/transforms/0"),
        Kind::Outliers => body.pointer("/data_frame_analytics/0"),
        _ => None,
    }
}

/// The same without what the server writes by itself.
pub(in crate::provision) fn plain(kind: Kind, mut theirs: Value) -> Value {
    let own: &[&str] = match kind {
        Kind::StatePolicy => &[
            "policy_id",
            "last_updated_time",
            "schema_version",
            "error_notification",
        ],
        Kind::Role => &["transient_metadata", "reserved", "hidden", "static"],
        Kind::Pipeline | Kind::ComponentTemplate | Kind::IndexTemplate => &[
            "created_date",
            "created_date_millis",
            "modified_date",
            "modified_date_millis",
        ],
        Kind::Job => &[
            "job_id",
            "job_type",
            "job_version",
            "create_time",
            "finished_time",
            "last_data_time",
            "model_snapshot_id",
            "model_snapshot_min_version",
            "established_model_memory",
            "datafeed_config",
            "deleting",
            "blocked",
        ],
        Kind::Datafeed => &["datafeed_id", "authorization"],
        Kind::Transform | Kind::Outliers => &["id", "create_time", "version", "authorization"],
        _ => &[],
    };
    if let Value::Object(map) = &mut theirs {
        map.retain(|key, _| !own.contains(&key.as_str()));
        if let (Kind::StatePolicy, Some(Value::Array(templates))) =
            (kind, map.get_mut("ism_template"))
        {
            for template in templates.iter_mut().filter_map(Value::as_object_mut) {
                template.remove("last_updated_time");
            }
        }
    }
    theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.into(),
            repeated: false,
        }
    }

    #[test]
    fn what_a_server_does_not_have_is_told_from_what_is_not_there_yet() {
        // Seen on Elasticsearch 7.17, 8.19, 9.4 and OpenSearch 2.19 without the feature.
        for (status, body) in [
            (405, r#"{"error":"Incorrect HTTP method for uri"}"#),
            (400, r#"{"error":"no handler found for uri"}"#),
            (400, r#"{"error":{"type":"invalid_index_name_exception"}}"#),
            (404, r#"{"error":{"type":"index_not_found_exception"}}"#),
        ] {
            let answer = answer(status, body);
            assert!(!is_offered(&answer), "{body}");
            let found = refused(Kind::LifecyclePolicy, &answer);
            assert!(matches!(found, Some(Found::Refused(_))), "{found:?}");
        }
        let absent = answer(404, r#"{"error":{"type":"resource_not_found_exception"}}"#);
        assert!(is_offered(&absent));
        let found = refused(Kind::LifecyclePolicy, &absent);
        assert_eq!(found, Some(Found::Absent));
        assert!(
            is_offered(&answer(403, "{}")) && refused(Kind::Role, &answer(200, "{}")).is_none()
        );
    }

    #[test]
    fn a_processor_is_there_if_every_node_has_it() {
        let node = |types: &[&str]| {
            let list: Vec<_> = types.iter().map(|t| json!({ "type": t })).collect();
            json!({ "ingest": { "processors": list } })
        };
        let nodes = json!({ "nodes": { "a": node(&["set", "grok"]), "b": node(&["set"]) } });
        assert_eq!(processors(&nodes), BTreeSet::from(["set".to_owned()]));
        assert!(processors(&json!({})).is_empty());
    }
}
