//! Remembers in which order keys came: documents of one shape have theirs in the same, so that the
//! next key is mostly known before it is read. Only where it leads is remembered, and which channel
//! a header means, never another value.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};

use crate::taxonomy::Route;
use crate::taxonomy::shape::NodeId;

/// So many keys are remembered; after that it begins anew, as anybody may invent keys.
const MAX_STEPS: usize = 4096;
/// A longer key is not remembered, in bytes.
const MAX_KEY: usize = 64;

/// So many channels are remembered, the first ones, and none with longer names, in bytes.
const MAX_CHANNELS: usize = 16;
const MAX_NAMES: usize = 256;

/// The keys that one thread has seen.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    steps: Vec<Step>,
    /// Their positions, by digest.
    known: FxHashMap<u64, u32>,
    /// The last key of this document, if it is remembered.
    last: Option<u32>,
    /// The first keys of the last documents.
    first: Next,
    channels: Vec<Channel>,
}

/// The names in a header and the channel that they stand for.
#[derive(Clone, Debug)]
struct Channel {
    name: Option<Box<str>>,
    provider: Option<Box<str>>,
    number: u16,
}

/// The keys that came next, the latest first: documents of two shapes often come by turns.
type Next = [Option<u32>; 2];

#[derive(Clone, Debug)]
struct Step {
    /// The place that the key is of.
    from: NodeId,
    /// With quotes and colon.
    key: Box<[u8]>,
    to: Option<NodeId>,
    next: Next,
}

impl Trail {
    /// The number of the channel with those names, as [`Route::channel`] has it.
    pub(super) fn channel(&mut self, name: Option<&str>, provider: Option<&str>) -> u16 {
        let known = |c: &&Channel| c.name.as_deref() == name && c.provider.as_deref() == provider;
        if let Some(known) = self.channels.iter().find(known) {
            return known.number;
        }
        let number = Route::channel(name, provider);
        let len = name.map_or(0, str::len) + provider.map_or(0, str::len);
        if self.channels.len() < MAX_CHANNELS && len <= MAX_NAMES {
            self.channels.push(Channel {
                name: name.map(Into::into),
                provider: provider.map(Into::into),
                number,
            });
        }
        number
    }

    /// A document begins.
    pub(super) fn begin(&mut self) {
        self.last = None;
    }

    fn next(&mut self) -> &mut Next {
        match self.last.and_then(|last| self.steps.get_mut(last as usize)) {
            Some(last) => &mut last.next,
            None => &mut self.first,
        }
    }

    /// If the text begins with a key that is expected at that place: its length with quotes and
    /// colon, and where it leads.
    pub(super) fn follow(&mut self, from: NodeId, text: &[u8]) -> Option<(usize, Option<NodeId>)> {
        let [next, other] = *self.next();
        if let Some(found) = self.fits(next, from, text) {
            self.last = next;
            return Some(found);
        }
        let found = self.fits(other, from, text)?;
        *self.next() = [other, next];
        self.last = other;
        Some(found)
    }

    fn fits(
        &self,
        step: Option<u32>,
        from: NodeId,
        text: &[u8],
    ) -> Option<(usize, Option<NodeId>)> {
        let step = self.steps.get(step? as usize)?;
        let fits = step.from == from && begins(text, &step.key);
        fits.then_some((step.key.len(), step.to))
    }

    /// Another key came; it has no escapes.
    pub(super) fn learn(&mut self, from: NodeId, key: &str, to: Option<NodeId>) {
        let step = (key.len() <= MAX_KEY).then(|| self.step(from, key, to));
        let next = self.next();
        if next[0] != step {
            *next = [step, next[0]];
        }
        self.last = step;
    }

    fn step(&mut self, from: NodeId, key: &str, to: Option<NodeId>) -> u32 {
        let mut hasher = FxHasher::default();
        hasher.write_u32(from.number());
        hasher.write(key.as_bytes());
        let digest = hasher.finish();
        if let Some(at) = self.known.get(&digest)
            && let Some(step) = self.steps.get(*at as usize)
            && step.from == from
            && step.key.get(1..step.key.len() - 2) == Some(key.as_bytes())
        {
            return *at;
        }
        if self.steps.len() >= MAX_STEPS {
            *self = Self::default();
        }
        let at = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.steps.push(Step {
            from,
            key: format!("\"{key}\":").into_bytes().into(),
            to,
            next: Next::default(),
        });
        self.known.insert(digest, at);
        at
    }
}

/// Whether a text begins with a key: a word at a time, which for keys costs less than a call.
fn begins(text: &[u8], key: &[u8]) -> bool {
    let Some(start) = text.get(..key.len()) else {
        return false;
    };
    let (words, rest) = key.as_chunks::<8>();
    let (of_text, rest_of_text) = start.as_chunks::<8>();
    let same = words
        .iter()
        .zip(of_text)
        .all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b));
    same && match (key.last_chunk::<8>(), start.last_chunk::<8>()) {
        (Some(a), Some(b)) => u64::from_le_bytes(*a) == u64::from_le_bytes(*b),
        _ => rest.iter().eq(rest_of_text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_two_shapes_that_come_by_turns() {
        let root = crate::taxonomy::shape::Shapes::ROOT;
        let mut trail = Trail::default();
        for key in ["a", "b", "a", "c"] {
            if key == "a" {
                trail.begin();
            }
            trail.learn(root, key, None);
        }
        for key in ["\"b\":1", "\"c\":1", "\"b\":1"] {
            trail.begin();
            assert_eq!(trail.follow(root, b"\"a\":{"), Some((4, None)));
            assert_eq!(trail.follow(root, key.as_bytes()), Some((4, None)));
        }
        assert_eq!(trail.follow(root, b"\"d\":1"), None);
    }

    proptest::proptest! {
        #[test]
        fn begins_as_bytes_do(text in "[ab]{0,30}", key in "[ab]{0,20}", end in "[ab]{0,4}") {
            let long = format!("{key}{end}");
            proptest::prop_assert!(begins(long.as_bytes(), key.as_bytes()));
            let (text, key) = (text.as_bytes(), key.as_bytes());
            proptest::prop_assert_eq!(begins(text, key), text.starts_with(key));
        }
    }
}
