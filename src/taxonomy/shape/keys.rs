//! The keys of one object with where each leads: asked for every key of every document, so made for
//! short keys, which are told by their ends and their length without being compared.

use super::NodeId;

/// A key as two words and a length: all of it, if it is no longer than both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    head: u64,
    tail: u64,
    len: u32,
}

const WORD: usize = 8;

impl Told {
    fn of(key: &str) -> Self {
        let bytes = key.as_bytes();
        let (head, tail) = match (bytes.first_chunk::<WORD>(), bytes.last_chunk::<WORD>()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => (
                bytes
                    .iter()
                    .fold(0, |word, byte| word << 8 | u64::from(*byte)),
                0,
            ),
        };
        Self {
            head,
            tail,
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        }
    }

    fn hash(self) -> usize {
        let mixed = (self.head ^ self.tail.rotate_left(23) ^ u64::from(self.len))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize
    }
}

#[derive(Clone, Debug)]
struct Entry {
    told: Told,
    key: Box<str>,
    node: NodeId,
}

/// Keys and where they lead.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Open addressing; at most half full, and a power of two long.
    entries: Vec<Option<Entry>>,
    len: usize,
}

impl Keys {
    /// Where that key leads.
    pub(super) fn get(&self, key: &str) -> Option<NodeId> {
        let told = Told::of(key);
        let mut at = told.hash();
        loop {
            let entry = self.entries.get(at & self.entries.len().wrapping_sub(1))?;
            let entry = entry.as_ref()?;
            if entry.told == told && (key.len() <= 2 * WORD || *entry.key == *key) {
                return Some(entry.node);
            }
            at += 1;
        }
    }

    /// Makes a key that is not there lead somewhere.
    pub(super) fn insert(&mut self, key: &str, node: NodeId) {
        if self.len * 2 >= self.entries.len() {
            let entries = std::mem::take(&mut self.entries);
            self.entries = vec![None; (entries.len() * 2).max(4)];
            for entry in entries.into_iter().flatten() {
                self.put(entry);
            }
        }
        self.put(Entry {
            told: Told::of(key),
            key: key.into(),
            node,
        });
        self.len += 1;
    }

    fn put(&mut self, entry: Entry) {
        let mut at = entry.told.hash();
        let last = self.entries.len() - 1;
        while self.entries[at & last].is_some() {
            at += 1;
        }
        self.entries[at & last] = Some(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_was_put_in_and_nothing_else(
            keys in prop::collection::hash_map("[ab\\x00]{0,3}|[ab]{7,9}|[ab]{15,19}", 0..u32::MAX, 0..200),
            others in prop::collection::vec("[ab\\x00]{0,3}|[ab]{7,9}|[ab]{15,19}", 0..200),
        ) {
            let keys: HashMap<String, u32> = keys;
            let mut table = Keys::default();
            for (key, node) in &keys {
                table.insert(key, NodeId::new(*node));
            }
            for key in keys.keys().chain(&others) {
                prop_assert_eq!(table.get(key).map(NodeId::number), keys.get(key).copied());
            }
        }
    }
}
