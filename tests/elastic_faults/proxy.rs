//! A proxy on loopback that does to answers what networks and busy servers do: cuts, delays,
//! truncates, refuses. Every mishap is chosen by the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use elasticsearch::http::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::Chance;

/// The server that the proxy passes on to. Picket speaks plain HTTP with the proxy, so that the
/// proxy can answer for a server that has TLS.
#[derive(Clone)]
struct Target {
    address: String,
    tls: Option<TlsConnector>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Target {
    fn new(url: &str, ca: Option<&[u8]>) -> Self {
        let url = Url::parse(url).unwrap();
        let host = url.host_str().unwrap();
        let connector = |ca| {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(ca).unwrap())
                .unwrap();
            let config = ClientConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        };
        Self {
            address: format!("{host}:{}", url.port_or_known_default().unwrap()),
            tls: ca.map(connector),
        }
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(&self.address).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let host = self.address.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(host).unwrap();
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

/// A running proxy.
pub(super) struct Proxy {
    pub(super) port: u16,
    /// Whether it misbehaves.
    pub(super) faulty: Arc<AtomicBool>,
    /// Connections cut, delayed, or refused so far.
    pub(super) mishaps: Arc<AtomicUsize>,
}

enum Mishap {
    /// The connection ends after that many bytes of answers.
    Cut(usize),
    /// The answers come that much later.
    Delay(Duration),
    /// The first request is answered with that status and never reaches the server.
    Refuse(u16),
}

/// Starts a proxy before the server at that address, whose authority is `ca`.
pub(super) async fn start(url: &str, ca: Option<&[u8]>, seed: u64) -> Proxy {
    let target = Target::new(url, ca);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let faulty = Arc::new(AtomicBool::new(true));
    let mishaps = Arc::new(AtomicUsize::new(0));
    let proxy = Proxy {
        port,
        faulty: Arc::clone(&faulty),
        mishaps: Arc::clone(&mishaps),
    };
    tokio::spawn(async move {
        let mut chance = Chance(seed);
        while let Ok((client, _)) = listener.accept().await {
            let mishap = match chance.below(10) {
                _ if !faulty.load(Ordering::SeqCst) => None,
                0 | 1 => Some(Mishap::Cut(chance.below(60_000))),
                2 => Some(Mishap::Delay(Duration::from_millis(
                    chance.below(400) as u64
                ))),
                3 => Some(Mishap::Refuse([429, 502, 503, 504][chance.below(4)])),
                _ => None,
            };
            mishaps.fetch_add(usize::from(mishap.is_some()), Ordering::SeqCst);
            tokio::spawn(serve(client, target.clone(), mishap));
        }
    });
    proxy
}

async fn serve(mut client: TcpStream, target: Target, mishap: Option<Mishap>) {
    if let Some(Mishap::Refuse(status)) = mishap {
        let mut request = [0; 4096];
        let _ = client.read(&mut request).await;
        let answer =
            format!("HTTP/1.1 {status} Busy\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(server) = target.connect().await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let asking = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut left = match mishap {
        Some(Mishap::Cut(bytes)) => bytes,
        _ => usize::MAX,
    };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
        if let Some(Mishap::Delay(pause)) = mishap {
            tokio::time::sleep(pause).await;
        }
        let pass = read.min(left);
        left -= pass;
        if to_client.write_all(&buffer[..pass]).await.is_err() || left == 0 {
            break;
        }
    }
    asking.abort();
}
