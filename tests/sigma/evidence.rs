//! What a finding carries: the selections that held, the field, the value, the place in it, and in
//! plain text what stands encoded.

use picket::finding::SecondOpinion;
use serde_json::json;

use super::{Bench, rule};

#[test]
fn evidence_names_selection_field_and_place() {
    let detection = "tool: {Image|endswith: '\\rundll32.exe'}\nwhat: {CommandLine|contains|all: [comsvcs, dump]}\nfilter: {User: SYSTEM}\ncondition: tool and what and not filter";
    let mut bench = Bench::new(&rule(detection));
    let padding = "x".repeat(40_000);
    let command = format!("{padding} COMSVCS.dll {padding}");
    let findings =
        bench.findings(json!({"Image": "C:\\RUNDLL32.exe", "CommandLine": command + "MiniDump"}));
    let shown: Vec<String> = findings[0]
        .evidence
        .iter()
        .map(|e| {
            let (start, len) = e.span.unwrap();
            assert!(e.value.len() <= 1024);
            format!(
                "{}/{}/{}",
                e.selection,
                e.field,
                &e.value[start..start + len]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "tool/Image/\\RUNDLL32.exe",
            "what/CommandLine/COMSVCS",
            "what/CommandLine/Dump"
        ]
    );
    assert_eq!(findings[0].second_opinion, Some(SecondOpinion::Agrees));
}

#[test]
fn a_decoded_match_shows_the_encoded_text() {
    let mut bench = Bench::new(&rule(
        "sel: {CommandLine|base64offset|contains: secret}\ncondition: sel",
    ));
    let findings = bench.findings(json!({"CommandLine": "-enc eHNlY3JldA=="}));
    let evidence = &findings[0].evidence[0];
    let (start, len) = evidence.span.unwrap();
    assert_eq!(&evidence.value[start..start + len], "NlY3Jld");
    let decoded = evidence.decoded.as_ref().unwrap();
    assert_eq!((&*decoded.text, decoded.span), ("xsecret", Some((1, 6))));
}

/// What a command line hides, in plain text: the whole of it around what was looked for.
#[test]
fn evidence_says_in_plain_text_what_stands_encoded() {
    for (selection, command, found, decoded) in [
        (
            "CommandLine|utf16le|base64offset|contains: IEX",
            "powershell -e SQBFAFgAIAAoAGEAKQA=",
            "SQBFAFgA",
            Some("IEX (a)"),
        ),
        (
            "CommandLine|utf16be|base64offset|contains: EX",
            "x AEkARQBYACAAYQ==",
            "ARQBY",
            Some("IEX a"),
        ),
        (
            "CommandLine|base64|contains: '/bin/sh'",
            "echo L2Jpbi9zaA==",
            "L2Jpbi9zaA==",
            Some("/bin/sh"),
        ),
        (
            "CommandLine|windash|contains: ' -enc'",
            "powershell \u{2014}ENC x",
            " \u{2014}ENC",
            Some(" -enc"),
        ),
        // What stands there as the rule has it needs no plain text.
        (
            "CommandLine|windash|contains: ' -enc'",
            "powershell -enc x",
            " -enc",
            None,
        ),
    ] {
        let text = rule(&format!("sel:\n  {selection}\ncondition: sel"));
        let findings = Bench::new(&text).findings(json!({ "CommandLine": command }));
        let evidence = &findings[0].evidence[0];
        let (start, len) = evidence.span.unwrap();
        assert_eq!(&evidence.value[start..start + len], found, "{selection}");
        let plain = evidence.decoded.as_ref().map(|decoded| &*decoded.text);
        assert_eq!(plain, decoded, "{selection}");
    }
}

/// Those of a list so long that it is asked all at once, in the order of the rule.
#[test]
fn each_text_of_a_long_list_that_stands_is_named() {
    let texts: Vec<String> = (0..100).map(|n| format!("w{n}x")).collect();
    let detection = format!(
        "tool: {{CommandLine|contains: [w7, {}, 7X]}}\nother: {{CommandLine|contains: w8x}}\ncondition: tool and not other",
        texts.join(", ")
    );
    let command = format!("{} W77X w7x{}w99x", "-".repeat(2_000), "-".repeat(2_000));
    let findings = Bench::new(&rule(&detection)).findings(json!({"CommandLine": command}));
    let shown = findings[0].evidence.iter().map(|e| {
        let (start, len) = e.span.unwrap();
        &e.value[start..start + len]
    });
    let shown: Vec<&str> = shown.collect();
    assert_eq!(shown, ["W7", "w7x", "W77X", "w99x", "7X"]);
}

/// Also one that holds because of what is not there, or after another with many hits.
#[test]
fn each_selection_that_holds_is_named() {
    let many: Vec<String> = (0..40).map(|n| format!("w{n:02}")).collect();
    let detection = format!(
        "many: {{CommandLine|contains: [{}]}}\nnothing: {{Foo|exists: false}}\nnull: {{Bar: null}}\nwild: {{CommandLine: '*w0?*w3?'}}\nlast: {{Image: a}}\ncondition: all of them",
        many.join(", ")
    );
    let padding = "x".repeat(3_000);
    let command = format!("{padding}{}", many.concat());
    let findings =
        Bench::new(&rule(&detection)).findings(json!({"CommandLine": command, "Image": "A"}));
    let evidence = &findings[0].evidence;
    let of = |name: &str| evidence.iter().find(|e| e.selection == name).unwrap();
    assert_eq!((&*of("nothing").field, &*of("nothing").value), ("Foo", ""));
    assert_eq!((&*of("null").field, &*of("null").value), ("Bar", ""));
    assert_eq!((&*of("last").field, &*of("last").value), ("Image", "A"));
    // The place in the document, though the value is cut.
    let wild = of("wild");
    let (start, len) = wild.span.unwrap();
    assert_eq!((wild.cut_before + start, len), (3_000, 120));
    assert_eq!(&wild.value[start..start + 3], "w00");
    let count = evidence.iter().filter(|e| e.selection == "many").count();
    assert_eq!(count, 8, "the first of many say enough");
}
