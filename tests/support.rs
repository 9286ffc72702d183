//! What several suites share. Nothing here asserts.

use std::path::PathBuf;

/// The folder of recordings and rule collections that stands beside the repository, or
/// `PICKET_TEST_SHARED`; `None`, with a word on standard output, where it is not.
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
    skip(&format!(
        "no {inside}; set PICKET_TEST_SHARED to the folder that holds it"
    ));
    None
}

/// Says that a test is skipped, and why.
///
/// # Panics
/// `PICKET_TEST_NO_SKIP` is set.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("PICKET_TEST_NO_SKIP").is_none(),
        "must not skip: {why}"
    );
    println!("skipped: {why}");
}
