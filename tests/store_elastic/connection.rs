//! Nodes that are away, wrong passwords, and whom to trust.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use base64::Engine as _;
use picket::store::elastic::{Connection, Elastic, Kind, Login};
use picket::store::{Checkpoint, Store, StoreError, StoreErrorKind};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::server::Server;
use crate::store_contract::{feed, new};

/// An address of this machine where nobody listens.
fn nobody(scheme: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("{scheme}://{}", listener.local_addr().unwrap())
}

async fn refused(connection: &Connection) -> StoreError {
    match Elastic::open(connection).await {
        Ok(_) => panic!("it is let in: {connection:?}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let Some(server) = Server::get().await else {
        return;
    };
    let store = server.elastic().await;
    println!("{}", store.server());
    assert!(
        store
            .server()
            .version
            .starts_with(|c: char| c.is_ascii_digit())
    );
    if let Ok(kind) = std::env::var("PICKET_TEST_ELASTIC_KIND") {
        let expected = match kind.starts_with("opensearch") {
            true => Kind::OpenSearch,
            false => Kind::Elasticsearch,
        };
        assert_eq!(store.server().kind, expected);
        let version = kind.split('-').next_back().unwrap();
        assert!(store.server().version.starts_with(version), "{kind}");
    }
}

#[tokio::test]
async fn a_node_that_is_away_stops_nothing() {
    let Some(server) = Server::get().await else {
        return;
    };
    let url = &server.connection.urls[0];
    let away = nobody(url.split(':').next().unwrap());
    let begun = Instant::now();
    for urls in [
        vec![away.clone(), url.clone()],
        vec![url.clone(), away.clone()],
    ] {
        let connection = Connection {
            urls,
            gzip: true,
            ..server.connection.clone()
        };
        let store = Elastic::open(&connection).await.unwrap();
        for n in 0..5 {
            let document = new("logs", &n.to_string(), &json!({ "n": n }));
            store.add(vec![document]).await.unwrap();
        }
        let (documents, _) = feed(&store, &Checkpoint::default(), 2).await;
        assert_eq!(documents.len(), 5);
    }
    println!("took {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(60));
    let connection = Connection {
        urls: vec![away.clone()],
        ..server.connection.clone()
    };
    let error = refused(&connection).await;
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.message.contains(&away), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one() {
    let Some(server) = Server::secured().await else {
        return;
    };
    for login in [
        Login::Basic("elastic".into(), "not-the-password".into()),
        Login::ApiKey("bm90OnRoZS1rZXk=".into()),
        Login::Anonymous,
    ] {
        let connection = Connection {
            login,
            ..server.connection.clone()
        };
        let error = refused(&connection).await;
        assert_eq!(error.kind, StoreErrorKind::Unauthorized, "{error}");
        assert!(!error.message.contains("not-the-password"), "{error}");
    }
}

#[tokio::test]
async fn only_the_authority_that_is_named_is_trusted() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let other = include_bytes!("../data/other-authority.crt").to_vec();
    for ca in [None, Some(other)] {
        let connection = Connection {
            ca,
            ..server.connection.clone()
        };
        let error = refused(&connection).await;
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(error.message.contains("certificate"), "{error}");
        assert!(error.message.contains("`ca`"), "{error}");
    }
    let connection = Connection {
        ca: Some(b"no certificate".to_vec()),
        ..server.connection.clone()
    };
    assert_eq!(refused(&connection).await.kind, StoreErrorKind::BadRequest);
}

#[tokio::test]
async fn a_fingerprint_names_the_authority() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let fingerprint = |separator: &str| {
        let pem = String::from_utf8(server.connection.ca.clone().unwrap()).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(base64);
        let digest = Sha256::digest(der.unwrap());
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(separator)
    };
    let pinned = |fingerprint: String| Connection {
        ca: None,
        fingerprint: Some(fingerprint),
        ..server.connection.clone()
    };
    for separator in ["", ":"] {
        let store = Elastic::open(&pinned(fingerprint(separator)))
            .await
            .unwrap();
        assert!(feed(&store, &Checkpoint::default(), 1).await.0.is_empty());
    }
    for wrong in ["00".repeat(32), fingerprint("")[2..].to_owned(), "x".into()] {
        let error = refused(&pinned(wrong)).await;
        assert_eq!(error.kind, StoreErrorKind::BadRequest, "{error}");
        assert!(error.message.contains("fingerprint"), "{error}");
    }
}

#[tokio::test]
async fn the_fingerprint_of_the_server_itself_is_said_to_be_that() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let connection = |fingerprint: String| Connection {
        ca: None,
        fingerprint: Some(fingerprint),
        ..server.connection.clone()
    };
    let url = elasticsearch::http::Url::parse(&server.connection.urls[0]).unwrap();
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let pem = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &address])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
        .stdout;
    let pem = String::from_utf8_lossy(&pem).into_owned();
    let base64: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap();
    let digest: String = Sha256::digest(der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let error = refused(&connection(digest)).await;
    assert_eq!(error.kind, StoreErrorKind::BadRequest, "{error}");
    assert!(error.message.contains("that of the authority"), "{error}");
}
