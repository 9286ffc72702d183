//! Figures of the embedded store, printed: load, feed, update, small commits, search, memory.
//! `cargo bench --bench store -- [FOLDER [DOCUMENTS]]`; the folder holds recordings to load (zip or
//! NDJSON), without one events are made up. Writes to a temporary folder of the disk it runs on.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and stops where it cannot measure"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use picket::alert::{AlertLevel, Level};
use picket::document::Document;
use picket::finding::{Finding, Verdict};
use picket::store::embedded::Embedded;
use picket::store::{Aggregation, Checkpoint, NewDocument, Progress, Search, Sources, Store};

/// Documents in one `add`, two of which are under way at a time.
const BATCH: usize = 5_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let folder = arguments.next().map(PathBuf::from);
    let count = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let sources = match &folder {
        Some(folder) => recorded(folder, count),
        None => (0..count).map(made_up).collect(),
    };
    let bytes: usize = sources.iter().map(|s| s.len()).sum();
    println!(
        "{} documents of {} bytes",
        sources.len(),
        bytes / sources.len().max(1)
    );
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    load(&store, sources).await;
    println!(
        "  disk {} MB, memory {}",
        size(dir.path()) / 1_000_000,
        memory()
    );
    let newest = feed(&*store).await;
    small_commits(&store).await;
    update(&*store, &newest).await;
    search(&*store).await;
    println!("  memory {}", memory());
}

/// The lines of all recordings in a folder, again and again until there are enough.
fn recorded(folder: &Path, count: usize) -> Vec<Box<str>> {
    let mut sources: Vec<Box<str>> = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.unwrap();
        let Ok(file) = std::fs::File::open(entry.path()) else {
            continue;
        };
        if entry.path().extension().is_some_and(|e| e == "zip") {
            let Ok(mut archive) = zip::ZipArchive::new(file) else {
                continue;
            };
            for number in 0..archive.len() {
                let Ok(member) = archive.by_index(number) else {
                    continue;
                };
                let Ok(text) = std::io::read_to_string(member) else {
                    continue;
                };
                let lines = text.lines().filter(|line| line.starts_with('{'));
                sources.extend(lines.map(Box::from));
            }
        }
        if sources.len() >= count {
            break;
        }
    }
    sources.truncate(count);
    sources
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

async fn load(store: &Arc<Embedded>, sources: Vec<Box<str>>) {
    let count = sources.len();
    let started = Instant::now();
    let mut under_way = tokio::task::JoinSet::new();
    let mut sources = sources.into_iter().enumerate().peekable();
    while sources.peek().is_some() {
        let batch: Vec<NewDocument> = sources
            .by_ref()
            .take(BATCH)
            .map(|(number, source)| NewDocument {
                index: "logs".into(),
                id: Some(format!("{number:08}")),
                replace: false,
                source,
            })
            .collect();
        if under_way.len() == 2 {
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
        stood: AlertLevel::None,
        takes_back: false,
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
