//! Dashboards are provisioned through the interface of Kibana and OpenSearch Dashboards; here a
//! strict stand-in answers for them.

pub(crate) mod stand_in;

use std::time::Duration;

use elasticsearch::http::Method;
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use elasticsearch::http::transport::Transport;
use picket::provision::kibana::{Shape, dashboards, ndjson};
use picket::provision::{Action, Desk, Outcome, Record, Step};
use picket::store::elastic::{Connection, Login};
use serde_json::{Value, json};

use stand_in::StandIn;

const SHAPES: [Shape; 2] = [Shape::Winlogbeat, Shape::Flat];
const VERSIONS: [&str; 6] = ["2.19.4", "7.17.0", "7.17.29", "8.7.1", "8.8.0", "9.3.2"];

fn connection(url: &str) -> Connection {
    Connection {
        urls: vec![url.into()],
        login: Login::Anonymous,
        ca: None,
        fingerprint: None,
        gzip: false,
        timeout: Duration::from_secs(10),
    }
}

async fn connect(kibana: &StandIn, space: Option<&str>) -> Result<Desk, String> {
    let desk = Desk::connect(&connection(&kibana.url), space).await;
    desk.map_err(|error| error.message)
}

/// Plans and applies.
async fn apply(desk: &Desk, record: &mut Record) -> Vec<Step> {
    let mut steps = desk.plan(&SHAPES, record).await.unwrap();
    desk.apply(&mut steps, record).await.unwrap();
    steps
}

fn count(steps: &[Step], action: Action) -> usize {
    steps.iter().filter(|step| step.action == action).count()
}

#[tokio::test]
async fn every_version_takes_what_is_made_for_it_and_keeps_it() {
    for version in VERSIONS {
        let kibana = StandIn::new(version);
        let desk = connect(&kibana, None).await.unwrap();
        assert!(desk.to_string().contains(version), "{desk}");
        let mut record = Record::default();
        let steps = apply(&desk, &mut record).await;
        assert!(steps.len() >= 10 && count(&steps, Action::Create) == steps.len());
        for step in &steps {
            assert_eq!(step.outcome, Some(Outcome::Done), "{version} {}", step.name);
        }
        // All of them in one upload.
        let inside = || kibana.inside.lock().unwrap();
        let imports = inside()
            .asked
            .iter()
            .filter(|a| a.ends_with("_import"))
            .count();
        assert_eq!(imports, 1);
        let again = apply(&desk, &mut record).await;
        assert_eq!(count(&again, Action::Unchanged), steps.len(), "{version}");
        let imports = inside()
            .asked
            .iter()
            .filter(|a| a.ends_with("_import"))
            .count();
        assert_eq!(imports, 1, "nothing is sent that need not be");
        kibana.upgrade("9.4.0");
        let upgraded = desk.plan(&SHAPES, &record).await.unwrap();
        assert_eq!(
            count(&upgraded, Action::Unchanged),
            steps.len(),
            "{version}"
        );
        let mut removal = desk.removal(&record).await.unwrap();
        desk.apply(&mut removal, &mut record).await.unwrap();
        assert!(inside().objects.is_empty());
        assert!(desk.removal(&record).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_somebody_saved_is_asked_about_and_what_somebody_made_stays() {
    let kibana = StandIn::new("8.17.0");
    let desk = connect(&kibana, None).await.unwrap();
    let mut record = Record::default();
    // Of the same id, by somebody else.
    let theirs = json!({ "id": "picket-cmdlogs", "type": "index-pattern", "references": [],
        "attributes": { "title": "cmd-*" }, "updated_at": "2020-01-01T00:00:00.000Z" });
    let key = |kind: &str, id: &str| ("default".to_owned(), kind.to_owned(), id.to_owned());
    let inside = || kibana.inside.lock().unwrap();
    inside()
        .objects
        .insert(key("index-pattern", "picket-cmdlogs"), theirs.clone());
    let steps = apply(&desk, &mut record).await;
    assert_eq!(count(&steps, Action::Conflict), 1);
    let kept = inside().objects[&key("index-pattern", "picket-cmdlogs")].clone();
    assert_eq!(kept, theirs);

    let dashboard = steps
        .iter()
        .find(|s| s.title.as_deref() == Some("Picket: DetectLM"))
        .unwrap();
    let id = dashboard.name.clone();
    kibana.save("dashboard", &id, |attributes| {
        attributes["title"] = json!("Mine")
    });
    let mut plan = desk.plan(&SHAPES, &record).await.unwrap();
    let changed = plan.iter().find(|step| step.name == id).unwrap();
    assert_eq!(changed.action, Action::Conflict);
    let title = changed
        .changes
        .iter()
        .find(|change| change.path == "attributes.title")
        .unwrap();
    assert_eq!(title.before, Some(json!("Mine")));
    desk.apply(&mut plan, &mut record).await.unwrap();
    assert_eq!(
        inside().objects[&key("dashboard", &id)]["attributes"]["title"],
        "Mine"
    );
    // Who takes it all away is asked about it, too.
    let removal = desk.removal(&record).await.unwrap();
    assert_eq!(count(&removal, Action::Conflict), 1);
    plan.iter_mut()
        .filter(|step| step.name == id)
        .for_each(Step::consent);
    desk.apply(&mut plan, &mut record).await.unwrap();
    assert_eq!(
        inside().objects[&key("dashboard", &id)]["attributes"]["title"],
        "Picket: DetectLM"
    );

    let mut removal = desk.removal(&record).await.unwrap();
    desk.apply(&mut removal, &mut record).await.unwrap();
    let left: Vec<_> = inside().objects.keys().cloned().collect();
    assert_eq!(left, [key("index-pattern", "picket-cmdlogs")]);
}

#[tokio::test]
async fn an_answer_of_200_is_no_success() {
    let kibana = StandIn::new("9.3.0");
    let desk = connect(&kibana, None).await.unwrap();
    let mut record = Record::default();
    let inside = || kibana.inside.lock().unwrap();
    let all = desk.plan(&SHAPES, &record).await.unwrap();
    let of = |kind: &str| {
        let found = all.iter().filter(|step| step.kind.name() == kind);
        found.map(|step| step.name.clone()).collect::<Vec<_>>()
    };
    let (view, picture, dashboard) = (
        &of("data view")[0],
        &of("visualization")[1],
        &of("dashboard")[0],
    );
    inside().refuses.insert(view.clone());
    inside().loses.insert(picture.clone());
    let steps = apply(&desk, &mut record).await;
    let outcome = |id: &str| {
        steps
            .iter()
            .find(|step| step.name == id)
            .unwrap()
            .outcome
            .clone()
    };
    assert_eq!(
        outcome(view),
        Some(Outcome::Failed("nobody knows why".into()))
    );
    assert!(matches!(outcome(picture), Some(Outcome::Failed(why)) if why.contains("not there")));
    assert_eq!(outcome(dashboard), Some(Outcome::Done));
    // What did not come is made the next time, and only that.
    inside().refuses.clear();
    inside().loses.clear();
    let again = apply(&desk, &mut record).await;
    let missing: Vec<&str> = again
        .iter()
        .filter(|s| s.acts())
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(!again.iter().any(Step::failed));
    // What refers to something that nobody has is refused, and the reason is told.
    let file = json!({ "id": "x", "type": "search", "attributes": { "title": "x" },
        "typeMigrationVersion": "7.9.3", "references": [{ "type": "index-pattern", "id": "gone", "name": "n" }] });
    let (status, answer) = upload(&kibana, &file.to_string(), "a.ndjson", true).await;
    assert_eq!((status, &answer["success"]), (200, &json!(false)));
    assert_eq!(answer["errors"][0]["error"]["type"], "missing_references");
}

#[tokio::test]
async fn spaces_are_told_apart() {
    let kibana = StandIn::new("8.17.0");
    let mut record = Record::default();
    let soc = connect(&kibana, Some("soc")).await.unwrap();
    let everywhere = connect(&kibana, None).await.unwrap();
    let steps = apply(&soc, &mut record).await;
    assert!(
        kibana
            .inside
            .lock()
            .unwrap()
            .objects
            .keys()
            .all(|(space, ..)| space == "soc")
    );
    let both = apply(&everywhere, &mut record).await;
    assert_eq!(count(&both, Action::Create), steps.len());
    let mut removal = everywhere.removal(&record).await.unwrap();
    assert_eq!(removal.len(), steps.len());
    everywhere.apply(&mut removal, &mut record).await.unwrap();
    assert!(
        kibana
            .inside
            .lock()
            .unwrap()
            .objects
            .keys()
            .all(|(space, ..)| space == "soc")
    );
    assert_eq!(soc.removal(&record).await.unwrap().len(), steps.len());
    let error = connect(&kibana, Some("nowhere")).await.unwrap_err();
    assert!(error.contains("no space `nowhere`"), "{error}");
    let error = connect(&StandIn::new("2.19.4"), Some("soc"))
        .await
        .unwrap_err();
    assert!(error.contains("has no spaces"), "{error}");
}

#[tokio::test]
async fn who_is_not_kibana_too_old_or_asks_for_a_login_is_named() {
    let error = connect(&StandIn::new("7.16.3"), None).await.unwrap_err();
    assert!(
        error.contains("7.16.3") && error.contains("too old"),
        "{error}"
    );
    // "picket:secret".
    let secured = StandIn::new("8.17.0").asking_for("cGlja2V0OnNlY3JldA==");
    let error = connect(&secured, None).await.unwrap_err();
    assert!(error.contains("give it a login"), "{error}");
    let login = |password: &str| Connection {
        login: Login::Basic("picket".into(), password.into()),
        ..connection(&secured.url)
    };
    let error = Desk::connect(&login("wrong"), None).await.unwrap_err();
    assert!(
        error.message.contains("does not accept the credentials"),
        "{error}"
    );
    assert!(Desk::connect(&login("secret"), None).await.is_ok());
    let elsewhere = secured.url.replace("/base", "/other");
    let mut wrong = login("secret");
    wrong.urls = vec![elsewhere];
    let error = Desk::connect(&wrong, None).await.unwrap_err();
    assert!(error.message.contains("neither Kibana nor"), "{error}");
}

/// Uploads a file as somebody else would.
async fn upload(kibana: &StandIn, file: &str, name: &str, header: bool) -> (u16, Value) {
    let transport = Transport::single_node(&kibana.url).unwrap();
    let mut headers = HeaderMap::new();
    if header {
        let name = HeaderName::from_static("kbn-xsrf");
        headers.insert(name, HeaderValue::from_static("x"));
    }
    let kind = HeaderValue::from_static("multipart/form-data; boundary=b");
    headers.insert(CONTENT_TYPE, kind);
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{file}\r\n--b--\r\n"
    );
    let query: Option<&()> = None;
    let path = "api/saved_objects/_import";
    let sent = transport.send(Method::Post, path, headers, query, Some(body), None);
    let response = sent.await.unwrap();
    let status = response.status_code().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn the_stand_in_refuses_what_kibana_refuses() {
    use picket::provision::kibana::Target;
    let kibana = StandIn::new("7.17.5");
    let good = ndjson(&dashboards(Target::Kibana717, &SHAPES).unwrap());
    let (status, answer) = upload(&kibana, &good, "a.ndjson", true).await;
    assert_eq!(
        (status, &answer["success"]),
        (200, &json!(true)),
        "{answer}"
    );
    // Twice the same, without leave to overwrite.
    let (_, answer) = upload(&kibana, &good, "a.ndjson", true).await;
    assert_eq!(answer["errors"][0]["error"]["type"], "conflict");
    for (file, name, header, expected) in [
        (good.as_str(), "a.ndjson", false, 400),
        (&good, "a.json", true, 400),
        ("{\"id\":", "a.ndjson", true, 400),
        (&format!("{good}{good}"), "a.ndjson", true, 400),
        // Made for 8.8, where stamps are newer.
        (
            &ndjson(&dashboards(Target::Kibana88, &SHAPES).unwrap()),
            "a.ndjson",
            true,
            422,
        ),
    ] {
        let (status, answer) = upload(&kibana, file, name, header).await;
        assert_eq!(status, expected, "{answer}");
    }
    let object = json!({ "id": "x", "type": "search", "references": [],
        "attributes": { "title": "x" }, "migrationVersion": { "search": "7.9.3" } });
    for (path, value, expected) in [
        ("/attributes/tilte", json!("x"), "attributes.tilte"),
        ("/attributes/title", json!(1), "attributes.title"),
        ("/type", json!("canvas-workpad"), "unsupported_type"),
        ("/type", json!("visualization"), "no stamp"),
        ("/managed", json!(false), "managed"),
    ] {
        let mut broken = object.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap()[key] = value;
        let (_, answer) = upload(&kibana, &broken.to_string(), "a.ndjson", true).await;
        assert!(answer.to_string().contains(expected), "{path}: {answer}");
        assert_ne!(answer["success"], true);
    }
}
