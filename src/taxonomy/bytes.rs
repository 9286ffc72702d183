//! Bytes looked at some at a time, for texts so short that a call would cost more. Pure.

use wide::u8x16;

/// Bytes of a word.
pub(super) const BYTES: usize = 8;

/// Bytes of a [`Block`].
pub(super) const WIDE: usize = 16;

/// Sixteen bytes that are compared at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block(u8x16);

impl Block {
    /// Those that stand there; `None` where fewer do.
    #[inline]
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let block: &[u8; WIDE] = bytes.get(at..)?.first_chunk()?;
        Some(Self(u8x16::new(*block)))
    }

    /// A bit for each that is that byte, the first the lowest.
    #[inline]
    pub(super) fn marks(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// A bit for each that is the same as there.
    #[inline]
    pub(super) fn same(self, other: Self) -> u32 {
        self.0.simd_eq(other.0).to_bitmask()
    }
}

/// A word of eight times that byte.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; BYTES])
}

/// The highest bit of the first byte that is that one; what is set above it means nothing.
const fn marks(word: u64, byte: u8) -> u64 {
    let word = word ^ each(byte);
    word.wrapping_sub(each(0x01)) & !word & each(0x80)
}

/// Where in the word that byte stands first.
pub(super) fn first(word: u64, byte: u8) -> Option<usize> {
    let found = marks(word, byte);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}
