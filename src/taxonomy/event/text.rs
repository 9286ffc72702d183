//! Where the text of a value is, so small that there may be many: beside the document, never a
//! copy of it but of what is unescaped.

use std::cell::{Cell, OnceCell, RefCell};

use super::Kind;
use crate::taxonomy::escape::{Usual, unescape, usual};
use crate::taxonomy::read::MAX_SOURCE;

/// Where a value's text is, and its type: the first byte there (for [`Place::Late`] its number), its
/// length, its place and its kind in one word, which is handed on many times and stays in a register.
#[derive(Clone, Copy, Debug)]
pub(in crate::taxonomy) struct Text(u64);

const START_BITS: u32 = u32::BITS;
const LEN_BITS: u32 = MAX_SOURCE.ilog2() + 1;
const PLACE: u32 = START_BITS + LEN_BITS;
const KIND: u32 = PLACE + 2;

impl Text {
    /// `None` if it does not fit.
    pub(super) fn new(place: Place, start: usize, len: usize, kind: Kind) -> Option<Self> {
        let fits = start >> START_BITS == 0 && len >> LEN_BITS == 0;
        let (start, len) = (start as u64, len as u64);
        let word = start | len << START_BITS | (place as u64) << PLACE | (kind as u64) << KIND;
        fits.then_some(Self(word))
    }

    pub(super) fn start(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(super) fn len(self) -> usize {
        (self.0 >> START_BITS) as usize & ((1 << LEN_BITS) - 1)
    }

    pub(super) fn place(self) -> Place {
        match self.0 >> PLACE & 3 {
            0 => Place::Source,
            1 => Place::Arena,
            _ => Place::Late,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self.0 >> KIND {
            0 => Kind::Text,
            1 => Kind::Number,
            2 => Kind::Bool,
            _ => Kind::Null,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Source,
    Arena,
    Late,
}

/// A string of the source that is unescaped once it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Late {
    start: u32,
    len: u32,
    text: OnceCell<String>,
    usual: Cell<Option<Usual>>,
}

impl Late {
    /// The string there; `None` if that is out of reach.
    pub(super) fn new(start: usize, len: usize) -> Option<Self> {
        Some(Self {
            start: u32::try_from(start).ok()?,
            len: u32::try_from(len).ok()?,
            text: OnceCell::new(),
            usual: Cell::new(None),
        })
    }

    /// See [`Usual`].
    pub(super) fn usual(&self, source: &str) -> Usual {
        self.usual.get().unwrap_or_else(|| {
            let usual = usual(self.raw(source));
            self.usual.set(Some(usual));
            usual
        })
    }

    /// As it stands there.
    pub(super) fn raw<'a>(&self, source: &'a str) -> &'a str {
        let range = self.start as usize..self.start as usize + self.len as usize;
        source.get(range).unwrap_or_default()
    }

    pub(super) fn text(&self, source: &str, spare: &Spare) -> &str {
        self.text.get_or_init(|| {
            let raw = self.raw(source);
            let mut text = spare.buffer();
            text.reserve(raw.len());
            if unescape(raw, &mut text).is_none() {
                // No JSON: it stands for itself.
                text.clear();
                text.push_str(raw);
            }
            text
        })
    }
}

/// How many buffers are kept, and how large each may be in bytes.
const MAX_SPARE: usize = 8;
const MAX_KEPT: usize = 1 << 14;

/// Buffers of strings that were unescaped, for the next ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(RefCell<Vec<String>>);

impl Spare {
    /// An empty one.
    fn buffer(&self) -> String {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back those of strings that nobody needs any more.
    pub(super) fn refill(&mut self, late: impl Iterator<Item = Late>) {
        let buffers = self.0.get_mut();
        for mut buffer in late.filter_map(|late| late.text.into_inner()) {
            if buffers.len() < MAX_SPARE && buffer.capacity() <= MAX_KEPT {
                buffer.clear();
                buffers.push(buffer);
            }
        }
    }
}
