//! What a crash, a full disk, a second process and damaged files do to the embedded store: nothing
//! acknowledged is lost, nothing is doubled, and the error says what to do.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use picket::alert::AlertLevel;
use picket::document::Document;
use picket::store::embedded::Embedded;
use picket::store::{Checkpoint, FINDINGS_INDEX, Progress, Search, Sources, Store, StoreErrorKind};
use serde_json::{Value, json};

use crate::store_contract::{feed, new, verdict};
use crate::support::skip;

/// Names the folder to the child; without it the child's test does nothing.
const DIR: &str = "PICKET_TEST_CRASH_DIR";
const ROUNDS: u64 = 20;

/// Adds and sweeps until it is killed, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "only as the child of the next test"]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let store = Embedded::open(Path::new(&dir)).unwrap();
    let (documents, _) = feed(&store, &Checkpoint::default(), 1000).await;
    println!("\nopen 0");
    let add = async {
        for batch in 0.. {
            let at = documents.len() + batch * 10;
            let batch = (at..at + 10).map(|i| new("logs", &i.to_string(), &json!({ "i": i })));
            store.add(batch.collect()).await.unwrap();
            println!("\nadded {}", at + 10);
        }
    };
    let sweep = async {
        loop {
            let mut progress = store.progress("s").await.unwrap();
            let page = store
                .changes(None, &Sources::all(), &progress.at, 7)
                .await
                .unwrap();
            let new = page.documents.iter().filter(|d| level(d).is_null());
            let verdicts: Vec<_> = new
                .map(|d| verdict(d, "r", AlertLevel::Suspicious))
                .collect();
            store.apply(&verdicts).await.unwrap();
            progress.at = page.next;
            store.commit("s", &progress).await.unwrap();
            println!("\njudged {}", seq(&progress));
        }
    };
    tokio::join!(add, sweep);
}

fn level(document: &Document) -> Value {
    serde_json::from_str::<Value>(&document.source).unwrap()["AlertLevel"].take()
}

fn seq(progress: &Progress) -> u64 {
    progress.at.0.values().copied().next().unwrap_or(0)
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let (mut added, mut judged) = (0, 0);
    for round in 0..ROUNDS {
        let (a, j) = run_and_kill(dir.path(), round);
        (added, judged) = (a.max(added), j.max(judged));
        let store = Embedded::open(dir.path()).unwrap();
        check(&store, added, judged).await;
    }
    assert!(added > 0 && judged > 0, "the child did something");
}

/// Starts the child, lets it work until it has said a few things, and a moment more, and kills it:
/// the last numbers that it said.
fn run_and_kill(dir: &Path, round: u64) -> (usize, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store_crash::child", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let (mut added, mut judged) = (0, 0);
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ').map(|(what, n)| (what, n.parse())) {
                Some(("added", Ok(n))) => added = n as usize,
                Some(("judged", Ok(n))) => judged = n,
                Some(("open", _)) => {}
                _ => continue,
            }
            let _ = tell.send(());
        }
        (added, judged)
    });
    for _ in 0..2 + round % 6 {
        told.recv_timeout(Duration::from_secs(60))
            .expect("the child says something");
    }
    std::thread::sleep(Duration::from_millis(round * 37 % 90));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

async fn check(store: &Embedded, added: usize, judged: u64) {
    let (documents, _) = feed(store, &Checkpoint::default(), 100).await;
    let ids: HashSet<&str> = documents.iter().map(|d| &*d.id.id).collect();
    assert_eq!(ids.len(), documents.len(), "nothing is doubled");
    assert!((0..added).all(|i| ids.contains(&*i.to_string())), "lost");
    let at = seq(&store.progress("s").await.unwrap());
    assert!(at >= judged, "the checkpoint is kept");
    let alerted: HashSet<&str> = documents
        .iter()
        .filter(|d| !level(d).is_null())
        .map(|d| &*d.id.id)
        .collect();
    let passed = documents.iter().filter(|d| d.version.seq_no <= at);
    assert!(
        passed.clone().all(|d| alerted.contains(&*d.id.id)),
        "the checkpoint is in step with the verdicts"
    );
    let mut findings = HashSet::new();
    for offset in (0..10_000).step_by(1000) {
        let search = Search {
            sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
            offset,
            limit: 1000,
            ..Search::default()
        };
        for document in store.find(&search).await.unwrap().documents {
            let source: Value = serde_json::from_str(&document.source).unwrap();
            let id = source["document"]["id"].as_str().unwrap().to_owned();
            assert!(findings.insert(id), "a finding is doubled");
        }
    }
    assert!(
        findings
            .iter()
            .map(String::as_str)
            .eq(findings.iter().map(String::as_str))
    );
    assert_eq!(
        findings.len(),
        alerted.len(),
        "each verdict with its finding"
    );
    assert!(store.verify().await.unwrap().is_empty());
}

/// A small disk of its own, if this user may mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_works_again_with_room() {
    let Some(disk) = Disk::mount("12m") else {
        skip("root", "only root may mount the small disk");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 6_000_000]).unwrap();
    let store = Embedded::open(&disk.0.path().join("store")).unwrap();
    let text = |i: usize| -> String {
        (0..200)
            .map(|k| format!("{:x} ", (i * 7919 + k) * 104_729))
            .collect()
    };
    let batch = |from: usize| -> Vec<_> {
        let doc = |i: usize| new("logs", &i.to_string(), &json!({ "i": i, "text": text(i) }));
        (from..from + 100).map(doc).collect()
    };
    let mut added = 0;
    let error = loop {
        match store.add(batch(added)).await {
            Ok(()) => added += 100,
            Err(error) => break error,
        }
        assert!(added < 100_000, "the disk never fills");
    };
    assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
    let count = async || {
        let (documents, _) = feed(&store, &Checkpoint::default(), 1000).await;
        let ids: HashSet<_> = documents.iter().map(|d| d.id.id.clone()).collect();
        assert_eq!(ids.len(), documents.len());
        ids.len()
    };
    assert_eq!(count().await, added, "what was refused is not there");
    std::fs::remove_file(&ballast).unwrap();
    for _ in 0..2 {
        store.add(batch(added)).await.unwrap();
        added += 100;
    }
    assert_eq!(count().await, added);
    drop(store);
    let store = Embedded::open(&disk.0.path().join("store")).unwrap();
    let found = store.find(&Search::default()).await.unwrap();
    assert_eq!(found.total, added as u64);
    assert!(store.verify().await.unwrap().is_empty());
    drop(store);
}

#[tokio::test]
async fn a_second_writer_is_told_and_a_reader_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let kind =
        |result: Result<Embedded, _>| result.err().map(|e: picket::store::StoreError| e.kind);
    assert_eq!(
        kind(Embedded::open_read_only(dir.path())),
        Some(StoreErrorKind::Unavailable)
    );
    let store = Embedded::open(dir.path()).unwrap();
    store
        .add(vec![new("logs", "a", &json!({"x": 1}))])
        .await
        .unwrap();
    let error = Embedded::open(dir.path()).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Locked);
    assert!(
        error.message.contains("another process writes to it"),
        "{error}"
    );
    let reader = Embedded::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.find(&Search::default()).await.unwrap().total, 1);
    let error = reader.commit("s", &Progress::default()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Locked);
    drop(store);
    assert_eq!(kind(Embedded::open(dir.path())), None, "at once");
}

/// A store with one document, closed.
async fn small_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let text = "whoami ".repeat(1000);
    store
        .add(vec![new("logs", "a", &json!({ "x": text }))])
        .await
        .unwrap();
    dir
}

fn file_of(dir: &Path, extension: &str) -> std::path::PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    files
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == extension))
        .unwrap()
}

#[tokio::test]
async fn damage_is_named() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("a missing head", |dir| {
            std::fs::remove_file(dir.join("meta.json")).unwrap()
        }),
        ("a broken head", |dir| {
            std::fs::write(dir.join("meta.json"), "{").unwrap()
        }),
        ("a missing file", |dir| {
            std::fs::remove_file(file_of(dir, "store")).unwrap()
        }),
        ("a cut file", |dir| {
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(file_of(dir, "fast"))
                .unwrap();
            file.set_len(10).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let dir = small_store().await;
        damage(dir.path());
        for open in [Embedded::open, Embedded::open_read_only] {
            let error = open(dir.path())
                .err()
                .unwrap_or_else(|| panic!("{what} is not noticed"));
            assert_eq!(error.kind, StoreErrorKind::Corrupt, "{what}: {error}");
        }
    }
    let dir = small_store().await;
    let file = file_of(dir.path(), "pos");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let damaged = store.verify().await.unwrap();
    assert_eq!(damaged, [file.file_name().unwrap().to_str().unwrap()]);
}

#[tokio::test]
async fn a_store_of_another_version_is_not_touched() {
    let dir = small_store().await;
    let head = dir.path().join("meta.json");
    let text = std::fs::read_to_string(&head).unwrap();
    for (version, message) in [
        (
            3,
            "a newer Picket wrote this store (version 3, this one reads 2)",
        ),
        (
            1,
            "an older Picket wrote this store (version 1, this one reads 2)",
        ),
    ] {
        let other = text.replace(r#"\"version\":2"#, &format!(r#"\"version\":{version}"#));
        assert_ne!(other, text);
        std::fs::write(&head, &other).unwrap();
        for open in [Embedded::open, Embedded::open_read_only] {
            let error = open(dir.path()).err().unwrap();
            assert_eq!(error.kind, StoreErrorKind::BadRequest);
            assert!(error.message.contains(message), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&head).unwrap(), other);
    }
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Embedded::open(&file.path().join("store")).err().unwrap();
    assert!(
        error.message.contains(&file.path().display().to_string()),
        "{error}"
    );
}
