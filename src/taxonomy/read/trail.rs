//! Remembers in which order keys came: documents of one shape have theirs in the same, so that the
//! next key is mostly known before it is read. Only where it leads is remembered, never a value.

use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};

use crate::taxonomy::shape::NodeId;

/// So many keys are remembered; after that it begins anew, as anybody may invent keys.
const MAX_STEPS: usize = 4096;
/// A longer key is not remembered, in bytes.
const MAX_KEY: usize = 64;

/// The keys that one thread has seen.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    steps: Vec<Step>,
    /// Their positions, by digest.
    known: FxHashMap<u64, u32>,
    /// The last key of this document, if it is remembered.
    last: Option<u32>,
    /// The key that came behind it the last time.
    next: Option<u32>,
    /// The first key of the last document.
    first: Option<u32>,
}

#[derive(Clone, Debug)]
struct Step {
    /// The place that the key is of.
    from: NodeId,
    /// With quotes and colon.
    key: Box<[u8]>,
    to: Option<NodeId>,
    next: Option<u32>,
}

impl Trail {
    /// A document begins.
    pub(super) fn begin(&mut self) {
        self.last = None;
        self.next = self.first;
    }

    /// If the text begins with the key that is expected at that place: its length with quotes and
    /// colon, and where it leads.
    pub(super) fn follow(&mut self, from: NodeId, text: &[u8]) -> Option<(usize, Option<NodeId>)> {
        let step = self.steps.get(self.next? as usize)?;
        if step.from != from || !text.starts_with(&step.key) {
            return None;
        }
        self.last = self.next;
        self.next = step.next;
        Some((step.key.len(), step.to))
    }

    /// Another key came; it has no escapes.
    pub(super) fn learn(&mut self, from: NodeId, key: &str, to: Option<NodeId>) {
        let step = (key.len() <= MAX_KEY).then(|| self.step(from, key, to));
        let before = self.last.and_then(|last| self.steps.get_mut(last as usize));
        match before {
            Some(before) => before.next = step,
            None => self.first = step,
        }
        self.last = step;
        self.next = step.and_then(|step| self.steps.get(step as usize)?.next);
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
            next: None,
        });
        self.known.insert(digest, at);
        at
    }
}
