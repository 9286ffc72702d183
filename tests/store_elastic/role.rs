//! The role that `picket role` prints is enough for all that Picket does, on a server with
//! security, and for nothing with other people's documents beyond it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use elasticsearch::http::Method;
use picket::alert::AlertLevel;
use picket::document::Scope;
use picket::store::elastic::{Connection, Elastic, Kind, Login, Role};
use picket::store::{
    Begin, Checkpoint, FINDINGS_INDEX, NewDocument, Outcome, Progress, Search, Sources, Store,
    Window,
};
use picket::sweep::Sweep;
use serde_json::{Value, json};

use super::server::Server;
use crate::store_contract::hits::{hit, span};
use crate::store_contract::{feed_of, verdict};
use crate::sweep::{command, words};

const PASSWORD: &str = "Seven-Rings-0f-Stone";

/// Makes the role, as it is printed, and a user who has nothing else.
async fn user(server: &Server, kind: Kind, patterns: &[&str]) -> Connection {
    let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
    user_with(server, kind, Role::new(kind, &patterns)).await
}

/// Makes that role, and a user who has nothing else.
pub(super) async fn user_with(server: &Server, kind: Kind, role: Role) -> Connection {
    let (method, path) = role.request.split_once(' ').unwrap();
    let method = match method {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        other => panic!("{other}"),
    };
    server.must(method, &format!("/{path}"), role.body).await;
    let (path, body) = match kind {
        Kind::Elasticsearch => (
            "/_security/user/picket",
            json!({ "password": PASSWORD, "roles": ["picket"] }),
        ),
        Kind::OpenSearch => (
            "/_plugins/_security/api/internalusers/picket",
            json!({ "password": PASSWORD, "opendistro_security_roles": ["picket"] }),
        ),
    };
    server.put(path, body).await;
    Connection {
        login: Login::Basic("picket".into(), PASSWORD.into()),
        ..server.connection.clone()
    }
}

fn commands(count: usize) -> Vec<NewDocument> {
    let texts = ["whoami", "ver", "mimikatz", "dir"];
    (0..count)
        .map(|id| command(id, texts[id % texts.len()]))
        .collect()
}

#[tokio::test]
async fn the_role_is_enough_for_everything() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let people = server.store().await;
    let kind = people.0.server().kind;
    people.add(commands(40)).await.unwrap();
    let sources = || Sources(vec!["cmdlogs*".into(), "nothing-*".into()]);
    let connection = user(&server, kind, &["cmdlogs*", "nothing-*"]).await;
    let picket =
        Arc::new(server.at_once(Elastic::open(&connection).await.unwrap().reading(sources())));
    assert_eq!(
        picket.0.server(),
        people.0.server(),
        "it may ask what it is"
    );
    let hits = [hit("group", 1, "d1"), hit("group", 2, "d2")];
    picket.keep_hits(&hits, 0).await.unwrap();
    let kept = picket.hits(&[span("group", 0, 9)]).await.unwrap();
    assert_eq!(kept[0].len(), 2);
    picket.forget_hits(86_400_000).await.unwrap();

    let store = Arc::clone(&picket) as Arc<dyn Store>;
    let sweep = Sweep::new("s", store, sources(), &words(), 1)
        .page_of(10)
        .beginning(vec![(
            Sources(vec!["nothing-*".into()]),
            Begin::Ago(std::time::Duration::from_secs(60)),
        )]);
    let report = sweep
        .activate(&AtomicBool::new(false), &mut |_| {})
        .await
        .unwrap();
    let outcomes = (report.written, report.rejected, report.conflicts);
    assert_eq!(outcomes, (20, 0, 0));

    // Looking, counting, and how far it is.
    let progress = picket.progress("s").await.unwrap();
    let waiting = picket.waiting(&sources(), &progress.at).await.unwrap();
    assert_eq!((waiting.documents, waiting.waiting), (40, 0));
    let search = |patterns: Option<Sources>| Search {
        sources: patterns,
        query: "AlertLevel:>0".into(),
        limit: 100,
        ..Search::default()
    };
    for (sources, expected) in [
        (Some(sources()), 20),
        (Some(Sources(vec![FINDINGS_INDEX.into()])), 20),
        (Some(Sources::all()), 20),
        (None, 40),
    ] {
        let found = picket.find(&search(sources.clone())).await.unwrap();
        assert_eq!(found.total, expected, "{sources:?}");
    }
    let window = Window {
        sources: sources(),
        scope: Scope::Host,
        entity: "PC1".into(),
        from: 0,
        to: 4_000_000_000_000,
        fields: vec!["CommandLine".into()],
    };
    assert_eq!(picket.window(&window).await.unwrap().len(), 40);

    // A finding that speaks of no verdict goes again, and a person decides.
    let (documents, _) = feed_of(&*picket, &["cmdlogs"], &Checkpoint::default(), 100).await;
    let document = documents.iter().find(|d| &*d.id.id == "1").unwrap();
    let ignored = json!({ "Ignore": 1 });
    let ignored = ignored.as_object().unwrap();
    assert!(
        picket
            .edit(&document.id, document.version, ignored)
            .await
            .unwrap()
    );
    let late = verdict(document, "late", AlertLevel::Alert);
    assert_eq!(picket.apply(&[late]).await.unwrap(), [Outcome::Conflict]);
    let findings = Sources(vec![FINDINGS_INDEX.into()]);
    let all = Search {
        sources: Some(findings),
        ..Search::default()
    };
    // Whoami, mimikatz and dir: each of the three is found ten times.
    assert_eq!(picket.find(&all).await.unwrap().total, 30);
    picket.commit("s", &Progress::default()).await.unwrap();
    picket.release("s").await.unwrap();
}

#[tokio::test]
async fn the_role_allows_nothing_else() {
    let Some(server) = Server::secured().await else {
        return;
    };
    let people = server.store().await;
    people.add(commands(4)).await.unwrap();
    server.put("/secrets/_doc/1", json!({ "n": 1 })).await;
    let connection = user(&server, people.0.server().kind, &["cmdlogs*"]).await;
    let picket = server.asking_as(&connection);
    for (method, path, body) in [
        (Method::Delete, "/cmdlogs/_doc/1", Value::Null),
        (Method::Delete, "/cmdlogs", Value::Null),
        (Method::Delete, "/.picket-state", Value::Null),
        (Method::Put, "/others/_doc/1", json!({ "n": 1 })),
        (Method::Get, "/secrets/_search", Value::Null),
        (Method::Put, "/secrets/_doc/1", json!({ "n": 2 })),
        (
            Method::Put,
            "/_cluster/settings",
            json!({ "persistent": { "action.auto_create_index": "false" } }),
        ),
    ] {
        let (status, answer) = picket.ask(method, path, body).await;
        assert_eq!(status, 403, "{path}: {answer}");
    }
    // What is not in the role is not there, or refused, and said so.
    let store = Elastic::open(&connection).await.unwrap();
    let hidden = Sources(vec!["secrets".into()]);
    match store
        .changes(None, &hidden, &Checkpoint::default(), 10)
        .await
    {
        Ok(page) => assert!(page.documents.is_empty()),
        Err(error) => assert!(error.message.contains("picket role"), "{error}"),
    }
}
