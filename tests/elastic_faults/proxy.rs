//! A proxy on loopback that does to answers what networks and busy servers do: cuts, delays,
//! truncates, refuses, and now and then has time for nobody. Every mishap is chosen by the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use elasticsearch::http::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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

/// What happened so far.
#[derive(Default)]
pub(super) struct Mishaps {
    /// Connections that ended within an answer.
    pub(super) cuts: AtomicUsize,
    /// Answers that ended early, as if they were whole.
    pub(super) truncated: AtomicUsize,
    pub(super) delays: AtomicUsize,
    /// Requests answered with 429, 502, 503 or 504, those in storms too.
    pub(super) refused: AtomicUsize,
    /// Spans of time in which every request was answered with 429.
    pub(super) storms: AtomicUsize,
}

/// A running proxy.
pub(super) struct Proxy {
    pub(super) port: u16,
    /// Whether it misbehaves.
    pub(super) faulty: Arc<AtomicBool>,
    pub(super) mishaps: Arc<Mishaps>,
}

enum Mishap {
    /// The connection ends after that many bytes of answers.
    Cut(usize),
    /// The first answer has half of its body, and says so.
    Truncate,
    /// The answers come that much later.
    Delay(Duration),
    /// The first request is answered with that status and never reaches the server.
    Refuse(u16),
}

/// Starts a proxy before the server at that address, whose authority is `ca`.
pub(super) async fn start(url: &str, ca: Option<&[u8]>, seed: u64) -> Proxy {
    let target = Target::new(url, ca);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy {
        port: listener.local_addr().unwrap().port(),
        faulty: Arc::new(AtomicBool::new(true)),
        mishaps: Arc::default(),
    };
    let (storm, stormy) = watch::channel(false);
    let (faulty, mishaps) = (Arc::clone(&proxy.faulty), Arc::clone(&proxy.mishaps));
    tokio::spawn(storms(storm, faulty, mishaps, Chance(seed ^ 5)));
    let (faulty, mishaps) = (Arc::clone(&proxy.faulty), Arc::clone(&proxy.mishaps));
    tokio::spawn(async move {
        let mut chance = Chance(seed);
        while let Ok((client, _)) = listener.accept().await {
            let mishap = match chance.below(20) {
                _ if *stormy.borrow() => Some(Mishap::Refuse(429)),
                _ if !faulty.load(Ordering::SeqCst) => None,
                0..=2 => Some(Mishap::Cut(1 << chance.below(17))),
                3 => Some(Mishap::Truncate),
                4 | 5 => Some(Mishap::Delay(Duration::from_millis(
                    chance.below(400) as u64
                ))),
                6 | 7 => Some(Mishap::Refuse([429, 502, 503, 504][chance.below(4)])),
                _ => None,
            };
            let (target, stormy, mishaps) = (target.clone(), stormy.clone(), Arc::clone(&mishaps));
            tokio::spawn(serve(client, target, mishap, stormy, mishaps));
        }
    });
    proxy
}

/// Lets a storm begin every few seconds: connections end, and who comes is refused.
async fn storms(
    storm: watch::Sender<bool>,
    faulty: Arc<AtomicBool>,
    mishaps: Arc<Mishaps>,
    mut chance: Chance,
) {
    loop {
        tokio::time::sleep(Duration::from_millis(4_000 + chance.below(8_000) as u64)).await;
        if !faulty.load(Ordering::SeqCst) {
            continue;
        }
        storm.send_replace(true);
        mishaps.storms.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(500 + chance.below(2_500) as u64)).await;
        storm.send_replace(false);
    }
}

async fn serve(
    mut client: TcpStream,
    target: Target,
    mishap: Option<Mishap>,
    mut stormy: watch::Receiver<bool>,
    mishaps: Arc<Mishaps>,
) {
    let count = |counter: &AtomicUsize| {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    if let Some(Mishap::Refuse(status)) = mishap {
        if whole_request(&mut client).await.is_some() {
            count(&mishaps.refused);
            let answer = format!(
                "HTTP/1.1 {status} Busy\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
            );
            let _ = client.write_all(answer.as_bytes()).await;
        }
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
    let answering = async {
        if let Some(Mishap::Truncate) = mishap {
            if let Some(answer) = half_answer(&mut from_server).await {
                count(&mishaps.truncated);
                let _ = to_client.write_all(&answer).await;
            }
            return;
        }
        let mut left = match mishap {
            Some(Mishap::Cut(bytes)) => bytes,
            _ => usize::MAX,
        };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if let Some(Mishap::Delay(pause)) = mishap {
                count(&mishaps.delays);
                tokio::time::sleep(pause).await;
            }
            let pass = read.min(left);
            left -= pass;
            if to_client.write_all(&buffer[..pass]).await.is_err() {
                break;
            }
            if left == 0 {
                count(&mishaps.cuts);
                break;
            }
        }
    };
    tokio::select! {
        () = answering => {}
        _ = stormy.wait_for(|stormy| *stormy) => {}
    }
    asking.abort();
}

/// Reads until the head of a message is there: its bytes, and where the head ends.
async fn head(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Some(end + 4);
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// How long a message with that head says it is.
fn length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?.to_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))?;
    line.trim().parse().ok()
}

/// Reads one request to its end.
async fn whole_request(stream: &mut TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    let head = head(stream, &mut bytes).await?;
    let end = head + length(&bytes[..head]).unwrap_or(0);
    while bytes.len() < end {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// An answer with half of its body, whose head says that this is all; where the answer does not say
/// how long it is, its head alone.
async fn half_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = head(stream, &mut bytes).await?;
    let Some(length) = length(&bytes[..end]) else {
        bytes.truncate(end);
        return Some(bytes);
    };
    let half = length / 2;
    while bytes.len() < end + half {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut answer = Vec::new();
    for line in std::str::from_utf8(&bytes[..end]).ok()?.trim_end().lines() {
        let line = match line.to_lowercase().starts_with("content-length:") {
            true => format!("content-length: {half}"),
            false => line.to_owned(),
        };
        answer.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(&bytes[end..end + half]);
    Some(answer)
}
