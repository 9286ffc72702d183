//! Names what went wrong in tantivy in the words of [`StoreErrorKind`], with what to do about it.

use std::io;
use std::path::Path;

use tantivy::TantivyError;
use tantivy::directory::error::{LockError, OpenDirectoryError, OpenReadError, OpenWriteError};

use crate::store::{StoreError, StoreErrorKind};

/// Reading failed.
pub(super) fn read(error: TantivyError) -> StoreError {
    let (kind, why) = name(&error);
    StoreError::new(kind, format!("cannot read the store: {why}"))
}

/// Reading failed.
pub(super) fn read_io(error: io::Error) -> StoreError {
    read(error.into())
}

/// What is stored makes no sense.
pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        format!("the stored document cannot be read: {error}"),
    )
}

/// Writing failed.
pub(super) fn write(error: TantivyError) -> StoreError {
    let (kind, why) = name(&error);
    StoreError::new(kind, format!("cannot write to the store: {why}"))
}

/// Opening failed; the caller says where.
pub(super) fn lock(error: TantivyError) -> StoreError {
    let (kind, why) = match &error {
        TantivyError::LockFailure(LockError::LockBusy, _) => (
            StoreErrorKind::Locked,
            "another process writes to it; stop that one first, or use another folder".to_owned(),
        ),
        _ => name(&error),
    };
    StoreError::new(kind, why)
}

/// Opening failed.
pub(super) fn open(dir: &Path, error: TantivyError) -> StoreError {
    let StoreError { kind, message } = lock(error);
    StoreError::new(
        kind,
        format!("cannot open the store in {}: {message}", dir.display()),
    )
}

/// Opening failed before tantivy had a part in it.
pub(super) fn open_io(dir: &Path, error: io::Error) -> StoreError {
    open(dir, error.into())
}

fn name(error: &TantivyError) -> (StoreErrorKind, String) {
    use StoreErrorKind::{Corrupt, Unavailable};
    let corrupt = |what: &str| {
        let what = format!("{what}; its files are damaged, restore the folder from a copy");
        (Corrupt, what)
    };
    match error {
        TantivyError::IoError(error) => name_io(error),
        TantivyError::LockFailure(LockError::IoError(error), _) => name_io(error),
        TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. })
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. })
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error, .. }) => {
            name_io(io_error)
        }
        TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(path)) => {
            corrupt(&format!("{} is missing", path.display()))
        }
        TantivyError::OpenDirectoryError(error) => (Unavailable, lower(&error.to_string())),
        TantivyError::DataCorruption(_) | TantivyError::DeserializeError(_) => {
            corrupt(&lower(&error.to_string()))
        }
        // A thread hands on only the text of its error.
        other => {
            let text = lower(&format!("{other}"));
            if is_full(&text) {
                full()
            } else {
                (Unavailable, text)
            }
        }
    }
}

fn name_io(error: &io::Error) -> (StoreErrorKind, String) {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            full()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            StoreErrorKind::Unauthorized,
            "not allowed; give this user the right to write there".to_owned(),
        ),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => (
            StoreErrorKind::Corrupt,
            "a file is cut or damaged; restore the folder from a copy".to_owned(),
        ),
        _ if is_full(&error.to_string()) => full(),
        _ => (StoreErrorKind::Unavailable, lower(&error.to_string())),
    }
}

fn full() -> (StoreErrorKind, String) {
    (
        StoreErrorKind::Full,
        "the disk is full; make room and try again, nothing that was acknowledged is lost".into(),
    )
}

fn is_full(text: &str) -> bool {
    [
        "StorageFull",
        "o space left",
        "os error 28",
        "FileTooLarge",
        "os error 27",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}
