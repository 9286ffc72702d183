//! A module as a detector: what it is asked, what becomes of its hits, and that an event on which
//! it fails hides no other.

use std::path::Path;
use std::sync::Arc;

use picket::alert::AlertLevel;
use picket::detect::module::ModuleDetector;
use picket::detect::{Detector, Inspection};
use picket::document::Document;
use picket::module::Module;
use picket::taxonomy::{Event, Fields, Reader, Slots};
use serde_json::json;

use super::guest::{ANSWER, Guest, data};

/// Where this guest builds its hits.
const BUILT: u32 = 196_608;

/// Hits every row with 0.5, and traps on a command that begins with `!`.
fn touchy() -> Guest {
    let mut answer = vec![0; 4];
    answer.extend(BUILT.to_le_bytes());
    Guest {
        body: format!(
            r#"(i32.store (i32.const {length}) (local.get $rows))
    (loop $next
      (if (i32.eq (i32.const 33)
            (i32.load8_u (i32.load offset=4 (i32.load offset=16
              (i32.add (local.get $at) (i32.mul (local.get $i) (i32.const 24)))))))
        (then unreachable))
      (i32.store offset={BUILT} (i32.mul (local.get $i) (i32.const 40)) (local.get $i))
      (f64.store offset={score} (i32.mul (local.get $i) (i32.const 40)) (f64.const 0.5))
      (i32.store offset={level} (i32.mul (local.get $i) (i32.const 40)) (i32.const 4))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $rows))))
    (i32.const {given})"#,
            length = ANSWER + 24,
            score = BUILT + 8,
            level = BUILT + 16,
            given = ANSWER + 16,
        ),
        extra: data(ANSWER + 16, &answer),
        ..Guest::default()
    }
}

fn inspect(guest: &Guest, commands: &[&str]) -> Inspection {
    let path = Path::new("guest.wasm");
    let module = Module::from_bytes("guest", path, &guest.bytes(), None).unwrap();
    let mut fields = Fields::default();
    let mut detector = ModuleDetector::new(Arc::new(module), &mut fields);
    let reader = Reader::new(&fields);
    let documents: Vec<Document> = commands
        .iter()
        .enumerate()
        .map(|(n, command)| {
            let source = json!({"Hostname": "h", "Username": "u", "command": command,
                "timestamp": "2017-11-07 10:00:00"});
            Document::loose("cmdlogs".into(), n.to_string(), source.to_string())
        })
        .collect();
    let mut slots: Vec<Slots> = documents.iter().map(|_| Slots::default()).collect();
    for (document, slots) in documents.iter().zip(&mut slots) {
        reader.read(&document.source, slots).unwrap();
    }
    let events: Vec<Event<'_>> = documents
        .iter()
        .zip(&slots)
        .map(|(document, slots)| Event::new(document, slots))
        .collect();
    let mut out = Inspection::default();
    detector.inspect(&events, &mut out);
    out.findings.sort_by_key(|(position, _)| *position);
    out
}

#[test]
fn a_module_gives_at_most_alert_level_1() {
    let out = inspect(&touchy(), &["whoami"]);
    let (position, finding) = &out.findings[0];
    assert_eq!((*position, out.problems.len()), (0, 0));
    assert_eq!(finding.level.as_str(), "critical");
    assert_eq!(finding.alert_level, AlertLevel::Suspicious);
    assert_eq!(
        (&*finding.rule, finding.score),
        ("A guest (guest 1.0.0)", Some(0.5))
    );
    assert_eq!(&*finding.techniques, ["T1059".to_owned()]);
}

#[test]
fn an_event_that_a_module_cannot_bear_hides_no_other() {
    let mut commands = vec!["whoami"; 300];
    commands[0] = "!";
    commands[177] = "!";
    let out = inspect(&touchy(), &commands);
    assert_eq!(out.findings.len(), 298);
    assert!(out.findings.iter().all(|(at, _)| *at != 0 && *at != 177));
    let problems: Vec<String> = out.problems.iter().map(ToString::to_string).collect();
    let said = "failed: wasm trap: wasm `unreachable` instruction executed, on cmdlogs";
    assert_eq!(
        problems,
        [
            format!("guest.wasm: {said}/0"),
            format!("guest.wasm: {said}/177")
        ]
    );
}

#[test]
fn a_module_that_bears_nothing_ends_in_quarantine() {
    let out = inspect(&Guest::with_body("unreachable"), &["whoami"; 200]);
    assert!(out.findings.is_empty());
    let last = out.problems.last().unwrap().to_string();
    assert!(last.contains("is quarantined"), "{last}");
    assert!(out.problems.len() < 20);
}
