//! Reads the documents that are judged, into buffers that are used again. Judges nothing.

use super::Judged;
use crate::document::Document;
use crate::taxonomy::read::Trail;
use crate::taxonomy::{Fields, Reader, Slots};

/// What one thread reads with.
pub(super) struct Reading {
    reader: Reader,
    trail: Trail,
    /// What was read last, a document each.
    pub(super) slots: Vec<Slots>,
}

impl Reading {
    /// For those fields.
    pub(super) fn new(fields: &Fields) -> Self {
        Self::with(Reader::new(fields))
    }

    /// The same for another thread.
    pub(super) fn fork(&self) -> Self {
        Self::with(self.reader.clone())
    }

    fn with(reader: Reader) -> Self {
        Self {
            reader,
            trail: Trail::default(),
            slots: Vec::new(),
        }
    }

    /// Reads each document into the slots of the same position; empty slots stand for one that
    /// cannot be read.
    pub(super) fn read(&mut self, documents: &[Document], judged: &mut Judged) {
        if self.slots.len() < documents.len() {
            self.slots.resize_with(documents.len(), Slots::default);
        }
        for (document, slots) in documents.iter().zip(&mut self.slots) {
            let (trail, source) = (&mut self.trail, &document.source);
            if let Err(error) = self.reader.read_along(trail, source, slots) {
                slots.clear();
                judged.counts.unreadable += 1;
                judged.unreadable.push((document.id.clone(), error));
            }
        }
    }
}
