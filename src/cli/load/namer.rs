//! Names documents of files: the index that each goes to, and its id. Keeps no document.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::store::NewDocument;
use crate::taxonomy::log_source::Origin;
use crate::taxonomy::{Fields, Reader, Slots};

/// Gives each document its index, by its shape, and its id, by what it says. A line that stands
/// there twice is two documents, and the same two when the file is loaded again.
pub(super) struct Namer {
    index: Option<String>,
    reader: Reader,
    slots: Slots,
    seen: HashMap<[u8; 16], u32>,
}

impl Namer {
    pub(super) fn new(index: Option<String>) -> Self {
        Self {
            index,
            reader: Reader::new(&Fields::default()),
            slots: Slots::default(),
            seen: HashMap::new(),
        }
    }

    pub(super) fn name(&mut self, source: &str) -> NewDocument {
        let mut key = [0; 16];
        key.copy_from_slice(&Sha256::digest(source)[..16]);
        let times = self.seen.entry(key).or_default();
        let mut id = hex(&key);
        if *times > 0 {
            id += &format!("-{times}");
        }
        *times += 1;
        let index = self
            .index
            .clone()
            .unwrap_or_else(|| self.shape(source).into());
        NewDocument {
            index,
            id: Some(id),
            replace: false,
            source: source.into(),
        }
    }

    fn shape(&mut self, source: &str) -> &'static str {
        match self.reader.read(source, &mut self.slots) {
            Ok(()) if self.slots.route().origin == Origin::CommandHistory => "cmdlogs",
            _ => "events",
        }
    }
}
