//! What must hold on a real server whatever goes wrong: Picket processes killed at random moments,
//! a network that cuts, delays and refuses, writers that add late documents and write others anew,
//! analysts who decide at the same time. Afterwards every document bears the verdict that a fresh
//! judge would give it, no finding is there twice, and nothing a person said is changed.
//!
//! `PICKET_TEST_FAULTS=long` runs the long form; `PICKET_TEST_SEED` repeats a run's choices.

mod cluster;
mod proxy;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use elasticsearch::http::Method;
use picket::store::elastic::Connection;
use serde_json::{Value, json};

use self::cluster::Cluster;
use crate::store_elastic::home::Home;
use crate::store_elastic::server::Server;

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// How much is done.
struct Size {
    documents: usize,
    kills: usize,
    mishaps: usize,
}

const COMMANDS: [(&str, u64); 6] = [
    ("dir C:\\\\Users", 0),
    ("ping 10.0.0.5", 0),
    ("notepad report.txt", 0),
    ("hostname", 0),
    ("quux --probe", 1),
    ("quux --harvest", 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_every_document_is_judged_as_it_is() {
    let Some(server) = Server::get().await else {
        return;
    };
    let long = std::env::var("PICKET_TEST_FAULTS").is_ok_and(|form| form == "long");
    let size = match long {
        true => Size {
            documents: 200_000,
            kills: 100,
            mishaps: 100,
        },
        false => Size {
            documents: 6_000,
            kills: 8,
            mishaps: 10,
        },
    };
    let seed = std::env::var("PICKET_TEST_SEED").map_or_else(
        |_| u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!("PICKET_TEST_SEED={seed}");
    run(&server, seed, &size).await;
}

async fn run(server: &Server, seed: u64, size: &Size) {
    let cluster = Cluster(server.http.clone());
    let base = format!("faults-{:08x}", seed as u32);
    let indices = [format!("{base}-a"), format!("{base}-b")];
    for (index, shards) in indices.iter().zip([3, 1]) {
        let body = json!({
            "settings": { "number_of_shards": shards, "number_of_replicas": 0 },
            "mappings": { "properties": { "order": { "type": "long" } } },
        });
        let (status, answer) = cluster.ask(Method::Put, index, body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let direct = &server.connection;
    let proxy = proxy::start(&direct.urls[0], direct.ca.as_deref(), seed).await;
    let connection = Connection {
        urls: vec![format!("http://127.0.0.1:{}", proxy.port)],
        ca: None,
        timeout: Duration::from_secs(10),
        ..direct.clone()
    };
    let home = Home::new(&connection, &base, &format!("{base}-*"));

    let written = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..3)
        .map(|number| {
            let chance = Chance(seed ^ (number as u64 + 1));
            tokio::spawn(write(
                cluster.clone(),
                indices.clone(),
                number,
                size.documents / 3,
                chance,
                Arc::clone(&written),
            ))
        })
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let analyst = tokio::spawn(decide(
        cluster.clone(),
        indices.clone(),
        Chance(seed ^ 99),
        Arc::clone(&written),
        Arc::clone(&done),
    ));

    let mut chance = Chance(seed ^ 7);
    let mut kills = 0;
    let writing = || writers.iter().any(|writer| !writer.is_finished());
    while kills < size.kills || proxy.mishaps.load(Ordering::SeqCst) < size.mishaps || writing() {
        let mut sweeps = [sweep(&home), sweep(&home)];
        tokio::time::sleep(Duration::from_millis(50 + chance.below(2_500) as u64)).await;
        for child in &mut sweeps {
            // Sometimes one is left to end by itself.
            if child.try_wait().unwrap().is_none() && chance.below(4) > 0 {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
        }
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let decisions = analyst.await.unwrap();
    proxy.faulty.store(false, Ordering::SeqCst);
    rest(&home).await;
    println!(
        "{} documents, {} decisions, {kills} kills, {} mishaps of the network",
        size.documents / 3 * 3,
        decisions.len(),
        proxy.mishaps.load(Ordering::SeqCst)
    );
    check(&cluster, &indices, &decisions).await;
    for index in &indices {
        cluster.ask(Method::Delete, index, String::new()).await;
    }
}

fn sweep(home: &Home) -> Child {
    let mut command = home.picket(&["sweep", "-o", "ndjson"]);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Sweeps until nothing waits; what a killed process had leased comes free within a minute.
async fn rest(home: &Home) {
    let begun = Instant::now();
    loop {
        let swept = home.picket(&["sweep"]).output().unwrap();
        let status = home.picket(&["status", "--exit-code"]).output().unwrap();
        if swept.status.success() && status.status.code() == Some(0) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "it does not come to rest: {} {} {}",
            String::from_utf8_lossy(&swept.stderr),
            String::from_utf8_lossy(&status.stdout),
            String::from_utf8_lossy(&status.stderr)
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Writes its share: new documents with event times in any order, and now and then one anew, whose
/// text then is a worse one. Documents that an analyst may decide on are left alone.
async fn write(
    cluster: Cluster,
    indices: [String; 2],
    writer: usize,
    count: usize,
    mut chance: Chance,
    written: Arc<AtomicUsize>,
) {
    let mut next = 0;
    while next < count {
        let mut body = String::new();
        for _ in 0..(1 + chance.below(100)).min(count - next) {
            let order = writer * 10_000_000 + next;
            let (command, _) = COMMANDS[chance.below(COMMANDS.len())];
            body += &line(&indices, order, command, &mut chance);
            next += 1;
            if chance.below(10) == 0 {
                let earlier = chance.below(next);
                if earlier % 2 == 1 {
                    let order = writer * 10_000_000 + earlier;
                    body += &line(&indices, order, "quux --harvest again", &mut chance);
                }
            }
        }
        let (status, answer) = cluster.ask(Method::Post, "_bulk", body).await;
        assert_eq!(
            (status, &answer["errors"]),
            (200, &json!(false)),
            "{answer}"
        );
        written.store(next, Ordering::SeqCst);
    }
}

fn line(indices: &[String; 2], order: usize, command: &str, chance: &mut Chance) -> String {
    let index = &indices[order % 3 % 2];
    // Up to a month late.
    let time = 1_790_000_000_000 - chance.below(30 * 86_400_000) as i64;
    let time = chrono::DateTime::from_timestamp_millis(time)
        .unwrap()
        .to_rfc3339();
    let source = json!({
        "@timestamp": time,
        "order": order,
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "event_id": "1",
            "computer_name": "WS5",
            "event_data": { "Image": "C:\\Windows\\quux.exe", "CommandLine": command },
        },
    });
    format!(
        "{}\n{source}\n",
        json!({ "index": { "_index": index, "_id": order.to_string() } })
    )
}

/// What an analyst decided on a document: the fields, and the level that stood then.
type Decisions = BTreeMap<String, (Value, u64)>;

/// Says of some documents "that was me" and of some "that was not me", under their version.
async fn decide(
    cluster: Cluster,
    indices: [String; 2],
    mut chance: Chance,
    written: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
) -> Decisions {
    let mut decisions = Decisions::new();
    while !done.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let count = written.load(Ordering::SeqCst);
        let order = chance.below(count.max(1)) / 2 * 2;
        let path = format!("{}/_doc/{order}", indices[order % 3 % 2]);
        let (status, document) = cluster.ask(Method::Get, &path, String::new()).await;
        if status != 200 || decisions.contains_key(&order.to_string()) {
            continue;
        }
        let fields = match chance.below(2) {
            0 => json!({ "Ignore": 1 }),
            _ => json!({ "AlertLevel": 2 }),
        };
        let path = format!(
            "{}/_update/{order}?if_seq_no={}&if_primary_term={}",
            indices[order % 3 % 2],
            document["_seq_no"],
            document["_primary_term"]
        );
        let body = json!({ "doc": fields }).to_string();
        let (status, _) = cluster.ask(Method::Post, &path, body).await;
        if status == 200 {
            let stood = document["_source"]["AlertLevel"].as_u64().unwrap_or(0);
            decisions.insert(order.to_string(), (fields, stood));
        }
    }
    decisions
}

async fn check(cluster: &Cluster, indices: &[String; 2], decisions: &Decisions) {
    let mut expected_findings = BTreeMap::new();
    for index in indices {
        for (id, source) in cluster.all(index).await {
            let command = source["winlog"]["event_data"]["CommandLine"]
                .as_str()
                .unwrap();
            let own = match command {
                command if command.contains("--harvest") => 2,
                command if command.contains("--probe") => 1,
                _ => 0,
            };
            let level = source["AlertLevel"].as_u64().unwrap_or(0);
            match decisions.get(&id) {
                Some((fields, stood)) if fields["Ignore"] == 1 => {
                    assert_eq!(source["Ignore"], 1, "{index}/{id}");
                    assert_eq!(level, *stood, "{index}/{id} was ignored: {source}");
                    continue;
                }
                Some(_) => assert_eq!(level, 2, "{index}/{id}: a person said so: {source}"),
                None => assert_eq!(level, own, "{index}/{id}: {source}"),
            }
            if own > 0 {
                expected_findings.insert((index.clone(), id), own);
            }
        }
    }
    let mut findings: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for record in findings_of(cluster, indices).await {
        let place = &record["document"];
        let text = |key: &str| place[key].as_str().unwrap().to_owned();
        findings
            .entry((text("index"), text("id")))
            .or_default()
            .push(record);
    }
    for (document, own) in expected_findings {
        let records = findings.remove(&document).unwrap_or_default();
        assert_eq!(records.len(), 1, "findings of {document:?}");
        let found = records[0]["findings"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["alert_level"], own, "{document:?}");
    }
    for document in findings.keys() {
        let ignored = |(fields, _): &(Value, u64)| fields["Ignore"] == 1;
        assert!(
            decisions.get(&document.1).is_some_and(ignored),
            "a finding on {document:?}, which has nothing"
        );
    }
}

/// The findings on documents of those indices.
async fn findings_of(cluster: &Cluster, indices: &[String; 2]) -> Vec<Value> {
    cluster
        .ask(Method::Post, "picket-findings/_refresh", String::new())
        .await;
    let mut all = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut body = json!({
            "size": 5_000,
            "query": { "terms": { "document.index": indices } },
            "sort": [{ "document.index": "asc" }, { "document.id": "asc" }],
        });
        if !after.is_null() {
            body["search_after"] = after;
        }
        let path = "picket-findings/_search";
        let (status, answer) = cluster.ask(Method::Post, path, body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let hits = answer["hits"]["hits"].as_array().unwrap().clone();
        let Some(last) = hits.last() else {
            return all;
        };
        after = last["sort"].clone();
        all.extend(hits.iter().map(|hit| hit["_source"].clone()));
    }
}
