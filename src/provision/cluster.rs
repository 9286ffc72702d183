//! Reads, writes and deletes what stands on a cluster under a name: templates, policies, pipelines,
//! roles. What a server does not offer or does not allow is an answer, not an error.

use std::collections::BTreeSet;

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::plan::{Found, Kind, Outcome};
use crate::store::StoreError;
use crate::store::elastic::Kind as ServerKind;
use crate::store::elastic::answer::reason;
use crate::store::elastic::client::{Answer, Client, Request, encode, get};

/// What a cluster can do beside keeping documents.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offered {
    pub(super) server: ServerKind,
    /// Lifecycle policies: ILM, or ISM on OpenSearch.
    pub(super) lifecycle: bool,
    /// The processors of its pipelines; none: it does not say.
    pub(super) processors: Option<BTreeSet<String>>,
}

impl Offered {
    /// All that a server of that kind may offer.
    pub(super) fn all(server: ServerKind) -> Self {
        Self {
            server,
            lifecycle: true,
            processors: None,
        }
    }
}

/// A cluster and what it offers.
pub(super) struct Cluster<'c> {
    client: &'c Client,
    pub(super) offered: Offered,
}

impl<'c> Cluster<'c> {
    /// Asks what it offers.
    pub(super) async fn look(client: &'c Client) -> Result<Self, StoreError> {
        let server = client.server().kind;
        let policies = match server {
            ServerKind::Elasticsearch => "_ilm/policy",
            ServerKind::OpenSearch => "_plugins/_ism/policies",
        };
        let lifecycle = is_offered(&client.send(get(policies)).await?);
        let filter = [("filter_path", "nodes.*.ingest.processors.type")];
        let request = Request {
            query: &filter,
            ..get("_nodes/ingest")
        };
        let nodes = client.send(request).await?;
        let processors = match nodes.status {
            200 => Some(processors(&nodes.read(client.address())?)),
            _ => None,
        };
        let offered = Offered {
            server,
            lifecycle,
            processors,
        };
        Ok(Self { client, offered })
    }

    /// What is there of a thing.
    pub(super) async fn read(&self, kind: Kind, name: &str) -> Result<Found, StoreError> {
        if kind == Kind::Index {
            return self.first(name).await;
        }
        let path = self.path(kind, name);
        let answer = self.client.send(get(&path)).await?;
        if let Some(found) = refused(kind, &answer) {
            return Ok(found);
        }
        let body: Value = answer.read(self.client.address())?;
        Ok(match inside(kind, name, &body) {
            Some(theirs) => Found::There(plain(kind, theirs.clone())),
            None => Found::Absent,
        })
    }

    /// Whether the alias of a first index leads anywhere.
    async fn first(&self, name: &str) -> Result<Found, StoreError> {
        let alias = alias_of(name);
        let request = Request {
            query: &[("filter_path", "*.aliases")],
            ..get(alias)
        };
        let answer = self.client.send(request).await?;
        if let Some(found) = refused(Kind::Index, &answer) {
            return Ok(found);
        }
        let indices: Value = answer.read(self.client.address())?;
        Ok(if indices.get(alias).is_some() {
            Found::Refused(format!(
                "{alias} is an index, not an alias, and is not rolled over; \
                 `picket search` and sweeps work all the same"
            ))
        } else {
            Found::There(json!({ "aliases": { alias: { "is_write_index": true } } }))
        })
    }

    /// Makes it, or writes it over; what the server has against it.
    pub(super) async fn write(
        &self,
        kind: Kind,
        name: &str,
        body: &Value,
        there: bool,
    ) -> Result<Outcome, StoreError> {
        let wrapped = wrapped(kind, body).to_string();
        let path = self.path(kind, name);
        let (seq_no, primary_term) = match (kind, there) {
            (Kind::StatePolicy, true) => self.version(&path).await?,
            _ => (String::new(), String::new()),
        };
        let query = [
            ("if_seq_no", seq_no.as_str()),
            ("if_primary_term", primary_term.as_str()),
        ];
        let request = Request {
            method: Method::Put,
            path: &path,
            query: if seq_no.is_empty() { &[] } else { &query },
            body: Some(wrapped.as_bytes()),
        };
        self.done(&self.client.send(request).await?)
    }

    /// Takes it away; what the server has against it.
    pub(super) async fn delete(&self, kind: Kind, name: &str) -> Result<Outcome, StoreError> {
        if kind == Kind::Pipeline {
            self.release(name).await?;
        }
        let path = self.path(kind, name);
        let answer = self
            .client
            .send(without_body(Method::Delete, &path))
            .await?;
        if answer.status == 404 {
            return Ok(Outcome::Done);
        }
        self.done(&answer)
    }

    fn path(&self, kind: Kind, name: &str) -> String {
        path(kind, name, self.offered.server)
    }

    /// What the server made of a change.
    fn done(&self, answer: &Answer) -> Result<Outcome, StoreError> {
        match answer.status {
            200 | 201 => {
                let said: Value = answer.read(self.client.address())?;
                Ok(match said.get("acknowledged") {
                    Some(Value::Bool(false)) => Outcome::Failed(
                        "not all nodes confirmed it in time; `picket provision plan` shows what \
                         is there"
                            .into(),
                    ),
                    _ => Outcome::Done,
                })
            }
            403 if memchr::memmem::find(&answer.body, b"cluster_block_exception").is_some() => {
                Ok(Outcome::Left("it is read-only".into()))
            }
            401 | 403 => Ok(Outcome::Failed(format!(
                "not allowed: {}; `picket role --provision` prints what is needed",
                reason(&answer.body)
            ))),
            400..500 => Ok(Outcome::Failed(reason(&answer.body))),
            _ => Err(answer.error(self.client.address())),
        }
    }

    /// What a state policy is changed under.
    async fn version(&self, path: &str) -> Result<(String, String), StoreError> {
        let body: Value = self.client.ask(get(path)).await?;
        let number = |key: &str| body.get(key).map(ToString::to_string).unwrap_or_default();
        Ok((number("_seq_no"), number("_primary_term")))
    }

    /// Indices whose documents go through that pipeline take documents without it from now on:
    /// otherwise they would take none.
    async fn release(&self, pipeline: &str) -> Result<(), StoreError> {
        let request = Request {
            query: &[("flat_settings", "true"), ("expand_wildcards", "all")],
            ..get("_all/_settings/index.default_pipeline")
        };
        let answer = self.client.send(request).await?;
        if answer.status != 200 {
            return Ok(());
        }
        let indices: serde_json::Map<String, Value> = answer.read(self.client.address())?;
        for (index, said) in indices {
            let used = said.pointer("/settings/index.default_pipeline");
            if used.and_then(Value::as_str) == Some(pipeline) {
                let path = format!("{}/_settings", encode(&index));
                let request = Request {
                    method: Method::Put,
                    path: &path,
                    query: &[],
                    body: Some(br#"{"index.default_pipeline":null}"#),
                };
                let answer = self.client.send(request).await?;
                if answer.status >= 400 {
                    return Err(answer.error(self.client.address()));
                }
            }
        }
        Ok(())
    }
}

/// Where it is written and read.
pub(super) fn path(kind: Kind, name: &str, server: ServerKind) -> String {
    let name = encode(name);
    let folder = match (kind, server) {
        (Kind::ComponentTemplate, _) => "_component_template/",
        (Kind::IndexTemplate, _) => "_index_template/",
        (Kind::LifecyclePolicy, _) => "_ilm/policy/",
        (Kind::StatePolicy, _) => "_plugins/_ism/policies/",
        (Kind::Pipeline, _) => "_ingest/pipeline/",
        (Kind::Role, ServerKind::Elasticsearch) => "_security/role/",
        (Kind::Role, ServerKind::OpenSearch) => "_plugins/_security/api/roles/",
        // What is not the cluster's has no path there.
        (Kind::Index, _)
        | (Kind::DataView | Kind::Search | Kind::Visualization | Kind::Lens | Kind::Dashboard, _) => {
            ""
        }
        (Kind::Fields, _) => return format!("{name}/_mapping"),
    };
    format!("{folder}{name}")
}

/// The body as a write takes it.
pub(super) fn wrapped(kind: Kind, body: &Value) -> Value {
    match kind {
        Kind::LifecyclePolicy | Kind::StatePolicy => json!({ "policy": body }),
        _ => body.clone(),
    }
}

/// The alias that a first index such as `cmdlogs-000001` stands behind.
pub(super) fn alias_of(first: &str) -> &str {
    first.rsplit_once('-').map_or(first, |(alias, _)| alias)
}

fn without_body(method: Method, path: &str) -> Request<'_> {
    Request {
        method,
        ..get(path)
    }
}

fn processors(nodes: &Value) -> BTreeSet<String> {
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
fn is_offered(answer: &Answer) -> bool {
    let no_index = memchr::memmem::find(&answer.body, b"index_not_found_exception").is_some();
    match answer.status {
        200 | 401 | 403 => true,
        404 => !no_index,
        _ => false,
    }
}

/// What it means that something cannot be read.
fn refused(kind: Kind, answer: &Answer) -> Option<Found> {
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
fn inside<'v>(kind: Kind, name: &str, body: &'v Value) -> Option<&'v Value> {
    match kind {
        Kind::ComponentTemplate => body.pointer("/component_templates/0/component_template"),
        Kind::IndexTemplate => body.pointer("/index_templates/0/index_template"),
        Kind::LifecyclePolicy => body.get(name)?.get("policy"),
        Kind::StatePolicy => body.get("policy"),
        Kind::Pipeline | Kind::Role => body.get(name),
        Kind::DataView | Kind::Search | Kind::Visualization | Kind::Lens | Kind::Dashboard => None,
        Kind::Index | Kind::Fields => body.get(name)?.get("mappings"),
    }
}

/// The same without what the server writes by itself.
fn plain(kind: Kind, mut theirs: Value) -> Value {
    let own: &[&str] = match kind {
        Kind::StatePolicy => &[
            "policy_id",
            "last_updated_time",
            "schema_version",
            "error_notification",
        ],
        Kind::Role => &["transient_metadata", "reserved", "hidden", "static"],
        Kind::Pipeline => &[
            "created_date",
            "created_date_millis",
            "modified_date",
            "modified_date_millis",
        ],
        Kind::ComponentTemplate | Kind::IndexTemplate => &[
            "created_date",
            "created_date_millis",
            "modified_date",
            "modified_date_millis",
        ],
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
