//! Which five bytes in a row a long value has, as far as some thousand bits tell: many texts are
//! looked for in it, and nearly all are ruled out by a few of theirs, without going through it for
//! each. May take a text for one that stands there, never miss one that does.

use std::ops::RangeInclusive;

/// How long a value is that this pays for, in bytes: for a shorter one a search takes no longer, and
/// what a longer one has is nearly everything.
const LONG: RangeInclusive<usize> = 512..=1 << 15;
/// Of 64 bits.
const WORDS: usize = 1 << 10;
/// A text is told by so many of its grams. With fewer or shorter ones, what rules look for in Base64
/// is taken for what else is encoded there.
const TOLD_BY: usize = 4;

/// Of so many values of an event sketches are made.
const MAX_SKETCHES: usize = 8;

/// Sketches of the long values of one event, in memory that is used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketches {
    /// The number of each value that there is one of, in the order of `all`.
    numbers: Vec<usize>,
    all: Vec<Sketch>,
}

/// What one value has.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    bits: Box<[u64; WORDS]>,
    is_ascii: bool,
}

/// By what a text is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Marks {
    /// Grams, all of which a value must have.
    Grams([u16; TOLD_BY]),
    /// Characters that are not ASCII.
    Beyond,
    /// Nothing: it is too short.
    Nothing,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            bits: Box::new([0; WORDS]),
            is_ascii: true,
        }
    }
}

impl Sketches {
    /// Forgets the last event.
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
    }

    /// Makes one of the value of that number, if that is long.
    pub(super) fn draw(&mut self, number: usize, value: &str) {
        let at = self.numbers.len();
        if !LONG.contains(&value.len()) || at >= MAX_SKETCHES || self.numbers.contains(&number) {
            return;
        }
        if self.all.len() == at {
            self.all.push(Sketch::default());
        }
        if let Some(sketch) = self.all.get_mut(at) {
            sketch.draw(value);
            self.numbers.push(number);
        }
    }

    /// Whether it is known that a text does not stand in the value of that number.
    #[inline]
    pub(super) fn rule_out(&self, text: &str, number: usize) -> bool {
        !self.numbers.is_empty() && self.is_not_in(text, number)
    }

    /// Apart, as there are sketches of few events.
    #[inline(never)]
    fn is_not_in(&self, text: &str, number: usize) -> bool {
        let sketch = self.of(number);
        sketch.is_some_and(|sketch| !sketch.may_have(&Marks::of(text)))
    }

    /// That of the value of that number, if there is one.
    pub(super) fn of(&self, number: usize) -> Option<&Sketch> {
        let at = self.numbers.iter().position(|known| *known == number)?;
        self.all.get(at)
    }
}

impl Sketch {
    /// Becomes one of that value, whatever it was before.
    fn draw(&mut self, value: &str) {
        self.bits.fill(0);
        for gram in value.as_bytes().array_windows() {
            let (word, bit) = place(mark(*gram));
            self.bits[word] |= bit;
        }
        self.is_ascii = value.is_ascii();
    }

    /// Whether a text with those marks may stand in the value.
    pub(super) fn may_have(&self, marks: &Marks) -> bool {
        match marks {
            Marks::Grams(grams) => grams.iter().all(|gram| {
                let (word, bit) = place(*gram);
                self.bits[word] & bit != 0
            }),
            Marks::Beyond => !self.is_ascii,
            Marks::Nothing => true,
        }
    }
}

impl Marks {
    /// Those of a text.
    pub(super) fn of(text: &str) -> Self {
        if !text.is_ascii() {
            return Self::Beyond;
        }
        let grams = text.as_bytes().array_windows();
        let Some(last) = grams.len().checked_sub(1) else {
            return Self::Nothing;
        };
        let mut marks = [0; TOLD_BY];
        for (number, found) in marks.iter_mut().enumerate() {
            let at = last * number / (TOLD_BY - 1);
            *found = grams.clone().nth(at).copied().map(mark).unwrap_or_default();
        }
        Self::Grams(marks)
    }
}

/// What stands for five bytes.
fn mark([first @ .., last]: [u8; 5]) -> u16 {
    let gram = u64::from(u32::from_le_bytes(first)) | u64::from(last) << u32::BITS;
    // The upper bits are the best mixed.
    (gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - u16::BITS)) as u16
}

/// The word, and the bit in it.
fn place(mark: u16) -> (usize, u64) {
    (usize::from(mark) / 64 % WORDS, 1 << (mark % 64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_value_does_not_have_is_ruled_out() {
        let mut sketch = Sketch::default();
        sketch.draw("powershell -nop -w hidden");
        let may = |sketch: &Sketch, text| sketch.may_have(&Marks::of(text));
        assert!(may(&sketch, "-nop -w") && may(&sketch, "hidden") && may(&sketch, "iex"));
        assert!(!may(&sketch, "-encod") && !may(&sketch, "\u{2013}nop"));
        sketch.draw("\u{2013}nop -encod");
        assert!(may(&sketch, "-encod") && may(&sketch, "\u{2013}nop") && !may(&sketch, "hidden"));
    }

    proptest! {
        #[test]
        fn a_text_that_stands_there_is_never_missed(
            before in "[ab\u{e9}:]{0,9}",
            text in "[ab\u{e9}:]{0,20}|[ab:]{0,30}",
            after in "[ab\u{e9}:]{0,9}",
        ) {
            let mut sketch = Sketch::default();
            sketch.draw(&[before, text.clone(), after].concat());
            prop_assert!(sketch.may_have(&Marks::of(&text)));
        }
    }
}
