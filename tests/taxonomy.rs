//! Every shape of document that is recognised, and what is read from each.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use picket::document::Document;
use picket::input::{Inputs, Item, Progress};
use picket::taxonomy::log_source::{known, why_never};
use picket::taxonomy::read::Trail;
use picket::taxonomy::{Event, FieldId, Fields, Kind, LogSource, Reader, Route, Slots};
use proptest::prelude::*;

use crate::support::shared;

const FIELDS: [&str; 42] = [
    "AccountName",
    "Channel",
    "Company",
    "ContextInfo",
    "CurrentDirectory",
    "Data",
    "Description",
    "DestinationHostname",
    "DestinationIp",
    "DestinationPort",
    "Details",
    "EventType",
    "Hashes",
    "ImageLoaded",
    "ImagePath",
    "Initiated",
    "IntegrityLevel",
    "IpAddress",
    "Level",
    "LogonId",
    "LogonProcessName",
    "LogonType",
    "Message",
    "OriginalFileName",
    "ParentCommandLine",
    "ParentUser",
    "Payload",
    "PipeName",
    "Product",
    "Protocol",
    "QueryName",
    "ScriptBlockText",
    "ServiceName",
    "SourceIp",
    "SourcePort",
    "SubjectUserName",
    "TargetFilename",
    "TargetObject",
    "TargetUserName",
    "ComputerName",
    "winlog.event_data.ImageLoaded",
    "Path",
];

fn fields() -> Fields {
    let mut fields = Fields::default();
    for name in FIELDS {
        fields.intern(name);
    }
    fields
}

/// Reads one document and looks at it.
fn read<T>(fields: &Fields, source: &str, look: impl FnOnce(&Event<'_>) -> T) -> T {
    let document = Document::loose("test".into(), "1", source);
    let mut slots = Slots::default();
    Reader::new(fields).read(source, &mut slots).unwrap();
    look(&Event::new(&document, &slots))
}

fn shape(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shapes");
    fs::read_to_string(path.join(name).with_extension("json")).unwrap()
}

fn source_of(product: &str, category: &str, service: &str) -> LogSource {
    let part = |text: &str| (!text.is_empty()).then(|| text.into());
    LogSource {
        product: part(product),
        category: part(category),
        service: part(service),
    }
}

/// All values of the fields that are there, and the rest that an event says of itself.
fn describe(fields: &Fields, event: &Event<'_>) -> String {
    let mut text = format!("{:?}, ", event.route().origin);
    for (kind, name) in log_sources() {
        let rule = match kind.as_str() {
            "category" => source_of("windows", &name, ""),
            _ => source_of("windows", "", &name),
        };
        if event.route().fits(&rule) {
            write!(text, "{name} ").unwrap();
        }
    }
    write!(text, "\n  time {:?}", event.time()).unwrap();
    for number in 0..fields.len() {
        let field = FieldId(u16::try_from(number).unwrap());
        let values: Vec<&str> = event.values(field).map(|value| value.text).collect();
        if !values.is_empty() && field != FieldId::TIME {
            write!(text, "\n  {} {values:?}", fields.name(field)).unwrap();
        }
    }
    text
}

/// (kind, name) of all log sources in the table.
fn log_sources() -> BTreeSet<(String, String)> {
    include_str!("../src/taxonomy/log_sources.tsv")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(kind, _)| ["category", "service"].contains(kind))
        .map(|(kind, rest)| (kind.to_owned(), rest.split('\t').next().unwrap().to_owned()))
        .collect()
}

#[test]
fn one_event_is_the_same_in_every_shape() {
    let fields = fields();
    let names = [
        "EventID",
        "Channel",
        "Provider_Name",
        "Computer",
        "User",
        "CommandLine",
        "Image",
        "ParentImage",
        "ParentCommandLine",
        "EventRecordID",
        "OriginalFileName",
        "CurrentDirectory",
        "IntegrityLevel",
        "Company",
        "ParentUser",
        "LogonId",
        "ComputerName",
    ];
    let look = |event: &Event<'_>| -> Vec<String> {
        let mut values: Vec<String> = names
            .iter()
            .map(|name| format!("{name} {:?}", event.text(fields.get(name).unwrap())))
            .collect();
        values.push(format!("{:?}", event.route()));
        // Winlogbeat's module takes hashes to pieces, in lower case; Sigma compares without case.
        let hashes: Vec<String> = event
            .values(fields.get("Hashes").unwrap())
            .flat_map(|value| value.text.split(','))
            .map(str::to_uppercase)
            .collect();
        values.push(hashes.join(","));
        values
    };
    let expected = read(&fields, &shape("sysmon-1-evtx"), look);
    for name in [
        "sysmon-1-flat",
        "sysmon-1-winlogbeat-6",
        "sysmon-1-winlogbeat-7",
        "sysmon-1-winlogbeat-8-module",
        "sysmon-1-elastic-agent",
        "sysmon-1-dotted-keys",
        "sysmon-1-evtx-separate-attributes",
        "sysmon-1-evtx-xml-pairs",
        "sysmon-1-velociraptor",
    ] {
        assert_eq!(read(&fields, &shape(name), look), expected, "{name}");
        let time = read(&fields, &shape(name), |event| event.time());
        assert_eq!(time, Some(1_772_600_767_089), "{name}");
    }
}

#[test]
fn other_events_are_read_in_their_shapes() {
    let fields = fields();
    let mut text = String::new();
    for name in [
        "sysmon-3-module",
        "sysmon-13-module",
        "sysmon-forwarded",
        "security-4688-winlogbeat-8",
        "security-4624-flat",
        "security-1102-evtx",
        "system-7045-evtx",
        "powershell-400-evtx",
        "powershell-400-evtx-text",
        "powershell-600-winlogbeat-7",
        "powershell-4104-module",
        "cmdlogs",
        "unknown",
    ] {
        let what = read(&fields, &shape(name), |event| describe(&fields, event));
        writeln!(text, "{name}: {what}").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_was_judged_before_is_read() {
    let standing = read(&fields(), &shape("cmdlogs"), |event| {
        event.standing().clone()
    });
    insta::assert_snapshot!(serde_json::to_string(&standing).unwrap(), @r#"{"level":1,"ignored":false,"picket":{"judged":"0f1e","level":1,"before":0,"rules":["r1","r2"],"modules":["lateral-commands"],"anomalies":[]}}"#);
    for (source, ignored) in [
        (r#"{"Ignore":1}"#, true),
        (r#"{"Ignore":"1"}"#, true),
        (r#"{"Ignore":true}"#, true),
        (r#"{"Ignore":0}"#, false),
        (r#"{"Ignore":null}"#, false),
        (r#"{"Ignore":"no"}"#, false),
        (
            r#"{"winlog":{"event_data":{"Ignore":1,"AlertLevel":2}}}"#,
            false,
        ),
    ] {
        let standing = read(&fields(), source, |event| event.standing().clone());
        assert_eq!(standing.ignored, ignored, "{source}");
        assert_eq!(u8::from(standing.level), 0, "{source}");
    }
    for (level, expected) in [
        ("2", 2),
        ("\"2\"", 2),
        ("1.0", 1),
        ("7", 2),
        ("-1", 0),
        ("\"x\"", 0),
    ] {
        let source = format!(r#"{{"AlertLevel":{level}}}"#);
        let standing = read(&fields(), &source, |event| event.standing().clone());
        assert_eq!(u8::from(standing.level), expected, "{source}");
    }
}

#[test]
fn routes_fit_the_log_sources_of_rules() {
    const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";
    let windows = |channel, provider, id| Route::windows(Some(channel), Some(provider), Some(id));
    let history = read(&Fields::default(), &shape("cmdlogs"), |event| event.route());
    let unknown = Route::default();
    let cases = [
        (
            windows(SYSMON, "", "1"),
            ("windows", "process_creation", ""),
            true,
        ),
        (
            windows("security", "", "4688"),
            ("windows", "process_creation", ""),
            true,
        ),
        (
            windows("Security", "", "4689"),
            ("windows", "process_creation", ""),
            false,
        ),
        (windows(SYSMON, "", "1"), ("", "process_creation", ""), true),
        (
            windows(SYSMON, "", "1"),
            ("linux", "process_creation", ""),
            false,
        ),
        (windows(SYSMON, "", "1"), ("windows", "", "sysmon"), true),
        (
            windows(SYSMON, "", "1"),
            ("windows", "process_creation", "sysmon"),
            true,
        ),
        (
            windows("Security", "", "4688"),
            ("windows", "process_creation", "sysmon"),
            false,
        ),
        (windows(SYSMON, "", "1"), ("windows", "", "security"), false),
        (windows(SYSMON, "", "1"), ("windows", "", ""), true),
        (
            windows("ForwardedEvents", "Microsoft-Windows-Sysmon", "3"),
            ("", "network_connection", ""),
            true,
        ),
        (
            windows("Sysmon2", "microsoft-windows-sysmon", "23"),
            ("", "file_delete", ""),
            true,
        ),
        (windows(SYSMON, "", "26"), ("", "file_delete", ""), true),
        (
            windows("", "Service Control Manager", "7045"),
            ("windows", "", "system"),
            true,
        ),
        (
            windows("System", "PowerShell", "1"),
            ("windows", "", "system"),
            true,
        ),
        (windows("Other", "Other", "1"), ("windows", "", ""), true),
        (
            windows("Other", "Other", "1"),
            ("windows", "", "system"),
            false,
        ),
        (
            windows("PowerShellCore/Operational", "", "4104"),
            ("windows", "ps_script", ""),
            true,
        ),
        (
            windows(SYSMON, "", "99999999999"),
            ("windows", "process_creation", ""),
            false,
        ),
        (history, ("windows", "process_creation", ""), true),
        (history, ("windows", "", ""), true),
        (history, ("windows", "image_load", ""), false),
        (history, ("windows", "", "sysmon"), false),
        (history, ("linux", "process_creation", ""), false),
        (unknown, ("windows", "", ""), false),
        (unknown, ("", "process_creation", ""), false),
        (unknown, ("", "", ""), true),
    ];
    for (route, (product, category, service), fits) in cases {
        let rule = source_of(product, category, service);
        assert_eq!(route.fits(&rule), fits, "{route:?} {rule:?}");
    }
}

#[test]
fn log_sources_that_no_event_has_are_known() {
    for (product, category, service, is_known) in [
        ("windows", "process_creation", "", true),
        ("windows", "", "codeintegrity-operational", true),
        ("", "", "", true),
        ("windows", "ps_script", "powershell", true),
        ("windows", "ps_script", "security", false),
        ("windows", "file_access", "", false),
        ("linux", "process_creation", "", false),
        ("windows", "procces_creation", "", false),
        ("", "", "syslog", false),
    ] {
        let rule = source_of(product, category, service);
        assert_eq!(known(&rule), is_known, "{rule:?}");
    }
    assert!(
        why_never(&source_of("windows", "file_rename", ""))
            .unwrap()
            .contains("ETW")
    );
    assert_eq!(
        why_never(&source_of("windows", "process_creation", "")),
        None
    );
}

#[test]
fn what_is_no_object_is_refused() {
    let reader = Reader::new(&Fields::default());
    let mut slots = Slots::default();
    let deep = "{\"a\":".to_owned() + &"[".repeat(3_000_000);
    for source in [
        "",
        "[]",
        "1",
        "{",
        "{\"a\":}",
        "{\"a\":1} x",
        "nul",
        "{\"Image\":[1 2]}",
        "{\"Image\":tru}",
        "{\"Image\" 1}",
        &deep,
    ] {
        let error = reader.read(source, &mut slots).unwrap_err().to_string();
        assert!(error.len() < 200, "{error}");
    }
}

#[test]
fn an_escape_that_json_does_not_have_hides_nothing() {
    let source = r#"{"EventID":1,"Image":"C:\\x\x.exe","CommandLine":"\u00g0","User":"a\\b"}"#;
    read(&fields(), source, |event| {
        assert_eq!(event.text(FieldId::IMAGE), Some(r"C:\\x\x.exe"));
        assert_eq!(event.text(FieldId::COMMAND_LINE), Some(r"\u00g0"));
        assert_eq!(event.text(FieldId::USER), Some(r"a\b"));
    });
}

#[test]
fn both_values_of_a_key_that_stands_twice_are_seen() {
    let source =
        r##"{"EventID":1,"Image":"a","Image":["b",null,{"#text":"c"}],"EventID":{"x":1}}"##;
    read(&fields(), source, |event| {
        let values: Vec<&str> = event.values(FieldId::IMAGE).map(|v| v.text).collect();
        assert_eq!(values, ["a", "b", "", "c"]);
    });
}

#[test]
fn a_lone_surrogate_does_not_hide_an_event() {
    let source = r#"{"EventID":1,"CommandLine":"whoami \ud800 /all","Image":"\ud83d\ude00"}"#;
    read(&fields(), source, |event| {
        assert_eq!(
            event.text(FieldId::COMMAND_LINE),
            Some("whoami \u{fffd} /all")
        );
        assert_eq!(event.text(FieldId::IMAGE), Some("\u{1f600}"));
    });
}

#[test]
fn recordings_give_the_same_as_evtx_and_as_json() {
    let Some(folder) = shared("regression_data") else {
        return;
    };
    let mut fields = fields();
    fields.intern("TargetImage");
    fields.intern("GrantedAccess");
    let mut said: Vec<Vec<(String, String)>> = Vec::new();
    for ending in ["evtx", "json"] {
        let (inputs, _) = Inputs::find(std::slice::from_ref(&folder));
        let mut descriptions = Vec::new();
        for file in inputs.files() {
            if file.path.extension().is_none_or(|e| e != ending) {
                continue;
            }
            let case = file.path.with_extension("").display().to_string();
            let flow = file.read(&Progress::default(), &mut |item| {
                match item {
                    Item::Record(record) => {
                        let look = |event: &Event<'_>| describe(&fields, event);
                        descriptions.push((case.clone(), read(&fields, record.source, look)));
                    }
                    Item::Problem(problem) => unreachable!("{problem}"),
                }
                ControlFlow::Continue(())
            });
            assert!(flow.is_continue());
        }
        descriptions.sort();
        said.push(descriptions);
    }
    assert!(said[0].len() >= 125);
    assert_eq!(said[0].len(), said[1].len());
    for (evtx, json) in said[0].iter().zip(&said[1]) {
        // Some of the JSON was made by hand: blanks are cut or joined, and case differs.
        let cut = |(case, text): &(String, String)| {
            let text: String = text.split_whitespace().collect();
            (case.clone(), text.to_lowercase())
        };
        assert_eq!(cut(evtx), cut(json));
    }
}

/// JSON values of any kind, nested.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let key = prop_oneof![
        any::<String>(),
        Just("EventID".to_owned()),
        Just("winlog".to_owned()),
        Just("event_data".to_owned()),
        Just("Event".to_owned()),
        Just("EventData".to_owned()),
        Just("Data".to_owned()),
        Just("@Name".to_owned()),
        Just("#text".to_owned()),
        Just("#attributes".to_owned()),
        Just("Image".to_owned()),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Documents of few keys, so that they often come in the same order.
fn document() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "EventID", "Image", "Channel", "winlog", "Event", "User",
    ]);
    prop::collection::vec((key, json()), 0..6).prop_map(|pairs| {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        serde_json::Value::Object(pairs.collect()).to_string()
    })
}

/// All strings that stand anywhere in a value, but for names in lists of name and value.
fn strings(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => out.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, out)),
        serde_json::Value::Object(map) => map.values().for_each(|value| strings(value, out)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), start in "[{\\[\"]{0,3}") {
        let mut slots = Slots::default();
        let _ = Reader::new(&fields()).read(&(start + &text), &mut slots);
    }

    #[test]
    fn any_object_gives_the_strings_that_serde_json_reads(
        map in prop::collection::vec((any::<String>(), json()), 0..5)
    ) {
        let map: serde_json::Map<_, _> = map.into_iter().collect();
        let value = serde_json::Value::Object(map);
        let fields = fields();
        let mut expected = Vec::new();
        strings(&value, &mut expected);
        let mut found: Vec<String> = read(&fields, &value.to_string(), |event| {
            let texts = event.all_values().filter(|value| value.kind == Kind::Text);
            texts.map(|value| value.text.to_owned()).collect()
        });
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn documents_read_one_after_the_other_say_what_they_say_alone(
        texts in prop::collection::vec(document(), 1..12)
    ) {
        let fields = fields();
        let reader = Reader::new(&fields);
        let (mut trail, mut slots) = (Trail::default(), Slots::default());
        for text in texts {
            let said = |event: &Event<'_>| {
                let of = |number| event.values(FieldId(number)).map(|v| v.text.to_owned());
                let count = u16::try_from(fields.len()).unwrap();
                let said: Vec<Vec<String>> = (0..count).map(|number| of(number).collect()).collect();
                (said, event.route())
            };
            let alone = read(&fields, &text, |event| said(event));
            let document = Document::loose("test".into(), "1", text);
            reader.read_along(&mut trail, &document.source, &mut slots).unwrap();
            prop_assert_eq!(said(&Event::new(&document, &slots)), alone);
        }
    }
}
