//! The law that the index finds exactly what the plain walk of the trees finds, whatever the rules
//! and the events are, and whatever was seen before.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Bench;

const WORDS: [&str; 16] = [
    "a",
    "ab",
    "B",
    "key",
    "\u{212a}ey",
    "s",
    "\u{17f}",
    "İ",
    "é",
    "\\",
    "-a",
    "/b",
    "1",
    "\n",
    "\t",
    "",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..4).prop_map(|w| w.concat())
}

/// A field with modifiers and values of a rule.
fn field() -> impl Strategy<Value = (String, Value)> {
    let value = prop_oneof![
        6 => text().prop_map(Value::from),
        2 => (text(), text()).prop_map(|(a, b)| format!("{a}*{b}").into()),
        1 => (text(), text()).prop_map(|(a, b)| format!("*{a}?{b}").into()),
    ];
    let values = prop::collection::vec(value, 1..4).prop_map(Value::from);
    let patterns = prop::sample::select(vec![
        "a+b",
        "(?i)key",
        "^a|b$",
        "(?i)s",
        "(ab|key)1?",
        "[kK].y",
        ".",
    ]);
    let name = prop::sample::select(vec!["A", "B", "EventID"]);
    let with = |modifiers: Vec<&'static str>, values: BoxedStrategy<Value>| {
        (name.clone(), prop::sample::select(modifiers), values)
            .prop_map(|(name, modifiers, value)| (format!("{name}{modifiers}"), value))
    };
    prop_oneof![
        8 => with(
            vec!["", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|contains|cased", "|windash|contains", "|neq"],
            values.boxed(),
        ),
        2 => with(vec!["|re", "|re|i"], patterns.prop_map(Value::from).boxed()),
        1 => with(vec!["|exists"], any::<bool>().prop_map(Value::from).boxed()),
        1 => with(vec!["", "|all"], Just(Value::Null).boxed()),
        1 => with(vec!["|fieldref", "|fieldref|contains"], Just(Value::from("B")).boxed()),
        1 => with(vec!["|gt", "|lte"], (0..5).prop_map(Value::from).boxed()),
    ]
}

fn selection() -> impl Strategy<Value = Value> {
    let map = || {
        prop::collection::vec(field(), 1..3)
            .prop_map(|f| Value::Object(f.into_iter().collect::<Map<_, _>>()))
    };
    prop_oneof![
        4 => map(),
        1 => prop::collection::vec(map(), 1..3).prop_map(Value::from),
        1 => prop::collection::vec(text().prop_filter("not empty", |t| !t.is_empty()).prop_map(Value::from), 1..3).prop_map(Value::from),
    ]
}

fn rules() -> impl Strategy<Value = String> {
    let conditions = prop::sample::select(vec![
        "x",
        "x and y",
        "x or y",
        "x and not y",
        "not x",
        "1 of them",
        "all of them",
        "not (x and y)",
        "not x or (y and not x)",
    ]);
    prop::collection::vec((selection(), selection(), conditions), 1..12).prop_map(|rules| {
        let documents = rules
            .into_iter()
            .enumerate()
            .map(|(number, (x, y, condition))| {
                json!({
                    "title": "T", "id": format!("r{number}"), "logsource": {"product": "windows"},
                    "detection": {"x": x, "y": y, "condition": condition},
                })
                .to_string()
            });
        documents.collect::<Vec<_>>().join("\n---\n")
    })
}

/// A value of an event.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => text().prop_map(Value::from),
        // So long that it is looked at many bytes at a time.
        2 => (text(), text()).prop_map(|(a, b)| [a, ".".repeat(40), b].concat().into()),
        1 => prop::collection::vec(text(), 0..3).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => (0..5).prop_map(Value::from),
    ]
}

fn event() -> impl Strategy<Value = Value> {
    let event_id = prop_oneof![
        4 => (0..4u32).prop_map(Value::from),
        1 => prop::sample::select(vec!["1", "01", "+1", "a", ""]).prop_map(Value::from),
        1 => Just(json!(["1", "ab"])),
    ];
    (
        prop::option::of(value()),
        prop::option::of(value()),
        event_id,
    )
        .prop_map(|(a, b, event_id)| {
            let mut event = Map::new();
            event.extend(a.map(|a| ("A".to_owned(), a)));
            event.extend(b.map(|b| ("B".to_owned(), b)));
            event.insert("EventID".to_owned(), event_id);
            event.into()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// `Bench::ids` compares the two ways.
    #[test]
    fn the_index_finds_what_the_plain_walk_finds(
        text in rules(),
        events in prop::collection::vec(event(), 1..12),
    ) {
        let mut bench = Bench::new(&text);
        // Twice, since an event that was seen before is not judged anew.
        for event in events.iter().chain(&events) {
            bench.ids(event.clone());
        }
    }
    /// The same where one field says little that is new and the other something new each time, which
    /// the detector learns after six events.
    #[test]
    fn what_says_the_same_again_is_judged_once_and_right(
        text in rules(),
        same in prop::collection::vec(value(), 2),
        new in prop::collection::vec(text(), 12..40),
        turn in any::<bool>(),
    ) {
        let mut bench = Bench::new(&text);
        let (same_field, new_field) = if turn { ("A", "B") } else { ("B", "A") };
        for (number, new) in new.iter().enumerate() {
            let same = &same[number % same.len()];
            bench.ids(json!({ same_field: same, new_field: format!("{new}{number}") }));
        }
    }
}
