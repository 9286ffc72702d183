//! Reads, writes and deletes what stands on a cluster under a name: templates, policies, pipelines,
//! roles. What a server does not offer or does not allow is an answer, not an error.

mod answers;

use std::collections::BTreeSet;

use elasticsearch::http::Method;
use serde_json::{Value, json};

use self::answers::{inside, plain, processors, refused};
use super::detectors;
use super::plan::{Found, Kind, Outcome, Part};
use crate::store::StoreError;
use crate::store::elastic::Kind as ServerKind;
use crate::store::elastic::answer::reason;
use crate::store::elastic::client::{Answer, Client, Request, encode, get};

pub(super) use self::answers::{is_offered, path, wrapped};

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
    pub(super) client: &'c Client,
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
        match kind {
            Kind::Index => return self.index(name).await,
            Kind::Detector => return detectors::read(self.client, name).await,
            _ => {}
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

    /// Whether an index is there, or of a first one the alias leads anywhere.
    async fn index(&self, name: &str) -> Result<Found, StoreError> {
        let Some(alias) = name.strip_suffix("-000001") else {
            let head = self.client.send(without_body(Method::Head, name)).await?;
            return Ok(match head.status {
                200 => Found::There(json!({})),
                _ => Found::Absent,
            });
        };
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
        if kind == Kind::Detector {
            return self.done(&detectors::write(self.client, name, body).await?);
        }
        if there
            && matches!(
                kind,
                Kind::Job | Kind::Datafeed | Kind::Transform | Kind::Outliers
            )
        {
            return self.update(kind, name, body).await;
        }
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
        if kind == Kind::Detector {
            let answer = detectors::delete(self.client, name).await?;
            return answer.map_or(Ok(Outcome::Done), |answer| self.done(&answer));
        }
        let path = self.path(kind, name);
        let request = Request {
            // What runs is stopped first.
            query: match kind.part() {
                Part::Ml => &[("force", "true")],
                _ => &[],
            },
            ..without_body(Method::Delete, &path)
        };
        let answer = self.client.send(request).await?;
        if answer.status == 404 {
            return Ok(Outcome::Done);
        }
        self.done(&answer)
    }

    pub(super) fn path(&self, kind: Kind, name: &str) -> String {
        path(kind, name, self.offered.server)
    }

    /// What the server made of a change.
    pub(super) fn done(&self, answer: &Answer) -> Result<Outcome, StoreError> {
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

fn without_body(method: Method, path: &str) -> Request<'_> {
    Request {
        method,
        ..get(path)
    }
}
