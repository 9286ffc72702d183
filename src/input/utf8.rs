//! Whether bytes are text, told many at a time: a large file is looked at once more for this alone.

/// The bytes as text, or back if they are not UTF-8.
#[expect(
    unsafe_code,
    reason = "the standard library would look at all bytes again"
)]
pub(super) fn text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    match simdutf8::basic::from_utf8(&bytes) {
        // SAFETY: they were found to be UTF-8, and are moved as they are.
        Ok(_) => Ok(unsafe { String::from_utf8_unchecked(bytes) }),
        Err(_) => Err(bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text with a few bytes of it changed.
    fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        ("[a-z\u{e9}\u{20ac}\u{1f600}]{0,200}", changes).prop_map(|(text, changes)| {
            let mut bytes = text.into_bytes();
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn text_is_what_the_standard_library_takes_for_it(bytes in nearly_text()) {
            let standard = String::from_utf8(bytes.clone());
            prop_assert_eq!(text(bytes), standard.map_err(|error| error.into_bytes()));
        }
    }
}
