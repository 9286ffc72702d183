//! Rules and documents that somebody broke at random: nothing panics, nothing hangs, and the index
//! finds what the plain walk finds. `PICKET_TEST_MUTANTS=1000000` makes a million of them, from the
//! seed `PICKET_TEST_SEED` if there is one.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use picket::alert::AlertLevels;
use picket::detect::sigma::SigmaDetector;
use picket::detect::{Detector, Inspection};
use picket::document::Document;
use picket::rule::lint::Linter;
use picket::rule::{Placeholders, RuleSet};
use picket::taxonomy::{Event, Fields, Reader, Slots};

/// Mutants of a plain `cargo test`.
const FEW: u64 = 3_000;
/// Documents that each rule is shown.
const DOCUMENTS: usize = 3;

/// What is put in the place of something else.
const PIECES: [&str; 56] = [
    "contains",
    "|all",
    "|re",
    "|re|i",
    "|cased",
    "|base64offset|contains",
    "|wide|base64",
    "|windash",
    "|cidr",
    "|gt",
    "|lte",
    "|exists",
    "|fieldref",
    "|expand",
    "|neq",
    "|hour",
    "|startswith",
    "|utf16",
    "not ",
    " and ",
    " or ",
    "1 of them",
    "all of sel*",
    "1 of ",
    "(",
    ")",
    "condition: ",
    "selection",
    "null",
    "''",
    "~",
    "true",
    "-1",
    "1e309",
    "99999999999999999999",
    "*",
    "?",
    "\\*",
    "\\\\",
    "\\",
    "%x%",
    "'(a+)+$'",
    "'(((((a*)*)*)*)*)*'",
    "'\\b{1000}'",
    "[a-",
    "10.0.0.0/8",
    "::1/129",
    "&a [*a]",
    "*a",
    "- ",
    ": ",
    "\u{212a}",
    "\u{130}",
    "–whoami",
    "\u{0}",
    "é",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        text.floor_char_boundary(self.below(text.len() + 1))
    }

    /// The text with one thing otherwise.
    fn change(&mut self, text: &str, other: &str) -> String {
        let (a, b) = (self.place(text), self.place(text));
        let (from, to) = (
            a.min(b),
            a.max(b).min(text.floor_char_boundary(a.min(b) + 40)),
        );
        match self.below(7) {
            0 => format!("{}{}", &text[..from], &text[to..]),
            1 => format!(
                "{}{}{}",
                &text[..from],
                &text[from..to].repeat(2),
                &text[to..]
            ),
            2 | 3 => format!("{}{}{}", &text[..from], self.of(&PIECES), &text[from..]),
            4 => format!("{}{}{}", &text[..from], self.of(&PIECES), &text[to..]),
            5 => self.lines(text),
            _ => {
                let at = self.place(other);
                let end = other.floor_char_boundary(at + 60);
                format!("{}{}{}", &text[..from], &other[at..end], &text[to..])
            }
        }
    }

    /// The text with a line gone, doubled or moved.
    fn lines(&mut self, text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        if lines.is_empty() {
            return String::new();
        }
        let (from, to) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(3) {
            0 => drop(lines.remove(from)),
            1 => lines.insert(to, lines[from]),
            _ => lines.swap(from, to),
        }
        lines.join("\n")
    }
}

/// A bundled rule, and the documents of its cases, as texts.
struct Original {
    rule: String,
    documents: Vec<String>,
}

fn originals() -> Vec<Original> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut originals = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        if path.extension().is_none_or(|end| end != "yml") {
            continue;
        }
        let cases = fs::read_to_string(path.with_extension("cases.json")).unwrap();
        let cases: Vec<serde_json::Value> = serde_json::from_str(&cases).unwrap();
        let told = cases.iter().filter_map(|case| case.get("document"));
        originals.push(Original {
            rule: fs::read_to_string(path).unwrap(),
            documents: told.map(ToString::to_string).collect(),
        });
    }
    originals
}

#[test]
fn broken_rules_and_documents_are_survived() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let mutants = number("PICKET_TEST_MUTANTS").unwrap_or(FEW);
    let seed = number("PICKET_TEST_SEED").unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        u64::try_from(now.as_nanos() % 1_000_000_007).unwrap()
    });
    println!("seed {seed}");
    let originals = originals();
    let originals: Vec<&Original> = originals
        .iter()
        .filter(|o| !o.documents.is_empty())
        .collect();
    let mut random = Random(seed);
    let (mut usable, mut read, mut hits) = (0_u64, 0_u64, 0_u64);
    for at in 0..mutants {
        let original = random.of(&originals);
        let mut text = original.rule.clone();
        for _ in 0..random.below(4) {
            let other = random.of(&originals);
            text = random.change(&text, &other.rule);
        }
        let told =
            |what: &dyn std::fmt::Display| format!("seed {seed}, mutant {at}: {what}\n{text}");
        let mut linter = Linter::default();
        linter.file(Path::new("mutant.yml"), &text);
        linter.finish();
        let mut fields = Fields::default();
        let placeholders = Placeholders::default();
        let (set, problems) =
            RuleSet::parse(Path::new("mutant.yml"), &text, &placeholders, &mut fields);
        if set.rules.is_empty() {
            assert!(
                !problems.is_empty() || set.atoms.is_empty(),
                "{}",
                told(&"dropped in silence")
            );
            continue;
        }
        usable += 1;
        let mut detector =
            SigmaDetector::new(Arc::new(set), &fields, AlertLevels::default()).learning(1, 2);
        let (reader, mut slots) = (Reader::new(&fields), Slots::default());
        for _ in 0..DOCUMENTS {
            let own = &original.documents;
            let mut source = own[random.below(own.len())].clone();
            for _ in 0..random.below(3) {
                let other = &random.of(&originals).documents;
                let other = &other[random.below(other.len())];
                source = random.change(&source, other);
            }
            let document = Document::loose("mutant".into(), "1", source.as_str());
            if reader.read(&document.source, &mut slots).is_err() {
                continue;
            }
            read += 1;
            let event = Event::new(&document, &slots);
            let found = detector.hits(&event).to_vec();
            let walked = detector.hits_by_full_walk(&event).to_vec();
            assert_eq!(found, walked, "{}", told(&source));
            hits += found.len() as u64;
            let mut out = Inspection::default();
            detector.inspect(&[event], &mut out);
            assert_eq!(out.findings.len(), found.len(), "{}", told(&source));
        }
    }
    let mut line = String::new();
    write!(
        line,
        "{mutants} mutants: {usable} usable, {read} documents read, {hits} hits"
    )
    .unwrap();
    println!("{line}");
    assert!(usable * 4 > mutants && hits > 0, "{line}");
}
