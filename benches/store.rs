//! Figures of the embedded store, printed: load, feed, update, small commits, search, memory.
//! `cargo bench --bench store -- [FOLDER [DOCUMENTS]]`; the folder holds recordings to load (zips
//! of NDJSON), without one events are made up. Writes to a temporary folder of the disk it runs on.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and stops where it cannot measure"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use picket::alert::{AlertLevel, Level};
use picket::document::Document;
use picket::finding::{Finding, Verdict};
use picket::store::embedded::Embedded;
use picket::store::{Aggregation, Checkpoint, NewDocument, Progress, Search, Sources, Store};

/// Documents in one `add`, and how many of them are under way at a time: as `picket load` does.
const BATCH: usize = 2_500;
const IN_FLIGHT: usize = 4;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let folder = arguments.next().map(PathBuf::from);
    let count = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.ndjson");
    let mut out = BufWriter::new(File::create(&events).unwrap());
    let count = match &folder {
        Some(folder) => record(folder, count, &mut out),
        None => {
            (0..count).for_each(|number| writeln!(out, "{}", made_up(number)).unwrap());
            count
        }
    };
    out.flush().unwrap();
    let bytes = events.metadata().unwrap().len();
    println!("{count} documents of {} bytes", bytes / count.max(1) as u64);
    println!("  memory before {}", memory());
    let dir = dir.path().join("store");
    let store = Arc::new(Embedded::open(&dir).unwrap());
    load(&store, &events, count).await;
    println!("  disk {} MB, memory {}", size(&dir) / 1_000_000, memory());
    let newest = feed(&*store).await;
    small_commits(&store).await;
    update(&*store, &newest).await;
    search(&*store).await;
    println!("  memory {}", memory());
}

/// Writes the lines of the recordings in a folder, until there are enough; how many there were.
fn record(folder: &Path, count: usize, out: &mut impl Write) -> usize {
    let mut written = 0;
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|e| e != "zip") {
            continue;
        }
        let file = File::open(entry.path()).unwrap();
        let Ok(mut archive) = zip::ZipArchive::new(file) else {
            continue;
        };
        for number in 0..archive.len() {
            let Ok(member) = archive.by_index(number) else {
                continue;
            };
            let lines = BufReader::new(member).lines().map_while(Result::ok);
            for line in lines.filter(|line| line.starts_with('{')) {
                if written == count {
                    return written;
                }
                writeln!(out, "{line}").unwrap();
                written += 1;
            }
        }
    }
    written
}

fn made_up(number: usize) -> Box<str> {
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    serde_json::json!({
        "@timestamp": format!("2020-09-13T12:{:02}:{:02}.{:03}Z", number / 60_000 % 60, number / 1000 % 60, number % 1000),
        "EventID": 1 + number % 23, "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": format!("WORKSTATION{}", number % 7), "RecordNumber": number,
        "ProcessGuid": format!("{{{hash:016x}-0000-0000}}"), "ProcessId": number % 9000,
        "Image": format!("C:\\Windows\\System32\\program{}.exe", number % 300),
        "CommandLine": format!("program{} /flag {:x} -path C:\\Users\\user{}\\file.txt", number % 300, hash % 4096, number % 50),
        "Message": format!("Process Create: RuleName: - ProcessGuid: {hash:x} Image: program{} and so on, as such messages repeat everything that the event says once more", number % 300),
    })
    .to_string()
    .into()
}

async fn load(store: &Arc<Embedded>, events: &Path, count: usize) {
    let started = Instant::now();
    let mut under_way = tokio::task::JoinSet::new();
    let lines = BufReader::new(File::open(events).unwrap()).lines();
    let mut lines = lines.map(Result::unwrap).enumerate().peekable();
    while lines.peek().is_some() {
        let batch: Vec<NewDocument> = lines
            .by_ref()
            .take(BATCH)
            .map(|(number, source)| NewDocument {
                index: "logs".into(),
                id: Some(format!("{number:08}")),
                replace: false,
                source: source.into(),
            })
            .collect();
        if under_way.len() == IN_FLIGHT {
            under_way.join_next().await.unwrap().unwrap();
        }
        let store = Arc::clone(store);
        under_way.spawn(async move { store.add(batch).await.unwrap() });
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
    rate("load, parsed and durable", count, started);
}

async fn feed(store: &dyn Store) -> Vec<Document> {
    let started = Instant::now();
    let (mut at, mut count, mut last) = (Checkpoint::default(), 0, Vec::new());
    loop {
        let page = store
            .changes(None, &Sources::all(), &at, 5_000)
            .await
            .unwrap();
        if page.next == at {
            break;
        }
        at = page.next;
        count += page.documents.len();
        last = page.documents;
    }
    rate("feed, pages of 5,000", count, started);
    let started = Instant::now();
    store
        .changes(None, &Sources::all(), &at, 5_000)
        .await
        .unwrap();
    took("feed at rest", started);
    last
}

async fn small_commits(store: &Arc<Embedded>) {
    let one = |writer: usize, number: usize| NewDocument {
        index: "small".into(),
        id: Some(format!("{writer}-{number}")),
        replace: true,
        source: made_up(number),
    };
    let mut times = Vec::new();
    for number in 0..20 {
        let started = Instant::now();
        store.add(vec![one(0, number)]).await.unwrap();
        times.push(started.elapsed());
    }
    times.sort();
    println!(
        "  one document, durable: median {:.1?}",
        times[times.len() / 2]
    );
    let started = Instant::now();
    let writers = (1..=64).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for number in 0..50 {
                store.add(vec![one(writer, number)]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    rate(
        "64 writers, a document each time, acknowledged",
        64 * 50,
        started,
    );
}

async fn update(store: &dyn Store, documents: &[Document]) {
    let verdicts: Vec<Verdict> = documents.iter().map(verdict).collect();
    let started = Instant::now();
    store.apply(&verdicts).await.unwrap();
    store.commit("bench", &Progress::default()).await.unwrap();
    took(
        &format!(
            "{} verdicts with their findings, one commit",
            verdicts.len()
        ),
        started,
    );
}

fn verdict(document: &Document) -> Verdict {
    let finding = Finding {
        detector: "sigma".into(),
        rule_id: "rule".into(),
        rule: "A rule".into(),
        level: Level::High,
        stood: AlertLevel::None,
        takes_back: false,
        alert_level: AlertLevel::Suspicious,
        techniques: Vec::new().into(),
        score: None,
        evidence: Vec::new(),
        second_opinion: None,
    };
    let patch = serde_json::json!({"AlertLevel": 1, "picket": {"rules": ["rule"]}});
    Verdict {
        document: document.id.clone(),
        version: document.version,
        alert_level: AlertLevel::Suspicious,
        patch: patch.as_object().cloned(),
        judged: "digest".into(),
        whole: true,
        at: 0,
        time: None,
        host: None,
        user: None,
        record_id: None,
        findings: vec![finding],
    }
}

async fn search(store: &dyn Store) {
    for query in [
        "",
        "powershell",
        "EventID:1",
        "Image:*\\\\powershell.exe",
        "CommandLine:*-enc*",
        "*\\\\adm*",
    ] {
        let search = Search {
            query: query.into(),
            limit: 20,
            ..Search::default()
        };
        let started = Instant::now();
        let found = store.find(&search).await.unwrap();
        took(&format!("search {query:?}: {} found", found.total), started);
    }
    let search = Search {
        aggregations: vec![
            Aggregation::DateHistogram(60_000),
            Aggregation::Terms {
                field: "Image".into(),
                size: 10,
            },
        ],
        ..Search::default()
    };
    let started = Instant::now();
    store.find(&search).await.unwrap();
    took("histogram and most frequent images of all", started);
}

fn rate(what: &str, count: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("  {what}: {:.0} documents/s", count as f64 / seconds);
}

fn took(what: &str, started: Instant) {
    let time: Duration = started.elapsed();
    println!("  {what}: {time:.1?}");
}

fn size(dir: &Path) -> u64 {
    let files = walkdir::WalkDir::new(dir)
        .into_iter()
        .filter_map(Result::ok);
    files
        .filter_map(|f| f.metadata().ok())
        .filter(|m| m.is_file())
        .map(|m| m.len())
        .sum()
}

/// What the process holds now and has held at most, where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.unwrap_or("unknown").trim().to_owned()
    };
    format!("{} (peak {})", line("VmRSS:"), line("VmHWM:"))
}
