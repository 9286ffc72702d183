//! Finds the certificate authority that a fingerprint names in what a server presents, so that it
//! can be trusted and nothing else has to be. Sends nothing over the connection that it looks at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use elasticsearch::http::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::{bad, unavailable};
use crate::hex::hex;
use crate::store::StoreError;

/// The certificate, as PEM, whose SHA-256 is the fingerprint, among those the server presents.
///
/// # Errors
/// `Unavailable`: nobody answers. `BadRequest`: no such certificate is among them.
pub(super) async fn pinned(
    url: &Url,
    fingerprint: &str,
    timeout: Duration,
) -> Result<Vec<u8>, StoreError> {
    let wanted: String = fingerprint
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if wanted.len() != 64 || !wanted.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad(
            "the `fingerprint` is not the 64 hexadecimal digits of a SHA-256",
        ));
    }
    if url.scheme() != "https" {
        return Err(bad("a `fingerprint` needs an https:// address"));
    }
    let chain = tokio::time::timeout(timeout, presented(url))
        .await
        .map_err(|_| unavailable(format!("cannot reach {url}: no answer in time")))??;
    let found = chain
        .iter()
        .position(|certificate| hex(&Sha256::digest(certificate)) == wanted);
    match found.and_then(|number| Some((number, chain.get(number)?))) {
        // Trusted by itself, it would not be accepted: another signed it. And whoever is trusted
        // in its place could sign others.
        Some((0, _)) if chain.len() > 1 => Err(bad(format!(
            "the `fingerprint` is that of the certificate of {url} itself, which an authority \
             signed; give that of the authority (`openssl x509 -fingerprint -sha256 -noout -in \
             http_ca.crt`), or name its certificate in `ca`"
        ))),
        Some((_, certificate)) => Ok(pem(certificate)),
        None => Err(bad(format!(
            "{url} presents no certificate with that `fingerprint`; it must be the fingerprint of \
             the certificate authority, or somebody stands between"
        ))),
    }
}

/// The certificates that the server presents, its own first.
async fn presented(url: &Url) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let away = |error: std::io::Error| unavailable(format!("cannot reach {url}: {error}"));
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let provider = Arc::new(ring::default_provider());
    let seen = Arc::new(Seen {
        chain: Mutex::default(),
        provider: Arc::clone(&provider),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(format!("cannot set up TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| bad(format!("{host} is no name of a host")))?;
    let stream = TcpStream::connect((host, port)).await.map_err(away)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(away)?;
    let mut chain = seen.chain.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut chain))
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}

/// Notes what is presented, and checks only that the server holds the key of its certificate.
#[derive(Debug)]
struct Seen {
    chain: Mutex<Vec<CertificateDer<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.clear();
        chain.push(end_entity.clone().into_owned());
        chain.extend(intermediates.iter().map(|c| c.clone().into_owned()));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
