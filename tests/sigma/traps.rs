//! The traps of the language and of the index, and the faults of sigma-rust, each by the name of a
//! rule that falls into it. All rules of a table are one set, and all documents go through one
//! detector, so that what one leaves behind would be seen by the next.

use picket::finding::SecondOpinion;
use picket::rule::{Placeholders, RuleSet};
use picket::taxonomy::Fields;
use serde_json::{Value, json};

use super::{Bench, rule};

/// The name of a rule, its detection, and the fields of documents with what it says of them.
type Trap = (&'static str, &'static str, &'static [(&'static str, bool)]);

const TRAPS: &[Trap] = &[
    (
        "kelvin_sign_becomes_k",
        "sel: {CommandLine|contains: sekurlsa}\ncondition: sel",
        &[
            (r#"{"CommandLine":"se\u212aurlsa"}"#, true),
            (r#"{"CommandLine":"seKURLSA"}"#, true),
            (r#"{"CommandLine":"sexurlsa"}"#, false),
        ],
    ),
    (
        "dotted_capital_i_becomes_two_characters",
        "sel: {CommandLine|endswith: 'i\u{307}.exe'}\ncondition: sel",
        &[
            (r#"{"CommandLine":"\u0130.EXE"}"#, true),
            (r#"{"CommandLine":"I.EXE"}"#, false),
        ],
    ),
    (
        "keyword_is_found_however_json_writes_it",
        "kw: ['c:/evil', 'mimikatz']\ncondition: kw",
        &[
            (r#"{"Any":"x C:\/EVIL y"}"#, true),
            (r#"{"Any":"C:/evil"}"#, true),
            (r#"{"Deep":{"er":["\u006dimi\u004Batz"]}}"#, true),
            (r#"{"Any":"mimikat"}"#, false),
        ],
    ),
    (
        "backslashes_of_json_are_not_the_values",
        r"sel: {Image|endswith: '\\cmd.exe'}
condition: sel",
        &[
            (r#"{"Image":"C:\\cmd.exe"}"#, true),
            (r#"{"Image":"\u005ccmd.exe"}"#, true),
            (r#"{"Image":"C:/cmd.exe"}"#, false),
        ],
    ),
    (
        "a_line_end_is_a_text",
        "sel: {ParentCommandLine|contains: [\"\\n\", \"\\t/\"]}\ncondition: sel",
        &[
            (
                r#"{"ParentCommandLine":"cmd /c a-long-option\nwhoami"}"#,
                true,
            ),
            (
                r#"{"ParentCommandLine":"cmd /c a-long-option\u000awhoami"}"#,
                true,
            ),
            (r#"{"ParentCommandLine":"cmd\t\/c a-long-option"}"#, true),
            (r#"{"ParentCommandLine":"cmd*/c a-long-option \\n"}"#, false),
        ],
    ),
    (
        "not_needs_no_literal",
        "sel: {CommandLine|contains: notpad}\ncondition: not sel",
        &[
            (r#"{"CommandLine":"calc"}"#, true),
            ("{}", true),
            (r#"{"CommandLine":"notpad"}"#, false),
        ],
    ),
    (
        "not_beside_a_literal",
        "sel: {CommandLine|contains: beside}\nfilter: {User|contains: admin}\ncondition: not filter and sel",
        &[
            (r#"{"CommandLine":"beside"}"#, true),
            (r#"{"CommandLine":"beside","User":"x"}"#, true),
            (r#"{"CommandLine":"beside","User":"admin"}"#, false),
            (r#"{"User":"admin"}"#, false),
        ],
    ),
    (
        "or_with_a_branch_without_literal",
        "a: {CommandLine|contains: branchword}\nb: {Absent: null, Image|re: '^[0-9]+$'}\ncondition: a or b",
        &[
            (r#"{"CommandLine":"branchword","Absent":1}"#, true),
            (r#"{"Image":"123"}"#, true),
            (r#"{"Image":"123","Absent":"x"}"#, false),
        ],
    ),
    (
        "wildcard_is_its_longest_piece_and_the_rest",
        "sel: {CommandLine: '*a?b*longest*z'}\ncondition: sel",
        &[
            (r#"{"CommandLine":"xaYb the longest piece z"}"#, true),
            (r#"{"CommandLine":"longest a1b z"}"#, false),
            (r#"{"CommandLine":"a1b longest zz."}"#, false),
        ],
    ),
    (
        "escaped_wildcard_is_a_character",
        r"sel: {CommandLine|contains: 'what\?\*'}
condition: sel",
        &[
            (r#"{"CommandLine":"say WHAT?*!"}"#, true),
            (r#"{"CommandLine":"whatever"}"#, false),
        ],
    ),
    (
        "star_takes_another_place_if_the_first_fails",
        "sel: {CommandLine|endswith: '1?'}\ncondition: sel",
        &[
            (r#"{"CommandLine":"x112"}"#, true),
            (r#"{"CommandLine":"x1"}"#, false),
        ],
    ),
    (
        "regex_literals_are_the_parsed_ones",
        r"sel: {CommandLine|re: 'ab{0}cd(?:ef|gh)?\x41\.x*'}
condition: sel",
        &[
            (r#"{"CommandLine":"acdA."}"#, true),
            (r#"{"CommandLine":"acdghA.xx"}"#, true),
            (r#"{"CommandLine":"acda."}"#, false),
            (r#"{"CommandLine":"abcdA."}"#, false),
        ],
    ),
    (
        "regex_sees_the_value_as_it_is",
        "sel: {CommandLine|re: 'CasedRegex'}\ncondition: sel",
        &[
            (r#"{"CommandLine":"x CasedRegex"}"#, true),
            (r#"{"CommandLine":"x casedregex"}"#, false),
        ],
    ),
    (
        "regex_that_ignores_case_knows_the_long_s",
        "sel: {CommandLine|re|i: 'pa55ss'}\ncondition: sel",
        &[
            (r#"{"CommandLine":"PA55\u017fS"}"#, true),
            (r#"{"CommandLine":"pa55"}"#, false),
        ],
    ),
    (
        "null_is_absent_or_null",
        "sel: {ParentImage: null, Image: nulltrap}\ncondition: sel",
        &[
            (r#"{"Image":"nulltrap"}"#, true),
            (r#"{"Image":"nulltrap","ParentImage":null}"#, true),
            (r#"{"Image":"nulltrap","ParentImage":""}"#, false),
        ],
    ),
    (
        "empty_text_is_not_null",
        "sel: {ParentImage: '', Image: emptytrap}\ncondition: sel",
        &[
            (r#"{"Image":"emptytrap","ParentImage":""}"#, true),
            (r#"{"Image":"emptytrap"}"#, false),
            (r#"{"Image":"emptytrap","ParentImage":null}"#, false),
        ],
    ),
    (
        "windash_has_each_spelling_of_each_dash",
        "sel: {CommandLine|windash|contains|all: [' -first -second', x]}\ncondition: sel",
        &[
            ("{\"CommandLine\":\"x /first \u{2013}second\"}", true),
            ("{\"CommandLine\":\"x \u{2014}FIRST \u{2015}SECOND\"}", true),
            (r#"{"CommandLine":"x -first -second"}"#, true),
            (r#"{"CommandLine":"x +first -second"}"#, false),
        ],
    ),
    (
        "base64offset_has_three_alignments",
        "sel: {CommandLine|base64offset|contains: 'trapped'}\ncondition: sel",
        &[
            (r#"{"CommandLine":"dHJhcHBlZA=="}"#, true),
            (r#"{"CommandLine":"eHRyYXBwZWQ="}"#, true),
            (r#"{"CommandLine":"eHl0cmFwcGVk"}"#, true),
            (r#"{"CommandLine":"dHJhcHBlcg=="}"#, false),
        ],
    ),
    (
        "absent_field_is_not_the_last_events",
        "sel: {TargetObject|contains: leftbehind}\ncondition: sel",
        &[
            (r#"{"TargetObject":"leftbehind"}"#, true),
            ("{}", false),
            (r#"{"TargetObject":["a","leftbehind"]}"#, true),
            (r#"{"TargetObject":"a"}"#, false),
        ],
    ),
    (
        "literal_does_not_span_two_values",
        "sel: {Details|contains: 'joinedword'}\ncondition: sel",
        &[
            (r#"{"Details":["joined","word"]}"#, false),
            (r#"{"Details":["x","joinedword"]}"#, true),
        ],
    ),
    (
        "long_value_is_read_to_its_end",
        "sel: {ScriptBlockText|endswith: 'theveryend'}\ncondition: sel",
        &[(r#"{"ScriptBlockText":"theveryend of it"}"#, false)],
    ),
    (
        "event_id_is_compared_as_text",
        "sel: {EventID: '1', Image: idtrap}\ncondition: sel",
        &[
            (r#"{"Image":"idtrap"}"#, true),
            (r#"{"Image":"idtrap","EventID":"1"}"#, true),
            (r#"{"Image":"idtrap","EventID":"01"}"#, false),
        ],
    ),
];

#[test]
fn no_rule_falls_into_its_trap() {
    let text: Vec<String> = TRAPS
        .iter()
        .map(|(name, detection, _)| rule(detection).replace("id: r\n", &format!("id: {name}\n")))
        .collect();
    let mut bench = Bench::new(&text.join("---\n"));
    for (name, _, documents) in TRAPS {
        for (document, expected) in *documents {
            // As written: how JSON is written is a part of some traps.
            let hits = bench.ids_of(document);
            assert_eq!(
                hits.iter().any(|id| id == name),
                *expected,
                "{name} on {document}"
            );
        }
    }
    let long = format!("{}TheVeryEnd", "x".repeat(200_000));
    let hits = bench.ids(json!({ "ScriptBlockText": long }));
    assert!(hits.iter().any(|id| id == "long_value_is_read_to_its_end"));
}

/// What sigma-rust says by itself, and what it is made to say.
enum By {
    /// It cannot load the rule.
    Refusing,
    /// It panics.
    Panicking,
    /// It says the wrong thing.
    Saying(bool),
}

/// The name of a rule, its detection, a document that it holds for, what sigma-rust makes of it by
/// itself, and the second opinion that a finding carries.
type Fault = (&'static str, &'static str, &'static str, By, SecondOpinion);

const FAULTS: &[Fault] = &[
    (
        "absent_is_null",
        "sel: {Foo: null}\ncondition: sel",
        "{}",
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
    (
        "array_matches",
        "sel: {Foo: b}\ncondition: sel",
        r#"{"Foo":["a","b"]}"#,
        By::Saying(false),
        SecondOpinion::Unsupported,
    ),
    (
        "number_equals_text",
        "sel: {Foo: 1}\ncondition: sel",
        r#"{"Foo":"1"}"#,
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
    (
        "bool_equals_capital_text",
        "sel: {Foo: false}\ncondition: sel",
        r#"{"Foo":"False"}"#,
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
    (
        "bool_equals_text",
        "sel: {Foo: true}\ncondition: sel",
        r#"{"Foo":"true"}"#,
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
    (
        "keyword_is_a_part",
        "kw: [evil]\ncondition: kw",
        r#"{"Foo":"an evil one"}"#,
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
    (
        "star_and_question_mark",
        "sel: {Foo|endswith: '1?'}\ncondition: sel",
        r#"{"Foo":"x112"}"#,
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
    (
        "regex_ignoring_case",
        "sel: {Foo|re|i: ABC}\ncondition: sel",
        r#"{"Foo":"abc"}"#,
        By::Refusing,
        SecondOpinion::Agrees,
    ),
    (
        "regex_of_many_lines",
        "sel: {Foo|re|m: '^b'}\ncondition: sel",
        r#"{"Foo":"a\nb"}"#,
        By::Refusing,
        SecondOpinion::Agrees,
    ),
    (
        "another_value",
        "sel: {Foo|neq: a}\ncondition: sel",
        r#"{"Foo":"b"}"#,
        By::Refusing,
        SecondOpinion::Unsupported,
    ),
    (
        "placeholder_modifier",
        "sel: {Foo|expand: x}\ncondition: sel",
        r#"{"Foo":"x"}"#,
        By::Refusing,
        SecondOpinion::Agrees,
    ),
    (
        "list_of_conditions",
        "a: {A: x}\nb: {B: x}\ncondition: [a, b]",
        r#"{"B":"x"}"#,
        By::Refusing,
        SecondOpinion::Agrees,
    ),
    (
        "bare_text",
        "sel: evil\ncondition: sel",
        r#"{"Foo":"evil"}"#,
        By::Refusing,
        SecondOpinion::Agrees,
    ),
    (
        "en_dash",
        "sel: {Foo|windash|contains: ' -a \u{2013}b'}\ncondition: sel",
        "{\"Foo\":\"x /a \u{2013}b\"}",
        By::Panicking,
        SecondOpinion::Agrees,
    ),
    (
        "hidden_names_are_not_among_them",
        "sel: {A: x}\n_off: {B: x}\ncondition: all of them",
        r#"{"A":"x"}"#,
        By::Saying(false),
        SecondOpinion::Agrees,
    ),
];

#[test]
fn the_faults_of_sigma_rust_are_known_and_bridged() {
    let mut mended = Vec::new();
    for (name, detection, document, by_itself, bridged) in FAULTS {
        let text = rule(detection).replace("id: r\n", &format!("id: {name}\n"));
        let said = std::panic::catch_unwind(|| {
            let rule = sigma_rust::rule_from_yaml(&text).map_err(drop)?;
            let event = sigma_rust::event_from_json(document).map_err(drop)?;
            Ok::<bool, ()>(rule.is_match(&event))
        });
        match (by_itself, &said) {
            (By::Refusing, Ok(Err(()))) | (By::Panicking, Err(_)) => {}
            (By::Saying(expected), Ok(Ok(said))) if expected == said => {}
            _ => mended.push(format!("{name}: sigma-rust says {:?}", said.map_err(drop))),
        }
        let fields: Value = serde_json::from_str(document).unwrap();
        let findings = Bench::new(&text).findings(fields);
        assert_eq!(findings.len(), 1, "{name}");
        assert_eq!(findings[0].second_opinion, Some(*bridged), "{name}");
    }
    assert!(
        mended.is_empty(),
        "these need no bridge any more: {mended:#?}"
    );
}

/// The fault that no rewriting bridges: routing is ours alone.
#[test]
fn sigma_rust_knows_no_log_source() {
    let text = rule("sel: {Foo: x}\ncondition: sel")
        .replace("{product: windows}", "{product: linux, service: sshd}");
    let theirs = sigma_rust::rule_from_yaml(&text).unwrap();
    assert!(theirs.is_match(&sigma_rust::event_from_json(r#"{"Foo":"x"}"#).unwrap()));
    assert_eq!(Bench::new(&text).findings(json!({"Foo": "x"})), []);
    let (set, _) = RuleSet::parse(
        std::path::Path::new("r.yml"),
        &text,
        &Placeholders::default(),
        &mut Fields::default(),
    );
    assert_eq!(
        set.rules.len(),
        1,
        "it is loaded, and sees no such document"
    );
}

/// A regex costs at most so much, however long the value; that it was not asked is said by name.
#[test]
fn a_dear_regex_is_bounded_and_its_rule_is_named() {
    let text = rule(
        r"sel: {CommandLine|re: '[\s\S]{1,3000}xyz$'}
condition: sel",
    );
    let mut bench = Bench::new(&text);
    let short = bench.inspect(json!({"CommandLine": "x".repeat(5_000) + "xyz"}));
    assert_eq!((short.findings.len(), short.problems.len()), (1, 0));
    let begun = std::time::Instant::now();
    let long = bench.inspect(json!({"CommandLine": "x".repeat(1_000_000) + "xyz"}));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert_eq!(long.findings, []);
    let problem = long.problems[0].to_string();
    assert!(
        problem.starts_with("test.yml:1: its regular expression was not asked"),
        "{problem}"
    );
}
