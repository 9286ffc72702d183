//! The server that `PICKET_TEST_ELASTIC_URL` names: a test has it for itself, asks it directly, and
//! opens stores on it. Nothing here asserts but that the server does what it is asked.

use std::time::Duration;

use async_trait::async_trait;
use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use elasticsearch::http::{Method, Url};
use picket::detect::correlate::Hit;
use picket::document::{Document, DocumentId, Version};
use picket::finding::Verdict;
use picket::store::elastic::{Connection, Elastic, Login};
use picket::store::{
    Begin, Checkpoint, FINDINGS_INDEX, Found, GroupSpan, NewDocument, Outcome, Page, Progress,
    Search, Sources, Store, StoreError, Waiting, Window,
};
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::skip;

/// Tests take the server in turn.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Server {
    pub(crate) connection: Connection,
    pub(crate) http: Http,
    _turn: MutexGuard<'static, ()>,
}

impl Server {
    /// The server, empty; `None`, with a word on standard error, where there is none.
    pub(crate) async fn get() -> Option<Self> {
        let variable = |name: &str| std::env::var(format!("PICKET_TEST_ELASTIC_{name}")).ok();
        let Some(url) = variable("URL") else {
            skip("servers", "no PICKET_TEST_ELASTIC_URL");
            return None;
        };
        let turn = TURN.lock().await;
        let ca = variable("CA").map(|path| std::fs::read(path).unwrap());
        let login = match (variable("USER"), variable("PASSWORD")) {
            (Some(user), Some(password)) => Login::Basic(user, password),
            _ => Login::Anonymous,
        };
        let server = Self {
            http: Http::new(&url, &login, ca.as_deref()),
            connection: Connection {
                urls: vec![url],
                login,
                ca,
                fingerprint: None,
                gzip: false,
                timeout: Duration::from_secs(60),
            },
            _turn: turn,
        };
        server.wipe().await;
        Some(server)
    }

    /// The same, if it asks for a password.
    pub(crate) async fn secured() -> Option<Self> {
        let server = Self::get().await?;
        if matches!(server.connection.login, Login::Anonymous) {
            println!("skipped: this server has no security");
            return None;
        }
        Some(server)
    }

    /// A store on it, to be used as people use it, but seeing at once what was written.
    pub(crate) async fn store(&self) -> AtOnce {
        self.at_once(self.elastic().await)
    }

    /// That store, seeing at once what was written.
    pub(crate) fn at_once(&self, store: Elastic) -> AtOnce {
        AtOnce(store, self.http.clone())
    }

    pub(crate) async fn elastic(&self) -> Elastic {
        Elastic::open(&self.connection).await.unwrap()
    }

    /// The same server, asked as somebody else.
    pub(crate) fn asking_as(&self, connection: &Connection) -> Http {
        Http::new(
            &connection.urls[0],
            &connection.login,
            connection.ca.as_deref(),
        )
    }

    /// What it answers, with the status.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.http.ask(method, path, body).await
    }

    /// The same, of what must succeed.
    pub(crate) async fn must(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    pub(crate) async fn put(&self, path: &str, body: Value) {
        self.must(Method::Put, path, body).await;
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.must(Method::Post, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.must(Method::Delete, path, Value::Null).await;
    }

    /// Deletes everything but what is the server's own, and sets up what the contract asks for.
    pub(crate) async fn wipe(&self) {
        let path = "/_cat/indices?format=json&h=index&expand_wildcards=all";
        let indices = self.must(Method::Get, path, Value::Null).await;
        for index in indices.as_array().unwrap() {
            let index = index["index"].as_str().unwrap();
            assert!(!index.starts_with(".ds-logs-stream"), "take a new server");
            let own = [".picket", ".hidden", ".ml-anomalies"]
                .iter()
                .any(|o| index.starts_with(o));
            if own || !index.starts_with('.') {
                let path = format!("/{index}?ignore_unavailable=true");
                self.delete(&path).await;
            }
        }
        // What a test that failed left of provisioning.
        for path in ["_index_template", "_component_template", "_ingest/pipeline"] {
            let path = format!("/{path}/picket-*");
            self.ask(Method::Delete, &path, Value::Null).await;
        }
        // And the roles that tests of roles made; each kind of server knows one of the paths.
        if !matches!(self.connection.login, Login::Anonymous) {
            for path in ["_security/role", "_plugins/_security/api/roles"] {
                for role in ["picket", "picket-analyst"] {
                    let path = format!("/{path}/{role}");
                    self.ask(Method::Delete, &path, Value::Null).await;
                }
            }
        }
        let template = |pattern: &str, template: Value| json!({ "index_patterns": [pattern], "priority": 500, "template": template });
        let shards = json!({ "settings": { "number_of_shards": 3 } });
        let odd = json!({ "mappings": { "enabled": false } });
        for (name, body) in [
            ("sharded", template("sharded-*", shards)),
            ("odd", template("odd", odd)),
        ] {
            self.put(&format!("/_index_template/{name}"), body).await;
        }
    }
}

/// Asks the server directly.
#[derive(Clone)]
pub(crate) struct Http(Transport);

impl Http {
    fn new(url: &str, login: &Login, ca: Option<&[u8]>) -> Self {
        let pool = SingleNodeConnectionPool::new(Url::parse(url).unwrap());
        let mut builder = TransportBuilder::new(pool).timeout(Duration::from_secs(60));
        if let Login::Basic(user, password) = login {
            builder = builder.auth(Credentials::Basic(user.clone(), password.clone()));
        }
        if let Some(ca) = ca {
            let ca = Certificate::from_pem(ca).unwrap();
            builder = builder.cert_validation(CertificateValidation::Full(ca));
        }
        Self(builder.build().unwrap())
    }

    /// What it answers, with the status.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.try_ask(method, path, body).await.unwrap()
    }

    /// The same, of a server that may not be there.
    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(u16, Value), elasticsearch::Error> {
        let body = match &body {
            Value::Null => None,
            // Lines of `_bulk`.
            Value::String(lines) => Some(lines.clone()),
            body => Some(body.to_string()),
        };
        let query: Option<&()> = None;
        let response = self
            .0
            .send(method, path, HeaderMap::new(), query, body, None)
            .await?;
        let status = response.status_code().as_u16();
        let text = response.text().await?;
        let answer = serde_json::from_str(&text).unwrap_or(text.into());
        Ok((status, answer))
    }
}

/// A store on which searches see at once what was written. Elsewhere this takes a second.
pub(crate) struct AtOnce(pub(crate) Elastic, Http);

impl AtOnce {
    async fn refresh(&self) {
        let path = format!("/*,{FINDINGS_INDEX}/_refresh?ignore_unavailable=true");
        let (status, answer) = self.1.ask(Method::Post, &path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[async_trait]
impl Store for AtOnce {
    async fn add(&self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        self.0.add(documents).await
    }
    async fn begin(&self, sources: &Sources, from: Begin) -> Result<Checkpoint, StoreError> {
        self.0.begin(sources, from).await
    }
    async fn changes(
        &self,
        sweep: Option<&str>,
        sources: &Sources,
        since: &Checkpoint,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.0.changes(sweep, sources, since, limit).await
    }
    async fn get(&self, ids: &[DocumentId]) -> Result<Vec<Option<Document>>, StoreError> {
        self.0.get(ids).await
    }
    async fn window(&self, window: &Window) -> Result<Vec<Document>, StoreError> {
        self.refresh().await;
        self.0.window(window).await
    }
    async fn apply(&self, verdicts: &[Verdict]) -> Result<Vec<Outcome>, StoreError> {
        self.0.apply(verdicts).await
    }
    async fn edit(
        &self,
        document: &DocumentId,
        version: Version,
        patch: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        self.0.edit(document, version, patch).await
    }
    async fn progress(&self, sweep: &str) -> Result<Progress, StoreError> {
        self.0.progress(sweep).await
    }
    async fn commit(&self, sweep: &str, progress: &Progress) -> Result<(), StoreError> {
        self.0.commit(sweep, progress).await
    }
    async fn release(&self, sweep: &str) -> Result<(), StoreError> {
        self.0.release(sweep).await
    }
    async fn keep_hits(&self, hits: &[Hit], now: i64) -> Result<(), StoreError> {
        self.0.keep_hits(hits, now).await
    }
    async fn hits(&self, groups: &[GroupSpan]) -> Result<Vec<Vec<Hit>>, StoreError> {
        self.0.hits(groups).await
    }
    async fn forget_hits(&self, before: i64) -> Result<(), StoreError> {
        self.0.forget_hits(before).await
    }
    async fn find(&self, search: &Search) -> Result<Found, StoreError> {
        self.refresh().await;
        self.0.find(search).await
    }
    async fn waiting(&self, sources: &Sources, since: &Checkpoint) -> Result<Waiting, StoreError> {
        self.refresh().await;
        self.0.waiting(sources, since).await
    }
}
