//! Bytes looked at some at a time, for texts so short that a call would cost more. Pure.

use wide::u8x16;

/// Bytes of a [`Block`].
pub(super) const WIDE: usize = 16;

/// Sixteen bytes that are compared at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block(u8x16);

impl Block {
    /// Those.
    #[inline]
    pub(super) fn new(bytes: &[u8; WIDE]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// Those that stand there; `None` where fewer do.
    #[inline]
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..)?.first_chunk().map(Self::new)
    }

    /// A bit for each that is that byte, the first the lowest.
    #[inline]
    pub(super) fn marks(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// How many of the first are decimal digits.
    #[inline]
    pub(super) fn digits(self) -> usize {
        let above = self.0 - u8x16::splat(b'0');
        let digits = above.min(u8x16::splat(9)).simd_eq(above).to_bitmask();
        digits.trailing_ones() as usize
    }

    /// A bit for each that is the same as there.
    #[inline]
    pub(super) fn same(self, other: Self) -> u32 {
        self.0.simd_eq(other.0).to_bitmask()
    }
}

/// All those bytes; behind their end zeros fill the last block.
#[inline]
pub(super) fn blocks(bytes: &[u8]) -> impl Iterator<Item = Block> + use<'_> {
    let (whole, rest) = bytes.as_chunks();
    let mut end = [0; WIDE];
    end[..rest.len()].copy_from_slice(rest);
    let whole = whole.iter().map(Block::new);
    whole.chain(std::iter::once_with(move || Block::new(&end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_at_any_other_byte() {
        for byte in 0..=u8::MAX {
            let expected = if byte.is_ascii_digit() { WIDE } else { 3 };
            let mut bytes = *b"0123456789012345";
            bytes[3] = byte;
            assert_eq!(Block::new(&bytes).digits(), expected, "{byte}");
        }
    }
}
