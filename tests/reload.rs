//! Rules that change while sweeps go on: from the next page on, without a restart, and never to
//! less than there was because of a slip.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use chrono::{Local, Timelike};
use picket::alert::AlertLevel;
use picket::store::Sources;
use picket::sweep::Sweep;

use crate::cli::{data, folder, picket};
use crate::sweep::{Word, everything, judge_as, store_with};

#[tokio::test]
async fn a_page_is_judged_by_the_old_rules_or_the_new_ones() {
    let store = store_with(&["whoami", "mimikatz"].repeat(10)).await;
    let old = judge_as(
        "old",
        vec![Box::new(Word("whoami", AlertLevel::Suspicious))],
    );
    let mut new = Some(judge_as(
        "new",
        vec![Box::new(Word("mimikatz", AlertLevel::Alert))],
    ));
    let sweep = Sweep::new("default", store.clone(), Sources::all(), &old, 1).page_of(2);
    let mut pages = Vec::new();
    sweep
        .activate(&AtomicBool::new(false), &mut |step| {
            pages.extend(step.verdicts.iter().map(|v| v.judged.to_string()));
            if let Some(new) = new.take_if(|_| pages.len() == 2) {
                sweep.rearm(&new, 1);
            }
        })
        .await
        .unwrap();
    assert_eq!(pages[..2], ["old", "old"]);
    let first_new = pages.iter().position(|judged| judged == "new").unwrap();
    assert!(pages[first_new..].iter().all(|judged| judged == "new"));
    assert!(first_new <= 5, "{pages:?}");
    let levels: Vec<(u64, u64)> = everything(&*store, Sources::all())
        .await
        .iter()
        .map(|document| {
            let source: serde_json::Value = serde_json::from_str(&document.source).unwrap();
            let id = document.id.id.parse().unwrap();
            (id, source["AlertLevel"].as_u64().unwrap())
        })
        .collect();
    let level = |id| levels.iter().find(|(other, _)| *other == id).unwrap().1;
    // What the old rules let pass stays so, and what they raised.
    assert_eq!((level(0), level(1)), (1, 0));
    assert_eq!((level(18), level(19)), (0, 2));
}

/// Waits until the log says something, that many times.
fn said(log: &Path, what: &str, times: usize) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(90) {
        let text = fs::read_to_string(log).unwrap();
        if text.matches(what).count() >= times {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

/// As a user would: the service runs, a rule is dropped in, a slip breaks it, a sweep comes.
#[cfg(unix)]
#[test]
fn a_rule_that_is_dropped_in_raises_alerts_without_a_restart() {
    let folder = folder();
    let recording = data("recording.ndjson");
    assert_eq!(picket(folder.path(), &["load", &recording]).code, 0);
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let rule = |id: &str, word: &str| {
        format!(
            "title: Rule {id}\nid: {id}\nlevel: high\nlogsource: {{product: windows}}\ndetection:\n  selection:\n    CommandLine|contains: {word}\n  condition: selection\n"
        )
    };
    fs::write(rules.join("first.yml"), rule("first", "xyzzy-nothing")).unwrap();
    fs::write(folder.path().join("blacklist.txt"), "# none\n").unwrap();
    // The only sweep comes once all edits are made.
    let at = (Local::now().second() + 30) % 60;
    fs::write(
        folder.path().join("picket.yml"),
        format!("rules: [rules]\nblacklist: blacklist.txt\nsweeps: [{{ name: default, schedule: \"{at} * * * * *\" }}]\n"),
    )
    .unwrap();
    let log = folder.path().join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_picket"))
        .arg("run")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let ready = said(&log, "scheduled", 1);
    fs::write(rules.join("second.yml"), rule("second", "psexec")).unwrap();
    let taken = said(&log, "judging with what changed", 1);
    let named = said(&log, "added: Rule second", 1);
    fs::write(rules.join("second.yml"), "title: Rule second\nid: [").unwrap();
    let kept = said(&log, "stay as they were", 1);
    let swept = said(&log, "swept", 1);
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    assert!(stopped.unwrap().success());
    assert!(child.wait().unwrap().success());
    let text = fs::read_to_string(&log).unwrap();
    assert!(ready && taken && named && kept && swept, "{text}");
    assert_eq!(text.matches("stay as they were").count(), 1, "{text}");
    assert!(
        text.contains("second.yml"),
        "the broken file is named: {text}"
    );
    let raised = picket(folder.path(), &["search", "AlertLevel:1", "-o", "ndjson"]);
    assert!(!raised.json().is_empty(), "{text}");
    for hit in raised.json() {
        assert_eq!(hit["_source"]["picket"]["rules"][0], "second");
    }
}
