//! What a JSON string with escapes means. Pure: text in, text out; never panics.

use super::bytes::{self, WIDE};

/// Writes what a string means. A lone surrogate, which JSON can say and UTF-8 cannot, becomes
/// U+FFFD; `None`: an escape that JSON does not have.
pub(super) fn unescape(raw: &str, out: &mut String) -> Option<()> {
    // What stands before is written.
    let mut done = 0;
    for (block, start) in bytes::blocks(raw.as_bytes()).zip((0..).step_by(WIDE)) {
        let mut slashes = block.marks(b'\\');
        while slashes != 0 {
            let at = start + slashes.trailing_zeros() as usize;
            slashes &= slashes - 1;
            // Otherwise it is part of the escape before.
            if at >= done {
                out.push_str(raw.get(done..at)?);
                let (c, len) = escape(raw, at)?;
                out.push(c);
                done = at + len;
            }
        }
    }
    out.push_str(raw.get(done..)?);
    Some(())
}

/// The character that the escape at that place stands for, and how many bytes it has.
fn escape(raw: &str, at: usize) -> Option<(char, usize)> {
    let c = match *raw.as_bytes().get(at + 1)? {
        c @ (b'"' | b'\\' | b'/') => char::from(c),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let unit = hex(raw, at)?;
            let low = hex(raw, at + 6).filter(|low| (0xdc00..0xe000).contains(low));
            return Some(match (unit, low) {
                (0xd800..0xdc00, Some(low)) => {
                    let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    (
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                        12,
                    )
                }
                _ => (
                    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                    6,
                ),
            });
        }
        _ => return None,
    };
    Some((c, 2))
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

/// How far a JSON string with escapes is ASCII and stands there as [`escape_into`] writes what it
/// means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Usual {
    No,
    /// All but line ends and tabs, of which it has some.
    ButForLines,
    Wholly,
}

/// How far that is so of this one.
pub(super) fn usual(raw: &str) -> Usual {
    // Whether what stands before the block makes its first byte part of an escape.
    let mut is_open = false;
    let mut has_lines = false;
    for block in bytes::blocks(raw.as_bytes()) {
        let mut slashes = block.marks(b'\\');
        if slashes == 0 && !is_open {
            continue;
        }
        let lines = [b'n', b'r', b't'].map(|byte| block.marks(byte));
        let lines = lines.into_iter().fold(0, |all, byte| all | byte);
        let escapes = slashes | block.marks(b'"') | lines;
        if is_open && escapes & 1 == 0 {
            return Usual::No;
        }
        has_lines |= is_open && lines & 1 == 1;
        slashes &= !u32::from(is_open);
        is_open = false;
        while slashes != 0 {
            let next = slashes.trailing_zeros() + 1;
            if next == WIDE as u32 {
                is_open = true;
            } else if escapes >> next & 1 == 0 {
                return Usual::No;
            } else {
                has_lines |= lines >> next & 1 == 1;
            }
            // What the backslash is before is no escape of its own.
            slashes &= !(0b11 << (next - 1));
        }
    }
    match !is_open && raw.is_ascii() {
        true if has_lines => Usual::ButForLines,
        true => Usual::Wholly,
        false => Usual::No,
    }
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
            let so = match is_read && written == raw && raw.is_ascii() {
                true if text.contains(['\n', '\t']) => Usual::ButForLines,
                true => Usual::Wholly,
                false => Usual::No,
            };
            proptest::prop_assert_eq!(usual(&raw), so, "{}", raw);
        }
    }
}
