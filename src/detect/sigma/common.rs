//! What is frequent in the values of a field: for choosing by what a text is found. Knows sequences
//! of bytes by their digest only, and decides nothing but what is faster.

use std::sync::LazyLock;

use super::grams::lower;

/// Digests that are told apart.
const KINDS: usize = 1 << 13;
/// What one value weighs beside the letters.
const WEIGHT: u32 = 64;
/// What stands in most paths and command lines of Windows.
const USUAL: &str = concat!(
    r"c:\\windows\\system32\\.exe .dll .ps1 \\syswow64\\ \\users\\public\\appdata\\local\\temp\\ ",
    r"\\program files (x86)\\ \\programdata\\ \\microsoft corporation\\windows nt\\ powershell ",
    r"hklm\\software\\microsoft\\windows\\currentversion\\ hklm\\system\\currentcontrolset\\ ",
    r"\\services\\ \\classes\\ http:// https:// .com nt authority\\system \\device\\harddiskvolume ",
    r"cmd.exe /c \\v1.0\\ -command ",
);

/// How many values have each sequence of four bytes, and of two.
#[derive(Clone, Debug)]
pub(super) struct Common {
    fours: Counts,
    twos: Counts,
}

/// How many values have each sequence of one length.
#[derive(Clone, Debug)]
struct Counts(Box<[u16]>);

impl Common {
    /// Of what stands in most values, for as long as nothing was seen.
    pub(super) fn usual() -> &'static Self {
        static COMMON: LazyLock<Common> = LazyLock::new(|| Common::of([USUAL]));
        &COMMON
    }

    /// Of what that document's source says beside the usual.
    pub(super) fn with(source: &str) -> Self {
        Self::of([USUAL, source])
    }

    /// Of those values, in whatever case and written as JSON writes them.
    pub(super) fn of<'v>(values: impl IntoIterator<Item = &'v str, IntoIter: Clone>) -> Self {
        let values = values.into_iter();
        Self {
            fours: Counts::of::<4>(values.clone()),
            twos: Counts::of::<2>(values),
        }
    }

    /// How frequent a few bytes are; comparable for those of one length.
    pub(super) fn cost(&self, gram: &[u8]) -> u32 {
        let seen = match gram.len() {
            4 => self.fours.get(gram),
            2 => self.twos.get(gram),
            _ => 0,
        };
        let letters = gram.iter().map(|byte| match byte {
            // Identifiers are full of two digits, seldom of the same four.
            b'0'..=b'9' if gram.len() == 2 => 8,
            _ => letter(*byte),
        });
        u32::from(seen) * WEIGHT + letters.sum::<u32>()
    }
}

impl Counts {
    fn of<'v, const WIDTH: usize>(values: impl Iterator<Item = &'v str>) -> Self {
        let mut counts = vec![0_u16; KINDS];
        let mut last = vec![0_u32; KINDS];
        for (value, number) in values.zip(1..) {
            for gram in value.as_bytes().array_windows::<WIDTH>() {
                let at = digest(gram);
                // Once a value.
                if let (Some(count), Some(last)) = (counts.get_mut(at), last.get_mut(at))
                    && std::mem::replace(last, number) != number
                {
                    *count = count.saturating_add(1);
                }
            }
        }
        Self(counts.into())
    }

    fn get(&self, gram: &[u8]) -> u16 {
        self.0.get(digest(gram)).copied().unwrap_or_default()
    }
}

fn digest(gram: &[u8]) -> usize {
    (lower(gram).wrapping_mul(0x9e37_79b1) >> 16) as usize % KINDS
}

/// Roughly how frequent a byte is in command lines, paths and scripts.
pub(super) fn letter(byte: u8) -> u32 {
    match byte {
        b'e' | b' ' | b's' | b't' | b'i' | b'\\' | b'n' | b'o' | b'r' | b'a' => 8,
        b'.' | b'm' | b'd' | b'l' | b'c' | b'w' | b'p' | b'x' | b'-' | b'u' => 5,
        b'0'..=b'9' | b'f' | b'g' | b'h' | b'b' | b'y' | b'v' | b'k' => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_more_values_have_is_more_common() {
        let common = Common::of(["lsass.exe", "cmd.exe", "xyzzy"]);
        assert!(common.cost(b".exe") > common.cost(b"lsas"));
        assert!(common.cost(b"xyzz") > common.cost(b"qqqq"));
        let usual = Common::usual();
        assert!(usual.cost(b".exe") > usual.cost(b"kurl"));
    }
}
