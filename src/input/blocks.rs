//! Lines of JSON, read in blocks. A block is taken apart by who judges it, on a thread of his own,
//! so that the reading thread only reads. Parses nothing but where lines begin and end.

use std::io::{self, BufRead};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{BUFFER, Item, MAX_RECORD, Part, Progress, Record, Sink, Tally, json, utf8};
use crate::document::Source;
use crate::problem::Problem;

/// So many bytes are read before they are handed over: some hundred events. With fewer, threads
/// wake one another too often.
pub(super) const BLOCK: usize = 1 << 20;

/// Whole lines of one file.
#[derive(Debug)]
pub struct Block {
    file: Arc<str>,
    /// The number of its first line, counted from 1.
    first: u64,
    /// A line that is longer than [`MAX_RECORD`] is cut after the byte that makes it so.
    text: Vec<u8>,
    /// Where its lines end, but for a last one without an end.
    ends: Vec<usize>,
    is_last: bool,
    /// Why the file cannot be read any further.
    broken: Option<Problem>,
}

/// What stays of a block whose records were handed over.
#[derive(Debug)]
pub struct Remains {
    /// The text that the records are pieces of.
    pub text: Arc<String>,
    /// What cannot be read, by line.
    pub problems: Vec<Problem>,
}

impl Block {
    /// Nothing; what is read next goes into that buffer, whatever stands in it.
    pub fn empty(buffer: Vec<u8>) -> Self {
        Self {
            file: Arc::default(),
            first: 1,
            text: buffer,
            ends: Vec::new(),
            is_last: false,
            broken: None,
        }
    }

    /// The file, or `archive!member`.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Whether nothing of the file follows.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Hands over each line that begins as an object does, with its number; whether it is one has
    /// to be checked by who reads it.
    pub fn take_apart(self, progress: &Progress, mut each: impl FnMut(u64, Source)) -> Remains {
        let mut problems = Vec::new();
        let text = utf8::text(self.text)
            .unwrap_or_else(|bytes| blank(bytes, &self.file, self.first, &mut problems));
        let text = Arc::new(text);
        let mut records = 0;
        for (number, line) in lines(text.as_bytes(), &self.ends, self.first) {
            let place = match line {
                Ok(place) => place,
                Err(message) => {
                    problems.push(problem(&self.file, number, message));
                    continue;
                }
            };
            let source = Source::piece(&text, place);
            if source.starts_with('{') {
                records += 1;
                each(number, source);
            } else if let Err(message) = json::check(source.as_bytes()) {
                problems.push(problem(&self.file, number, message));
            }
        }
        problems.sort_by_key(|problem| problem.line);
        problems.extend(self.broken);
        progress.records.fetch_add(records, Ordering::Relaxed);
        let unreadable = problems.len() as u64;
        progress.unreadable.fetch_add(unreadable, Ordering::Relaxed);
        Remains { text, problems }
    }

    /// Hands over each line, checked, and what cannot be read as far as the tally names it.
    pub(super) fn check(
        &mut self,
        progress: &Progress,
        tally: &mut Tally,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut tell = |problem, each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>| {
            progress.unreadable.fetch_add(1, Ordering::Relaxed);
            match tally.name(problem) {
                Some(problem) => each(Item::Problem(problem)),
                None => ControlFlow::Continue(()),
            }
        };
        for (number, line) in lines(&self.text, &self.ends, self.first) {
            let line = line.map(|place| self.text.get(place).unwrap_or_default());
            match line.and_then(json::check) {
                Ok(source) => {
                    progress.records.fetch_add(1, Ordering::Relaxed);
                    each(Item::Record(Record {
                        file: &self.file,
                        number,
                        source: &source,
                    }))?;
                }
                Err(message) => tell(problem(&self.file, number, message), each)?,
            }
        }
        if let Some(broken) = self.broken.take() {
            tell(broken, each)?;
        }
        match self.is_last.then(|| tally.finish(&self.file)).flatten() {
            Some(rest) => each(Item::Problem(rest)),
            None => ControlFlow::Continue(()),
        }
    }
}

/// The lines that are not empty, which end there: their numbers and where they stand, without white
/// space around them; or that they are too long.
fn lines(
    text: &[u8],
    ends: &[usize],
    first: u64,
) -> impl Iterator<Item = (u64, Result<Range<usize>, String>)> {
    let begins = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    let places = begins.zip(ends.iter().copied().chain([text.len()]));
    let whole = (first..).zip(places.map(|(begin, end)| begin..end));
    whole.filter_map(|(number, place)| {
        let line = text.get(place.clone()).unwrap_or_default();
        if line.len() > MAX_RECORD {
            return Some((number, Err(json::too_long())));
        }
        let line = json::skip_mark(line).trim_ascii_start();
        let begin = place.end - line.len();
        let length = line.trim_ascii_end().len();
        (length > 0).then_some((number, Ok(begin..begin + length)))
    })
}

fn problem(file: &str, line: u64, message: String) -> Problem {
    let mut problem = Problem::new(file, message);
    problem.line = usize::try_from(line).ok();
    problem
}

/// The bytes as text: lines that are not UTF-8 are problems, and stand empty.
fn blank(mut bytes: Vec<u8>, file: &str, first: u64, problems: &mut Vec<Problem>) -> String {
    for (number, line) in (first..).zip(bytes.split_mut(|byte| *byte == b'\n')) {
        if std::str::from_utf8(line).is_ok() {
            continue;
        }
        // A line that is too long was cut, maybe in a character, and stays too long.
        if line.len() <= MAX_RECORD
            && let Err(message) = json::check(json::skip_mark(line).trim_ascii())
        {
            problems.push(problem(file, number, message));
        }
        line.fill(b' ');
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Reads lines in blocks of at least that many bytes, but for the last.
pub(super) fn read(input: &mut dyn BufRead, size: usize, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut block = Block::empty(Vec::new());
    let (mut next, mut rest) = (1, Vec::new());
    loop {
        block.file = sink.file.into();
        block.first = next;
        let filled = fill(&mut block.text, &mut block.ends, &mut rest, input, size);
        next += block.ends.len() as u64;
        block.is_last = !matches!(filled, Ok(true));
        block.broken = filled.err().map(|error| {
            let (message, help) = json::broken(&error);
            problem(sink.file, next, message).help(help)
        });
        let is_last = block.is_last;
        (sink.each)(Part::Lines(&mut block))?;
        if is_last {
            return ControlFlow::Continue(());
        }
        block = Block::empty(block.text);
    }
}

/// Reads on after `rest` until there are so many bytes and a line ends; what was read beyond that
/// end is the next rest. `ends` gets where lines end. Whether there may be more. `rest` holds no end
/// of a line.
///
/// # Errors
/// The file cannot be read any further; the text then ends before the line that is not whole.
fn fill(
    text: &mut Vec<u8>,
    ends: &mut Vec<usize>,
    rest: &mut Vec<u8>,
    input: &mut dyn BufRead,
    size: usize,
) -> io::Result<bool> {
    // So large that they need not go through the input's own buffer.
    let piece = size.min(BUFFER);
    let mut filled = rest.len();
    text.resize(text.len().max(filled), 0);
    text[..filled].copy_from_slice(rest);
    rest.clear();
    loop {
        // What the buffer held before is not overwritten with zeros first.
        if text.len() < filled + piece {
            text.resize(filled + piece, 0);
        }
        let begun = filled;
        match input.read(&mut text[filled..filled + piece]) {
            Ok(0) => {
                text.truncate(filled);
                return Ok(false);
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                text.truncate(ends.last().map_or(0, |end| end + 1));
                return Err(error);
            }
        }
        // While what was read is still in the processor's cache.
        let found = memchr::memchr_iter(b'\n', &text[begun..filled]);
        ends.extend(found.map(|at| begun + at));
        if filled < size {
            continue;
        }
        if let Some(end) = ends.last().map(|end| end + 1) {
            rest.extend_from_slice(&text[end..filled]);
            text.truncate(end);
            return Ok(true);
        }
        if filled > MAX_RECORD {
            text.truncate(MAX_RECORD + 1);
            return match pass_over(input) {
                Ok(has_end) => {
                    if has_end {
                        ends.push(text.len());
                        text.push(b'\n');
                    }
                    Ok(has_end)
                }
                Err(error) => {
                    text.clear();
                    Err(error)
                }
            };
        }
    }
}

/// Reads to the end of a line; whether it has one.
fn pass_over(input: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let bytes = input.fill_buf()?;
        let (end, read) = (memchr::memchr(b'\n', bytes), bytes.len());
        if read == 0 {
            return Ok(false);
        }
        input.consume(end.map_or(read, |end| end + 1));
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lines::{Line, Lines};
    use super::*;

    type Said = (Vec<(u64, String)>, Vec<String>);

    /// Reads without blocks, line by line.
    fn one_by_one(bytes: &[u8]) -> Said {
        let mut input = bytes;
        let mut lines = Lines::new(&mut input);
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        loop {
            let number = lines.number() as u64 + 1;
            let line = match lines.next().unwrap() {
                None => return (records, problems),
                Some(Line::TooLong) => Err("is longer than 16 MB".to_owned()),
                Some(Line::Text(line)) => Ok(json::skip_mark(line).trim_ascii()),
            };
            match line.and_then(|line| match std::str::from_utf8(line) {
                Ok(object) if object.starts_with('{') => Ok(object),
                Ok("") => Ok(""),
                _ => Err(json::check(line).unwrap_err()),
            }) {
                Ok("") => {}
                Ok(object) => records.push((number, object.to_owned())),
                Err(message) => problems.push(format!("f:{number}: {message}")),
            }
        }
    }

    /// Reads in blocks of that size.
    fn in_blocks(input: &mut dyn BufRead, size: usize) -> (Said, Progress) {
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        let progress = Progress::default();
        let mut ends = 0;
        let mut each = |part: Part<'_>| {
            let Part::Lines(block) = part else {
                panic!("no lines");
            };
            let spare = Block::empty(b"{\"left\":1}\n".to_vec());
            let block = std::mem::replace(block, spare);
            ends += usize::from(block.is_last());
            assert_eq!(&**block.file(), "f");
            let remains = block.take_apart(&progress, |number, source| {
                records.push((number, source.to_string()));
            });
            problems.extend(remains.problems.iter().map(ToString::to_string));
            ControlFlow::Continue(())
        };
        let mut sink = Sink {
            file: "f",
            host: None,
            progress: &progress,
            tally: Tally::default(),
            each: &mut each,
        };
        assert!(read(input, size, &mut sink).is_continue());
        assert_eq!(ends, 1, "one block is the last");
        ((records, problems), progress)
    }

    /// The same, from a buffer of that length.
    fn in_blocks_of(bytes: &[u8], size: usize, buffer: usize) -> (Said, Progress) {
        in_blocks(&mut io::BufReader::with_capacity(buffer, bytes), size)
    }

    fn a_line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => "\\{\"[a-z\u{e9}\u{20ac}]{0,20}\":[0-9]\\}".prop_map(String::into_bytes),
            1 => "[ \t\r]{0,3}".prop_map(String::into_bytes),
            1 => "\u{feff}? ?\\{[a-z]{0,3} \r?".prop_map(String::into_bytes),
            1 => "[\\[x\u{e9}][a-z ]{0,9}".prop_map(String::into_bytes),
            1 => proptest::collection::vec(any::<u8>(), 0..9),
        ]
    }

    proptest! {
        #[test]
        fn blocks_say_what_lines_say(
            lines in proptest::collection::vec(a_line(), 0..12),
            ends in any::<bool>(),
            size in 1..200_usize,
            buffer in 1..80_usize,
        ) {
            let mut bytes = lines.join(&b'\n');
            bytes.extend(ends.then_some(b'\n'));
            let expected = one_by_one(&bytes);
            let (said, progress) = in_blocks_of(&bytes, size, buffer);
            let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            prop_assert_eq!(count(&progress.records), expected.0.len() as u64);
            prop_assert_eq!(count(&progress.unreadable), expected.1.len() as u64);
            prop_assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        let long = |length: usize| [b"{\"a\":\"", &*b"\xc3\xa9".repeat(length / 2)].concat();
        for length in [
            MAX_RECORD - 7,
            MAX_RECORD - 6,
            MAX_RECORD + BUFFER,
            2 * MAX_RECORD,
        ] {
            for end in [&b"\"}\n{\"c\":1}\n"[..], b"\n", b""] {
                let bytes = [b"{\"b\":1}\r\n", &*long(length), end].concat();
                let said = in_blocks_of(&bytes, BLOCK, BUFFER).0;
                assert!(said == one_by_one(&bytes), "{length}: {:?}", said.1);
            }
        }
    }

    #[test]
    fn what_stands_before_a_damage_is_read() {
        struct Damaged(usize);
        impl io::Read for Damaged {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => io::Read::read(&mut &b"{}\nx\n{\"a\":1}\n{\"torn"[..], buffer),
                    _ => Err(io::Error::other("worn out")),
                }
            }
        }
        let (records, problems) = in_blocks(&mut io::BufReader::new(Damaged(0)), BLOCK).0;
        let said: Vec<String> = records
            .into_iter()
            .map(|(_, record)| record)
            .chain(problems)
            .collect();
        assert_eq!(
            said,
            [
                "{}",
                "{\"a\":1}",
                "f:2: is not a JSON object",
                "f:4: cannot be read any further: worn out; the file is damaged or cut off; what stands before was read"
            ]
        );
    }
}
