//! What was found when the same was seen last: events of Windows say the same things again and
//! again, and need be judged once. Bounded. All that the answer depends on is told apart by 127 bits
//! of a hash whose key is drawn anew by each process, so that nobody who writes events can look for
//! two that it takes for one.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use highway::{HighwayHash, HighwayHasher, Key};
use rustc_hash::FxHasher;

use crate::taxonomy::{Event, FieldId};

/// How many events are kept (a power of two), and how much they may say in bytes.
const SLOTS: usize = 4096;
const MAX_SAID: usize = 2048;
/// An index is tried that often; if fewer than one in `WORTH` were known it is left alone until
/// so many more were asked for.
const TRIAL: u32 = 1024;
const WORTH: u32 = 8;
const AGAIN: u32 = 1 << 16;
/// How many indices are told apart (a power of two).
const USES: usize = 256;

/// What events are told apart by. The standard library's random keys are the system's.
static KEY: LazyLock<[u64; 4]> = LazyLock::new(|| {
    let random = RandomState::new();
    [0_u8, 1, 2, 3].map(|part| random.hash_one(part))
});

/// What one thread has seen, and what each stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen<T> {
    /// The hashes of what was said, apart from what it stands for: what is new looks at these alone.
    hashes: Vec<Hash>,
    told: Vec<T>,
    /// What is looked for.
    said: Vec<u8>,
    /// How often what is put to an index was known.
    uses: Vec<Use>,
    /// That of the index that is asked.
    using: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    index: u64,
    tries: u32,
    known: u32,
}

impl Use {
    /// Whether it is worth while to look.
    fn is_worth_it(&mut self, index: u64) -> bool {
        if self.index != index || self.tries == AGAIN {
            *self = Self {
                index,
                ..Self::default()
            };
        }
        self.tries += 1;
        self.tries <= TRIAL || self.known >= TRIAL / WORTH
    }
}

/// What was said; zeros: nothing. Two words, as an array would be compared as one wide one right
/// after its halves were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hash(u64, u64);

/// Where something is kept.
pub(super) struct Slot<'a, T> {
    hash: &'a mut Hash,
    pub(super) told: &'a mut T,
}

/// What is known of what an event says.
pub(super) enum Known<'a, T> {
    /// This.
    Told(&'a mut T),
    /// Nothing; what is found is to be put here, over what something else stood for.
    Nothing(Slot<'a, T>),
    /// Nothing, and it is not kept: it is too long, or too few like it come again.
    Unkept,
}

impl<T: Default> Seen<T> {
    /// What is known of an event that says what this one says in those fields, put to the index of
    /// that number; `besides` is something else that the answer depends on.
    pub(super) fn event(
        &mut self,
        index: u64,
        besides: u64,
        fields: &[FieldId],
        event: &Event<'_>,
    ) -> Known<'_, T> {
        if !self.begin(index) {
            return Known::Unkept;
        }
        self.said.extend_from_slice(&besides.to_le_bytes());
        for field in fields {
            for (mark, value) in event.raw_values(*field) {
                if self.said.len() + value.len() > MAX_SAID {
                    return Known::Unkept;
                }
                // No value is longer than all of them.
                let head = (value.len() as u64) << 32 | u64::from(mark) << 16 | u64::from(field.0);
                self.said.extend_from_slice(&head.to_le_bytes());
                self.said.extend_from_slice(value.as_bytes());
            }
        }
        self.look()
    }

    /// Whether to go on.
    fn begin(&mut self, index: u64) -> bool {
        if self.uses.is_empty() {
            self.uses.resize(USES, Use::default());
        }
        let mut hasher = FxHasher::default();
        hasher.write_u64(index);
        self.using = hasher.finish() as usize % USES;
        self.said.clear();
        self.said.extend_from_slice(&index.to_le_bytes());
        self.uses
            .get_mut(self.using)
            .is_some_and(|of_index| of_index.is_worth_it(index))
    }

    fn look(&mut self) -> Known<'_, T> {
        if self.said.len() > MAX_SAID {
            return Known::Unkept;
        }
        if self.hashes.is_empty() {
            self.hashes.resize(SLOTS, Hash::default());
            self.told.resize_with(SLOTS, T::default);
        }
        let [first, second] = HighwayHasher::new(Key(*KEY)).hash128(&self.said);
        // None is all zeros.
        let hash = Hash(first, second | 1);
        let place = first as usize % SLOTS;
        match (self.hashes.get_mut(place), self.told.get_mut(place)) {
            (Some(kept), Some(told)) if *kept == hash => {
                if let Some(of_index) = self.uses.get_mut(self.using) {
                    of_index.known += 1;
                }
                Known::Told(told)
            }
            (Some(kept), Some(told)) => {
                *kept = hash;
                Known::Nothing(Slot { hash: kept, told })
            }
            _ => Known::Unkept,
        }
    }
}

impl<T> Slot<'_, T> {
    /// What was said stands for nothing.
    pub(super) fn forget(&mut self) {
        *self.hash = Hash::default();
    }
}
