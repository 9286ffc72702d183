//! Every panel as the search that it makes, on a real server over documents whose numbers are known:
//! the 38 of DetectLM's own picture, made-up events of a hunt in every shape, and what a sweep finds
//! in the demo's recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use elasticsearch::http::Method;
use picket::provision::kibana::search::{Panel, Times, panels};
use picket::provision::kibana::{Object, Shape, Target, check, dashboards, paths};
use serde_json::{Map, Value, json};

use super::picture::Board;
use crate::store_elastic::home::Home;
use crate::store_elastic::server::Server;

const DETECTLM: &str = "327c0c60-32fb-11e7-9bd5-a3815fb7533d";
/// What DetectLM's picture shows: 2017-03-31 to 04-30.
const APRIL: Times = (1_490_918_400_000, 1_493_510_400_000);
/// Ten minutes around the made-up hunt of 2020-05-02.
const HUNT: Times = (1_588_391_100_000, 1_588_391_700_000);
/// All recordings of the demo: 2020-09-01 to 2023-09-30.
const DEMO: Times = (1_598_918_400_000, 1_696_032_000_000);
/// The same and an evening in cmd.exe: to 2026-12-01.
const ALL: Times = (DEMO.0, 1_796_083_200_000);
/// One of them, the theft of credentials on ACCT01: 2023-08-16, 00:34:30 to 00:38:10.
const THEFT: Times = (1_692_146_070_000, 1_692_146_290_000);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn lines(name: &str) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// What the server answers to a panel; no shard may fail.
async fn ask(server: &Server, panel: &Panel) -> Value {
    let search = panel.asks.as_ref().unwrap();
    let path = format!("/{}/_search?ignore_unavailable=true", search.pattern);
    let (status, answer) = server.ask(Method::Post, &path, search.body.clone()).await;
    assert_eq!(status, 200, "{}: {answer}", panel.title);
    assert_eq!(answer["_shards"]["failed"], 0, "{}: {answer}", panel.title);
    assert_eq!(answer["timed_out"], false, "{}", panel.title);
    answer
}

fn hits(answer: &Value) -> u64 {
    answer["hits"]["total"]["value"].as_u64().unwrap()
}

/// The counts of the buckets of an aggregation.
fn counts(answer: &Value, agg: &str) -> Vec<u64> {
    let buckets = answer["aggregations"][agg]["buckets"].as_array().unwrap();
    let count = |bucket: &Value| bucket["doc_count"].as_u64().unwrap();
    buckets.iter().map(count).collect()
}

/// Each panel of a dashboard by its title, with the answer to it.
async fn answers(
    server: &Server,
    objects: &[Object],
    dashboard: &str,
    times: Times,
) -> Vec<(Panel, Value)> {
    let mut all = Vec::new();
    for panel in panels(objects, dashboard, times).unwrap() {
        let answer = match panel.asks {
            Some(_) => ask(server, &panel).await,
            None => Value::Null,
        };
        all.push((panel, answer));
    }
    all
}

fn of<'a>(answers: &'a [(Panel, Value)], title: &str) -> &'a Value {
    let found = answers.iter().find(|(panel, _)| panel.title == title);
    &found.unwrap_or_else(|| panic!("no panel {title}")).1
}

/// The titles of a dashboard's lists to choose from.
fn controls(objects: &[Object], dashboard: &str) -> Vec<String> {
    let is = |object: &&Object| object.kind == "dashboard" && object.id == dashboard;
    let board = objects.iter().find(is).unwrap();
    let group = &board.json["attributes"]["controlGroupInput"]["panelsJSON"];
    let group: Value = serde_json::from_str(group.as_str().unwrap()).unwrap();
    let title = |list: &Value| list["explicitInput"]["title"].as_str().unwrap().to_owned();
    group.as_object().unwrap().values().map(title).collect()
}

/// Runs `picket` with its own rules on that server, over those indices.
fn picket(server: &Server, indices: &str, arguments: &[&str]) -> String {
    let home = Home::new(&server.connection, "default", indices);
    let config = home.file("picket.yml");
    let text = std::fs::read_to_string(&config).unwrap();
    let own = "rules: [rules.yml]\nblacklist: blacklist.txt\nmodules: modules\n";
    assert!(text.contains(own));
    std::fs::write(&config, text.replace(own, "")).unwrap();
    let output = home.picket(arguments).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

fn load(server: &Server, files: &[&str]) {
    let paths: Vec<String> = files
        .iter()
        .map(|f| data(f).display().to_string())
        .collect();
    let arguments = ["load"].into_iter().chain(paths.iter().map(String::as_str));
    picket(server, "*", &arguments.collect::<Vec<_>>());
}

async fn refresh(server: &Server) {
    server
        .post(
            "/*,picket-findings/_refresh?ignore_unavailable=true",
            Value::Null,
        )
        .await;
}

#[tokio::test]
async fn the_panels_of_detectlm_say_what_its_picture_shows() {
    let Some(server) = Server::get().await else {
        return;
    };
    load(&server, &["tests/data/detectlm.ndjson"]);
    refresh(&server).await;
    for target in Target::ALL {
        let objects = dashboards(target, &[]).unwrap();
        let answers = answers(&server, &objects, DETECTLM, APRIL).await;
        let all = of(&answers, "All Command Log");
        assert_eq!((hits(all), counts(all, "2")), (38, vec![4, 14, 16, 4]));
        let second = of(&answers, "AlertLevel 2");
        assert_eq!((hits(second), counts(second, "2")), (7, vec![1, 6]));
        let first = of(&answers, "AlertLevel 1");
        assert_eq!((hits(first), counts(first, "2")), (6, vec![6]));
        assert_eq!(hits(of(&answers, "Count AlertLevel 2")), 7);
        assert_eq!(hits(of(&answers, "Count AlertLevel 1")), 6);
        let chart = of(&answers, "AlertLevel Chart");
        assert_eq!(counts(chart, "2"), [6, 7]);
        let rows = of(&answers, "Log Search");
        assert_eq!(hits(rows), 38);
        let newest = &rows["hits"]["hits"][0]["_source"]["timestamp"];
        assert_eq!(newest, "2017-04-12 06:02:00");

        // The counts say so under their own names.
        for title in ["Count AlertLevel 2", "Count AlertLevel 1"] {
            let (panel, _) = answers
                .iter()
                .find(|(panel, _)| panel.title == title)
                .unwrap();
            assert_eq!(panel.state["aggs"][0]["params"]["customLabel"], title);
            assert_eq!(panel.state["aggs"][0]["type"], "count");
        }
        if target == Target::Kibana88 {
            let board = Board {
                name: "detectlm",
                title: "DetectLM",
                controls: controls(&objects, DETECTLM),
                times: APRIL,
                from: "the 38 commands of tests/data/detectlm.ndjson",
            };
            board.keep(&answers);
        }
    }
    // The originals summed levels, so that one said twice the count, and the shares were wrong.
    let sum = json!({ "size": 0, "query": { "match": { "AlertLevel": 2 } }, "aggs": { "1": { "sum": { "field": "AlertLevel" } } } });
    let answer = server.post("/cmdlogs/_search", sum).await;
    assert_eq!(answer["aggregations"]["1"]["value"], 14.0);
    // One day by half hours, as DetectLM's other picture has it.
    let night = (1_491_788_700_000, 1_491_793_200_000);
    let objects = dashboards(Target::Kibana88, &[]).unwrap();
    let answers = answers(&server, &objects, DETECTLM, night).await;
    assert_eq!(hits(of(&answers, "Log Search")), 7);
    assert_eq!(hits(of(&answers, "AlertLevel 2")), 6);
}

/// An event of the hunt as a shipper of that shape writes it, in its index.
fn shaped(event: &Map<String, Value>, spelling: &BTreeMap<String, String>) -> Value {
    let mut document = json!({ "@timestamp": event["@timestamp"] });
    for (name, value) in event.iter().filter(|(name, _)| *name != "@timestamp") {
        let name = if name == "Hostname" {
            "Computer"
        } else {
            name.as_str()
        };
        let path = spelling[name].trim_end_matches(".keyword");
        let place = format!("/{}", path.replace('.', "/"));
        let mut at = &mut document;
        for key in place.split('/').skip(1) {
            at = &mut at[key];
        }
        *at = value.clone();
    }
    document
}

/// An index for that shape, mapped as its shipper's template does: what the sources say.
async fn shape_index(server: &Server, shape: Shape) -> &'static str {
    let index = match shape {
        Shape::Flat => "logstash-replay",
        _ => "winlogbeat-replay",
    };
    server
        .ask(Method::Delete, &format!("/{index}"), Value::Null)
        .await;
    let mut mappings = json!({ "properties": { "@timestamp": { "type": "date" } } });
    if shape != Shape::Flat {
        let fields = &check::fields()[&format!("picket-events-{}", shape.name())];
        let mut templates = Vec::new();
        for (path, kind) in fields.iter().filter(|(_, kind)| *kind != "keyword") {
            // The servers of the tests lack this type; it is asked as a keyword is.
            let kind = if kind == "wildcard" { "keyword" } else { kind };
            let mapping = json!({ "path_match": path, "mapping": { "type": kind } });
            templates.push(json!({ path.as_str(): mapping }));
        }
        let strings = json!({ "match_mapping_type": "string", "mapping": { "type": "keyword" } });
        templates.push(json!({ "strings": strings }));
        mappings["dynamic_templates"] = json!(templates);
    }
    server
        .put(&format!("/{index}"), json!({ "mappings": mappings }))
        .await;
    let spelling = paths(shape).unwrap();
    let mut bulk = String::new();
    for event in lines("tests/data/hunt.ndjson") {
        bulk += &format!(
            "{}\n{}\n",
            json!({ "index": {} }),
            shaped(&event, &spelling)
        );
    }
    let answer = server
        .post(&format!("/{index}/_bulk?refresh=true"), json!(bulk))
        .await;
    assert_eq!(answer["errors"], false, "{answer}");
    index
}

#[tokio::test]
async fn the_same_events_give_the_same_numbers_in_every_shape() {
    let Some(server) = Server::get().await else {
        return;
    };
    let mut first: Option<Vec<(String, u64, Value)>> = None;
    for shape in Shape::ALL {
        let index = shape_index(&server, shape).await;
        let objects = dashboards(Target::Kibana88, &[shape]).unwrap();
        let hunt = format!("picket-hunt-{}", shape.name());
        let answers = answers(&server, &objects, &hunt, HUNT).await;
        for (title, count) in [
            ("Event rate", 24),
            ("webclnt.dll", 8),
            ("python.exe", 9),
            ("psexec64.exe", 2),
            ("WebDav service", 2),
            ("In the message: webclnt.dll, python.exe, psexec64.exe", 17),
            ("WebDav service in Details", 2),
            ("What python.exe does", 9),
        ] {
            assert_eq!(
                hits(of(&answers, title)),
                count,
                "{}: {title}",
                shape.name()
            );
        }
        let loads = of(&answers, "ImageLoaded by Image: who loads most");
        let buckets = loads["aggregations"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap();
        let rows = buckets["buckets"].as_array().unwrap().iter();
        let rows: Vec<_> = rows
            .map(|row| {
                (
                    row["key"].clone(),
                    row["doc_count"].clone(),
                    row["2"]["value"].clone(),
                )
            })
            .collect();
        let row = |image: &str, loads: u64, libraries: u64| {
            (json!(image), json!(loads), json!(libraries))
        };
        assert_eq!(
            rows,
            [
                row(r"C:\Users\alice\AppData\python.exe", 5, 4),
                row(r"C:\Windows\System32\svchost.exe", 5, 2),
            ]
        );
        let all: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| !answer.is_null())
            .map(|(panel, answer)| {
                (
                    panel.title.clone(),
                    hits(answer),
                    answer["aggregations"].clone(),
                )
            })
            .collect();
        // Numbers and keys of all panels; only the type of an event's number differs.
        let plain = |all: &[(String, u64, Value)]| {
            format!("{all:?}")
                .replace('"', "")
                .replace("String(", "")
                .replace("Number(", "")
                .replace(')', "")
        };
        match &first {
            Some(first) => assert_eq!(plain(first), plain(&all), "{}", shape.name()),
            None => first = Some(all),
        }
        if shape == Shape::Flat {
            let board = Board {
                name: "hunt",
                title: "Hunt",
                controls: controls(&objects, &hunt),
                times: HUNT,
                from: "the 24 made-up events of tests/data/hunt.ndjson",
            };
            board.keep(&answers);
        }
        server.delete(&format!("/{index}")).await;
    }
}

/// Reports of sweeps beside the one that the sweep left.
async fn sweeps(server: &Server) {
    let kept = server.post("/picket-sweeps/_search", Value::Null).await;
    assert_eq!(hits(&kept), 1, "{kept}");
    let report = &kept["hits"]["hits"][0]["_source"];
    assert!(
        report["read"]["documents"].as_u64().unwrap() > 5000,
        "{report}"
    );
    for number in 0..12 {
        let report = json!({
            "sweep": if number % 3 == 2 { "night" } else { "default" },
            "started": THEFT.0 + number * 18_000, "took": 800 + number * 37, "written": 2,
            "read": { "documents": 400 + 10 * number, "judged_before": 2, "unrecognised": 5, "unreadable": 0, "ignored": 0 },
            "findings": number % 4, "rejected": i64::from(number == 7), "conflicts": 0, "stopped": number == 9,
            "problems": if number == 7 { json!([{ "message": "logs-kept is read-only" }]) } else { json!([]) },
        });
        server
            .put(
                &format!("/picket-sweeps/_doc/{number}?refresh=true"),
                report,
            )
            .await;
    }
}

#[tokio::test]
async fn every_panel_of_every_dashboard_is_answered() {
    let Some(server) = Server::get().await else {
        return;
    };
    let recordings = [
        "cmdlogs",
        "credential-theft-lsass",
        "credential-theft-psexec",
        "lateral-movement-service",
        "lateral-movement-wmi",
    ];
    let files = recordings.map(|name| format!("demo/{name}.ndjson.gz"));
    load(&server, &files.each_ref().map(String::as_str));
    let evening = data("tests/data/cmdlogs.csv").display().to_string();
    picket(&server, "*", &["load", &evening, "--host", "FS01"]);
    refresh(&server).await;
    let said = picket(&server, "events,cmdlogs", &["sweep"]);
    assert!(said.contains("findings"), "{said}");
    refresh(&server).await;
    sweeps(&server).await;
    refresh(&server).await;
    let flat = dashboards(Target::Kibana88, &[Shape::Flat]).unwrap();
    let demo = "the recordings of the demo, swept";
    for (id, name, title, times, from) in [
        ("picket-overview", "overview", "Overview", DEMO, demo),
        (
            "picket-host-flat",
            "host",
            "Host",
            THEFT,
            "the demo's credential-theft-lsass, swept",
        ),
        (
            "picket-rules",
            "rules",
            "Modules and rules",
            ALL,
            "the demo's recordings and tests/data/cmdlogs.csv, swept",
        ),
        (
            "picket-sweeps",
            "sweeps",
            "Sweeps",
            THEFT,
            "twelve made-up reports",
        ),
    ] {
        let answers = answers(&server, &flat, id, times).await;
        let theft = times == THEFT && name == "host";
        assert!(!theft || hits(of(&answers, "Windows events")) > 2000);
        let controls = controls(&flat, id);
        let board = Board {
            name,
            title,
            controls,
            times,
            from,
        };
        board.keep(&answers);
    }
    overview(&server, &flat).await;
    linked(&server, &flat).await;
    for target in Target::ALL {
        let objects = dashboards(target, &Shape::ALL).unwrap();
        let boards = objects.iter().filter(|object| object.kind == "dashboard");
        let mut asked = 0;
        for board in boards {
            let answers = answers(&server, &objects, &board.id, DEMO).await;
            asked += answers
                .iter()
                .filter(|(_, answer)| !answer.is_null())
                .count();
        }
        assert!(asked > 100, "{asked}");
    }
}

/// The overview's numbers, counted again from the findings themselves.
async fn overview(server: &Server, objects: &[Object]) {
    let answers = answers(server, objects, "picket-overview", DEMO).await;
    let every = json!({ "size": 10_000 });
    let every = server.post("/picket-findings/_search", every).await;
    let findings: Vec<&Value> = every["hits"]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| &hit["_source"])
        .collect();
    let inside = |finding: &&&Value| {
        finding["time"]
            .as_i64()
            .is_some_and(|time| (DEMO.0..=DEMO.1).contains(&time))
    };
    let findings: Vec<&Value> = findings.iter().filter(inside).copied().collect();
    let level = |wanted: u64| {
        findings
            .iter()
            .filter(|f| f["AlertLevel"] == wanted)
            .count() as u64
    };
    assert!(level(1) > 0 && findings.len() > 10, "{}", findings.len());
    assert_eq!(hits(of(&answers, "Alerts")), level(2));
    assert_eq!(hits(of(&answers, "Suspicious")), level(1));
    for (title, field) in [
        ("Top hosts", "host"),
        ("Top users", "user"),
        ("Top rules", "rules"),
        ("ATT&CK techniques", "techniques"),
    ] {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for finding in &findings {
            let values = match &finding[field] {
                Value::Array(values) => values.clone(),
                Value::Null => Vec::new(),
                value => vec![value.clone()],
            };
            for value in values {
                *counted
                    .entry(value.as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
        let mut expected: Vec<_> = counted.into_iter().collect();
        expected.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), value.clone()));
        expected.truncate(10);
        let answer = of(&answers, title);
        let aggregation = answer["aggregations"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap();
        let buckets = aggregation["buckets"].as_array().unwrap().iter();
        let got: Vec<_> = buckets
            .map(|b| {
                (
                    b["key"].as_str().unwrap().to_owned(),
                    b["doc_count"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(got, expected, "{title}");
    }
    let open = server
        .post(
            "/events,cmdlogs/_search",
            json!({ "size": 10_000, "query": { "exists": { "field": "picket.level" } } }),
        )
        .await;
    let open = open["hits"]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|hit| hit["_source"]["AlertLevel"] == 1)
        .count() as u64;
    assert_eq!(hits(of(&answers, "Await an answer")), open);
    assert_eq!(hits(of(&answers, "What awaits an answer")), open);
}

/// A link from a host carries a filter that finds that host in every panel, however its name is
/// written there, and nothing else.
async fn linked(server: &Server, objects: &[Object]) {
    let view = objects
        .iter()
        .find(|object| object.id == "picket-findings")
        .unwrap();
    let formats = view.json["attributes"]["fieldFormatMap"].as_str().unwrap();
    let formats: Value = serde_json::from_str(formats).unwrap();
    let url = formats["host"]["params"]["urlTemplate"].as_str().unwrap();
    let (page, filter) = url.split_once('?').unwrap();
    assert_eq!(page, "../app/dashboards#/view/picket-host-flat");
    let terms = filter.split("(term:('").skip(1);
    let terms: Vec<Value> = terms
        .map(|term| {
            let (field, is) = term.split_once("':").unwrap();
            assert!(
                is.starts_with("(value:'{{value}}',case_insensitive:!t)"),
                "{is}"
            );
            let is = json!({ "value": "acct01.PANDALAB.com", "case_insensitive": true });
            json!({ "term": { field: is } })
        })
        .collect();
    let filter = json!({ "bool": { "minimum_should_match": 1, "should": terms } });
    let mut found = BTreeMap::new();
    for mut panel in panels(objects, "picket-host-flat", THEFT).unwrap() {
        let Some(asks) = &mut panel.asks else {
            continue;
        };
        let conditions = asks.body["query"]["bool"]["filter"].as_array_mut().unwrap();
        conditions.push(filter.clone());
        let answer = ask(server, &panel).await;
        for hit in answer["hits"]["hits"].as_array().unwrap() {
            let source = &hit["_source"];
            let host = source.get("Hostname").unwrap_or(&source["host"]);
            assert_eq!(host, "ACCT01.pandalab.com", "{}", panel.title);
        }
        found.insert(panel.title.clone(), hits(&answer));
    }
    for (title, least) in [
        ("Findings, newest first", 10),
        ("Commands typed into cmd.exe", 3),
        ("Windows events", 2000),
        ("Rules", 10),
        ("Where it connected", 20),
    ] {
        assert!(found[title] >= least, "{title}: {found:?}");
    }
}
