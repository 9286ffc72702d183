//! Remembers in which order keys came: documents of one shape have theirs in the same, so that the
//! next key is mostly known before it is read. Only where it leads is remembered, and which channel
//! a header means, never another value.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};

use crate::taxonomy::Route;
use crate::taxonomy::bytes::{Block, WIDE};
use crate::taxonomy::shape::{NodeId, Usage};

/// So many keys are remembered; after that it begins anew, as anybody may invent keys.
const MAX_STEPS: usize = 4096;
/// A longer key is not remembered, in bytes.
const MAX_KEY: usize = 64;

/// So many channels are remembered, the first ones, and none with longer names, in bytes.
const MAX_CHANNELS: usize = 16;
const MAX_NAMES: usize = 256;

/// The keys that one thread has seen.
#[derive(Clone, Debug)]
pub struct Trail {
    steps: Vec<Step>,
    /// Their positions, by digest.
    known: FxHashMap<u64, u32>,
    /// The last key of this document; [`NONE`] if it is not remembered.
    last: u32,
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

/// The keys that came next, the latest first: documents of some shapes come by turns.
type Next = [u32; 4];

/// No step.
const NONE: u32 = u32::MAX;

/// Where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) to: Option<NodeId>,
    /// What its values are for.
    pub(super) usage: Usage,
}

#[derive(Clone, Debug)]
struct Step {
    /// The place that the key is of.
    from: NodeId,
    next: Next,
    way: Way,
    key: Key,
    /// The key as it is called.
    name: Box<str>,
}

/// A key with quotes and colon, so that it is compared at once.
#[derive(Clone, Debug)]
struct Key {
    /// Its first bytes, and then zeros.
    head: [u8; HEAD],
    /// A bit for each byte of each half of the head that is none of the key.
    beyond: [u32; 2],
    len: usize,
    /// What the head has no room for.
    rest: Box<[u8]>,
}

const HEAD: usize = 2 * WIDE;

impl Key {
    fn new(name: &str) -> Self {
        let whole = format!("\"{name}\":").into_bytes();
        let (start, rest) = whole.split_at(whole.len().min(HEAD));
        let mut head = [0; HEAD];
        head[..start.len()].copy_from_slice(start);
        let used = (1_u64 << start.len()) - 1;
        Self {
            head,
            beyond: [!used as u32 & 0xffff, (!used >> WIDE) as u32 & 0xffff],
            len: whole.len(),
            rest: rest.into(),
        }
    }

    /// Whether a text begins with it.
    #[inline(always)]
    fn begins(&self, text: &[u8]) -> bool {
        let Some(start) = text.first_chunk::<HEAD>() else {
            // The end of the document is near.
            let head = &self.head[..self.len.min(HEAD)];
            return self.rest.is_empty() && text.starts_with(head);
        };
        let same = |half: usize| {
            let at = half * WIDE;
            let (ours, theirs) = (Block::at(&self.head, at)?, Block::at(start, at)?);
            Some(ours.same(theirs) | self.beyond[half])
        };
        same(0) == Some(0xffff)
            && same(1) == Some(0xffff)
            && (self.rest.is_empty() || text[HEAD..].starts_with(&self.rest))
    }
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            known: FxHashMap::default(),
            last: NONE,
            first: [NONE; 4],
            channels: Vec::new(),
        }
    }
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
        self.last = NONE;
    }

    #[inline]
    fn next(&mut self) -> &mut Next {
        match self.steps.get_mut(self.last as usize) {
            Some(last) => &mut last.next,
            None => &mut self.first,
        }
    }

    /// If the text begins with a key that is expected at that place: its length with quotes and
    /// colon, and where it leads.
    #[inline(always)]
    pub(super) fn follow(&mut self, from: NodeId, text: &[u8]) -> Option<(usize, Way)> {
        let next = self.next()[0];
        match self.fits(next, from, text) {
            Some(found) => {
                self.last = next;
                Some(found)
            }
            None => self.turn(from, text),
        }
    }

    /// The same for the keys that came before the last.
    fn turn(&mut self, from: NodeId, text: &[u8]) -> Option<(usize, Way)> {
        let next = *self.next();
        for (at, step) in next.into_iter().enumerate().skip(1) {
            if let Some(found) = self.fits(step, from, text) {
                self.next()[..=at].rotate_right(1);
                self.last = step;
                return Some(found);
            }
        }
        None
    }

    #[inline(always)]
    fn fits(&self, step: u32, from: NodeId, text: &[u8]) -> Option<(usize, Way)> {
        let step = self.steps.get(step as usize)?;
        let fits = step.from == from && step.key.begins(text);
        fits.then_some((step.key.len, step.way))
    }

    /// Another key came; it has no escapes.
    pub(super) fn learn(&mut self, from: NodeId, key: &str, way: Way) {
        let step = match key.len() <= MAX_KEY {
            true => self.step(from, key, way),
            false => NONE,
        };
        let next = self.next();
        if next[0] != step {
            next.rotate_right(1);
            next[0] = step;
        }
        self.last = step;
    }

    fn step(&mut self, from: NodeId, key: &str, way: Way) -> u32 {
        let mut hasher = FxHasher::default();
        hasher.write_u32(from.number());
        hasher.write(key.as_bytes());
        let digest = hasher.finish();
        if let Some(at) = self.known.get(&digest)
            && let Some(step) = self.steps.get(*at as usize)
            && step.from == from
            && *step.name == *key
        {
            return *at;
        }
        if self.steps.len() >= MAX_STEPS {
            *self = Self::default();
        }
        let at = u32::try_from(self.steps.len()).unwrap_or(NONE);
        self.steps.push(Step {
            from,
            next: [NONE; 4],
            way,
            key: Key::new(key),
            name: key.into(),
        });
        self.known.insert(digest, at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Way = Way {
        to: None,
        usage: Usage::Nothing,
    };

    #[test]
    fn follows_two_shapes_that_come_by_turns() {
        let root = crate::taxonomy::shape::Shapes::ROOT;
        let mut trail = Trail::default();
        for key in ["a", "b", "a", "c"] {
            if key == "a" {
                trail.begin();
            }
            trail.learn(root, key, NOWHERE);
        }
        for key in ["\"b\":1", "\"c\":1", "\"b\":1"] {
            trail.begin();
            assert_eq!(trail.follow(root, b"\"a\":{"), Some((4, NOWHERE)));
            assert_eq!(trail.follow(root, key.as_bytes()), Some((4, NOWHERE)));
        }
        assert_eq!(trail.follow(root, b"\"d\":1"), None);
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_told_from_others(
            name in "[ab]{0,60}",
            cut in 0_usize..70,
            end in "[ab\": ]{0,40}",
        ) {
            let quoted = format!("\"{name}\":");
            let key = Key::new(&name);
            for text in [format!("{quoted}{end}"), format!("{:.cut$}{end}", quoted)] {
                let expected = text.starts_with(&quoted);
                proptest::prop_assert_eq!(key.begins(text.as_bytes()), expected);
            }
        }
    }
}
