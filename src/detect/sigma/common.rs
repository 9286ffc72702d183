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

/// How many values have each sequence of four bytes.
#[derive(Clone, Debug)]
pub(super) struct Common {
    counts: Box<[u16]>,
}

impl Common {
    /// Of what stands in most values, for as long as nothing was seen.
    pub(super) fn usual() -> &'static Self {
        static COMMON: LazyLock<Common> = LazyLock::new(|| Common::of([USUAL]));
        &COMMON
    }

    /// Of those values, which are folded and written as JSON writes them.
    pub(super) fn of<'v>(values: impl IntoIterator<Item = &'v str>) -> Self {
        let mut counts = vec![0_u16; KINDS];
        let mut last = vec![0_u32; KINDS];
        for (value, number) in values.into_iter().zip(1..) {
            for gram in value.as_bytes().array_windows() {
                let at = digest(*gram);
                // Once a value.
                if let (Some(count), Some(last)) = (counts.get_mut(at), last.get_mut(at))
                    && std::mem::replace(last, number) != number
                {
                    *count = count.saturating_add(1);
                }
            }
        }
        Self {
            counts: counts.into(),
        }
    }

    /// How frequent a few bytes are; comparable for those of one length.
    pub(super) fn cost(&self, gram: &[u8]) -> u32 {
        let seen = match gram.try_into() {
            Ok(gram) => self.counts.get(digest(gram)).copied().unwrap_or_default(),
            Err(_) => 0,
        };
        u32::from(seen) * WEIGHT + gram.iter().map(|byte| letter(*byte)).sum::<u32>()
    }
}

fn digest(gram: [u8; 4]) -> usize {
    (lower(&gram).wrapping_mul(0x9e37_79b1) >> 16) as usize % KINDS
}

/// Roughly how frequent a byte is in command lines, paths and scripts.
fn letter(byte: u8) -> u32 {
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
