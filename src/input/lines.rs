//! Lines of bounded length. A line that is longer is passed over without being held.

use std::io::{self, BufRead};

use super::MAX_RECORD;

/// Reads line by line into one buffer.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    line: Vec<u8>,
    number: usize,
}

/// What stands in the next line.
pub(super) enum Line<'a> {
    /// Its bytes, without its end.
    Text(&'a [u8]),
    /// More than [`MAX_RECORD`].
    TooLong,
}

impl<'a> Lines<'a> {
    pub(super) fn new(input: &'a mut dyn BufRead) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
        }
    }

    /// The number of the line that was read last, counted from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        self.number += 1;
        let mut too_long = false;
        let mut is_there = false;
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            is_there = true;
            let end = memchr::memchr(b'\n', bytes);
            let piece = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.line.len() + piece.len() > MAX_RECORD {
                too_long = true;
                self.line.clear();
            }
            if !too_long {
                self.line.extend_from_slice(piece);
            }
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(match (is_there, too_long) {
            (false, _) => None,
            (true, true) => Some(Line::TooLong),
            (true, false) => Some(Line::Text(
                self.line.strip_suffix(b"\r").unwrap_or(&self.line),
            )),
        })
    }
}
