//! What a server answered: its status, its body, and what of it is an error. Asks nothing.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{bad, unavailable};
use crate::store::{StoreError, StoreErrorKind};

/// The most bytes of a server's reason that an error quotes.
const MAX_REASON: usize = 300;

/// What the server said, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether an earlier try of the same request broke off, so that the server may have done it
    /// twice.
    pub(crate) repeated: bool,
}

impl Answer {
    /// Whether what was asked for does not exist or is closed.
    pub(super) fn is_gone(&self) -> bool {
        let closed = b"index_closed_exception";
        self.status == 404
            || self.status == 400 && memchr::memmem::find(&self.body, closed).is_some()
    }

    /// Reads the answer of a success.
    ///
    /// # Errors
    /// By the status: `Unauthorized`, `BadRequest`, or `Unavailable`.
    pub(crate) fn read<T: DeserializeOwned>(&self, address: &str) -> Result<T, StoreError> {
        if !(200..300).contains(&self.status) {
            return Err(self.error(address));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            unavailable(format!(
                "{address} gave an answer that cannot be read: {error}"
            ))
        })
    }

    /// What went wrong, for a status that is no success.
    pub(crate) fn error(&self, address: &str) -> StoreError {
        let reason = reason(&self.body);
        match self.status {
            401 => StoreError::new(
                StoreErrorKind::Unauthorized,
                format!("{address} does not accept the credentials: {reason}"),
            ),
            403 => StoreError::new(
                StoreErrorKind::Unauthorized,
                format!(
                    "{address} does not allow it: {reason}; `picket role` prints what is needed"
                ),
            ),
            400 | 404 | 405 | 413 => bad(format!("{address} refuses: {reason}")),
            status => unavailable(format!("{address} answered with status {status}: {reason}")),
        }
    }
}

/// What an answer gives as its reason.
pub(crate) fn reason(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = value.get("error").unwrap_or(&Value::Null);
    let text = error
        .pointer("/root_cause/0/reason")
        .or_else(|| error.get("reason"))
        .unwrap_or(error)
        .as_str()
        .map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    cut(&text)
}

/// The text, cut to what an error quotes, on one line.
pub(crate) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_REASON.min(text.len()));
    let mut cut = text
        .get(..end)
        .unwrap_or_default()
        .replace(['\n', '\r'], " ");
    if end < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_and_cut() {
        let body = br#"{"error":{"root_cause":[{"reason":"no such\nindex"}],"reason":"outer"}}"#;
        assert_eq!(reason(body), "no such index");
        assert_eq!(reason(b"<html>"), "<html>");
        assert!(reason("é".repeat(1000).as_bytes()).len() < 400);
    }
}
