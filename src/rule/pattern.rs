//! Sigma's text values: wildcards and escapes, the folding of case, and what the modifiers
//! `windash`, `base64`, `base64offset` and `wide` make of a value. Every match here is the
//! definition; an index may find more, never less.

/// A `windash` value with more dashes than this is refused: each has five spellings.
const MAX_DASHES: usize = 4;
/// The dashes that Windows programs take for an option's.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// A piece of a text value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// This text.
    Text(String),
    /// `?`: one character.
    One,
    /// `*`: any text, also none.
    Many,
}

/// Appends `text` in lower case, one character after the other (so that what is a part of a text
/// stays one when both are folded). U+212A becomes `k`, U+0130 becomes two characters.
pub fn fold_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        if let Some(tail) = out.get_mut(start..) {
            tail.make_ascii_lowercase();
        }
    } else {
        for c in text.chars() {
            if c.is_ascii() {
                out.push(c.to_ascii_lowercase());
            } else {
                out.extend(c.to_lowercase());
            }
        }
    }
}

/// `text` in lower case, as [`fold_into`] has it.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// The bytes of `original` that became `start..start + len` of its folded text.
pub fn unfold(original: &str, start: usize, len: usize) -> (usize, usize) {
    if original.is_ascii() {
        return (start, len);
    }
    let (mut folded, mut first, mut end) = (0, original.len(), original.len());
    for (at, c) in original.char_indices() {
        if folded <= start {
            first = at;
        }
        if folded >= start + len {
            end = at;
            break;
        }
        folded += c.to_lowercase().map(char::len_utf8).sum::<usize>();
    }
    (first, end.saturating_sub(first))
}

/// Reads a value as it stands in a rule: `*` and `?` are wildcards unless a backslash stands
/// before them; `\\` is one backslash, and so is one before any other character.
pub fn tokens(value: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '*', '?']) {
        let (before, special) = rest.split_at(at);
        push_text(&mut out, before);
        let behind = special.get(1..).unwrap_or_default();
        rest = behind;
        if special.starts_with('*') {
            push_many(&mut out);
        } else if special.starts_with('?') {
            out.push(Token::One);
        } else if behind.starts_with(['*', '?', '\\']) {
            let (escaped, behind) = behind.split_at(1);
            push_text(&mut out, escaped);
            rest = behind;
        } else {
            push_text(&mut out, "\\");
        }
    }
    push_text(&mut out, rest);
    out
}

fn push_text(out: &mut Vec<Token>, more: &str) {
    if more.is_empty() {
        return;
    }
    if let Some(Token::Text(text)) = out.last_mut() {
        text.push_str(more);
    } else {
        out.push(Token::Text(more.into()));
    }
}

fn push_many(out: &mut Vec<Token>) {
    if out.last() != Some(&Token::Many) {
        out.push(Token::Many);
    }
}

/// The value with `*` before it, behind it, or both.
pub fn open(mut tokens: Vec<Token>, before: bool, behind: bool) -> Vec<Token> {
    if before && tokens.first() != Some(&Token::Many) {
        tokens.insert(0, Token::Many);
    }
    if behind {
        push_many(&mut tokens);
    }
    tokens
}

/// The text of a value without wildcards.
pub fn plain(tokens: &[Token]) -> Option<&str> {
    match tokens {
        [] => Some(""),
        [Token::Text(text)] => Some(text),
        _ => None,
    }
}

/// Whether the whole text is one that the tokens describe. Takes at most (text × longest piece
/// between two `*`) steps.
pub fn matches(tokens: &[Token], text: &str) -> bool {
    let (mut token, mut at) = (0, 0);
    // Where to go on after the last `*`, and how much text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let step = match tokens.get(token) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Token::Many) if token + 1 == tokens.len() => return true,
            Some(Token::Many) => {
                star = Some((token + 1, at));
                Some(0)
            }
            Some(Token::One) => rest.chars().next().map(char::len_utf8),
            Some(Token::Text(piece)) => rest.starts_with(piece.as_str()).then_some(piece.len()),
        };
        if let Some(step) = step {
            token += 1;
            at += step;
            continue;
        }
        let Some((next, swallowed)) = star else {
            return false;
        };
        let Some(c) = text.get(swallowed..).and_then(|rest| rest.chars().next()) else {
            return false;
        };
        let mut from = swallowed + c.len_utf8();
        // Straight to where the piece stands; where it stands nowhere, nothing fits.
        if let Some(Token::Text(piece)) = tokens.get(next) {
            let rest = text.get(from..).unwrap_or_default();
            match memchr::memmem::find(rest.as_bytes(), piece.as_bytes()) {
                Some(further) => from += further,
                None => return false,
            }
        }
        star = Some((next, from));
        (token, at) = (next, from);
    }
}

/// Where in a text that the tokens describe their pieces stand, from the first to the last: first
/// byte and length. `None` if the whole text is meant.
pub fn stretch(tokens: &[Token], text: &str) -> Option<(usize, usize)> {
    let open_before = tokens.first() == Some(&Token::Many);
    let open_behind = tokens.last() == Some(&Token::Many);
    if !open_before && !open_behind {
        return None;
    }
    let pieces = tokens.split(|token| *token == Token::Many);
    let mut pieces = pieces.filter(|piece| !piece.is_empty()).peekable();
    let (mut start, mut end) = (None, 0);
    while let Some(piece) = pieces.next() {
        let at = if start.is_none() && !open_before {
            0
        } else if pieces.peek().is_none() && !open_behind {
            at_end(piece, text)?
        } else {
            let rest = text.get(end..)?;
            let mut starts = rest.char_indices().map(|(at, _)| end + at);
            starts.find(|at| length(piece, text, *at).is_some())?
        };
        start.get_or_insert(at);
        end = at + length(piece, text, at)?;
    }
    start.map(|start| (start, end - start))
}

/// How many bytes of the text a piece without `*` takes at that place.
fn length(piece: &[Token], text: &str, start: usize) -> Option<usize> {
    let mut at = start;
    for token in piece {
        let rest = text.get(at..)?;
        at += match token {
            Token::Text(text) => rest.starts_with(text.as_str()).then_some(text.len())?,
            Token::One => rest.chars().next()?.len_utf8(),
            Token::Many => 0,
        };
    }
    Some(at - start)
}

/// Where a piece without `*` stands that ends the text.
fn at_end(piece: &[Token], text: &str) -> Option<usize> {
    let chars = |token: &Token| match token {
        Token::Text(text) => text.chars().count(),
        Token::One => 1,
        Token::Many => 0,
    };
    let count: usize = piece.iter().map(chars).sum();
    let last = text.char_indices().rev().nth(count.checked_sub(1)?)?;
    Some(last.0)
}

/// The value in each spelling of its dashes: every `-` or `/` that begins an option (no word
/// before it, a word behind it) stands for all of `-`, `/`, en dash, em dash and horizontal bar.
///
/// # Errors
/// More than four such dashes.
pub fn windash(value: &str) -> Result<Vec<String>, String> {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let chars: Vec<char> = value.chars().collect();
    let mut variants = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let after_word = at > 0 && chars.get(at - 1).is_some_and(is_word);
        let before_word = chars.get(at + 1).is_some_and(is_word);
        if !matches!(c, '-' | '/') || after_word || !before_word {
            variants.iter_mut().for_each(|variant| variant.push(*c));
            continue;
        }
        if variants.len() >= DASHES.len().pow(MAX_DASHES as u32) {
            return Err(format!(
                "`windash` on more than {MAX_DASHES} options in one value"
            ));
        }
        variants = variants
            .iter()
            .flat_map(|variant| DASHES.map(|dash| format!("{variant}{dash}")))
            .collect();
    }
    Ok(variants)
}

/// How a text becomes bytes before it is encoded in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Utf8,
    /// `wide`, `utf16le`: two bytes a unit, the low one first.
    Utf16Le,
    /// `utf16be`: the high one first.
    Utf16Be,
    /// `utf16`: a byte order mark, then the low byte first.
    Utf16,
}

impl Encoding {
    /// The text of those bytes; what is none becomes U+FFFD.
    pub fn text(self, bytes: &[u8]) -> String {
        let pairs = || {
            bytes
                .chunks_exact(2)
                .filter_map(|pair| pair.try_into().ok())
        };
        let units: Vec<u16> = match self {
            Self::Utf8 => return String::from_utf8_lossy(bytes).into_owned(),
            Self::Utf16Le | Self::Utf16 => pairs().map(u16::from_le_bytes).collect(),
            Self::Utf16Be => pairs().map(u16::from_be_bytes).collect(),
        };
        String::from_utf16_lossy(&units)
    }

    /// The bytes of that text.
    pub fn bytes(self, text: &str) -> Vec<u8> {
        let units = text.encode_utf16();
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16Le => units.flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => units.flat_map(u16::to_be_bytes).collect(),
            Self::Utf16 => std::iter::once(0xfeff)
                .chain(units)
                .flat_map(u16::to_le_bytes)
                .collect(),
        }
    }
}

/// Those bytes in base64 (RFC 4648, padded).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= chunk.len() {
                char::from(ALPHABET[digit])
            } else {
                '='
            });
        }
    }
    out
}

/// The bytes of base64, padded or not; what is no digit ends it.
pub fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for value in text.bytes().map_while(digit) {
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.extend((bits >> count).to_le_bytes().first());
        }
    }
    out
}

/// How many digits of its group of four a text leaves out that begins so many bytes into its group
/// of three.
pub const SKIPPED: [usize; 3] = [0, 2, 3];

/// What those bytes become in base64 wherever they begin in a longer text: one text for each of
/// the three alignments, without the digits that depend on the neighbours. Empty ones are left
/// out. With each how many bytes stand before it in its group of three.
pub fn base64_offsets(bytes: &[u8]) -> Vec<(usize, String)> {
    (0..3usize)
        .filter_map(|shift| {
            let mut shifted = vec![b' '; shift];
            shifted.extend_from_slice(bytes);
            let encoded = base64(&shifted);
            let start = SKIPPED[shift];
            let cut = [0, 3, 2][shifted.len() % 3];
            let kept = encoded.get(start..encoded.len().saturating_sub(cut))?;
            (!kept.is_empty()).then(|| (shift, kept.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        matches(&tokens(pattern), text)
    }

    /// One character after the other.
    fn by_characters(value: &str) -> Vec<Token> {
        let mut out: Vec<Token> = Vec::new();
        let mut chars = value.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some(next @ ('*' | '?' | '\\'))) => {
                    push_text(&mut out, &next.to_string());
                    chars.next();
                }
                ('*', _) if out.last() == Some(&Token::Many) => {}
                ('*', _) => out.push(Token::Many),
                ('?', _) => out.push(Token::One),
                _ => push_text(&mut out, &c.to_string()),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn values_are_read_as_one_character_after_the_other(value in "[ab\u{e9}*?\\\\]{0,12}") {
            prop_assert_eq!(tokens(&value), by_characters(&value));
        }
    }

    #[test]
    fn wildcards_and_escapes() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("a*c", "ac", true),
            ("a*b*c", "a1b2b3c", true),
            ("*?", "", false),
            ("*?", "xyz", true),
            ("*?b?*", "xaabz", true),
            ("*1?", "a1", false),
            ("*1?", "a12", true),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            (r"a\?c", "abc", false),
            (r"\\*", r"\x", true),
            (r"\\*", "x", false),
            (r"c:\windows", r"c:\windows", true),
            (r"\\\\host", r"\\host", true),
            (r"\\\*", r"\*", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn folding_knows_the_two_traps() {
        assert_eq!(fold("\u{212a}EY \u{130}"), "key i\u{307}");
        // A final sigma depends on its neighbours in `str::to_lowercase`, not here.
        assert_eq!(fold("ΑΣ"), "ασ");
        assert_eq!(unfold("\u{212a}ey", 1, 2), (3, 2));
        assert_eq!(unfold("\u{130}x", 3, 1), (2, 1));
        assert_eq!(unfold("AbC", 1, 1), (1, 1));
    }

    #[test]
    fn windash_spells_each_option_in_five_ways() {
        assert_eq!(windash(" -enc").unwrap().len(), 5);
        assert!(
            windash("/a -b")
                .unwrap()
                .contains(&"\u{2013}a \u{2014}b".into())
        );
        // Inside of a word, or before none, it is no option.
        assert_eq!(
            windash("well-known - / http://x").unwrap(),
            [
                "well-known - / http:/-x",
                "well-known - / http://x",
                "well-known - / http:/\u{2013}x",
                "well-known - / http:/\u{2014}x",
                "well-known - / http:/\u{2015}x"
            ]
        );
        assert!(windash("-a -b -c -d -e").is_err());
    }

    #[test]
    fn base64_is_found_at_each_alignment() {
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"abc"), "YWJj");
        for before in ["", "x", "xy", "xyz"] {
            let whole = base64(format!("{before}secret word!").as_bytes());
            let offsets = base64_offsets(b"secret word");
            assert!(offsets.iter().any(|(_, o)| whole.contains(o)), "{before}");
        }
        assert_eq!(Encoding::Utf16Le.bytes("a"), [b'a', 0]);
        assert_eq!(Encoding::Utf16.bytes("a"), [0xff, 0xfe, b'a', 0]);
    }

    #[test]
    fn the_pieces_of_a_wildcard_are_found_where_they_stand() {
        for (pattern, text, expected) in [
            ("*b?d*", "abbcd.", Some("bcd")),
            ("a*c*", "abcabc", Some("abc")),
            ("*a?", "a1éaé", Some("aé")),
            ("*a*e", "xaxexe", Some("axexe")),
            ("a?c", "abc", None),
        ] {
            let found = stretch(&tokens(pattern), text);
            let shown = found.map(|(start, len)| &text[start..start + len]);
            assert_eq!(shown, expected, "{pattern} on {text}");
        }
    }

    proptest! {
        #[test]
        fn a_part_stays_a_part_when_folded(a in "\\PC{0,6}", b in "\\PC{0,6}", c in "\\PC{0,6}") {
            let whole = fold(&(a + &b + &c));
            prop_assert!(whole.contains(&fold(&b)));
        }

        #[test]
        fn whatever_matches_has_its_pieces_somewhere(pattern in "[aé*?]{1,6}", text in "[aéb]{0,8}") {
            let tokens = tokens(&pattern);
            let open = pattern.starts_with('*') || pattern.ends_with('*');
            if open && pattern.contains(['a', 'é', '?']) && matches(&tokens, &text) {
                let (start, len) = stretch(&tokens, &text).unwrap();
                let inner = pattern.trim_matches('*');
                prop_assert!(fits(inner, &text[start..start + len]), "{inner} {text} {start} {len}");
            }
        }

        #[test]
        fn wildcards_match_as_a_regex_does(pattern in "[ab*?]{0,8}", text in "[abc]{0,10}") {
            let regex = format!("^{}$", pattern.replace('*', ".*").replace('?', "."));
            let expected = regex::Regex::new(&regex).unwrap().is_match(&text);
            prop_assert_eq!(fits(&pattern, &text), expected);
        }
    }
}
