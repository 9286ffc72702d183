//! What several suites share. Nothing here asserts.

pub(crate) mod http;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

/// The folder of recordings and rule collections that stands beside the repository, or
/// `PICKET_TEST_SHARED`; `None`, with a word on standard error, where it is not.
///
/// # Panics
/// It is not there, and `PICKET_TEST_NO_SKIP` says that it must be.
pub(crate) fn shared(inside: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("PICKET_TEST_SHARED")
        .map_or(beside, PathBuf::from)
        .join(inside);
    if folder.exists() {
        return Some(folder);
    }
    skip(
        "shared",
        &format!("no {inside}; set PICKET_TEST_SHARED to the folder that holds it"),
    );
    None
}

/// Says that a test is skipped for the lack of something, and why.
///
/// # Panics
/// `PICKET_TEST_NO_SKIP` names what is lacking (words with a comma between), or is 1, which means
/// everything.
pub(crate) fn skip(lacking: &str, why: &str) {
    let needed = std::env::var("PICKET_TEST_NO_SKIP").unwrap_or_default();
    let must = needed.split(',').any(|word| word == lacking || word == "1");
    assert!(!must, "must not skip: {why}");
    // To the process's own standard error: what a test prints is shown only if it fails.
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(why.to_owned()) {
        let line = format!("skipped: {why}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}
