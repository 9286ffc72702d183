//! The bundled module `lateral-commands`: what it takes for a command, that its code, its model and
//! its training belong together, and what it says of a host.
#![expect(
    clippy::unwrap_used,
    reason = "what a test's helper cannot make fails the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use picket::alert::AlertLevel;
use picket::detect::module::detectors;
use picket::detect::{Detector, Inspection};
use picket::document::Document;
use picket::module::abi::Row;
use picket::module::{Module, Modules};
use picket::taxonomy::{Event, Fields, Reader, Slots};
use picket::train::{self, Settings, Table};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

#[path = "../wasm-modules/lateral-commands/guest/src/commands.rs"]
mod commands;
#[path = "../wasm-modules/lateral-commands/guest/src/model.rs"]
mod model;

const MODEL: &str = include_str!("../wasm-modules/lateral-commands/model.txt");
const TABLE: &str = include_str!("../wasm-modules/lateral-commands/command.csv");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("wasm-modules")
}

fn found(line: &str) -> Vec<&'static str> {
    let mut all = Vec::new();
    commands::commands(line, &mut |found| {
        assert!(
            line.get(found.start..found.end)
                .is_some_and(|part| !part.is_empty())
        );
        all.push(commands::COMMANDS[found.command]);
    });
    all
}

#[test]
fn a_command_is_found_wherever_it_stands_as_one() {
    for (line, expected) in [
        ("whoami", "whoami"),
        ("WhoAmI /all", "whoami"),
        ("  whoami", "whoami"),
        ("@whoami", "whoami"),
        ("whoami.exe", "whoami"),
        (r"C:\Windows\System32\whoami.exe /priv", "whoami"),
        (r#""C:\Program Files\x y\whoami.exe" /priv"#, "whoami"),
        ("C:/Windows/System32/whoami.exe", "whoami"),
        ("cmd /c whoami", "whoami"),
        (
            "cmd.exe /Q /c whoami 1> \\\\127.0.0.1\\ADMIN$\\__1 2>&1",
            "whoami",
        ),
        (r#"cmd /c "whoami & net user""#, "whoami net_user"),
        (r#"cmd.exe /s /k "net user "bob" /add""#, "net_user"),
        (r#"cmd /c "C:\Windows\System32\net.exe" user"#, "net_user"),
        ("cmd/cwhoami", "whoami"),
        ("%COMSPEC% /c ver", "ver"),
        ("cmd /c cmd /c cmd /c systeminfo", "systeminfo"),
        ("w^ho^ami", "whoami"),
        (r#"w"ho"ami"#, "whoami"),
        (
            "whoami&ipconfig/all&&netstat -ano||tasklist|ver",
            "whoami ipconfig netstat tasklist ver",
        ),
        ("(whoami)", "whoami"),
        ("if exist x (whoami) else (ver)", "whoami ver"),
        ("for /f %i in ('whoami') do @echo %i", "whoami echo"),
        ("whoami\nver\r\nipconfig", "whoami ver ipconfig"),
        ("call whoami", "whoami"),
        ("start whoami", "whoami"),
        (r#"start "ver" /d C:\at /b whoami"#, "whoami"),
        ("net user /domain", "net_user"),
        ("net1 group \"Domain Admins\" /domain", "net_group"),
        ("net.exe   view", "net_view"),
        ("n^et vi^ew", "net_view"),
        ("net use \\\\host\\c$", "net_use"),
        ("net users", "net_user"),
        ("net time&net config workstation", "net_time net_config"),
        ("cd..", "cd"),
        (r"cd\windows", "cd"),
        (r"cd /d c:\at", "cd"),
        ("chdir x", "cd"),
        ("mkdir x & rmdir x", "md rd"),
        ("echo.hello", "echo"),
        ("type<x", "type"),
        ("whoami>out.txt", "whoami"),
        ("at \\\\host 10:00 x", "at"),
        // No command of the table.
        ("", ""),
        ("version.txt", ""),
        ("ver.txt", ""),
        ("type.txt", ""),
        ("notepad whoami", ""),
        ("ping whoami", ""),
        ("whoamix", ""),
        ("xwhoami", ""),
        ("net", ""),
        ("net stop x", ""),
        ("netuser", ""),
        ("cmd whoami", ""),
        ("cmd /x whoami", ""),
        ("cmd", ""),
        ("echo a ^& whoami", "echo"),
        (r#"echo "a & whoami""#, "echo"),
        (r#"start "whoami""#, ""),
        (r"C:\at\x.exe", ""),
        (r"cd.exe.config", "cd"),
    ] {
        assert_eq!(found(line).join(" "), expected, "{line}");
    }
}

fn as_typed(command: &str) -> String {
    command.replace('_', " ")
}

proptest! {
    #[test]
    fn any_line_can_be_read(line: String) {
        found(&line);
    }

    #[test]
    fn any_line_of_what_cmd_understands_can_be_read(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "cmd", "/c", "/k", "net", "user", "whoami", "start", "call", "\"", "^", "&", "|", "(",
            ")", " ", "\n", "\r", "/", "\\", ".exe", "'", "é", ",", "=", "@", "cd", "echo", ".",
        ]), 0..40)
    ) {
        found(&pieces.concat());
    }

    #[test]
    fn disguise_changes_nothing(
        command in 0_usize..50,
        shape in 0_usize..8,
        upper: bool,
        carets in prop::collection::vec(0_usize..40, 0..4),
    ) {
        let name = commands::COMMANDS[command];
        let mut line = as_typed(name);
        for caret in carets {
            line.insert(caret % line.len(), '^');
        }
        if upper {
            line = line.to_uppercase();
        }
        let line = match shape {
            0 => line,
            1 => format!("cmd /c {line}"),
            2 => format!("cmd.exe /q /c \"{line} x\""),
            3 => format!("dir & {line} x"),
            4 => format!("dir|({line} x)"),
            5 => format!("call {line} /x"),
            6 => format!("start /b {line}"),
            _ => format!("\n{line}>y"),
        };
        // Inside of quotes a caret is a caret.
        prop_assume!(!(shape == 2 && line.contains('^')));
        prop_assert_eq!(found(&line), vec![name], "{}", line);
    }

    #[test]
    fn the_commands_of_two_lines_are_those_of_both(a in "[a-z ]{0,20}", b in "[a-z ]{0,20}") {
        let both: Vec<_> = found(&a).into_iter().chain(found(&b)).collect();
        prop_assert_eq!(found(&format!("{a}&{b}")), both.clone());
        prop_assert_eq!(found(&format!("{a}\n{b}")), both);
    }
}

fn bundled() -> Arc<Module> {
    let (modules, problems) = Modules::bundled(None);
    assert_eq!(problems, []);
    Arc::clone(modules.iter().next().unwrap())
}

/// The value of a line of the model.
fn said(name: &str) -> Vec<&'static str> {
    MODEL
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap()
        .split(' ')
        .collect()
}

#[test]
fn code_model_and_table_belong_together() {
    let table = Table::parse(TABLE).unwrap();
    assert_eq!(table.commands, commands::COMMANDS);
    assert_eq!(said("commands"), commands::COMMANDS);
    let (first, rest) = MODEL.split_once('\n').unwrap();
    let digest = picket::hex::hex(&Sha256::digest(rest));
    assert_eq!(first, format!("digest {digest}"));
    // The committed component was built from this model.
    let version = bundled().description().version.clone();
    assert_eq!(version, format!("1.0.0+{}", &digest[..12]));
}

#[test]
fn the_committed_model_is_what_training_gives() {
    let number = |name| said(name)[0].parse().unwrap();
    let settings = Settings {
        gamma: number("gamma"),
        smoothing: number("smoothing"),
        cost: number("cost"),
    };
    assert_eq!(settings, Settings::default());
    let options = train::Options {
        candidates: vec![settings],
        repeats: 0,
        ..train::Options::default()
    };
    let (report, model) = train::train(&Table::parse(TABLE).unwrap(), &options, &mut |_| ());
    let again: Vec<&str> = model.lines().collect();
    let committed: Vec<&str> = MODEL.lines().collect();
    assert_eq!(again, committed);
    assert_eq!((report.shape.rows, report.shape.distinct), (1168, 935));
    assert!(report.shape.ceiling > 0.998);
}

#[test]
fn training_is_seeded_and_says_how_good_it_is() {
    let table = Table::parse(TABLE).unwrap();
    let every_fourth = |row: &usize| row.is_multiple_of(4);
    let rows: Vec<usize> = (0..table.sets.len()).filter(every_fourth).collect();
    let table = Table {
        commands: table.commands,
        sets: rows.iter().map(|row| table.sets[*row]).collect(),
        attacks: rows.iter().map(|row| table.attacks[*row]).collect(),
    };
    let options = train::Options {
        candidates: vec![Settings::default()],
        repeats: 2,
        ..train::Options::default()
    };
    let (report, model) = train::train(&table, &options, &mut |_| ());
    assert_eq!(
        train::train(&table, &options, &mut |_| ()),
        (report.clone(), model)
    );
    assert!(
        report.figures.iter().all(|figures| figures.f1 > 0.8),
        "{report}"
    );
    assert!((0.2..0.8).contains(&report.threshold));
}

#[test]
fn the_module_says_what_its_model_says() {
    let module = bundled();
    let model = model::Model::parse(MODEL).unwrap();
    let table = Table::parse(TABLE).unwrap();
    let (mut right, mut asked) = (0, 0);
    for (set, attack) in table.sets.iter().zip(&table.attacks).step_by(7) {
        let lines: Vec<String> = (0..50)
            .filter(|command| set >> command & 1 == 1)
            .map(|command| as_typed(commands::COMMANDS[command]))
            .collect();
        let values: Vec<[Option<&str>; 1]> = lines.iter().map(|line| [Some(&**line)]).collect();
        let rows: Vec<Row<'_>> = values
            .iter()
            .map(|values| Row { time: None, values })
            .collect();
        let hits = module.score("host", &rows).unwrap();
        let probability = model.probability(model.margin(*set));
        assert_eq!(hits.is_empty(), *set == 0 || probability < model.threshold);
        for hit in &hits {
            assert!((hit.score - probability).abs() < 1e-9);
        }
        asked += 1;
        right += usize::from(hits.is_empty() != *attack);
    }
    assert!(right * 100 >= asked * 97, "{right} of {asked}");
}

#[test]
fn the_module_passes_its_cases() {
    let (modules, problems) = Modules::load(&folder(), None);
    assert_eq!(problems, []);
    assert_eq!(modules.len(), 1);
    let cases = folder().join("lateral-commands/cases");
    assert!(std::fs::read_dir(cases).unwrap().count() >= 3);
}

fn history(id: &str, time: &str, command: &str) -> Document {
    let source =
        json!({"Hostname": "WS01", "Username": "bob", "timestamp": time, "command": command});
    Document::loose("cmdlogs".into(), id, source.to_string())
}

/// What the module's detector finds in a window of those documents, and which it wants.
fn window(documents: &[Document]) -> (Vec<usize>, Inspection) {
    let (modules, _) = Modules::bundled(None);
    let mut fields = Fields::default();
    let mut detectors = detectors(&modules, &mut fields);
    let reader = Reader::new(&fields);
    let mut slots: Vec<Slots> = documents.iter().map(|_| Slots::default()).collect();
    for (document, slots) in documents.iter().zip(&mut slots) {
        reader.read(&document.source, slots).unwrap();
    }
    let detector: &mut Box<dyn Detector> = &mut detectors[0];
    let wanted: Vec<usize> = documents
        .iter()
        .zip(&slots)
        .enumerate()
        .filter(|(_, (document, slots))| detector.wants(&Event::new(document, slots)))
        .map(|(position, _)| position)
        .collect();
    let events: Vec<Event<'_>> = wanted
        .iter()
        .map(|at| Event::new(&documents[*at], &slots[*at]))
        .collect();
    let mut out = Inspection::default();
    detector.inspect_window("ws01", &events, &mut out);
    (wanted, out)
}

#[test]
fn an_intruder_s_day_is_found_with_the_commands_that_spoke() {
    let lines = [
        "ipconfig /all",
        "dir",
        "cmd /c whoami",
        "net view /domain",
        "net user administrator /domain",
        "systeminfo",
        "net use \\\\srv\\c$ /user:adm p",
        "tasklist /v",
        "net localgroup administrators",
    ];
    let documents: Vec<Document> = lines
        .iter()
        .enumerate()
        .map(|(n, line)| history(&n.to_string(), "2017-11-07 10:00:00", line))
        .collect();
    let (wanted, out) = window(&documents);
    assert_eq!(wanted.len(), lines.len());
    assert!(out.problems.is_empty(), "{:?}", out.problems);
    let hit: BTreeSet<usize> = out.findings.iter().map(|(at, _)| *at).collect();
    assert!(!hit.contains(&1) && hit.len() >= 5, "{hit:?}");
    for (at, finding) in &out.findings {
        assert_eq!(finding.alert_level, AlertLevel::Suspicious);
        assert_eq!(&*finding.rule_id, "lateral-commands");
        assert!(finding.score.unwrap() > 0.9, "{:?}", finding.score);
        assert!(finding.evidence[0].value.contains("spoke most: "));
        for piece in &finding.evidence[1..] {
            let (start, length) = piece.span.unwrap();
            let part = &piece.value[start..start + length];
            assert!(piece.selection.starts_with(part), "{piece:?}");
            assert_eq!(piece.value, lines[*at]);
        }
    }
}

#[test]
fn an_administrator_s_day_is_not() {
    let lines = ["ipconfig", "cd \\", "ping srv", "dir", "ver"];
    let documents: Vec<Document> = lines
        .iter()
        .enumerate()
        .map(|(n, line)| history(&n.to_string(), "2017-11-07 10:00:00", line))
        .collect();
    let (_, out) = window(&documents);
    assert!(out.findings.is_empty() && out.problems.is_empty());
}

#[test]
fn only_what_cmd_ran_and_nobody_settled_counts() {
    let created = |parent: &str, more: serde_json::Value| {
        let mut source = json!({
            "EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": "WS01",
            "CommandLine": "whoami", "Image": "C:\\Windows\\System32\\whoami.exe",
            "ParentImage": parent, "@timestamp": "2017-11-07T10:00:00Z",
        });
        for (key, value) in more.as_object().unwrap() {
            source[key] = value.clone();
        }
        Document::loose("sysmon".into(), "1", source.to_string())
    };
    let cmd = "C:\\Windows\\System32\\CMD.exe";
    for (document, counts) in [
        (created(cmd, json!({})), true),
        (created("C:\\Windows\\explorer.exe", json!({})), false),
        (created("C:\\x\\mycmd.exe", json!({})), false),
        (created(cmd, json!({"EventID": 5})), false),
        (created(cmd, json!({"Ignore": 1})), false),
        (created(cmd, json!({"AlertLevel": 2})), false),
        (
            created(cmd, json!({"AlertLevel": 1, "picket": {"level": 1}})),
            true,
        ),
        (history("1", "2017-11-07 10:00:00", "whoami"), true),
    ] {
        let (wanted, _) = window(std::slice::from_ref(&document));
        assert_eq!(!wanted.is_empty(), counts, "{}", document.source);
    }
}

#[test]
fn a_flood_is_cut_and_said() {
    let documents: Vec<Document> = (0..5000)
        .map(|n| history(&n.to_string(), "2017-11-07 10:00:00", "dir"))
        .collect();
    let (_, out) = window(&documents);
    assert_eq!(out.problems.len(), 1);
    assert!(
        out.problems[0]
            .message
            .contains("the newest 2048 of 5000 events"),
        "{}",
        out.problems[0]
    );
}
