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
    /// A digest of all its keys so far.
    way_here: u32,
    /// The first keys of documents.
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

/// The keys that came next. Documents of many shapes come mixed, and what comes next in one depends
/// on what came in it before.
#[derive(Clone, Debug)]
struct Next {
    steps: [u32; NEXT],
    /// Which of them came last behind keys with the same digest, as far as digests are told apart.
    guesses: [u8; GUESSES],
    /// The one that is forgotten next.
    oldest: u8,
}

/// How many are kept, and how many ways to them are told apart; a power of two each.
const NEXT: usize = 8;
const GUESSES: usize = 32;

impl Default for Next {
    fn default() -> Self {
        Self {
            steps: [NONE; NEXT],
            guesses: [0; GUESSES],
            oldest: 0,
        }
    }
}

impl Next {
    /// The most likely one on that way.
    #[inline(always)]
    fn guess(&self, way_here: u32) -> u32 {
        self.steps[usize::from(self.guesses[place(way_here)]) % NEXT]
    }

    /// It came on that way.
    fn came(&mut self, way_here: u32, step: u32) {
        let known = self.steps.iter().position(|known| *known == step);
        let at = known.unwrap_or_else(|| {
            let oldest = usize::from(self.oldest) % NEXT;
            self.oldest = self.oldest.wrapping_add(1);
            self.steps[oldest] = step;
            oldest
        });
        self.guesses[place(way_here)] = at as u8;
    }
}

/// The place of the guess for a way: the highest bits of its digest are the best mixed.
#[inline(always)]
fn place(way_here: u32) -> usize {
    (way_here >> (u32::BITS - GUESSES.ilog2())) as usize
}

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
            way_here: 0,
            first: Next::default(),
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
        self.way_here = 0;
    }

    #[inline(always)]
    fn next(&mut self) -> &mut Next {
        match self.steps.get_mut(self.last as usize) {
            Some(last) => &mut last.next,
            None => &mut self.first,
        }
    }

    #[inline(always)]
    fn go(&mut self, step: u32) {
        self.last = step;
        self.way_here = (self.way_here ^ step).wrapping_mul(0x9e37_79b1);
    }

    /// If the text begins with a key that is expected at that place: its length with quotes and
    /// colon, and where it leads.
    #[inline(always)]
    pub(super) fn follow(&mut self, from: NodeId, text: &[u8]) -> Option<(usize, Way)> {
        let way_here = self.way_here;
        let next = self.next().guess(way_here);
        match self.fits(next, from, text) {
            Some(found) => {
                self.go(next);
                Some(found)
            }
            None => self.turn(from, text),
        }
    }

    /// The same for the other keys that came there.
    #[inline(never)]
    fn turn(&mut self, from: NodeId, text: &[u8]) -> Option<(usize, Way)> {
        let (way_here, next) = (self.way_here, self.next().steps);
        for step in next {
            if let Some(found) = self.fits(step, from, text) {
                self.next().came(way_here, step);
                self.go(step);
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
        let way_here = self.way_here;
        self.next().came(way_here, step);
        self.go(step);
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
            next: Next::default(),
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
    fn follows_shapes_that_come_mixed() {
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

    #[test]
    fn expects_what_came_behind_the_same_keys() {
        let root = crate::taxonomy::shape::Shapes::ROOT;
        let mut trail = Trail::default();
        let shapes = [["x", "m", "p"], ["y", "m", "q"]];
        for keys in shapes {
            trail.begin();
            keys.iter().for_each(|key| trail.learn(root, key, NOWHERE));
        }
        for [first, middle, last] in shapes.into_iter().cycle().take(4) {
            trail.begin();
            for key in [first, middle] {
                let key = format!("\"{key}\":");
                assert!(trail.follow(root, key.as_bytes()).is_some());
            }
            let way_here = trail.way_here;
            let guess = trail.next().guess(way_here);
            assert_eq!(&*trail.steps[guess as usize].name, last);
        }
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
