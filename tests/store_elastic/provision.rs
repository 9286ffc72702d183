//! Provisioning on a server: planned, applied, applied again, changed by hand, taken away; what
//! belongs to others and every document stay as they are.

use std::collections::BTreeSet;

use elasticsearch::http::Method;
use picket::provision::{Action, Kind, Outcome, Part, Plan, Provision};
use picket::store::elastic::{Elastic, Kind as ServerKind, Role};
use picket::store::{Search, Sources, Store};
use serde_json::{Value, json};

use super::home::Home;
use super::role::user_with;
use super::server::Server;

fn indices(elastic: &Elastic) -> Provision<'_> {
    let sources = Sources(vec!["winlogbeat-*".into(), "cmdlogs*".into()]);
    Provision::new(elastic, sources, BTreeSet::from([Part::Indices]))
}

fn actions(plan: &Plan, kind: Kind, name: &str) -> Action {
    let step = plan.steps.iter().find(|s| s.kind == kind && s.name == name);
    step.unwrap_or_else(|| panic!("no {kind:?} {name}")).action
}

async fn apply(provision: &Provision<'_>) -> Plan {
    let mut plan = provision.plan().await.unwrap();
    provision.apply(&mut plan).await.unwrap();
    for step in plan.steps.iter().filter(|step| step.acts()) {
        assert_eq!(step.outcome, Some(Outcome::Done), "{step:?}");
    }
    plan
}

async fn remove(provision: &Provision<'_>) -> Plan {
    let mut plan = provision.removal().await.unwrap();
    plan.steps.iter_mut().for_each(|step| step.consent());
    provision.apply(&mut plan).await.unwrap();
    let failed = plan.steps.iter().find(|step| step.failed());
    assert!(failed.is_none(), "{failed:?}");
    plan
}

#[tokio::test]
async fn applied_twice_it_changes_nothing_and_taken_away_it_leaves_nothing() {
    let Some(server) = Server::get().await else {
        return;
    };
    let elastic = server.elastic().await;
    let provision = indices(&elastic);
    let first = apply(&provision).await;
    let made = first.count(Action::Create);
    assert!(made >= 6, "{made}");
    assert_eq!(first.count(Action::Conflict), 0);
    let again = provision.plan().await.unwrap();
    assert!(!again.steps.iter().any(|step| step.acts()));
    assert_eq!(again.count(Action::Unchanged), made);
    assert_eq!(again.count(Action::Skipped), first.count(Action::Skipped));
    // Who has no record of it, but finds the same with Picket's mark, takes it over.
    server.delete("/.picket-state").await;
    let unknown = apply(&provision).await;
    assert_eq!(unknown.count(Action::Unchanged), made);
    let taken = remove(&provision).await;
    assert_eq!(taken.count(Action::Remove), made);
    for path in ["_index_template", "_component_template", "_ingest/pipeline"] {
        // Without any pipeline the answer is a 404.
        let (_, left) = server
            .ask(Method::Get, &format!("/{path}"), Value::Null)
            .await;
        assert!(!left.to_string().contains("picket-"), "{left}");
    }
    assert!(provision.removal().await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn what_somebody_changed_stays_until_somebody_agrees() {
    let Some(server) = Server::get().await else {
        return;
    };
    let elastic = server.elastic().await;
    let provision = indices(&elastic);
    apply(&provision).await;
    // One that is changed, one that is added to, one that goes, one of somebody else.
    let path = "/_index_template/picket-findings";
    let theirs = |shards: u8, more: Value| {
        let settings =
            json!({ "index": { "number_of_shards": shards, "auto_expand_replicas": "0-1" } });
        json!({ "index_patterns": ["picket-findings"], "priority": 500, "template": { "settings": settings },
            "_meta": more })
    };
    server
        .put(path, theirs(3, json!({ "managed_by": "picket" })))
        .await;
    let hits = server
        .must(Method::Get, "/_index_template/picket-hits", Value::Null)
        .await;
    let mut hits = hits["index_templates"][0]["index_template"].clone();
    for key in [
        "created_date",
        "created_date_millis",
        "modified_date",
        "modified_date_millis",
    ] {
        hits.as_object_mut().unwrap().remove(key);
    }
    hits["version"] = json!(7);
    server.put("/_index_template/picket-hits", hits).await;
    server.delete("/_index_template/picket-state").await;

    let plan = provision.plan().await.unwrap();
    let action = |name: &str| actions(&plan, Kind::IndexTemplate, name);
    assert_eq!(action("picket-findings"), Action::Conflict);
    assert_eq!(action("picket-hits"), Action::Unchanged);
    assert_eq!(action("picket-state"), Action::Create);
    let conflict = plan
        .steps
        .iter()
        .find(|step| step.action == Action::Conflict)
        .unwrap();
    let shards = conflict
        .changes
        .iter()
        .find(|c| c.path.ends_with("number_of_shards"))
        .unwrap();
    assert_eq!(
        (shards.before.clone(), shards.after.clone()),
        (Some(json!("3")), Some(json!(1)))
    );

    let mut unasked = plan.clone();
    provision.apply(&mut unasked).await.unwrap();
    let there = server.must(Method::Get, path, Value::Null).await;
    let shards = "/index_templates/0/index_template/template/settings/index/number_of_shards";
    assert_eq!(there.pointer(shards), Some(&json!("3")));
    let mut agreed = provision.plan().await.unwrap();
    agreed.steps.iter_mut().for_each(|step| step.consent());
    provision.apply(&mut agreed).await.unwrap();
    let there = server.must(Method::Get, path, Value::Null).await;
    assert_eq!(there.pointer(shards), Some(&json!("1")));
    let plan = provision.plan().await.unwrap();
    assert_eq!(plan.count(Action::Conflict) + plan.count(Action::Create), 0);

    // Taken away is what is as Picket made it; what was added to is asked about.
    let mut unasked = provision.removal().await.unwrap();
    let conflicts = |plan: &Plan| {
        let conflicts = plan.steps.iter().filter(|s| s.action == Action::Conflict);
        conflicts.map(|s| s.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(conflicts(&unasked), ["picket-hits"]);
    provision.apply(&mut unasked).await.unwrap();
    let left = server
        .must(Method::Get, "/_index_template", Value::Null)
        .await
        .to_string();
    assert!(
        left.contains("picket-hits") && !left.contains("picket-findings"),
        "{left}"
    );
    remove(&provision).await;
}

#[tokio::test]
async fn what_others_made_is_no_ones_to_take_away() {
    let Some(server) = Server::get().await else {
        return;
    };
    let elastic = server.elastic().await;
    let provision = indices(&elastic);
    let theirs =
        json!({ "template": { "mappings": { "properties": { "a": { "type": "keyword" } } } } });
    server
        .put("/_component_template/picket-levels", theirs)
        .await;
    let plan = provision.plan().await.unwrap();
    let action = actions(&plan, Kind::ComponentTemplate, "picket-levels");
    assert_eq!(action, Action::Conflict);
    let mut plan = plan;
    provision.apply(&mut plan).await.unwrap();
    remove(&provision).await;
    let left = server
        .must(
            Method::Get,
            "/_component_template/picket-levels",
            Value::Null,
        )
        .await;
    assert!(left.to_string().contains("keyword"));
    server.delete("/_component_template/picket-levels").await;
}

#[tokio::test]
async fn indices_of_others_get_fields_and_keep_their_own() {
    let Some(server) = Server::get().await else {
        return;
    };
    // As Winlogbeat sets itself up, then as it was before Picket came.
    let template = json!({ "index_patterns": ["winlogbeat-*"], "priority": 150, "template": {
        "settings": { "index.refresh_interval": "7s" },
        "mappings": { "dynamic": "strict", "properties": { "@timestamp": { "type": "date" } } } } });
    server.put("/_index_template/winlogbeat", template).await;
    server.put("/winlogbeat-1", json!({})).await;
    let known = json!({ "mappings": { "properties": { "AlertLevel": { "type": "long" } } } });
    server.put("/winlogbeat-2", known).await;
    let text = json!({ "mappings": { "dynamic": true, "properties": { "AlertLevel": { "type": "keyword" } } } });
    server.put("/winlogbeat-3", text).await;
    server.put("/winlogbeat-4", json!({})).await;
    server
        .put(
            "/winlogbeat-4/_settings",
            json!({ "index.blocks.write": true }),
        )
        .await;
    let blocked = json!({ "index.blocks.metadata": false, "index.blocks.read_only": true });
    server.put("/winlogbeat-4/_settings", blocked).await;

    let elastic = server.elastic().await;
    let provision = indices(&elastic);
    let mut plan = provision.plan().await.unwrap();
    provision.apply(&mut plan).await.unwrap();
    let step = |name: &str| plan.steps.iter().find(|s| s.name == name).unwrap();
    assert_eq!(step("winlogbeat-1").outcome, Some(Outcome::Done));
    assert_eq!(step("winlogbeat-2").outcome, Some(Outcome::Done));
    assert_eq!(step("winlogbeat-3").action, Action::Skipped);
    let left = step("winlogbeat-4").outcome.clone();
    assert!(matches!(left, Some(Outcome::Left(_))), "{left:?}");
    let mappings = server
        .must(Method::Get, "/winlogbeat-*/_mapping", Value::Null)
        .await;
    let kind = |index: &str, path: &str| {
        mappings[index]["mappings"]["properties"]
            .pointer(path)
            .cloned()
    };
    assert_eq!(
        kind("winlogbeat-1", "/AlertLevel/type"),
        Some(json!("byte"))
    );
    assert_eq!(
        kind("winlogbeat-1", "/picket/properties/judged/type"),
        Some(json!("keyword"))
    );
    assert_eq!(
        kind("winlogbeat-2", "/AlertLevel/type"),
        Some(json!("long"))
    );
    assert_eq!(kind("winlogbeat-2", "/Ignore/type"), Some(json!("byte")));
    assert_eq!(
        kind("winlogbeat-3", "/AlertLevel/type"),
        Some(json!("keyword"))
    );
    assert_eq!(kind("winlogbeat-4", "/AlertLevel"), None);
    // Their template is still the one that counts, and may include ours.
    server.put("/winlogbeat-5", json!({})).await;
    let settings = server
        .must(Method::Get, "/winlogbeat-5/_settings", Value::Null)
        .await;
    assert_eq!(
        settings["winlogbeat-5"]["settings"]["index"]["refresh_interval"],
        "7s"
    );
    server
        .put(
            "/winlogbeat-4/_settings",
            json!({ "index.blocks.read_only": null }),
        )
        .await;
    let included = json!({ "index_patterns": ["winlogbeat-*"], "priority": 150,
        "composed_of": ["picket-levels"] });
    server.put("/_index_template/winlogbeat", included).await;
    server.put("/winlogbeat-6", json!({})).await;
    let mapping = server
        .must(Method::Get, "/winlogbeat-6/_mapping", Value::Null)
        .await;
    let level = "/winlogbeat-6/mappings/properties/AlertLevel/type";
    assert_eq!(mapping.pointer(level), Some(&json!("byte")));
    server.delete("/_index_template/winlogbeat").await;
    remove(&provision).await;
}

#[tokio::test]
async fn raw_histories_are_normalised_and_keep_coming_without_the_pipeline() {
    let Some(server) = Server::get().await else {
        return;
    };
    let elastic = server.elastic().await;
    let provision = indices(&elastic);
    let plan = apply(&provision).await;
    if actions(&plan, Kind::Pipeline, "picket-cmdlogs") == Action::Skipped {
        println!("skipped: this server has no ingest processors");
        server
            .put("/cmdlogs/_doc/1?refresh=true", json!({ "command": "ver" }))
            .await;
        remove(&provision).await;
        return;
    }
    let raw = [
        (
            json!({ "timestamp": "2017-04-10 02:35:04", "Hostname": "DESKTOP-F4U17LI", "command": "at \\\\192.168.30.130 12:00 C:\\Intel\\logs\\a.bat" }),
            json!({ "timestamp": "2017-04-10T02:35:04.000Z", "Hostname": "DESKTOP-F4U17LI", "CommandName": "at" }),
        ),
        (
            json!({ "@timestamp": "2026-03-04T05:06:07.500+01:00", "host": { "name": "fs01 " }, "user": { "name": "bob" }, "CommandLine": " \"C:\\Program Files\\Sys Internals\\PsExec64.exe\" -s \\\\dc1 cmd\r\n" }),
            json!({ "timestamp": "2026-03-04T04:06:07.500Z", "Hostname": "FS01", "Username": "bob", "CommandName": "psexec64", "command": "\"C:\\Program Files\\Sys Internals\\PsExec64.exe\" -s \\\\dc1 cmd" }),
        ),
        (
            json!({ "time": "1491791704", "host": "ws1", "cmd": "DIR/s C:\\" }),
            json!({ "timestamp": "2017-04-10T02:35:04.000Z", "Hostname": "WS1", "CommandName": "dir", "command": "DIR/s C:\\" }),
        ),
        (
            json!({ "timestamp": 1_491_791_704_250_i64, "Computer": "WS2", "Command": "C:\\Windows\\System32\\whoami.exe /all", "AlertLevel": 2 }),
            json!({ "timestamp": "2017-04-10T02:35:04.250Z", "Hostname": "WS2", "CommandName": "whoami", "AlertLevel": 2, "Ignore": 0 }),
        ),
        (
            json!({ "timestamp": "yesterday", "Hostname": "ws3", "command": "ver" }),
            json!({ "timestamp": "yesterday", "command": "ver", "Hostname": "WS3", "CommandName": "ver", "AlertLevel": 0 }),
        ),
        // As cmd.exe writes the time, where the decimal sign is a comma.
        (
            json!({ "timestamp": "2026-11-20  3:22:33,79", "Hostname": "ws4", "command": "ver" }),
            json!({ "timestamp": "2026-11-20T03:22:33.790Z", "Hostname": "WS4" }),
        ),
    ];
    for (number, (document, _)) in raw.iter().enumerate() {
        server
            .put(
                &format!("/cmdlogs/_doc/{number}?refresh=true"),
                document.clone(),
            )
            .await;
    }
    for (number, (_, expected)) in raw.iter().enumerate() {
        let search = json!({ "query": { "ids": { "values": [number.to_string()] } } });
        let found = server.post("/cmdlogs/_search", search).await;
        let source = &found["hits"]["hits"][0]["_source"];
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&source[field], value, "{number} {field}: {source}");
        }
        // What cannot be normalised is there all the same, and says so.
        assert_eq!(source.get("tags").is_some(), number == 4, "{source}");
        assert!(source["AlertLevel"].is_number(), "{source}");
    }
    let host = json!({ "size": 0, "aggs": { "h": { "terms": { "field": "Hostname.keyword" } } } });
    let hosts = server.post("/cmdlogs/_search", host).await;
    assert_eq!(
        hosts["aggregations"]["h"]["buckets"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    remove(&provision).await;
    server
        .put("/cmdlogs/_doc/late", json!({ "command": "ver" }))
        .await;
}

#[tokio::test]
async fn an_index_is_the_same_whether_a_template_or_the_store_makes_it() {
    let Some(server) = Server::get().await else {
        return;
    };
    let elastic = server.elastic().await;
    let provision = indices(&elastic);
    let read = async |index: &str| {
        let said = server
            .must(Method::Get, &format!("/{index}/_mapping"), Value::Null)
            .await;
        said[index]["mappings"].clone()
    };
    let use_it = async || {
        let store = server.store().await;
        let hit = crate::store_contract::hits::hit("group", 1, "d1");
        store.keep_hits(&[hit], 0).await.unwrap();
        store
            .commit("s", &picket::store::Progress::default())
            .await
            .unwrap();
        let all = Search {
            sources: Some(Sources::all()),
            ..Search::default()
        };
        store.find(&all).await.unwrap();
        (read(".picket-hits").await, read(".picket-state").await)
    };
    let without = use_it().await;
    server.wipe().await;
    apply(&provision).await;
    server.delete("/.picket-state").await;
    assert_eq!(use_it().await, without);
    // And what the first document makes by itself is, too.
    server.delete("/.picket-hits,.picket-state").await;
    server
        .put("/.picket-hits/_doc/1", json!({ "group": "g" }))
        .await;
    assert_eq!(read(".picket-hits").await, without.0);
    apply(&provision).await;
    remove(&provision).await;
}

#[tokio::test]
async fn the_role_for_provisioning_is_enough() {
    let Some(server) = Server::secured().await else {
        return;
    };
    server.put("/winlogbeat-1", json!({})).await;
    let kind = server.elastic().await.server().kind;
    let sources = ["winlogbeat-*".to_owned(), "cmdlogs*".to_owned()];
    // Under the name that the helper gives its user.
    let named = |role: Role| Role {
        request: match kind {
            ServerKind::Elasticsearch => "POST _security/role/picket",
            ServerKind::OpenSearch => "PUT _plugins/_security/api/roles/picket",
        },
        ..role
    };
    let connection = user_with(&server, kind, named(Role::provisioning(kind, &sources))).await;
    let elastic = Elastic::open(&connection).await.unwrap();
    let provision = indices(&elastic);
    let mut plan = provision.plan().await.unwrap();
    provision.apply(&mut plan).await.unwrap();
    for step in plan.steps.iter().filter(|step| step.acts()) {
        assert_eq!(step.outcome, Some(Outcome::Done), "{step:?}");
    }
    // The roles themselves: Elasticsearch lets who may, OpenSearch only its administrators.
    let of = |kind: Kind| plan.steps.iter().filter(move |step| step.kind == kind);
    assert!(of(Kind::IndexTemplate).count() > 4);
    assert!(of(Kind::IndexTemplate).all(|step| step.outcome == Some(Outcome::Done)));
    let roles = server.elastic().await;
    let roles = indices(&roles);
    apply(&roles).await;
    remove(&provision).await;
    // Who may do nothing is told so, step by step.
    let nobody = user_with(&server, kind, named(Role::reading(kind, &sources))).await;
    let nobody = Elastic::open(&nobody).await.unwrap();
    match indices(&nobody).plan().await {
        Err(error) => assert!(error.message.contains("picket role"), "{error}"),
        Ok(plan) => {
            let step = plan.steps.iter().find(|step| step.acts());
            assert!(step.is_none(), "{:?}", step.map(|step| &step.name));
        }
    }
    remove(&roles).await;
}

#[tokio::test]
async fn the_command_says_what_it_does_and_ends_as_it_went() {
    let Some(server) = Server::get().await else {
        return;
    };
    let home = Home::new(&server.connection, "all", "winlogbeat-*");
    server.put("/winlogbeat-1", json!({})).await;
    let run = |arguments: &[&str]| {
        let output = home
            .picket(&[&["provision"], arguments].concat())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text + &error)
    };
    let (code, text) = run(&["plan", "--exit-code"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("+ create    index template picket-findings"),
        "{text}"
    );
    assert!(
        text.contains("~ update    fields of index winlogbeat-1\n    + AlertLevel"),
        "{text}"
    );
    let (code, text) = run(&["apply", "--dry-run"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(run(&["plan", "--exit-code"]).0, 1);
    let (code, text) = run(&["apply", "--only", "indices"]);
    assert!(code == 0 && text.contains("steps done"), "{text}");
    let (code, text) = run(&["plan", "--exit-code", "--only", "indices"]);
    assert_eq!(code, 0, "{text}");
    let theirs = json!({ "index_patterns": ["picket-findings"], "priority": 1 });
    server.put("/_index_template/picket-findings", theirs).await;
    let (code, text) = run(&["apply"]);
    assert!(code == 2 && text.contains("--yes"), "{text}");
    let (code, text) = run(&["plan", "-o", "json"]);
    assert_eq!(code, 0);
    let plan: Value = serde_json::from_str(&text).unwrap();
    let actions: Vec<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["action"].as_str())
        .collect();
    assert_eq!(
        actions.iter().filter(|a| **a == "conflict").count(),
        1,
        "{text}"
    );
    assert_eq!(run(&["apply", "--yes"]).0, 0);
    assert_eq!(run(&["remove"]).0, 0);
    let (code, text) = run(&["remove"]);
    assert!(code == 0 && text.contains("nothing"), "{text}");
    let (code, text) = run(&["export", "desk"]);
    assert!(
        code == 0 && home.file("desk/indices.txt").is_file(),
        "{text}"
    );
}

#[tokio::test]
async fn dashboards_go_where_the_configuration_says() {
    let Some(server) = Server::get().await else {
        return;
    };
    let kibana = crate::provision_kibana::stand_in::StandIn::new("9.3.0");
    let home = Home::new(&server.connection, "all", "winlogbeat-*");
    let image = json!({ "mappings": { "properties": { "winlog": { "properties": {
        "event_data": { "properties": { "Image": { "type": "keyword" } } } } } } } });
    server.put("/winlogbeat-1", image).await;
    let run = |arguments: &[&str]| {
        let output = home
            .picket(&[&["provision"], arguments].concat())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text + &error)
    };
    let (code, text) = run(&["plan", "--only", "kibana"]);
    assert!(code == 0 && text.contains("no Kibana is named"), "{text}");
    let path = home.file("picket.yml");
    let config = std::fs::read_to_string(&path).unwrap();
    let named = format!("{config}kibana: {{ url: {:?}, space: soc }}\n", kibana.url);
    std::fs::write(&path, named).unwrap();
    let (code, text) = run(&["apply", "--only", "kibana"]);
    assert_eq!(code, 0, "{text}");
    let objects = kibana.inside.lock().unwrap().objects.len();
    assert!(
        objects > 10 && text.contains(&format!("{objects} steps done")),
        "{text}"
    );
    let (code, text) = run(&["plan", "--only", "kibana", "--exit-code"]);
    assert!(
        code == 0 && text.contains(&format!("{objects} unchanged")),
        "{text}"
    );
    assert_eq!(run(&["remove"]).0, 0);
    assert!(kibana.inside.lock().unwrap().objects.is_empty());
}
