//! What was found when the same was seen last: events of Windows say the same things again and
//! again, and need be judged once. Bounded, and exact: all that the answer depends on is kept and
//! compared.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use crate::taxonomy::{Event, FieldId};

/// How many keys are kept (a power of two), and how long they may be in bytes.
const SLOTS: usize = 4096;
const MAX_KEY: usize = 2048;
/// An index is tried that often; if fewer than one in `WORTH` keys were known it is left alone until
/// so many more were asked for.
const TRIAL: u32 = 1024;
const WORTH: u32 = 8;
const AGAIN: u32 = 1 << 16;
/// How many indices are told apart (a power of two).
const USES: usize = 256;

/// Keys that one thread has seen, and what each stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen<T> {
    slots: Vec<Slot<T>>,
    /// The key that is looked for.
    key: Vec<u8>,
    /// How often keys of an index were known.
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

/// One key with what it stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot<T> {
    /// Empty: nothing is kept here.
    key: Vec<u8>,
    pub(super) told: T,
}

/// What is known of a key.
pub(super) enum Known<'a, T> {
    /// This.
    Told(&'a mut T),
    /// Nothing; what is found is to be put here, over what another key stood for.
    Nothing(&'a mut Slot<T>),
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
        self.key.extend_from_slice(&besides.to_le_bytes());
        for field in fields {
            for (mark, value) in event.raw_values(*field) {
                if self.key.len() + value.len() > MAX_KEY {
                    return Known::Unkept;
                }
                // No value is longer than the key.
                let head = (value.len() as u64) << 32 | u64::from(mark) << 16 | u64::from(field.0);
                self.key.extend_from_slice(&head.to_le_bytes());
                self.key.extend_from_slice(value.as_bytes());
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
        self.key.clear();
        self.key.extend_from_slice(&index.to_le_bytes());
        self.uses
            .get_mut(self.using)
            .is_some_and(|of_index| of_index.is_worth_it(index))
    }

    fn look(&mut self) -> Known<'_, T> {
        if self.key.len() > MAX_KEY {
            return Known::Unkept;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        let mut hasher = FxHasher::default();
        hasher.write(&self.key);
        match self.slots.get_mut(hasher.finish() as usize % SLOTS) {
            Some(slot) if slot.key == self.key => {
                if let Some(of_index) = self.uses.get_mut(self.using) {
                    of_index.known += 1;
                }
                Known::Told(&mut slot.told)
            }
            Some(slot) => {
                slot.key.clone_from(&self.key);
                Known::Nothing(slot)
            }
            None => Known::Unkept,
        }
    }
}

impl<T> Slot<T> {
    /// The key stands for nothing.
    pub(super) fn forget(&mut self) {
        self.key.clear();
    }
}
