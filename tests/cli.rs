//! The command as people run it: what they see, how it ends, what it says when input is bad.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

pub(crate) fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The lines of standard output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn picket(folder: &Path, arguments: &[&str]) -> Run {
    Command::new(env!("CARGO_BIN_EXE_picket"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .into()
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_demo_shows_an_attack_and_what_to_try_next() {
    let folder = folder();
    let demo = picket(folder.path(), &["demo"]);
    assert_eq!(demo.code, 0, "{}", demo.err);
    for part in [
        "LEVEL 2",
        "ATT&CK: ",
        "T1021.002",
        "Try next:",
        "search 'AlertLevel:2'",
    ] {
        assert!(demo.out.contains(part), "no {part} in\n{}", demo.out);
    }
    // The commands that it names work.
    let search = picket(
        folder.path(),
        &[
            "--data",
            "picket-demo/store",
            "search",
            "AlertLevel:2",
            "-o",
            "ndjson",
        ],
    );
    assert_eq!(search.code, 0, "{}", search.err);
    assert!(
        search
            .json()
            .iter()
            .all(|hit| hit["_source"]["AlertLevel"] == 2
                && hit["_source"]["picket"]["judged"].is_string())
    );
    assert!(search.json().len() >= 5);
    let status = picket(
        folder.path(),
        &["--data", "picket-demo/store", "status", "--exit-code"],
    );
    assert_eq!(status.code, 0, "{}\n{}", status.out, status.err);
    assert!(status.out.contains("0 not yet judged"), "{}", status.out);
    // Run again, it begins afresh.
    assert_eq!(picket(folder.path(), &["demo"]).code, 0);
}

#[test]
fn a_folder_that_is_not_the_demos_is_left_alone() {
    let folder = folder();
    fs::create_dir(folder.path().join("picket-demo")).unwrap();
    fs::write(folder.path().join("picket-demo/mine.txt"), "keep").unwrap();
    let demo = picket(folder.path(), &["demo"]);
    assert_eq!(demo.code, 2);
    assert!(demo.err.contains("not the demo's"), "{}", demo.err);
    assert!(folder.path().join("picket-demo/mine.txt").exists());
}

#[test]
fn load_sweep_search_and_status_tell_one_story() {
    let folder = folder();
    let recording = data("recording.ndjson");
    let load = picket(folder.path(), &["load", &recording]);
    assert_eq!(load.code, 0, "{}", load.err);
    let waits = picket(folder.path(), &["status", "--exit-code"]);
    assert_eq!(waits.code, 1, "documents wait: {}", waits.out);
    let dry = picket(folder.path(), &["sweep", "--dry-run", "-o", "ndjson"]);
    assert_eq!(
        picket(
            folder.path(),
            &["search", "AlertLevel:[1 TO 2]", "-o", "ndjson"]
        )
        .json()
        .len(),
        0
    );
    let sweep = picket(folder.path(), &["sweep", "-o", "ndjson", "--exit-code"]);
    assert_eq!(
        sweep.code, 1,
        "findings end with 1 where that was asked for"
    );
    assert_eq!(
        dry.json(),
        sweep.json(),
        "a dry run shows what a sweep then does"
    );
    assert!(sweep.json().len() >= 3);
    for finding in sweep.json() {
        for key in [
            "rule_id",
            "rule",
            "detector",
            "level",
            "alert_level",
            "file",
            "record_id",
            "time",
            "host",
            "evidence",
            "techniques",
        ] {
            assert!(finding.get(key).is_some(), "no {key} in {finding}");
        }
    }
    let raised = picket(
        folder.path(),
        &["search", "AlertLevel:[1 TO 2]", "-o", "ndjson"],
    );
    assert!(!raised.json().is_empty());
    assert_eq!(
        picket(folder.path(), &["sweep", "--exit-code"]).code,
        0,
        "nothing is new"
    );
    assert_eq!(picket(folder.path(), &["status", "--exit-code"]).code, 0);
    // Loaded again: the same documents, and nothing to judge but what the load wrote anew.
    let before = picket(folder.path(), &["status", "-o", "json"])
        .json()
        .remove(0);
    assert_eq!(picket(folder.path(), &["load", &recording]).code, 0);
    let after = picket(folder.path(), &["status", "-o", "json"])
        .json()
        .remove(0);
    assert_eq!(before["documents"], after["documents"]);
    assert_eq!(
        before["alert_levels"], after["alert_levels"],
        "loading again lowers nothing"
    );
}

#[test]
fn scan_and_sweep_find_the_same() {
    let folder = folder();
    let recording = data("recording.ndjson");
    assert_eq!(picket(folder.path(), &["load", &recording]).code, 0);
    let key = |line: &Value| {
        (
            line["rule_id"].to_string(),
            line["time"].to_string(),
            line["host"].to_string(),
        )
    };
    let mut swept: Vec<_> = picket(folder.path(), &["sweep", "-o", "ndjson"])
        .json()
        .iter()
        .map(key)
        .collect();
    let mut scanned: Vec<_> = picket(folder.path(), &["scan", &recording, "-o", "ndjson"])
        .json()
        .iter()
        .map(key)
        .collect();
    swept.sort();
    scanned.sort();
    assert_eq!(swept, scanned);
}

/// Rules speak of a document when it is read, a module once all of its host's are known.
#[test]
fn scan_counts_a_document_once_whoever_speaks_of_it() {
    let folder = folder();
    let commands = [
        "whoami /all",
        "ipconfig /all",
        "net user /domain",
        "net group \"domain admins\" /domain",
        "net view",
        "nltest /dclist:corp",
        "tasklist /v",
        "systeminfo",
        "netstat -an",
        "schtasks /create /s host2 /tn x /tr calc.exe",
        "wmic /node:host2 process list",
        "ping host2",
        "net use z: \\\\host2\\c$",
    ];
    let lines: String = (commands.iter().enumerate())
        .map(|(second, command)| {
            let time = format!("2026-01-05 10:00:{second:02}");
            let line =
                json!({"Hostname": "pc1", "Username": "u", "command": command, "timestamp": time});
            format!("{line}\n")
        })
        .collect();
    fs::write(folder.path().join("history.ndjson"), lines).unwrap();
    let scan = picket(folder.path(), &["scan", "history.ndjson", "-o", "ndjson"]);
    let raised: Vec<Value> = scan
        .json()
        .into_iter()
        .filter(|line| line["alert_level"] != 0)
        .collect();
    let by = |is_module: bool| -> BTreeSet<String> {
        let of = |line: &&Value| (line["detector"] == "module") == is_module;
        let ids = raised
            .iter()
            .filter(of)
            .map(|line| line["record_id"].to_string());
        ids.collect()
    };
    let (rules, module) = (by(false), by(true));
    assert!(rules.intersection(&module).count() > 0, "{}", scan.out);
    let all = rules.union(&module).count();
    let said = format!(", {all} documents on AlertLevel 1 or 2");
    assert!(scan.err.contains(&said), "{said}: {}", scan.err);
}

/// More lines than are judged at a time, on as many threads as there are.
#[test]
fn scan_keeps_the_order_and_the_numbers_of_lines() {
    let folder = folder();
    let lines: Vec<String> = (1..=20_000)
        .map(|number| match number {
            _ if number % 700 == 0 => "no object".into(),
            _ if number % 5_000 == 0 => "{\"cut\": \"off".into(),
            _ => {
                let command = ["dir", "vssadmin delete shadows /all"][usize::from(number % 40 == 0)];
                json!({"Hostname": "pc1", "Username": "u", "command": command, "timestamp": "2026-01-05 10:00:00"})
                    .to_string()
            }
        })
        .collect();
    fs::write(folder.path().join("many.ndjson"), lines.join("\r\n")).unwrap();
    let arguments = ["scan", "many.ndjson", "-o", "ndjson"];
    let scan = picket(folder.path(), &arguments);
    let found: Vec<usize> = (scan
        .json()
        .iter()
        .filter(|line| line["detector"] == "blacklist"))
    .map(|line| line["record_id"].as_str().unwrap().parse().unwrap())
    .collect();
    let expected: Vec<usize> = (40..=20_000)
        .step_by(40)
        .filter(|number| number % 700 != 0 && number % 5_000 != 0)
        .collect();
    assert_eq!(found, expected);
    assert!(scan.err.contains("19 968 events judged"), "{}", scan.err);
    assert!(scan.err.contains("; 32 unreadable"), "{}", scan.err);
    let unnamed = "many.ndjson: 8 more records of this file cannot be read";
    assert!(scan.err.contains(unnamed), "{}", scan.err);
    assert!(
        scan.err.contains("many.ndjson:700: is not a JSON object"),
        "{}",
        scan.err
    );
    // Once more, in another layout of the same file.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.join("\n").as_bytes()).unwrap();
    let again = folder.path().join("many.ndjson");
    fs::write(again, gzip.finish().unwrap()).unwrap();
    assert_eq!(picket(folder.path(), &arguments).out, scan.out);
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_stops_nothing() {
    let folder = folder();
    let scan = picket(
        folder.path(),
        &["scan", &data("broken.ndjson"), "-o", "ndjson"],
    );
    assert_eq!(scan.code, 0);
    // One is cut off, which its reader sees, and one is no object.
    let named: Vec<&str> = scan
        .err
        .lines()
        .filter(|l| l.contains("broken.ndjson:"))
        .collect();
    let [first, second] = named.as_slice() else {
        panic!("{}", scan.err);
    };
    let cut_off = "broken.ndjson:3: is not a JSON object: a string does not end at byte 82";
    assert!(first.ends_with(cut_off), "{first}");
    assert!(
        second.ends_with("broken.ndjson:4: is not a JSON object"),
        "{second}"
    );
    assert!(scan.err.contains("4 events judged"), "{}", scan.err);
    assert!(scan.err.contains("; 2 unreadable"), "{}", scan.err);
    let load = picket(folder.path(), &["load", &data("broken.ndjson")]);
    assert_eq!(load.code, 0);
    assert!(load.out.contains("could not be read"), "{}", load.out);
}

#[test]
fn the_loggers_csv_becomes_command_history() {
    let folder = folder();
    let load = picket(folder.path(), &["load", &data("cmdlogs.csv")]);
    assert_eq!(load.code, 0, "{}", load.err);
    let found = picket(
        folder.path(),
        &["search", "*", "--index", "cmdlogs", "-o", "ndjson"],
    )
    .json();
    assert!(!found.is_empty());
    assert!(
        found
            .iter()
            .all(|hit| hit["_source"]["command"].is_string())
    );
}

#[test]
fn the_loggers_csv_is_given_the_host_that_it_does_not_say() {
    let folder = folder();
    for file in ["cmdlogs.csv", "history.csv"] {
        let load = picket(folder.path(), &["load", &data(file), "--host", "FS77"]);
        assert_eq!(load.code, 0, "{}", load.err);
    }
    let commands = |host: &str| {
        let query = format!("host:{host}");
        let arguments = ["search", &query, "--limit", "100", "-o", "ndjson"];
        picket(folder.path(), &arguments).json().len()
    };
    assert_eq!(commands("FS77"), 18, "the logger's");
    assert_eq!(commands("FS01"), 18, "a table says its own");
    let load = picket(folder.path(), &["load", &data("cmdlogs.csv"), "--host", ""]);
    assert_eq!(load.code, 2);
    assert!(load.err.contains("is no host name"), "{}", load.err);
}

#[test]
fn bad_input_ends_with_2_and_one_clear_sentence() {
    let folder = folder();
    let recording = data("recording.ndjson");
    let bad = [
        (
            vec!["scan", "not-there.evtx"],
            "not-there.evtx: cannot be opened",
        ),
        (
            vec!["scan", &recording, "--rules", "no-such-folder"],
            "there is no no-such-folder for `rules`",
        ),
        (
            vec!["--config", "no.yml", "sweep"],
            "no.yml: cannot be read",
        ),
        (
            vec!["sweep", "nightly"],
            "there is no such sweep; there are: default",
        ),
        (
            vec!["load", &recording, "--index", "Events"],
            "is no index name",
        ),
        (
            vec!["search", "*", "--from", "yesterday"],
            "write a time as",
        ),
        (vec!["sweeep"], "unrecognized subcommand"),
    ];
    for (arguments, sentence) in bad {
        let run = picket(folder.path(), &arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
        assert!(run.err.contains(sentence), "{arguments:?}: {}", run.err);
        assert!(!run.err.contains("panicked"), "{}", run.err);
    }
    // A store is made by `load`; asking one that is not there says so.
    let search = picket(folder.path(), &["search", "*"]);
    assert!(matches!(search.code, 2 | 3), "{}", search.code);
    assert!(search.err.contains("picket-data"), "{}", search.err);
    // A query that cannot be parsed.
    assert_eq!(
        picket(folder.path(), &["load", &data("recording.ndjson")]).code,
        0
    );
    let query = picket(folder.path(), &["search", "user:(a OR"]);
    assert_eq!(query.code, 2, "{}", query.err);
}

#[test]
fn check_names_every_problem_at_once() {
    let folder = folder();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("good.yml"), "title: Good\nid: 5f1c4a1e-7d2b-4a67-9c7e-0b1f6f3b2a11\nlogsource: { product: windows, category: process_creation }\ndetection:\n  selection:\n    CommandLine|contains: xyzzy\n  condition: selection\n").unwrap();
    fs::write(rules.join("bad.yml"), "title: Bad\nid: 6f1c4a1e-7d2b-4a67-9c7e-0b1f6f3b2a12\nlogsource: { product: windows, category: process_creation }\ndetection:\n  selection:\n    CommandLine|contians: x\n  condition: selection\n").unwrap();
    fs::write(
        folder.path().join("blacklist.txt"),
        "# DetectLM's own\nsekurlsa::\ninetl\\logs\n(unclosed\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("picket.yml"),
        "rules: [rules]\nblacklist: blacklist.txt\nschedul: x\n",
    )
    .unwrap();
    let check = picket(folder.path(), &["check"]);
    assert_eq!(check.code, 2);
    insta::assert_snapshot!(
        check
            .out
            .lines()
            .filter(|line| !line.contains(" loaded in "))
            .collect::<Vec<_>>()
            .join("\n")
    );
    assert!(check.out.contains("1 rule, "), "{}", check.out);
    // The good rule works in spite of them.
    let event = folder.path().join("event.ndjson");
    fs::write(&event, r#"{"Hostname":"PC1","Username":"ann","command":"echo XYZZY","timestamp":"2026-11-22 01:16:00"}"#).unwrap();
    fs::write(
        folder.path().join("picket.yml"),
        "rules: [rules]\nblacklist: blacklist.txt\n",
    )
    .unwrap();
    let scan = picket(folder.path(), &["scan", "event.ndjson", "-o", "ndjson"]);
    assert_eq!(scan.json().len(), 1, "{}", scan.err);
    assert!(scan.err.contains("bad.yml"), "{}", scan.err);
}

#[test]
fn what_an_attacker_wrote_cannot_steer_the_terminal() {
    let folder = folder();
    let event = folder.path().join("event.ndjson");
    fs::write(&event, "{\"Hostname\":\"PC\\u001b[2J1\",\"Username\":\"a\\u202enn\",\"command\":\"sekurlsa::x \\u001b]0;owned\\u0007\",\"timestamp\":\"2026-11-22 01:16:00\"}").unwrap();
    for arguments in [
        vec!["scan", "event.ndjson"],
        vec!["scan", "event.ndjson", "--all"],
    ] {
        let scan = picket(folder.path(), &arguments);
        assert!(scan.out.contains("sekurlsa"), "{}", scan.out);
        assert!(
            !scan.out.contains(['\u{1b}', '\u{202e}', '\u{7}']),
            "{:?}",
            scan.out
        );
    }
    assert_eq!(picket(folder.path(), &["load", "event.ndjson"]).code, 0);
    let search = picket(folder.path(), &["search", "*"]);
    assert!(
        !search.out.contains(['\u{1b}', '\u{202e}', '\u{7}']),
        "{:?}",
        search.out
    );
}

#[test]
fn a_second_writer_is_told_who_is_in_the_way() {
    let folder = folder();
    fs::write(
        folder.path().join("picket.yml"),
        "sweeps:\n  - { name: never, schedule: \"0 0 0 1 1 *\" }\n",
    )
    .unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_picket"))
        .arg("run")
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Loading before it holds the store would be in its way.
    let lock = folder.path().join("picket-data/.tantivy-writer.lock");
    let held = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        lock.exists()
    });
    let second = picket(folder.path(), &["load", &data("recording.ndjson")]);
    // Reading needs no lock.
    let status = picket(folder.path(), &["status"]);
    let stopped = Command::new("kill")
        .args(["-TERM", &first.id().to_string()])
        .status()
        .unwrap();
    let ended = first.wait().unwrap();
    assert!(held);
    assert_eq!(second.code, 3, "{}", second.err);
    assert!(second.err.contains("picket"), "{}", second.err);
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(stopped.success());
    assert_eq!(ended.code(), Some(0), "SIGTERM ends a run with 0");
}

#[test]
fn run_sweeps_on_schedule() {
    let folder = folder();
    assert_eq!(
        picket(folder.path(), &["load", &data("recording.ndjson")]).code,
        0
    );
    fs::write(
        folder.path().join("picket.yml"),
        "sweeps:\n  - { name: often, schedule: \"* * * * * *\" }\n",
    )
    .unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_picket"))
        .arg("run")
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let judged = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        picket(folder.path(), &["status"])
            .out
            .contains("0 not yet judged")
    });
    assert!(
        Command::new("kill")
            .args(["-INT", &run.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(judged);
    assert!(
        !picket(
            folder.path(),
            &["search", "AlertLevel:[1 TO 2]", "-o", "ndjson"]
        )
        .json()
        .is_empty()
    );
}

#[test]
fn roles_are_for_what_is_swept() {
    let folder = folder();
    let role = picket(folder.path(), &["role"]);
    assert!(role.out.starts_with("POST _security/role/picket\n{"));
    assert!(role.out.contains("winlogbeat-*"));
    let args = ["role", "--for", "opensearch", "logs-a", "-o", "json"];
    let role = &picket(folder.path(), &args).json()[0];
    assert_eq!(role["index_permissions"][0]["index_patterns"][0], "logs-a");
    let makes = |role: &Value| role["indices"][0].to_string().contains("create_index");
    let role = |args: &[&str]| picket(folder.path(), args).json().remove(0);
    assert!(!makes(&role(&["role", "case-*", "-o", "json"])));
    assert!(makes(&role(&["role", "case-*", "--load", "-o", "json"])));
}

#[test]
fn help_names_examples_and_exit_codes() {
    let folder = folder();
    let help = picket(folder.path(), &["--help"]);
    insta::assert_snapshot!(help.out);
    for command in [
        "load", "sweep", "run", "scan", "search", "check", "status", "role", "train",
    ] {
        let help = picket(folder.path(), &[command, "--help"]);
        assert!(
            help.out.contains("Examples:") || help.out.contains("Example:"),
            "{command}: {}",
            help.out
        );
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            picket(folder.path(), &["completions", shell])
                .out
                .contains("picket")
        );
    }
}

#[test]
fn who_has_seen_enough_is_told_nothing_more() {
    let folder = folder();
    for arguments in [&["completions", "bash"][..], &["scan", "-o", "ndjson", "-"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_picket"))
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Nobody reads, before anything can be written.
        drop(child.stdout.take());
        let line = json!({"Hostname": "pc1", "Username": "u", "command": "vssadmin delete shadows /all", "timestamp": "2026-01-05 10:00:00"});
        // It may have ended already.
        drop(writeln!(child.stdin.take().unwrap(), "{line}"));
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(
            (run.code, run.err.contains("roken pipe")),
            (3, false),
            "{arguments:?}: {}",
            run.err
        );
        assert!(!run.err.contains("panicked"), "{}", run.err);
    }
}
