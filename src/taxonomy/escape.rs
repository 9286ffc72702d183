//! What a JSON string with escapes means. Pure: text in, text out; never panics.

use super::bytes;

/// Writes what a string means. A lone surrogate, which JSON can say and UTF-8 cannot, becomes
/// U+FFFD; `None`: an escape that JSON does not have.
pub(super) fn unescape(raw: &str, out: &mut String) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(rest.get(..at)?);
        let escape = *rest.as_bytes().get(at + 1)?;
        let mut used = 2;
        out.push(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                used = 6;
                let unit = hex(rest, at)?;
                let low = hex(rest, at + 6).filter(|low| (0xdc00..0xe000).contains(low));
                match (unit, low) {
                    (0xd800..0xdc00, Some(low)) => {
                        used = 12;
                        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    _ => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            _ => return None,
        });
        rest = rest.get(at + used..)?;
    }
    out.push_str(rest);
    Some(())
}

/// Writes a text as JSON mostly has it: with `\\` before quotes and backslashes.
pub(crate) fn escape_into(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\\', b'"', rest.as_bytes()) {
        let (before, special) = rest.split_at(at);
        let (special, after) = special.split_at(1);
        out.extend([before, "\\", special]);
        rest = after;
    }
    out.push_str(rest);
}

/// A text as [`escape_into`] writes it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(text, &mut out);
    out
}

/// Whether a JSON string with escapes is ASCII and stands there as [`escape_into`] writes what it
/// means, but for line ends and the like.
pub(super) fn is_usual(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // A word at a time: backslashes are too frequent in paths to call for each.
        let before = match rest.first_chunk() {
            Some(word) => bytes::first(u64::from_le_bytes(*word), b'\\').ok_or(bytes::BYTES),
            None => rest
                .iter()
                .position(|byte| *byte == b'\\')
                .ok_or(rest.len()),
        };
        at += match before.map(|before| (before, rest.get(before + 1))) {
            Ok((before, Some(b'\\' | b'"' | b'n' | b'r' | b't'))) => before + 2,
            Ok(_) => return false,
            Err(len) => len,
        };
    }
    raw.is_ascii()
}

/// The code unit of the `\uXXXX` at that place.
fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_usual_is_written_so(raw in r#"([a-c]{0,9}(\\["\\ntu/x]|\\u00e9|\u{e9})){0,6}[a-c]{0,12}"#) {
            let mut text = String::new();
            let is_read = unescape(&raw, &mut text).is_some();
            let written = escaped(&text).replace('\n', r"\n").replace('\t', r"\t");
            let is_so = is_read && written == raw && raw.is_ascii();
            proptest::prop_assert_eq!(is_usual(&raw), is_so, "{}", raw);
        }
    }
}
