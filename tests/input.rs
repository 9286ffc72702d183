//! Reading documents from files, as they are and damaged.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use flate2::Compression;
use flate2::write::GzEncoder;
use picket::input::{Inputs, Item, MAX_RECORD, Progress};
use picket::taxonomy::{Event, FieldId, Fields, Reader, Slots};
use tempfile::TempDir;

use crate::support::shared;

type Records = Vec<(String, u64, String)>;

/// Records as (file name in the folder, number, source), and problems as text.
fn read(folder: &Path, paths: &[PathBuf]) -> (Records, Vec<String>) {
    let (inputs, found) = Inputs::find(paths);
    let prefix = format!("{}/", folder.display());
    let short = |text: String| text.replace(&prefix, "");
    let mut records = Vec::new();
    let mut problems: Vec<String> = found.iter().map(|p| short(p.to_string())).collect();
    let progress = Progress::default();
    let flow = inputs.read(&progress, &mut |item| {
        match item {
            Item::Record(record) => records.push((
                short(record.file.to_owned()),
                record.number,
                record.source.to_owned(),
            )),
            Item::Problem(problem) => problems.push(short(problem.to_string())),
        }
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    assert_eq!(
        progress.records.load(Ordering::Relaxed),
        records.len() as u64
    );
    (records, problems)
}

fn read_bytes(name: &str, bytes: &[u8]) -> (Records, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read(folder.path(), &[path])
}

fn numbers(records: &Records) -> Vec<u64> {
    records.iter().map(|record| record.1).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const LINES: &[u8] = b"{\"a\":1}\n\n{\"a\":2\n{\"a\":\"\xff\"}\n[1]\n{\"a\":5} x\n{\"a\":6}\r\n";

#[test]
fn a_bad_line_costs_only_itself() {
    let (records, problems) = read_bytes("events.json", LINES);
    assert_eq!(numbers(&records), [1, 7]);
    insta::assert_snapshot!(problems.join("\n"), @r"
    events.json:3: is not JSON: eof while parsing an object
    events.json:4: is not UTF-8 from byte 7 on
    events.json:5: is not a JSON object
    events.json:6: is not JSON: trailing characters
    ");
}

#[test]
fn many_bad_lines_are_counted() {
    let bytes = [b"{}\n".repeat(2), b"{x}\n".repeat(50)].concat();
    let (records, problems) = read_bytes("events.ndjson", &bytes);
    assert_eq!((records.len(), problems.len()), (2, 21));
    assert_eq!(
        problems[20],
        "events.ndjson: 30 more records of this file cannot be read"
    );
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let mut bytes = b"{\"a\":1}\n{\"a\":\"".to_vec();
    bytes.resize(MAX_RECORD + 100, b'x');
    bytes.extend_from_slice(b"\"}\n{\"a\":3}");
    let (records, problems) = read_bytes("events.json", &bytes);
    assert_eq!(numbers(&records), [1, 3]);
    assert_eq!(problems, ["events.json:2: is longer than 16 MB"]);
}

#[test]
fn objects_are_read_in_every_layout() {
    let layouts: [&[u8]; 6] = [
        b"{\"a\":1}\n{\"b\":{\"c\":\"}\\\"{\"}}\n",
        b"[{\"a\":1},{\"b\":{\"c\":\"}\\\"{\"}}]",
        b"[\n{\"a\":1},\n{\"b\":{\"c\":\"}\\\"{\"}}\n]\n",
        b"\xef\xbb\xbf{\n  \"a\": 1\n}\n{\n \"b\": {\"c\": \"}\\\"{\"}\n}",
        b"{\"a\":1}{\"b\":{\"c\":\"}\\\"{\"}}",
        b"\xef\xbb\xbf{\"a\":1}\r\n{\"b\":{\"c\":\"}\\\"{\"}}",
    ];
    for layout in layouts {
        let (records, problems) = read_bytes("x.json", layout);
        assert_eq!(problems, [""; 0], "{}", String::from_utf8_lossy(layout));
        let values: Vec<serde_json::Value> = records
            .iter()
            .map(|record| serde_json::from_str(&record.2).unwrap())
            .collect();
        assert_eq!(
            values,
            [
                serde_json::json!({"a": 1}),
                serde_json::json!({"b": {"c": "}\"{"}})
            ]
        );
        let utf16: Vec<u8> = String::from_utf8_lossy(layout)
            .trim_start_matches('\u{feff}')
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let (again, _) = read_bytes("x.json", &[b"\xff\xfe", &utf16[..]].concat());
        assert_eq!(numbers(&again), numbers(&records));
    }
}

#[test]
fn an_array_that_is_cut_off_gives_what_is_whole() {
    let (records, problems) = read_bytes("x.json", b"[{\"a\":1},\n{\"b\":\n[");
    assert_eq!(numbers(&records), [1]);
    insta::assert_snapshot!(problems.join("\n"), @"x.json:2: the file ends inside the object that begins here; the file is cut off");
}

#[test]
fn archives_are_recognised_by_content() {
    let inner = gzip(b"{\"a\":3}\n");
    let archive = zip(&[("b/two.json", b"{\"a\":2}"), ("a.json.gz", &inner)]);
    let (records, problems) = read_bytes("evidence.dat", &archive);
    assert_eq!(problems, [""; 0]);
    let names: Vec<&str> = records.iter().map(|r| r.0.as_str()).collect();
    assert_eq!(names, ["evidence.dat!a.json.gz", "evidence.dat!b/two.json"]);
    let (records, _) = read_bytes("lines", &gzip(LINES));
    assert_eq!(numbers(&records), [1, 7]);
}

#[test]
fn damaged_archives_are_problems() {
    let mut cut = gzip(&LINES.repeat(1000));
    cut.truncate(cut.len() / 2);
    let (_, problems) = read_bytes("cut.json.gz", &cut);
    assert!(!problems.is_empty());
    let mut cut = zip(&[("a.json", LINES)]);
    cut.truncate(cut.len() / 2);
    let (_, problems) = read_bytes("cut.zip", &cut);
    assert!(
        problems[0].contains("damaged zip archive"),
        "{}",
        problems[0]
    );
    let nested = zip(&[("b.zip", &zip(&[("a.json", LINES)]))]);
    let (_, problems) = read_bytes("nested.zip", &nested);
    assert!(problems[0].contains("in an archive"), "{}", problems[0]);
    let mut russian = LINES.to_vec();
    for _ in 0..8 {
        russian = gzip(&russian);
    }
    let (_, problems) = read_bytes("doll.gz", &russian);
    assert!(problems[0].contains("too many times"), "{}", problems[0]);
}

#[test]
fn the_loggers_csv_keeps_commas_in_commands() {
    let log = b"timestamp,command\r\n2019-01-02  9:04:05.00,net use \\\\dc\\c$, /user:\"a,b\"\r\n\
        2019-01-02 10:04:05,dir \"C:\\Programme \xe4\"\r\nnonsense\r\n";
    let (records, problems) = read_bytes("20190102.log", log);
    insta::assert_snapshot!(records.iter().map(|r| r.2.as_str()).collect::<Vec<_>>().join("\n"), @r#"
    {"timestamp":"2019-01-02  9:04:05.00","command":"net use \\\\dc\\c$, /user:\"a,b\""}
    {"timestamp":"2019-01-02 10:04:05","command":"dir \"C:\\Programme �\""}
    "#);
    assert_eq!(
        problems,
        ["20190102.log:4: does not have the 2 columns of the table"]
    );
}

#[test]
fn a_table_of_documents_is_read_by_its_header() {
    let table = b"Hostname,USERNAME,command,timestamp,AlertLevel,Ignore\n\
        PC1,bob,\"echo \"\"a,b\"\"\",2019-01-02 03:04:05,0,1\n";
    let (records, problems) = read_bytes("table.csv", table);
    assert_eq!(problems, [""; 0]);
    insta::assert_snapshot!(records[0].2, @r#"{"Hostname":"PC1","Username":"bob","command":"echo \"a,b\"","timestamp":"2019-01-02 03:04:05","AlertLevel":0,"Ignore":1}"#);
}

#[test]
fn a_history_line_of_the_logger_has_its_time_and_command() {
    let (records, _) = read_bytes("x.log", b"2019-01-02  9:04:05.00,whoami\n");
    let (fields, mut slots) = (Fields::default(), Slots::default());
    let document = picket::document::Document::loose("x".into(), "1", records[0].2.as_str());
    Reader::new(&fields)
        .read(&document.source, &mut slots)
        .unwrap();
    let event = Event::new(&document, &slots);
    assert_eq!(event.text(FieldId::COMMAND_LINE), Some("whoami"));
    assert_eq!(event.time(), Some(1_546_419_845_000));
}

#[test]
fn what_a_path_leads_to_is_found_in_order() {
    let folder = TempDir::new().unwrap();
    for name in ["b.json", "a/2.ndjson", "a/1.JSON", "notes.txt", "info.yml"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}\n").unwrap();
    }
    let missing = folder.path().join("missing");
    let (records, problems) = read(folder.path(), &[missing, folder.path().into()]);
    let names: Vec<&str> = records.iter().map(|r| r.0.as_str()).collect();
    assert_eq!(names, ["a/1.JSON", "a/2.ndjson", "b.json"]);
    insta::assert_snapshot!(problems.join("\n"), @"missing: cannot be opened: No such file or directory (os error 2); check the path");
    let (_, problems) = read(folder.path(), &[folder.path().join("notes.txt")]);
    assert_eq!(problems, [""; 0]);
    let (_, problems) = read(folder.path(), &[folder.path().join("info.yml")]);
    assert_eq!(problems, [""; 0]);
}

#[test]
fn json_is_handed_over_only_if_every_parser_can_read_it() {
    let lone = br#"{"a":"x\ud800y \ud83d\ude00 \udc00\\ud800"}"#;
    let (records, _) = read_bytes("x.json", lone);
    let value: serde_json::Value = serde_json::from_str(&records[0].2).unwrap();
    assert_eq!(value["a"], "x\u{fffd}y \u{1f600} \u{fffd}\\ud800");
    for depth in [101, 5_000_000] {
        let deep = [b"{\"a\":".to_vec(), b"[".repeat(depth), b"]".repeat(depth)].concat();
        let (records, problems) = read_bytes("x.json", &[&deep[..], b"}\n{}\n"].concat());
        assert_eq!((records.len(), problems.len()), (1, 1), "{problems:?}");
    }
}

#[test]
fn event_logs_are_read_whole_and_damaged() {
    let Some(folder) = shared("regression_data") else {
        return;
    };
    let (inputs, _) = Inputs::find(&[folder]);
    let path = inputs
        .files()
        .iter()
        .map(|file| &file.path)
        .find(|path| path.extension().is_some_and(|ending| ending == "evtx"))
        .unwrap();
    let whole = fs::read(path).unwrap();
    let (records, problems) = read_bytes("whole", &whole);
    assert_eq!(problems, [""; 0]);
    assert!(!records.is_empty() && records[0].2.starts_with("{\"Event\":"));
    let (zipped, _) = read_bytes("zipped", &zip(&[("a.evtx", &whole)]));
    assert_eq!(zipped.len(), records.len());
    for length in [0, 7, 8, 4095, 4096, 4100, 4096 + 600, 30_000] {
        read_bytes("cut.evtx", &whole[..length.min(whole.len())]);
    }
    let mut damaged = whole;
    for at in (4096..damaged.len().min(20_000)).step_by(97) {
        damaged[at] ^= 0x55;
    }
    let (_, problems) = read_bytes("damaged.evtx", &damaged);
    assert!(!problems.is_empty());
}
