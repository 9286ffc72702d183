//! Speaks HTTP with Elasticsearch or OpenSearch through the official client: nodes in turn,
//! credentials, certificates, timeouts, and patience with a server that is busy or away. Never
//! lets a secret into an error or a log, and knows nothing of documents.

use std::error::Error as _;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use elasticsearch::http::transport::{MultiNodeConnectionPool, Transport, TransportBuilder};
use elasticsearch::http::{Method, Url};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use super::answer::reason;
use super::server::Server;
use super::tls;
use crate::store::{StoreError, StoreErrorKind};

pub(crate) use super::answer::Answer;

/// How often a request is tried in all.
const TRIES: u32 = 7;
/// After how many of them is said that it takes long.
const SAY_AFTER: u32 = 4;
/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `http://` or `https://` addresses of its nodes, asked in turn. Without credentials in them.
    pub urls: Vec<String>,
    /// Who Picket is.
    pub login: Login,
    /// PEM of the certificate authorities to trust beside the well-known ones.
    pub ca: Option<Vec<u8>>,
    /// SHA-256 of the certificate authority to trust, as hexadecimal digits with or without
    /// colons: what Elasticsearch prints when it starts for the first time.
    pub fingerprint: Option<String>,
    /// Whether requests and answers are compressed: less network, more processor time.
    pub gzip: bool,
    /// How long one request may take.
    pub timeout: Duration,
}

/// Who Picket is to the cluster.
#[derive(Clone, Default)]
pub enum Login {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// An API key: `id:key`, or the same in base64 as Kibana shows it.
    ApiKey(String),
    /// A user and the password.
    Basic(String, String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::ApiKey(_) => "ApiKey(..)",
            Self::Basic(..) => "Basic(..)",
        })
    }
}

/// A cluster that answers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    transport: Transport,
    /// For error texts.
    address: String,
    nodes: u32,
    headers: HeaderMap,
    timeout: Duration,
    server: Server,
}

/// One request. The path is percent-encoded where it has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a [u8]>,
}

impl Client {
    /// Connects, and asks the server what it is.
    pub(super) async fn connect(connection: &Connection) -> Result<Self, StoreError> {
        let mut client = Self::open(connection).await?;
        client.server = Server::read(client.send(get("")).await?, &client.address)?;
        Ok(client)
    }

    /// Makes ready to ask whatever answers there.
    pub(crate) async fn open(connection: &Connection) -> Result<Self, StoreError> {
        let urls = addresses(&connection.urls)?;
        let address: Vec<&str> = urls
            .iter()
            .map(|url| url.as_str().trim_end_matches('/'))
            .collect();
        let address = address.join(", ");
        let nodes = u32::try_from(urls.len()).unwrap_or(1);
        let mut roots = connection.ca.clone().unwrap_or_default();
        if let Some(fingerprint) = &connection.fingerprint {
            let first = urls.first().ok_or_else(|| bad("an address is missing"))?;
            roots.extend(tls::pinned(first, fingerprint, connection.timeout).await?);
        }
        let pool = MultiNodeConnectionPool::round_robin(urls, None);
        let mut builder = TransportBuilder::new(pool)
            .timeout(connection.timeout)
            .request_body_compression(connection.gzip);
        if !roots.is_empty() {
            let certificates = Certificate::from_pem(&roots)
                .map_err(|_| bad("the `ca` file holds no certificate in PEM form"))?;
            builder = builder.cert_validation(CertificateValidation::Full(certificates));
        }
        builder = match &connection.login {
            Login::Anonymous => builder,
            Login::ApiKey(key) => builder.auth(match key.split_once(':') {
                Some((id, key)) => Credentials::ApiKey(id.into(), key.into()),
                None => Credentials::EncodedApiKey(key.clone()),
            }),
            Login::Basic(user, password) => {
                builder.auth(Credentials::Basic(user.clone(), password.clone()))
            }
        };
        let transport = builder
            .build()
            .map_err(|error| bad(format!("cannot set up the connection: {error}")))?;
        let mut headers = HeaderMap::new();
        if !connection.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        Ok(Self {
            transport,
            address,
            nodes,
            headers,
            timeout: connection.timeout,
            server: Server::default(),
        })
    }

    /// The same, sending that header too.
    #[must_use]
    pub(crate) fn saying(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self
    }

    /// What answers there.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Where it is, for people.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request until there is an answer that is neither "busy" nor "away".
    ///
    /// # Errors
    /// `Unavailable`: nobody answers, or is busy for too long.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, StoreError> {
        let mut tried = 0;
        let mut repeated = false;
        loop {
            tried += 1;
            let trouble = match self.once(request).await {
                Ok((429 | 502 | 503 | 504, body)) if tried >= TRIES => {
                    return Err(unavailable(format!(
                        "{} is too busy: {}",
                        self.address,
                        reason(&body)
                    )));
                }
                Ok((status @ (429 | 502 | 503 | 504), _)) => {
                    // A gateway may have passed the request on before it gave up.
                    repeated |= status != 429;
                    format!("status {status}")
                }
                Ok((status, body)) if is_whole(&body) || tried >= TRIES => {
                    return Ok(Answer {
                        status,
                        body,
                        repeated,
                    });
                }
                Ok(_) => {
                    repeated = true;
                    "the answer ends early".into()
                }
                Err(error) => {
                    let (cause, lasting) = cause(&error);
                    // Each node gets its chance before the pause begins to matter.
                    if lasting || tried >= TRIES.max(self.nodes + 1) {
                        return Err(unavailable(format!(
                            "cannot reach {}: {cause}",
                            self.address
                        )));
                    }
                    repeated = true;
                    cause
                }
            };
            let pause = pause(tried);
            if tried == SAY_AFTER {
                // Who waits shall know for what.
                warn!("{}: {trouble}; trying again", self.address);
            }
            debug!(
                path = request.path,
                tried,
                trouble,
                pause_ms = pause.as_millis() as u64,
                "again"
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, request: Request<'_>) -> Result<(u16, Vec<u8>), elasticsearch::Error> {
        let query = (!request.query.is_empty()).then_some(request.query);
        let response = self
            .transport
            .send(
                request.method,
                request.path,
                self.headers.clone(),
                query,
                request.body,
                Some(self.timeout),
            )
            .await?;
        let status = response.status_code().as_u16();
        Ok((status, response.bytes().await?.into()))
    }

    /// Sends a request whose answer must be a success, and reads it.
    ///
    /// # Errors
    /// By the status: `Unauthorized`, `BadRequest`, or `Unavailable`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<T, StoreError> {
        self.send(request).await?.read(&self.address)
    }

    /// The same for what may not be there: `None` for the status 404.
    pub(crate) async fn ask_for<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<Option<T>, StoreError> {
        let answer = self.send(request).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.read(&self.address).map(Some)
    }
}

/// A request without a body.
pub(crate) fn get(path: &str) -> Request<'_> {
    Request {
        method: Method::Get,
        path,
        query: &[],
        body: None,
    }
}

/// A request with a body.
pub(crate) fn post<'a>(
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: &'a [u8],
) -> Request<'a> {
    Request {
        method: Method::Post,
        path,
        query,
        body: Some(body),
    }
}

/// A part of a path, percent-encoded.
pub(crate) fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn addresses(urls: &[String]) -> Result<Vec<Url>, StoreError> {
    let mut parsed = Vec::with_capacity(urls.len());
    for text in urls {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                bad("a `url` of the store is no address such as https://127.0.0.1:9200")
            })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "a `url` of the store holds credentials; use `username` and `password_file` instead",
            ));
        }
        parsed.push(url);
    }
    if parsed.is_empty() {
        return Err(bad("the store has no `url`"));
    }
    Ok(parsed)
}

/// Whether an answer that begins as JSON ends as such. Not all that is broken is seen here: who
/// reads the answer sees the rest.
fn is_whole(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    !body.starts_with(b"{") || body.ends_with(b"}")
}

/// The pause after that many tries: doubled each time, and up to half of it left to chance, so that
/// many clients do not come back at once.
fn pause(tried: u32) -> Duration {
    let full = FIRST_PAUSE
        .saturating_mul(1 << (tried.saturating_sub(1)).min(16))
        .min(LONGEST_PAUSE);
    let chance = RandomState::new().hash_one(tried) % 1000;
    full.mul_f64(0.5 + chance as f64 / 2000.0)
}

/// The innermost cause of a failed request, and whether trying again is in vain.
fn cause(error: &elasticsearch::Error) -> (String, bool) {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        text = inner.to_string();
        next = inner.source();
    }
    let certificate = text.contains("certificate") || text.contains("CertificateUnknown");
    if text.contains("CaUsedAsEndEntity") {
        text = "its certificate says that it is an authority's (CA:TRUE), not a server's; make it \
                with `-addext basicConstraints=critical,CA:FALSE`, or have an authority sign it"
            .into();
    } else if certificate {
        text += "; name the authority's certificate in `ca`, or its `fingerprint`";
    } else if error.is_timeout() {
        text = "no answer in time".into();
    }
    (text, certificate)
}

pub(crate) fn bad(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::BadRequest, message)
}

pub(crate) fn unavailable(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_no_secrets() {
        let ask = |url: &str| addresses(&[url.to_owned()]).map_err(|e| e.message);
        assert!(ask("https://es.example:9200").is_ok());
        assert!(ask("es.example:9200").unwrap_err().contains("no address"));
        let error = ask("https://elastic:changeme@es.example").unwrap_err();
        assert!(error.contains("password_file") && !error.contains("changeme"));
        let login = Login::Basic("elastic".into(), "changeme".into());
        assert_eq!(format!("{login:?}"), "Basic(..)");
    }

    #[test]
    fn an_answer_that_ends_early_is_seen() {
        for (body, whole) in [
            ("{\"a\": {}}\n", true),
            ("", true),
            ("<html>", true),
            ("{\"a\": {", false),
            ("{", false),
        ] {
            assert_eq!(is_whole(body.as_bytes()), whole, "{body}");
        }
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert!(pause(1) >= FIRST_PAUSE / 2 && pause(1) <= FIRST_PAUSE);
        assert!(pause(30) >= LONGEST_PAUSE / 2 && pause(30) <= LONGEST_PAUSE);
    }
}
