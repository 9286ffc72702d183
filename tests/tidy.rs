//! Laws of the source tree: dependencies point one way, detection does no I/O, every file says
//! what it is for and stays small, and no document names what a stranger does not have.

use std::fs;
use std::path::{Path, PathBuf};

/// The groups of `lib.rs`, lowest first: a file uses only its own group and those before it.
const GROUPS: [(&str, &[&str]); 6] = [
    ("words", &["alert", "document", "finding", "hex", "problem"]),
    ("modules", &["module"]),
    ("detection", &["taxonomy", "rule", "detect", "train"]),
    ("data", &["store", "input"]),
    ("work", &["sweep", "schedule", "provision"]),
    ("edges", &["config", "telemetry", "cli"]),
];

/// Longest file, without its tests.
const MAX_LINES: usize = 450;

/// Longest suite: a list of cases is read case by case.
const MAX_TEST_LINES: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(root().join(folder))
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "target")
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn group(module: &str) -> Option<usize> {
    GROUPS
        .iter()
        .position(|(_, members)| members.contains(&module))
}

/// The top-level module that a file under src/ belongs to.
fn owner(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let name = owner(&path);
        if name == "lib" || name == "main" {
            continue;
        }
        let own = group(&name).unwrap_or_else(|| panic!("{} belongs to no group", path.display()));
        let text = code(&path);
        let used = text.match_indices("crate::").map(|(at, word)| {
            let rest = &text[at + word.len()..];
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
        });
        for module in used {
            if let Some(other) = group(module).filter(|other| *other > own) {
                wrong.push(format!(
                    "{} ({}) uses {module} ({})",
                    path.display(),
                    GROUPS[own].0,
                    GROUPS[other].0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in files(folder, "rs") {
            let text = fs::read_to_string(&path).unwrap();
            if !text.starts_with("//!") {
                wrong.push(format!("{} has no //! at its top", path.display()));
            }
            let lines = code(&path).lines().count();
            let most = if folder == "src" {
                MAX_LINES
            } else {
                MAX_TEST_LINES
            };
            if lines > most {
                wrong.push(format!(
                    "{} has {lines} lines; the most are {most}",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn detection_does_no_io_and_knows_no_clock() {
    let banned = [
        "tokio",
        "TcpStream",
        "UdpSocket",
        "println!",
        "eprintln!",
        "Utc::now",
        "Local::now",
        "SystemTime::now",
    ];
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        if group(&owner(&path))
            .is_none_or(|group| GROUPS[group].0 != "detection" && GROUPS[group].0 != "words")
        {
            continue;
        }
        let text = code(&path);
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            wrong.extend(
                banned
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{} uses {word}: {line}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_names_a_place_that_a_stranger_does_not_have() {
    let mut wrong = Vec::new();
    for extension in ["rs", "md", "toml", "yml", "sh", "py"] {
        for path in files(".", extension) {
            // Spelt apart, so that this file does not name them.
            let places = [
                concat!("/wo", "rk/"),
                concat!("/ro", "ot/"),
                concat!("/ho", "me/"),
            ];
            let text = fs::read_to_string(&path).unwrap();
            wrong.extend(
                places
                    .iter()
                    .filter(|p| text.contains(**p))
                    .map(|p| format!("{} names {p}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn architecture_fits_on_a_few_screens() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() < 150);
    for (_, members) in GROUPS {
        for member in members {
            assert!(
                text.contains(&format!("`{member}")),
                "ARCHITECTURE.md does not name {member}"
            );
        }
    }
}
