//! What was found when the same was seen last: events of Windows say the same things again and
//! again, and need be judged once. Bounded, and exact: all that the answer depends on is kept and
//! compared.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use crate::taxonomy::{Event, FieldId};

/// How many keys are kept (a power of two), how long they may be in bytes, and how many rules each
/// may stand for.
const SLOTS: usize = 4096;
const MAX_KEY: usize = 2048;
const MAX_RULES: usize = 64;

/// Keys that one thread has seen, and the rules that each stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    slots: Vec<Slot>,
    /// The key that is looked for.
    key: Vec<u8>,
}

/// One key with its rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// Empty: nothing is kept here.
    key: Vec<u8>,
    rules: Vec<u32>,
}

/// What is known of a key.
pub(super) enum Known<'a> {
    /// Its rules.
    Rules(&'a [u32]),
    /// Nothing; they are to be put here.
    Nothing(&'a mut Slot),
    /// Nothing, and it is too long to be kept.
    TooLong,
}

impl Seen {
    /// What is known of one value put to the index of that number.
    pub(super) fn value(&mut self, index: u64, value: &str) -> Known<'_> {
        self.begin(index);
        self.key.extend_from_slice(value.as_bytes());
        self.look()
    }

    /// What is known of an event that says what this one says in those fields, put to the index of
    /// that number.
    pub(super) fn event(&mut self, index: u64, fields: &[FieldId], event: &Event<'_>) -> Known<'_> {
        self.begin(index);
        for field in fields {
            for value in event.values(*field) {
                if self.key.len() + value.text.len() > MAX_KEY {
                    return Known::TooLong;
                }
                self.key.push(value.kind as u8 + 1);
                self.key.extend_from_slice(&value.text.len().to_le_bytes());
                self.key.extend_from_slice(value.text.as_bytes());
            }
            self.key.push(0);
        }
        self.look()
    }

    fn begin(&mut self, index: u64) {
        self.key.clear();
        self.key.extend_from_slice(&index.to_le_bytes());
    }

    fn look(&mut self) -> Known<'_> {
        if self.key.len() > MAX_KEY {
            return Known::TooLong;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        let mut hasher = FxHasher::default();
        hasher.write(&self.key);
        match self.slots.get_mut(hasher.finish() as usize % SLOTS) {
            Some(slot) if slot.key == self.key => Known::Rules(&slot.rules),
            Some(slot) => {
                slot.key.clone_from(&self.key);
                slot.rules.clear();
                Known::Nothing(slot)
            }
            None => Known::TooLong,
        }
    }
}

impl Slot {
    /// The key stands for that rule.
    pub(super) fn push(&mut self, rule: u32) {
        if self.rules.len() < MAX_RULES {
            self.rules.push(rule);
        } else {
            self.key.clear();
        }
    }
}
