//! Which rules a value woke when it was seen last: the paths, users and versions of Windows events
//! come again and again, and need be searched once. Bounded, and exact: the value itself is kept
//! and compared.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// How many values are kept (a power of two), how long they may be in bytes, and how many rules
/// each may wake.
const SLOTS: usize = 4096;
const MAX_VALUE: usize = 512;
const MAX_WOKEN: usize = 64;

/// The values that one thread has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    slots: Vec<Slot>,
}

/// One value of one field index, and what it woke.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// The field index's number, which is never 0; 0: nothing is kept here.
    index: u64,
    value: String,
    woken: Vec<u32>,
}

impl Seen {
    /// Where that value is kept, or could be; `None` if it is too long.
    pub(super) fn slot(&mut self, index: u64, value: &str) -> Option<&mut Slot> {
        if value.len() > MAX_VALUE {
            return None;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        let mut hasher = FxHasher::default();
        hasher.write_u64(index);
        hasher.write(value.as_bytes());
        self.slots.get_mut(hasher.finish() as usize % SLOTS)
    }
}

impl Slot {
    /// What that value woke, if it is kept here.
    pub(super) fn woken(&self, index: u64, value: &str) -> Option<&[u32]> {
        (self.index == index && self.value == value).then_some(&*self.woken)
    }

    /// Begins to keep that value.
    pub(super) fn begin(&mut self, index: u64, value: &str) {
        self.index = index;
        self.value.clear();
        self.value.push_str(value);
        self.woken.clear();
    }

    /// The value wakes that rule.
    pub(super) fn push(&mut self, rule: u32) {
        if self.woken.len() < MAX_WOKEN {
            self.woken.push(rule);
        } else {
            self.index = 0;
        }
    }
}
