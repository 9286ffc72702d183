//! Bytes looked at a word at a time, for texts so short that a call would cost more. Pure.

/// Bytes of a word.
pub(super) const BYTES: usize = 8;

/// A word of eight times that byte.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; BYTES])
}

/// The highest bit of the first byte that is that one; what is set above it means nothing.
pub(super) const fn marks(word: u64, byte: u8) -> u64 {
    let word = word ^ each(byte);
    word.wrapping_sub(each(0x01)) & !word & each(0x80)
}

/// Where in the word that byte stands first.
pub(super) fn first(word: u64, byte: u8) -> Option<usize> {
    let found = marks(word, byte);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}
